"""Which of two contents of one thing wins, whatever the order in which they came.

Senders repeat, correct and reorder. Two deliveries are the *same content* when every
field agrees; a timestamp that the door assigned on arrival is no field, or a repeated
delivery would look like a correction. Of several contents the winner is

- for a run: a finished one before a pending one, a timestamp that was given before an
  assigned one, then the later timestamp, then the greater digest;
- for an outcome: the later timestamp, then the greater digest.

An assigned timestamp is that of the content's first arrival.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import msgspec

from selfright.events.batch import OUTCOME_COLUMNS, RUN_FIELD
from selfright.events.status import RunStatus

if TYPE_CHECKING:
    from collections.abc import Container

Row = tuple[Any, ...]  # a stored row of RunBatch or OutcomeBatch

OUTCOME_FIELD: Final = {name: position for position, name in enumerate(OUTCOME_COLUMNS)}
# Columns that a sender filled; the log fills those behind.
CONTENT: Final = OUTCOME_FIELD["run"]

RUN_ID: Final = RUN_FIELD["run_id"]
RUN_AGENT: Final = RUN_FIELD["agent_name"]
RUN_TASK: Final = RUN_FIELD["task_id"]
RUN_TS: Final = RUN_FIELD["ts_us"]
_RUN_STATUS: Final = RUN_FIELD["status"]
_RUN_GIVEN: Final = RUN_FIELD["ts_given"]

AGENT: Final = OUTCOME_FIELD["agent_name"]
NAMED_RUN: Final = OUTCOME_FIELD["run_id"]
NAMED_TASK: Final = OUTCOME_FIELD["task_id"]
TS: Final = OUTCOME_FIELD["ts_us"]
SOURCE: Final = OUTCOME_FIELD["feedback_source"]
OUTCOME_ID: Final = OUTCOME_FIELD["outcome_id"]
GIVEN: Final = OUTCOME_FIELD["ts_given"]

DIGEST_BYTES: Final = 16

# Keys of mappings are sorted: {"a": 1, "b": 2} and {"b": 2, "a": 1} say the same.
_encode = msgspec.msgpack.Encoder(order="deterministic").encode


def run_digest(row: Row) -> bytes:
    """Return what identifies the content of a run. About 2 us."""
    if not row[_RUN_GIVEN]:
        row = (*row[:RUN_TS], 0, *row[RUN_TS + 1 :])
    return blake2b(_encode(row), digest_size=DIGEST_BYTES).digest()


def outcome_digest(row: Row) -> bytes:
    """Return what identifies the content of an outcome, whatever it was joined to."""
    content = row[:CONTENT]
    if not row[GIVEN]:
        content = (*content[:TS], 0, *content[TS + 1 :])
    return blake2b(_encode(content), digest_size=DIGEST_BYTES).digest()


def delivery_digest(row: Row) -> bytes:
    """Return what identifies an outcome that names nothing: its content, time included."""
    return blake2b(_encode(row[:CONTENT]), digest_size=DIGEST_BYTES).digest()


def run_class(row: Row) -> tuple[bool, bool]:
    """Return what decides before the timestamps: finished, and its time given."""
    return row[_RUN_STATUS] != RunStatus.PENDING, bool(row[_RUN_GIVEN])


def contest(new: Row, held: Row, lost: Container[bytes]) -> tuple[bool, bytes | None]:
    """Return whether ``new`` replaces ``held``, and which content to remember as lost.

    A content whose time was assigned comes with a later time when it is repeated, and
    would win by that. So those that lost by time alone are remembered in ``lost``.
    """
    new_class, held_class = run_class(new), run_class(held)
    if new_class != held_class:
        return new_class > held_class, None
    digest, held_digest = run_digest(new), run_digest(held)
    if digest == held_digest or digest in lost:
        return False, None
    wins = (new[RUN_TS], digest) > (held[RUN_TS], held_digest)
    if new[_RUN_GIVEN]:
        return wins, None
    return wins, held_digest if wins else digest

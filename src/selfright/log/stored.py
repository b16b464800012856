"""Commits and rows as bytes: msgpack, exact in both directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from selfright.events.batch import Commit, OutcomeBatch, RunBatch
from selfright.events.record import decode_act, encode_act
from selfright.log.identity import CONTENT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfright.events.batch import Intake
    from selfright.events.record import AnyAct
    from selfright.log.identity import Row

_encode = msgspec.msgpack.Encoder().encode
_decode_rows = msgspec.msgpack.Decoder(list[tuple[int, tuple[Any, ...]]]).decode
_decode_row: Final = msgspec.msgpack.Decoder(tuple[Any, ...]).decode


def encode_row(row: Row) -> bytes:
    """Return a stored row as bytes. About 1 us."""
    return _encode(row)


def decode_run(data: bytes) -> Row:
    """Return the stored row of a run. Raises ``msgspec.MsgspecError``."""
    return _decode_row(data)


def decode_outcome(data: bytes) -> Row:
    """Return the stored row of an outcome. Raises ``msgspec.MsgspecError``."""
    return _with_run(_decode_row(data))


def _with_run(row: Row) -> Row:
    # msgpack knows one kind of sequence; a joined run is a row, and rows are tuples.
    run = row[CONTENT]
    return row if run is None else (*row[:CONTENT], tuple(run), *row[CONTENT + 1 :])


class _Packed(msgspec.Struct, array_like=True):
    """A whole commit. ``seq`` are the offsets of the rows that follow it."""

    first_offset: int
    next_offset: int
    log_time_us: int
    runs: list[tuple[int, tuple[Any, ...]]]
    outcomes: list[tuple[int, tuple[Any, ...]]]
    acts: list[tuple[int, bytes]]
    retracted_runs: list[tuple[int, tuple[Any, ...]]]
    retracted_outcomes: list[tuple[int, tuple[Any, ...]]]


_decode_packed = msgspec.msgpack.Decoder(_Packed).decode


def pack(commit: Commit) -> bytes:
    """Return a commit as bytes. About 1 us a row."""
    return _encode(
        _Packed(
            commit.first_offset,
            commit.next_offset,
            commit.log_time_us,
            _pairs(commit.runs),
            _pairs(commit.outcomes),
            [(offset, encode_act(act)) for offset, act in commit.acts],
            _pairs(commit.retracted_runs),
            _pairs(commit.retracted_outcomes),
        )
    )


def unpack(data: bytes) -> Commit:
    """Return the commit that ``pack`` wrote, equal in every value and type."""
    packed = _decode_packed(data)
    return Commit(
        packed.first_offset,
        packed.next_offset,
        packed.log_time_us,
        runs_of(packed.runs),
        outcomes_of([(offset, _with_run(row)) for offset, row in packed.outcomes]),
        tuple((offset, decode_act(act)) for offset, act in packed.acts),
        runs_of(packed.retracted_runs),
        outcomes_of([(offset, _with_run(row)) for offset, row in packed.retracted_outcomes]),
    )


def as_stored(intake: Intake) -> Intake:
    """Return the intake with its acts as they will be read back, e.g. lists for tuples.

    Raises ``TypeError`` for an act that cannot be stored: our own mistake.
    """
    if not intake.acts:
        return intake
    acts: tuple[tuple[int, AnyAct], ...] = tuple(
        (seq, decode_act(encode_act(act))) for seq, act in intake.acts
    )
    return type(intake)(intake.runs, intake.outcomes, acts)


# A batch without rows costs 10 us and 3 KB to make, and nearly every commit has two.
NO_RUNS: Final = RunBatch.empty()
NO_OUTCOMES: Final = OutcomeBatch.empty()


def runs_of(pairs: Sequence[tuple[int, Row]]) -> RunBatch:
    """Return pairs of offset and stored row as a batch."""
    if not pairs:
        return NO_RUNS
    offsets, rows = zip(*pairs, strict=True)
    return RunBatch.from_rows(rows, np.array(offsets, dtype=np.int64))


def outcomes_of(pairs: Sequence[tuple[int, Row]]) -> OutcomeBatch:
    """Return pairs of offset and stored row as a batch."""
    if not pairs:
        return NO_OUTCOMES
    offsets, rows = zip(*pairs, strict=True)
    return OutcomeBatch.from_rows(rows, np.array(offsets, dtype=np.int64))


def _pairs(batch: RunBatch | OutcomeBatch) -> list[tuple[int, Row]]:
    return list(zip(batch.seq.tolist(), batch.rows(), strict=True)) if len(batch) else []

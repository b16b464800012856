"""A commit as rows of the tables ``commits`` and ``events``, and back.

What got an offset is a row of ``events``. What a commit retracts, and what it shows anew,
bears another row's offset and stands in ``commits.derived``. Each event has a checksum, for
it may be read alone, and each commit has one over those of its events and all the rest.
"""

from __future__ import annotations

import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple
from zlib import crc32

import msgspec

from selfright.errors import CorruptLogError
from selfright.events.batch import Commit
from selfright.events.record import decode_act, encode_act
from selfright.log.assembly import own_outcomes, own_runs, with_derived
from selfright.log.schema import ACT, OUTCOME, RUN, check_bounds
from selfright.log.stored import decode_outcome, decode_run, encode_row, outcomes_of, runs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from selfright.events.batch import Intake
    from selfright.events.record import AnyAct
    from selfright.log.identity import Row
    from selfright.log.join import Settled
    from selfright.log.schema import Connection

    EventRow = tuple[int, int, int, bytes]  # offset, kind, crc, payload

_Pairs = list[tuple[int, bytes]]


class Derived(msgspec.Struct, array_like=True):
    """Rows that bear another row's offset, each with that offset."""

    retracted_runs: _Pairs
    retracted_outcomes: _Pairs
    added_outcomes: _Pairs


class CommitRow(NamedTuple):
    """A row of ``commits``."""

    first_offset: int
    next_offset: int
    log_time_us: int
    crc: int
    derived: bytes | None


_encode = msgspec.msgpack.Encoder().encode
_decode_derived = msgspec.msgpack.Decoder(Derived).decode
_HEAD: Final = struct.Struct(">qqq")
_EVENT: Final = struct.Struct(">qB")


def to_rows(
    intake: Intake, settled: Settled, first_offset: int, log_time_us: int
) -> tuple[CommitRow, list[EventRow]]:
    """Return the rows that store a commit. About 2 us a row."""
    runs, outcomes = own_runs(intake, settled), own_outcomes(intake, settled)
    events = [
        _event(offset, RUN, encode_row(row))
        for offset, row in zip(runs.seq.tolist(), runs.rows(), strict=True)
    ]
    events += [
        _event(offset, OUTCOME, encode_row(row))
        for offset, row in zip(outcomes.seq.tolist(), outcomes.rows(), strict=True)
    ]
    events += [
        _event(offset, ACT, encode_act(act))
        for offset, (_, act) in zip(settled.act_offsets.tolist(), intake.acts, strict=True)
        if offset >= 0
    ]
    events.sort()
    derived = None
    if settled.retracted_runs or settled.retracted_outcomes or settled.added_outcomes:
        derived = _encode(
            Derived(
                _encoded(settled.retracted_runs),
                _encoded(settled.retracted_outcomes),
                _encoded(settled.added_outcomes),
            )
        )
    bounds = (first_offset, settled.next_offset, log_time_us)
    return CommitRow(*bounds, checksum(bounds, events, derived), derived), events


def checksum(
    bounds: tuple[int, int, int], events: Sequence[EventRow], derived: bytes | None
) -> int:
    """Return the CRC-32 over a commit, given that those of its events fit."""
    crcs = struct.pack(f">{len(events)}I", *(event[2] for event in events))
    return crc32(derived or b"", crc32(crcs, crc32(_HEAD.pack(*bounds))))


def checked_payload(event: EventRow, path: Path) -> bytes:
    """Return the payload of a row of ``events``; raise ``CorruptLogError`` if damaged."""
    offset, kind, crc, payload = event
    try:
        fits = crc == _event_crc(offset, kind, payload)
    except (struct.error, TypeError):
        fits = False
    if not fits:
        raise CorruptLogError(str(path), offset, "the checksum of the event does not fit")
    return payload


def _event(offset: int, kind: int, payload: bytes) -> EventRow:
    return offset, kind, _event_crc(offset, kind, payload), payload


def _event_crc(offset: int, kind: int, payload: bytes) -> int:
    return crc32(payload, crc32(_EVENT.pack(offset, kind)))


def read_commits(connection: Connection, path: Path, after: int, limit: int) -> list[Commit]:
    """Return whole commits from the one that holds ``after`` on; see ``EventLog.read``.

    About 3 us a row. Raises ``CorruptLogError`` where stored bytes are not what was written.
    """
    with _noticing_damage(path, after):
        return _read_commits(connection, path, after, limit)


def head(connection: Connection, path: Path) -> tuple[int, int, int]:
    """Return first offset, next offset and the time of the newest commit.

    The newest commit is checked whole: what is appended builds on it.
    """
    row = connection.execute("SELECT min(first_offset), max(first_offset) FROM commits").fetchone()
    if row[0] is None:
        check_bounds(connection, path, 0, 0)
        return 0, 0, 0
    with _noticing_damage(path, row[1]):
        newest = _read_commits(connection, path, row[1], 1)[0]
    check_bounds(connection, path, row[0], newest.next_offset)
    return row[0], newest.next_offset, newest.log_time_us


@contextmanager
def _noticing_damage(path: Path, offset: int) -> Iterator[None]:
    """Let what goes wrong in decoding be what it means."""
    try:
        yield
    except (msgspec.MsgspecError, struct.error, ValueError, TypeError, LookupError) as error:
        # A column of another type than was declared, a row that is missing, or a checksum
        # that fits by chance.
        raise CorruptLogError(str(path), offset, str(error)) from error


def _read_commits(connection: Connection, path: Path, after: int, limit: int) -> list[Commit]:
    start = _start(connection, path, after)
    if start is None:
        return []
    heads = [
        CommitRow(*row)
        for row in connection.execute(
            "SELECT first_offset, next_offset, log_time_us, crc, derived FROM commits "
            "WHERE first_offset >= ? AND first_offset < ? ORDER BY first_offset",
            (start, start + max(limit, 1)),
        )
    ]
    events = connection.execute(
        "SELECT offset, kind, crc, payload FROM events "
        "WHERE offset >= ? AND offset < ? ORDER BY offset",
        (start, heads[-1].next_offset),
    ).fetchall()
    commits, at, expected = [], 0, start
    for row in heads:
        if row.first_offset != expected:
            raise CorruptLogError(str(path), expected, "a commit is missing")
        end = at + row.next_offset - row.first_offset
        commits.append(from_rows(row, events[at:end], path))
        at, expected = end, row.next_offset
    return commits


def from_rows(head: CommitRow, events: Sequence[EventRow], path: Path) -> Commit:
    """Return the commit that these rows store."""
    first, bounds = head.first_offset, head[:3]
    offsets = [event[0] for event in events]
    if (
        offsets != list(range(first, head.next_offset))
        or checksum(bounds, events, head.derived) != head.crc
    ):
        raise CorruptLogError(str(path), first, "the checksum of the commit does not fit")
    runs: list[tuple[int, Row]] = []
    outcomes: list[tuple[int, Row]] = []
    acts: list[tuple[int, AnyAct]] = []
    for event in events:
        offset, kind, _, _ = event
        payload = checked_payload(event, path)
        if kind == RUN:
            runs.append((offset, decode_run(payload)))
        elif kind == OUTCOME:
            outcomes.append((offset, decode_outcome(payload)))
        else:
            acts.append((offset, decode_act(payload)))
    derived = Derived([], [], []) if head.derived is None else _decode_derived(head.derived)
    return Commit(
        *bounds,
        runs_of(runs),
        with_derived(outcomes_of(outcomes), _decoded(derived.added_outcomes, decode_outcome)),
        tuple(acts),
        runs_of(_decoded(derived.retracted_runs, decode_run)),
        outcomes_of(_decoded(derived.retracted_outcomes, decode_outcome)),
    )


def _start(connection: Connection, path: Path, after: int) -> int | None:
    """Return where the commit that holds ``after`` starts, or the first one behind it."""
    found = connection.execute(
        "SELECT first_offset, next_offset FROM commits WHERE first_offset <= ? "
        "ORDER BY first_offset DESC LIMIT 1",
        (after,),
    ).fetchone()
    if found is not None and after < found[1]:
        return int(found[0])
    following = connection.execute(
        "SELECT min(first_offset) FROM commits WHERE first_offset > ?", (after,)
    ).fetchone()[0]
    if following is not None and found is not None:
        raise CorruptLogError(str(path), after, "a commit is missing")
    return None if following is None else int(following)


def _encoded(pairs: Sequence[tuple[int, Row]]) -> _Pairs:
    return [(offset, encode_row(row)) for offset, row in pairs]


def _decoded(pairs: _Pairs, decode: Callable[[bytes], Row]) -> list[tuple[int, Row]]:
    return [(offset, decode(payload)) for offset, payload in pairs]

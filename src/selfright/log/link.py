"""What the log remembers in order to join and correct.

A *link* gathers what belongs together under one key: the runs of an agent's task and
the outcomes that name that task, or the outcomes that name one run. Most hold one run
and an outcome or two, but nothing breaks when a caller uses one task id for everything:
both lists are sorted by time, and looked up by bisection.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from operator import attrgetter
from typing import TYPE_CHECKING, Final

import msgspec

from selfright.log.identity import (
    AGENT,
    CONTENT,
    NAMED_RUN,
    NAMED_TASK,
    OUTCOME_ID,
    RUN_AGENT,
    RUN_TASK,
    TS,
    delivery_digest,
    outcome_digest,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfright.log.identity import Row

# Names are printable, so these characters occur in none of them.
_SEPARATOR: Final = "\x1f"
_RUN: Final = "\x1f"
_OUTCOME: Final = "\x1e"
_NAMELESS: Final = "\x1d"
_ACT: Final = "\x1c"

# Superseded contents remembered of one run or outcome. They matter only when one of them
# is delivered again, or when a run that arrives late takes the newer ones away.
MAX_HIDDEN: Final = 64
# From here on a set is quicker than comparing digests one by one.
_MANY: Final = 8

_ts_us = attrgetter("ts_us")


def _rank(entry: Entry) -> tuple[int, bytes]:
    return entry.ts_us, entry.content_digest()


def task_key(agent_name: str, task_id: str) -> str:
    """Return the key of an agent's task."""
    return agent_name + _SEPARATOR + task_id


def task_of(run: Row) -> str | None:
    """Return the key of the task that a run belongs to."""
    task_id = run[RUN_TASK]
    return None if task_id is None else task_key(run[RUN_AGENT], task_id)


def run_key(run_id: str) -> str:
    """Return the key of the outcomes that name a run."""
    return _RUN + run_id


def outcome_key(outcome_id: str) -> str:
    """Return the key of an outcome's own id."""
    return _OUTCOME + outcome_id


def outcome_link_key(row: Row) -> tuple[str, str | None]:
    """Return the key of the link that an outcome belongs to, and the run that it names."""
    named, task_id = row[NAMED_RUN], row[NAMED_TASK]
    if named is not None:
        return _RUN + named, named
    if task_id is not None:
        return row[AGENT] + _SEPARATOR + task_id, None
    # It can join nothing. Without an id it is what it says, at the time it came.
    outcome_id = row[OUTCOME_ID]
    own = delivery_digest(row).hex() if outcome_id is None else _OUTCOME + outcome_id
    return _NAMELESS + own, None


def act_key(act_id: str) -> str:
    """Return the key of an act."""
    return _ACT + act_id


# What these three refer to never refers back to them, so the garbage collector need not
# look at them: a log in memory may hold hundreds of thousands.
class Entry(msgspec.Struct, eq=False, gc=False):
    """An outcome as it was delivered, and how it stands.

    Attributes
    ----------
    ts_us
        Its timestamp.
    row
        The stored row; None: read it at offset ``at``. Columns from ``run`` on say
        nothing: see below.
    at
        The offset at which the log shows it as it stands; of a hidden one, that of its
        arrival.
    shown
        Whether it counts: False while something newer stands in its place.
    run, primary, fresh
        How the log shows it.
    has_id
        Whether it has an ``outcome_id``.
    index
        Its row in the intake in hand, -1 once that is committed.
    digest
        Of its content, once it was needed; never None where ``row`` is.
    """

    ts_us: int
    row: Row | None
    at: int = -1
    shown: bool = False
    run: Row | None = None
    primary: bool = True
    fresh: bool = True
    has_id: bool = False
    index: int = -1
    digest: bytes | None = None

    def set_shown(self, row: Row) -> None:
        """Take over a row as the log shows it."""
        self.row = row
        self.run, self.primary, self.fresh = row[CONTENT:]

    def as_shown(self) -> Row:
        """Return the stored row as the log shows it."""
        assert self.row is not None
        return (*self.row[:CONTENT], self.run, self.primary, self.fresh)

    def says(self, row: Row) -> bool:
        """Return whether ``row`` has the same content."""
        if self.row is None:
            return self.digest == outcome_digest(row)
        return self.row[:CONTENT] == row[:CONTENT]

    def content_digest(self) -> bytes:
        """Return the digest of its content."""
        if self.digest is None:
            assert self.row is not None
            self.digest = outcome_digest(self.row)
        return self.digest


class Card(msgspec.Struct, eq=False, gc=False):
    """Where the outcome of an ``outcome_id`` is.

    Attributes
    ----------
    key
        What the card is stored under.
    home
        The key of the link that holds it.
    held, ts_us, given
        Digest and timestamp of the content that won; whether the time was given.
    lost
        Digests of contents that lost and would win by coming again, newest last.
    """

    key: str
    home: str = ""
    held: bytes = b""
    ts_us: int = 0
    given: bool = True
    lost: list[bytes] = []


class Link(msgspec.Struct, eq=False, gc=False):
    """Everything under one key. See the head of the module.

    Attributes
    ----------
    key
        What the link is stored under.
    run_id
        The run that the outcomes here name; None for a task.
    runs
        Pairs (ts_us, run_id) of a task's runs, ascending.
    entries
        Outcomes by ascending time and digest, whatever the order in which they came.
    lost
        Digests of contents of the run that lost and would win by coming again.
    pinned
        The row of the run here, once retention took it while outcomes still join it.
    wide
        Whether there may be more than what was read of it.
    digests
        Those of the entries, once there are many.
    """

    key: str
    run_id: str | None = None
    runs: list[tuple[int, str]] = []
    entries: list[Entry] = []
    lost: Sequence[bytes] = ()
    pinned: Row | None = None
    wide: bool = False
    digests: set[bytes] | None = None

    def add_run(self, ts_us: int, run_id: str) -> None:
        """Add a run of this task."""
        runs = self.runs
        pair = (ts_us, run_id)
        if not runs or runs[-1] < pair:
            runs.append(pair)
        else:
            insort(runs, pair)

    def has_run(self, ts_us: int, run_id: str) -> bool:
        """Return whether the run is here."""
        at = bisect_left(self.runs, (ts_us, run_id))
        return at < len(self.runs) and self.runs[at] == (ts_us, run_id)

    def drop_run(self, ts_us: int, run_id: str) -> bool:
        """Forget a run of this task; return whether it was there."""
        at = bisect_left(self.runs, (ts_us, run_id))
        if at < len(self.runs) and self.runs[at] == (ts_us, run_id):
            del self.runs[at]
            return True
        return False

    def best_run(self, ts_us: int) -> str | None:
        """Return the run with the greatest (time, id) not after ``ts_us``."""
        at = bisect_left(self.runs, (ts_us + 1, ""))
        return self.runs[at - 1][1] if at else None

    def within(self, ts_us: int, run_id: str) -> Sequence[Entry]:
        """Return the outcomes whose best run is, or would be, the one given."""
        entries, runs = self.entries, self.runs
        if not entries or entries[-1].ts_us < ts_us:
            return ()
        start = bisect_left(entries, ts_us, key=_ts_us)
        following = bisect_right(runs, (ts_us, run_id))
        if following == len(runs):
            return entries[start:]
        return entries[start : bisect_left(entries, runs[following][0], key=_ts_us)]

    def unmatched(self) -> Sequence[Entry]:
        """Return the outcomes that are older than every run."""
        if not self.runs:
            return list(self.entries)
        return self.entries[: bisect_left(self.entries, self.runs[0][0], key=_ts_us)]

    def add(self, entry: Entry) -> None:
        """Add an outcome."""
        entries = self.entries
        if not entries or entries[-1].ts_us < entry.ts_us:
            entries.append(entry)
        else:
            insort(entries, entry, key=_rank)
        if self.digests is not None:
            self.digests.add(entry.content_digest())

    def drop(self, entry: Entry) -> None:
        """Forget an outcome."""
        at = bisect_left(self.entries, entry.ts_us, key=_ts_us)
        while self.entries[at] is not entry:
            at += 1
        del self.entries[at]
        if self.digests is not None:
            self.digests.discard(entry.content_digest())

    def find(self, row: Row, at: int) -> Entry | None:
        """Return the outcome of this content if it is shown at offset ``at``."""
        for i in range(bisect_left(self.entries, row[TS], key=_ts_us), len(self.entries)):
            entry = self.entries[i]
            if entry.ts_us != row[TS]:
                break
            if entry.at == at and entry.shown and entry.says(row):
                return entry
        return None

    def get(self, ts_us: int, digest: bytes) -> Entry | None:
        """Return the outcome of that time and content."""
        for i in range(bisect_left(self.entries, ts_us, key=_ts_us), len(self.entries)):
            entry = self.entries[i]
            if entry.ts_us != ts_us:
                break
            if entry.content_digest() == digest:
                return entry
        return None

    def holds(self, digest: bytes) -> bool:
        """Return whether an outcome of this content is here."""
        if self.digests is None:
            if len(self.entries) < _MANY:
                return any(entry.content_digest() == digest for entry in self.entries)
            self.digests = {entry.content_digest() for entry in self.entries}
        return digest in self.digests

    def is_empty(self) -> bool:
        """Return whether nothing is left to remember."""
        return not (self.runs or self.entries or self.lost or self.pinned)

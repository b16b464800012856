"""The evidence of many streams side by side: ``lane`` for a whole block of outcomes.

Streams do not know each other, and what one stream makes of its outcomes are running products,
sums and maxima. So a block is taken in passes: in each, every stream with outcomes left takes
the next of them, up to its next full fifty or alarm, all streams and outcomes in a few passes of
numpy over arrays of (outcome, reference, bet, stream).

What is not arithmetic (fifty outcomes, an alarm, an outcome of a stream under suspicion) the bank
tells its ``Keeper``, which answers fifty outcomes with new references when there are any.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from selfright.detect.certainty.bets import Bets, Grade
from selfright.detect.certainty.columns import Columns, Floats, Ints, Worths
from selfright.detect.certainty.lane import FIFTY, Lane, Mark
from selfright.detect.certainty.passes import Outcomes, Passed, abreast, at_length

Bools = npt.NDArray[np.bool_]

_ROOM: Final = 64
_GROWTH: Final = 16  # a part: what is not used yet stands idle in memory
# From so many streams on they are taken abreast.
_MANY: Final = 32
# At length, a stream with fewer outcomes than the longest pays for all of that one's; one with
# more than this multiple of the average waits for another pass.
_LONGER: Final = 1.5
_FEWEST: Final = 16


class Block(NamedTuple):
    """Outcomes in the order of the log, as columns: stream, value, offset and event time."""

    slot: Ints
    x: Floats
    offset: Ints
    ts_us: Ints


class Keeper(Protocol):
    """Who is told what a stream is up to. ``row`` is the outcome's place in the block."""

    def watched(self) -> Collection[int]:
        """Return the streams of which every outcome is to be told."""
        ...

    def outcome(self, slot: int, row: int, x: float, here: Mark) -> None:
        """Take an outcome of a watched stream; ``here`` is the place behind it."""
        ...

    def alarm(self, row: int, alarms: int, here: Mark, accused: Accused) -> None:
        """Take an alarm of a stream."""
        ...

    def fifties(self, slots: Ints, tens: Floats) -> tuple[Ints, list[list[Grade]]]:
        """Take sums of ten outcomes, (5, streams), of streams that have fifty.

        Return the places among them of those whose references are renewed, and to what: by
        reference, the grade of each of these.
        """
        ...


class Accused(NamedTuple):
    """A stream at its alarm: its state, which has the change points, and what it is held to."""

    slot: int
    lane: Lane
    grades: list[Grade]


class Bank:
    """The evidence of any number of streams.

    Parameters
    ----------
    references
        How many references each stream has.
    bets
        The drops that are bet on.
    fifties
        Whether the keeper wants to hear of fifty outcomes; sums of ten are followed for it.

    Notes
    -----
    0.26 us an outcome and reference for hundreds of streams, all that the keeper does included;
    some 200 us for a block of one.
    """

    def __init__(self, references: int, bets: Bets, *, fifties: bool = True) -> None:
        self._references, self._fifties = references, fifties
        self._streams = 0
        self._kept = self._without_outcomes(_ROOM)
        self._worths = Worths(bets)
        self._undo: list[tuple[Ints, Columns]] = []

    def __len__(self) -> int:
        return self._streams

    def add(self, grades: list[Grade]) -> int:
        """Return the number of a new stream with these references."""
        slot = self._streams
        if slot == len(self._kept.n):
            wider = self._without_outcomes(slot + max(_ROOM, slot // _GROWTH))
            wider.write(np.arange(slot), self._kept)
            self._kept = wider
        self._streams += 1
        self.use(slot, grades)
        return slot

    def use(self, slot: int, grades: list[Grade]) -> None:
        """Hold a stream's outcomes from now on against these references."""
        self._kept.grade[:, slot] = self._worths.rows(grades)

    def clear(self, slot: int) -> None:
        """Forget the evidence of a stream."""
        self._kept.clear(slot)

    def grades(self, slot: int) -> list[Grade]:
        """Return what a stream is held against."""
        return [self._worths.grades[g] for g in self._kept.grade[:, slot].tolist()]

    def lane(self, slot: int) -> Lane:
        """Return a copy of one stream's state in its scalar form."""
        return self._kept.lane(slot, self._worths.bets, self._worths.grades)

    def to_state(self) -> dict[str, Any]:
        """Return the exact state as arrays; grades as pairs, for their rows are ours."""
        kept = self._kept.part(np.arange(self._streams))
        grades = self._worths.grades
        pairs = [grades[g] for g in kept.grade.reshape(-1).tolist()]
        kept.grade[:] = 0
        return {
            "streams": self._streams,
            "reals": kept.reals.reshape(-1),
            "wholes": kept.wholes.reshape(-1),
            "grades": np.array(pairs, dtype=np.int64).reshape(-1),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``to_state`` returned, in a bank without streams."""
        streams = self._streams = state["streams"]
        kept = self._kept = self._without_outcomes(max(streams, _ROOM))
        kept.reals[:, :streams] = state["reals"].reshape(-1, streams) if streams else 0.0
        kept.wholes[:, :streams] = state["wholes"].reshape(-1, streams) if streams else 0
        pairs = state["grades"].reshape(-1, 2).tolist()
        rows = self._worths.rows([(low, high) for low, high in pairs])
        kept.grade[:, :streams] = np.array(rows, np.int64).reshape(self._references, streams)

    def _without_outcomes(self, streams: int) -> Columns:
        return Columns.new(self._references, streams, edges=self._fifties)

    # ---- blocks ----------------------------------------------------------------------

    def feed(self, block: Block, level: float, keeper: Keeper) -> None:
        """Take a block into account, for the time being: ``keep`` or ``drop`` all since the last.

        ``level`` is A: the evidence that makes an alarm.
        """
        # Behind the last outcome of a stream in a pass, where nobody looks, numbers may overflow.
        with np.errstate(all="ignore"):
            self._feed(block, level, keeper)

    def _feed(self, block: Block, level: float, keeper: Keeper) -> None:
        order = np.argsort(_short(block.slot), kind="stable")
        sorted_slots = block.slot[order]
        first = np.flatnonzero(np.diff(sorted_slots, prepend=-1))
        slots, left = sorted_slots[first], np.diff(first, append=len(order))
        self._undo.append((slots, self._kept.part(slots)))
        work = _Work(block, order, level, keeper)
        while len(slots):
            taken = self._pass(work, slots, first, left)
            first, left = first + taken, left - taken
            more = left > 0
            slots, first, left = slots[more], first[more], left[more]

    def keep(self) -> None:
        """Make what was fed part of the state for good."""
        self._undo.clear()

    def drop(self) -> None:
        """Undo what was fed since the last ``keep``."""
        for slots, before in reversed(self._undo):
            self._kept.write(slots, before)
        self._undo.clear()

    def _pass(self, work: _Work, slots: Ints, first: Ints, left: Ints) -> Ints:
        """Take outcomes of each stream; return how many."""
        taken: Ints = np.minimum(left, FIFTY - self._kept.n[slots] % FIFTY)
        if len(slots) < _MANY:
            return self._at_length(work, slots, first, taken)
        most = np.argsort(-taken, kind="stable")
        slots, first, taken = slots[most], first[most], taken[most]
        outcomes = _outcomes(work, first, taken)
        part = self._kept.part(slots)
        passed, perhaps = abreast(part, self._worths, outcomes, work.level)
        if perhaps.any():
            calm, again = np.flatnonzero(~perhaps), np.flatnonzero(perhaps)
            self._write(work, slots[calm], outcomes.of(calm), passed.of(calm))
            taken[again] = self._at_length(work, slots[again], first[again], taken[again])
        else:
            self._write(work, slots, outcomes, passed)
        by_slot = np.empty_like(taken)
        by_slot[most] = taken
        return by_slot

    def _at_length(self, work: _Work, slots: Ints, first: Ints, taken: Ints) -> Ints:
        taken = np.minimum(taken, int(max(_FEWEST, _LONGER * taken.mean())))
        outcomes = _outcomes(work, first, taken)
        passed = at_length(self._kept.part(slots), self._worths, outcomes, work.level)
        self._write(work, slots, outcomes, passed)
        return passed.taken

    def _write(self, work: _Work, slots: Ints, outcomes: Outcomes, passed: Passed) -> None:
        """Tell the keeper what he wants to know of a pass, and put the streams back."""
        part, taken, totals, alarms = passed
        watched, keeper = work.keeper.watched(), work.keeper
        told = np.zeros(len(slots), dtype=np.bool_)
        if alarms is not None:
            told |= alarms.any(axis=0)
        if watched:
            told |= np.isin(slots, np.fromiter(watched, dtype=np.int64, count=len(watched)))
        for column in np.flatnonzero(told).tolist():
            slot, n = int(slots[column]), int(taken[column])
            mine = outcomes.first(column, n)
            if slot in watched:
                _tell_outcomes(work, slot, mine, totals[1 : n + 1, column], int(part.n[column]) - n)
            if alarms is not None and alarms[:, column].any():
                self._tell_alarm(work, slot, mine, part, column, alarms[:, column])
        full = np.flatnonzero(part.n % FIFTY == 0) if self._fifties else slots[:0]
        if len(full):
            edges = np.concatenate([part.edges[:, full], part.total[np.newaxis, full]])
            renewed, grades = keeper.fifties(slots[full], np.diff(edges, axis=0))
            for reference, of in enumerate(grades):
                part.grade[reference, full[renewed]] = self._worths.rows(of)
        self._kept.write(slots, part)

    def _tell_alarm(
        self, work: _Work, slot: int, mine: Outcomes, part: Columns, column: int, alarms: Bools
    ) -> None:
        here = Mark(
            int(part.n[column]), float(part.total[column]), int(mine.offset[-1]),
            int(mine.ts_us[-1]),
        )  # fmt: skip
        lane = part.lane(column, self._worths.bets, self._worths.grades)
        raised = sum(1 << r for r in np.flatnonzero(alarms).tolist())
        held = [self._worths.grades[g] for g in part.grade[:, column].tolist()]
        work.keeper.alarm(int(mine.rows[-1]), raised, here, Accused(slot, lane, held))
        lane.forget(raised)
        part.take(column, lane)


class _Work(NamedTuple):
    """What the passes over a block have in common; ``order`` has the rows stream by stream."""

    block: Block
    order: Ints
    level: float
    keeper: Keeper


def _short(slots: Ints) -> npt.NDArray[np.integer[Any]]:
    """Return the same numbers in 16 bits if they fit: those are sorted in linear time."""
    return slots.astype(np.uint16) if len(slots) and slots.max() < 1 << 16 else slots


def _outcomes(work: _Work, first: Ints, taken: Ints) -> Outcomes:
    steps = np.arange(int(taken.max()))[:, np.newaxis]
    rows = work.order[first + np.minimum(steps, taken - 1)]
    block = work.block
    return Outcomes(rows, block.x[rows], block.offset[rows], block.ts_us[rows], taken)


def _tell_outcomes(work: _Work, slot: int, mine: Outcomes, totals: Floats, before: int) -> None:
    """Tell the outcomes of a stream under suspicion, as long as it is."""
    columns = (mine.rows, mine.x, totals, mine.offset, mine.ts_us)
    for n, (row, x, total, offset, ts_us) in enumerate(
        zip(*(column.tolist() for column in columns), strict=True), before + 1
    ):
        work.keeper.outcome(slot, row, x, Mark(n, total, offset, ts_us))
        if slot not in work.keeper.watched():
            return

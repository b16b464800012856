"""The evidence of many streams side by side: ``lane`` for a whole block of outcomes.

Streams do not know each other, so the outcomes of a block may be taken in rounds: in each round
at most one outcome of every stream, all streams in one pass of numpy. Streams are ordered by the
number of their outcomes in the block, so that a round is a prefix of every array. Where a
round would hold few streams (one busy agent), they are taken one by one by ``Lane`` instead.

What is not arithmetic (fifty outcomes, an alarm, an outcome of a stream under suspicion) the bank
tells its ``Keeper``, which answers fifty outcomes with new references when there are any.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from selfright.detect.certainty.bets import MARKING, NO_GRADE, Bets, Grade, values
from selfright.detect.certainty.lane import BETS, FIFTY, MOST, START, TEN, Lane, Mark

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

# With fewer streams in a round, a pass of numpy costs more than one stream after the other.
NARROW: Final = 16
_ROOM: Final = 64
_MARKS: Final = 3


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

    def alarm(
        self,
        slot: int,
        row: int,
        alarms: int,
        here: Mark,
        changed: list[Mark],
        tens: list[float],
    ) -> None:
        """Take an alarm.

        ``changed`` holds the change point of each reference, ``tens`` sums of ten outcomes
        since the last full fifty.
        """
        ...

    def fifty(self, slot: int, tens: list[float]) -> list[Grade] | None:
        """Take sums of ten outcomes; return the grades of all references if they are renewed."""
        ...


class Columns:
    """The state of streams as columns; what is kept, or the part that a block works on."""

    __slots__ = (
        "evidence",
        "grade",
        "mark_n",
        "mark_offset",
        "mark_total",
        "mark_ts",
        "marks",
        "n",
        "tens",
        "total",
    )

    def __init__(self, references: int, width: int) -> None:
        self.n: Ints = np.zeros(width, dtype=np.int64)
        self.total: Floats = np.zeros(width)
        self.tens: Floats = np.zeros((FIFTY // TEN, width))
        self.grade: Ints = np.zeros((references, width), dtype=np.int64)
        self.evidence: Floats = np.zeros((references, BETS, width))
        # By reference and marking bet.
        marks = (references, _MARKS, width)
        self.marks: Floats = np.ones(marks)
        self.mark_n: Ints = np.zeros(marks, dtype=np.int64)
        self.mark_total: Floats = np.zeros(marks)
        self.mark_offset: Ints = np.full(marks, START.offset, dtype=np.int64)
        self.mark_ts: Ints = np.zeros(marks, dtype=np.int64)

    def part(self, at: Ints) -> Columns:
        """Return a copy of the streams ``at``, contiguous."""
        part = Columns.__new__(Columns)
        for name in Columns.__slots__:
            setattr(part, name, np.ascontiguousarray(getattr(self, name)[..., at]))
        return part

    def write(self, at: Ints, part: Columns) -> None:
        """Put a part back."""
        for name in Columns.__slots__:
            getattr(self, name)[..., at] = getattr(part, name)

    def lane(self, column: int, bets: Bets, grades: list[Grade]) -> Lane:
        """Return one stream in its scalar form."""
        lane = Lane(len(self.grade), bets)
        lane.n, lane.total = int(self.n[column]), float(self.total[column])
        lane.tens = self.tens[:, column].tolist()
        lane.values = [values(grades[g], bets) for g in self.grade[:, column].tolist()]
        lane.evidence = self.evidence[:, :, column].tolist()
        lane.marks = self.marks[:, :, column].tolist()
        lane.places = self.places(column)
        return lane

    def take(self, column: int, lane: Lane) -> None:
        """Put a scalar form back."""
        self.n[column], self.total[column], self.tens[:, column] = lane.n, lane.total, lane.tens
        self.evidence[:, :, column] = lane.evidence
        self.marks[:, :, column] = lane.marks
        for r, places in enumerate(lane.places):
            for i, mark in enumerate(places):
                self.mark_n[r, i, column], self.mark_total[r, i, column] = mark.n, mark.total
                self.mark_offset[r, i, column] = mark.offset
                self.mark_ts[r, i, column] = mark.ts_us

    def places(self, column: int) -> list[list[Mark]]:
        """Return where the running totals of one stream began, by reference and bet."""
        parts = (self.mark_n, self.mark_total, self.mark_offset, self.mark_ts)
        by_reference = zip(*(part[:, :, column].tolist() for part in parts), strict=True)
        return [[Mark(*mark) for mark in zip(*marks, strict=True)] for marks in by_reference]


COLUMNS: Final = Columns.__slots__


class Bank:
    """The evidence of any number of streams.

    Parameters
    ----------
    references
        How many references each stream has.
    bets
        The drops that are bet on.
    narrow
        Fewest streams that are taken in rounds; it changes the time, and nothing else.

    Notes
    -----
    0.05 us an outcome and reference in rounds of hundreds of streams, 0.9 us one by one. About
    110 bytes a reference and stream.
    """

    def __init__(self, references: int, bets: Bets, narrow: int = NARROW) -> None:
        self._narrow = narrow
        self._references, self._bets, self._marking = references, bets, list(MARKING[bets])
        self._streams = 0
        self._kept = Columns(references, _ROOM)
        self._grades: list[Grade] = [NO_GRADE]
        self._grade_of: dict[Grade, int] = {NO_GRADE: 0}
        self._worth = np.zeros((2, _ROOM, BETS))  # at an outcome of 0, and the slope
        self._undo: list[tuple[Ints, Columns]] = []

    def __len__(self) -> int:
        return self._streams

    def add(self, grades: list[Grade]) -> int:
        """Return the number of a new stream with these references."""
        slot = self._streams
        if slot == len(self._kept.n):
            wider = Columns(self._references, slot + slot // 2)
            wider.write(np.arange(slot), self._kept)
            self._kept = wider
        self._streams += 1
        self.use(slot, grades)
        return slot

    def use(self, slot: int, grades: list[Grade]) -> None:
        """Hold a stream's outcomes from now on against these references."""
        self._kept.grade[:, slot] = [self._row(of) for of in grades]

    def clear(self, slot: int) -> None:
        """Forget the evidence of a stream."""
        kept = self._kept
        kept.evidence[:, :, slot] = 0.0
        kept.marks[..., slot] = 1.0
        kept.mark_n[..., slot], kept.mark_total[..., slot] = kept.n[slot], kept.total[slot]
        kept.tens[:, slot] = 0.0

    def grades(self, slot: int) -> list[Grade]:
        """Return what a stream is held against."""
        return [self._grades[g] for g in self._kept.grade[:, slot].tolist()]

    def to_state(self) -> dict[str, Any]:
        """Return the exact state as arrays; grades as pairs, for their rows are ours."""
        kept = self._kept.part(np.arange(self._streams))
        state: dict[str, Any] = {name: getattr(kept, name).reshape(-1) for name in COLUMNS}
        pairs = [self._grades[g] for g in state.pop("grade").tolist()]
        return {**state, "grades": np.array(pairs, dtype=np.int64).reshape(-1)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``to_state`` returned, in a bank without streams."""
        streams = len(state["n"])
        kept = Columns(self._references, max(streams, _ROOM))
        pairs = state["grades"].reshape(-1, 2).tolist()
        rows = np.array([self._row((low, high)) for low, high in pairs], dtype=np.int64)
        for name, values_of in ({**state, "grade": rows}).items():
            if name != "grades":
                column = getattr(kept, name)
                column[..., :streams] = values_of.reshape((*column.shape[:-1], streams))
        self._kept, self._streams = kept, streams

    def lane(self, slot: int) -> Lane:
        """Return a copy of one stream's state in its scalar form."""
        return self._kept.lane(slot, self._bets, self._grades)

    # ---- blocks ----------------------------------------------------------------------

    def feed(self, block: Block, level: float, keeper: Keeper) -> None:
        """Take a block into account, for the time being: ``keep`` or ``drop`` all since the last.

        ``level`` is A: the evidence that makes an alarm.
        """
        order = np.argsort(block.slot, kind="stable")
        slots, starts, counts = np.unique(block.slot[order], return_index=True, return_counts=True)
        rank = np.argsort(-counts, kind="stable")
        slots, starts, counts = slots[rank], starts[rank], counts[rank]
        part = self._kept.part(slots)
        self._undo.append((slots, self._kept.part(slots)))
        wide = int(counts[self._narrow - 1]) if len(counts) >= self._narrow else 0
        if wide:
            self._rounds(block, level, keeper, part, slots, starts, counts, wide, order)
        for column in np.flatnonzero(counts > wide).tolist():
            rows = order[starts[column] + wide : starts[column] + counts[column]]
            self._one_by_one(block, level, keeper, part, int(slots[column]), column, rows)
        self._kept.write(slots, part)

    def keep(self) -> None:
        """Make what was fed part of the state for good."""
        self._undo.clear()

    def drop(self) -> None:
        """Undo what was fed since the last ``keep``."""
        for slots, before in reversed(self._undo):
            self._kept.write(slots, before)
        self._undo.clear()

    def _rounds(  # noqa: PLR0913, PLR0917 - the columns of one block, unpacked once
        self,
        block: Block,
        level: float,
        keeper: Keeper,
        part: Columns,
        slots: Ints,
        starts: Ints,
        counts: Ints,
        wide: int,
        order: Ints,
    ) -> None:
        at_zero, slope = (self._spread(part, of) for of in (0, 1))
        watched = np.isin(slots, list(keeper.watched()))
        enough, every = BETS * level, np.arange(len(slots))
        widths = np.searchsorted(-counts, -np.arange(wide), side="left").tolist()
        for r, w in enumerate(widths):
            rows = order[starts[:w] + r]
            x, offset, ts_us = block.x[rows], block.offset[rows], block.ts_us[rows]
            part.tens[part.n[:w] // TEN % len(part.tens), every[:w]] += x
            part.n[:w] += 1
            part.total[:w] += x
            worth = slope[..., :w] * x
            worth += at_zero[..., :w]
            evidence = part.evidence[..., :w]
            evidence += 1.0
            evidence *= worth
            marks = part.marks[..., :w]
            np.maximum(marks, 1.0, out=marks)
            marks *= worth[:, self._marking]
            np.minimum(marks, MOST, out=marks)
            sound = marks <= 1.0
            np.copyto(part.mark_n[..., :w], part.n[:w], where=sound)
            np.copyto(part.mark_total[..., :w], part.total[:w], where=sound)
            np.copyto(part.mark_offset[..., :w], offset, where=sound)
            np.copyto(part.mark_ts[..., :w], ts_us, where=sound)
            alarms = _summed(evidence) >= enough
            told = watched[:w] | (part.n[:w] % FIFTY == 0) | alarms.any(axis=0)
            for column in np.flatnonzero(told).tolist():
                slot, row = int(slots[column]), int(rows[column])
                here = Mark(
                    int(part.n[column]), float(part.total[column]), int(offset[column]),
                    int(ts_us[column]),
                )  # fmt: skip
                if watched[column]:
                    keeper.outcome(slot, row, float(x[column]), here)
                alarmed = int(alarms[:, column] @ (1 << np.arange(self._references)))
                if alarmed:
                    lane = part.lane(column, self._bets, self._grades)
                    keeper.alarm(slot, row, alarmed, here, lane.alarmed(alarmed), lane.tens)
                    part.evidence[:, :, column] = lane.evidence
                watched[column] = slot in keeper.watched()
                if here.n % FIFTY == 0:
                    grades = keeper.fifty(slot, part.tens[:, column].tolist())
                    part.tens[:, column] = 0.0
                    if grades is not None:
                        renewed = part.grade[:, column] = [self._row(of) for of in grades]
                        at_zero[:, :, column] = self._worth[0, renewed]
                        slope[:, :, column] = self._worth[1, renewed]

    def _one_by_one(
        self,
        block: Block,
        level: float,
        keeper: Keeper,
        part: Columns,
        slot: int,
        column: int,
        rows: Ints,
    ) -> None:
        lane = part.lane(column, self._bets, self._grades)
        watched = slot in keeper.watched()
        for row, x, offset, ts_us in zip(
            rows.tolist(),
            block.x[rows].tolist(),
            block.offset[rows].tolist(),
            block.ts_us[rows].tolist(),
            strict=True,
        ):
            alarms = lane.update(x, level, offset, ts_us)
            if alarms or watched:
                here = Mark(lane.n, lane.total, offset, ts_us)
                if watched:
                    keeper.outcome(slot, row, x, here)
                if alarms:
                    keeper.alarm(slot, row, alarms, here, lane.alarmed(alarms), lane.tens)
                watched = slot in keeper.watched()
            if lane.n % FIFTY == 0:
                grades = keeper.fifty(slot, lane.tens)
                lane.tens = [0.0] * len(lane.tens)
                if grades is not None:
                    part.grade[:, column] = [self._row(of) for of in grades]
                    lane.values = [values(of, self._bets) for of in grades]
        part.take(column, lane)

    # ---- references ------------------------------------------------------------------

    def _spread(self, part: Columns, of: int) -> Floats:
        return np.ascontiguousarray(self._worth[of][part.grade].transpose(0, 2, 1))

    def _row(self, of: Grade) -> int:
        row = self._grade_of.get(of)
        if row is None:
            row = self._grade_of[of] = len(self._grades)
            self._grades.append(of)
            if row == self._worth.shape[1]:
                self._worth = np.concatenate([self._worth, np.zeros_like(self._worth)], axis=1)
            worth = values(of, self._bets)
            self._worth[0, row], self._worth[1, row] = worth.at_zero, worth.slope
        return row


def _summed(evidence: Floats) -> Floats:
    # In the order of ``Lane``: rounding must be the same.
    total = evidence[:, 0] + evidence[:, 1]
    for k in range(2, BETS):
        total += evidence[:, k]
    return total

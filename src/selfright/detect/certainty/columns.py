"""The state of many streams side by side: what ``lane.Lane`` keeps, as columns of two arrays."""

from __future__ import annotations

from math import nan
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from selfright.detect.certainty.bets import MARKING, NO_GRADE, Bets, Grade, values
from selfright.detect.certainty.lane import BETS, FIFTY, START, TEN, Lane, Place

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_MARKS: Final = len(MARKING)
_EDGES: Final = FIFTY // TEN


class Running(NamedTuple):
    """Views of the rows that run from outcome to outcome, the streams last.

    ``total`` has no other axis; ``products``, ``sums`` (by bet) and ``heights`` (by marking bet)
    have the references before the streams. A leading axis is one of time.
    """

    total: Floats
    products: Floats
    sums: Floats
    heights: Floats

    @property
    def rows(self) -> int:
        """Rows of ``Columns.reals`` that these are, from the last on, but for the total."""
        _, *of = self
        return sum(one.shape[-3] * one.shape[-2] for one in of)

    @classmethod
    def of(cls, reals: Floats, references: int) -> Running:
        """Return the views of ``Columns.reals``, or of one after the other along time."""
        parts, (*time, first, width) = [], reals.shape
        first -= references * (2 * BETS + _MARKS)
        for rows in (BETS, BETS, _MARKS):
            last = first + rows * references
            parts.append(reals[..., first:last, :].reshape(*time, rows, references, width))
            first = last
        return cls(reals[..., 0, :], *parts)


class Columns:
    """State by stream; the streams are the last axis.

    All real numbers stand in one array and all whole ones in another, so that a pass over some
    streams copies two arrays and writes two.

    Notes
    -----
    16 bytes a stream, 40 more with edges, and 192 more a reference.
    """

    __slots__ = ("reals", "references", "wholes")

    def __init__(self, references: int, reals: Floats, wholes: Ints) -> None:
        self.references, self.reals, self.wholes = references, reals, wholes

    @classmethod
    def new(cls, references: int, width: int, *, edges: bool = True) -> Columns:
        """Return the state of streams without outcomes; ``edges``: sums of ten are asked for."""
        wholes = 1 + references * (1 + 3 * _MARKS)
        reals = 1 + _EDGES * edges + references * (2 * BETS + 2 * _MARKS)
        made = cls(references, np.zeros((reals, width)), np.zeros((wholes, width), dtype=np.int64))
        running = made.running
        running.products[:] = running.heights[:] = 1.0
        made.mark_offset[:] = START.offset
        return made

    def part(self, at: Ints) -> Columns:
        """Return a copy of the streams ``at``, contiguous."""
        return Columns(self.references, self.reals.take(at, axis=1), self.wholes.take(at, axis=1))

    def write(self, at: Ints, part: Columns) -> None:
        """Put a part back."""
        self.reals[:, at] = part.reals
        self.wholes[:, at] = part.wholes

    # ---- whole numbers ---------------------------------------------------------------

    @property
    def n(self) -> Ints:
        """Outcomes ever."""
        n: Ints = self.wholes[0]
        return n

    @property
    def grade(self) -> Ints:
        """By reference, the row of its values."""
        return self.wholes[1 : 1 + self.references]

    @property
    def mark_n(self) -> Ints:
        """By marking bet and reference, where its running total began: after so many outcomes."""
        return self._marks(self.wholes, 1 + self.references)

    @property
    def mark_offset(self) -> Ints:
        """The log's offset of that outcome."""
        return self._marks(self.wholes, 1 + self.references * (1 + _MARKS))

    @property
    def mark_ts(self) -> Ints:
        """Its event time."""
        return self._marks(self.wholes, 1 + self.references * (1 + 2 * _MARKS))

    # ---- real numbers ----------------------------------------------------------------

    @property
    def total(self) -> Floats:
        """Sum of all outcomes ever."""
        total: Floats = self.reals[0]
        return total

    @property
    def edges(self) -> Floats:
        """That sum where each ten of the latest fifty began; no rows where nobody asks for it."""
        return self.reals[1 : self._first_mark]

    @property
    def mark_total(self) -> Floats:
        """That sum at the marks."""
        return self._marks(self.reals, self._first_mark)

    @property
    def running(self) -> Running:
        """Totals, P, S and H: what each outcome changes."""
        return Running.of(self.reals, self.references)

    @property
    def _first_mark(self) -> int:
        return len(self.reals) - self.references * (2 * BETS + 2 * _MARKS)

    def _marks(self, of: npt.NDArray[Any], first: int) -> npt.NDArray[Any]:
        # All rows of a mark lie together, so that this is a view.
        return of[first : first + _MARKS * self.references].reshape(
            _MARKS, self.references, of.shape[1]
        )

    # ---- one stream ------------------------------------------------------------------

    def lane(self, column: int, bets: Bets, grades: list[Grade]) -> Lane:
        """Return one stream in its scalar form; without edges its sums of ten are NaN."""
        lane = Lane(self.references)
        lane.n, lane.total = int(self.n[column]), float(self.total[column])
        lane.edges = self.edges[:, column].tolist() or [nan] * _EDGES
        lane.values = [values(grades[g], bets) for g in self.grade[:, column].tolist()]
        _, *running = self.running
        lane.products, lane.sums, lane.heights = (of[..., column].T.tolist() for of in running)
        lane.places = self._places(column)
        return lane

    def take(self, column: int, lane: Lane) -> None:
        """Put the evidence of a scalar form back."""
        _, *running = self.running
        for of, ours in zip((lane.products, lane.sums, lane.heights), running, strict=True):
            ours[..., column] = np.array(of).T

    def clear(self, column: int) -> None:
        """Forget the evidence of a stream, and where its running totals began."""
        _, products, sums, heights = self.running
        products[..., column] = heights[..., column] = 1.0
        sums[..., column] = 0.0
        self.mark_n[:, :, column] = self.n[column]
        self.mark_total[:, :, column] = self.total[column]

    def _places(self, column: int) -> list[list[Place]]:
        parts = (self.mark_n, self.mark_total, self.mark_offset, self.mark_ts)
        by_reference = zip(*(part[..., column].T.tolist() for part in parts), strict=True)
        return [list(zip(*marks, strict=True)) for marks in by_reference]


class Worths:
    """What outcomes are worth, by grade: a row each, so that streams hold a number."""

    def __init__(self, bets: Bets) -> None:
        self.bets = bets
        self.grades: list[Grade] = [NO_GRADE]
        self._row_of: dict[Grade, int] = {NO_GRADE: 0}
        self._worths = np.zeros((2, BETS, 64))  # at an outcome of 0, and the slope
        self._fill(0)

    def row(self, of: Grade) -> int:
        """Return the row of a grade."""
        row = self._row_of.get(of)
        if row is None:
            row = self._row_of[of] = len(self.grades)
            self.grades.append(of)
            if row == self._worths.shape[2]:
                self._worths = np.concatenate([self._worths, np.zeros_like(self._worths)], axis=2)
            self._fill(row)
        return row

    def rows(self, of: list[Grade]) -> list[int]:
        """Return the rows of some grades."""
        return [self.row(one) for one in of]

    def of(self, grade: Ints) -> tuple[Floats, Floats]:
        """Return by bet, reference and stream the worth at an outcome of 0, and the slope."""
        at_zero, slope = self._worths[:, :, grade]
        return at_zero, slope

    def _fill(self, row: int) -> None:
        worth = values(self.grades[row], self.bets)
        self._worths[0, :, row], self._worths[1, :, row] = worth.at_zero, worth.slope

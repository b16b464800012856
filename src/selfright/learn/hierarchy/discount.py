"""Evidence that fades with every newer sample of its cell: ``exponential``.

A cell's evidence is worth at most 1 / (1 - discount) samples. It fades by count, not by
time: an agent that is rarely called is not forgotten for that.
"""

from __future__ import annotations

from typing import ClassVar, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from selfright.learn.hierarchy.cells import SumCells, moves, squared
from selfright.learn.hierarchy.histogram import Bins

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]


class DiscountCells(SumCells):
    """Sums in which each sample of a cell leaves ``discount`` of the older ones.

    How old a sample is that is taken back, the sums do not tell; it is taken at the mean
    weight of its cell. When all are taken back, nothing is left. Merged, the samples of
    the later one count as the newer ones.
    """

    FIELDS: ClassVar[tuple[str, ...]] = ("n", "s", "q", "count")
    EXACT: ClassVar[bool] = False

    def __init__(self, bins: Bins | None, discount: float) -> None:
        super().__init__(bins)
        self.discount = discount
        self.count = np.zeros((1, 1))

    def add(self, rows: Ints, cols: Ints, y: Floats, weight: Floats) -> None:
        """See ``Cells``."""
        if (weight < 0).any():
            # A sample that is taken back depends on what came right before it.
            for one in zip(rows.tolist(), cols.tolist(), y.tolist(), weight.tolist(), strict=True):
                self.add_one(*one)
            return
        flat = rows * self.n.shape[1] + cols
        cells, cell, brought = np.unique(flat, return_inverse=True, return_counts=True)
        self._fade(cells, self.discount**brought)
        order = np.argsort(cell, kind="stable")
        first = np.cumsum(brought) - brought
        newer = np.empty(len(y))
        newer[order] = (brought + first)[cell[order]] - 1 - np.arange(len(y))
        left = self.discount**newer
        for name, value in (("n", 1.0), ("s", y), ("q", squared(y))):
            np.add.at(getattr(self, name).reshape(-1), flat, left * value)
        np.add.at(self.count.reshape(-1), flat, weight)
        if self.histogram is not None:
            self.histogram.add(rows, cols, y, left)

    def add_one(self, row: int, col: int, y: float, weight: float) -> None:
        """See ``Cells``."""
        if weight > 0:
            self._fade_one(row, col, self.discount)
            self.count[row, col] += 1.0
            super().add_one(row, col, y, 1.0)
        elif self.count[row, col] == 1.0:
            self._fade_one(row, col, 0.0)
            self.count[row, col] = 0.0
        elif self.count[row, col] > 1.0:
            usual = float(self.n[row, col] / self.count[row, col])
            self.count[row, col] -= 1.0
            super().add_one(row, col, y, -usual)

    def take_in(self, later: Self, rows: Ints, cols: Ints) -> None:
        """See ``Cells``."""
        at, moved = moves(rows, cols)
        fade = later.discount ** later.count[at]
        for name in ("n", "s", "q"):
            np.multiply.at(getattr(self, name), moved, fade)
        if self.histogram is not None:
            row, col = np.nonzero(fade < 1.0)
            self.histogram.scale(moved[0][row, 0], moved[1][0, col], fade[row, col])
        super().take_in(later, rows, cols)

    def counts(self) -> Floats:
        """See ``Cells``."""
        return self.count

    def copy(self) -> Self:
        """See ``Cells``."""
        other = super().copy()
        other.discount = self.discount
        return other

    def _fade(self, cells: Ints, factor: Floats) -> None:
        for name in ("n", "s", "q"):
            getattr(self, name).reshape(-1)[cells] *= factor
        if self.histogram is not None:
            width = self.n.shape[1]
            self.histogram.scale(cells // width, cells % width, factor)

    def _fade_one(self, row: int, col: int, factor: float) -> None:
        self.n[row, col] *= factor
        self.s[row, col] *= factor
        self.q[row, col] *= factor
        if self.histogram is not None:
            self.histogram.scale_one(row, col, factor)

"""The last samples of each cell and nothing older: ``moving_average``.

An agent that changed is believed to have changed once ``window`` samples of a cell have
passed, whether anybody noticed or not; and no more is ever known of a cell than its
window tells. A sample taken back leaves the window if it is still there; what it had
pushed out does not return.
"""

from __future__ import annotations

from typing import Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from selfright.learn.hierarchy.cells import FEW, State, SumCells, column
from selfright.learn.hierarchy.histogram import Bins

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

_NONE: Final = -1


class WindowCells(SumCells):
    """Sums over the last ``window`` samples of each cell.

    Merged, the samples of the later one count as the newer ones.

    Notes
    -----
    8 bytes per kept sample besides what ``SumCells`` holds; some 3 us per sample, as each
    may push one out.
    """

    def __init__(self, bins: Bins | None, window: int) -> None:
        super().__init__(bins)
        self.window = window
        self.slot = np.full((1, 1), _NONE, dtype=np.int32)
        # Oldest at ``next_place``, newest before it; a column as long as there are cells.
        self.ring = np.zeros((4, window))
        self.next_place = np.zeros(4, dtype=np.int64)
        self.slots = 0

    def grow(self, arms: int, groups: int) -> None:
        """See ``Cells``."""
        super().grow(arms, groups)
        self.slot = _reshaped(self.slot, self.n.shape)

    def add(self, rows: Ints, cols: Ints, y: Floats, weight: Floats) -> None:
        """See ``Cells``."""
        if len(y) <= FEW or (weight < 0).any():
            for one in zip(rows.tolist(), cols.tolist(), y.tolist(), weight.tolist(), strict=True):
                self.add_one(*one)
            return
        # What the same batch pushes out again need not be learnt.
        kept, rank = _newest(rows * self.n.shape[1] + cols, self.window)
        rows, cols, y = rows[kept], cols[kept], y[kept]
        slot = self._slots_of(rows, cols)
        place = (self.next_place[slot] + rank) % self.window
        full = self.n[rows, cols] + rank >= self.window
        gone, old_rows, old_cols = self.ring[slot, place][full], rows[full], cols[full]
        self.ring[slot, place] = y
        self.next_place += np.bincount(slot, minlength=len(self.next_place))
        self.next_place %= self.window
        super().add(
            np.append(rows, old_rows),
            np.append(cols, old_cols),
            np.append(y, gone),
            np.repeat([1.0, -1.0], [len(y), len(gone)]),
        )

    def add_one(self, row: int, col: int, y: float, weight: float) -> None:
        """See ``Cells``."""
        slot = self._slot_of(row, col)
        if weight < 0:
            if self._drop(slot, int(self.n[row, col]), y):
                super().add_one(row, col, y, -1.0)
            return
        place = int(self.next_place[slot])
        if self.n[row, col] >= self.window:
            super().add_one(row, col, float(self.ring[slot, place]), -1.0)
        self.ring[slot, place] = y
        self.next_place[slot] = (place + 1) % self.window
        super().add_one(row, col, y, 1.0)

    def clear(self, rows: Ints, cols: Ints) -> None:
        """See ``Cells``."""
        super().clear(rows, cols)
        self.slot[rows] = _NONE
        self.slot[:, cols] = _NONE

    def remap(self, rows: Ints, cols: Ints, arms: int, groups: int) -> None:
        """See ``Cells``."""
        old = self.copy()
        bins = None if self.histogram is None else self.histogram.bins
        WindowCells.__init__(self, bins, self.window)
        self.grow(arms, groups)
        self.take_in(old, rows, cols)

    def take_in(self, later: Self, rows: Ints, cols: Ints) -> None:
        """See ``Cells``."""
        known = later.slot[: len(rows), : len(cols)]
        for row, col in np.argwhere(known != _NONE).tolist():
            if rows[row] >= 0 and cols[col] >= 0:
                for y in later.held(row, col).tolist():
                    self.add_one(int(rows[row]), int(cols[col]), y, 1.0)

    def copy(self) -> Self:
        """See ``Cells``."""
        other = super().copy()
        other.window, other.slots = self.window, self.slots
        other.slot, other.ring = self.slot.copy(), self.ring.copy()
        other.next_place = self.next_place.copy()
        return other

    def to_state(self, rows: Ints, cols: Ints) -> State:
        """See ``Cells``. Sums and histogram follow from the samples and are not repeated."""
        arm, group = np.nonzero(self.used()[np.ix_(rows, cols)])
        held = [self.held(int(rows[i]), int(cols[j])) for i, j in zip(arm, group, strict=True)]
        return {
            "cell_arm": arm.astype(np.int32),
            "cell_group": group.astype(np.int32),
            "cell_size": np.array([len(y) for y in held], dtype=np.int32),
            "window_y": np.concatenate([np.zeros(0), *held]),
        }

    def load(self, state: State, arms: int, groups: int) -> None:
        """See ``Cells``."""
        self.grow(arms, groups)
        arm = column(state, "cell_arm", np.int32, high=arms)
        group = column(state, "cell_group", np.int32, len(arm), high=groups)
        size = column(state, "cell_size", np.int32, len(arm), high=self.window + 1)
        y = column(state, "window_y", np.float64, int(size.sum()))
        rows, cols = np.repeat(arm, size), np.repeat(group, size)
        self.add(rows.astype(np.int64), cols.astype(np.int64), y, np.ones(len(y)))

    def held(self, row: int, col: int) -> Floats:
        """Return the samples of a cell, oldest first."""
        slot, size = int(self.slot[row, col]), int(self.n[row, col])
        if slot == _NONE:
            return np.zeros(0)
        places = (self.next_place[slot] - size + np.arange(size)) % self.window
        held: Floats = self.ring[slot, places]
        return held

    def _drop(self, slot: int, size: int, y: float) -> bool:
        """Take the newest sample equal to ``y`` out of a ring; return whether there was one."""
        places = (self.next_place[slot] - size + np.arange(size)) % self.window
        found = np.flatnonzero(self.ring[slot, places] == y)
        if not found.size:
            return False
        gap = int(found[-1])
        self.ring[slot, places[gap:-1]] = self.ring[slot, places[gap + 1 :]]
        self.next_place[slot] = places[-1]
        return True

    def _slot_of(self, row: int, col: int) -> int:
        slot = int(self.slot[row, col])
        if slot != _NONE:
            return slot
        slot, self.slots = self.slots, self.slots + 1
        if slot == len(self.ring):
            self.ring = np.concatenate([self.ring, np.zeros_like(self.ring)])
            self.next_place = np.concatenate([self.next_place, np.zeros_like(self.next_place)])
        # A slot given back by ``clear`` is not reused; ``remap`` packs them.
        self.slot[row, col] = slot
        return slot

    def _slots_of(self, rows: Ints, cols: Ints) -> Ints:
        new = self.slot[rows, cols] == _NONE
        for row, col in zip(rows[new].tolist(), cols[new].tolist(), strict=True):
            self._slot_of(row, col)
        return self.slot[rows, cols].astype(np.int64)


def _newest(cell: Ints, count: int) -> tuple[Ints, Ints]:
    """Return the positions of the last ``count`` samples of each cell, and their ranks."""
    order = np.argsort(cell, kind="stable")
    ordered = cell[order]
    after = np.searchsorted(ordered, ordered, side="right")
    kept = after - np.arange(len(cell)) <= count
    first = np.maximum(np.searchsorted(ordered, ordered), after - count)
    return order[kept], (np.arange(len(cell)) - first)[kept]


def _reshaped(old: npt.NDArray[np.int32], shape: tuple[int, ...]) -> npt.NDArray[np.int32]:
    if old.shape == shape:
        return old
    new = np.full(shape, _NONE, dtype=np.int32)
    new[: old.shape[0], : old.shape[1]] = old
    return new

"""Where in their range the targets of each cell fell: counts in bins, kept in short pages.

Counts are a linear sketch: they merge by addition and a sample can be taken back, which
no kept sample and no running quantile allows. A cell touches few of its many bins, so
these come in pages of 16 that exist only once something fell into them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]
State: TypeAlias = dict[str, object]

_PAGE: Final = 16
_SHIFT: Final = 4
_MASK: Final = _PAGE - 1
_NONE: Final = -1


@dataclass(frozen=True, slots=True)
class Bins:
    """Bins of one width over a range; a target belongs to the nearest centre.

    Targets outside the range belong to the first or last bin. ``atoms``: targets are
    scores that tend to lie exactly on some centres.
    """

    low: float
    width: float
    count: int
    atoms: bool

    def of(self, y: Floats) -> Ints:
        """Return the bin of each target."""
        bins = np.rint((y - self.low) / self.width)
        return np.minimum(np.maximum(bins, 0.0), self.count - 1.0).astype(np.int64)

    def of_one(self, y: float) -> int:
        """Return the bin of one target."""
        return min(max(round((y - self.low) / self.width), 0), self.count - 1)

    @property
    def pages(self) -> int:
        """Pages that hold all bins."""
        return -(-self.count // _PAGE)


class Histogram:
    """Counts per cell and bin.

    Parameters
    ----------
    bins
        The bins of every cell.
    exact
        True: whole numbers, for sums and windows. False: weights that shrink.

    Notes
    -----
    4 bytes per cell and page for the directory, 64 for each page in use: a latency that
    varies by a factor of two needs two pages.
    """

    def __init__(self, bins: Bins, *, exact: bool) -> None:
        self.bins = bins
        self.exact = exact
        self._slot = np.full((1, 1), _NONE, dtype=np.int32)
        self._page = np.full((1, bins.pages), _NONE, dtype=np.int32)
        self._counts = np.zeros((4, _PAGE), dtype=np.int32 if exact else np.float64)
        self._slots = 0
        self._pages = 0

    def grow(self, arms: int, groups: int) -> None:
        """Take the shape of the cells."""
        old = self._slot
        self._slot = np.full((arms, groups), _NONE, dtype=np.int32)
        self._slot[: old.shape[0], : old.shape[1]] = old

    def add(self, rows: Ints, cols: Ints, y: Floats, weight: Floats) -> None:
        """Count targets."""
        bins = self.bins.of(y)
        pages = self._pages_of(rows, cols, bins >> _SHIFT)
        flat = pages * _PAGE + (bins & _MASK)
        np.add.at(self._counts.reshape(-1), flat, weight.astype(self._counts.dtype))

    def add_one(self, row: int, col: int, y: float, weight: float) -> None:
        """Count one target."""
        where = self.bins.of_one(y)
        slot = self._slot[row, col]
        page = _NONE if slot == _NONE else self._page[slot, where >> _SHIFT]
        if page == _NONE:
            self.add(np.array([row]), np.array([col]), np.array([y]), np.array([weight]))
        else:
            # A whole weight keeps the integer counts' type.
            self._counts[page, where & _MASK] += int(weight) if self.exact else weight

    def scale(self, rows: Ints, cols: Ints, factor: Floats) -> None:
        """Multiply all counts of each cell by its factor; each cell at most once."""
        slot = self._slot[rows, cols]
        seen = slot != _NONE
        page = self._page[slot[seen]]
        self._counts[page[page != _NONE]] *= np.repeat(factor[seen], (page != _NONE).sum(axis=1))[
            :, None
        ]

    def scale_one(self, row: int, col: int, factor: float) -> None:
        """Multiply all counts of one cell."""
        slot = self._slot[row, col]
        if slot != _NONE:
            for page in self._page[slot].tolist():
                if page != _NONE:
                    self._counts[page] *= factor

    def of_cells(self, rows: Ints, cols: Ints) -> tuple[Ints, Floats, Floats]:
        """Return which of the cells (row times column), centre and count of all their bins."""
        cell, bins, counts = self._listed(rows, cols)
        full = counts > 0
        return cell[full], self._centres(bins[full]), counts[full].astype(np.float64)

    def clear(self, rows: Ints, cols: Ints) -> None:
        """Forget these arms and groups."""
        self._slot[rows] = _NONE
        self._slot[:, cols] = _NONE
        # Pages nobody points to are given back once they are most of all.
        if 2 * np.count_nonzero(self._slot != _NONE) < self._slots:
            arms, groups = self._slot.shape
            self.remap(np.arange(arms), np.arange(groups), arms, groups)

    def remap(self, rows: Ints, cols: Ints, arms: int, groups: int) -> None:
        """Move cells as ``Cells.remap`` does, into this shape."""
        old = self.copy()
        self._slot = np.full((arms, groups), _NONE, dtype=np.int32)
        self._slots = self._pages = 0
        self.take_in(old, rows, cols)

    def take_in(self, other: Histogram, rows: Ints, cols: Ints) -> None:
        """Add the counts of ``other``, whose cells have these indices here."""
        known = len(rows), len(cols)
        cell, bins, counts = other._listed(np.arange(known[0]), np.arange(known[1]))
        row, col = rows[cell // known[1]], cols[cell % known[1]]
        kept = (row >= 0) & (col >= 0)
        row, col, bins = row[kept], col[kept], bins[kept]
        pages = self._pages_of(row, col, bins >> _SHIFT)
        np.add.at(self._counts.reshape(-1), pages * _PAGE + (bins & _MASK), counts[kept])

    def used(self) -> Bools:
        """Return which cells have any count other than 0."""
        slots = self._page[: self._slots]
        filled = (self._counts != 0).any(axis=1)
        # The page -1 is read as the last one, which does not count here.
        per_slot = np.append((filled[slots] & (slots != _NONE)).any(axis=1), False)
        found: Bools = per_slot[self._slot]
        return found

    def copy(self) -> Histogram:
        """Return a histogram that counts apart from this one."""
        other = Histogram(self.bins, exact=self.exact)
        other._slot, other._page = self._slot.copy(), self._page.copy()
        other._counts = self._counts.copy()
        other._slots, other._pages = self._slots, self._pages
        return other

    def to_state(self, rows: Ints, cols: Ints) -> State:
        """Return the counts with arms and groups in this order."""
        cell, bins, counts = self._listed(rows, cols)
        order = np.lexsort((bins, cell))
        return {
            "hist_cell": cell[order].astype(np.int64),
            "hist_bin": bins[order].astype(np.int32),
            "hist_count": counts[order].astype(np.float64),
        }

    def load(self, state: State, arms: int, groups: int) -> None:
        """Take over what ``to_state`` returned; raise ``ValueError`` where it cannot be."""
        cell, bins, counts = (state.get(f"hist_{name}") for name in ("cell", "bin", "count"))
        if not (
            isinstance(cell, np.ndarray)
            and isinstance(bins, np.ndarray)
            and isinstance(counts, np.ndarray)
            and cell.ndim == 1
            and cell.shape == bins.shape == counts.shape
            and (cell.dtype, bins.dtype, counts.dtype) == (np.int64, np.int32, np.float64)
        ):
            raise ValueError("the histogram's columns are missing, differ or have other types")
        if not np.isfinite(counts).all():
            raise ValueError("hist_count is not finite")
        if len(cell) and not (
            min(cell.min(), bins.min()) >= 0
            and cell.max() < arms * groups
            and bins.max() < self.bins.count
        ):
            raise ValueError("the histogram points beyond its cells or bins")
        where = bins.astype(np.int64)
        pages = self._pages_of(cell // groups, cell % groups, where >> _SHIFT)
        self._counts[pages, where & _MASK] = counts

    def _centres(self, bins: Ints) -> Floats:
        return self.bins.low + self.bins.width * bins.astype(np.float64)

    def _listed(self, rows: Ints, cols: Ints) -> tuple[Ints, Ints, npt.NDArray[np.float64]]:
        """Return cell number, bin and count of all counts other than 0, as they lie."""
        slot = self._slot[np.ix_(rows, cols)].ravel()
        cell = np.flatnonzero(slot != _NONE)
        at, part = np.nonzero(self._page[slot[cell]] != _NONE)
        counts = self._counts[self._page[slot[cell[at]], part]]
        line, place = np.nonzero(counts)
        return cell[at[line]], part[line] * _PAGE + place, counts[line, place]

    def _pages_of(self, rows: Ints, cols: Ints, part: Ints) -> Ints:
        """Return the page of each cell and part of its bins; make what does not exist."""
        slot = self._slot[rows, cols]
        if (slot == _NONE).any():
            self._make_slots(rows[slot == _NONE], cols[slot == _NONE])
            slot = self._slot[rows, cols]
        page = self._page[slot, part]
        if (page == _NONE).any():
            self._make_pages(slot[page == _NONE], part[page == _NONE])
            page = self._page[slot, part]
        return page.astype(np.int64)

    def _make_slots(self, rows: Ints, cols: Ints) -> None:
        width = self._slot.shape[1]
        fresh = np.unique(rows * width + cols)
        needed = self._slots + len(fresh)
        if needed > len(self._page):
            grown = np.full(
                (max(needed, len(self._page) * 3 // 2), self.bins.pages), _NONE, np.int32
            )
            grown[: len(self._page)] = self._page
            self._page = grown
        self._slot.reshape(-1)[fresh] = np.arange(self._slots, needed)
        self._page[self._slots : needed] = _NONE
        self._slots = needed

    def _make_pages(self, slot: npt.NDArray[np.int32], part: Ints) -> None:
        fresh = np.unique(slot.astype(np.int64) * self.bins.pages + part)
        needed = self._pages + len(fresh)
        # One page more than needed: reading the page -1 must find something.
        if needed >= len(self._counts):
            grown = np.zeros(
                (max(needed + 1, len(self._counts) * 3 // 2), _PAGE), self._counts.dtype
            )
            grown[: self._pages] = self._counts[: self._pages]
            self._counts = grown
        self._page.reshape(-1)[fresh] = np.arange(self._pages, needed)
        self._counts[self._pages : needed] = 0
        self._pages = needed

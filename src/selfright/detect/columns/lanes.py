"""Rows of whole numbers, two per stream, each as narrow as its numbers allow."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

NONE: Final = np.iinfo(np.int32).min  # the stream has no lane
# A table grows by an eighth: half as much again would stand idle in memory.
_GROWTH: Final = 8
_ROOM: Final = 16


class Lanes:
    """A row of ``width`` numbers for each stream that was opened.

    Nearly all of them are small: outcomes a minute, failures among them, single outcomes. A lane
    begins narrow and becomes wide with the first number that does not fit.

    Parameters
    ----------
    width
        Numbers in a lane.
    narrow
        Type of a narrow lane. A wide one is of int64.

    Notes
    -----
    ``shift`` of a number is the power of two that its stream counts in: a score is a multiple
    of 2^-32, but one that is right or wrong counts in whole ones, and its lane stays narrow.
    """

    def __init__(self, width: int, narrow: npt.DTypeLike) -> None:
        self.width = width
        self._of: npt.NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        # Lane r >= 0 is row r of the narrow table, lane ~r < 0 row r of the wide one.
        self._narrow: npt.NDArray[Any] = np.zeros((0, width), dtype=narrow)
        self._wide: Ints = np.zeros((0, width), dtype=np.int64)
        self._free_narrow: list[int] = []
        self._free_wide: list[int] = []

    def reach(self, streams: int) -> None:
        """Make room to number so many streams."""
        more = np.full(streams - len(self._of), NONE, dtype=np.int32)
        self._of = np.concatenate([self._of, more])

    def has(self, stream: Ints) -> npt.NDArray[np.bool_]:
        """Tell which of the streams have a lane."""
        found: npt.NDArray[np.bool_] = self._of[stream] != NONE
        return found

    def open(self, stream: Ints) -> None:
        """Give streams that have none a lane of zeros."""
        rows, self._narrow = _taken(self._free_narrow, len(stream), self._narrow)
        self._narrow[rows] = 0
        self._of[stream] = rows

    def close(self, stream: Ints) -> None:
        """Take the lanes of streams away."""
        lane = self._of[stream]
        self._free_narrow += lane[lane >= 0].tolist()
        self._free_wide += (~lane[(lane < 0) & (lane != NONE)]).tolist()
        self._of[stream] = NONE

    def read(self, stream: Ints, column: Ints, shift: Ints | None = None) -> Ints:
        """Return one number of each stream given."""
        lane = self._of[stream]
        wide = lane < 0
        if not np.count_nonzero(wide):
            found = self._narrow[lane, column].astype(np.int64)
            return found if shift is None else found << shift
        found = self._narrow[np.where(wide, 0, lane), column].astype(np.int64)
        if shift is not None:
            found <<= shift
        found[wide] = self._wide[~lane[wide], column[wide]]
        return found

    def write(self, stream: Ints, column: Ints, number: Ints, shift: Ints | None = None) -> None:
        """Set one number of each (stream, column) given, all of them different."""
        lane = self._of[stream]
        wide = lane < 0
        small = number if shift is None else number >> shift
        narrow = small.astype(self._narrow.dtype)
        over = narrow != small
        if shift is not None:
            over |= (small << shift) != number
        over &= ~wide
        if np.count_nonzero(over):
            self._widen(np.unique(stream[over]), stream, shift)
            lane = self._of[stream]
            wide = lane < 0
        if not np.count_nonzero(wide):
            self._narrow[lane, column] = narrow
            return
        self._wide[~lane[wide], column[wide]] = number[wide]
        at = ~wide
        self._narrow[lane[at], column[at]] = narrow[at]

    def _widen(self, which: Ints, stream: Ints, shift: Ints | None) -> None:
        if not len(which):
            return
        before = self._of[which]
        rows, self._wide = _taken(self._free_wide, len(which), self._wide)
        self._wide[rows] = self._narrow[before]
        if shift is not None:
            order = np.argsort(stream, kind="stable")
            of_lane = shift[order[np.searchsorted(stream[order], which)]]
            self._wide[rows] <<= of_lane[:, None]
        self._free_narrow += before.tolist()
        self._of[which] = ~rows


class Pairs:
    """Two lanes for each stream: small numbers in the one, its own values or sums in the other.

    Both are read and written in one pass, for with few numbers a pass costs more than they do.

    Parameters
    ----------
    width, narrow
        See ``Lanes``.
    """

    def __init__(self, width: int, narrow: npt.DTypeLike) -> None:
        self._lanes = Lanes(width, narrow)

    def reach(self, streams: int) -> None:
        """Make room to number so many streams."""
        self._lanes.reach(2 * streams)

    def has(self, stream: Ints) -> npt.NDArray[np.bool_]:
        """Tell which of the streams have lanes."""
        return self._lanes.has(2 * stream)

    def open(self, stream: Ints) -> None:
        """Give streams that have none two lanes of zeros."""
        self._lanes.open(_both(2 * stream))

    def close(self, stream: Ints) -> None:
        """Take the lanes of streams away."""
        self._lanes.close(_both(2 * stream))

    def read(self, stream: Ints, column: Ints, shift: Ints | None) -> tuple[Ints, Ints]:
        """Return one number of each lane of each stream given; ``shift`` is that of the second."""
        found = self._lanes.read(_both(2 * stream), _doubled(column), _shifts(shift))
        return found[: len(stream)], found[len(stream) :]

    def second(self, stream: Ints, column: Ints, shift: Ints | None) -> Ints:
        """Return the second alone."""
        return self._lanes.read(2 * stream + 1, column, shift)

    def write(
        self, stream: Ints, column: Ints, numbers: tuple[Ints, Ints], shift: Ints | None
    ) -> None:
        """Set one number in each lane of each (stream, column) given, all of them different."""
        both = np.concatenate(numbers)
        self._lanes.write(_both(2 * stream), _doubled(column), both, _shifts(shift))


def _both(first: Ints) -> Ints:
    return np.concatenate([first, first + 1])


def _doubled(column: Ints) -> Ints:
    return np.concatenate([column, column])


def _shifts(shift: Ints | None) -> Ints | None:
    return None if shift is None else np.concatenate([np.zeros_like(shift), shift])


def _taken(
    free: list[int], count: int, table: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[Any]]:
    """Return ``count`` rows that are free, and the table, longer if it has to be."""
    missing = count - len(free)
    if missing > 0:
        size = len(table)
        longer = np.zeros(
            (size + max(missing, size // _GROWTH, _ROOM), table.shape[1]), table.dtype
        )
        longer[:size] = table
        table = longer
        free += range(len(table) - 1, size - 1, -1)
    rows = np.array([free.pop() for _ in range(count)], dtype=np.int32)
    return rows, table

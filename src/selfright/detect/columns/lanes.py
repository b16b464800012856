"""Rows of whole numbers by stream, each of the narrowest type that holds its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Place = slice | Ints

NONE: Final = np.iinfo(np.int32).min  # the stream has no lane
_TYPES: Final = (np.int8, np.int16, np.int32, np.int64)
_MOST: Final = np.array([np.iinfo(of).max for of in _TYPES])
_WIDE: Final = len(_TYPES) - 1
_BITS: Final = 2  # of a lane's number say in which table it is, those above in which row
_TABLE: Final = (1 << _BITS) - 1
# Tables grow by a sixteenth, and gaps of more than an eighth are closed: rows that stand idle are
# memory, and to move the others takes milliseconds now and then.
_GROWTH: Final = 16
_IDLE: Final = 8
_ROOM: Final = 16


class Lanes:
    """A row of ``width`` numbers for each stream that was opened.

    Nearly all of them are small: outcomes a minute, failures among them, single outcomes. A lane
    begins with a byte for each, and with the first number that does not fit it becomes as wide as
    that one needs.

    Parameters
    ----------
    width
        Numbers in a lane.

    Notes
    -----
    ``shift`` of a number is the power of two that its stream counts in: a score is a multiple
    of 2^-32, but one that is right or wrong counts in whole ones, and its lane stays narrow.

    1, 2, 4 or 8 bytes a number, and 4 a stream.
    """

    def __init__(self, width: int) -> None:
        self._of: npt.NDArray[np.int32] = np.zeros(0, dtype=np.int32)
        self._tables = [_Table(width, of) for of in _TYPES]

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
        rows = self._tables[0].take(len(stream))
        self._tables[0].rows[rows] = 0
        self._of[stream] = rows << _BITS

    def close(self, stream: Ints) -> None:
        """Take the lanes of streams away."""
        lane = self._of[stream]
        for table, _, rows in _parts(lane[lane != NONE]):
            self._tables[table].free += rows.tolist()
        self._of[stream] = NONE
        self._close_gaps()

    def read(self, stream: Ints, column: Ints, shift: Ints | None = None) -> Ints:
        """Return one number of each stream given."""
        found = np.empty(len(stream), dtype=np.int64)
        for table, at, rows in _parts(self._of[stream]):
            numbers = self._tables[table].rows[rows, column[at]]
            if shift is None or table == _WIDE:
                found[at] = numbers
            else:
                found[at] = numbers.astype(np.int64) << shift[at]
        return found

    def write(self, stream: Ints, column: Ints, number: Ints, shift: Ints | None = None) -> None:
        """Set one number of each (stream, column) given, all of them different."""
        lane = self._of[stream]
        table = lane & _TABLE
        small = number if shift is None else number >> shift
        over = np.abs(small) > _MOST[table]
        if shift is not None:
            over |= ((small << shift) != number) & (table != _WIDE)
        if np.count_nonzero(over):
            at = np.flatnonzero(over)
            self._widen(stream[at], number[at], None if shift is None else shift[at])
            lane = self._of[stream]
        for to, place, rows in _parts(lane):
            numbers = number if to == _WIDE else small
            self._tables[to].rows[rows, column[place]] = numbers[place]

    def _widen(self, stream: Ints, number: Ints, shift: Ints | None) -> None:
        """Give streams lanes that hold these numbers; their lanes are too narrow for them."""
        shift = np.zeros_like(number) if shift is None else shift
        small = number >> shift
        fits = np.searchsorted(_MOST, np.abs(small))
        fits[small << shift != number] = _WIDE
        which, first, place = np.unique(stream, return_index=True, return_inverse=True)
        wanted = np.zeros_like(which)
        np.maximum.at(wanted, place, fits)
        for to in np.unique(wanted).tolist():
            mine = wanted == to
            new = self._tables[to].take(int(np.count_nonzero(mine)))
            into = self._tables[to].rows
            for table, at, rows in _parts(self._of[which[mine]]):
                into[new[at]] = self._tables[table].rows[rows]
                self._tables[table].free += rows.tolist()
            if to == _WIDE:  # the others count in the power of two
                into[new] <<= shift[first[mine], np.newaxis]
            self._of[which[mine]] = new << _BITS | to
        self._close_gaps()

    def _close_gaps(self) -> None:
        for number, table in enumerate(self._tables):
            if len(table.free) <= max(_ROOM, len(table.rows) // _IDLE):
                continue
            streams = np.flatnonzero((self._of != NONE) & (self._of & _TABLE == number))
            table.rows, table.free = table.rows[self._of[streams] >> _BITS], []
            self._of[streams] = np.arange(len(streams)) << _BITS | number


class Pairs:
    """Two lanes for each stream: small numbers in the one, its own values or sums in the other.

    Both are read and written in one pass, for with few numbers a pass costs more than they do.

    Parameters
    ----------
    width
        See ``Lanes``.
    """

    def __init__(self, width: int) -> None:
        self._lanes = Lanes(width)

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

    def write(
        self, stream: Ints, column: Ints, numbers: tuple[Ints, Ints], shift: Ints | None
    ) -> None:
        """Set one number in each lane of each (stream, column) given, all of them different."""
        both = np.concatenate(numbers)
        self._lanes.write(_both(2 * stream), _doubled(column), both, _shifts(shift))


class _Table:
    """Rows of one type, of which some are free."""

    def __init__(self, width: int, of: npt.DTypeLike) -> None:
        self.rows: npt.NDArray[Any] = np.zeros((0, width), dtype=of)
        self.free: list[int] = []

    def take(self, count: int) -> npt.NDArray[np.int32]:
        """Return ``count`` rows that are free; their numbers may be anything."""
        missing, size = count - len(self.free), len(self.rows)
        if missing > 0:
            more = max(missing, size // _GROWTH, _ROOM)
            self.rows = np.concatenate(
                [self.rows, np.zeros_like(self.rows, shape=(more, *self.rows.shape[1:]))]
            )
            self.free += range(size + more - 1, size - 1, -1)
        return np.array([self.free.pop() for _ in range(count)], dtype=np.int32)


def _parts(lane: npt.NDArray[np.int32]) -> Iterator[tuple[int, Place, npt.NDArray[np.int32]]]:
    """Yield each table in which some of the lanes are: its number, which of them, their rows."""
    table = lane & _TABLE
    held = np.bincount(table).tolist()
    for number, count in enumerate(held):
        if count == len(lane):
            yield number, slice(None), lane >> _BITS
        elif count:
            at = np.flatnonzero(table == number)
            yield number, at, lane[at] >> _BITS


def _both(first: Ints) -> Ints:
    return np.concatenate([first, first + 1])


def _doubled(column: Ints) -> Ints:
    return np.concatenate([column, column])


def _shifts(shift: Ints | None) -> Ints | None:
    return None if shift is None else np.concatenate([np.zeros_like(shift), shift])

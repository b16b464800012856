"""The latest outcomes of rates with their minutes: a byte each while all are right or wrong."""

from __future__ import annotations

import numpy as np

from selfright.detect.columns.entries import SIGN, Bools, Ints
from selfright.detect.columns.lanes import Lanes


class Ring:
    """Of outcome i of a stream at place i % width: its minute % minutes, and what it was.

    Parameters
    ----------
    width
        Outcomes kept of each stream.
    minutes
        Minutes told apart.

    Notes
    -----
    Both are one number: with outcomes from 0 to 2^shift the minute stands above their bits. What
    is right or wrong leaves but one bit of them, for the lane counts in 2^shift. So an outcome
    takes a byte where up to 64 minutes are told apart, two with more, and 8 where one is graded.
    """

    def __init__(self, width: int, minutes: int) -> None:
        self._width, self._minutes = width, minutes
        self._lanes = Lanes(width)

    def reach(self, streams: int) -> None:
        """Make room to number so many streams."""
        self._lanes.reach(streams)

    def has(self, stream: Ints) -> Bools:
        """Tell which of the streams were opened."""
        return self._lanes.has(stream)

    def open(self, stream: Ints) -> None:
        """Make room for the outcomes of streams that have none."""
        self._lanes.open(stream)

    def close(self, stream: Ints) -> None:
        """Forget the outcomes of streams."""
        self._lanes.close(stream)

    def read(self, stream: Ints, i: Ints, metric: Ints, shift: Ints | None) -> tuple[Ints, Ints]:
        """Return minute % minutes and value of one outcome of each stream given."""
        both = self._lanes.read(stream, i % self._width, shift)
        bits = 1 if shift is None else shift + 1
        minute = both >> bits
        return minute, SIGN[metric] * (both - (minute << bits))

    def write(self, stream: Ints, i: Ints, outcome: tuple[Ints, Ints], shift: Ints | None) -> None:
        """Set one outcome, minute and value, of each (stream, i) given, all of them different."""
        minute, value = outcome
        both = minute % self._minutes << (1 if shift is None else shift + 1)
        both += np.abs(value)  # all of a stream have the same sign
        self._lanes.write(stream, i % self._width, both, shift)

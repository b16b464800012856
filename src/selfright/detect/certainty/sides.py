"""Which streams are the sides of which baseline: all have a high one, some a low one as well."""

from __future__ import annotations

from array import array
from typing import Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

SIDES: Final = 2  # high, low


class Sides:
    """Streams of baselines, numbered in the order in which they were added.

    Notes
    -----
    4 bytes a baseline and 4 a stream: the evidence of a side that nobody follows would be 208.
    """

    def __init__(self) -> None:
        self._high = array("i")  # by baseline, the stream of its high side; that of the low is next
        self._baseline = array("i")  # by stream

    def __len__(self) -> int:
        return len(self._baseline)

    def add(self, *, low: bool) -> range:
        """Return the streams of a new baseline: high, and with ``low`` low."""
        high, of = len(self._baseline), len(self._high)
        self._high.append(high)
        self._baseline.extend([of] * (1 + low))
        return range(high, len(self._baseline))

    def streams(self, of: int) -> range:
        """Return the streams of a baseline."""
        last = self._high[of + 1] if of + 1 < len(self._high) else len(self._baseline)
        return range(self._high[of], last)

    def high(self, of: Ints) -> Ints:
        """Return the stream of the high side of each baseline given."""
        high: Ints = np.frombuffer(self._high, dtype=np.intc)[of].astype(np.int64)
        return high

    def baseline(self, stream: int) -> int:
        """Return whose side a stream is."""
        return self._baseline[stream]

    def is_low(self, stream: int) -> bool:
        """Tell whether a stream is the low side."""
        return stream > self._high[self._baseline[stream]]

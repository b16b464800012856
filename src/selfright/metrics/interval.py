"""How sure a figure is: 95 % intervals that need no more than counts and sums.

A rate has Wilson's interval [1]_, which keeps its level at few runs and near 0 and 1. The
mean of graded scores has the same one, with the sum of the scores in the place of the
successes: among all distributions on [0, 1] with a given mean the two-point one has the
greatest variance, so that the interval is honest for every grading, only wider than it
had to be where grades cluster. A quantile has the interval between two order statistics,
which supposes nothing about the distribution [2]_.

References
----------
.. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical
   inference", Journal of the American Statistical Association 22 (1927).
.. [2] H. A. David and H. N. Nagaraja, "Order Statistics", 3rd ed. (2003), section 7.1.
"""

from __future__ import annotations

from math import sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

Interval = tuple[float, float]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

Z95: Final = 1.959963984540054  # 97.5 % quantile of the normal distribution
_Z2: Final = Z95 * Z95


def wilson(total: float, n: int) -> Interval | None:
    """Return the 95 % interval of a mean in 0..1 of which ``n`` values sum to ``total``.

    The same as ``wilson_ends`` of one, to the last bit; None without values. About 1 us.
    """
    if n <= 0:
        return None
    count = float(n)
    mean = total / count
    middle = mean + _Z2 / (2 * count)
    half = Z95 * sqrt(mean * (1 - mean) / count + _Z2 / (4 * count * count))
    scale = 1 + _Z2 / count
    low, high = (middle - half) / scale, (middle + half) / scale
    # At 0 and 1 rounding must not leave the mean outside.
    return min(max(low, 0.0), mean), max(min(high, 1.0), mean)


def wilson_ends(totals: Floats, n: Ints) -> tuple[Floats, Floats]:
    """Return the lower and the upper ends of many intervals.

    Parameters
    ----------
    totals
        Sums of values in 0..1, of any shape.
    n
        How many values each sum is of. Without any an end has no meaning.
    """
    count = np.maximum(n, 1).astype(np.float64)
    mean = totals / count
    middle = mean + _Z2 / (2 * count)
    variance = mean * (1 - mean) / count + _Z2 / (4 * count * count)
    half = Z95 * np.sqrt(variance)
    scale = 1 + _Z2 / count
    low, high = (middle - half) / scale, (middle + half) / scale
    # At 0 and 1 rounding must not leave the mean outside.
    return np.minimum(np.maximum(low, 0.0), mean), np.maximum(np.minimum(high, 1.0), mean)


def quantile_ranks(n: Ints, q: float) -> tuple[Ints, Ints]:
    """Return the ranks, from 1, between which the ``q`` quantile lies with 95 %.

    Both are 0 where ``n`` values are too few to enclose it: about 120 for q = 0.95.
    """
    half = Z95 * np.sqrt(n * q * (1 - q))
    low = np.floor(n * q - half).astype(np.int64)
    high = np.ceil(n * q + half).astype(np.int64) + 1
    enough = (low >= 1) & (high <= n)
    return low * enough, high * enough

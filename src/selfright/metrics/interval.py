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

from math import ceil, floor, sqrt
from typing import Final

Interval = tuple[float, float]

Z95: Final = 1.959963984540054  # 97.5 % quantile of the normal distribution
_Z2: Final = Z95 * Z95


def wilson(total: float, n: int) -> Interval | None:
    """Return the 95 % interval of a mean in 0..1 of which ``n`` values sum to ``total``."""
    if n <= 0:
        return None
    mean = total / n
    middle = mean + _Z2 / (2 * n)
    variance = mean * (1 - mean) / n + _Z2 / (4 * n * n)
    half = Z95 * sqrt(variance)
    scale = 1 + _Z2 / n
    low, high = (middle - half) / scale, (middle + half) / scale
    # At 0 and 1 rounding must not leave the mean outside.
    return (low if 0 < low < mean else 0.0 if low <= 0 else mean), (
        high if mean < high < 1 else 1.0 if high >= 1 else mean
    )


def quantile_ranks(n: int, q: float) -> tuple[int, int] | None:
    """Return the ranks, from 1, between which the ``q`` quantile lies with 95 %.

    None if ``n`` values are too few to enclose it: about 120 for q = 0.95.
    """
    half = Z95 * sqrt(n * q * (1 - q))
    low, high = floor(n * q - half), ceil(n * q + half) + 1
    return (low, high) if low >= 1 and high <= n else None

"""A lower bound of a mean in [0, 1] that is quick enough to be asked every 50 outcomes."""

from __future__ import annotations

from math import exp, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

Z95: Final = 1.6448536269514722  # one-sided 95 %
Z99: Final = 2.3263478740408408  # one-sided 99 %
# Of a normal distribution, the probability above these.
_TAIL: Final = {Z95: 0.05, Z99: 0.01}


def lower_bound(total: float, n: float, z: float) -> float:
    """Return the one-sided Clopper-Pearson lower bound of a mean, or a little less.

    For graded outcomes the same formula with their sum.

    Parameters
    ----------
    total, n
        Sum and number of outcomes in [0, 1]; both divided by k where k of them are worth one.
    z
        ``Z95`` or ``Z99``.

    Notes
    -----
    A Beta quantile by Abramowitz and Stegun 26.5.22: for n from 200 to 4,000 and one failure
    or more it lies 0 to .06 standard deviations below the exact bound. Without a failure the
    exact bound is ``tail ** (1 / n)``; in between the line is taken, which is at most .01
    standard deviations above it. 1 us.

    Examples
    --------
    >>> round(lower_bound(180.0, 200, Z95), 4)
    0.858
    """
    missed = n - total
    if total <= 1.0:
        return 0.0
    if missed >= 1.0:
        return _quantile(total, missed + 1.0, z)
    best: float = _TAIL[z] ** (1.0 / n)
    return best + missed * (_quantile(n - 1.0, 2.0, z) - best)


def _quantile(a: float, b: float, z: float) -> float:
    of_a, of_b = 1.0 / (2.0 * a - 1.0), 1.0 / (2.0 * b - 1.0)
    h = 2.0 / (of_a + of_b)
    skew = (z * z - 3.0) / 6.0
    w = z * sqrt(h + skew) / h - (of_b - of_a) * (skew + 5.0 / 6.0 - 2.0 / (3.0 * h))
    return a / (a + b * exp(2.0 * w))


def lower_bounds(total: Floats, n: Floats, z: float) -> Floats:
    """Return ``lower_bound`` of each, to the last bit. 22 us, 26 us for fifty."""
    missed = n - total
    with np.errstate(all="ignore"):  # where it does not hold it is not taken
        plain = _quantiles(total, missed + 1.0, z)
    found: Floats = np.where(total <= 1.0, 0.0, plain)
    for at in np.flatnonzero((missed < 1.0) & (total > 1.0)).tolist():
        found[at] = lower_bound(float(total[at]), float(n[at]), z)
    return found


def _quantiles(a: Floats, b: Floats, z: float) -> Floats:
    # In the order of ``_quantile``. The exponential is the only operation of which numpy does
    # not promise the same last bit for every length of the array.
    of_a, of_b = 1.0 / (2.0 * a - 1.0), 1.0 / (2.0 * b - 1.0)
    h = 2.0 / (of_a + of_b)
    skew = (z * z - 3.0) / 6.0
    w = z * np.sqrt(h + skew) / h - (of_b - of_a) * (skew + 5.0 / 6.0 - 2.0 / (3.0 * h))
    powers = np.array([exp(of) if of < 700.0 else np.inf for of in (2.0 * w).tolist()])
    quantiles: Floats = a / (a + b * powers)
    return quantiles

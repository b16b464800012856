"""The normal distribution's function and quantiles; numpy has neither."""

from __future__ import annotations

from math import log, sqrt
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]

_LINEAR: Final = 1.5976 / 2
_CUBIC: Final = 0.07056 / 2


def below(z: Floats) -> Floats:
    """Return the probability of a value below ``z``, to 1.4e-4 [1]_.

    References
    ----------
    .. [1] Page, "Approximations to the cumulative normal function and its inverse for use
       on a pocket calculator", Applied Statistics 26, 1977.
    """
    probability: Floats = 0.5 + 0.5 * np.tanh(z * (_LINEAR + _CUBIC * (z * z)))
    return probability


def reach(coverage: float) -> float:
    """Return how many standard deviations to either side hold ``coverage``, to .003 [1]_.

    References
    ----------
    .. [1] Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.2.22.

    Examples
    --------
    >>> round(reach(0.9), 2), round(reach(0.99), 2)
    (1.64, 2.58)
    """
    t = sqrt(-2.0 * log((1.0 - coverage) / 2.0))
    return t - (2.30753 + 0.27061 * t) / (1.0 + t * (0.99229 + 0.04481 * t))

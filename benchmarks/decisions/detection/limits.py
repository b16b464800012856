"""How far chance may have flattered a figure: one-sided 95 % limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import comb, exp, lgamma, log, sqrt
from statistics import fmean, stdev
from typing import Final

_Z: Final = 1.6449
_LEFT: Final = 0.05


def most_per_unit(counts: Sequence[int], units: float = 1.0) -> float:
    """Return the upper limit of the mean of ``counts`` per unit of length.

    The larger of that of independent events (Poisson) and that of the streams' own spread, for
    events of one stream may come together.

    Examples
    --------
    >>> round(most_per_unit([0] * 100), 4)
    0.03
    """
    total, n = sum(counts), len(counts)
    by_events = _root(lambda mean: _poisson(total, mean) - _LEFT, total + 20 * sqrt(total + 1)) / n
    by_spread = fmean(counts) + _Z * stdev(counts) / sqrt(n) if n > 1 else 0.0
    return max(by_events, by_spread) / units


def most_of(hits: int, n: int) -> float:
    """Return the upper limit of a probability of which ``hits`` of ``n`` were seen.

    Examples
    --------
    >>> round(100 * most_of(0, 400), 2)
    0.75
    """
    return 1.0 if hits == n else _root(lambda p: _binomial(hits, n, p) - _LEFT, 1.0)


def _root(falling: Callable[[float], float], high: float) -> float:
    low = 0.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return high


def _poisson(most: int, mean: float) -> float:
    """Return the probability of ``most`` events or fewer."""
    if mean <= 0.0:
        return 1.0
    return sum(exp(k * log(mean) - mean - lgamma(k + 1)) for k in range(most + 1))


def _binomial(most: int, n: int, p: float) -> float:
    return sum(comb(n, k) * p**k * (1.0 - p) ** (n - k) for k in range(most + 1))

"""The regularised incomplete beta function, and the sums at which it crosses a level.

I_x(a, b) is the probability that a Beta(a, b) variable is at most x: for a rate with a
uniform prior, s successes and f failures it answers how probable it is that the true rate
lies below x (a = 1 + s, b = 1 + f). s and f may be any real numbers, for graded scores.

The answer for one outcome more is asked after every outcome, so it is turned round once:
``critical_sums`` finds for every count n the sum s at which the probability crosses the
level; from then on the question costs one comparison.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

_RELATIVE: Final = 1e-15
_STEPS: Final = 10_000  # about 5 sqrt(max(a, b)) are needed; this serves counts beyond 10^6
_SAME: Final = 1e-13  # probabilities closer than this are equal to the function's precision
_ROOT: Final = 1e-11  # outcomes; scores are multiples of 2^-32, some 2e-10
_NEAR: Final = 1e-9


def incomplete_beta(a: float, b: float, x: float) -> float:
    """Return I_x(a, b), the probability that a Beta(a, b) variable is at most ``x``.

    ``a`` and ``b`` greater than 0, ``x`` in [0, 1]. About 5 us for a + b = 200; the
    relative error is below 1e-11.

    Notes
    -----
    The continued fraction of Abramowitz and Stegun 26.5.8 by Lentz's method, on the side
    of the mean where it converges in about sqrt(max(a, b)) steps.

    Examples
    --------
    >>> round(incomplete_beta(2, 3, 0.5), 6)
    0.6875
    """
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _fraction(a, b, x) / a
    return 1.0 - front * _fraction(b, a, 1.0 - x) / b


def _fraction(a: float, b: float, x: float) -> float:
    # On this side of the mean no denominator comes near zero, so the method needs none of
    # its usual guards.
    ab = a + b
    c = 1.0
    d = 1.0 / (1.0 - ab * x / (a + 1.0))
    h = d
    for m in range(1, _STEPS):
        am = a + m
        amm = am + m
        term = m * (b - m) * x / ((amm - 1.0) * amm)
        d = 1.0 / (1.0 + term * d)
        c = 1.0 + term / c
        h *= d * c
        term = -am * (ab + m) * x / (amm * (amm + 1.0))
        d = 1.0 / (1.0 + term * d)
        c = 1.0 + term / c
        change = d * c
        h *= change
        if -_RELATIVE < change - 1.0 < _RELATIVE:
            break
    return h


@lru_cache(maxsize=64)
def critical_sums(threshold: float, level: float, size: int) -> tuple[float, ...]:
    """Return per count n = 0..size the sum s at which P(rate < threshold) equals ``level``.

    At that sum or below the probability is at least ``level``, above it less. A real
    number in [0, n]; -inf where not even a sum of 0 suffices, n where every sum does.
    Costs some 4 evaluations a count, 10 ms for 200; the answers are kept.

    Notes
    -----
    With one outcome more the sum grows by 0 to 1, because a success lowers the
    probability and a failure raises it. So the last answer brackets the next one.

    Examples
    --------
    >>> [round(s, 3) for s in critical_sums(0.5, 0.5, 4)]
    [0.0, 0.5, 1.0, 1.5, 2.0]
    """
    sums: list[float] = []
    low, step = 0.0, 0.0
    slope = -1.0  # of the probability in s; it hardly changes from one count to the next
    for n in range(size + 1):
        at_low = _excess(low, n, threshold, level)
        if at_low <= 0.0 and low == 0.0:
            sums.append(0.0 if at_low > -_SAME else -math.inf)
            continue
        high = min(low + 1.0, float(n))
        root, slope = _crossing((low, high), min(low + step, high), slope, (n, threshold, level))
        low, step = root, root - low
        sums.append(root)
    return tuple(sums)


def _excess(s: float, n: int, threshold: float, level: float) -> float:
    return incomplete_beta(1.0 + s, 1.0 + n - s, threshold) - level


def _crossing(
    bracket: tuple[float, float], guess: float, slope: float, question: tuple[int, float, float]
) -> tuple[float, float]:
    """Return the zero of the falling ``_excess`` in ``bracket``, and the slope there.

    The secant method, held in the bracket by bisection; with the guess and the slope
    of the count before it needs three evaluations.
    """
    low, high = bracket
    at_high = _excess(high, *question)
    if at_high >= -_SAME:
        return high, slope
    s, value = guess, _excess(guess, *question)
    while abs(value) > _SAME and high - low > _ROOT:
        if value > 0.0:
            low = s
        else:
            high = s
        following = s - value / slope
        if not low < following < high:
            following = (low + high) / 2.0
        before, s = (s, value), following
        value = _excess(s, *question)
        if s != before[0] and value != before[1]:
            slope = (value - before[1]) / (s - before[0])
    # A root that is a whole number in exact arithmetic must not lie just beside it:
    # whole sums are what unscored outcomes have.
    return (float(round(s)) if abs(s - round(s)) < _NEAR else s), slope

"""Between which outcomes a drop probably began: an interval around the change point."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

# Log likelihoods that are closer than this to the best are not told apart: half the 97 %
# quantile of chi-squared with two degrees of freedom, for place and size of the drop. As it is
# read when an alarm says so, and not at a time fixed before, it covers 95 %.
_TOLD_APART = 3.5
_TEN = 10


def interval(
    tens: Sequence[float], before: float, rest: tuple[int, float] = (0, 0.0)
) -> tuple[int, int]:
    """Return between how many outcomes before now a drop began, most first.

    Parameters
    ----------
    tens
        Sums of ten outcomes each, oldest first.
    before
        The mean before the drop, strictly between 0 and 1.
    rest
        Number, below ten, and sum of the outcomes between the last of these tens and now.

    Notes
    -----
    The profile likelihood of one drop from ``before`` to an unknown lower mean, place by place,
    in steps of ten. As wide as the tens given where nothing is told apart.

    Examples
    --------
    >>> interval([9, 9, 10, 9, 9, 5, 6, 5, 4], 0.9)
    (60, 30)
    """
    n, total = rest
    places, gains = ([n], [_gain(total / n, before) * n]) if n else ([], [])
    for ten in reversed(tens):
        n, total = n + _TEN, total + ten
        places.append(n)
        gains.append(_gain(total / n, before) * n)
    best = max(gains, default=0.0)
    near = [place for place, gain in zip(places, gains, strict=True) if gain >= best - _TOLD_APART]
    if not near:
        return 0, 0
    # It may lie anywhere within the tens at either end.
    return near[-1] + _TEN, max(near[0] - _TEN, 0)


def _gain(mean: float, before: float) -> float:
    """Return the log likelihood ratio per outcome of ``mean`` against ``before``."""
    if mean >= before:
        return 0.0
    gain = (1.0 - mean) * log((1.0 - mean) / (1.0 - before))
    return gain + mean * log(mean / before) if mean > 0.0 else gain

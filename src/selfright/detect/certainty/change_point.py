"""Between which outcomes a drop probably began: an interval around the change point."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

# Log likelihoods that are closer than this to the best are not told apart: half the 95 %
# quantile of chi-squared with two degrees of freedom, for place and size of the drop.
_TOLD_APART = 3.0


def interval(parts: Sequence[tuple[int, float]], before: float) -> tuple[int, int]:
    """Return between how many outcomes before now a drop began, most first.

    Parameters
    ----------
    parts
        Number and sum of successive outcomes, oldest first, up to now.
    before
        The mean before the drop, strictly between 0 and 1.

    Notes
    -----
    The profile likelihood of one drop from ``before`` to an unknown lower mean, part by part. As
    wide as the parts given where nothing is told apart.

    Examples
    --------
    >>> interval([(10, 9), (10, 9), (10, 10), (10, 9), (10, 5), (10, 6), (10, 5), (4, 2)], 0.9)
    (54, 24)
    """
    best, total, n = 0.0, 0.0, 0
    gains: list[tuple[float, int]] = []
    for count, part in reversed(parts):
        n, total = n + count, total + part
        if n:
            gain = _gain(total / n, before) * n
            gains.append((gain, n))
            best = max(best, gain)
    near = [i for i, (gain, _) in enumerate(gains) if gain >= best - _TOLD_APART]
    # It may lie anywhere within the parts at either end.
    most = gains[min(near[-1] + 1, len(gains) - 1)][1] if near else n
    return most, gains[near[0] - 1][1] if near and near[0] else 0


def _gain(mean: float, before: float) -> float:
    """Return the log likelihood ratio per outcome of ``mean`` against ``before``."""
    if mean >= before:
        return 0.0
    gain = (1.0 - mean) * log((1.0 - mean) / (1.0 - before))
    return gain + mean * log(mean / before) if mean > 0.0 else gain

"""Bets against a reference: what one outcome is worth as evidence of a drop.

The claim to be tested is that the mean of the outcomes, given the past, is at least p0. Against it
stand four bets, each on a drop to ``q_k = p0 - d_k``. With
``lambda_k = (p0 - q_k) / (p0 (1 - p0))`` the value of an outcome x in [0, 1] is
``E_k(x) = 1 + lambda_k (p0 - x)``: never negative, and on average at most 1 as long as the
claim holds, whatever the distribution [1]_.

**Tempering.** Where failures come in bursts, the claim fails for a moment after each failure
although nothing has changed. ``E_k ^ (1 / phi)`` with phi >= 1 weighs an outcome by its share of
independent information. For a graded outcome the value is taken on the straight line between
those of 0 and 1: the power is concave, so the line lies below it and the mean stays at
most 1. So every value is ``at_zero + slope * x``.

References
----------
.. [1] J. Shin, A. Ramdas, A. Rinaldo, "E-detectors: a nonparametric framework for sequential
   change detection", New England Journal of Statistics in Data Science (2024).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Four = tuple[float, ...]  # a number for each bet


class Bets(NamedTuple):
    """Which drops are bet on, small ones first, and how much each bet counts; together 1."""

    drops: Four
    weights: Four


# Drops that are worth finding, from 2.5 points to a third. Twice as many bets, more closely spaced,
# find none of them sooner. A great drop is to be found after dozens of outcomes, where a small
# one takes hundreds whatever its bet counts: so the bold ones count more.
RATE_BETS: Final = Bets((0.025, 0.06, 0.14, 0.32), (0.2, 0.2, 0.25, 0.35))
# Ranks vary a third as much as outcomes of 0 and 1, so that bolder bets pay.
RANK_BETS: Final = Bets((0.06, 0.15, 0.3, 0.48), (0.25, 0.34375, 0.203125, 0.203125))
# The bets whose running totals mark a change point, for a small, a middling and a large drop.
MARKING: Final = (1, 2, 3)

# References are rounded down and tempers up to these grids, so that few sets of values serve a
# whole fleet; both only make the detector more careful, by less than outcomes can tell.
REFERENCE_GRID: Final = 8192
TEMPER_GRID: Final = 16
_LOWEST, _HIGHEST = 0.01, 0.9999
_LEAST_LEFT: Final = 0.02  # of the reference, for a bet below zero makes no sense


class Values(NamedTuple):
    """What an outcome of 0 is worth by bet, how that changes up to one of 1, and the weights."""

    at_zero: Four
    slope: Four
    at_one: Four
    weights: Four


# Next to nothing, for what has been multiplied is divided by later on.
_NOTHING: Final = (0.25,) * 4
NO_VALUES: Final = Values(_NOTHING, (0.0,) * 4, _NOTHING, (0.25,) * 4)
# Of a reference that is too low to be undercut, or not known yet.
NO_GRADE: Final = (0, TEMPER_GRID)

Grade = tuple[int, int]  # a reference and a temper, in steps of their grids


def grade(reference: float | None, temper: float) -> Grade:
    """Return a reference and its temper on the grids of ``values``."""
    if reference is None or reference < _LOWEST:
        return NO_GRADE
    return int(min(reference, _HIGHEST) * REFERENCE_GRID), -int(-temper * TEMPER_GRID // 1)


def grades_of(references: Floats, tempers: Floats) -> list[Grade]:
    """Return ``grade`` of each; NaN where there is no reference."""
    known = references >= _LOWEST  # not so where it is NaN
    lows = (np.minimum(np.where(known, references, 0.0), _HIGHEST) * REFERENCE_GRID).astype(int)
    highs = np.where(known, np.ceil(tempers * TEMPER_GRID), TEMPER_GRID).astype(int)
    return list(zip(lows.tolist(), highs.tolist(), strict=True))


def values(of: Grade, bets: Bets) -> Values:
    """Return the values of outcomes under a reference; next to no evidence under none.

    Examples
    --------
    A failure speaks for a drop, a success against it; at a rate of 90 % they balance.

    >>> bold = values(grade(0.9, 1.0), RATE_BETS)
    >>> round(bold.at_zero[2], 2), round(bold.at_one[2], 2)
    (2.4, 0.84)
    >>> round(0.1 * bold.at_zero[2] + 0.9 * bold.at_one[2], 3)
    1.0
    """
    return NO_VALUES if of == NO_GRADE else _values(*of, bets)


# 2 MB when full: a bank keeps what its streams are worth itself.
@lru_cache(maxsize=4096)
def _values(low: int, high: int, bets: Bets) -> Values:
    p0, share = low / REFERENCE_GRID, TEMPER_GRID / high
    at_zero, at_one = [], []
    for drop in bets.drops:
        bet = (p0 - max(p0 - drop, _LEAST_LEFT * p0)) / (p0 * (1.0 - p0))
        at_zero.append((1.0 + bet * p0) ** share)
        at_one.append((1.0 + bet * (p0 - 1.0)) ** share)
    slope = tuple(one - zero for zero, one in zip(at_zero, at_one, strict=True))
    # An outcome of 1 is computed by the line, too, wherever it is met.
    ends = tuple(zero + up * 1.0 for zero, up in zip(at_zero, slope, strict=True))
    return Values(tuple(at_zero), slope, ends, bets.weights)

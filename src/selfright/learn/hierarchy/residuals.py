"""Intervals from where past targets fell around what is believed: residual quantiles.

No shape is assumed. The residuals of an arm are read from its histograms, each cell's
around its own mean. Those of the arm's other groups count for at most ``_BORROWED``
samples and the fleet's for ``_FLEET``, so a young cell has an interval at once and an
old one its own. The uncertainty of the mean itself is added in quadrature.

In the manner of conformal prediction the quantiles are those of n residuals and one more
to come. Residuals are around the mean as it is believed now, so that coverage is
approximate; it is measured, also after drift and under heavy tails.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from selfright.learn.hierarchy.belief import ShrunkBelief
from selfright.learn.hierarchy.histogram import Histogram
from selfright.learn.hierarchy.normal import reach

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

_BORROWED: Final = 40.0
_FLEET: Final = 10.0
# An arm with more samples than this in a group needs nobody else's.
_ENOUGH: Final = 300.0
# Arms whose residuals stand for the fleet's, what each may count for, and what the
# expectation counts for that residuals are about normal.
_FLEET_ARMS: Final = 32
_FLEET_ARM_WEIGHT: Final = 50.0
_EXPECTED_WEIGHT: Final = 20.0
# Points that stand for a distribution.
_POINTS: Final = (np.arange(100) + 0.5) / 100
# Where in its bin a target is thought to lie, in widths: on the centre if scores tend to
# lie there, else anywhere.
_ON_CENTRE: Final = np.zeros(1)
_ANYWHERE: Final = np.array([-0.375, -0.125, 0.125, 0.375])
# The logistic distribution function follows the normal one within .01 at this scale.
_LOGISTIC: Final = 1.0 / 1.702
# The fleet's residuals are counted within 10 standard deviations, to a twentieth of one.
_GRID_WIDTH: Final = 0.05
_GRID_REACH: Final = 200
_GRID: Final = np.linspace(-_GRID_REACH, _GRID_REACH, 2 * _GRID_REACH + 1) * _GRID_WIDTH


@dataclass(frozen=True, slots=True)
class Points:
    """Residuals with their weights, position of the arm they belong to, and its noise."""

    off: Floats
    weight: Floats
    arm: Ints
    noise: Floats


class Residuals:
    """Residual quantiles of arms in groups; a view, like the belief it belongs to.

    Parameters
    ----------
    arms, groups
        Their indices in canonical order.
    coverage
        Nominal coverage of the intervals.
    """

    def __init__(
        self,
        histogram: Histogram,
        belief: ShrunkBelief,
        arms: Ints,
        groups: Ints,
        coverage: float,
    ) -> None:
        self._histogram, self._belief = histogram, belief
        self._arms, self._groups = arms[:_FLEET_ARMS], groups
        self._missed, self._reach = (1.0 - coverage) / 2, reach(coverage)

    def interval(self, row: int, col: int) -> tuple[float, float, float]:
        """Return mean, lower and upper end for an arm in a group; -1: never seen."""
        mean, var, noise = (
            float(x[0]) for x in self._belief.of_pairs(np.array([row]), np.array([col]))
        )
        mine = self._points(np.array([row]), np.array([col]))
        off, weight = mine.off, mine.weight
        if float(weight.sum()) < _ENOUGH:
            others = self._points(np.array([row]), self._groups[self._groups != col])
            share = min(1.0, _BORROWED / max(1.0, float(others.weight.sum())))
            fleet = np.full(len(_POINTS), _FLEET / len(_POINTS))
            off = np.concatenate([off, others.off, self._of_fleet * sqrt(noise)])
            weight = np.concatenate([weight, others.weight * share, fleet])
        n = float(weight.sum())
        outside = max(0.0, self._missed * (n + 1.0) - 0.5) / n
        ends = np.array([outside, 1.0 - outside])
        if self._histogram.bins.atoms:
            low, high = crossed(off, weight, ends)
            half = self._histogram.bins.width / 2
        else:
            low, high = quantiles(off, weight, ends)
            half = 0.0
        below, above = max(0.0, half - low), max(0.0, half + high)
        spread = self._reach * sqrt(var)
        return mean, mean - sqrt(below**2 + spread**2), mean + sqrt(above**2 + spread**2)

    @cached_property
    def _of_fleet(self) -> Floats:
        """Residuals of the fleet in units of each arm's noise, as points of equal weight."""
        found = self._points(self._arms, self._groups)
        total = np.bincount(found.arm, found.weight, len(self._arms))
        scale = np.minimum(1.0, _FLEET_ARM_WEIGHT / np.maximum(total, 1.0))
        normal = np.log(_POINTS / (1.0 - _POINTS)) * _LOGISTIC
        # Counted on a grid, for sorting some ten thousand points would take milliseconds.
        place = np.append(found.off / np.sqrt(found.noise), normal) / _GRID_WIDTH
        counted = np.bincount(
            np.clip(np.rint(place), -_GRID_REACH, _GRID_REACH).astype(np.int64) + _GRID_REACH,
            np.append(
                found.weight * scale[found.arm],
                np.full(len(normal), _EXPECTED_WEIGHT / len(normal)),
            ),
            2 * _GRID_REACH + 1,
        )
        return quantiles(_GRID, counted.astype(np.float64), _POINTS)

    def _points(self, rows: Ints, cols: Ints) -> Points:
        """Return the residuals of all targets of these arms in these groups."""
        cell, centre, count = self._histogram.of_cells(rows, cols)
        cells, which = np.unique(cell, return_inverse=True)
        arm, group = np.divmod(cells, max(1, len(cols)))
        mean, _, noise = self._belief.of_pairs(rows[arm], cols[group])
        bins = self._histogram.bins
        inside = _ON_CENTRE if bins.atoms else _ANYWHERE
        off = (centre - mean[which])[:, None] + bins.width * inside
        spread = len(inside)
        return Points(
            off.ravel(),
            np.repeat(count / spread, spread),
            np.repeat(arm[which], spread),
            np.repeat(noise[which], spread),
        )


def quantiles(values: Floats, weight: Floats, levels: Floats) -> Floats:
    """Return weighted quantiles, interpolated between the midpoints of the weights."""
    order = np.argsort(values, kind="stable")
    ordered = weight[order]
    below = np.cumsum(ordered) - ordered / 2
    found: Floats = np.interp(levels * float(ordered.sum()), below, values[order])
    return found


def crossed(values: Floats, weight: Floats, levels: Floats) -> Floats:
    """Return weighted quantiles that are values themselves: the first to reach the level.

    Where many scores are equal, an interpolated quantile may lie just inside of them.
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weight[order])
    place = np.searchsorted(reached, levels * reached[-1])
    found: Floats = values[order][np.minimum(place, len(values) - 1)]
    return found

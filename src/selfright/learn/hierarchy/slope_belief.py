"""What the sums of ``slopes`` tell: which features are used, and how much each changes an arm.

**A feature has to earn its place.** Under the claim that a feature says nothing, the squared
correlations of all arms with it add up to about the number of arms; a feature is used once the
sum is three standard deviations beyond that. By how much the slopes of a feature scatter is read
from the same sums (method of moments), and that is what slopes are shrunk by. Both are functions
of the sums alone: no order of arrival, no way of batching changes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from selfright.learn.hierarchy.within import Within

if TYPE_CHECKING:
    from selfright.learn.hierarchy.slopes import Slopes

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

# Samples without which an arm says nothing about slopes.
_FEWEST: Final = 3.0
# Standard deviations of chance that a feature must be beyond.
_EARNED: Final = 3.0
_SMALLEST: Final = 1e-9
# What a standard deviation of a feature in use is at least thought to change in an arm that is
# hardly known: where arms are chosen by what they do best, the slopes that were seen are small.
_LEAST_SLOPE: Final = 0.1
# Samples that pull the mean features of a group towards the fleet's.
_PULL: Final = 5.0


@dataclass(frozen=True, slots=True)
class Noise:
    """Expected variance of a target within a group, and for how many samples it counts."""

    variance: float
    weight: float


@dataclass(frozen=True, slots=True, eq=False)
class Common:
    """What the arms' slopes have in common.

    Attributes
    ----------
    used
        Features that earned their place, by index, in canonical order, int64[u].
    centre
        Their means over the fleet, float64[u].
    precision
        One over the variance of their slopes among arms, float64[u].
    """

    used: Ints
    centre: Floats
    precision: Floats

    @property
    def key(self) -> bytes:
        """Equal for equal ``used`` and ``precision``."""
        return self.used.tobytes() + self.precision.tobytes()


def slope_belief(slopes: Slopes, arms: Ints, groups: Ints, noise: Noise) -> SlopeBelief | None:
    """Return what is believed of slopes, None where no feature has earned its place.

    Parameters
    ----------
    arms
        From whom it is learnt which features matter, in canonical order.
    groups
        All, in canonical order.
    """
    within = _moments(slopes, groups, noise)
    shared = _common(slopes, within, arms)
    return None if shared is None else SlopeBelief(slopes, _solved(slopes, within, shared), shared)


class SlopeBelief:
    """Posterior of the slopes of arms, given what they have in common."""

    def __init__(self, slopes: Slopes, within: Within, shared: Common) -> None:
        self._slopes, self._within, self._shared = slopes, within, shared

    def at(self, rows: Ints, cols: Ints, features: Floats) -> tuple[Floats, Floats]:
        """Return what features add to the mean and the variance of cells, float64[k] each.

        Parameters
        ----------
        features
            By column of ``Slopes``, float64[k, d], or [1, d] for one task.
        """
        shared, slopes, within = self._shared, self._slopes, self._within
        task = features[:, shared.used]
        seen = slopes.x[rows, cols][:, shared.used] + _PULL * shared.centre
        around = task - seen / (slopes.n[rows, cols] + _PULL)[:, None]
        added = ((task - shared.centre) * within.slope[rows]).sum(axis=1)
        turned = np.matmul(within.spread[rows], around[:, :, None])[:, :, 0]
        return added, (turned * around).sum(axis=1)

    def taken(self, rows: Ints, cols: Ints) -> Floats:
        """Return what features explain of the sums of cells; rows and columns are broadcast."""
        within, usual = self._within, (self._within.slope[rows] * self._shared.centre).sum(axis=-1)
        found: Floats = within.fitted[rows, cols] - self._slopes.n[rows, cols] * usual
        return found

    def explained(self, rows: Ints) -> Floats:
        """Return what features explain of the squares within the groups of arms, float64[k]."""
        return self._within.explained[rows]

    def named(self, row: int) -> dict[str, tuple[float, float]]:
        """Return the slope of an arm and the value at which it adds nothing, by feature."""
        names = [self._slopes.names.names[i] for i in self._shared.used.tolist()]
        slope, centre = self._within.slope[row].tolist(), self._shared.centre.tolist()
        return dict(zip(names, zip(slope, centre, strict=True), strict=True))


def _moments(slopes: Slopes, groups: Ints, noise: Noise) -> Within:
    """Return what varies within the groups of the arms; ``groups`` in canonical order."""
    within = slopes.within
    if within is None:
        within = slopes.within = Within.of(*slopes.n.shape, len(slopes.names))
    stale = within.stale.nonzero()[0]
    order = slopes.names.order()
    for row in stale.tolist():
        _centre(slopes, within, row, groups[slopes.n[row, groups] > 0.0], order, noise)
    within.stale[stale] = False
    return within


def _centre(
    slopes: Slopes, within: Within, row: int, some: Ints, order: Ints, noise: Noise
) -> None:
    """Work out the moments of an arm from the groups in which it has samples."""
    # Products of means are rounded, so groups and features are taken in canonical order: once
    # saved and loaded they lie in another one, and the last bits must not tell.
    n, s = slopes.n[row].take(some), slopes.s[row].take(some)
    x = slopes.x[row].take(some, axis=0).take(order, axis=1)
    mean = x / n[:, None]
    raw = slopes.xx[row]
    xx, xy = within.xx[row], within.xy[row]
    xx[:], xy[:] = raw, slopes.xy[row]
    xx[order[:, None], order] -= mean.T @ x
    xy[order] -= mean.T @ s
    freedom = max(float(n.sum()) - len(some), 0.0)
    rest = max(float(slopes.q[row].take(some).sum()) - float((s * s / n).sum()), 0.0)
    v = max((rest + noise.variance * noise.weight) / (freedom + noise.weight), _SMALLEST)
    within.noise[row] = v
    within.seen[row] = slopes.x[row].sum(axis=0), raw.diagonal()
    within.told[row] = 0.0
    if freedom >= _FEWEST:
        square = xx.diagonal()
        varies = square > _SMALLEST
        square = np.where(varies, square, 1.0)
        pull = xy * xy
        tells = pull / (v * square)
        excess, weight = (pull / v - square) / v, (square / v) ** 2
        within.told[row] = np.where(varies, (np.ones(len(xy)), tells, excess, weight), 0.0)


def _common(slopes: Slopes, within: Within, arms: Ints) -> Common | None:
    """Return which features are used, and how the slopes of these arms scatter."""
    varying, tells, excess, weight = within.told[arms].sum(axis=0)
    earned = tells > varying + _EARNED * np.sqrt(2.0 * varying)
    order = slopes.names.order()
    used = order[earned[order]]
    if not len(used):
        return None
    n = float(slopes.n.sum())
    total, square = within.seen.sum(axis=0)[:, used]
    centre = total / n
    spread = np.maximum(square / n - centre * centre, _SMALLEST)
    scatter = np.maximum(excess[used] / weight[used], _LEAST_SLOPE**2 / spread)
    # In steps of half an octave: seldom another number, so that little is worked out anew.
    precision = 2.0 ** (np.rint(-2.0 * np.log2(scatter)) / 2.0)
    return Common(used, centre, precision)


def _solved(slopes: Slopes, within: Within, shared: Common) -> Within:
    """Work out the slopes of arms that have learnt, or of all if what they share has changed."""
    used, arms, key = shared.used, len(within.noise), shared.key
    if within.key != key:
        within.key, within.unsolved[:] = key, True
        within.slope = np.zeros((arms, len(used)))
        within.spread = np.zeros((arms, len(used), len(used)))
    pull = np.diag(shared.precision)
    # One after the other: the last bits of a batch might depend on its size.
    for row in within.unsolved.nonzero()[0].tolist():
        xx = within.xx[row].take(used, axis=0).take(used, axis=1)
        xy, noise = within.xy[row].take(used), within.noise[row]
        spread = np.linalg.inv(xx / noise + pull)
        slope = spread @ (xy / noise)
        within.spread[row], within.slope[row] = spread, slope
        within.explained[row] = slope @ (2.0 * xy - xx @ slope)
        within.fitted[row] = (slopes.x[row].take(used, axis=1) * slope).sum(axis=1)
        within.unsolved[row] = False
    return within

"""How targets depend on the features of a task: exact moments per arm, and what they tell.

Of each arm are kept the sums of the features, of their products and of their products with the
target. What varies with the features *within* an arm's groups gives the arm's slopes, by ridge
regression; groups and the arm itself are the matter of ``shrinkage``.

**A feature has to earn its place.** Under the claim that a feature says nothing, the squared
correlations of all arms with it add up to about the number of arms; a feature is used once the
sum is three standard deviations beyond that. By how much the slopes of a feature scatter is read
from the same sums (method of moments), and that is what slopes are shrunk by. Both are functions
of the sums alone: no order of arrival, no way of batching changes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from selfright.learn.features import Features
from selfright.learn.hierarchy.cells import State, column
from selfright.learn.hierarchy.feature_names import FeatureNames

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

_GRAIN: Final = 2.0**20
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
_FIELDS: Final = ("n", "s", "q", "x", "xx", "xy")


class Slopes:
    """Sums over the samples that have features, by index of arm and group as in ``Cells``.

    Notes
    -----
    ``n``, ``s``, ``q``: count, sum and squares per arm and group; ``x``: sums of the features
    per arm, group and feature; ``xx``, ``xy``: of their products per arm. 8 (d^2 + d (groups + 1))
    bytes an arm for d features, nothing at all while no sample has any. Some 6 us a sample.
    """

    def __init__(self, limit: int) -> None:
        self.names = FeatureNames(limit)
        self.n, self.s, self.q = (np.zeros((1, 1)) for _ in range(3))
        self.x = np.zeros((1, 1, 0))
        self.xx, self.xy = np.zeros((1, 0, 0)), np.zeros((1, 0))
        # What follows from the sums; void, arm by arm, with the next sample.
        self.within: Within | None = None

    def __bool__(self) -> bool:
        return len(self.names) > 0

    def vector(self, features: Features | None) -> Floats | None:
        """Return the features in the order of the columns, float64[d]; None if none is known."""
        return self.names.vector(features) if features and self else None

    def add(
        self, rows: Ints, cols: Ints, y: Floats, weight: Floats, features: list[Features | None]
    ) -> None:
        """Learn samples; what has no features is passed over."""
        for row, col, target, times, of in zip(
            rows.tolist(), cols.tolist(), y.tolist(), weight.tolist(), features, strict=True
        ):
            if of:
                self.add_one(row, col, target, times, of)

    def add_one(self, row: int, col: int, y: float, weight: float, of: Features) -> None:
        """Learn one sample."""
        self._admit(of)
        found = self.names.vector(of)
        if found is None:
            return
        self.n[row, col] += weight
        self.s[row, col] += weight * y
        self.q[row, col] += weight * round(y * y * _GRAIN) / _GRAIN
        self.x[row, col] += weight * found
        self.xx[row] += weight * np.multiply.outer(found, found)
        self.xy[row] += weight * np.rint(found * (y * _GRAIN)) / _GRAIN
        self._void(row)

    def _admit(self, of: Features) -> None:
        moved = self.names.admit(of)
        if moved is not None:
            self._move(moved)

    def drop_unused(self) -> None:
        """Drop features of which nothing is left once samples were taken back or set aside."""
        held = self.xx.diagonal(axis1=1, axis2=2).any(axis=0)
        if not held.all():
            # Where samples are owed, squares may cancel out.
            held |= self.x.any(axis=(0, 1)) | self.xx.any(axis=(0, 1)) | self.xy.any(axis=0)
        if not held.all():
            self._move(self.names.keep(np.flatnonzero(held)))

    def _move(self, moved: Ints) -> None:
        """Bring the columns to their new places; -1 drops."""
        kept, wide = np.flatnonzero(moved >= 0), len(self.names)
        x = np.zeros((*self.x.shape[:2], wide))
        x[:, :, moved[kept]] = self.x[:, :, kept]
        xx = np.zeros((len(self.xx), wide, wide))
        xx[np.ix_(np.arange(len(xx)), moved[kept], moved[kept])] = self.xx[
            np.ix_(np.arange(len(xx)), kept, kept)
        ]
        xy = np.zeros((len(self.xy), wide))
        xy[:, moved[kept]] = self.xy[:, kept]
        self.x, self.xx, self.xy = x, xx, xy
        self._void_all()

    # ---- as ``Cells`` ----------------------------------------------------------------

    def grow(self, arms: int, groups: int) -> None:
        """Make room for ``arms`` rows and ``groups`` columns, the empty last ones included."""
        for name in _FIELDS:
            old = getattr(self, name)
            shape = (
                (arms, *old.shape[1:]) if name in {"xx", "xy"} else (arms, groups, *old.shape[2:])
            )
            new = np.zeros(shape)
            new[tuple(slice(0, size) for size in old.shape)] = old
            setattr(self, name, new)
        self._void_all()

    def clear(self, rows: Ints, cols: Ints) -> None:
        """Forget arms wholly; of groups all arms that were seen in them."""
        also = np.flatnonzero((self.n[:, cols] != 0.0).any(axis=1)) if len(cols) else cols
        for row in np.union1d(rows, also).tolist():
            for name in _FIELDS:
                getattr(self, name)[row] = 0.0
            self._void(row)

    def remap(self, rows: Ints, cols: Ints, arms: int, groups: int) -> None:
        """Move arms and groups to new places; -1 drops, equal ones are pooled."""
        kept_rows, kept_cols = np.flatnonzero(rows >= 0), np.flatnonzero(cols >= 0)
        at, to = np.ix_(kept_rows, kept_cols), np.ix_(rows[kept_rows], cols[kept_cols])
        for name in _FIELDS:
            old = getattr(self, name)
            if name in {"xx", "xy"}:
                new = np.zeros((arms, *old.shape[1:]))
                np.add.at(new, rows[kept_rows], old[kept_rows])
            else:
                new = np.zeros((arms, groups, *old.shape[2:]))
                np.add.at(new, to, old[at])
            setattr(self, name, new)
        self._void_all()

    def take_in(self, later: Slopes, rows: Ints, cols: Ints) -> None:
        """Add the sums of ``later``, whose arms and groups have these places here."""
        if not later:
            return
        self._admit(dict.fromkeys(later.names.names, 0.0))
        mine = self.names.find_all(later.names.names)
        theirs = np.flatnonzero(mine >= 0)
        mine = mine[theirs]
        arms, groups = np.arange(len(rows)), np.arange(len(cols))
        for name in ("n", "s", "q"):
            np.add.at(
                getattr(self, name), np.ix_(rows, cols), getattr(later, name)[np.ix_(arms, groups)]
            )
        np.add.at(self.x, np.ix_(rows, cols, mine), later.x[np.ix_(arms, groups, theirs)])
        np.add.at(self.xx, np.ix_(rows, mine, mine), later.xx[np.ix_(arms, theirs, theirs)])
        np.add.at(self.xy, np.ix_(rows, mine), later.xy[np.ix_(arms, theirs)])
        self._void_all()

    def copy(self) -> Self:
        """Return slopes that learn apart from these."""
        other = type(self)(self.names.limit)
        other.names = self.names.copy()
        for name in _FIELDS:
            setattr(other, name, getattr(self, name).copy())
        return other

    def to_state(self, rows: Ints, cols: Ints) -> State:
        """Return all sums with arms, groups and features in canonical order."""
        if not self:
            return {}
        order = self.names.order()
        x = self.x[np.ix_(rows, cols, order)]
        xx = self.xx[np.ix_(rows, order, order)]
        state: State = {"features": [self.names.names[i] for i in order.tolist()]}
        for name in ("n", "s", "q"):
            state[f"feature_{name}"] = getattr(self, name)[np.ix_(rows, cols)].reshape(-1)
        state["feature_x"] = x.reshape(-1)
        state["feature_xx"] = xx.reshape(-1)
        state["feature_xy"] = self.xy[np.ix_(rows, order)].reshape(-1)
        return state

    def load(self, state: State, arms: int, groups: int) -> None:
        """Take over what ``to_state`` returned; raise ``ValueError`` where it cannot be."""
        names = state.get("features", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("features must be a list of names")
        if len(set(names)) != len(names) or len(names) > self.names.limit:
            raise ValueError("features holds a name twice, or more than the settings allow")
        if not names:
            return
        self._admit(dict.fromkeys(names, 0.0))
        d, at = len(names), self.names.find_all(names)
        rows, cols = np.arange(arms), np.arange(groups)
        for name in ("n", "s", "q"):
            values = column(state, f"feature_{name}", np.float64, arms * groups)
            getattr(self, name)[:arms, :groups] = values.reshape(arms, groups)
        x = column(state, "feature_x", np.float64, arms * groups * d)
        self.x[np.ix_(rows, cols, at)] = x.reshape(arms, groups, d)
        xx = column(state, "feature_xx", np.float64, arms * d * d)
        self.xx[np.ix_(rows, at, at)] = xx.reshape(arms, d, d)
        xy = column(state, "feature_xy", np.float64, arms * d)
        self.xy[np.ix_(rows, at)] = xy.reshape(arms, d)

    def swap(self, row: int, other: int) -> None:
        """Exchange what is known of two arms."""
        for name in _FIELDS:
            values = getattr(self, name)
            values[[row, other]] = values[[other, row]]
        self._void(row)
        self._void(other)

    def _void(self, row: int) -> None:
        if self.within is not None:
            self.within.stale[row] = self.within.unsolved[row] = True

    def _void_all(self) -> None:
        self.within = None

    # ---- what they tell --------------------------------------------------------------

    def moments(self, groups: Ints, noise: float, noise_weight: float) -> Within:
        """Return what varies within the groups of the arms; ``groups`` in canonical order."""
        within = self.within
        if within is None:
            within = self.within = Within.of(len(self.n), len(self.names))
        order = self.names.order()
        for row in np.flatnonzero(within.stale).tolist():
            self._centre(row, (groups, order), within, noise, noise_weight)
        within.stale[:] = False
        return within

    def _centre(
        self, row: int, canonical: tuple[Ints, Ints], within: Within, noise: float, weight: float
    ) -> None:
        # Products of means are rounded, so groups and features are taken in canonical order: once
        # saved and loaded they lie in another one, and the last bits must not tell.
        groups, order = canonical
        some = groups[self.n[row, groups] > 0.0]
        n, s, x = self.n[row, some], self.s[row, some], self.x[row][np.ix_(some, order)]
        mean = x / n[:, None]
        within.xx[row] = self.xx[row]
        within.xx[row][np.ix_(order, order)] -= mean.T @ x
        within.xy[row] = self.xy[row]
        within.xy[row, order] -= mean.T @ s
        freedom = max(float(n.sum()) - len(some), 0.0)
        rest = max(float(self.q[row, some].sum()) - float((s * s / n).sum()), 0.0)
        within.noise[row] = max((rest + noise * weight) / (freedom + weight), _SMALLEST)
        within.known[row] = freedom >= _FEWEST


@dataclass(slots=True, eq=False)
class Within:
    """Moments of all arms around the means of their groups, and the slopes that follow.

    Attributes
    ----------
    xx, xy
        Of the features with each other and with the target, float64[arms, d, d], [arms, d].
    noise
        Variance of the target, shrunk, float64[arms].
    known
        Whether there are enough samples to tell anything, bool[arms].
    stale
        Arms whose moments are to be worked out anew; ``unsolved``: whose slopes are.
    key, slope, spread, explained
        What was solved: for which features and precisions, mean and covariance of the slopes,
        and what they explain of the squares.
    """

    xx: Floats
    xy: Floats
    noise: Floats
    known: npt.NDArray[np.bool_]
    stale: npt.NDArray[np.bool_]
    unsolved: npt.NDArray[np.bool_]
    key: bytes
    slope: Floats
    spread: Floats
    explained: Floats

    @classmethod
    def of(cls, arms: int, d: int) -> Self:
        """Return moments that are all to be worked out."""
        return cls(
            np.zeros((arms, d, d)), np.zeros((arms, d)), np.ones(arms), np.zeros(arms, np.bool_),
            np.ones(arms, np.bool_), np.ones(arms, np.bool_), b"",
            np.zeros((arms, 0)), np.zeros((arms, 0, 0)), np.zeros(arms),
        )  # fmt: skip


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
    key
        Equal for equal ``used`` and ``precision``.
    """

    used: Ints
    centre: Floats
    precision: Floats
    key: bytes


def common(slopes: Slopes, rows: Ints, groups: Ints, noise: float, noise_weight: float) -> Common:
    """Return which features are used, and how the slopes of these arms scatter."""
    within = slopes.moments(groups, noise, noise_weight)
    rows = rows[within.known[rows]]
    v = within.noise[rows, None]
    square = within.xx[rows].diagonal(axis1=1, axis2=2)
    varies = square > _SMALLEST
    square = np.where(varies, square, 1.0)
    pull = within.xy[rows] ** 2
    tells = np.where(varies, pull / (v * square), 0.0).sum(axis=0)
    arms = varies.sum(axis=0)
    earned = (arms > 0) & (tells > arms + _EARNED * np.sqrt(2.0 * arms))
    order = slopes.names.order()
    used = order[earned[order]]
    if not len(used):
        return Common(used, np.zeros(0), np.zeros(0), b"")
    v2 = v * v
    excess = np.where(varies, pull / v2 - square / v, 0.0).sum(axis=0)[used]
    weight = np.where(varies, square * square / v2, 0.0).sum(axis=0)[used]
    n, total = float(slopes.n.sum()), slopes.x.sum(axis=(0, 1))[used]
    centre = total / n
    spread = slopes.xx.sum(axis=0)[used, used] / n - centre * centre
    scatter = np.maximum(excess / weight, _LEAST_SLOPE**2 / np.maximum(spread, _SMALLEST))
    # In steps of half an octave: seldom another number, so that little is worked out anew.
    precision = 2.0 ** (np.rint(-2.0 * np.log2(scatter)) / 2.0)
    return Common(used, centre, precision, used.tobytes() + precision.tobytes())


class SlopeBelief:
    """Posterior of the slopes of arms, given what they have in common."""

    def __init__(
        self, slopes: Slopes, shared: Common, groups: Ints, noise: float, noise_weight: float
    ) -> None:
        self._slopes, self._shared = slopes, shared
        self._within = _solved(slopes.moments(groups, noise, noise_weight), shared)

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
        """Return what features explain of the sums of cells, float64[k]."""
        shared, slopes = self._shared, self._slopes
        off = slopes.x[rows, cols][:, shared.used] - slopes.n[rows, cols, None] * shared.centre
        found: Floats = (off * self._within.slope[rows]).sum(axis=1)
        return found

    def explained(self, rows: Ints) -> Floats:
        """Return what features explain of the squares within the groups of arms, float64[k]."""
        return self._within.explained[rows]

    def named(self, row: int) -> dict[str, tuple[float, float]]:
        """Return the slope of an arm and the value at which it adds nothing, by feature."""
        names = [self._slopes.names.names[i] for i in self._shared.used.tolist()]
        slope, centre = self._within.slope[row].tolist(), self._shared.centre.tolist()
        return dict(zip(names, zip(slope, centre, strict=True), strict=True))


def _solved(within: Within, shared: Common) -> Within:
    """Work out the slopes of arms that have learnt, or of all if what they share has changed."""
    used, arms = shared.used, len(within.noise)
    if within.key != shared.key:
        within.key, within.unsolved[:] = shared.key, True
        within.slope = np.zeros((arms, len(used)))
        within.spread = np.zeros((arms, len(used), len(used)))
    rows = np.flatnonzero(within.unsolved)
    if len(rows):
        xx = within.xx[rows[:, None, None], used[:, None], used]
        xy, noise = within.xy[rows[:, None], used], within.noise[rows]
        # One after the other: the last bits of a batch might depend on its size.
        for at, row in enumerate(rows.tolist()):
            spread = np.linalg.inv(xx[at] / noise[at] + np.diag(shared.precision))
            slope = spread @ (xy[at] / noise[at])
            within.spread[row], within.slope[row] = spread, slope
            within.explained[row] = slope @ (2.0 * xy[at] - xx[at] @ slope)
        within.unsolved[:] = False
    return within

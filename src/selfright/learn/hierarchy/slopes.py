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
        # What was derived of an arm; void with its next sample.
        self.derived: dict[int, Within] = {}
        self.solved: dict[int, tuple[bytes, Floats, Floats]] = {}

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
                self._add_one(row, col, target, times, of)

    def _add_one(self, row: int, col: int, y: float, weight: float, of: Features) -> None:
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
        if moved is None:
            return
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
            shape = (arms, *old.shape[1:]) if name in {"xx", "xy"} else (arms, groups, *old.shape[2:])
            new = np.zeros(shape)
            new[tuple(slice(0, size) for size in old.shape)] = old
            setattr(self, name, new)

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
        self.derived.pop(row, None)
        self.solved.pop(row, None)

    def _void_all(self) -> None:
        self.derived.clear()
        self.solved.clear()

    # ---- what they tell --------------------------------------------------------------

    def within(self, row: int, noise: float, noise_weight: float) -> Within:
        """Return what varies within the groups of an arm."""
        found = self.derived.get(row)
        if found is None:
            found = self.derived[row] = _within(
                self.n[row], self.s[row], self.q[row], self.x[row], self.xx[row], self.xy[row],
                noise, noise_weight,
            )  # fmt: skip
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Within:
    """An arm's moments around the means of its groups.

    Attributes
    ----------
    xx, xy
        Of the features with each other and with the target, float64[d, d] and [d].
    noise
        Variance of the target, shrunk.
    known
        Whether there are enough samples to tell anything.
    """

    xx: Floats
    xy: Floats
    noise: float
    known: bool


def _within(
    n: Floats, s: Floats, q: Floats, x: Floats, xx: Floats, xy: Floats, noise: float, weight: float
) -> Within:
    some = np.flatnonzero(n > 0.0)
    n, s, x = n[some], s[some], x[some]
    mean = x / n[:, None]
    centred = xx - mean.T @ x
    with_target = xy - mean.T @ s
    freedom = max(float(n.sum()) - len(some), 0.0)
    rest = max(float(q[some].sum()) - float((s * s / n).sum()), 0.0)
    variance = (rest + noise * weight) / (freedom + weight)
    return Within(centred, with_target, max(variance, _SMALLEST), freedom >= _FEWEST)


@dataclass(frozen=True, slots=True, eq=False)
class Common:
    """What the arms' slopes have in common.

    Attributes
    ----------
    used
        Features that earned their place, by index, int64[u].
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


def common(slopes: Slopes, rows: Ints, noise: float, noise_weight: float) -> Common:
    """Return which features are used, and how the slopes of these arms scatter."""
    found = [slopes.within(row, noise, noise_weight) for row in rows.tolist()]
    found = [one for one in found if one.known]
    if not found:
        nothing = np.zeros(0)
        return Common(np.zeros(0, dtype=np.int64), nothing, nothing, b"")
    v = np.array([one.noise for one in found])[:, None]
    square = np.array([one.xx.diagonal() for one in found])
    pull = np.array([one.xy for one in found])
    varies = square > _SMALLEST
    square = np.where(varies, square, 1.0)
    tells = np.where(varies, pull * pull / (v * square), 0.0).sum(axis=0)
    arms = varies.sum(axis=0)
    excess = np.where(varies, pull * pull / (v * v) - square / v, 0.0).sum(axis=0)
    weight = np.where(varies, square * square / (v * v), 0.0).sum(axis=0)
    used = np.flatnonzero((arms > 0) & (tells > arms + _EARNED * np.sqrt(2.0 * arms)))
    scatter = excess[used] / weight[used]
    # In steps of half an octave: seldom another number, so that little is worked out anew.
    precision = 2.0 ** (np.rint(-2.0 * np.log2(scatter)) / 2.0)
    n = float(slopes.n.sum())
    centre = slopes.x.sum(axis=(0, 1))[used] / n if n > 0.0 else np.zeros(len(used))
    return Common(used, centre, precision, used.tobytes() + precision.tobytes())


class SlopeBelief:
    """Posterior of the slopes of arms, given what they have in common."""

    def __init__(self, slopes: Slopes, shared: Common, noise: float, noise_weight: float) -> None:
        self._slopes, self._shared = slopes, shared
        self._noise = noise, noise_weight

    def at(self, rows: Ints, cols: Ints, features: Floats) -> tuple[Floats, Floats]:
        """Return what features add to the mean and the variance of cells, float64[k] each.

        Parameters
        ----------
        features
            By column of ``Slopes``, float64[k, d], or [1, d] for one task.
        """
        shared, slopes = self._shared, self._slopes
        task = features[:, shared.used]
        of = [self._of(row) for row in rows.tolist()]
        slope, spread = np.array([one[0] for one in of]), np.array([one[1] for one in of])
        seen = slopes.x[rows, cols][:, shared.used] + _PULL * shared.centre
        around = task - seen / (slopes.n[rows, cols] + _PULL)[:, None]
        added = np.einsum("ku,ku->k", np.broadcast_to(task - shared.centre, slope.shape), slope)
        return added, np.einsum("ku,kuv,kv->k", around, spread, around)

    def taken(self, rows: Ints, cols: Ints) -> Floats:
        """Return what features explain of the sums of cells, float64[k]."""
        shared, slopes = self._shared, self._slopes
        slope = np.array([self._of(row)[0] for row in rows.tolist()])
        off = slopes.x[rows, cols][:, shared.used] - slopes.n[rows, cols, None] * shared.centre
        return np.einsum("ku,ku->k", off, slope)

    def explained(self, rows: Ints) -> Floats:
        """Return what features explain of the squares within the groups of arms, float64[k]."""
        used, found = self._shared.used, np.zeros(len(rows))
        for i, row in enumerate(rows.tolist()):
            within, slope = self._slopes.within(row, *self._noise), self._of(row)[0]
            inside = within.xx[np.ix_(used, used)] @ slope
            found[i] = slope @ (2.0 * within.xy[used] - inside)
        return found

    def _of(self, row: int) -> tuple[Floats, Floats]:
        """Return mean and covariance of an arm's slopes, float64[u] and [u, u]; -1: any arm."""
        solved, shared = self._slopes.solved, self._shared
        known = solved.get(row)
        if known is not None and known[0] == shared.key:
            return known[1], known[2]
        within = self._slopes.within(row, *self._noise)
        used = shared.used
        inside = within.xx[np.ix_(used, used)] / within.noise
        covariance = np.linalg.inv(inside + np.diag(shared.precision))
        slope = covariance @ (within.xy[used] / within.noise)
        solved[row] = shared.key, slope, covariance
        return slope, covariance

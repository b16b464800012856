"""How targets depend on the features of a task: exact sums per arm.

Of each arm are kept the sums of the features, of their products and of their products with the
target. What varies with the features *within* an arm's groups gives the arm's slopes, by ridge
regression (``slope_belief``); groups and the arm itself are the matter of ``shrinkage``.
"""

from __future__ import annotations

from typing import Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from selfright.learn.features import Features
from selfright.learn.hierarchy.cells import State, column
from selfright.learn.hierarchy.feature_names import FeatureNames
from selfright.learn.hierarchy.within import Within

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

_GRAIN: Final = 2.0**20
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
        # What ``slope_belief`` makes of the sums; void, arm by arm, with the next sample.
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
            self.within.void(row)

    def _void_all(self) -> None:
        self.within = None

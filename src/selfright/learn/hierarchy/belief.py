"""What is believed of every arm in every group, whichever way it was learnt.

A belief is a view of evidence at one moment: it reads the evidence when it is first
asked and is thrown away with the next sample.
"""

from __future__ import annotations

from functools import cached_property
from math import sqrt
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from selfright.learn.features import Features
from selfright.learn.hierarchy.cells import SumCells
from selfright.learn.hierarchy.gradient import GradientCells
from selfright.learn.hierarchy.normal import reach
from selfright.learn.hierarchy.shrinkage import (
    Fleet,
    Prior,
    arm_effects,
    cell_posterior,
    learn_fleet,
    yes_or_no,
)
from selfright.learn.hierarchy.slope_belief import Noise, SlopeBelief, slope_belief
from selfright.learn.hierarchy.slopes import Slopes

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

# Cells from which the fleet is learnt at most: bounds the cost where groups are many.
_LEARNT_FROM_CELLS = 65_536


class Belief(Protocol):
    """Posterior means and variances by index; -1 stands for what was never seen."""

    def of_arms(
        self, rows: Ints, col: int, features: Features | None = None
    ) -> tuple[Floats, Floats]:
        """Return mean and variance of these arms for a task in one group, float64[k] each."""
        ...

    def of_pairs(
        self, rows: Ints, cols: Ints, features: list[Features | None] | None = None
    ) -> tuple[Floats, Floats, Floats]:
        """Return mean, variance and variance of the noise for each pair, float64[n] each."""
        ...


class ShrunkBelief:
    """The hierarchical posterior given sums of evidence.

    Parameters
    ----------
    cells
        The sums; read when asked.
    arms
        Indices of the arms in canonical order, without the pool.
    groups
        Indices of the groups in canonical order.
    owing
        Some cell was told to give back samples before they came.
    slopes
        How targets depend on features; None: not asked.
    """

    def __init__(
        self,
        cells: SumCells,
        arms: Ints,
        groups: Ints,
        prior: Prior,
        *,
        owing: bool,
        slopes: Slopes | None = None,
    ) -> None:
        self._cells, self._prior, self._owing = cells, prior, owing
        self._groups = groups
        self._slopes = slopes
        most = min(prior.learnt_from, max(16, _LEARNT_FROM_CELLS // max(1, len(groups))))
        self._learnt_from = arms[:most]

    @cached_property
    def fleet(self) -> Fleet:
        """What all arms have in common."""
        return learn_fleet(*self._rows(self._learnt_from), self._prior)

    @cached_property
    def slopes(self) -> SlopeBelief | None:
        """How targets depend on features; None where no feature has earned its place."""
        if not self._slopes:
            return None
        noise = Noise(self._prior.noise_sd**2, self._prior.arm_noise_weight)
        return slope_belief(self._slopes, self._learnt_from, self._groups, noise)

    def of_arms(
        self, rows: Ints, col: int, features: Features | None = None
    ) -> tuple[Floats, Floats]:
        """See ``Belief``."""
        mean, var = self._of_arms(rows, col)
        slopes, vector = self.slopes, None
        if slopes is not None and self._slopes is not None:
            vector = self._slopes.vector(features)
        if slopes is None or vector is None:
            return mean, var
        added, more = slopes.at(rows, np.full(len(rows), col), vector[None, :])
        return mean + added, var + more

    def _of_arms(self, rows: Ints, col: int) -> tuple[Floats, Floats]:
        fleet = self.fleet
        believed = arm_effects(*self._rows(rows), fleet, self._prior)
        n, s = self._at(rows, np.full(len(rows), col))
        base = self._base[col]
        if believed.v.shape[1] == 1:
            v = believed.v[:, 0]
        elif col < 0:
            v = fleet.noise * yes_or_no(np.full(len(rows), base))
        else:
            v = believed.v[:, self._place[col]]
        return cell_posterior(n, s, v, base, (believed.effect, believed.var), fleet)

    def of_pairs(
        self, rows: Ints, cols: Ints, features: list[Features | None] | None = None
    ) -> tuple[Floats, Floats, Floats]:
        """See ``Belief``."""
        mean, var, v = self._of_pairs(rows, cols)
        if self.slopes is None or self._slopes is None or features is None:
            return mean, var, v
        vectors = [self._slopes.vector(of) for of in features]
        known = np.array([i for i, vector in enumerate(vectors) if vector is not None], np.int64)
        if len(known):
            at = np.array([vectors[i] for i in known.tolist()])
            added, more = self.slopes.at(rows[known], cols[known], at)
            mean[known] += added
            var[known] += more
        return mean, var, v

    def _of_pairs(self, rows: Ints, cols: Ints) -> tuple[Floats, Floats, Floats]:
        fleet = self.fleet
        arms, which = np.unique(rows, return_inverse=True)
        believed = arm_effects(*self._rows(arms), fleet, self._prior)
        n, s = self._at(rows, cols)
        base = self._base[cols]
        if believed.v.shape[1] == 1:
            v = believed.v[which, 0]
        else:
            v = np.where(
                cols < 0,
                fleet.noise * yes_or_no(base),
                believed.v[which, self._place[cols]] if len(self._groups) else 0.0,
            )
        effects = believed.effect[which], believed.var[which]
        mean, var = cell_posterior(n, s, v, base, effects, fleet)
        return mean, var, v

    @cached_property
    def _base(self) -> Floats:
        """Level plus difficulty by index of the group; the last is that of an unseen one."""
        base = np.full(self._cells.n.shape[1], self.fleet.level)
        base[self._groups] = self.fleet.base
        return base

    @cached_property
    def _place(self) -> Ints:
        """Position in canonical order by index of the group."""
        place = np.zeros(self._cells.n.shape[1], dtype=np.int64)
        place[self._groups] = np.arange(len(self._groups))
        return place

    def _rows(self, rows: Ints) -> tuple[Floats, Floats, Floats]:
        """Return count and sum per arm and group, in canonical order, and squares per arm."""
        at = rows[:, None], self._groups
        n, s = self._counted(self._cells.n[at], self._cells.s[at])
        q = np.add.reduce(self._cells.q[at], axis=1)
        if self.slopes is None or not len(rows):
            return n, s, q
        # As if every task had been a usual one: what the features explain is taken out.
        usual = s - self.slopes.taken(*at)
        many = np.maximum(n, 1.0)
        between = np.add.reduce((usual * usual - s * s) / many, axis=1)
        least = np.add.reduce(usual * usual / many, axis=1)
        return n, usual, np.maximum(q + between - self.slopes.explained(rows), least)

    def _at(self, rows: Ints, cols: Ints) -> tuple[Floats, Floats]:
        """Return count and sum of cells, the sums as ``_rows`` has them."""
        n, s = self._counted(self._cells.n[rows, cols], self._cells.s[rows, cols])
        return (n, s) if self.slopes is None else (n, s - self.slopes.taken(rows, cols))

    def _counted(self, n: Floats, s: Floats) -> tuple[Floats, Floats]:
        """Return count and sum without cells that owe samples."""
        if not self._owing:
            return n, s
        return np.maximum(n, 0.0), np.where(n > 0.0, s, 0.0)


class SteppedBelief:
    """What parameters that were trained by steps predict, with a rough variance."""

    def __init__(self, cells: GradientCells) -> None:
        self._cells = cells

    def of_arms(
        self, rows: Ints, col: int, features: Features | None = None
    ) -> tuple[Floats, Floats]:
        """See ``Belief``. Features are not looked at."""
        del features
        mean, var, _ = self.of_pairs(rows, np.full(len(rows), col))
        return mean, var

    def of_pairs(
        self, rows: Ints, cols: Ints, features: list[Features | None] | None = None
    ) -> tuple[Floats, Floats, Floats]:
        """See ``Belief``. Features are not looked at.

        Steps of constant size are as uncertain as a mean of 2 / step samples.
        """
        del features
        cells, prior = self._cells, self._cells.prior
        arm = cells.arm[rows]
        mean = cells.level + cells.group[cols] + arm[:, 0] + cells.cell[rows, cols]
        noise = np.maximum(arm[:, 1], 1e-6)
        most = 2.0 / cells.how.smallest
        by_arm = np.minimum(cells.of_arm[rows], most) / noise
        by_cell = np.minimum(cells.n[rows, cols], most) / noise
        var = 1.0 / (by_arm + prior.arm_sd**-2.0) + 1.0 / (by_cell + prior.cell_sd**-2.0)
        return mean, var, noise

    def interval(self, row: int, col: int) -> tuple[float, float, float]:
        """Return mean and ends of the interval for an arm in a group; -1: never seen."""
        mean, var, _ = (float(x[0]) for x in self.of_pairs(np.array([row]), np.array([col])))
        low, high = (
            min(0.0, float(self._cells.arm[row, 2])),
            max(0.0, float(self._cells.arm[row, 3])),
        )
        # Errors are those of predictions made before, so they contain that of the mean;
        # but where nothing was predicted yet, its uncertainty comes on top.
        spread = 0.0 if self._cells.n[row, col] > 0 else reach(self._cells.how.coverage) * sqrt(var)
        return mean, mean - sqrt(low**2 + spread**2), mean + sqrt(high**2 + spread**2)

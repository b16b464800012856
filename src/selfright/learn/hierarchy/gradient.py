"""Parameters that step towards each sample, trained serially: ``gradient``.

The prediction for arm i in group j is ``level + group_j + arm_i + cell_ij``; each sample
moves all four down the gradient of its squared error. Steps begin as large as a running
mean's and never become smaller than ``step``, so that the past fades. No evidence is
kept, hence nothing can be set aside exactly: a sample that is taken back is a step in
the other direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from selfright.learn.hierarchy.cells import State, column, moves, roomy
from selfright.learn.hierarchy.histogram import Histogram
from selfright.learn.hierarchy.normal import reach
from selfright.learn.hierarchy.shrinkage import Prior

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]

# The level is everybody's: it moves by this share of an arm's smallest step.
_LEVEL_SHARE: Final = 0.1
# Together the four steps of a sample must not lead beyond it.
_MOST: Final = 0.9
# Largest and smallest step of a quantile, in standard deviations.
_QUANTILE_STEP: Final = (0.3, 0.05)


@dataclass(frozen=True, slots=True)
class Steps:
    """How fast parameters move: samples their starting value counts for, and the floor."""

    arm: float
    cell: float
    group: float
    level: float
    smallest: float
    coverage: float


def steps(prior: Prior, smallest: float, coverage: float) -> Steps:
    """Return steps under which arms and cells shrink as under ``prior``."""
    noise = prior.noise_sd**2
    return Steps(
        arm=noise / prior.arm_sd**2,
        cell=noise / prior.cell_sd**2,
        group=prior.additive_weight,
        level=prior.level_weight,
        smallest=smallest,
        coverage=coverage,
    )


class GradientCells:
    """Level, group, arm and cell parameters with a noise and two quantiles per arm.

    Merged, parameters are averaged, weighted by their counts; this is no training on
    both streams, and only a fit on the whole is.

    Notes
    -----
    16 bytes per cell, 32 per arm. Some 6 us per sample.
    """

    def __init__(self, prior: Prior, how: Steps) -> None:
        self.prior, self.how = prior, how
        self.level, self.seen = prior.level, 0.0
        self.n, self.cell = np.zeros((1, 1)), np.zeros((1, 1))
        self.group = np.zeros(1)
        # Columns: effect, mean squared error, lower and upper quantile of the error.
        self.arm = np.zeros((1, 4))
        self.histogram: Histogram | None = None
        self._fresh = np.array([0.0, prior.noise_sd**2, *self._start(prior.noise_sd)])
        self.arm[:] = self._fresh
        # Samples per arm and per group; kept, for summing them up would be O(cells).
        self.of_arm, self.of_group = np.zeros(1), np.zeros(1)

    def grow(self, arms: int, groups: int) -> None:
        """See ``Cells``."""
        old = self.n.shape
        if arms < old[0] and groups < old[1]:
            return
        self._reshape(roomy(arms, old[0]), roomy(groups, old[1]))

    def add(self, rows: Ints, cols: Ints, y: Floats, weight: Floats) -> None:
        """See ``Cells``."""
        for one in zip(rows.tolist(), cols.tolist(), y.tolist(), weight.tolist(), strict=True):
            self.add_one(*one)

    def add_one(self, row: int, col: int, y: float, weight: float) -> None:
        """See ``Cells``."""
        how, arm = self.how, self.arm[row]
        n = float(self.n[row, col])
        error = y - (self.level + self.group[col] + arm[0] + self.cell[row, col])
        arm_step = max(how.smallest, 1.0 / (float(self.of_arm[row]) + how.arm + 1.0))
        cell_step = max(how.smallest, 1.0 / (n + how.cell + 1.0))
        group_step = max(how.smallest, 1.0 / (float(self.of_group[col]) + how.group + 1.0))
        level_step = max(how.smallest * _LEVEL_SHARE, 1.0 / (self.seen + how.level + 1.0))
        total = arm_step + cell_step + group_step + level_step
        move = error * weight * min(1.0, _MOST / total)
        arm[0] += arm_step * move
        self.cell[row, col] += cell_step * move
        self.group[col] += group_step * move
        self.level += level_step * move
        if weight > 0:
            self._learn_error(arm, float(error), arm_step)
        if n + weight >= 0.0:
            self.n[row, col] = n + weight
            self.of_arm[row] += weight
            self.of_group[col] += weight
            self.seen += weight

    def clear(self, rows: Ints, cols: Ints) -> None:
        """See ``Cells``."""
        for values in (self.n, self.cell):
            values[rows] = 0.0
            values[:, cols] = 0.0
        self.arm[rows] = self._fresh
        self.group[cols] = 0.0
        self._count()

    def remap(self, rows: Ints, cols: Ints, arms: int, groups: int) -> None:
        """See ``Cells``."""
        old = self.copy()
        self.n, self.cell = np.zeros((1, 1)), np.zeros((1, 1))
        self.group, self.arm = np.zeros(1), self._fresh[None].copy()
        self.seen = 0.0
        self._reshape(arms + 1, groups + 1)
        self.take_in(old, rows, cols)

    def take_in(self, later: Self, rows: Ints, cols: Ints) -> None:
        """See ``Cells``."""
        at, moved = moves(rows, cols)
        mine, other = self.of_arm, later.of_arm
        level = _mean(np.array(self.level), self.seen, np.array(later.level), later.seen)
        self.level = float(level)
        for old, new in zip(at[0][:, 0], moved[0][:, 0], strict=True):
            self.arm[new] = _mean(self.arm[new], mine[new], later.arm[old], other[old])
            mine[new] += other[old]
        mine, other = self.of_group, later.of_group
        for old, new in zip(at[1][0], moved[1][0], strict=True):
            self.group[new] = _mean(self.group[new], mine[new], later.group[old], other[old])
            mine[new] += other[old]
        weighted = self.cell * self.n
        np.add.at(weighted, moved, (later.cell * later.n)[at])
        np.add.at(self.n, moved, later.n[at])
        self.cell = weighted / np.maximum(self.n, 1.0)
        self._count()

    def counts(self) -> Floats:
        """See ``Cells``."""
        return self.n

    def used(self) -> Bools:
        """See ``Cells``."""
        found: Bools = self.n != 0.0
        return found

    def copy(self) -> Self:
        """See ``Cells``."""
        other = type(self)(self.prior, self.how)
        other.level, other.seen = self.level, self.seen
        other.n, other.cell = self.n.copy(), self.cell.copy()
        other.group, other.arm = self.group.copy(), self.arm.copy()
        other.of_arm, other.of_group = self.of_arm.copy(), self.of_group.copy()
        return other

    def to_state(self, rows: Ints, cols: Ints) -> State:
        """See ``Cells``."""
        at = np.ix_(rows, cols)
        arm, group = np.nonzero(self.used()[at])
        return {
            "cell_arm": arm.astype(np.int32),
            "cell_group": group.astype(np.int32),
            "cell_n": self.n[at][arm, group],
            "cell_offset": self.cell[at][arm, group],
            "group_offset": self.group[cols],
            "arm_offset": self.arm[rows, 0],
            "arm_square": self.arm[rows, 1],
            "arm_low": self.arm[rows, 2],
            "arm_high": self.arm[rows, 3],
            "level": np.array([self.level]),
        }

    def load(self, state: State, arms: int, groups: int) -> None:
        """See ``Cells``."""
        self.grow(arms, groups)
        arm = column(state, "cell_arm", np.int32, high=arms)
        group = column(state, "cell_group", np.int32, len(arm), high=groups)
        self.n[arm, group] = column(state, "cell_n", np.float64, len(arm))
        self.cell[arm, group] = column(state, "cell_offset", np.float64, len(arm))
        self.group[:groups] = column(state, "group_offset", np.float64, groups)
        for position, name in enumerate(("offset", "square", "low", "high")):
            self.arm[:arms, position] = column(state, f"arm_{name}", np.float64, arms)
        self.level = float(column(state, "level", np.float64, 1)[0])
        self._count()

    def _start(self, sd: float) -> tuple[float, float]:
        """Return where the quantiles begin: at those of a normal distribution."""
        end = reach(self.how.coverage) * sd
        return -end, end

    def _learn_error(self, arm: Floats, error: float, step: float) -> None:
        arm[1] += step * (error * error - arm[1])
        missed = (1.0 - self.how.coverage) / 2
        largest, smallest = _QUANTILE_STEP
        move = sqrt(float(arm[1])) * min(largest, max(smallest, step))
        # A quantile rests where it is passed as often as its level says (pinball loss).
        arm[2] += move * (missed - (error <= arm[2]))
        arm[3] += move * (1.0 - missed - (error <= arm[3]))

    def _reshape(self, arms: int, groups: int) -> None:
        had_arms, had_groups = self.n.shape
        for name in ("n", "cell"):
            new = np.zeros((arms, groups))
            new[:had_arms, :had_groups] = getattr(self, name)
            setattr(self, name, new)
        group, arm = np.zeros(groups), np.tile(self._fresh, (arms, 1))
        group[:had_groups] = self.group
        # The last row, of unseen arms, stays as new.
        arm[: had_arms - 1] = self.arm[:-1]
        self.group, self.arm = group, arm
        self._count()

    def _count(self) -> None:
        self.of_arm, self.of_group = self.n.sum(axis=1), self.n.sum(axis=0)
        self.seen = float(self.of_arm.sum())


def _mean(a: Floats, n: float, b: Floats, m: float) -> Floats:
    return a if n + m == 0.0 else (a * n + b * m) / (n + m)

"""From evidence to belief: means of a fleet, its arms and their groups, shrunk together.

A target y of arm i in group j is taken to be

    y = level + difficulty_j + arm_i + cell_ij + noise,
    arm_i ~ N(0, arm_var),  cell_ij ~ N(0, cell_var),  noise ~ N(0, v_ij)

Difficulty is common to all arms, so an arm that was given the hard tasks is not thought
worse for it. An arm with few samples is believed to be like the fleet, a cell with few
samples like its arm, and how much so is learnt: the variances are those that explain the
spread of what was seen (two steps of expectation maximisation [1]_ from a prior guess).
Given them the posterior of a cell is exact, in closed form.

Everything here is a function of the evidence alone, summed in canonical order: neither
the batching of updates nor the moment of a question changes an answer by a single bit.

References
----------
.. [1] Efron and Morris, "Stein's estimation rule and its competitors", JASA 68, 1973, for
   the idea; the steps are those of a two-level random-effects model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

# A rate nearer to 0 or 1 than this is not believed: its noise would vanish.
_EDGE: Final = 0.03
# Smallest variances: evidence never makes arms, cells or runs exactly alike.
_SMALLEST: Final = 1e-6
# Noise of graded rewards is at least this share of what yes-or-no rewards would have.
_LEAST_NOISE_RATIO: Final = 0.01
# Passes in which arms and groups are told apart; they converge fast as arms share groups.
_PASSES: Final = 2


@dataclass(frozen=True, slots=True)
class Prior:
    """What is expected before anything is known.

    Attributes
    ----------
    bounded
        Targets are rewards in 0..1 whose noise follows from their mean, as that of
        successes and failures does. Else each arm has a noise of its own.
    level, level_weight
        Expected mean, and for how many samples this counts.
    arm_sd, arm_weight, cell_sd, cell_weight
        Expected spreads, and for how many arms and cells they count.
    noise_sd, noise_weight
        Expected noise of a run, and for how many samples it counts.
    arm_noise_weight
        For how many samples the fleet's noise counts as an arm's.
    additive_weight
        Samples that pull the first estimates of arms and groups towards the level.
    refinements
        Steps by which the spreads are learnt.
    learnt_from
        Arms from which all this is learnt.
    """

    bounded: bool
    level: float
    level_weight: float
    arm_sd: float
    arm_weight: float
    cell_sd: float
    cell_weight: float
    noise_sd: float
    noise_weight: float
    arm_noise_weight: float
    additive_weight: float
    refinements: int
    learnt_from: int


@dataclass(frozen=True, slots=True)
class Fleet:
    """What all arms have in common.

    Attributes
    ----------
    base
        Level plus difficulty per group, in canonical order, for telling arms apart.
    shift
        Mean of the arms' effects: a new arm is expected at ``base + shift``.
    level
        Expectation for an arm in a group nobody has been seen in, without the shift.
    noise
        Bounded: the ratio of the noise to that of yes-or-no rewards. Else its variance.
    """

    base: Floats
    shift: float
    level: float
    noise: float
    arm_var: float
    cell_var: float


def learn_fleet(n: Floats, s: Floats, q: Floats, prior: Prior) -> Fleet:
    """Return what the arms have in common.

    Parameters
    ----------
    n, s
        Count and sum of the targets per arm and group, float64[arms, groups].
    q
        Sum of the squared targets per arm, float64[arms].

    Notes
    -----
    O(arms * groups), some seventy array operations.
    """
    n_arm, s_arm = _over_groups(n), _over_groups(s)
    total = float(np.add.reduce(n_arm))
    seen = float(np.add.reduce(s_arm))
    level = (seen + prior.level * prior.level_weight) / (total + prior.level_weight)
    if not total:
        noise = 1.0 if prior.bounded else prior.noise_sd**2
        base = np.full(n.shape[1], level)
        return Fleet(base, 0.0, level, noise, prior.arm_sd**2, prior.cell_sd**2)
    base, arm = _told_apart(n, s, n_arm, s_arm, level, prior)
    noise, v = _noise(n, s, q, base, arm, prior)
    rest = s - n * base
    arm_var, cell_var, shift = prior.arm_sd**2, prior.cell_sd**2, 0.0
    known = n_arm > 0
    arms, cells = np.count_nonzero(known), np.count_nonzero(n)
    for _ in range(prior.refinements):
        # Per unit of the cells' spread: 1 / cell_var for a cell that is known for certain.
        inverse = 1.0 / (n * cell_var + v)
        weights, pulls = n * inverse, rest * inverse
        weight, pull = _over_groups(weights), _over_groups(pulls)
        # Each arm's own estimate, weighted by how well it is known, is the mean of arms.
        trust = 1.0 / (1.0 + arm_var * weight)
        shift = float(pull @ trust) / (float(weight @ trust) + 1.0 / arm_var)
        var = arm_var * trust
        effect = (pull - weight * shift) * var
        # Expected squares of the arms' and the cells' effects, the latter summed in parts:
        # the squared posterior means, their variances, and what the arms' add to these.
        arm_square = float((effect * effect + var) @ known)
        off = pulls - weights * (effect + shift)[:, None]
        cell_square = cell_var * (
            cells
            + cell_var
            * (
                float(np.vdot(off, off))
                - float(np.add.reduce(weight))
                + float(_over_groups(weights * weights) @ var)
            )
        )
        arm_var = (arm_square + prior.arm_weight * prior.arm_sd**2) / (arms + prior.arm_weight)
        cell_var = (cell_square + prior.cell_weight * prior.cell_sd**2) / (
            cells + prior.cell_weight
        )
        arm_var, cell_var = max(float(arm_var), _SMALLEST), max(float(cell_var), _SMALLEST)
    return Fleet(base, shift, level, noise, arm_var, cell_var)


def _told_apart(
    n: Floats, s: Floats, n_arm: Floats, s_arm: Floats, level: float, prior: Prior
) -> tuple[Floats, Floats]:
    """Return level plus difficulty per group, and effect per arm, by alternating fits."""
    n_group = np.add.reduce(n)
    by_group = np.add.reduce(s) - level * n_group
    weight_arm, weight_group = n_arm + prior.additive_weight, n_group + prior.additive_weight
    arm = (s_arm - level * n_arm) / weight_arm
    base = level + (by_group - arm @ n) / weight_group
    for _ in range(_PASSES - 1):
        arm = (s_arm - n @ base) / weight_arm
        base = level + (by_group - arm @ n) / weight_group
    return base, arm


def _noise(
    n: Floats, s: Floats, q: Floats, base: Floats, arm: Floats, prior: Prior
) -> tuple[float, Floats]:
    """Return the noise the arms have in common, and its variance per cell."""
    many = np.maximum(n, 1.0)
    within = q - _over_groups(s * s / many)
    total = max(float(np.add.reduce(within)), 0.0)
    if prior.bounded:
        v = yes_or_no(base + arm[:, None])
        expected = float(np.vdot(many - 1.0, v))
        guess = prior.noise_weight * prior.noise_sd**2
        ratio = (total + guess) / (expected + guess)
        ratio = min(max(ratio, _LEAST_NOISE_RATIO), 1.0)
        return ratio, v * ratio
    freedom = _over_groups(many - 1.0)
    pooled = (total + prior.noise_weight * prior.noise_sd**2) / (
        float(np.add.reduce(freedom)) + prior.noise_weight
    )
    return pooled, own_noise(within, freedom, pooled, prior)[:, None]


def yes_or_no(mean: Floats) -> Floats:
    """Return the variance of successes and failures with this mean."""
    inside = np.minimum(np.maximum(mean, _EDGE), 1.0 - _EDGE)
    variance: Floats = inside * (1.0 - inside)
    return variance


def own_noise(within: Floats, freedom: Floats, pooled: float, prior: Prior) -> Floats:
    """Return the noise variance per arm, shrunk to that of the fleet."""
    variance: Floats = (np.maximum(within, 0.0) + prior.arm_noise_weight * pooled) / (
        freedom + prior.arm_noise_weight
    )
    return np.maximum(variance, _SMALLEST)


@dataclass(frozen=True, slots=True)
class ArmEffects:
    """What is believed of some arms, before a group is asked for.

    Attributes
    ----------
    effect, var
        Posterior mean and variance of the arm's own effect, float64[k].
    v
        Noise variance per group, or one per arm: float64[k, groups] or [k, 1].
    """

    effect: Floats
    var: Floats
    v: Floats


def arm_effects(n: Floats, s: Floats, q: Floats, fleet: Fleet, prior: Prior) -> ArmEffects:
    """Return the effects of arms with this evidence, rows as in ``learn_fleet``."""
    if prior.bounded:
        arm = (_over_groups(s) - n @ fleet.base) / (_over_groups(n) + prior.additive_weight)
        v = fleet.noise * yes_or_no(fleet.base + arm[:, None])
    else:
        many = np.maximum(n, 1.0)
        within = q - _over_groups(s * s / many)
        v = own_noise(within, _over_groups(many - 1.0), fleet.noise, prior)[:, None]
    inverse = 1.0 / (n * fleet.cell_var + v)
    weight = _over_groups(n * inverse)
    pull = _over_groups((s - n * (fleet.base + fleet.shift)) * inverse)
    var = 1.0 / (weight + 1.0 / fleet.arm_var)
    return ArmEffects(pull * var, var, v)


def _over_groups(values: Floats) -> Floats:
    """Return the sum over the groups, per arm."""
    total: Floats = np.add.reduce(values, axis=1)
    return total


def cell_posterior(
    n: Floats, s: Floats, v: Floats, base: Floats | float, effects: tuple[Floats, Floats],
    fleet: Fleet,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Return posterior mean and variance of cells; all arrays run over the cells.

    Parameters
    ----------
    n, s, v
        Count, sum and noise variance of each cell; an unseen cell has n = 0.
    base
        Level plus difficulty of the cell's group, without the shift.
    effects
        Posterior mean and variance of the effect of the cell's arm.
    """
    effect, var = effects
    expected = base + fleet.shift + effect
    spread = n * fleet.cell_var + v
    kept = v / spread
    mean = expected + fleet.cell_var * (s - n * expected) / spread
    return mean, kept * fleet.cell_var + kept * kept * var

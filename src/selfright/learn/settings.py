"""Every constant of the models, in one frozen object, each with its reason.

The values were chosen on synthetic fleets (2 to 80 arms, 1 to 40 groups, success rates
from 5 to 99 %, agents alike and agents far apart), never on the data they are judged by.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Self

from selfright.errors import ConfigError


@dataclass(frozen=True, slots=True)
class LearnSettings:
    """How the models believe, explore and forget.

    Parameters
    ----------
    thompson_variance
        The posterior variance is multiplied by this before a choice is drawn. 1 is the
        textbook's Thompson sampling, which explores for a horizon without end. Over
        3,000 and 10,000 decisions in 175 synthetic fleets a quarter earned most on
        average, a half .006 less, the whole .02 less.
    early_share, early_samples
        Of ``thompson_variance`` this share applies while nothing is known, growing in step
        with the samples to all of it once there are so many per candidate. As long as little
        has come, little is to be expected still, and looking at all of 80 agents does not pay.
    grid_points
        Cells in which the probability of being the best is integrated.
    floor
        Probability that is spread evenly over all candidates. It keeps every arm
        re-adoptable and every logged propensity positive; .002 costs .0004 of reward
        where a random arm is worth .2 less than the best.
    arm_sd, arm_sd_weight
        How far arms are expected to lie apart in reward before anything is known, and
        for how many arms this expectation counts.
    cell_sd, cell_sd_weight
        The same for an arm's groups around the arm's own mean, in cells.
    log_arm_sd, log_cell_sd, log_noise_sd
        The same, and the noise within a cell, for log-latencies: agents differ by a
        factor of e, runs of one agent by half of it.
    quality_noise_sd
        Noise expected within a cell of quality scores.
    noise_weight, arm_noise_weight
        For how many samples the expected noise counts as that of the fleet, and the
        fleet's as that of an arm.
    additive_weight
        Samples that pull an arm's and a group's first estimate towards the level.
    refinements
        Steps by which the spreads are learnt from the evidence. The second step halves
        the worst losses against one; four gain nothing more.
    learnt_from
        Arms from which level, difficulty of groups and spreads are learnt; of more,
        those with the smallest hashes. It bounds the cost in a fleet of thousands.
    max_arms, max_groups, max_parameter_sets
        Caps; what lies beyond is pooled as ``_other``. Which names stay is decided by
        their hash, so that it does not depend on the order of arrival.
    max_features
        Features of tasks that slopes are learnt for; of more, those with the smallest
        hashes. 0: contexts are not looked at.
    regime_level
        Evidence at which an arm starts anew, among 4 bets; see ``regimes``. 0: never, for in
        the loop every change of mind is a retraining that has to prove itself. A model by
        itself has nobody to retrain it: ``LearnSettings.alone``.
    probe, parked, doubt
        Least probability of a parked regime that would be better, of one that would not,
        and of the old regime at an alarm.
    window
        ``moving_average``: samples kept per cell.
    discount
        ``exponential``: what is left of a cell's evidence at each of its samples;
        .99 is worth the last hundred.
    step
        ``gradient``: smallest step towards a sample; .02 is worth the last hundred.
    coverage
        Nominal coverage of the intervals of quality and latency.

    Raises
    ------
    ConfigError
        If a number is not finite or outside its range.
    """

    thompson_variance: float = 0.25
    early_share: float = 0.4
    early_samples: float = 30.0
    grid_points: int = 48
    floor: float = 0.002
    arm_sd: float = 0.15
    arm_sd_weight: float = 4.0
    cell_sd: float = 0.1
    cell_sd_weight: float = 20.0
    log_arm_sd: float = 1.0
    log_cell_sd: float = 0.3
    log_noise_sd: float = 0.5
    quality_noise_sd: float = 0.2
    noise_weight: float = 50.0
    arm_noise_weight: float = 10.0
    additive_weight: float = 5.0
    refinements: int = 2
    learnt_from: int = 256
    max_arms: int = 10_000
    max_groups: int = 64
    max_parameter_sets: int = 256
    max_features: int = 64
    regime_level: float = 0.0
    probe: float = 0.015
    parked: float = 0.002
    doubt: float = 0.2
    window: int = 100
    discount: float = 0.99
    step: float = 0.02
    coverage: float = 0.9

    @classmethod
    def alone(cls) -> Self:
        """Return the settings of a model outside of the loop: it notices changes itself."""
        return cls(regime_level=30_000.0)

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            value = getattr(self, name)
            if not (isfinite(value) and value > 0):
                raise ConfigError(f"learn.{name}", value, "must be a finite number above 0")
        for name in _COUNTS:
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= 1):
                raise ConfigError(f"learn.{name}", value, "must be a whole number, at least 1")
        if self.max_features < 0:
            raise ConfigError("learn.max_features", self.max_features, "must not be negative")
        if not (isfinite(self.regime_level) and self.regime_level >= 0.0):
            raise ConfigError("learn.regime_level", self.regime_level, "must not be negative")
        for name in ("discount", "step", "coverage", "probe", "parked", "doubt"):
            value = getattr(self, name)
            if not 0.0 < value < 1.0:
                raise ConfigError(f"learn.{name}", value, "must lie between 0 and 1")
        if not 0.0 < self.early_share <= 1.0:
            raise ConfigError("learn.early_share", self.early_share, "must lie in (0, 1]")
        if not 0.0 <= self.floor < 1.0:
            raise ConfigError("learn.floor", self.floor, "must be at least 0 and below 1")


_POSITIVE = (
    "thompson_variance", "early_samples", "arm_sd", "arm_sd_weight", "cell_sd", "cell_sd_weight",
    "log_arm_sd", "log_cell_sd", "log_noise_sd", "quality_noise_sd", "noise_weight",
    "arm_noise_weight", "additive_weight",
)  # fmt: skip
_COUNTS = (
    "grid_points", "refinements", "learnt_from", "max_arms", "max_groups", "max_parameter_sets",
    "window",
)  # fmt: skip

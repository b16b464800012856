"""The two models that predict a number: quality and latency, with intervals.

The expected value is shrunk from fleet to agent to task type (``hierarchy.shrinkage``);
the interval is read from where past runs fell around it (``hierarchy.residuals``), so
that heavy tails need no assumption.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp
from typing import ClassVar, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from selfright.learn.hierarchy.evidence import Design
from selfright.learn.hierarchy.histogram import Bins
from selfright.learn.hierarchy.learner import Learner
from selfright.learn.hierarchy.shrinkage import Prior
from selfright.learn.model_type import ModelType
from selfright.learn.settings import LearnSettings

Floats: TypeAlias = npt.NDArray[np.float64]

# Scores in per cent, tenths and quarters lie on the centres of these bins.
_QUALITY_BINS: Final = Bins(low=0.0, width=0.01, count=101, atoms=True)
# 20 microseconds to 6 days in steps of 6 %.
_LATENCY_BINS: Final = Bins(low=-4.0, width=1 / 16, count=24 * 16, atoms=False)
# A second, before anything is known; the first sample all but replaces it.
_LATENCY_LEVEL, _LATENCY_LEVEL_WEIGHT = 7.0, 0.1
_QUALITY_LEVEL, _QUALITY_LEVEL_WEIGHT = 0.5, 2.0
# Beyond this the logarithm of a latency could not be turned back into a number.
_LARGEST_LOG: Final = 700.0


@dataclass(frozen=True, slots=True)
class Prediction:
    """An expected value and the interval that a run falls into with nominal coverage.

    Attributes
    ----------
    value, low, high
        In the unit of the model.
    coverage
        Nominal probability of the interval.
    """

    value: float
    low: float
    high: float
    coverage: float


class ValueModel(Learner):
    """Predicts a number for an agent and a task type."""

    def predict(self, arm: str, group: str | None = None) -> Prediction:
        """Return value and interval for an arm in a group, known or not."""
        mean, low, high = self._interval(arm, group)
        mean, low, high = self._bounded(np.array([mean, low, high])).tolist()
        return Prediction(mean, low, high, self.settings.coverage)

    def spread_of(self, arms: Sequence[str], groups: Sequence[str | None]) -> Floats:
        """Return the standard deviation of a run around ``mean_of``, float64[n]."""
        _, var, noise = self._of_pairs(arms, groups)
        spread: Floats = np.sqrt(var + noise)
        return spread

    def _interval(self, arm: str, group: str | None) -> tuple[float, float, float]:
        evidence = self.evidence
        return evidence.interval(evidence.arms.find(arm), evidence.groups.find(group))


class QualityPrediction(ValueModel):
    """What quality score in 0..1 a run will get: arms are agents, groups task types.

    Scores that are only 0 or 1 have no narrower interval than one of the two or both.
    """

    model_type: ClassVar[ModelType] = ModelType.QUALITY_PREDICTION

    @classmethod
    def design(cls, settings: LearnSettings) -> Design:
        """See ``Learner``."""
        prior = Prior(
            bounded=False,
            level=_QUALITY_LEVEL,
            level_weight=_QUALITY_LEVEL_WEIGHT,
            arm_sd=settings.arm_sd,
            arm_weight=settings.arm_sd_weight,
            cell_sd=settings.cell_sd,
            cell_weight=settings.cell_sd_weight,
            noise_sd=settings.quality_noise_sd,
            noise_weight=settings.noise_weight,
            arm_noise_weight=settings.arm_noise_weight,
            additive_weight=settings.additive_weight,
            refinements=settings.refinements,
            learnt_from=settings.learnt_from,
        )
        return Design(
            prior, settings.max_arms, settings.max_groups, low=0.0, high=1.0, bins=_QUALITY_BINS
        )


class LatencyPrediction(ValueModel):
    """How long a run will take: arms are agents, groups are task types.

    Learns and compares ``log(ms)``, for latencies differ by factors; ``predict`` answers
    in milliseconds, the value being the typical one (the median where logarithms are
    symmetric), not the mean, which a few slow runs decide.

    Examples
    --------
    >>> import numpy as np
    >>> from selfright.learn.samples import Samples
    >>> model = LatencyPrediction()
    >>> ms = np.random.default_rng(0).lognormal(np.log(200.0), 0.4, 500)
    >>> model.update(Samples.of(["coder"] * 500, ["fix"] * 500, np.log(ms)))
    >>> found = model.predict("coder", "fix")
    >>> round(found.low, -1), round(found.value, -1), round(found.high, -1)
    (110.0, 200.0, 380.0)
    """

    model_type: ClassVar[ModelType] = ModelType.LATENCY_PREDICTION

    def predict(self, arm: str, group: str | None = None) -> Prediction:
        """Return the typical latency and its interval, milliseconds."""
        value, low, high = (exp(min(x, _LARGEST_LOG)) for x in self._interval(arm, group))
        return Prediction(value, low, high, self.settings.coverage)

    @classmethod
    def design(cls, settings: LearnSettings) -> Design:
        """See ``Learner``."""
        prior = Prior(
            bounded=False,
            level=_LATENCY_LEVEL,
            level_weight=_LATENCY_LEVEL_WEIGHT,
            arm_sd=settings.log_arm_sd,
            arm_weight=settings.arm_sd_weight,
            cell_sd=settings.log_cell_sd,
            cell_weight=settings.cell_sd_weight,
            noise_sd=settings.log_noise_sd,
            noise_weight=settings.noise_weight,
            arm_noise_weight=settings.arm_noise_weight,
            additive_weight=settings.additive_weight,
            refinements=settings.refinements,
            learnt_from=settings.learnt_from,
        )
        return Design(prior, settings.max_arms, settings.max_groups, bins=_LATENCY_BINS)

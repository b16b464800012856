"""The three models that choose: agents, routes and parameter sets, by Thompson sampling.

All three believe in the same way (``hierarchy``) and differ in what is chosen and within
what it is judged. A choice is drawn from exactly the probabilities it reports, so that
what was logged can later tell how any other policy would have fared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from selfright.learn.hierarchy.evidence import Design
from selfright.learn.hierarchy.learner import Learner
from selfright.learn.hierarchy.shrinkage import Prior
from selfright.learn.hierarchy.thompson import draw, win_probabilities, with_floor
from selfright.learn.model_type import ModelType
from selfright.learn.settings import LearnSettings

Floats: TypeAlias = npt.NDArray[np.float64]

# Before anything is known a reward is .5 with the weight of two samples, one of each kind.
_LEVEL, _LEVEL_WEIGHT = 0.5, 2.0
# Noise of successes and failures between .3 and .7.
_NOISE_SD: Final = 0.447
# Between two updates the same candidates are asked for again and again.
_REMEMBERED: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What was chosen, and how probable every candidate was.

    Attributes
    ----------
    index
        Position of the chosen one among the candidates.
    probabilities
        Of all candidates in their order; they sum to 1, and ``index`` was drawn from them.
    challenger
        Where two policies were mixed, what the one on trial would have been drawn from.
    """

    index: int
    probabilities: Floats
    challenger: Floats | None = None


class ChoiceModel(Learner):
    """Chooses the arm with the best reward for a group, and explores as it must.

    Rewards lie in 0..1. Thompson sampling rather than an upper bound, for rewards are
    late and runs overlap: a bound picks the same arm until the first reward is back.
    """

    def select(
        self, candidates: Sequence[str], group: str | None, rng: np.random.Generator
    ) -> Choice:
        """Choose one of ``candidates`` for a task in ``group``.

        Candidates need not be known: of a new one as much is expected as of the others
        on average, and it is tried because that is uncertain. Nothing is learnt here.

        Raises
        ------
        ValueError
            If there are no candidates, or one is named twice.

        Notes
        -----
        O(candidates * groups). Draws one number from ``rng``.
        """
        probabilities = self.propensities(candidates, group)
        return Choice(draw(probabilities, rng), probabilities)

    def propensities(self, candidates: Sequence[str], group: str | None) -> Floats:
        """Return the probability with which ``select`` chooses each candidate."""
        names, memo = tuple(candidates), self.evidence.memo
        known = memo.get((names, group))
        if known is not None:
            return known
        if not names or len(set(names)) != len(names):
            raise ValueError("candidates must be at least one, each named once")
        mean, var = self.posterior(names, group)
        settings = self.settings
        sd = np.sqrt(var * settings.thompson_variance)
        won = win_probabilities(mean, sd, settings.grid_points)
        found = with_floor(won, settings.floor)
        found.flags.writeable = False  # the same array answers the next call
        if len(memo) < _REMEMBERED:
            memo[names, group] = found
        return found

    def posterior(self, arms: Sequence[str], group: str | None) -> tuple[Floats, Floats]:
        """Return mean and variance of the expected reward of each arm in ``group``."""
        evidence = self.evidence
        return evidence.belief().of_arms(evidence.arms.find_all(arms), evidence.groups.find(group))

    def predict(self, group: str | None = None, top_k: int = 3) -> list[tuple[str, float]]:
        """Return the best known arms for ``group`` with their expected rewards, best first."""
        names = self.arm_names()
        if not names:
            return []
        mean = self._bounded(self.posterior(names, group)[0])
        best = np.argsort(-mean, kind="stable")[:top_k].tolist()
        return [(names[i], float(mean[i])) for i in best]

    @classmethod
    def design(cls, settings: LearnSettings) -> Design:
        """See ``Learner``."""
        return Design(_prior(settings), settings.max_arms, settings.max_groups, low=0.0, high=1.0)


class AgentSelection(ChoiceModel):
    """Which agent gets a task: arms are agents, groups are task types.

    Examples
    --------
    >>> import numpy as np
    >>> from selfright.learn.samples import Samples
    >>> model = AgentSelection()
    >>> model.update(
    ...     Samples.of(
    ...         ["good"] * 50 + ["poor"] * 50,
    ...         ["math"] * 100,
    ...         [1.0] * 45 + [0.0] * 5 + [1.0] * 15 + [0.0] * 35,
    ...     )
    ... )
    >>> [(name, round(score, 2)) for name, score in model.predict("math")]
    [('good', 0.89), ('poor', 0.33)]
    >>> choice = model.select(["good", "poor"], "math", np.random.default_rng(0))
    >>> choice.index, choice.probabilities.round(3).tolist()
    (0, [0.999, 0.001])
    """

    model_type: ClassVar[ModelType] = ModelType.AGENT_SELECTION


class Routing(ChoiceModel):
    """Which queue, workflow or team a task takes: arms are routes, groups are task types."""

    model_type: ClassVar[ModelType] = ModelType.ROUTING


class ParameterOptimization(ChoiceModel):
    """With which parameters an agent runs: arms are parameter sets, groups are agents.

    An arm is named by the canonical JSON of its parameters. The best parameters differ
    per agent; one that is new starts with what was best for the others.
    """

    model_type: ClassVar[ModelType] = ModelType.PARAMETER_OPTIMIZATION

    @classmethod
    def design(cls, settings: LearnSettings) -> Design:
        """See ``Learner``. There may be as many groups here as there are agents."""
        return Design(
            _prior(settings), settings.max_parameter_sets, settings.max_arms, low=0.0, high=1.0
        )


def _prior(settings: LearnSettings) -> Prior:
    return Prior(
        bounded=True,
        level=_LEVEL,
        level_weight=_LEVEL_WEIGHT,
        arm_sd=settings.arm_sd,
        arm_weight=settings.arm_sd_weight,
        cell_sd=settings.cell_sd,
        cell_weight=settings.cell_sd_weight,
        noise_sd=_NOISE_SD,
        noise_weight=settings.noise_weight,
        arm_noise_weight=settings.arm_noise_weight,
        additive_weight=settings.additive_weight,
        refinements=settings.refinements,
        learnt_from=settings.learnt_from,
    )

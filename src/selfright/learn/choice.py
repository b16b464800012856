"""The three models that choose: agents, routes and parameter sets, by Thompson sampling.

All three believe in the same way (``hierarchy``) and differ in what is chosen and within
what it is judged. A choice is drawn from exactly the probabilities it reports, so that
what was logged can later tell how any other policy would have fared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from selfright.learn import changing
from selfright.learn.features import Features
from selfright.learn.hierarchy.cells import State
from selfright.learn.hierarchy.evidence import Design
from selfright.learn.hierarchy.learner import Learner
from selfright.learn.hierarchy.shrinkage import Prior
from selfright.learn.hierarchy.thompson import draw, win_probabilities, with_floor
from selfright.learn.model_type import ModelType
from selfright.learn.regimes import RegimePolicy, Regimes
from selfright.learn.regimes import share as share_of
from selfright.learn.samples import Samples
from selfright.learn.settings import LearnSettings
from selfright.learn.strategy import UpdateStrategy

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

    # Whether arms are watched for changes; of parameter sets those are the agents' matter.
    watches: ClassVar[bool] = False

    def __init__(
        self,
        strategy: UpdateStrategy = UpdateStrategy.BAYESIAN,
        settings: LearnSettings | None = None,
    ) -> None:
        super().__init__(strategy, settings)
        self.regimes = self._regimes()

    def _regimes(self) -> Regimes | None:
        how = self.settings
        if not (self.watches and how.regime_level and self.strategy is UpdateStrategy.BAYESIAN):
            return None
        return Regimes(RegimePolicy(how.regime_level, how.probe, how.parked, how.doubt))

    def update(self, samples: Samples) -> None:
        """Learn samples in their order, and notice arms that have changed.

        Raises ``ValueError`` for a target out of range; then nothing was learnt.
        """
        if self.regimes is None:
            super().update(samples)
        else:
            changing.learn(self.evidence, self.regimes, samples)

    @classmethod
    def fit(
        cls,
        samples: Samples,
        settings: LearnSettings | None = None,
        strategy: UpdateStrategy = UpdateStrategy.BAYESIAN,
    ) -> Self:
        """See ``Learner``. All samples count: which are too old is for the caller to say."""
        model = cls(strategy, settings)
        model.evidence.update(samples)
        return model

    def restart(
        self, arms: Iterable[str], samples: Samples, groups: Iterable[str | None] = ()
    ) -> Self:
        """See ``Learner``. What an arm was before is forgotten with it."""
        arms = list(arms)
        model = self.copy()
        if model.regimes is not None:
            for name in arms:
                model.regimes.forget(name)
        parked = [changing.parked_name(name) for name in arms]
        model.evidence.restart([*arms, *parked], groups, samples)
        return model

    def copy(self) -> Self:
        """See ``Learner``."""
        model = super().copy()
        model.regimes = None if self.regimes is None else self.regimes.copy()
        return model

    def to_state(self) -> State:
        """See ``Learner``."""
        state = super().to_state()
        return state if self.regimes is None else {**state, "regimes": self.regimes.to_state()}

    @classmethod
    def from_state(cls, state: State) -> Self:
        """See ``Learner``."""
        model = super().from_state(state)
        if model.regimes is not None and "regimes" in state:
            model.regimes.load(state["regimes"])
        return model

    def select(
        self,
        candidates: Sequence[str],
        group: str | None,
        rng: np.random.Generator,
        features: Features | None = None,
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
        probabilities = self.propensities(candidates, group, features)
        return Choice(draw(probabilities, rng), probabilities)

    def propensities(
        self, candidates: Sequence[str], group: str | None, features: Features | None = None
    ) -> Floats:
        """Return the probability with which ``select`` chooses each candidate."""
        names, memo = tuple(candidates), self.evidence.memo
        known = memo.get((names, group)) if features is None else None
        if known is not None:
            return known
        if not names or len(set(names)) != len(names):
            raise ValueError("candidates must be at least one, each named once")
        settings = self.settings
        mean, var, share = self._regimes_of(names, group, features)
        sd = np.sqrt(var * self.tempering(len(names)))
        won = win_probabilities(mean, sd, settings.grid_points, share)
        found = with_floor(won, settings.floor)
        found.flags.writeable = False  # the same array answers the next call
        if features is None and len(memo) < _REMEMBERED:
            memo[names, group] = found
        return found

    def tempering(self, candidates: int) -> float:
        """Return by what the variance of a belief is multiplied before a choice is drawn."""
        how = self.settings
        share = self.evidence.total / (how.early_samples * candidates)
        return how.thompson_variance * min(max(share, how.early_share), 1.0)

    def posterior(
        self, arms: Sequence[str], group: str | None, features: Features | None = None
    ) -> tuple[Floats, Floats]:
        """Return mean and variance of the expected reward of each arm for a task in ``group``."""
        evidence = self.evidence
        rows, col = evidence.arms.find_all(arms), evidence.groups.find(group)
        return evidence.belief().of_arms(rows, col, features)

    def _regimes_of(
        self, names: tuple[str, ...], group: str | None, features: Features | None
    ) -> tuple[Floats, Floats, Floats | None]:
        """Return mean and variance by arm, and of the parked regimes behind them, with shares.

        Without any parked regime the shares are None. Else all are float64[2, k]: the present
        regimes, and the parked ones.
        """
        regimes = self.regimes
        parked = [
            (i, arm)
            for i, name in enumerate(names)
            if regimes is not None and (arm := regimes.parked(name)) is not None
        ]
        if regimes is None or not parked:
            return *self.posterior(names, group, features), None
        also = [changing.parked_name(names[i]) for i, _ in parked]
        mean, var = self.posterior([*names, *also], group, features)
        k, at = len(names), np.array([i for i, _ in parked])
        means, variances, share = np.zeros((2, k)), np.ones((2, k)), np.zeros((2, k))
        means[0], means[1, at] = mean[:k], mean[k:]
        variances[0], variances[1, at] = var[:k], var[k:]
        policy = regimes.policy
        least = np.where(mean[k:] > mean[at], policy.probe, policy.parked)
        share[1, at] = np.maximum([share_of(arm.odds) for _, arm in parked], least)
        share[0] = 1.0 - share[1]
        return means, variances, share

    def predict(
        self, group: str | None = None, top_k: int = 3, features: Features | None = None
    ) -> list[tuple[str, float]]:
        """Return the best known arms for a task with their expected rewards, best first."""
        names = self.arm_names()
        if not names:
            return []
        mean = self._bounded(self.posterior(names, group, features)[0])
        best = np.argsort(-mean, kind="stable")[:top_k].tolist()
        return [(names[i], float(mean[i])) for i in best]

    @classmethod
    def design(cls, settings: LearnSettings) -> Design:
        """See ``Learner``."""
        return Design(
            _prior(settings), settings.max_arms, settings.max_groups, low=0.0, high=1.0,
            max_features=settings.max_features,
        )  # fmt: skip


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
    watches: ClassVar[bool] = True


class Routing(ChoiceModel):
    """Which queue, workflow or team a task takes: arms are routes, groups are task types."""

    model_type: ClassVar[ModelType] = ModelType.ROUTING
    watches: ClassVar[bool] = True


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

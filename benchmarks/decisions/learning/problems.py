"""The synthetic problems: ten agents whose success depends on the task, and is known to us.

The success probability of an agent is logistic in its bias, an effect of the task type and
numeric features of the task, five of twelve of which matter. All is drawn from the problem's
seed; a seed gives the same agents and tasks in every scenario, so that scenarios compare.

The spreads were chosen so that LinUCB earns about .97 of what can be earned while nothing
changes, and the rule of mean rewards about .75.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

AGENTS: Final = 10
FEATURES: Final = 12
INFORMATIVE: Final = 5
DECISIONS: Final = 20_000
# Every second problem has one task type, the others four.
TYPES: Final = (1, 4)
# Standard deviations in logits, around the level.
LEVEL: Final = 0.2
BIAS: Final = 0.6
TYPE_EFFECT: Final = 0.5
FEATURE_EFFECT: Final = 1.5  # of all informative features together
NEVER: Final = 2**40  # decisions after which an outcome is heard that never is


@dataclass(frozen=True)
class Moment:
    """The decision from which something is different: ``first``, ``repeat`` or ``recovery``."""

    kind: str
    at: int


@dataclass(frozen=True, eq=False)
class Problem:
    """Tasks in order, and what every agent would make of each.

    Attributes
    ----------
    agents
        Names of the columns.
    types, task_type
        Names of the task types; of each task its type.
    context
        float64[decisions, features], standard normal.
    logit
        float64[decisions, agents]: log odds of success.
    drawn
        bool[decisions, agents]: what the outcome of each agent would be.
    available
        bool[decisions, agents]: who may be chosen.
    heard_after
        int64[decisions]: how many decisions later an outcome is heard; ``NEVER``: not at all.
    price_usd, paid_usd
        Expected cost of a run by agent, float64[agents]; what each run would cost,
        float64[decisions, agents].
    cost_weight
        What a dollar takes from the utility of a decision, in successes.
    moments
        When something changed, in order.
    """

    agents: tuple[str, ...]
    types: tuple[str, ...]
    task_type: Ints
    context: Floats
    logit: Floats
    drawn: Bools
    available: Bools
    heard_after: Ints
    price_usd: Floats
    paid_usd: Floats
    cost_weight: float = 0.0
    moments: tuple[Moment, ...] = ()

    @property
    def expected(self) -> Floats:
        """Expected utility of every agent on every task."""
        return success(self.logit) - self.cost_weight * self.price_usd

    @property
    def reward(self) -> Floats:
        """What a learner is told, 0..1: the drawn utility on a scale that costs declare."""
        most_lost = self.cost_weight * float(self.paid_usd.max())
        return (self.drawn - self.cost_weight * self.paid_usd + most_lost) / (1.0 + most_lost)

    @property
    def vectors(self) -> Floats:
        """Type and features of every task as a policy is given them: see ``policies.Task``."""
        return np.hstack([np.eye(len(self.types))[self.task_type], self.context])

    @property
    def oracle(self) -> Floats:
        """Expected utility of the best available agent on every task."""
        return np.where(self.available, self.expected, -np.inf).max(axis=1)


def success(logit: Floats) -> Floats:
    """Return the probability that belongs to log odds."""
    return 1.0 / (1.0 + np.exp(-logit))


@dataclass(frozen=True, eq=False)
class Base:
    """What is common to all scenarios of a seed; ``uniform`` decides the outcomes."""

    types: tuple[str, ...]
    task_type: Ints
    context: Floats
    logit: Floats
    uniform: Floats
    price_usd: Floats
    paid_ratio: Floats

    def ranked(self) -> Ints:
        """Return the agents, first the one that is best at most tasks."""
        share = np.bincount(self.logit.argmax(axis=1), minlength=AGENTS)
        return np.argsort(-share, kind="stable")


def base(seed: int, decisions: int) -> Base:
    """Draw agents and tasks."""
    rng = np.random.default_rng([*b"learning", seed])
    count = TYPES[seed % len(TYPES)]
    weights = np.zeros((FEATURES, AGENTS))
    matter = rng.permutation(FEATURES)[:INFORMATIVE]
    weights[matter] = rng.normal(0.0, FEATURE_EFFECT / INFORMATIVE**0.5, (INFORMATIVE, AGENTS))
    bias = rng.normal(LEVEL, BIAS, AGENTS)
    effect = rng.normal(0.0, TYPE_EFFECT if count > 1 else 0.0, (count, AGENTS))
    price_usd = _prices(rng, bias)
    context = rng.normal(size=(decisions, FEATURES))
    task_type = rng.integers(count, size=decisions)
    return Base(
        types=tuple(f"type-{i}" for i in range(count)),
        task_type=task_type,
        context=context,
        logit=bias + effect[task_type] + context @ weights,
        uniform=rng.random((decisions, AGENTS)),
        price_usd=price_usd,
        paid_ratio=rng.uniform(0.5, 1.5, (decisions, AGENTS)),
    )


def _prices(rng: np.random.Generator, bias: Floats) -> Floats:
    """Return expected costs from .005 to .2 USD: who is better at all tasks is rather dearer."""
    better = (bias - LEVEL) / BIAS
    spread = 0.6 * better + 0.8 * rng.normal(size=AGENTS)
    return np.clip(0.04 * np.exp(0.8 * spread), 0.005, 0.2)

"""What a policy is, and those that need nothing but numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol, TypeAlias

import numpy as np

from benchmarks.decisions.learning.problems import Floats


class Task(NamedTuple):
    """A task that waits for an agent.

    Attributes
    ----------
    candidates
        Names of the agents that may be chosen.
    task_type, context
        What is known of it: a name, and numeric features.
    vector
        Both as one float64[Setup.width]: a 1 for the type, 0 for the others, the features.
    """

    candidates: tuple[str, ...]
    task_type: str
    context: Floats
    vector: Floats


class Decision(NamedTuple):
    """What a policy chose, and how probable that was; 1 where it does not say."""

    task: Task
    agent: str
    propensity: float = 1.0


class Setup(NamedTuple):
    """What a policy is told before it begins.

    All agents that will ever come are named, for peers that want to know; ours does not look.
    """

    agents: tuple[str, ...]
    types: tuple[str, ...]
    features: int
    seed: int

    @property
    def width(self) -> int:
        """Length of ``Task.vector``."""
        return len(self.types) + self.features


class Policy(Protocol):
    """Chooses, and learns from what it hears, in whatever order."""

    def choose(self, task: Task) -> Decision:
        """Choose one of the candidates."""

    def learn(self, decision: Decision, reward: float) -> None:
        """Take in what became of an earlier decision, 0..1."""


New: TypeAlias = Callable[[Setup], Policy]


class SuccessRate:
    """The mean reward of each agent, whatever the task; now and then any agent."""

    def __init__(self, setup: Setup, epsilon: float = 0.1) -> None:
        self._epsilon = epsilon
        self._rng = np.random.default_rng(setup.seed)
        # Half a success of one run: an agent that is new is neither best nor worst.
        self._sum = dict.fromkeys(setup.agents, 0.5)
        self._count = dict.fromkeys(setup.agents, 1.0)

    def choose(self, task: Task) -> Decision:
        names = task.candidates
        if self._rng.random() < self._epsilon:
            return Decision(task, names[int(self._rng.integers(len(names)))])
        return Decision(task, max(names, key=lambda name: self._sum[name] / self._count[name]))

    def learn(self, decision: Decision, reward: float) -> None:
        self._sum[decision.agent] += reward
        self._count[decision.agent] += 1.0


class LinUCB:
    """A ridge regression for each agent and an upper bound on it; L. Li et al. (2010), disjoint.

    Parameters
    ----------
    alpha
        Standard deviations that are added to the mean.
    discount
        What is left of an agent's evidence at each of its rewards; 1 forgets nothing.
    """

    def __init__(self, setup: Setup, alpha: float = 0.3, discount: float = 1.0) -> None:
        count, width = len(setup.agents), setup.width
        self._index = {name: i for i, name in enumerate(setup.agents)}
        self._alpha, self._discount = alpha, discount
        self._known: tuple[str, ...] = ()
        self._columns = np.arange(count)
        self._inverse = np.tile(np.eye(width), (count, 1, 1))
        self._moment = np.zeros((count, width))
        self._weight = np.zeros((count, width))

    def choose(self, task: Task) -> Decision:
        x = task.vector
        variance = np.maximum((self._inverse @ x) @ x, 0.0)
        bound = self._weight @ x + self._alpha * np.sqrt(variance)
        if task.candidates != self._known:
            self._known = task.candidates
            self._columns = np.array([self._index[name] for name in task.candidates])
        return Decision(task, task.candidates[int(bound[self._columns].argmax())])

    def learn(self, decision: Decision, reward: float) -> None:
        i, x = self._index[decision.agent], decision.task.vector
        self._forget(i)
        inverse = self._inverse[i]
        v = inverse @ x
        inverse -= np.outer(v, v) / (1.0 + v @ x)
        self._moment[i] += reward * x
        self._weight[i] = inverse @ self._moment[i]

    def _forget(self, i: int) -> None:
        if self._discount == 1.0:
            return
        self._moment[i] *= self._discount
        self._inverse[i] /= self._discount
        # The ridge is forgotten with the rest: what was long not asked must not grow for ever.
        trace = float(self._inverse[i].trace())
        if trace > _WIDEST * len(self._moment[i]):
            self._inverse[i] *= _WIDEST * len(self._moment[i]) / trace


_WIDEST: Final = 10.0

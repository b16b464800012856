"""Libraries that choose in context, each behind the same small protocol.

Each is imported where it is made. ``missing`` says what of it is not installed.
"""

from __future__ import annotations

import warnings
from importlib import import_module, metadata
from typing import Any, Final

import numpy as np

from benchmarks.decisions.learning.policies import Decision, Setup, Task

PACKAGES: Final = {
    "Vowpal Wabbit": "vowpalwabbit",
    "MABWiser": "mabwiser",
    "bayesianbandits": "bayesianbandits",
    "River": "river",
}
# MABWiser copies every arm at every call: learning one by one would take 3 ms a decision.
_TOGETHER: Final = 20


def version(library: str) -> str | None:
    """Return the version of a library, None without it."""
    try:
        import_module(PACKAGES[library])
    except ImportError:
        return None
    return metadata.version(PACKAGES[library])


class VowpalWabbit:
    """``--cb_explore_adf``: one linear model of agent and of agent x feature.

    Parameters
    ----------
    options
        How it explores and learns, as on its command line.
    """

    def __init__(self, setup: Setup, options: str) -> None:
        import vowpalwabbit

        command = f"--quiet --cb_explore_adf -q as --random_seed {setup.seed + 1} {options}"
        self._vw = vowpalwabbit.Workspace(command)
        self._rng = np.random.default_rng(setup.seed)
        self._actions = {name: f"|a {name}" for name in setup.agents}

    def choose(self, task: Task) -> Decision:
        probabilities = np.array(self._vw.predict(self._lines(task)))
        # Single precision: they sum to 1 but for rounding.
        edges = probabilities.cumsum()
        at = int(np.searchsorted(edges, self._rng.random() * edges[-1], side="right"))
        return Decision(task, task.candidates[at], float(probabilities[at]))

    def learn(self, decision: Decision, reward: float) -> None:
        lines = self._lines(decision.task)
        at = 1 + decision.task.candidates.index(decision.agent)
        # It minimises cost, and knows none beyond what it has seen: 0 is a good start.
        lines[at] = f"0:{-reward:.6f}:{decision.propensity:.6f} {lines[at]}"
        self._vw.learn(lines)

    def _lines(self, task: Task) -> list[str]:
        features = " ".join(f"x{i}:{value:.5f}" for i, value in enumerate(task.context.tolist()))
        return [
            f"shared |s {task.task_type} {features}",
            *[self._actions[name] for name in task.candidates],
        ]


class MABWiser:
    """Its linear policies; told what became of its decisions twenty at a time."""

    def __init__(self, setup: Setup, policy: str, **settings: float) -> None:
        from mabwiser.mab import MAB, LearningPolicy

        rule = getattr(LearningPolicy, policy)(**settings)
        self._mab: Any = MAB(list(setup.agents), rule, seed=setup.seed)
        # It wants to be fitted before it chooses: a context of zeros teaches nothing.
        self._mab.fit([setup.agents[0]], [0.0], np.zeros((1, setup.width)))
        self._heard: list[tuple[Decision, float]] = []

    def choose(self, task: Task) -> Decision:
        expected = self._mab.predict_expectations(task.vector[None, :])
        return Decision(task, max(task.candidates, key=expected.__getitem__))

    def learn(self, decision: Decision, reward: float) -> None:
        self._heard.append((decision, reward))
        if len(self._heard) < _TOGETHER:
            return
        decisions, rewards = zip(*self._heard, strict=True)
        self._heard = []
        vectors = np.array([one.task.vector for one in decisions])
        self._mab.partial_fit([one.agent for one in decisions], list(rewards), vectors)


class BayesianBandits:
    """A Bayesian linear regression for each agent, that forgets at each update; Thompson draws."""

    def __init__(self, setup: Setup, beta: float, rate: float) -> None:
        import bayesianbandits as bb

        forgetting = bb.StabilizedForgetting(rate) if rate < 1.0 else None
        self._arms = {
            name: bb.Arm(name, learner=bb.NormalRegressor(1.0, beta, forgetting=forgetting))
            for name in setup.agents
        }
        self._policy, self._seed = bb.ThompsonSampling(), setup.seed
        self._agent_of = bb.ContextualAgent
        self._agents: dict[tuple[str, ...], Any] = {}

    def choose(self, task: Task) -> Decision:
        return Decision(task, self._of(task.candidates).pull(task.vector[None, :])[0])

    def learn(self, decision: Decision, reward: float) -> None:
        arm = self._arms[decision.agent]
        arm.update(decision.task.vector[None, :], np.array([reward]))

    def _of(self, candidates: tuple[str, ...]) -> Any:
        """Return one that chooses among these; arms are shared, so nothing is lost."""
        if candidates not in self._agents:
            arms = [self._arms[name] for name in candidates]
            self._agents[candidates] = self._agent_of(arms, self._policy, random_seed=self._seed)
        return self._agents[candidates]


class River:
    """``bandit.LinUCBDisjoint``; with smoothing its regressions forget."""

    def __init__(self, setup: Setup, beta: float, smoothing: float | None) -> None:
        from river import bandit

        self._bandit = bandit.LinUCBDisjoint(beta=beta, smoothing=smoothing, seed=setup.seed)

    def choose(self, task: Task) -> Decision:
        return Decision(task, self._bandit.pull(task.candidates, context=_named(task)))

    def learn(self, decision: Decision, reward: float) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            self._bandit.update(decision.agent, _named(decision.task), reward)


def _named(task: Task) -> dict[int, float]:
    return dict(enumerate(task.vector.tolist()))

"""Our selection as a policy of the benchmark: all that knows the learner's interface is here."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from benchmarks.decisions.learning.policies import Decision, Setup, Task
from selfright.learn.choice import AgentSelection
from selfright.learn.features import Features, features_of
from selfright.learn.samples import Samples
from selfright.learn.settings import LearnSettings

NAME: Final = "Selfright"


class Selfright:
    """``AgentSelection`` by itself, told of each outcome as it is heard.

    Contexts go the way they go in life: it is told names and numbers, nothing else.
    """

    def __init__(self, setup: Setup, **settings: float) -> None:
        self._model = AgentSelection(settings=replace(LearnSettings.alone(), **settings))
        self._rng = np.random.default_rng(setup.seed)
        # As the loop does: a context is read once, at the choice, and waits for its outcome.
        self._waiting: dict[int, Features | None] = {}

    def choose(self, task: Task) -> Decision:
        features = self._waiting[id(task)] = _features(task)
        choice = self._model.select(task.candidates, task.task_type, self._rng, features)
        propensity = float(choice.probabilities[choice.index])
        return Decision(task, task.candidates[choice.index], propensity)

    def learn(self, decision: Decision, reward: float) -> None:
        task = decision.task
        features = [self._waiting.pop(id(task))]
        self._model.update(
            Samples.of([decision.agent], [task.task_type], [reward], features=features)
        )


def _features(task: Task) -> Features | None:
    return features_of({f"x{i}": value for i, value in enumerate(task.context.tolist())})

"""Our selection as a policy of the benchmark: all that knows the learner's interface is here."""

from __future__ import annotations

from typing import Final

import numpy as np

from benchmarks.decisions.learning.policies import Decision, Setup, Task
from selfright.learn.choice import AgentSelection
from selfright.learn.samples import Samples
from selfright.learn.settings import LearnSettings

NAME: Final = "Selfright"


class Selfright:
    """``AgentSelection``, told of each outcome as it is heard. It looks at no features yet."""

    def __init__(self, setup: Setup, **settings: float) -> None:
        self._model = AgentSelection(settings=LearnSettings(**settings))
        self._rng = np.random.default_rng(setup.seed)

    def choose(self, task: Task) -> Decision:
        choice = self._model.select(task.candidates, task.task_type, self._rng)
        propensity = float(choice.probabilities[choice.index])
        return Decision(task, task.candidates[choice.index], propensity)

    def learn(self, decision: Decision, reward: float) -> None:
        self._model.update(Samples.of([decision.agent], [decision.task.task_type], [reward]))

"""The traffic: the model picks an agent, the fleet answers, the monitor records.

A tenth of the tasks comes from callers who name an agent themselves, as in any fleet;
the rest goes through ``select_agent``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from selfright.clock import US_PER_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfright.online_learning import Decision, RealTimeModelUpdater
    from selfright.performance_monitor import PerformanceMonitor
    from selfright.testing.fleet import Fleet, Task

_NAMED_BY_CALLER: Final = 0.1


@dataclass(frozen=True, slots=True)
class Sent:
    """A task that was done, and what is true about it.

    Attributes
    ----------
    agent
        Who did it.
    version
        The model version that picked that agent; None where the caller had named it.
    quality, possible
        How likely that agent was to be right, and how likely the best one for the task.
    """

    agent: str
    version: int | None
    quality: float
    possible: float


class Play:
    """Sends tasks through the system in rounds and remembers how well each was placed.

    Parameters
    ----------
    fleet
        Does the tasks.
    monitor, updater
        The system.
    seed
        Of which callers name which agent.

    Attributes
    ----------
    sent
        Every task so far. The system does not see it.
    """

    def __init__(
        self, fleet: Fleet, monitor: PerformanceMonitor, updater: RealTimeModelUpdater, seed: int
    ) -> None:
        self._fleet = fleet
        self._monitor = monitor
        self._updater = updater
        self._rng = np.random.default_rng([seed, 1])
        self._names = list(fleet.names)
        self.sent: list[Sent] = []

    def round(self, times_us: Sequence[int]) -> None:
        """Send a task at each of ``times_us``; they are under way at the same time.

        All agents are picked first, then the runs end, and outcomes arrive that have
        become known by then.
        """
        placed = [self._place() for _ in times_us]
        for ts_us, (task, agent, decision) in zip(times_us, placed, strict=True):
            at_s = (ts_us - self._fleet.start_us) / US_PER_S
            best = self._fleet.best(task.task_type, at_s)
            quality, possible = (
                self._fleet.truth(name, task.task_type, at_s).accuracy for name in (agent, best)
            )
            version = None if decision is None else decision.model_version
            self.sent.append(Sent(agent, version, quality, possible))
            made = None if decision is None else decision.decision_id
            run = self._fleet.run(agent, task, ts_us, decision_id=made)
            del run["kind"]
            self._monitor.record_agent_run(**run)
        for outcome in self._fleet.due(times_us[-1]):
            self._report(outcome)

    def _place(self) -> tuple[Task, str, Decision | None]:
        task = self._fleet.task()
        if self._rng.random() < _NAMED_BY_CALLER:
            return task, self._names[int(self._rng.integers(len(self._names)))], None
        decision = self._updater.select_agent(task.task_type, candidates=self._names)
        return task, decision.agent_name, decision

    def _report(self, outcome: dict[str, Any]) -> None:
        self._monitor.record_accuracy(
            outcome["agent_name"],
            outcome["task_id"],
            None,
            None,
            outcome["feedback_source"],
            timestamp=outcome["timestamp"],
            accuracy_score=outcome["accuracy_score"],
            run_id=outcome["run_id"],
        )

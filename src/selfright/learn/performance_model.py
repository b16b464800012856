"""The selection model by itself: a few lines for who has no fleet, no log, no gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from selfright.learn.features import features_of
from selfright.learn.feed import STATUS_SCORE
from selfright.learn.model import new_model
from selfright.learn.model_type import ModelType
from selfright.learn.samples import Samples
from selfright.learn.settings import LearnSettings
from selfright.learn.strategy import UpdateStrategy

if TYPE_CHECKING:
    from selfright.learn.model import Model


class RunEvent(Protocol):
    """What the model reads of an event."""

    @property
    def agent_name(self) -> str:
        """Whose run it was."""
        ...

    @property
    def status(self) -> str:
        """How it ended."""
        ...


class AgentPerformanceModel:
    """Which agent does best at which kind of task, learnt from one event after the other.

    A view of the same machinery that ``RealTimeModelUpdater`` serves from, without log,
    versions or gate. Use that for anything that has to survive a restart.

    Parameters
    ----------
    update_strategy
        How evidence is forgotten.

    Examples
    --------
    >>> from selfright.online_learning import OutcomeEvent
    >>> model = AgentPerformanceModel()
    >>> for status in ["success"] * 9 + ["failure"]:
    ...     model.update(OutcomeEvent(agent_name="planner", status=status, duration_ms=120.0))
    >>> model.get_success_rate("planner"), model.get_avg_latency("planner")
    (0.9, 120.0)
    """

    def __init__(self, update_strategy: UpdateStrategy = UpdateStrategy.BAYESIAN) -> None:
        self._model: Model = new_model(
            ModelType.AGENT_SELECTION, UpdateStrategy(update_strategy), LearnSettings.alone()
        )
        self._decided: dict[str, int] = {}
        self._succeeded: dict[str, int] = {}
        self._timed: dict[str, int] = {}
        self._time_ms: dict[str, float] = {}
        self.update_count = 0

    def update(self, event: RunEvent) -> None:
        """Learn from one run; one that is pending, cancelled or interrupted says nothing."""
        self.update_count += 1
        name = event.agent_name
        duration_ms = getattr(event, "duration_ms", None)
        if duration_ms is not None:
            self._timed[name] = self._timed.get(name, 0) + 1
            self._time_ms[name] = self._time_ms.get(name, 0.0) + float(duration_ms)
        worth = STATUS_SCORE.get(str(event.status))
        if worth is None:
            return
        self._decided[name] = self._decided.get(name, 0) + 1
        self._succeeded[name] = self._succeeded.get(name, 0) + (str(event.status) == "success")
        score = getattr(event, "accuracy_score", None)
        group = getattr(event, "task_type", None) or getattr(event, "action_type", None)
        features = features_of(getattr(event, "context_snapshot", None))
        self._model.update(
            Samples(
                arm=[name],
                group=[group],
                y=np.array([worth if score is None else float(score)]),
                weight=np.ones(1),
                ts_us=np.zeros(1, dtype=np.int64),
                features=None if features is None else [features],
            )
        )

    def predict_best_agent(
        self, task_type: str | None = None, context: dict[str, Any] | None = None, top_k: int = 3
    ) -> list[tuple[str, float]]:
        """Return the best agents with their expected reward, best first.

        ``context`` counts as far as what it says has proved to matter; it is what the events
        call ``context_snapshot``.
        """
        found: list[tuple[str, float]] = self._model.predict(task_type, top_k, features_of(context))
        return found

    def get_success_rate(self, agent_name: str) -> float | None:
        """Return the share of decided runs that succeeded; None if there is none."""
        decided = self._decided.get(agent_name, 0)
        return self._succeeded[agent_name] / decided if decided else None

    def get_avg_latency(self, agent_name: str) -> float | None:
        """Return the mean duration in ms; None if none was reported."""
        timed = self._timed.get(agent_name, 0)
        return self._time_ms[agent_name] / timed if timed else None

    def to_dict(self) -> dict[str, Any]:
        """Return what is known of each agent as plain values."""
        return {
            "update_count": self.update_count,
            "agents": {
                name: {
                    "runs": decided,
                    "success_rate": self.get_success_rate(name),
                    "avg_latency_ms": self.get_avg_latency(name),
                }
                for name, decided in self._decided.items()
            },
        }

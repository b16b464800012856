"""The second public face: models that learn from every outcome, and choose.

``RealTimeModelUpdater`` holds the five models, learns from runs and outcomes, selects
agents, routes and parameter sets with exact propensities, and retrains behind a gate.
It only says what can be asked; what is done stands in the modules of this room:

| module | answers |
|---|---|
| ``membership`` | whose circle it turns with, and the models of the user's own |
| ``names``, ``arms`` | which models there are; among what is chosen |
| ``choosing`` | select and cascade, with the decisions they make (``decision``) |
| ``recording`` | events, and what came of decisions |
| ``reading``, ``versions`` | what the models know; what the registry keeps |
| ``acts`` | retrain, promote, roll back, save |
| ``lifecycle`` | what it does by itself while started |
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from selfright.clock import SystemClock
from selfright.config import Settings, with_values
from selfright.errors import ConfigError
from selfright.learn.model_type import ModelType as ModelType
from selfright.learn.performance_model import AgentPerformanceModel as AgentPerformanceModel
from selfright.learn.strategy import UpdateStrategy as UpdateStrategy
from selfright.loop.outcome_event import EventSeverity as EventSeverity
from selfright.loop.outcome_event import OutcomeEvent as OutcomeEvent
from selfright.loop.outcome_event import OutcomeStatus as OutcomeStatus
from selfright.loop.own.protocol import OwnModel as OwnModel
from selfright.loop.retraining import RetrainResult as RetrainResult
from selfright.online_learning import acts, reading, recording, versions
from selfright.online_learning.choosing import Choosing
from selfright.online_learning.decision import Cascade as Cascade
from selfright.online_learning.decision import Decision as Decision
from selfright.online_learning.lifecycle import Lifecycle
from selfright.online_learning.membership import Membership
from selfright.online_learning.reading import LearningMetrics as LearningMetrics
from selfright.retrain.comparison import Comparison as Comparison
from selfright.retrain.history import Promotion as Promotion
from selfright.retrain.history import Serving as Serving
from selfright.retrain.manifest import ModelVersion as ModelVersion
from selfright.retrain.registry import FileRegistry

if TYPE_CHECKING:
    from selfright.loop.control import Circle


class RealTimeModelUpdater:
    """Learns from every run and outcome; chooses; retrains behind a gate.

    Given to a ``PerformanceMonitor`` it joins that monitor's log: what is recorded there
    reaches the models. Alone it keeps the newest ``replay_buffer_size`` events in memory.

    Parameters
    ----------
    kafka_servers
        None: the embedded stream. Kafka is not supported yet: anything else is refused.
    batch_size, batch_timeout_seconds
        Bound how stale the served models may be: so many events, so many seconds.
    model_storage_path
        Folder of the versions; created when needed.
    update_strategy
        How evidence is forgotten; see ``UpdateStrategy``.
    enable_auto_save, save_interval_seconds
        Save what was learnt since the last version, every so often while started.
    replay_buffer_size
        Events kept where there is no monitor.
    settings
        The frozen settings tree, for all the rest.

    Raises
    ------
    ConfigError
        If a parameter is wrong; the message names it and the remedy.
    """

    def __init__(
        self,
        kafka_servers: str | None = None,
        kafka_topic: str = "agent-outcomes",
        consumer_group: str = "model-updater",
        batch_size: int = 10,
        batch_timeout_seconds: float = 30,
        model_storage_path: str = "./models",
        update_strategy: UpdateStrategy = UpdateStrategy.BAYESIAN,
        enable_auto_save: bool = True,
        save_interval_seconds: float = 300,
        replay_buffer_size: int = 10_000,
        settings: Settings | None = None,
    ) -> None:
        if kafka_servers is not None:
            raise ConfigError(
                "kafka_servers",
                kafka_servers,
                "the source that the extra `kafka` is for does not exist in this version yet; "
                "leave it None for the embedded stream",
            )
        for name, value in (
            ("batch_size", batch_size),
            ("batch_timeout_seconds", batch_timeout_seconds),
            ("save_interval_seconds", save_interval_seconds),
            ("replay_buffer_size", replay_buffer_size),
        ):
            if not value > 0:
                raise ConfigError(name, value, "must be greater than 0")
        self.kafka_topic = kafka_topic
        self.consumer_group = consumer_group
        self.batch_size = batch_size
        self.batch_timeout_seconds = batch_timeout_seconds
        self.settings = with_values(
            settings or Settings(), {"log.memory_events": replay_buffer_size}
        )
        self.registry = FileRegistry(model_storage_path, SystemClock())
        self.strategy = UpdateStrategy(update_strategy)
        self._member = Membership(self.settings, self.registry, self.strategy, batch_size)
        self._choosing = Choosing(self._member)
        self._lifecycle = Lifecycle(
            self._member,
            save_interval_seconds if enable_auto_save else None,
            self.save,
            lambda: sum(self.get_metrics().updates.values()),
        )

    # ---- joining ---------------------------------------------------------------------

    def attach(self, circle: Circle) -> None:
        """Join a monitor's circle. Raises ``ConfigError`` if it has joined or made one."""
        self._member.attach(circle)

    @property
    def circle(self) -> Circle:
        """The circle this updater turns with: its monitor's, or one of its own."""
        return self._member.circle

    def register_model(self, name: str, model: OwnModel) -> None:
        """Let a model of your own join the loop under a name; see ``OwnModel``.

        It learns from every event in the log, in a thread of its own while started, and is
        retrained, gated by its own scores, watched by them after a promotion, versioned
        and rolled back like the five. A model of which a version serves takes that over, and
        learns what came since. One that raises is counted and, if it goes on, switched off;
        mended, it is registered again.

        Give the updater to its monitor first. Raises ``ConfigError`` for a name that is
        taken or cannot be, a model that lacks a method, or one that cannot load its version.
        """
        self._member.register(name, model)

    # ---- learning --------------------------------------------------------------------

    def submit(self, event: OutcomeEvent | Mapping[str, Any]) -> None:
        """Learn from one event. Never blocks. Raises ``InvalidEventError``."""
        recording.submit(self._member, (event,))

    def submit_many(self, events: Iterable[OutcomeEvent | Mapping[str, Any]]) -> int:
        """Learn from many events; return how many. Raises ``InvalidEventError``."""
        return recording.submit(self._member, events)

    def record_outcome(
        self,
        decision_id: str,
        reward: float | None = None,
        status: str | None = None,
        cost: float | None = None,
        latency_ms: float | None = None,
        accuracy_score: float | None = None,
    ) -> None:
        """Say what came of a decision: in any order, late, or never.

        ``reward`` and ``accuracy_score`` (0..1) mean the same; without either the status
        tells. Raises ``UnknownNameError`` for a decision nobody made.
        """
        score = reward if accuracy_score is None else accuracy_score
        recording.record_outcome(self._member, decision_id, score, status, cost, latency_ms)

    # ---- choosing --------------------------------------------------------------------

    def select_agent(
        self,
        task_type: str | None = None,
        context: dict[str, Any] | None = None,
        candidates: Sequence[str] | None = None,
    ) -> Decision:
        """Choose an agent for a task; the decision is recorded with its probability.

        ``candidates``: who may be chosen; None: every agent seen so far and not retired.
        Whoever is named is taken to be there, retired or not. Raises
        ``ConfigError`` if there is nobody to choose from.
        """
        return self.select(ModelType.AGENT_SELECTION, candidates, task_type, context)

    def select(
        self,
        model_type: ModelType,
        arms: Sequence[Any] | None = None,
        task_type: str | None = None,
        context: dict[str, Any] | None = None,
    ) -> Decision:
        """Choose among agents, routes or parameter sets (mappings).

        For parameter sets ``context["agent_name"]`` says whose they are.
        """
        return self._choosing.select(model_type, arms, task_type, context)

    def select_cascade(
        self,
        task_type: str | None = None,
        context: dict[str, Any] | None = None,
        candidates: Sequence[str] | None = None,
        *,
        success_value_usd: float | None = None,
        max_agents: int = 2,
        costs_usd: Mapping[str, float] | None = None,
    ) -> Cascade:
        """Choose agents to try one after the other until a check says that one succeeded.

        The order follows from what success is worth, what each agent costs on average, and
        how probable its success is: at first, and after another one has failed. Record each
        run with the step's task type and the first with ``decision_id``; an orchestrator
        with ``strategy="cascade"`` does all that.

        Parameters
        ----------
        success_value_usd
            What a success is worth, in dollars; by default ``learn.w_success`` over
            ``learn.w_cost``, or 1 where costs have no weight.
        max_agents
            The longest chain.
        costs_usd
            Mean cost of a run, by agent, where it is not to be taken from the recorded
            runs; an agent without any cost is taken to cost what the others do on average.

        Raises
        ------
        ConfigError
            If there is nobody to choose from, or a number is out of range.
        """
        return self._choosing.cascade(
            task_type,
            context,
            candidates,
            success_value_usd=success_value_usd,
            max_agents=max_agents,
            costs_usd=costs_usd,
        )

    # ---- reading ---------------------------------------------------------------------

    def predict(self, model_type: ModelType, **about: Any) -> Any:
        """Return what a model expects.

        ``agent_selection``: ``[(agent, score), ...]`` (``task_type``, ``top_k=3``);
        ``routing``: ``{"route", "score"}``; ``parameter_optimization``: the parameters
        for ``agent_name``; ``quality_prediction`` and ``latency_prediction`` (ms):
        ``{"value", "low", "high"}`` for ``agent_name`` and ``task_type``.
        """
        return reading.predict(self._member, model_type, about)

    def get_model(self, model_type: ModelType | str) -> Any:
        """Return a copy of the model that serves, also of one that was registered."""
        return reading.copy_of(self._member, model_type)

    def get_metrics(self) -> LearningMetrics:
        """Return counts of the models and their retrainings."""
        return reading.metrics(self._member)

    def models(self) -> list[dict[str, Any]]:
        """Return one row per model: what serves, what is on trial, what it has learnt."""
        return reading.rows(self._member)

    # ---- versions --------------------------------------------------------------------

    def versions(self, model_type: ModelType | str) -> list[ModelVersion]:
        """Return the versions of a model, oldest first; damaged ones with what is wrong."""
        return versions.versions(self._member, model_type)

    def promotions(self, model_type: ModelType | str) -> list[Promotion]:
        """Return the promotion log of a model, oldest first: what served when, and why."""
        return versions.promotions(self._member, model_type)

    def serving_at(
        self, at: datetime | str | float, model_type: ModelType | str | None = None
    ) -> list[Serving]:
        """Return what served at a moment: every model, or one.

        ``at``: a datetime (a naive one is UTC), RFC 3339 text or seconds since the epoch.
        Raises ``ConfigError`` for what is no time, or one that is still to come.
        """
        return versions.serving_at(self._member, at, model_type)

    def compare(self, model_type: ModelType | str, before: int, after: int) -> Comparison:
        """Return what two versions of a model believe differently, the largest change first.

        Raises ``UnknownNameError`` for a version there is none of, and ``CorruptLogError``
        for a damaged one; its message says what is wrong with it.
        """
        return versions.compare(self._member, model_type, before, after)

    def trigger_retraining(
        self,
        model_type: ModelType | str = ModelType.AGENT_SELECTION,
        reason: str = "Manual trigger",
        force_full_retrain: bool = False,
    ) -> RetrainResult:
        """Retrain now; the result is ``pending`` while the gate watches the new version.

        A model of your own, by its name, is always retrained in full.
        """
        return acts.retrain(self._member, model_type, reason, full=force_full_retrain)

    def promote(
        self, model_type: ModelType | str, version: int, force: bool = False
    ) -> ModelVersion:
        """Let a version serve by hand. Raises ``UnknownNameError``, ``ConfigError``.

        One that never served has not passed the gate: that takes ``force=True``, which
        is recorded.
        """
        return acts.promote(self._member, model_type, version, force=force)

    def rollback(self, model_type: ModelType | str, version: int | None = None) -> ModelVersion:
        """Let the parent of the version that serves serve again, or ``version``.

        Raises ``UnknownNameError`` for a version there is none of, ``ConfigError`` for a
        damaged one.
        """
        return acts.rollback(self._member, model_type, version)

    def save(self) -> dict[str, int]:
        """Save what the models have learnt; return the version of each.

        Needed only where no log is kept: with one, a restart learns from the log.
        """
        return acts.save(self._member)

    # ---- life ------------------------------------------------------------------------

    def start(self) -> Self:
        """Learn by itself from now on. Idempotent."""
        self._lifecycle.start()
        return self

    def stop(self) -> None:
        """Learn what came in, save, end the threads. Idempotent."""
        self._lifecycle.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


_the_updater: RealTimeModelUpdater | None = None
_the_guard = threading.Lock()


def get_model_updater(**parameters: Any) -> RealTimeModelUpdater:
    """Return the process's updater; the first call makes it with ``parameters``."""
    global _the_updater  # noqa: PLW0603 - one per process is what this function is for
    with _the_guard:
        if _the_updater is None:
            _the_updater = RealTimeModelUpdater(**parameters)
        elif parameters:
            raise ConfigError(
                "get_model_updater", parameters, "was made already; call it without parameters"
            )
        return _the_updater

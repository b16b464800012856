"""The second public face: models that learn from every outcome, and choose.

``RealTimeModelUpdater`` holds the five models, learns from runs and outcomes, selects
agents, routes and parameter sets with exact propensities, and retrains behind a gate.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from selfright.assemble import Learning, open_circle
from selfright.clock import SystemClock
from selfright.config import Settings, with_values
from selfright.errors import ConfigError, InvalidEventError, UnknownNameError, did_you_mean
from selfright.events.record import MAX_NAME, OperatorAct
from selfright.events.record import Decision as DecisionRecord
from selfright.events.timestamp import parse, parse_text
from selfright.learn.cascade import choose
from selfright.learn.features import features_of
from selfright.learn.feed import config_key
from selfright.learn.model_type import ModelType as ModelType
from selfright.learn.performance_model import AgentPerformanceModel as AgentPerformanceModel
from selfright.learn.strategy import UpdateStrategy as UpdateStrategy
from selfright.loop import retraining
from selfright.loop.chances import after_failure, chances_of
from selfright.loop.outcome_event import EventSeverity as EventSeverity
from selfright.loop.outcome_event import OutcomeEvent as OutcomeEvent
from selfright.loop.outcome_event import OutcomeStatus as OutcomeStatus
from selfright.loop.outcome_event import record_event
from selfright.loop.own.models import OwnModels
from selfright.loop.own.protocol import OwnModel as OwnModel
from selfright.loop.retraining import RetrainResult
from selfright.retrain.comparison import Comparison, compare
from selfright.retrain.history import Promotion, Serving, promotions, serving_at
from selfright.retrain.manifest import ModelVersion as ModelVersion
from selfright.retrain.registry import FileRegistry

if TYPE_CHECKING:
    from selfright.events.record import AnyAct
    from selfright.learn.model import Model
    from selfright.loop.control import Circle

_OTHER = "_other"
# Stands for the agent in the outcome of a route or a parameter set that was chosen for none.
_UNASSIGNED = "unassigned"


@dataclass(frozen=True, slots=True)
class Decision:
    """What was chosen, and with which probability it was.

    ``probabilities`` has one for every candidate and sums to 1; the choice was drawn
    from exactly these. ``agent_name`` is the arm, whatever the model chooses among.
    """

    decision_id: str
    agent_name: str
    probability: float
    probabilities: dict[str, float]
    model_version: int
    mode: str

    @property
    def arm(self) -> str:
        """The choice: an agent, a route, or the name of a parameter set."""
        return self.agent_name

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameter set that was chosen. Raises ``ValueError`` for another choice."""
        found: dict[str, Any] = json.loads(self.agent_name)
        return found


@dataclass(frozen=True, slots=True)
class Cascade:
    """Agents to try one after the other until one succeeds.

    Attributes
    ----------
    decision
        The choice of the first one, with its exact probability.
    agents
        The agents in their order.
    expected_success, expected_cost_usd
        What is expected of the whole chain.
    """

    decision: Decision
    agents: tuple[str, ...]
    task_type: str | None
    expected_success: float
    expected_cost_usd: float

    @property
    def task_types(self) -> tuple[str | None, ...]:
        """The task type to record each step's run with.

        What others have failed at is another type of task: counted with the rest, it would
        make whoever comes second look worse than it is.
        """
        after = after_failure(self.task_type)
        return (self.task_type, *[after] * (len(self.agents) - 1))


@dataclass(frozen=True, slots=True)
class LearningMetrics:
    """Counts of the models and their retrainings."""

    events_processed: int
    updates: dict[str, int]
    versions: dict[str, int | None]
    retrainings: int
    promoted: int
    rejected: int
    on_trial: tuple[str, ...]
    rewards_beyond_bounds: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {
            "on_trial": list(self.on_trial)
        }


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
        self._auto_save_s = save_interval_seconds if enable_auto_save else None
        self._rng = np.random.default_rng(self.settings.learn.seed)
        self._guard = threading.RLock()
        self._circle: Circle | None = None
        self._owns_circle = False
        self._own: OwnModels | None = None
        self._saver: threading.Thread | None = None
        self._stopping = threading.Event()

    # ---- joining ---------------------------------------------------------------------

    def attach(self, circle: Circle) -> None:
        """Join a monitor's circle. Raises ``ConfigError`` if it has joined or made one."""
        with self._guard:
            if self._circle is not None:
                raise ConfigError(
                    "model_updater",
                    self,
                    "belongs to a monitor already, or was used alone; make one per monitor "
                    "and give it to the monitor first",
                )
            self._circle = circle

    @property
    def circle(self) -> Circle:
        """The circle this updater turns with: its monitor's, or one of its own."""
        with self._guard:
            if self._circle is None:
                self._circle = open_circle(
                    self.settings, learning=Learning(self.registry, self.strategy), alerts=False
                )
                self._owns_circle = True
            return self._circle

    def register_model(self, name: str, model: OwnModel) -> None:
        """Let a model of your own join the loop under a name; see ``OwnModel``.

        It learns from every event in the log, in a thread of its own while started, and is
        retrained, gated by its own scores, versioned and rolled back like the five. A model
        of which a version serves takes that over, and learns what came since. One that
        raises is counted and, if it goes on, switched off; mended, it is registered again.

        Give the updater to its monitor first. Raises ``ConfigError`` for a name that is
        taken or cannot be, a model that lacks a method, or one that cannot load its version.
        """
        circle = self.circle
        with self._guard:
            if self._own is None:
                gate = circle.fold.rooms.gate
                newest = self.settings.learn.full_outcomes
                self._own = OwnModels(circle, self.registry, gate, newest)
                circle.companion = self._own
            own = self._own
        own.register(name, model)
        if circle.running:
            own.start()

    # ---- learning --------------------------------------------------------------------

    def submit(self, event: OutcomeEvent | Mapping[str, Any]) -> None:
        """Learn from one event. Never blocks. Raises ``InvalidEventError``."""
        record_event(self.circle, event)
        self._settle()

    def submit_many(self, events: Iterable[OutcomeEvent | Mapping[str, Any]]) -> int:
        """Learn from many events; return how many. Raises ``InvalidEventError``."""
        count = 0
        for event in events:
            record_event(self.circle, event)
            count += 1
        self._settle()
        return count

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
        if score is None and status is None:
            raise ConfigError("reward", None, "give reward, accuracy_score or status")
        made = self._decision(decision_id)
        about = _about(made)
        run_id = f"decision:{decision_id}"
        circle = self.circle
        now_us = circle.clock.now_us()
        run = circle.door.run(
            run_id, about["agent_name"], "agent", status or "success", latency_ms, None, cost,
            None, None, None, None, None, None, None, None, None, None, 0, None,
            made.task_type, made.context, decision_id, None, None, None, about["config"],
            about["route"], now_us,
        )  # fmt: skip
        if score is None:
            circle.inbox.put(run)
        else:
            outcome = circle.door.outcome(
                about["agent_name"], None, None, None, "decision", None, None, score, None,
                run_id, now_us,
            )  # fmt: skip
            circle.inbox.put(run)
            circle.inbox.put(outcome)
        self._settle()

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
        model_type = _one_of_five(model_type)
        if model_type not in CHOOSING:
            raise ConfigError("model_type", model_type.value, "predicts; it chooses nothing")
        circle = self.circle
        self._settle()
        with circle.lock:
            slot = circle.fold.rooms.slots[model_type]
            names = self._arms(model_type, arms, slot.served)
            group = _group(model_type, task_type, context)
            choice = slot.choose(names, group, self._rng, features_of(context))
            version = slot.served_version or 0
            mode = slot.mode
            trial = slot.challenger
        probabilities = dict(zip(names, choice.probabilities.tolist(), strict=True))
        arm = names[choice.index]
        decision = Decision(uuid.uuid4().hex, arm, probabilities[arm], probabilities, version, mode)
        challenger = None
        if trial is not None and choice.challenger is not None:
            challenger = trial.version, choice.challenger.tolist()
        self._record(model_type, decision, task_type, context, challenger)
        return decision

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
        value_usd = _success_value(self.settings, success_value_usd)
        if max_agents < 1:
            raise ConfigError("max_agents", max_agents, "must be at least 1")
        circle = self.circle
        self._settle()
        with circle.lock:
            slot = circle.fold.rooms.slots[ModelType.AGENT_SELECTION]
            names = self._arms(ModelType.AGENT_SELECTION, candidates, slot.served)
            believed = chances_of(circle, names, task_type, costs_usd or {})
            chain = choose(believed, value_usd, max_agents, slot.served.settings.floor, self._rng)
            version = slot.served_version or 0
        first = names[chain.members[0]]
        probabilities = dict(zip(names, chain.probabilities.tolist(), strict=True))
        decision = Decision(
            uuid.uuid4().hex, first, probabilities[first], probabilities, version, "cascade"
        )
        self._record(ModelType.AGENT_SELECTION, decision, task_type, context)
        members = tuple(names[i] for i in chain.members)
        return Cascade(decision, members, task_type, chain.success, chain.cost_usd)

    def predict(self, model_type: ModelType, **about: Any) -> Any:
        """Return what a model expects.

        ``agent_selection``: ``[(agent, score), ...]`` (``task_type``, ``top_k=3``);
        ``routing``: ``{"route", "score"}``; ``parameter_optimization``: the parameters
        for ``agent_name``; ``quality_prediction`` and ``latency_prediction`` (ms):
        ``{"value", "low", "high"}`` for ``agent_name`` and ``task_type``.
        """
        from selfright.loop.prediction import predict

        kind = _one_of_five(model_type)
        self._settle(everything=True)
        with self.circle.lock:
            rooms = self.circle.fold.rooms
            absent = {_UNASSIGNED, *rooms.absent.retired}
            return predict(rooms.slots[kind].served, absent, **about)

    def get_model(self, model_type: ModelType | str) -> Any:
        """Return a copy of the model that serves, also of one that was registered."""
        own = self._own_called(model_type)
        if own is not None:
            return own.copy_of(str(model_type))
        model_type = self._name(model_type)
        with self.circle.reading() as fold:
            return fold.rooms.slots[ModelType(model_type)].served.copy()

    def get_metrics(self) -> LearningMetrics:
        """Return counts of the models and their retrainings."""
        with self.circle.reading() as fold:
            slots = fold.rooms.slots
            results = list(fold.trials.retrainings.values())
            return LearningMetrics(
                events_processed=fold.applied,
                updates={kind.value: slot.served.update_count for kind, slot in slots.items()},
                versions={kind.value: slot.served_version for kind, slot in slots.items()},
                retrainings=len(results),
                promoted=sum(result.promoted for result in results),
                rejected=sum(
                    result.gate is not None and result.gate.verdict == "rejected"
                    for result in results
                ),
                on_trial=tuple(
                    kind.value for kind, slot in slots.items() if slot.challenger is not None
                ),
                rewards_beyond_bounds=fold.rooms.feed.beyond_bounds,
            )

    # ---- versions --------------------------------------------------------------------

    def trigger_retraining(
        self,
        model_type: ModelType | str = ModelType.AGENT_SELECTION,
        reason: str = "Manual trigger",
        force_full_retrain: bool = False,
    ) -> RetrainResult:
        """Retrain now; the result is ``pending`` while the gate watches the new version.

        A model of your own, by its name, is always retrained in full.
        """
        own = self._own_called(model_type)
        if own is not None:
            self.circle.pump()
            return own.retrain(str(model_type), reason)
        result = retraining.ask(
            self.circle,
            model_type=ModelType(self._name(model_type)),
            reason=reason,
            full=force_full_retrain,
        )
        assert result is not None  # without a time limit there is always a result
        return result

    def models(self) -> list[dict[str, Any]]:
        """Return one row per model: what serves, what is on trial, what it has learnt."""
        metrics = self.get_metrics()
        self._caught_up()
        five: list[dict[str, Any]] = [
            {
                "model_type": name,
                "version": metrics.versions[name],
                "on_trial": name in metrics.on_trial,
                "updates": updates,
            }
            for name, updates in metrics.updates.items()
        ]
        return five + ([] if self._own is None else self._own.rows())

    def versions(self, model_type: ModelType | str) -> list[ModelVersion]:
        """Return the versions of a model, oldest first; damaged ones with what is wrong."""
        self._caught_up()
        return self.registry.versions(self._name(model_type))

    def promotions(self, model_type: ModelType | str) -> list[Promotion]:
        """Return the promotion log of a model, oldest first: what served when, and why."""
        self._caught_up()
        return promotions(self.registry, self._name(model_type))

    def serving_at(
        self, at: datetime | str | float, model_type: ModelType | str | None = None
    ) -> list[Serving]:
        """Return what served at a moment: every model, or one.

        ``at``: a datetime (a naive one is UTC), RFC 3339 text or seconds since the epoch.
        Raises ``ConfigError`` for what is no time, or one that is still to come.
        """
        try:
            ts_us = parse_text(at, "at") if isinstance(at, str) else parse(at, "at")
        except InvalidEventError as error:
            raise ConfigError("at", at, error.reason) from None
        if ts_us > self.circle.clock.now_us():
            raise ConfigError("at", at, "is still to come; name a moment that is over")
        names = self._names() if model_type is None else [self._name(model_type)]
        return [serving_at(self.registry, name, ts_us) for name in names]

    def compare(self, model_type: ModelType | str, before: int, after: int) -> Comparison:
        """Return what two versions of a model believe differently, the largest change first.

        Raises ``UnknownNameError`` for a version there is none of, and ``CorruptLogError``
        for a damaged one; its message says what is wrong with it.
        """
        name = self._name(model_type)
        if name not in set(ModelType):
            raise ConfigError(
                "model_type", name, "is one of the user's own: compare its versions by loading them"
            )
        found = self._version(name, before), self._version(name, after)
        stored = self.registry.load(name, before), self.registry.load(name, after)
        return compare(*stored, found)

    def promote(
        self, model_type: ModelType | str, version: int, force: bool = False
    ) -> ModelVersion:
        """Let a version serve by hand. Raises ``UnknownNameError``, ``ConfigError``.

        One that never served has not passed the gate: that takes ``force=True``, which
        is recorded.
        """
        found = _served_again(self._version(model_type, version))
        if found.state not in {"champion", "archived"} and not force:
            raise ConfigError(
                "version", version, "has not passed the gate; pass force=True to serve it anyway"
            )
        return self._serve("promote", model_type, version)

    def rollback(self, model_type: ModelType | str, version: int | None = None) -> ModelVersion:
        """Let the parent of the version that serves serve again, or ``version``.

        Raises ``UnknownNameError`` for a version there is none of, ``ConfigError`` for a
        damaged one.
        """
        name = self._name(model_type)
        if version is None:
            current = self._served(name)
            if current is None:
                raise UnknownNameError(
                    "version of", name, "it has none yet; a retraining makes the first"
                )
            version = self._version(name, current).parent
            if version is None:
                raise UnknownNameError(
                    "parent version", current, "it is the first; name the version to serve"
                )
        _served_again(self._version(name, version))
        return self._serve("rollback", name, version)

    def save(self) -> dict[str, int]:
        """Save what the models have learnt; return the version of each.

        Needed only where no log is kept: with one, a restart learns from the log.
        """
        saved = {}
        registry = self.registry
        with self.circle.reading() as fold:
            states = {
                kind: (slot.champion.to_state(), slot.version, slot.champion.update_count)
                for kind, slot in fold.rooms.slots.items()
            }
        for kind, (state, parent, samples) in states.items():
            meta = {"reason": "saved", "samples": samples, "retrain_type": "snapshot"}
            version = registry.save(kind.value, state, parent=parent, meta=meta)
            self._act("promote", kind, {"version": version, "saved": True})
            saved[kind.value] = version
        self.circle.settle(retrainings=False)
        return saved if self._own is None else saved | self._own.save()

    # ---- life ------------------------------------------------------------------------

    def start(self) -> Self:
        """Learn by itself from now on. Idempotent."""
        self.circle.start()
        with self._guard:
            if self._saver is None and self._auto_save_s is not None and self._owns_circle:
                self._stopping.clear()
                self._saver = threading.Thread(
                    target=self._save_now_and_then, name="selfright-save", daemon=True
                )
                self._saver.start()
        return self

    def stop(self) -> None:
        """Learn what came in, save, end the threads. Idempotent."""
        with self._guard:
            saver, self._saver = self._saver, None
        self._stopping.set()
        if saver is not None:
            saver.join()
            self.save()
        if self._circle is not None:
            self._circle.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _save_now_and_then(self) -> None:
        assert self._auto_save_s is not None
        learnt = 0
        while not self._stopping.wait(self._auto_save_s):
            now = sum(self.get_metrics().updates.values())
            if now != learnt:
                self.save()
                learnt = now

    # ---- inside ----------------------------------------------------------------------

    def _settle(self, *, everything: bool = False) -> None:
        """Fold what waits, if it is more than the served models may lag behind."""
        circle = self.circle
        waiting = len(circle.inbox)
        if waiting and (everything or (waiting >= self.batch_size and not circle.running)):
            circle.pump()

    def _record(
        self,
        model_type: ModelType,
        decision: Decision,
        task_type: str | None,
        context: dict[str, Any] | None,
        challenger: tuple[int, list[float]] | None = None,
    ) -> None:
        """Have a decision written down; of a canary's with its version and probabilities."""
        version, theirs = challenger or (None, None)
        circle = self.circle
        circle.inbox.put(
            DecisionRecord(
                act_id=decision.decision_id,
                ts_us=circle.clock.now_us(),
                model_type=model_type.value,
                arm=decision.arm,
                probability=decision.probability,
                candidates=list(decision.probabilities),
                probabilities=list(decision.probabilities.values()),
                model_version=decision.model_version,
                mode=decision.mode,
                task_type=task_type,
                context=context,
                challenger_version=version,
                challenger_probabilities=theirs,
            )
        )

    def _arms(self, model_type: ModelType, arms: Sequence[Any] | None, model: Model) -> list[str]:
        if arms is None:
            found = (
                self.circle.fold.agents.names
                if model_type is ModelType.AGENT_SELECTION
                else model.arm_names()
            )
            absent = {_OTHER, _UNASSIGNED, *self.circle.fold.rooms.absent.retired}
            names = [name for name in found if name not in absent]
        elif model_type is ModelType.PARAMETER_OPTIMIZATION:
            names = [_parameter_set(arm) for arm in arms]
        else:
            names = [_arm(arm) for arm in arms]
        if not names:
            raise ConfigError("candidates", arms, "there is nobody to choose from; name some")
        if len(set(names)) != len(names):
            raise ConfigError("candidates", names, "each may be named once")
        return names

    def _decision(self, decision_id: str) -> DecisionRecord:
        circle = self.circle
        found: AnyAct | None = circle.fold.decisions.get(decision_id)
        if found is None:
            circle.pump()
            found = circle.fold.decisions.get(decision_id) or circle.log.find_act(decision_id)
        if not isinstance(found, DecisionRecord):
            raise UnknownNameError("decision", decision_id, "it was never made, or is forgotten")
        return found

    def _names(self) -> list[str]:
        """Return the names of all models, also of those that only the registry knows."""
        own = [] if self._own is None else self._own.names()
        return list(dict.fromkeys([*map(str, ModelType), *self.registry.model_types(), *own]))

    def _own_called(self, model_type: ModelType | str) -> OwnModels | None:
        """Return who knows the model of that name, None for one of the five.

        Raises ``ConfigError`` for no model's name.
        """
        if self._name(model_type) in set(ModelType):
            return None
        if self._own is None:
            raise UnknownNameError("registered model", str(model_type), "call register_model first")
        return self._own

    def _caught_up(self) -> None:
        """Let models of the user's own learn what is in the log, unless a thread does."""
        if self._own is not None and not self.circle.running:
            self.circle.pump()
            self._own.catch_up()

    def _served(self, name: str) -> int | None:
        if name not in set(ModelType):
            return self.registry.current(name)
        with self.circle.reading() as fold:
            return fold.rooms.slots[ModelType(name)].served_version

    def _name(self, model_type: ModelType | str) -> str:
        name, known = str(model_type), self._names()
        if name not in known:
            words = ", ".join(known)
            hint = did_you_mean(name, known)
            raise ConfigError("model_type", name, f"must be one of {words}{hint}")
        return name

    def _version(self, model_type: ModelType | str, version: int) -> ModelVersion:
        name = str(model_type)
        known = self.versions(name)
        for found in known:
            if found.version == version:
                return found
        listed = ", ".join(str(item.version) for item in known) or "none"
        raise UnknownNameError("version", version, f"{name} has {listed}")

    def _serve(self, verb: str, model_type: ModelType | str, version: int) -> ModelVersion:
        own = self._own_called(model_type)
        if own is not None:
            self.circle.pump()
            own.serve(str(model_type), version, verb)
            return self._version(model_type, version)
        model_type = ModelType(model_type)
        self._act(verb, model_type, {"version": version})
        self.circle.settle(retrainings=False)
        return self._version(model_type, version)

    def _act(self, verb: str, model_type: ModelType, arguments: dict[str, Any]) -> None:
        circle = self.circle
        circle.act(
            OperatorAct(
                act_id=f"{verb}-{uuid.uuid4().hex[:16]}",
                ts_us=circle.clock.now_us(),
                verb="rollback" if verb == "rollback" else "promote",
                target=model_type.value,
                arguments=arguments,
            )
        )
        circle.pump()


CHOOSING = frozenset(
    {ModelType.AGENT_SELECTION, ModelType.ROUTING, ModelType.PARAMETER_OPTIMIZATION}
)


def _group(
    model_type: ModelType, task_type: str | None, context: Mapping[str, Any] | None
) -> str | None:
    if model_type is not ModelType.PARAMETER_OPTIMIZATION:
        return task_type
    name = (context or {}).get("agent_name")
    return name if isinstance(name, str) else None


def _success_value(settings: Settings, given: float | None) -> float:
    learn = settings.learn
    usual = learn.w_success / learn.w_cost if learn.w_cost > 0 else 1.0
    value_usd = usual if given is None else given
    if not 0 < value_usd < float("inf"):
        raise ConfigError("success_value_usd", value_usd, "must be a finite number above 0")
    return value_usd


def _one_of_five(model_type: ModelType | str) -> ModelType:
    try:
        return ModelType(model_type)
    except ValueError:
        words = ", ".join(ModelType)
        hint = did_you_mean(model_type, ModelType)
        raise ConfigError("model_type", model_type, f"must be one of {words}{hint}") from None


def _arm(arm: object) -> str:
    if not isinstance(arm, str) or not 0 < len(arm) <= MAX_NAME:
        raise ConfigError("candidates", arm, f"must be names of 1 to {MAX_NAME} characters")
    return arm


def _parameter_set(arm: object) -> str:
    """Return the name of a parameter set, given as a mapping or by that name."""
    found = arm
    if isinstance(arm, str):
        try:
            found = json.loads(arm)
        except ValueError:
            found = None
    if not isinstance(found, Mapping):
        raise ConfigError("candidates", arm, "must be parameter sets: mappings, or their JSON")
    try:
        return config_key(dict(found)) or "{}"
    except (TypeError, ValueError):
        raise ConfigError("candidates", arm, "must hold what JSON can") from None


def _served_again(version: ModelVersion) -> ModelVersion:
    """Return a version that can serve. Raises ``ConfigError`` for a damaged one."""
    if version.state == "quarantined":
        raise ConfigError(
            "version", version.version, f"is quarantined ({version.reason}); name another"
        )
    return version


def _about(made: DecisionRecord) -> dict[str, Any]:
    """Return whose run a decision led to, and by which route or parameters."""
    context = made.context or {}
    about: dict[str, Any] = {"agent_name": made.arm, "route": None, "config": None}
    if made.model_type == ModelType.ROUTING.value:
        about.update(agent_name=context.get("agent_name", _UNASSIGNED), route=made.arm)
    elif made.model_type == ModelType.PARAMETER_OPTIMIZATION.value:
        about.update(agent_name=context.get("agent_name", _UNASSIGNED), config=json.loads(made.arm))
    return about


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

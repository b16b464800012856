"""The only place that wires the rooms together; it knows no face.

``open_circle`` builds a circle from settings and brings it to the state it had when its
log was last open.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from selfright.alerts.book import AlertBook
from selfright.clock import SystemClock
from selfright.detect.certainty.fleet import Certainty, CertaintyPolicy
from selfright.detect.detection import RETRAINING
from selfright.detect.labels import Labels
from selfright.detect.policy import BOUNDS, WatchPolicy
from selfright.detect.watch import FleetWatch
from selfright.errors import ConfigError, CorruptLogError
from selfright.events.door import Door
from selfright.events.intern import Interner
from selfright.learn.feed import Feed, RewardPolicy
from selfright.learn.model import model_from_state, new_model
from selfright.learn.model_type import ModelType
from selfright.log.memory import MemoryLog
from selfright.loop.canary import CanaryPolicy
from selfright.loop.control import Circle
from selfright.loop.fold import Fold
from selfright.loop.inbox import Inbox
from selfright.loop.probation import ProbationPolicy
from selfright.loop.rooms import FoldPolicy, Rooms
from selfright.loop.slot import ModelSlot
from selfright.metrics.accuracy import accuracy_score
from selfright.metrics.store import MetricsPolicy, MetricsStore
from selfright.retrain.gate import GatePolicy
from selfright.retrain.job import Job, JobPolicy
from selfright.retrain.registry import MemoryRegistry
from selfright.retrain.trigger import Trigger
from selfright.retrain.trigger_policy import TriggerPolicy
from selfright.sinks.notifier import Notifier

if TYPE_CHECKING:
    from selfright.clock import Clock
    from selfright.config import Settings
    from selfright.events.door import Scorer
    from selfright.learn.model import Model
    from selfright.learn.strategy import UpdateStrategy
    from selfright.log.protocol import EventLog
    from selfright.log.writer import GroupCommitWriter
    from selfright.retrain.registry import ModelRegistry

US_PER_S: Final = 1_000_000
US_PER_HOUR: Final = 3600 * US_PER_S


@dataclass(frozen=True, slots=True)
class Learning:
    """What a circle that learns needs: where versions are kept, and how to forget."""

    registry: ModelRegistry
    strategy: UpdateStrategy


def open_circle(
    settings: Settings,
    *,
    database_url: str | None = None,
    log: EventLog | None = None,
    scorer: Scorer | None = None,
    learning: Learning | None = None,
    alerts: bool = True,
    retraining: bool = True,
    file_clock: bool = False,
    clock: Clock | None = None,
) -> Circle:
    """Return a circle over the log at ``database_url``, recovered and not started.

    Parameters
    ----------
    database_url
        None: a log in memory; ``sqlite:///path.db``: that file.
    log
        A log that is open already, in place of ``database_url``.
    learning
        None: nothing is learnt and nothing retrained.
    file_clock
        Take the time from the events, as a simulation over a file must.

    Raises
    ------
    ConfigError
        For a URL that names no database we know.
    """
    clock = clock or SystemClock()
    log = log or open_log(database_url, settings)
    registry = learning.registry if learning is not None else MemoryRegistry(clock)
    policy = FoldPolicy(
        alerts=alerts,
        retraining=retraining and learning is not None,
        emergency=settings.gate.emergency,
        file_clock=file_clock,
    )
    source = _RegisteredModels(registry)
    fold = Fold(log.log_id, _rooms(settings, learning, source, log), policy, source)
    circle = Circle(
        settings=settings,
        log=log,
        fold=fold,
        job=Job(registry, job_policy(settings)),
        door=Door(scorer or accuracy_score, clamp_future=not file_clock),
        inbox=Inbox(settings.log.queue_rows),
        clock=clock,
        make_writer=lambda: _writer(log, settings, clock),
        notifier=Notifier(settings.notify),
    )
    circle.restore()
    circle.recover()
    return circle


def open_log(database_url: str | None, settings: Settings) -> EventLog:
    """Return the log at ``database_url``; raise ``ConfigError`` for one we cannot open."""
    if database_url is None:
        return MemoryLog(settings.log.memory_events)
    parts = urlsplit(database_url)
    if parts.scheme == "sqlite":
        from selfright.log.sqlite import SqliteLog

        path = unquote(parts.path).removeprefix("/")
        if not path or parts.netloc:
            raise ConfigError("database_url", database_url, "write sqlite:///path/to/file.db")
        return SqliteLog(Path(path))
    if parts.scheme in {"postgres", "postgresql"}:
        raise ConfigError(
            "database_url", database_url, "PostgreSQL is not supported yet; use sqlite:///path.db"
        )
    raise ConfigError("database_url", database_url, "must be None or sqlite:///path.db")


def job_policy(settings: Settings) -> JobPolicy:
    """Return how much a retraining learns from, as the settings say."""
    learn = settings.learn
    return JobPolicy(
        reward_policy(settings),
        learn.incremental_outcomes,
        learn.full_outcomes,
        processes=settings.retrain.processes,
    )


def reward_policy(settings: Settings) -> RewardPolicy:
    """Return what a run is worth, as the settings say."""
    learn = settings.learn
    return RewardPolicy(
        learn.w_success, learn.w_cost, learn.w_latency, learn.cost_bound_usd, learn.latency_bound_s
    )


def watch_policy(settings: Settings) -> WatchPolicy:
    """Return what the detectors hold against an agent, as the settings say.

    A rate's threshold at the end of its range can never be crossed: it switches off.
    """
    bounds = settings.thresholds
    return WatchPolicy(
        success_rate_min=_inside(bounds.success_rate_min),
        error_rate_max=_inside(bounds.error_rate_max),
        accuracy_min=_inside(bounds.accuracy_min),
        latency_p95_max_ms=_finite(bounds.latency_p95_max_ms),
        cost_per_task_max=_finite(bounds.cost_per_task_max),
        memory_max_mb=_finite(bounds.memory_max_mb),
        token_per_task_max=_finite(bounds.token_per_task_max),
        window_minutes=settings.windows.window_minutes,
        min_n=settings.windows.min_outcomes,
        confidence=settings.trigger.confidence,
        recent=settings.trigger.judged_outcomes,
    )


def certainty(settings: Settings) -> Certainty:
    """Return the e-detectors, as the settings say."""
    detect, watch = settings.detect, watch_policy(settings)
    wanted = {metric: watch.threshold(metric) for metric in RETRAINING}
    return Certainty(
        CertaintyPolicy(
            false_alarms_per_week=detect.false_alarms_per_week,
            run_length=detect.run_length,
            min_drop=detect.min_drop,
            tempering=detect.tempering,
        ),
        {
            metric: value if BOUNDS[metric].sign > 0 else 1.0 - value
            for metric, value in wanted.items()
            if value is not None
        },
    )


def _rooms(
    settings: Settings, learning: Learning | None, source: _RegisteredModels, log: EventLog
) -> Rooms:
    windows, gate = settings.windows, settings.gate
    return Rooms(
        metrics=MetricsStore(
            MetricsPolicy(
                window_minutes=windows.window_minutes,
                horizon_minutes=max(windows.horizon_minutes, windows.window_minutes),
                max_agents=windows.max_agents,
            )
        ),
        watch=FleetWatch(watch_policy(settings)),
        certainty=certainty(settings),
        labels=Labels(),
        book=AlertBook(),
        trigger=Trigger(trigger_policy(settings)),
        feed=Feed(reward_policy(settings), recent=settings.learn.incremental_outcomes),
        slots={} if learning is None else _slots(learning, source, log),
        gate=GatePolicy(
            level=gate.level,
            max_outcomes=gate.max_outcomes,
            max_us=int(gate.max_hours * US_PER_HOUR),
        ),
        agents=Interner(limit=windows.max_agents),
        probation=ProbationPolicy(gate.level, gate.watch_runs, int(gate.watch_hours * US_PER_HOUR)),
        canary=CanaryPolicy(
            gate.level,
            gate.canary_share,
            gate.canary_outcomes,
            int(gate.canary_hours * US_PER_HOUR),
        ),
    )


def trigger_policy(settings: Settings) -> TriggerPolicy:
    """Return when a retraining starts by itself, as the settings say."""
    trigger = settings.trigger
    return TriggerPolicy(
        cooldown_us=int(trigger.cooldown_s * US_PER_S),
        cooldown_max_us=int(trigger.cooldown_max_s * US_PER_S),
        new_outcomes=trigger.new_outcomes,
        daily_budget=trigger.daily_budget,
        breaker_rejections=trigger.breaker_rejections,
        breaker_us=int(trigger.breaker_hours * US_PER_HOUR),
        schedule=settings.retrain.schedule,
    )


def _slots(
    learning: Learning, source: _RegisteredModels, log: EventLog
) -> dict[ModelType, ModelSlot]:
    """Return the models as they were before the log's first row.

    What served then, not what serves now: the fold learns the rest from the log, and
    would count twice what the present version has learnt from it already.
    """
    slots = {}
    oldest = log.read(log.first_offset, 1)
    for model_type in ModelType:
        version = (
            learning.registry.serving_at(model_type.value, oldest[0].log_time_us - 1)
            if oldest
            else learning.registry.current(model_type.value)
        )
        version, model = _intact(learning.registry, source, model_type, version)
        if model is None:
            slots[model_type] = ModelSlot(new_model(model_type, learning.strategy))
        else:
            slots[model_type] = ModelSlot(model, version)
    return slots


def _intact(
    registry: ModelRegistry, source: _RegisteredModels, model_type: ModelType, version: int | None
) -> tuple[int | None, Model | None]:
    """Return a version and its model; where it is damaged, its nearest intact ancestor's."""
    parents = {each.version: each.parent for each in registry.versions(model_type.value)}
    while version is not None:
        model = source.load(model_type, version)
        if model is not None:
            return version, model
        version = parents.get(version)
    return None, None


class _RegisteredModels:
    """The fold's view of a registry: versions as models."""

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry

    def load(self, model_type: ModelType, version: int) -> Model | None:
        try:
            return model_from_state(self._registry.load(model_type.value, version).state)
        except (CorruptLogError, LookupError, ValueError, OSError):
            return None  # lost or damaged; the registry has quarantined and logged it


def _writer(log: EventLog, settings: Settings, clock: Clock) -> GroupCommitWriter:
    from selfright.log.writer import GroupCommitPolicy, GroupCommitWriter

    policy = GroupCommitPolicy(
        flush_rows=settings.log.flush_rows,
        flush_ms=settings.log.flush_ms,
        queue_rows=settings.log.queue_rows,
    )
    return GroupCommitWriter(log, clock, policy)


def _inside(ratio: float) -> float | None:
    return ratio if 0.0 < ratio < 1.0 else None


def _finite(limit: float) -> float | None:
    return limit if limit < float("inf") else None

"""The first public face: record what agents did, read how it goes.

``PerformanceMonitor`` records runs and real outcomes, keeps the figures of every agent
over a rolling window, raises alerts and, given a model updater, retrains by itself.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import msgspec

from selfright.alerts.alert import AlertLevel as AlertLevel
from selfright.alerts.alert import PerformanceAlert as PerformanceAlert
from selfright.assemble import Learning, open_circle
from selfright.config import Settings, with_thresholds, with_values
from selfright.errors import ConfigError, UnknownNameError, did_you_mean
from selfright.events.check import text
from selfright.events.record import OperatorAct
from selfright.events.timestamp import iso
from selfright.learn.model_type import ModelType
from selfright.loop import retraining
from selfright.loop.measured import MeasuredRun
from selfright.loop.retraining import RetrainResult
from selfright.loop.run_spike import RunSpike as RunSpike
from selfright.loop.submission import IngestReport, checked_runs, submit_checked
from selfright.loop.sync import SyncReport, sync
from selfright.loop.view import FleetView
from selfright.metrics.metric_type import MetricType as MetricType
from selfright.metrics.snapshot import AgentPerformance as AgentPerformance
from selfright.metrics.snapshot import PerformanceMetrics as PerformanceMetrics

if TYPE_CHECKING:
    from selfright.events.door import Scorer
    from selfright.loop.attachable import Attachable

_DEFAULT_WINDOW_MINUTES = 60
_NO_UPDATER = "no model updater is connected"


class AccuracyMeasurement(msgspec.Struct, frozen=True, kw_only=True):
    """One real outcome as it was recorded, with the score it was given (0..1)."""

    agent_name: str
    task_id: str | None
    predicted_outcome: Any
    actual_outcome: Any
    accuracy_score: float
    feedback_source: str
    timestamp: str


class PerformanceMonitor:
    """Watches a fleet of agents.

    Recording never waits and never touches a disk in the caller's thread. Without
    ``start()`` recording and reading work and nothing is triggered; after it the monitor
    retrains by itself, given a ``model_updater``. A context manager that starts and stops.

    Parameters
    ----------
    window_size_minutes
        Rolling window of metrics and rules.
    alert_thresholds
        Merged into the defaults, e.g. ``{"accuracy_min": 0.8}``.
    enable_auto_alerts, enable_trend_analysis, enable_auto_retraining
        Switch a part off.
    model_updater
        A ``RealTimeModelUpdater`` that joins this monitor: what is recorded here reaches
        its models, and degradation retrains them.
    database_url
        None: in memory; ``sqlite:///path.db``: kept.
    scorer
        ``scorer(predicted, actual) -> 0..1`` in place of the built-in accuracy.
    settings
        The frozen settings tree, for all the rest.

    Raises
    ------
    ConfigError
        If a parameter is wrong; the message names it and the remedy.
    """

    def __init__(
        self,
        window_size_minutes: int = _DEFAULT_WINDOW_MINUTES,
        alert_thresholds: Mapping[str, float] | None = None,
        enable_auto_alerts: bool = True,
        enable_trend_analysis: bool = True,
        enable_auto_retraining: bool = True,
        model_updater: Attachable | None = None,
        database_url: str | None = None,
        scorer: Scorer | None = None,
        settings: Settings | None = None,
    ) -> None:
        settings = with_thresholds(settings or Settings(), alert_thresholds)
        if window_size_minutes != _DEFAULT_WINDOW_MINUTES:
            settings = with_values(settings, {"windows.window_minutes": window_size_minutes})
        self.settings = settings
        self._updater = model_updater
        self._retrains = enable_auto_retraining and model_updater is not None
        self.circle = open_circle(
            settings,
            database_url=database_url,
            scorer=scorer,
            learning=(
                None
                if model_updater is None
                else Learning(model_updater.registry, model_updater.strategy)
            ),
            alerts=enable_auto_alerts,
            retraining=self._retrains,
        )
        if model_updater is not None:
            model_updater.attach(self.circle)
        self._view = FleetView(self.circle, trends=enable_trend_analysis)
        # Bound once: recording is the hot path of the monitored application.
        self._put = self.circle.inbox.put
        self._check_run = self.circle.door.run
        self._check_usual = self.circle.door.usual_run
        self._now_us = self.circle.clock.now_us

    # ---- recording -------------------------------------------------------------------

    def record_agent_run(
        self,
        run_id: str,
        agent_name: str,
        agent_type: str,
        status: str,
        duration_ms: float | None,
        tokens_used: int | None = None,
        cost: float | None = None,
        memory_mb: float | None = None,
        cpu_ms: float | None = None,
        quality_score: float | None = None,
        confidence: float | None = None,
        error_type: str | None = None,
        metadata: dict[str, Any] | None = None,
        *,
        timestamp: datetime | str | float | None = None,
        tokens_in: int | None = None,
        tokens_out: int | None = None,
        api_calls: int | None = None,
        retry_count: int = 0,
        task_id: str | None = None,
        task_type: str | None = None,
        context: dict[str, Any] | None = None,
        decision_id: str | None = None,
        agent_version: str | None = None,
        parent_run_id: str | None = None,
        session_id: str | None = None,
        config: dict[str, Any] | None = None,
        route: str | None = None,
    ) -> None:
        """Record one run. Never blocks; the same ``run_id`` counts once.

        Raises ``InvalidEventError`` naming field, value and reason; nothing is recorded
        then. If the queue is full the run is dropped and counted in ``get_stats``.
        """
        if (
            memory_mb is None and cpu_ms is None and quality_score is None and
            confidence is None and error_type is None and metadata is None and
            timestamp is None and tokens_in is None and tokens_out is None and
            api_calls is None and task_id is None and task_type is None and context is None and
            decision_id is None and agent_version is None and parent_run_id is None and
            session_id is None and config is None and route is None and
            not retry_count and retry_count.__class__ is int
        ):  # fmt: skip
            # Most runs carry no more: a row of eight values is made and moved much faster.
            self._put(
                self._check_usual(
                    run_id, agent_name, agent_type, status, duration_ms, tokens_used, cost,
                    self._now_us(),
                )
            )  # fmt: skip
            return
        self._put(
            self._check_run(
                run_id, agent_name, agent_type, status, duration_ms, tokens_used, cost,
                memory_mb, cpu_ms, quality_score, confidence, error_type, metadata, timestamp,
                tokens_in, tokens_out, api_calls, retry_count, task_id, task_type, context,
                decision_id, agent_version, parent_run_id, session_id, config, route,
                self._now_us(),
            )
        )  # fmt: skip

    def record_agent_runs(self, runs: Any) -> IngestReport:
        """Record many runs at once; return how many count, were known, were refused.

        ``runs``: a list of mappings or ``AgentRun`` structs, a mapping of equal-long
        columns, or an Arrow table. Blocks until the good rows are durable.
        """
        intake, rejected = checked_runs(self.circle.door, runs, self._now_us())
        return submit_checked(self.circle, intake, rejected)

    def record_accuracy(
        self,
        agent_name: str,
        task_id: str | None,
        predicted_outcome: Any,
        actual_outcome: Any,
        feedback_source: str = "user",
        metadata: dict[str, Any] | None = None,
        *,
        timestamp: datetime | str | float | None = None,
        accuracy_score: float | None = None,
        outcome_id: str | None = None,
        run_id: str | None = None,
    ) -> AccuracyMeasurement:
        """Record what really came of a task; return it with its score.

        Joined to the run named by ``run_id``, else to the agent's latest run of that
        ``task_id``. ``accuracy_score`` overrides the scorer. Never blocks.
        """
        row = self.circle.door.outcome(
            agent_name, task_id, predicted_outcome, actual_outcome, feedback_source, metadata,
            timestamp, accuracy_score, outcome_id, run_id, self._now_us(),
        )  # fmt: skip
        self._put(row)
        return AccuracyMeasurement(
            agent_name=agent_name,
            task_id=task_id,
            predicted_outcome=predicted_outcome,
            actual_outcome=actual_outcome,
            accuracy_score=row[4],
            feedback_source=feedback_source,
            timestamp=iso(row[3]),
        )

    def run(self, agent_name: str, agent_type: str = "agent", **fields: Any) -> _Measured:
        """Measure a run: ``with``, ``async with``, or a decorator of a function or coroutine.

        Times, catches how it ended (exceptions go on), records. ``fields`` are those of
        ``record_agent_run``, e.g. ``task_type``.
        """
        return _Measured(self, agent_name=agent_name, agent_type=agent_type, **fields)

    # ---- reading ---------------------------------------------------------------------

    def get_system_metrics(self, time_window_minutes: float | None = None) -> PerformanceMetrics:
        """Return the whole fleet's figures over the window (default: the configured one)."""
        return self._view.system(time_window_minutes)

    def get_agent_metrics(
        self, agent_name: str, time_window_minutes: float | None = None
    ) -> AgentPerformance:
        """Return one agent's figures; ``status`` is ``unknown`` for one never seen."""
        return self._view.agent(agent_name, time_window_minutes)

    def get_all_agent_metrics(
        self, time_window_minutes: float | None = None
    ) -> dict[str, AgentPerformance]:
        """Return the figures of every agent by name."""
        return self._view.agents(time_window_minutes)

    def get_alerts(
        self,
        level: AlertLevel | str | None = None,
        agent_name: str | None = None,
        limit: int = 50,
        state: str | None = None,
    ) -> list[PerformanceAlert]:
        """Return the newest ``limit`` alerts that match, newest last."""
        return self._view.alerts(level, agent_name, limit, state)

    def get_spikes(self, agent_name: str | None = None, limit: int = 50) -> list[RunSpike]:
        """Return the newest ``limit`` runs far from all that is usual, newest last.

        In latency, cost, memory or tokens, against the agent's own runs before, from the 200th
        on. They are worth a look and never an alert; none while an alert says that the whole
        agent has changed. The fleet's newest 1,000 are remembered.
        """
        return self._view.spikes(agent_name, limit)

    def get_trends(self) -> dict[str, dict[str, Any]]:
        """Return per metric ``{direction, slope_per_h, interval}`` over the window."""
        return self._view.trends()

    def get_retrainings(self, limit: int = 50) -> list[RetrainResult]:
        """Return the newest ``limit`` retrainings, newest last, those that run included."""
        return self._view.retrainings(limit)

    def get_suppressed(self, limit: int = 50) -> list[dict[str, Any]]:
        """Return retrainings that evidence asked for and a rule held back, with the reason."""
        return self._view.suppressed(limit)

    def get_health(self) -> dict[str, Any]:
        """Return ``status``, ``health_score`` 0-100 (None: no data) and its parts."""
        return self._view.health()

    def explain_alert(self, alert_id: str) -> dict[str, Any]:
        """Return why an alert was raised: the rule, its inputs, the course since.

        Raises ``UnknownNameError``.
        """
        return self._view.explain(alert_id)

    @overload
    def generate_report(
        self,
        include_agents: bool = True,
        time_window_minutes: float | None = None,
        format: Literal["dict"] = "dict",
    ) -> dict[str, Any]: ...

    @overload
    def generate_report(
        self,
        include_agents: bool = True,
        time_window_minutes: float | None = None,
        *,
        format: Literal["html"],
    ) -> str: ...

    def generate_report(
        self,
        include_agents: bool = True,
        time_window_minutes: float | None = None,
        format: Literal["dict", "html"] = "dict",
    ) -> dict[str, Any] | str:
        """Return the report on the window as plain values, or as a page.

        Keys: ``generated_at time_window_minutes system_metrics health_score agent_metrics
        recent_alerts recommendations trends retrainings``. ``format="html"``: the text of one
        self-contained file with charts, below 1 MB, without scripts.
        """
        if format == "html":
            return self._view.report_html(include_agents, time_window_minutes)
        if format != "dict":
            raise ConfigError("format", format, "must be 'dict' or 'html'")
        return self._view.report(include_agents, time_window_minutes)

    def get_stats(self) -> dict[str, Any]:
        """Return counts of the monitor itself: buffers, drops, late events, failures."""
        stats = self._view.stats()
        stats.update(
            monitoring_active=self.circle.running,
            auto_retraining_enabled=self._retrains,
            model_updater_connected=self._updater is not None,
        )
        return stats

    def runs_frame(self, engine: str = "pandas") -> Any:
        """Return all kept runs, oldest first, as a frame of ``pandas``, ``polars`` or ``arrow``.

        Columns are named and measured like the parameters of ``record_agent_run``; what
        nobody reported is missing. ``context``, ``config`` and ``metadata`` are JSON text.
        """
        return self._view.runs_frame(engine)

    # ---- acting ----------------------------------------------------------------------

    def on_alert(self, callback: Callable[[PerformanceAlert], None]) -> None:
        """Call ``callback(alert)`` at every alert transition, off the hot path.

        What it raises is counted and logged and disturbs nobody.
        """
        self.circle.notifier.subscribe(callback)

    def acknowledge_alert(self, alert_id: str, by: str = "operator") -> PerformanceAlert:
        """Say that somebody is on it. Raises ``UnknownNameError``."""
        return self._on_alert("acknowledge", alert_id, {}, by)

    def mute_alert(self, alert_id: str, for_s: float, by: str = "operator") -> PerformanceAlert:
        """Silence an alert for ``for_s`` seconds. Raises ``UnknownNameError``."""
        if not for_s > 0:
            raise ConfigError("for_s", for_s, "must be greater than 0 seconds")
        return self._on_alert("mute", alert_id, {"for_s": for_s}, by)

    def accept_as_normal(self, agent_name: str, by: str = "operator") -> None:
        """Take the agent's present level for normal: evidence starts anew, alerts resolve."""
        self._require_seen(agent_name)
        self._operate("accept_as_normal", agent_name, {}, by)

    def retire_agent(self, agent_name: str, by: str = "operator") -> None:
        """Take an agent that is gone out of the fleet; what is known of it stays.

        It is no candidate of ``select_agent`` any more, its alerts are resolved, reports and
        lists for people leave it out; its figures stay in those of the fleet. The first run
        that begins later brings it back. Raises ``UnknownNameError``.
        """
        self._require_seen(agent_name)
        self._operate("retire", agent_name, {}, by)

    def delete_agent(self, agent_name: str, by: str = "operator") -> None:
        """Drop what figures, detectors and models know of an agent, as if never seen.

        Whatever began before does not count any more, however late it is reported; an agent
        of that name that runs again begins anew. Its runs stay in the log until retention
        takes them, and versions of models that were saved before still know it. Raises
        ``UnknownNameError``.
        """
        self._require_seen(agent_name)
        self._operate("delete", agent_name, {}, by)

    def retired_agents(self) -> list[str]:
        """Return the names of the agents that are retired and have not run again."""
        return self._view.retired()

    def trigger_retraining(
        self,
        reason: str = "Manual trigger",
        force_full_retrain: bool = False,
        model_type: ModelType = ModelType.AGENT_SELECTION,
    ) -> RetrainResult:
        """Retrain now. Without an updater the result says so; nothing is raised.

        The result is ``pending`` while the gate watches the new version; it is promoted
        once it has proved better on outcomes that came after it was made.
        """
        result = retraining.ask(
            self.circle, model_type=ModelType(model_type), reason=reason, full=force_full_retrain
        )
        assert result is not None  # without a time limit there is always a result
        return result

    def cancel_retraining(
        self, retrain_id: str, reason: str = "cancelled by an operator"
    ) -> RetrainResult:
        """End a retraining that has no result yet; it is recorded as aborted.

        ``get_retrainings`` lists those that run, with the share that is done. Raises
        ``UnknownNameError``, and ``ConfigError`` for one that has its result already.
        """
        return retraining.cancel(self.circle, retrain_id, text("reason", reason))

    def sync_with_database(
        self, lookback_hours: float = 24, url: str | None = None
    ) -> dict[str, int]:
        """Import runs and outcomes that others wrote; importing twice counts once.

        Reads our own tables at ``url``, or any table through the column map in the
        settings (``sync.url``, ``sync.table``, ``sync.columns``). Returns ``{loaded,
        duplicates, rejected}``. Raises ``ConfigError`` if there is nowhere to read from.
        """
        report: SyncReport = sync(self.circle, url=url, lookback_hours=lookback_hours)
        return msgspec.structs.asdict(report)

    # ---- life ------------------------------------------------------------------------

    def start(self) -> Self:
        """Monitor by itself from now on: fold, alert, retrain. Idempotent."""
        self.circle.start()
        return self

    def stop(self) -> None:
        """Make everything durable, save the state, end the threads. Idempotent."""
        self.circle.stop()

    def close(self) -> None:
        """Stop and give the database back. The monitor cannot be used afterwards."""
        self.circle.close()

    def flush(self) -> None:
        """Return when everything recorded so far is durable and counted."""
        self.circle.flush()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _require_seen(self, agent_name: str) -> None:
        if self._view.agent(agent_name, None).status == "unknown":
            hint = did_you_mean(agent_name, self._view.agent_names()).removeprefix("; ")
            raise UnknownNameError("agent", agent_name, hint)

    def _on_alert(
        self, verb: str, alert_id: str, arguments: dict[str, Any], by: str
    ) -> PerformanceAlert:
        self._view.alert(alert_id)  # raises for an unknown one
        self._operate(verb, alert_id, arguments, by)
        return self._view.alert(alert_id)

    def _operate(self, verb: str, target: str, arguments: dict[str, Any], by: str) -> None:
        now_us = self._now_us()
        self.circle.act(
            OperatorAct(
                act_id=retraining.new_id().replace("retrain", verb),
                ts_us=now_us,
                verb=verb,  # type: ignore[arg-type]  # the callers above pass literals
                target=target,
                arguments=arguments,
                by=by,
            )
        )
        self.circle.pump()


class _Measured(MeasuredRun):
    """``monitor.run(...)``: a context manager that is a decorator, too."""

    def __init__(self, monitor: PerformanceMonitor, **fields: Any) -> None:
        super().__init__(monitor.record_agent_run, **fields)
        self._monitor = monitor
        self._given = fields

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Measure every call of ``function``, each as a run of its own."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def measured_coroutine(*args: Any, **kwargs: Any) -> Any:
                async with _Measured(self._monitor, **self._given):
                    return await function(*args, **kwargs)

            return measured_coroutine

        @functools.wraps(function)
        def measured(*args: Any, **kwargs: Any) -> Any:
            with _Measured(self._monitor, **self._given):
                return function(*args, **kwargs)

        return measured


_the_monitor: PerformanceMonitor | None = None
_guard = threading.Lock()


def init_performance_monitor(**parameters: Any) -> PerformanceMonitor:
    """Make the process's monitor, in place of an earlier one, and return it.

    Takes the parameters of ``PerformanceMonitor``. The earlier one is stopped.
    """
    global _the_monitor  # noqa: PLW0603 - one per process is what this function is for
    with _guard:
        if _the_monitor is not None:
            _the_monitor.close()
        _the_monitor = PerformanceMonitor(**parameters)
        return _the_monitor


def get_performance_monitor() -> PerformanceMonitor:
    """Return the process's monitor; one in memory if none was made yet."""
    global _the_monitor  # noqa: PLW0603 - one per process is what this function is for
    with _guard:
        if _the_monitor is None:
            _the_monitor = PerformanceMonitor()
        return _the_monitor

"""The promises of the first face, ``PerformanceMonitor``."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import numpy as np
import pytest

from selfright import AlertLevel, PerformanceMonitor, RealTimeModelUpdater, get_performance_monitor
from selfright.errors import ConfigError, InvalidEventError, UnknownNameError
from selfright.performance_monitor import init_performance_monitor

RULE = "success_rate_min"


@pytest.fixture
def monitor() -> PerformanceMonitor:
    """Return a monitor in memory that was not started."""
    return PerformanceMonitor()


def _runs(monitor: PerformanceMonitor, agent: str, statuses: list[str], **fields: object) -> None:
    for number, status in enumerate(statuses):
        monitor.record_agent_run(f"{agent}-{number}", agent, "llm", status, 100.0, **fields)


def test_rates_are_over_decided_runs(monitor: PerformanceMonitor) -> None:
    """A cancelled, interrupted or pending run says nothing about the agent."""
    _runs(monitor, "a", ["success", "failure", "timeout", "partial", "cancelled", "pending"])
    metrics = monitor.get_agent_metrics("a").metrics
    assert (metrics.total_tasks, metrics.success_rate, metrics.error_rate) == (6, 0.25, 0.5)


def test_nothing_decided_is_unknown_not_zero(monitor: PerformanceMonitor) -> None:
    """A rate without decided runs is None."""
    _runs(monitor, "a", ["pending"])
    assert monitor.get_agent_metrics("a").metrics.success_rate is None
    assert monitor.get_agent_metrics("a").metrics.total_cost is None


def test_an_agent_never_seen_is_unknown(monitor: PerformanceMonitor) -> None:
    """Asking for it is no error."""
    assert monitor.get_agent_metrics("nobody").status == "unknown"


def test_the_same_run_counts_once(monitor: PerformanceMonitor) -> None:
    """A retried delivery changes nothing."""
    for _ in range(3):
        monitor.record_agent_run("one", "a", "llm", "success", 10.0)
        monitor.flush()
    assert monitor.get_system_metrics().total_tasks == 1


def test_an_accuracy_recorded_under_a_task_id_counts(monitor: PerformanceMonitor) -> None:
    """It joins the agent's run of that task."""
    monitor.record_agent_run("r", "a", "llm", "success", 10.0, task_id="t")
    measured = monitor.record_accuracy("a", "t", "x y", "x y")
    assert measured.accuracy_score == 1.0
    metrics = monitor.get_agent_metrics("a").metrics
    assert (metrics.avg_accuracy, metrics.accuracy_coverage) == (1.0, 1.0)


def test_a_corrected_outcome_replaces_the_first(monitor: PerformanceMonitor) -> None:
    """The newest statement of one source about one run holds."""
    monitor.record_agent_run("r", "a", "llm", "success", 10.0)
    for score, at in ((1.0, 1_900_000_000), (0.0, 1_900_000_001)):
        monitor.record_accuracy(
            "a", None, None, None, run_id="r", accuracy_score=score, timestamp=at - 10**9
        )
    monitor.flush()
    assert monitor.get_stats()["accuracy_measurements"] == 1


def test_a_bad_value_names_field_value_and_reason(monitor: PerformanceMonitor) -> None:
    """And nothing is recorded."""
    with pytest.raises(InvalidEventError) as caught:
        monitor.record_agent_run("r", "a", "llm", "success", float("nan"))
    assert caught.value.field == "duration_ms"
    with pytest.raises(InvalidEventError, match="status"):
        monitor.record_agent_run("r", "a", "llm", "splendid", 1.0)
    assert monitor.get_system_metrics().total_tasks == 0


def test_a_batch_refuses_bad_rows_alone(monitor: PerformanceMonitor) -> None:
    """Their neighbours count, as rows and as columns."""
    rows = [
        {"run_id": "1", "agent_name": "a", "duration_ms": 1.0},
        {"run_id": "2", "agent_name": "a", "duration_ms": -1.0},
        {"run_id": "3", "agent_name": "a", "colour": "red"},
    ]
    report = monitor.record_agent_runs(rows)
    assert report.accepted == 1
    assert [(item.index, item.field) for item in report.rejected] == [
        (1, "duration_ms"),
        (2, "colour"),
    ]
    columns = {
        "run_id": ["4", "5", "4"],
        "agent_name": ["a"] * 3,
        "duration_ms": np.array([1.0, np.inf, 1.0]),
    }
    report = monitor.record_agent_runs(columns)
    assert (report.accepted, report.duplicates, len(report.rejected)) == (1, 1, 1)


def test_thresholds_are_merged_and_a_misspelt_one_is_refused() -> None:
    """The message suggests what was meant."""
    monitor = PerformanceMonitor(alert_thresholds={"accuracy_min": 0.9})
    assert monitor.settings.thresholds.accuracy_min == 0.9
    assert monitor.settings.thresholds.success_rate_min == 0.8
    with pytest.raises(ConfigError, match="did you mean accuracy_min"):
        PerformanceMonitor(alert_thresholds={"acuracy_min": 0.9})


def test_a_low_rate_is_a_warning_with_a_recommendation(monitor: PerformanceMonitor) -> None:
    """It names agent, value and threshold; acknowledging and muting work."""
    _runs(monitor, "a", ["success"] * 14 + ["failure"] * 8)
    alert = next(found for found in monitor.get_alerts(agent_name="a") if found.rule == RULE)
    assert (alert.level, alert.agent_name, alert.threshold) == (AlertLevel.WARNING, "a", 0.8)
    assert alert.recommendation
    assert monitor.acknowledge_alert(alert.alert_id).state == "acknowledged"
    assert monitor.mute_alert(alert.alert_id, 60).state == "muted"
    assert monitor.explain_alert(alert.alert_id)["why"]["opened_by"]
    with pytest.raises(UnknownNameError):
        monitor.acknowledge_alert("nonsense")


def test_a_rate_that_is_certainly_low_is_critical(monitor: PerformanceMonitor) -> None:
    """A warning until twenty outcomes are there, and one alert all along."""
    _runs(monitor, "a", ["failure"] * 30)
    (alert,) = (found for found in monitor.get_alerts(agent_name="a") if found.rule == RULE)
    assert (alert.level, alert.threshold) == (AlertLevel.CRITICAL, 0.8)
    assert alert.details["inputs"]["run_length"] >= 1e4
    assert alert.change_point["outcomes_since"] >= 20
    drift = next(
        found for found in monitor.get_alerts(agent_name="a") if found.rule == "success_rate_drift"
    )
    assert (drift.state, drift.threshold) == ("resolved", 0.8)
    assert "that is wanted" in drift.message


def test_alerts_can_be_switched_off() -> None:
    """Then there are none, and the figures are there all the same."""
    monitor = PerformanceMonitor(enable_auto_alerts=False)
    _runs(monitor, "a", ["failure"] * 30)
    assert monitor.get_alerts() == []
    assert monitor.get_agent_metrics("a").metrics.error_rate == 1.0


def test_callbacks_hear_of_alerts_and_may_fail() -> None:
    """A failing callback disturbs neither the monitor nor the next callback."""
    heard = threading.Event()

    def broken(_alert: object) -> None:
        raise RuntimeError("a callback of the user's")

    with PerformanceMonitor() as monitor:
        monitor.on_alert(broken)
        monitor.on_alert(lambda _alert: heard.set())
        _runs(monitor, "a", ["failure"] * 30)
        monitor.flush()
        assert heard.wait(5)


def test_a_measured_run_records_how_it_ended(monitor: PerformanceMonitor) -> None:
    """Exceptions go on; their kind decides the status."""
    with monitor.run("a", task_type="t") as run:
        run.tokens(5).cost(0.5).quality(0.75)
    with pytest.raises(ValueError, match="boom"), monitor.run("a"):
        raise ValueError("boom")
    with pytest.raises(TimeoutError), monitor.run("a"):
        raise TimeoutError
    metrics = monitor.get_agent_metrics("a").metrics
    assert (metrics.total_tasks, metrics.failed_tasks, metrics.timeout_rate) == (3, 1, 1 / 3)
    assert (metrics.total_tokens, metrics.total_cost, metrics.avg_quality_score) == (5, 0.5, 0.75)


def test_a_cancelled_task_is_no_failure(monitor: PerformanceMonitor) -> None:
    """Also as a decorator of a coroutine function."""

    @monitor.run("a")
    async def endless() -> None:
        await asyncio.sleep(60)

    async def cancel() -> None:
        task = asyncio.create_task(endless())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    metrics = monitor.get_agent_metrics("a").metrics
    assert (metrics.total_tasks, metrics.success_rate) == (1, None)


def test_a_scorer_of_the_users_replaces_ours() -> None:
    """Its value is checked like any other."""
    monitor = PerformanceMonitor(scorer=lambda predicted, actual: 0.25)
    assert monitor.record_accuracy("a", None, 1, 2).accuracy_score == 0.25
    broken = PerformanceMonitor(scorer=lambda predicted, actual: 7.0)
    with pytest.raises(InvalidEventError):
        broken.record_accuracy("a", None, 1, 2)


def test_everything_survives_a_restart(tmp_path: Path) -> None:
    """Figures, alerts and counts are those from before, with and without a checkpoint."""
    url = f"sqlite:///{tmp_path / 'events.db'}"
    first = PerformanceMonitor(database_url=url)
    _runs(first, "a", ["success"] * 10 + ["failure"] * 30)
    metrics, alerts = first.get_agent_metrics("a").metrics, first.get_alerts()
    state = first.circle.fold.to_state()
    first.close()
    second = PerformanceMonitor(database_url=url)
    assert second.get_agent_metrics("a").metrics.total_tasks == metrics.total_tasks == 40
    assert [found.alert_id for found in second.get_alerts()] == [found.alert_id for found in alerts]
    assert second.circle.fold.to_state().keys() == state.keys()
    second.close()


def test_a_database_we_do_not_know_is_refused() -> None:
    """The message names what would do."""
    with pytest.raises(ConfigError, match="sqlite:///"):
        PerformanceMonitor(database_url="mysql://x")


def test_the_report_has_all_its_parts(monitor: PerformanceMonitor) -> None:
    """Also for an empty fleet, whose health is unknown."""
    keys = {
        "generated_at", "time_window_minutes", "system_metrics", "health_score",
        "agent_metrics", "recent_alerts", "recommendations", "trends", "retrainings",
    }  # fmt: skip
    assert set(monitor.generate_report()) >= keys
    assert monitor.generate_report()["health_score"] is None
    _runs(monitor, "a", ["success"] * 50)
    assert monitor.generate_report()["health_score"] > 80
    assert monitor.generate_report(include_agents=False)["agent_metrics"] == {}


def test_the_report_is_a_page_on_request(monitor: PerformanceMonitor) -> None:
    """Text of one HTML file; another form is refused by name."""
    _runs(monitor, "<planner>", ["success"] * 30)
    page = monitor.generate_report(format="html")
    assert page.startswith("<!doctype html>")
    assert "&lt;planner&gt;" in page
    assert "<planner>" not in page
    without = monitor.generate_report(False, format="html")
    assert "planner" not in without
    with pytest.raises(ConfigError, match="'dict' or 'html'"):
        monitor.generate_report(format="pdf")


def test_stats_tell_of_the_monitor_itself(monitor: PerformanceMonitor) -> None:
    """Under the promised keys."""
    stats = monitor.get_stats()
    assert stats["monitoring_active"] is False
    assert stats["model_updater_connected"] is False
    for key in ("events_buffered", "agents_tracked", "active_alerts", "auto_retraining_enabled"):
        assert key in stats


def test_retraining_without_an_updater_is_a_result(monitor: PerformanceMonitor) -> None:
    """Not an exception."""
    result = monitor.trigger_retraining()
    assert result.success is False
    assert "model updater" in result["error"]


def test_one_monitor_per_process_on_request() -> None:
    """``init`` makes it, ``get`` returns it."""
    made = init_performance_monitor(window_size_minutes=5)
    assert get_performance_monitor() is made
    assert made.settings.windows.window_minutes == 5


def test_an_updater_belongs_to_one_monitor(tmp_path: Path) -> None:
    """A second monitor that is given it says so."""
    updater = RealTimeModelUpdater(model_storage_path=str(tmp_path))
    PerformanceMonitor(model_updater=updater)
    with pytest.raises(ConfigError, match="one per monitor"):
        PerformanceMonitor(model_updater=updater)


def test_start_and_stop_are_idempotent(tmp_path: Path) -> None:
    """And what was recorded before ``stop`` is there after it."""
    monitor = PerformanceMonitor(database_url=f"sqlite:///{tmp_path / 'e.db'}")
    monitor.start()
    monitor.start()
    _runs(monitor, "a", ["success"] * 5)
    monitor.stop()
    monitor.stop()
    assert monitor.get_system_metrics().total_tasks == 5
    monitor.close()

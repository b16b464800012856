"""Why a certain alert is there: worked out from the log, with the numbers that raised it."""

from __future__ import annotations

import numpy as np
import pytest

from selfright.config import Settings, with_values
from selfright.performance_monitor import PerformanceMonitor

CHANGE, RUNS = 700, 900


def _fallen(settings: Settings | None = None, database_url: str | None = None):
    """Return a monitor whose planner fell from .92 to .45, and slowed down, at run 700."""
    monitor = PerformanceMonitor(settings=settings, database_url=database_url)
    rng = np.random.default_rng(2)
    good = rng.random(RUNS) < np.where(np.arange(RUNS) < CHANGE, 0.92, 0.45)
    slow = np.where(np.arange(RUNS) < CHANGE, 1.0, 3.0)
    latency = rng.lognormal(6, 0.4, RUNS) * slow
    for at in range(0, RUNS, 100):
        part = slice(at, at + 100)
        monitor.record_agent_runs(
            {
                "run_id": [f"run-{i}" for i in range(RUNS)[part]],
                "agent_name": ["planner"] * 100,
                "agent_version": ["v1" if i < CHANGE else "v2" for i in range(RUNS)[part]],
                "status": ["success" if ok else "failure" for ok in good[part]],
                "duration_ms": latency[part],
            }
        )
        monitor.get_stats()  # folds: what a small log drops has been seen by then
    return monitor, good


def _why(monitor: PerformanceMonitor, rule: str):
    alert = next(one for one in monitor.get_alerts(agent_name="planner") if _rule(one) == rule)
    return alert, monitor.explain_alert(alert.alert_id)["why"]


def _rule(alert) -> str:
    return alert.details["rule"]


def test_the_evidence_is_worked_out_anew_and_reaches_the_alarm():
    """From the change point on it grows to the level at which the alarm was raised."""
    monitor, good = _fallen()
    alert, why = _why(monitor, "success_rate_min")
    found = why["certainty"]
    assert alert.level == "critical"
    assert max(point["share"] for point in found["evidence"]) >= 1.0
    first = found["change_point"]["offset"] + 1
    shown = {point["offset"]: point["outcome"] for point in found["evidence"]}
    assert min(shown) >= first
    # The retraining that was asked for stands in the log, too: behind it offsets are further on.
    before_acts = {offset: outcome for offset, outcome in shown.items() if offset < 800}
    assert len(before_acts) > 80
    assert all(outcome == good[offset] for offset, outcome in before_acts.items())


def test_it_says_what_was_and_what_is_with_intervals():
    """The mean before and after, the reference between them, and where it changed."""
    monitor, good = _fallen()
    _, why = _why(monitor, "success_rate_min")
    found = why["certainty"]
    assert found["reference"] == "baseline"
    assert found["after"]["value"] < found["reference_value"] < found["before"]["value"]
    low, high = found["before"]["interval"]
    assert low < good[:CHANGE].mean() < high
    assert abs(found["change_point"]["offset"] - CHANGE) <= 30
    assert "10,000" in found["guarantee"]


def test_the_events_that_mattered_are_failures_since_the_change():
    """The newest failures, by run id."""
    monitor, good = _fallen()
    _, why = _why(monitor, "success_rate_min")
    for event in why["certainty"]["events"]:
        assert event["value"] == 0.0
        # The retrainings asked for since then have offsets, too.
        number = int(event["run_id"].removeprefix("run-"))
        assert 0 <= event["offset"] - number <= 10
        assert not good[number]


def test_the_slowest_runs_explain_a_rise_of_latency():
    """In milliseconds, slowest first."""
    monitor, _ = _fallen()
    alert, why = _why(monitor, "latency_drift")
    values = [event["value"] for event in why["certainty"]["events"]]
    assert alert.level == "warning"
    assert values == sorted(values, reverse=True)
    assert values[0] > 1000


def test_a_new_version_is_named_with_the_drop_that_it_began():
    """The old one's level is what the new one is held against."""
    monitor, _ = _fallen()
    alert, _ = _why(monitor, "success_rate_min")
    assert alert.details["inputs"]["version"] == "v2"
    assert alert.details["inputs"]["version_before"] == "v1"
    assert "version v2 since then, v1 before" in alert.message


def test_the_same_explanation_after_a_restart(tmp_path):
    """It is a function of the log."""
    url = f"sqlite:///{tmp_path}/log.db"
    monitor, _ = _fallen(database_url=url)
    alert, why = _why(monitor, "success_rate_min")
    monitor.close()
    again = PerformanceMonitor(database_url=url)
    assert again.explain_alert(alert.alert_id)["why"]["certainty"] == why["certainty"]
    again.close()


def test_rows_that_retention_took_are_missed_and_nothing_else_is_wrong():
    """The numbers stay; the course and the events are as long as the log."""
    settings = with_values(Settings(), {"log.memory_events": 120})
    monitor, _ = _fallen(settings)
    _, why = _why(monitor, "success_rate_min")
    assert why["certainty"]["before"]["n"] > 0
    assert len(why["certainty"]["evidence"]) <= 120


@pytest.mark.parametrize("level", ["warning", "critical"])
def test_an_alert_that_is_not_certain_has_no_certainty(level):
    """What a windowed mean says is explained by its own inputs."""
    monitor = PerformanceMonitor()
    for number in range(60):
        monitor.record_agent_run(f"r{number}", "solver", "agent", "failure", 10.0)
    warnings = monitor.get_alerts(level=level, agent_name="solver")
    for alert in warnings:
        if "run_length" not in alert.details["inputs"]:
            assert "certainty" not in monitor.explain_alert(alert.alert_id)["why"]

"""Figures, runs and alerts are read as promised, and bad questions refused by name."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any
from urllib.parse import quote

import httpx
import pytest

PERFORMANCE = "/api/performance"
Check = Callable[..., dict[str, Any]]
Pages = Callable[..., list[Any]]


# ---- reading --------------------------------------------------------------------------


def test_an_empty_fleet_is_unknown_not_healthy(empty: httpx.Client, all_pages: Pages) -> None:
    """Nothing was reported, so nothing is claimed."""
    health = empty.get(f"{PERFORMANCE}/health").json()
    assert (health["status"], health["health_score"]) == ("unknown", None)
    metrics = empty.get(f"{PERFORMANCE}/system-metrics").json()
    assert metrics["success_rate"] is None
    assert metrics["total_tasks"] == 0
    assert all_pages(empty, f"{PERFORMANCE}/agents/metrics") == []
    assert all_pages(empty, f"{PERFORMANCE}/runs") == []
    assert all_pages(empty, f"{PERFORMANCE}/alerts") == []
    assert all_pages(empty, f"{PERFORMANCE}/spikes") == []
    assert all_pages(empty, f"{PERFORMANCE}/retrainings") == []


def test_figures_say_what_was_sent(filled: httpx.Client, hostile_names: list[str]) -> None:
    """Counts, rates and sums of the fleet and of one agent."""
    agents = 2 + len(hostile_names)
    fleet = filled.get(f"{PERFORMANCE}/system-metrics").json()
    assert fleet["total_tasks"] == 60 * agents
    assert fleet["failed_tasks"] == 30
    assert fleet["total_cost"] == pytest.approx(0.6 * agents)
    failing = filled.get(f"{PERFORMANCE}/agent-metrics/failing").json()
    assert failing["agent_name"] == "failing"
    assert failing["metrics"]["success_rate"] == 0.5
    assert failing["metrics"]["avg_accuracy"] == pytest.approx(0.2)
    health = filled.get(f"{PERFORMANCE}/health").json()
    assert 0 <= health["health_score"] <= 100
    assert health["parts"]
    stats = filled.get(f"{PERFORMANCE}/stats").json()
    assert stats["agents_tracked"] == agents
    assert stats["monitoring_active"] is True
    assert "success_rate" in filled.get(f"{PERFORMANCE}/trends").json()


def test_an_agent_may_be_called_anything_printable(
    filled: httpx.Client, hostile_names: list[str]
) -> None:
    """Slashes, quotes, tags and other alphabets: found by its name, and it opens nothing."""
    for name in hostile_names:
        _found_by_name(filled, name)


def _found_by_name(filled: httpx.Client, name: str) -> None:
    answer = filled.get(f"{PERFORMANCE}/agent-metrics/{quote(name, safe='')}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["agent_name"] == name
    assert answer.json()["metrics"]["total_tasks"] == 60
    found = filled.get(f"{PERFORMANCE}/runs", params={"agent_name": name, "limit": 1}).json()
    assert found["items"][0]["agent_name"] == name
    other = filled.get(f"{PERFORMANCE}/alerts", params={"agent_name": name})
    assert other.status_code == 200


def test_an_unknown_agent_is_not_found_and_a_like_one_is_named(
    filled: httpx.Client, problem: Check
) -> None:
    """404 with a hint."""
    said = problem(filled.get(f"{PERFORMANCE}/agent-metrics/faling"), 404)
    assert "failing" in said["detail"]
    problem(filled.get(f"{PERFORMANCE}/agent-metrics/"), 404)


@pytest.mark.parametrize("limit", [1, 5, 12, 1000])
def test_pages_of_agents_hold_each_agent_once(
    filled: httpx.Client, limit: int, all_pages: Pages, hostile_names: list[str]
) -> None:
    """However small the pages, in the order of the names."""
    items = all_pages(filled, f"{PERFORMANCE}/agents/metrics", limit=limit)
    assert [item["agent_name"] for item in items] == sorted(["good", "failing", *hostile_names])


def test_pages_of_runs_hold_each_run_once(
    filled: httpx.Client, all_pages: Pages, hostile_names: list[str]
) -> None:
    """Newest first, by offset, also while filtered."""
    items = all_pages(filled, f"{PERFORMANCE}/runs", limit=7, agent_name="failing", status="failed")
    assert len(items) == 30
    assert {item["run_id"] for item in items} == {f"failing-{i}" for i in range(1, 60, 2)}
    offsets = [item["offset"] for item in items]
    assert offsets == sorted(offsets, reverse=True)
    run = items[-1]
    assert (run["status"], run["duration_ms"], run["cost"]) == ("failure", 101.0, 0.01)
    assert (run["tokens_used"], run["tokens_in"], run["memory_mb"]) == (120, 100, None)
    assert all_pages(filled, f"{PERFORMANCE}/runs", until="2020-01-01T00:00:00Z") == []
    assert len(all_pages(filled, f"{PERFORMANCE}/runs", since=0, limit=1000)) == 60 * (
        2 + len(hostile_names)
    )


def test_the_report_holds_everything(
    filled: httpx.Client, hostile_names: list[str], problem: Check
) -> None:
    """With the promised keys, and without agents when asked so."""
    report = filled.get(f"{PERFORMANCE}/report").json()
    assert {
        "generated_at", "time_window_minutes", "system_metrics", "health_score", "agent_metrics",
        "recent_alerts", "recommendations", "trends", "retrainings",
    } <= set(report)  # fmt: skip
    assert set(report["agent_metrics"]) == {"good", "failing", *hostile_names}
    problem(filled.get(f"{PERFORMANCE}/report", params={"format": "pdf"}), 422, "format")
    short = filled.get(f"{PERFORMANCE}/report", params={"include_agents": "false"}).json()
    assert not short["agent_metrics"]


def test_the_report_is_a_page_too(filled: httpx.Client, hostile_names: list[str]) -> None:
    """One file below 1 MB with a policy of its own, with every agent and no markup of theirs."""
    answer = filled.get(f"{PERFORMANCE}/report", params={"format": "html"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert policy.endswith("frame-ancestors 'none'")
    assert len(answer.content) < 1_000_000
    page = answer.text
    assert page.startswith("<!doctype html>")
    assert "<script" not in page
    for name in ("good", "failing", *hostile_names):
        assert f"<bdi>{escape(name)}</bdi>" in page
    short = filled.get(
        f"{PERFORMANCE}/report", params={"format": "html", "include_agents": "false"}
    )
    assert "<bdi>good</bdi>" not in short.text


WINDOWED = ["system-metrics", "agent-metrics/good", "agents/metrics", "report"]


@pytest.mark.parametrize("path", WINDOWED)
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1e999", "x", "1e9", ""])
def test_a_window_is_a_positive_number_of_minutes(
    filled: httpx.Client, path: str, value: str, problem: Check
) -> None:
    """Anything else is refused by name, never guessed."""
    answer = filled.get(f"{PERFORMANCE}/{path}", params={"time_window_minutes": value})
    problem(answer, 422, "time_window_minutes")


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("alerts", {"limit": "0"}, "limit"),
        ("alerts", {"limit": "1001"}, "limit"),
        ("alerts", {"limit": "many"}, "limit"),
        ("alerts", {"level": "loud"}, "level"),
        ("alerts", {"state": "gone"}, "state"),
        ("alerts", {"agent_name": ""}, "agent_name"),
        ("alerts", {"agent_name": "x" * 201}, "agent_name"),
        ("alerts", {"cursor": "nonsense!"}, "cursor"),
        ("alerts", {"cursor": "abcd"}, "cursor"),
        ("agents/metrics", {"limit": "-1"}, "limit"),
        ("agents/metrics", {"cursor": "ä"}, "cursor"),
        ("runs", {"status": "splendid"}, "status"),
        ("runs", {"since": "yesterday"}, "since"),
        ("runs", {"until": "nan"}, "until"),
        ("runs", {"since": "-5"}, "since"),
        ("runs", {"since": "1e300"}, "since"),
        ("runs", {"cursor": "LTU"}, "cursor"),
        ("runs", {"cursor": "x" * 1001}, "cursor"),
        ("runs", {"limit": "1.5"}, "limit"),
        ("report", {"format": "pdf"}, "format"),
        ("retrainings", {"limit": "0"}, "limit"),
        ("spikes", {"limit": "0"}, "limit"),
        ("spikes", {"agent_name": ""}, "agent_name"),
        ("spikes", {"cursor": "nonsense!"}, "cursor"),
    ],
)
def test_a_bad_parameter_is_refused_by_name(
    filled: httpx.Client, path: str, query: dict[str, str], field: str, problem: Check
) -> None:
    """422 names the parameter."""
    problem(filled.get(f"{PERFORMANCE}/{path}", params=query), 422, field)


def test_what_is_not_served_is_said_so(filled: httpx.Client, problem: Check) -> None:
    """404 and 405 are problem documents too; 405 says what would be served."""
    problem(filled.get("/api/nothing"), 404)
    problem(filled.get("/static/../app.py"), 404)
    problem(filled.get("/static/%2e%2e%2fapp.py"), 404)
    answer = filled.delete(f"{PERFORMANCE}/health")
    problem(answer, 405)
    assert answer.headers["allow"] == "GET"
    answer = filled.put(f"{PERFORMANCE}/runs", json={})
    problem(answer, 405)
    assert answer.headers["allow"] == "GET, POST"


# ---- alerts ---------------------------------------------------------------------------


def test_alerts_are_listed_explained_acknowledged_and_muted(
    filled: httpx.Client, all_pages: Pages
) -> None:
    """The whole life that an operator sees of one."""
    found = all_pages(filled, f"{PERFORMANCE}/alerts", agent_name="failing", limit=1)
    assert found, "an agent with half its runs failing raised no alert"
    alert = found[-1]
    assert {"alert_id", "level", "message", "threshold", "state", "recommendation"} <= set(alert)
    place = f"{PERFORMANCE}/alerts/{alert['alert_id']}"
    assert filled.get(f"{place}/explain").json()["why"]["rule"] == alert["rule"]
    acknowledged = filled.post(f"{place}/acknowledge")
    assert acknowledged.status_code == 200
    assert acknowledged.json()["state"] == "acknowledged"
    muted = filled.post(f"{place}/mute", json={"for_s": 60})
    assert muted.json()["state"] == "muted"
    listed = all_pages(filled, f"{PERFORMANCE}/alerts", state="muted")
    assert alert["alert_id"] in {item["alert_id"] for item in listed}


@pytest.mark.parametrize("verb", ["acknowledge", "mute"])
def test_an_unknown_alert_is_not_found(filled: httpx.Client, verb: str, problem: Check) -> None:
    """Nothing is acknowledged by a guess."""
    problem(filled.post(f"{PERFORMANCE}/alerts/nothing/{verb}"), 404)
    problem(filled.get(f"{PERFORMANCE}/alerts/nothing/explain"), 404)


@pytest.mark.parametrize("for_s", [0, -1, "long", None, 1e300])
def test_a_mute_has_a_length(filled: httpx.Client, for_s: Any, problem: Check) -> None:
    """A positive number of seconds, a year at most."""
    answer = filled.post(f"{PERFORMANCE}/alerts/nothing/mute", json={"for_s": for_s})
    problem(answer, 422, "for_s")

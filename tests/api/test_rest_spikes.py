"""Single runs far from usual are listed, by agent and in pages, and alert nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from selfright.loop.run_spike import RunSpike
from selfright.performance_monitor import PerformanceMonitor

SPIKES = "/api/performance/spikes"


def _runs(name: str, *, slow: set[int], dear: set[int]) -> list[dict[str, Any]]:
    return [
        {
            "run_id": f"{name}-{i}",
            "agent_name": name,
            "agent_type": "llm",
            "status": "success",
            "duration_ms": 60_000.0 if i in slow else 100.0 + 7 * (i % 9),
            "cost": 0.5 if i in dear else 0.001,
        }
        for i in range(260)
    ]


@pytest.fixture
def client(serve_new: Callable[..., httpx.Client]) -> httpx.Client:
    """Serve two agents with three runs that are far from usual between them."""
    served = serve_new()
    for name, slow, dear in (("planner", {230, 240}, {240}), ("other", {250}, set())):
        runs = _runs(name, slow=slow, dear=dear)
        assert served.post("/api/performance/runs", json=runs).json()["accepted"] == 260
    return served


def test_what_was_odd_is_said_in_units_of_the_user(client: httpx.Client) -> None:
    """Which run, in what, and how much would have been usual; the run is found by its offset."""
    items = client.get(SPIKES, params={"agent_name": "planner"}).json()["items"]
    assert [(item["metric"], item["value"]) for item in items] == [
        ("latency", 60_000.0), ("latency", 60_000.0), ("cost", 0.5),
    ]  # fmt: skip
    first = msgspec.convert(items[0], RunSpike)
    assert first.usual == pytest.approx(128.0, rel=0.1)
    assert first.z > 5
    runs = client.get("/api/performance/runs", params={"limit": 1000}).json()["items"]
    assert {run["offset"]: run["run_id"] for run in runs}[first.offset] == "planner-230"


def test_pages_hold_each_of_them_once(client: httpx.Client, all_pages: Callable[..., Any]) -> None:
    """Newest last; further pages reach further back."""
    found = [all_pages(client, SPIKES, limit=limit) for limit in (1, 3, 1000)]
    assert sorted(map(str, found[0])) == sorted(map(str, found[1])) == sorted(map(str, found[2]))
    assert [item["agent_name"] for item in found[2]] == ["planner"] * 3 + ["other"]


def test_nobody_is_alerted(client: httpx.Client) -> None:
    """One run proves nothing."""
    assert client.get(SPIKES).json()["items"]
    alerts = client.get("/api/performance/alerts").json()["items"]
    assert [alert for alert in alerts if "drift" in alert["rule"]] == []


def test_a_deleted_agent_has_none_left() -> None:
    """As if never seen; those of others stay."""
    with PerformanceMonitor() as monitor:
        for name in ("planner", "other"):
            monitor.record_agent_runs(_runs(name, slow={230}, dear=set()))
        assert [spike.agent_name for spike in monitor.get_spikes()] == ["planner", "other"]
        assert [spike.agent_name for spike in monitor.get_spikes(limit=1)] == ["other"]
        monitor.delete_agent("planner")
        assert [spike.agent_name for spike in monitor.get_spikes()] == ["other"]
        assert monitor.get_spikes("planner") == []

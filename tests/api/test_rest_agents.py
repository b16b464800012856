"""An agent is taken out of the fleet over REST, by whatever name it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest

PERFORMANCE = "/api/performance"
NAMES = ["planner", "team/alpha/retire", "metrics", "a b?c#d", "retire"]
Check = Callable[..., dict[str, Any]]
Serve = Callable[..., httpx.Client]
Pages = Callable[..., list[Any]]


@pytest.fixture
def client(serve_new: Serve) -> httpx.Client:
    """Serve a fleet whose agents each ran once."""
    client = serve_new()
    runs = [{"run_id": name, "agent_name": name, "status": "success"} for name in NAMES]
    assert client.post(f"{PERFORMANCE}/runs", json=runs).json()["accepted"] == len(NAMES)
    return client


def _names(client: httpx.Client, all_pages: Pages, **query: Any) -> set[str]:
    return {
        item["agent_name"] for item in all_pages(client, f"{PERFORMANCE}/agents/metrics", **query)
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_retired_agent_is_hidden_until_it_runs_again(
    client: httpx.Client, all_pages: Pages, name: str
) -> None:
    """Out of the list and of the page, not of the figures by name."""
    answer = client.post(f"{PERFORMANCE}/agents/{quote(name)}/retire")
    assert (answer.status_code, answer.json()) == (200, {"agent_name": name, "retired": True})
    assert _names(client, all_pages) == {*NAMES} - {name}
    assert _names(client, all_pages, include_retired=True) == {*NAMES}
    found = client.get(f"{PERFORMANCE}/agent-metrics/{quote(name)}").json()
    assert found["metrics"]["total_tasks"] == 1
    run = {"run_id": "again", "agent_name": name, "status": "success"}
    assert client.post(f"{PERFORMANCE}/runs", json=run).status_code == 202
    assert _names(client, all_pages) == {*NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_deleted_agent_is_not_found(
    client: httpx.Client, all_pages: Pages, problem: Check, name: str
) -> None:
    """Neither by name nor in any list."""
    answer = client.delete(f"{PERFORMANCE}/agents/{quote(name)}")
    assert (answer.status_code, answer.json()) == (200, {"agent_name": name, "deleted": True})
    assert _names(client, all_pages, include_retired=True) == {*NAMES} - {name}
    problem(client.get(f"{PERFORMANCE}/agent-metrics/{quote(name)}"), 404)
    problem(client.delete(f"{PERFORMANCE}/agents/{quote(name)}"), 404)


def test_an_agent_nobody_saw_is_not_found(client: httpx.Client, problem: Check) -> None:
    """With the nearest that there is."""
    for answer in (
        client.post(f"{PERFORMANCE}/agents/planer/retire"),
        client.delete(f"{PERFORMANCE}/agents/planer"),
    ):
        assert "did you mean planner" in problem(answer, 404)["detail"]


def test_a_page_from_elsewhere_may_not(client: httpx.Client, problem: Check) -> None:
    """Like every act it is refused to strangers."""
    strange = {"Origin": "https://elsewhere.example"}
    problem(client.delete(f"{PERFORMANCE}/agents/planner", headers=strange), 403, "Origin")
    problem(client.post(f"{PERFORMANCE}/agents/planner/retire", headers=strange), 403, "Origin")

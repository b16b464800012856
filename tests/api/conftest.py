"""A service over a real socket, for the tests of its routes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from selfright.config import Settings, with_values
from selfright.online_learning import RealTimeModelUpdater
from selfright.performance_monitor import PerformanceMonitor
from selfright.server.access.ring import KeyRing
from selfright.server.serve import bind, serve_faces

WAIT_S = 20.0
HOSTILE = [
    "team/alpha/planner",
    "<script>alert(1)</script>",
    "a\"b'c&d",
    "naïve/агент/🤖",
    "../../etc/passwd",
    "=cmd|'/C calc'!A0",
    "health",
    "metrics",
    "100%25 sure?#x",
    "/leading and trailing/",
]


@contextmanager
def served(
    folder: Path,
    *,
    learns: bool = True,
    own: dict[str, Any] | None = None,
    keys: KeyRing | None = None,
    **values: Any,
) -> Iterator[httpx.Client]:
    """Serve a new fleet on a free port for the length of the block.

    ``own``: models of the user's own that its program registers, by name.
    """
    settings = with_values(
        Settings(), {name.replace("__", "."): value for name, value in values.items()}
    )
    updater = RealTimeModelUpdater(model_storage_path=str(folder / "models")) if learns else None
    monitor = PerformanceMonitor(
        model_updater=updater, database_url=f"sqlite:///{folder}/events.db", settings=settings
    )
    for name, model in (own or {}).items():
        assert updater is not None
        updater.register_model(name, model)
    stop, ready = threading.Event(), queue.Queue[str]()
    thread = threading.Thread(
        target=serve_faces,
        args=(monitor, updater),
        kwargs={
            "listener": bind("127.0.0.1", 0),
            "on_ready": ready.put,
            "stop": stop,
            "keys": keys,
        },
    )
    thread.start()
    try:
        with httpx.Client(base_url=ready.get(timeout=WAIT_S), timeout=WAIT_S) as client:
            yield client
    finally:
        stop.set()
        thread.join(WAIT_S)
        monitor.close()
    assert not thread.is_alive()


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Serve a fleet that never did anything; no test may change it."""
    with served(tmp_path_factory.mktemp("empty")) as client:
        yield client


@pytest.fixture(scope="session")
def hostile_names() -> list[str]:
    """Return names of agents that a careless service would take for something else."""
    return HOSTILE


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Serve a fleet with a good agent, one that fails, and agents of hostile names."""
    with served(tmp_path_factory.mktemp("filled")) as client:
        runs = [
            {
                "run_id": f"{name}-{i}",
                "agent_name": name,
                "status": "failure" if name == "failing" and i % 2 else "success",
                "duration_ms": 100.0 + i,
                "cost": 0.01,
                "tokens_in": 100,
                "tokens_out": 20,
                "task_id": f"task-{i}",
                "task_type": "plan",
            }
            for name in ["good", "failing", *HOSTILE]
            for i in range(60)
        ]
        outcomes = [
            {
                "agent_name": name,
                "task_id": f"task-{i}",
                "accuracy_score": 0.2 if name == "failing" else 0.9,
            }
            for name in ("good", "failing")
            for i in range(60)
        ]
        for path, records in (("runs", runs), ("accuracy", outcomes)):
            answer = client.post(f"/api/performance/{path}", json=records)
            assert answer.status_code == 202, answer.text
            assert answer.json() == {"accepted": len(records), "duplicates": 0, "rejected": []}
        # The agent that fails is retrained by itself; tests look at what became of it.
        for _ in range(200):
            if client.get("/api/performance/retrainings").json()["items"]:
                break
            threading.Event().wait(0.05)
        yield client


@pytest.fixture
def serve_new(tmp_path: Path) -> Iterator[Callable[..., httpx.Client]]:
    """Return a function that serves a fleet of the test's own."""
    with ExitStack() as open_:

        def serve(**values: Any) -> httpx.Client:
            return open_.enter_context(served(tmp_path, **values))

        yield serve


@pytest.fixture(scope="session")
def problem() -> Callable[..., dict[str, Any]]:
    """Return a function that checks a problem document and returns it."""

    def check(answer: httpx.Response, status: int, field: str | None = None) -> dict[str, Any]:
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        document: dict[str, Any] = answer.json()
        assert document["status"] == status
        assert document["type"].startswith("urn:selfright:problem:")
        assert document["title"]
        assert document["detail"]
        assert document.get("field") == field
        return document

    return check


@pytest.fixture(scope="session")
def all_pages() -> Callable[..., list[Any]]:
    """Return a function that reads all pages of a list."""

    def read(client: httpx.Client, path: str, **query: Any) -> list[Any]:
        items: list[Any] = []
        while True:
            answer = client.get(path, params=query)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            assert set(page) == {"items", "next_cursor"}
            items += page["items"]
            if page["next_cursor"] is None:
                return items
            query["cursor"] = page["next_cursor"]

    return read

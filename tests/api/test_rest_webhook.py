"""An alert of the running service reaches the webhook; a target that hangs disturbs nobody."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest

WAIT_S = 20.0
Serve = Callable[..., httpx.Client]


@pytest.fixture
def target() -> Iterator[tuple[str, queue.Queue[Any]]]:
    """Give the URL of a receiver on loopback, and what it receives."""
    received: queue.Queue[Any] = queue.Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            received.put((self.path, json.loads(self.rfile.read(length))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", received
    server.shutdown()
    thread.join(WAIT_S)
    server.server_close()


def _fail(client: httpx.Client) -> None:
    runs = [
        {"run_id": f"r{i}", "agent_name": "planner", "status": "failure" if i % 2 else "success"}
        for i in range(100)
    ]
    assert client.post("/api/performance/runs", json=runs).json()["accepted"] == 100


def test_an_alert_reaches_the_webhook(
    serve_new: Serve, target: tuple[str, queue.Queue[Any]]
) -> None:
    """With the agent, the level and the whole alert as the service lists it."""
    url, received = target
    client = serve_new(notify__webhook_url=url, notify__webhook_allow_private=True)
    _fail(client)
    path, message = received.get(timeout=WAIT_S)
    assert path == "/hook"
    assert message["alerts"][0]["labels"]["agent"] == "planner"
    listed = client.get("/api/performance/alerts").json()["items"]
    assert message["selfright"]["alert_id"] in {alert["alert_id"] for alert in listed}


def test_a_webhook_on_this_machine_is_refused_unless_allowed(
    serve_new: Serve, target: tuple[str, queue.Queue[Any]]
) -> None:
    """Nothing arrives, and the stats say why."""
    url, received = target
    client = serve_new(notify__webhook_url=url)
    _fail(client)
    for _ in range(400):
        hook = client.get("/api/performance/stats").json()["notifications"]["webhook"]
        if hook["failed"]:
            break
        threading.Event().wait(0.05)
    assert "not public" in hook["last_failure"]
    assert received.empty()

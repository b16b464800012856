"""The real process is killed, stopped and starved of disk; what it acknowledged stays."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from selfright.clock import monotonic_s

pytestmark = pytest.mark.acceptance

SRC = Path(__file__).resolve().parents[2] / "src"
WAIT_S = 60.0
KILLS = 30
# Imports everything once and serves in a fork: what is killed is a whole process with its
# own files and threads, and is back in a tenth of the time.
NURSERY = """
import os, sys
import httptools, uvicorn, uvloop
import selfright.log.sqlite, selfright.log.writer, selfright.server.app
from selfright.config import load
from selfright.server.serve import serve
flags = {"server.data_dir": sys.argv[1], "server.port": 0}
settings = load(file=None, environment={}, flags=flags).settings
for _ in sys.stdin:
    child = os.fork()
    if child == 0:
        serve(settings, on_ready=lambda url: print(os.getpid(), url, flush=True))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print("ended", os.waitstatus_to_exitcode(status), flush=True)
"""


class Nursery:
    """Serves a data directory, again and again."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", NURSERY, str(folder)],
            env={**os.environ, "PYTHONPATH": str(SRC)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = 0
        self.url = ""
        self.clients: list[Client] = []

    def start(self) -> None:
        """Serve; returns when it answers."""
        assert self._process.stdin is not None
        self._process.stdin.write("again\n")
        self._process.stdin.flush()
        words = self._line().split()
        assert words[0] != "ended", "the service did not start"
        self.pid, self.url = int(words[0]), words[1]

    def end(self, number: signal.Signals) -> int:
        """Send a signal to the service, wait for its end, return its exit code."""
        os.kill(self.pid, number)
        word, code = self._line().split()
        assert word == "ended"
        self.pid = 0
        return int(code)

    def load(self, clients: int) -> list[Client]:
        """Put the service under load."""
        self.clients = [Client(self, number) for number in range(clients)]
        for client in self.clients:
            client.start()
        return self.clients

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def close(self) -> None:
        """End it all, also what a failed test left behind."""
        for client in self.clients:
            client.enough.set()
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(WAIT_S)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    """Serve a new directory as often as the test wants."""
    made = Nursery(tmp_path / "data")
    yield made
    made.close()


class Client(threading.Thread):
    """Sends batches of runs and outcomes until told to stop; repeats what got no answer."""

    def __init__(self, nursery: Nursery, number: int) -> None:
        super().__init__(daemon=True)
        self._nursery = nursery
        self._number = number
        self._http = httpx.Client(timeout=WAIT_S)
        self.enough = threading.Event()
        self.acknowledged: list[str] = []
        self.outcomes = 0
        self.accepted = 0
        self.interrupted = 0
        self.statuses: set[int] = set()

    def run(self) -> None:
        batch = 0
        while not self.enough.is_set():
            ids = [f"c{self._number}-{batch}-{i}" for i in range(25)]
            runs = [
                {"run_id": name, "agent_name": f"agent-{self._number}", "task_id": name,
                 "status": "success", "duration_ms": 12.5, "cost": 0.001}
                for name in ids
            ]  # fmt: skip
            outcomes = [
                {"agent_name": f"agent-{self._number}", "run_id": name, "outcome_id": name,
                 "accuracy_score": 0.75}
                for name in ids[:5]
            ]  # fmt: skip
            self.accepted += self._until_taken("runs", runs)["accepted"]
            self.acknowledged += ids
            self._until_taken("accuracy", outcomes)
            self.outcomes += len(outcomes)
            batch += 1

    def _until_taken(self, path: str, records: list[dict[str, Any]]) -> Any:
        body = json.dumps(records).encode()
        deadline_s = monotonic_s() + WAIT_S
        while monotonic_s() < deadline_s:
            try:
                answer = self._http.post(
                    f"{self._nursery.url}/api/performance/{path}",
                    content=body,
                    headers={"Content-Type": "application/json"},
                )
            except httpx.ConnectError:
                threading.Event().wait(0.05)
                continue
            except httpx.TransportError:
                self.interrupted += 1
                continue
            self.statuses.add(answer.status_code)
            if answer.status_code == 202:
                return answer.json()
            threading.Event().wait(0.05)
        raise TimeoutError(path)

    def finish(self) -> None:
        """End the load, once the batch under way is taken."""
        self.enough.set()
        self.join(WAIT_S)
        self._http.close()


def _kept(url: str) -> list[str]:
    names: list[str] = []
    cursor = None
    while True:
        query = {"limit": 1000} | ({} if cursor is None else {"cursor": cursor})
        page = httpx.get(f"{url}/api/performance/runs", params=query, timeout=WAIT_S).json()
        names += [run["run_id"] for run in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return names


def _figures(url: str) -> dict[str, Any]:
    answer = httpx.get(f"{url}/api/performance/system-metrics", timeout=WAIT_S)
    figures: dict[str, Any] = answer.json()
    return figures


@pytest.mark.timeout(240)
def test_thirty_kills_lose_nothing_and_count_nothing_twice(nursery: Nursery) -> None:
    """Kill -9 at any moment: every acknowledged run is there once, every figure exact."""
    rng = np.random.default_rng(20260102)
    nursery.start()
    clients = nursery.load(3)
    begun_s = monotonic_s()
    for _ in range(KILLS):
        threading.Event().wait(rng.uniform(0.02, 0.3))
        assert nursery.end(signal.SIGKILL) == -signal.SIGKILL
        nursery.start()
    for client in clients:
        client.finish()
    took_s = monotonic_s() - begun_s
    acknowledged = sorted(name for client in clients for name in client.acknowledged)
    outcomes = sum(client.outcomes for client in clients)
    kept = sorted(_kept(nursery.url))
    figures = _figures(nursery.url)
    interrupted = sum(client.interrupted for client in clients)
    unheard = len(acknowledged) - sum(client.accepted for client in clients)
    print(
        f"{KILLS} kills in {took_s:.1f} s: {len(acknowledged)} runs acknowledged, "
        f"{interrupted} requests interrupted, {unheard} runs durable before their answer was heard"
    )
    assert len(acknowledged) > 300
    assert interrupted >= KILLS, "the kills hit hardly any request"
    assert kept == acknowledged
    assert figures["total_tasks"] == len(acknowledged)
    assert figures["accuracy_sample_size"] == outcomes
    assert figures["avg_accuracy"] == pytest.approx(0.75)
    assert figures["total_cost"] == pytest.approx(0.001 * len(acknowledged))
    assert nursery.end(signal.SIGTERM) == 0


@pytest.mark.timeout(120)
def test_a_stop_under_load_finishes_what_it_took(nursery: Nursery) -> None:
    """SIGTERM: done within ten seconds with exit code 0, and a repeating client sees no error."""
    nursery.start()
    clients = nursery.load(3)
    for _ in range(3):
        threading.Event().wait(0.5)
        begun_s = monotonic_s()
        assert nursery.end(signal.SIGTERM) == 0
        took_s = monotonic_s() - begun_s
        print(f"SIGTERM to exit: {took_s:.2f} s")
        assert took_s < 10.0
        nursery.start()
    for client in clients:
        client.finish()
    acknowledged = sorted(name for client in clients for name in client.acknowledged)
    assert sorted(_kept(nursery.url)) == acknowledged
    # What was answered was counted; nothing that was taken was left without an answer.
    assert {status for client in clients for status in client.statuses} == {202}
    assert _figures(nursery.url)["total_tasks"] == len(acknowledged)
    assert nursery.end(signal.SIGTERM) == 0


@pytest.mark.timeout(120)
def test_a_full_disk_refuses_writes_keeps_answering_and_recovers(nursery: Nursery) -> None:
    """507 with Retry-After while no file may grow; reads stay up; afterwards all goes on."""
    nursery.start()
    client = httpx.Client(base_url=nursery.url, timeout=WAIT_S)
    sent = 0

    def send() -> httpx.Response:
        nonlocal sent
        sent += 1
        runs = [
            {"run_id": f"r{sent}-{i}", "agent_name": "planner", "metadata": {"text": "x" * 200}}
            for i in range(100)
        ]
        return client.post("/api/performance/runs", json=runs)

    assert send().status_code == 202
    resource.prlimit(nursery.pid, resource.RLIMIT_FSIZE, (64 * 1024, resource.RLIM_INFINITY))
    answers = [send() for _ in range(20)]
    refused = [answer for answer in answers if answer.status_code == 507]
    assert refused, {answer.status_code for answer in answers}
    assert int(refused[0].headers["retry-after"]) > 0
    assert refused[0].headers["content-type"] == "application/problem+json"
    assert client.get("/api/performance/health").status_code == 200
    assert client.get("/").status_code == 200
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert "disk" in ready.json()["reasons"][0]
    limits = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(nursery.pid, resource.RLIMIT_FSIZE, limits)
    deadline_s = monotonic_s() + 5.0
    while (last := send()).status_code != 202 and monotonic_s() < deadline_s:
        threading.Event().wait(0.1)
    assert last.status_code == 202, last.text
    assert client.get("/readyz").status_code == 200
    taken = 2 + sum(answer.status_code == 202 for answer in answers)
    names = _kept(nursery.url)
    assert len(names) == len(set(names)) == 100 * taken
    client.close()
    assert nursery.end(signal.SIGTERM) == 0

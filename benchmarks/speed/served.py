"""The real server as a process: start, idle footprint, durable ingest."""

from __future__ import annotations

import compileall
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import selfright

BATCH = 500
BATCHES = 60


def measure_server(folder: Path) -> list[tuple[str, float, str, float | None, bool]]:
    """Start ``selfright serve`` in ``folder``, measure it, stop it."""
    # As pip leaves what it installs; a checkout would compile 230 modules at its first start,
    # and at each one where PYTHONDONTWRITEBYTECODE is set.
    compileall.compile_dir(Path(selfright.__file__).parent, quiet=2)
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", "from selfright.cli import main; main()", "serve",
         "--port", str(port), "--data-dir", str(folder / "data")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _wait(url + "/healthz")
        first_s = time.perf_counter() - started
        time.sleep(2.0)
        cpu_before = _cpu_s(process.pid)
        time.sleep(5.0)
        idle_cpu = (_cpu_s(process.pid) - cpu_before) / 5.0 * 100
        idle_mb = _rss_mb(process.pid)
        per_s = _ingest(url)
        loaded_mb = _rss_mb(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
    return [
        ("start to first 200", first_s, "s", 1.5, True),
        ("idle memory", idle_mb, "MB", 120.0, True),
        ("idle CPU", idle_cpu, "%", 1.0, True),
        ("durable runs over REST, batches of 500, FULL", per_s, "/s", 5000.0, False),
        ("memory after that", loaded_mb, "MB", None, True),
    ]


def _ingest(url: str) -> float:
    bodies = []
    for batch in range(BATCHES):
        runs = [
            {
                "run_id": f"b{batch}-{i}", "agent_name": f"agent-{i % 50}", "status": "success",
                "duration_ms": 100.0 + i, "tokens_used": 100, "cost": 0.001, "task_type": "qa",
            }
            for i in range(BATCH)
        ]  # fmt: skip
        bodies.append(json.dumps(runs).encode())
    started = time.perf_counter()
    for body in bodies:
        request = urllib.request.Request(
            url + "/api/performance/runs", body, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            accepted = json.load(answer)["accepted"]
            assert accepted == BATCH, accepted
    return BATCH * BATCHES / (time.perf_counter() - started)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def _wait(url: str) -> None:
    until = time.perf_counter() + 20
    while time.perf_counter() < until:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.01)
    raise TimeoutError(url)


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

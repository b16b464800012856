"""The demo shows the whole loop, and says so only when the loop really closed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytestmark = [pytest.mark.acceptance, pytest.mark.slow]

SRC = Path(__file__).resolve().parents[2] / "src"
RUN = "import sys; sys.argv[0] = 'selfright'; from selfright.cli import main; main()"
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith("SELFRIGHT")}
ENVIRONMENT = CLEAN | {"PYTHONPATH": str(SRC), "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}


def _demo(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RUN, "demo", *words],
        cwd=cwd,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


def test_once_closes_the_loop(tmp_path: Path) -> None:
    """Drift, alert, retraining, gate, promotion and recovery in this order, with numbers."""
    done = _demo("--once", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["closed"] is True
    order = [
        told[f"{step}_at_task"] for step in ("drift", "noticed", "retrained", "served", "decided")
    ]
    assert order == sorted(order)
    retraining, gate = told["retraining"], told["gate"]
    assert (retraining["automatic"], retraining["promoted"]) == (True, True)
    assert retraining["agents"] == [told["sick_agent"]]
    assert gate["verdict"] == "promoted"
    assert gate["n"] >= 1
    # Promoted by evidence at its level; the interval of the mean may still be wide then.
    assert gate["evidence_better"] >= 1 / gate["level"]
    assert gate["gain"] > 0
    assert gate["gain_low"] <= gate["gain"] <= gate["gain_high"]
    right, share = told["fleet_right"], told["sick_agent_share"]
    assert right["during"] < right["after"] < right["before"]
    assert right["had_nothing_been_done"] < right["after"]
    assert share["before"] > 0.25
    assert share["after"] < 0.05
    assert list(tmp_path.iterdir()) == []
    print(f"demo --once: {told['tasks']} tasks in {told['duration_s']} s")


def test_once_fails_where_the_loop_does_not_close(tmp_path: Path) -> None:
    """With retraining out of reach the drift is told and nothing follows, so the exit code is 1."""
    done = _demo("--once", cwd=tmp_path, SELFRIGHT__THRESHOLDS__ACCURACY_MIN="0.05")
    assert done.returncode == 1, done.stdout
    assert "the loop did not close: not retrained, not promoted" in done.stdout
    assert "Traceback" not in done.stderr


def test_live_serves_traffic(tmp_path: Path) -> None:
    """The status page answers while tasks flow; a taken port is passed over; Ctrl-C ends it."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, "demo", "--port", str(taken)],
            cwd=tmp_path,
            env=ENVIRONMENT,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert process.stderr is not None
            assert f"port {taken} is taken" in process.stderr.readline()
            line = process.stderr.readline()
            url = next(word for word in line.split() if word.startswith("http://"))
            deadline = time.monotonic() + 60
            total = 0
            while total < 300 and time.monotonic() < deadline:
                with urllib.request.urlopen(
                    f"{url}/api/performance/system-metrics", timeout=30
                ) as answer:
                    total = json.load(answer)["total_tasks"]
                time.sleep(0.2)
            assert total >= 300
            with urllib.request.urlopen(f"{url}/api/performance/agents/metrics") as answer:
                assert len(json.load(answer)["items"]) == 24
            with urllib.request.urlopen(url) as answer:
                assert answer.headers["content-type"].startswith("text/html")
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
            assert process.returncode == 0, said
            assert "Traceback" not in said
        finally:
            process.kill()
            process.wait()

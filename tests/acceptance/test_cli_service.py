"""The command line beside a running service: it asks the one that owns the directory."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from selfright.cli.app import app

pytestmark = pytest.mark.acceptance

SRC = Path(__file__).resolve().parents[2] / "src"
RUN = "import sys; sys.argv[0] = 'selfright'; from selfright.cli import main; main()"
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith("SELFRIGHT")}
ENVIRONMENT = CLEAN | {"PYTHONPATH": str(SRC), "COLUMNS": "200", "PYTHONUNBUFFERED": "1"}


class Running:
    """A command that runs until it is told to stop, and what it says on standard error."""

    def __init__(self, *words: str, cwd: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, *words],
            cwd=cwd,
            env=ENVIRONMENT,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )

    def until(self, word: str) -> str:
        """Return the first line that holds ``word``."""
        assert self.process.stderr is not None
        seen = []
        for line in self.process.stderr:
            seen.append(line)
            if word in line:
                return line
        raise AssertionError(f"ended without saying {word!r}:\n{''.join(seen)}")

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """Send a signal; return the exit code and what was said meanwhile."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=30)
        return self.process.returncode, said


def answer(*words: str | Path, cwd: Path, code: int = 0) -> Any:
    """Return the JSON that a command prints; in this process, for a new one takes a second."""
    with contextlib.chdir(cwd):
        done = CliRunner().invoke(app, [*map(str, words), "--json"])
    assert done.exit_code == code, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no setting of this machine count."""
    for name in [name for name in os.environ if name.startswith("SELFRIGHT")]:
        monkeypatch.delenv(name)


def _url(line: str) -> str:
    return next(word for word in line.split() if word.startswith("http://")).rstrip(";")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    """Serve an empty directory on a free port."""
    running = Running("serve", "--port", "0", cwd=tmp_path)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.end(signal.SIGKILL)


def _rows(path: Path, count: int = 300) -> Path:
    """Write a fleet whose coder is right but slow: that warns and retrains nothing."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["run_id", "agent_name", "status", "duration_ms", "cost", "accuracy_score"])
        for index in range(count):
            name, duration_ms = ("coder", 9000.5) if index % 2 else ("planner", 100.5)
            writer.writerow([f"r{index}", name, "success", duration_ms, 0.02, 1])
    return path


def test_a_fleet_over_its_service(tmp_path: Path, service: Running) -> None:
    """Every command finds the service by the directory, and sees what it holds."""
    url = _url(service.until("serving"))
    # Runs without a time happened when they arrive: now.
    rows = _rows(tmp_path / "rows.csv")
    with rows.open() as file:
        runs = [
            {
                "run_id": row["run_id"],
                "agent_name": row["agent_name"],
                "status": row["status"],
                "duration_ms": float(row["duration_ms"]),
            }
            for row in csv.DictReader(file)
        ]
    with rows.open() as file:
        outcomes = [
            {
                "run_id": row["run_id"],
                "agent_name": row["agent_name"],
                "accuracy_score": float(row["accuracy_score"]),
            }
            for row in csv.DictReader(file)
        ]
    for path, body in (("runs", runs), ("accuracy", outcomes)):
        request = urllib.request.Request(
            f"{url}/api/performance/{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as done:
            assert json.load(done)["accepted"] == 300

    report = answer("report", cwd=tmp_path)
    assert report["system_metrics"]["total_tasks"] == 300
    assert {item["agent_name"] for item in answer("agents", cwd=tmp_path)} == {"planner", "coder"}
    coder = answer("agents", "show", "coder", cwd=tmp_path)
    assert coder["metrics"]["avg_accuracy"] == 1.0
    alert = answer("alerts", "--agent", "coder", "--state", "firing", cwd=tmp_path)[0]
    assert answer("ack", alert["alert_id"], cwd=tmp_path)["state"] == "acknowledged"
    assert answer("alerts", "--why", alert["alert_id"], cwd=tmp_path)["why"]
    assert answer("check", "--max-p95-ms", "5000", cwd=tmp_path, code=3)["ok"] is False
    assert answer("check", "--min-success", "0.9", "--url", url, cwd=tmp_path)["ok"] is True
    retrained = answer("retrain", "agent_selection", cwd=tmp_path)
    assert retrained["success"] is True
    versions = answer("models", "agent_selection", cwd=tmp_path)
    assert retrained["version"] in [item["version"] for item in versions]
    served = answer(
        "rollback", "agent_selection", "--version", str(retrained["version"]), cwd=tmp_path
    )
    assert served["version"] == retrained["version"]
    models = {item["model_type"]: item for item in answer("models", cwd=tmp_path)}
    assert models["agent_selection"]["version"] == retrained["version"]
    log = answer("models", "agent_selection", "--log", cwd=tmp_path)
    assert log[-1]["version"] == retrained["version"]
    (then,) = answer("models", "agent_selection", "--at", log[-1]["at"], cwd=tmp_path)
    assert then["version"] == retrained["version"]
    number = str(retrained["version"])
    found = answer("models", "agent_selection", "--diff", number, number, cwd=tmp_path)
    assert found["unit"] == "reward"
    checks = {item["check"]: item for item in answer("doctor", cwd=tmp_path)["checks"]}
    assert url in checks["owner"]["found"]

    code, said = service.end()
    assert code == 0, said
    assert "Traceback" not in said
    # Nobody serves any more: the same commands open the directory themselves.
    assert not (tmp_path / "selfright-data" / "service.json").exists()
    assert len(answer("agents", cwd=tmp_path)) == 2


def test_importing_into_a_service(tmp_path: Path, service: Running) -> None:
    """A file reaches the service that owns the directory; twice counts once."""
    service.until("serving")
    rows = _rows(tmp_path / "rows.csv")
    assert answer("import", rows, cwd=tmp_path) == {
        "accepted": 600,
        "duplicates": 0,
        "rejected": 0,
    }
    assert answer("import", rows, cwd=tmp_path)["duplicates"] == 600
    code, said = service.end(signal.SIGTERM)
    assert code == 0, said


def test_a_directory_has_one_owner(tmp_path: Path, service: Running) -> None:
    """A second service on the same directory is refused, with the pid of the first."""
    service.until("serving")
    second = Running("serve", "--port", "0", cwd=tmp_path)
    line = second.until("error")
    _, said = second.process.communicate(timeout=30)
    assert second.process.returncode == 1
    assert f"process {service.process.pid}" in line
    assert "Traceback" not in said


def test_a_killed_service_leaves_a_usable_directory(tmp_path: Path, service: Running) -> None:
    """After kill -9 the address it left behind misleads nobody."""
    service.until("serving")
    rows = _rows(tmp_path / "rows.csv")
    assert answer("import", rows, cwd=tmp_path)["accepted"] == 600
    service.end(signal.SIGKILL)
    assert (tmp_path / "selfright-data" / "service.json").exists()
    assert answer("import", rows, cwd=tmp_path)["duplicates"] == 600
    assert answer("doctor", cwd=tmp_path)["ok"] is True


def test_the_service_tells_what_it_does(tmp_path: Path, service: Running) -> None:
    """Retrainings appear in the log of `serve` as they happen."""
    service.until("serving")
    answer("import", _rows(tmp_path / "rows.csv"), cwd=tmp_path)
    made = answer("retrain", cwd=tmp_path)
    code, said = service.end()
    assert code == 0
    assert f"retraining {made['retrain_id']} of agent_selection is pending" in said


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("report", "--window", "-5"), 2, "time_window_minutes='-5.0': input should be greater"),
        (("report", "--window", "nan"), 2, "time_window_minutes='nan'"),
        (("alerts", "--level", "bad"), 2, "level='bad'"),
        (("alerts", "--limit", "5000"), 2, "--limit"),
        (("agents", "retire", "nobody"), 1, "no agent 'nobody'"),
        (("agents", "delete", "nobody"), 1, "no agent 'nobody'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_a_mistake_is_the_same_over_a_service(
    serving: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    """The exit code and the words are those of a directory that nobody serves."""
    with contextlib.chdir(serving):
        done = CliRunner().invoke(app, list(words))
    assert done.exit_code == code, done.stderr
    assert said in " ".join(done.stderr.split())


def test_a_second_retraining_is_refused_by_its_id(serving: Path) -> None:
    """As a conflict, and with the id of the one under way."""
    first = answer("retrain", "latency_prediction", cwd=serving)
    with contextlib.chdir(serving):
        done = CliRunner().invoke(app, ["retrain", "latency_prediction"])
    assert done.exit_code == 1
    assert f"{first['retrain_id']} is under way" in done.stderr


def test_an_agent_is_taken_out_over_the_service(serving: Path) -> None:
    """Retired and hidden, then deleted and gone."""
    assert answer("agents", "retire", "team/a b", cwd=serving) == {"retired": "team/a b"}
    names = lambda *more: {item["agent_name"] for item in answer("agents", *more, cwd=serving)}
    assert names() == {"planner", "coder"}
    assert names("--all") == {"planner", "coder", "team/a b"}
    assert answer("agents", "delete", "team/a b", cwd=serving) == {"deleted": "team/a b"}
    assert names("--all") == {"planner", "coder"}


def test_the_page_comes_from_the_service(serving: Path) -> None:
    """The same file as from the directory."""
    with contextlib.chdir(serving):
        done = CliRunner().invoke(app, ["report", "--format", "html"])
    assert done.exit_code == 0, done.stderr
    assert "<bdi>coder</bdi>" in done.stdout


def test_a_large_file_is_sent_in_pieces_that_the_service_takes(serving: Path) -> None:
    """More than a body may have, in rows that carry much."""
    path = serving / "large.ndjson"
    row = {"agent_name": "planner", "status": "success", "context": {"text": "x" * 4000}}
    path.write_text("".join(json.dumps({"run_id": f"l{i}", **row}) + "\n" for i in range(2500)))
    assert path.stat().st_size > 8 * 1024 * 1024
    assert answer("import", path, cwd=serving)["accepted"] == 2500


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Serve a small fleet and give its folder; tests leave planner and coder in it."""
    folder = tmp_path_factory.mktemp("serving")
    running = Running("serve", "--port", "0", cwd=folder)
    try:
        running.until("serving")
        rows = _rows(folder / "rows.csv", 60)
        with rows.open("a") as file:
            file.write("x1,team/a b,success,5,0.1,1\n")
        assert answer("import", rows, cwd=folder)["accepted"] == 122
        yield folder
    finally:
        running.end(signal.SIGKILL)

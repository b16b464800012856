"""The commands that need no service: a fleet's whole life from files, in a directory."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from selfright.cli.app import app

pytestmark = pytest.mark.acceptance

SRC = Path(__file__).resolve().parents[2] / "src"
RUN = "import sys; sys.argv[0] = 'selfright'; from selfright.cli import main; main()"
PROMISED_KEYS = [
    "events",
    "runs",
    "outcomes",
    "agents",
    "alerts",
    "retrainings",
    "suppressed",
    "system_metrics",
    "agent_metrics",
    "health_score",
    "duration_s",
]
ALERT_KEYS = {
    "alert_id",
    "rule",
    "metric_type",
    "agent_name",
    "level",
    "certain",
    "at_event",
    "at",
    "value",
    "threshold",
    "change_point_event",
    "resolved_at_event",
}
RETRAINING_KEYS = {
    "at_event",
    "at",
    "model_type",
    "retrain_type",
    "trigger",
    "agents",
    "events_processed",
    "gate",
    "promoted",
    "version",
}


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no setting of this machine count."""
    for name in [name for name in os.environ if name.startswith("SELFRIGHT")]:
        monkeypatch.delenv(name)


def selfright(*words: str | Path, cwd: Path, **environment: str) -> Any:
    """Run a command in ``cwd``, in this process: a new one takes a second to start."""
    with contextlib.chdir(cwd):
        return CliRunner().invoke(app, [*map(str, words)], env=environment | {"COLUMNS": "200"})


def answer(*words: str | Path, cwd: Path, code: int = 0) -> Any:
    """Return the JSON that a command prints."""
    done = selfright(*words, "--json", cwd=cwd)
    assert done.exit_code == code, done.stderr
    return json.loads(done.stdout)


def elsewhere(*words: str | Path, cwd: Path) -> Any:
    """Return the JSON that a command prints which runs in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, *map(str, words), "--json"],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _write(path: Path, before: int = 300, after: int = 300) -> Path:
    """Write a fleet of two agents; the first falls from 95 % to 40 % half-way."""
    rng = np.random.default_rng(7)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["agent_name", "status", "duration_ms", "reward", "cost", "task_type"])
        for index in range(2 * (before + after)):
            agent = ("planner", "coder")[index % 2]
            falls = agent == "planner" and index >= 2 * before
            right = rng.random() < (0.4 if falls else 0.95 if agent == "planner" else 0.85)
            writer.writerow(
                [agent, "success", int(rng.integers(50, 900)), int(right), 0.01, "plan"]
            )
    return path


@pytest.fixture(scope="module")
def falling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file in which an agent tips over."""
    return _write(tmp_path_factory.mktemp("data") / "falling.csv")


def test_replay_prints_exactly_the_promised_object(tmp_path: Path, falling: Path) -> None:
    """The keys of the public contract, in their order; the drift is found and retrained."""
    found = answer("replay", falling, "--map", "accuracy_score=reward", cwd=tmp_path)
    assert list(found) == PROMISED_KEYS
    assert (found["runs"], found["outcomes"], found["agents"]) == (1200, 1200, 2)
    mine = {item["rule"]: item for item in found["alerts"] if item["agent_name"] == "planner"}
    assert all(set(alert) >= ALERT_KEYS for alert in mine.values())
    alert = mine["accuracy_min"]
    assert (alert["level"], alert["certain"]) == ("critical", True)
    assert 600 < alert["at_event"] < 1200
    assert abs(alert["change_point_event"] - 600) <= 40
    retraining = found["retrainings"][0]
    assert set(retraining) >= RETRAINING_KEYS
    assert 600 < retraining["at_event"] < 1200
    assert retraining["agents"] == ["planner"]
    assert any(item["promoted"] for item in found["retrainings"])


def test_replay_gives_the_same_bytes(tmp_path: Path, falling: Path) -> None:
    """The same file and settings give the same answer, the duration aside."""
    words = ("replay", falling, "--map", "accuracy_score=reward", "--shuffle-within", "agent_name")
    first, other = (answer(*words, "--seed", seed, cwd=tmp_path) for seed in ("3", "4"))
    again = elsewhere(*words, "--seed", "3", cwd=tmp_path)
    for result in (first, again, other):
        del result["duration_s"]
    assert first == again
    assert first != other


def test_replay_keeps_nothing(tmp_path: Path, falling: Path) -> None:
    """A replay leaves no file behind."""
    assert selfright("replay", falling, cwd=tmp_path).exit_code == 0
    assert list(tmp_path.iterdir()) == []


def test_replay_says_what_it_filled_in(tmp_path: Path, falling: Path) -> None:
    """What the file lacks is filled in and counted, on standard error."""
    done = selfright("replay", falling, cwd=tmp_path)
    assert "run_id in 1,200 rows" in done.stderr
    assert "timestamp in 1,200 rows" in done.stderr
    assert "success rate" in done.stdout


def test_thresholds_change_what_would_have_happened(tmp_path: Path, falling: Path) -> None:
    """Lowered far enough, that it fell is told and nothing retrained; --set reaches as far."""
    words = ("replay", falling, "--map", "accuracy_score=reward")
    calm = answer(*words, "--thresholds", "accuracy_min=0.1", cwd=tmp_path)
    assert {(alert["rule"], alert["level"]) for alert in calm["alerts"]} == {
        ("accuracy_drift", "warning")
    }
    assert calm["retrainings"] == []
    soon, late = (
        answer(*words, "--set", f"detect.run_length={length}", cwd=tmp_path)
        for length in ("1e3", "1e15")
    )
    first = [
        min(alert["at_event"] for alert in found["alerts"] if alert["certain"])
        for found in (soon, late)
    ]
    assert first[0] < first[1]


def test_import_twice_counts_once(tmp_path: Path, falling: Path) -> None:
    """The file's runs get ids of their own, so that a second import adds nothing."""
    words = ("import", falling, "--map", "accuracy_score=reward", "--data-dir", "fleet")
    assert answer(*words, cwd=tmp_path) == {"accepted": 2400, "duplicates": 0, "rejected": 0}
    assert answer(*words, cwd=tmp_path) == {"accepted": 0, "duplicates": 2400, "rejected": 0}


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """Return a directory with an imported fleet whose figures are of this very hour."""
    path = tmp_path / "now.ndjson"
    now_s = time.time()
    rng = np.random.default_rng(5)
    with path.open("w") as file:
        for index in range(400):
            agent = ("planner", "coder")[index % 2]
            right = bool(rng.random() < (0.5 if agent == "coder" else 0.95))
            row = {
                "run_id": f"r{index}",
                "agent_name": agent,
                "status": "success" if right else "failure",
                "duration_ms": 100 + index,
                "accuracy_score": float(right),
                "timestamp": now_s - 1200 + index,
            }
            file.write(json.dumps(row) + "\n")
    assert selfright("import", path, cwd=tmp_path).exit_code == 0
    return tmp_path


def test_reading_a_directory(fleet: Path) -> None:
    """Report, agents and alerts show what was imported; each for people and for programs."""
    report = answer("report", cwd=fleet)
    assert report["system_metrics"]["total_tasks"] == 400
    assert set(report) >= {
        "generated_at",
        "time_window_minutes",
        "system_metrics",
        "health_score",
        "agent_metrics",
        "recent_alerts",
        "recommendations",
        "trends",
        "retrainings",
    }
    agents = {item["agent_name"]: item for item in answer("agents", cwd=fleet)}
    assert set(agents) == {"planner", "coder"}
    one = answer("agents", "show", "coder", cwd=fleet)
    assert one["metrics"]["total_tasks"] == 200
    alerts = answer("alerts", "--agent", "coder", cwd=fleet)
    assert {item["rule"] for item in alerts} >= {"accuracy_min", "success_rate_min"}
    why = answer("alerts", "--why", alerts[0]["alert_id"][:12], cwd=fleet)
    assert why["alert"]["alert_id"] == alerts[0]["alert_id"]
    assert why["why"]
    for words in (("report",), ("agents",), ("agents", "show", "coder"), ("alerts",), ("models",)):
        text = selfright(*words, cwd=fleet)
        assert text.exit_code == 0, text.stderr
        assert "coder" in text.stdout or words == ("models",)


def test_the_report_is_a_file_with_charts(fleet: Path) -> None:
    """On standard output for a redirection, or written by --output; JSON likewise."""
    printed = selfright("report", "--format", "html", cwd=fleet)
    assert printed.exit_code == 0, printed.stderr
    assert printed.stdout.startswith("<!doctype html>")
    assert printed.stdout.endswith("</html>\n")
    written = selfright("report", "--format", "html", "--output", "report.html", cwd=fleet)
    assert (written.exit_code, written.stdout) == (0, "")
    page = (fleet / "report.html").read_text(encoding="utf-8")
    assert page.count('class="chart"') == 3
    assert "<bdi>coder</bdi>" in page
    assert selfright("report", "--json", "--output", "r.json", cwd=fleet).exit_code == 0
    assert json.loads((fleet / "r.json").read_text())["health_score"] is not None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--format", "pdf"), "text, json or html"),
        (("--output", "x.html"), "--format html"),
        (("--format", "html", "--output", "no/folder/x.html"), "cannot be written"),
    ],
)
def test_a_report_that_cannot_be_is_refused(fleet: Path, words: tuple[str, ...], said: str) -> None:
    """Exit code 2, and one line that says what to do."""
    done = selfright("report", *words, cwd=fleet)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())


def test_acknowledging_lasts(fleet: Path) -> None:
    """An alert acknowledged by one command is acknowledged for the next."""
    alert = answer("alerts", "--agent", "coder", "--state", "firing", cwd=fleet)[0]
    assert answer("ack", alert["alert_id"], cwd=fleet)["state"] == "acknowledged"
    again = elsewhere("alerts", "--state", "acknowledged", cwd=fleet)
    assert [item["alert_id"] for item in again] == [alert["alert_id"]]


def test_check_is_a_gate(fleet: Path) -> None:
    """Exit code 0 within the limits, 3 beyond them or where nothing is known."""
    assert answer("check", "--min-success", "0.6", cwd=fleet)["ok"] is True
    failed = answer("check", "--min-success", "0.8", "--min-runs", "10", cwd=fleet, code=3)
    assert [item["ok"] for item in failed["checks"]] == [False, True]
    good = answer("check", "--agent", "planner", "--min-success", "0.9", cwd=fleet)
    assert good["ok"] is True
    unknown = answer(
        "check", "--agent", "planner", "--min-accuracy", "0.1", "--window", "1", cwd=fleet, code=3
    )
    assert unknown["checks"][0]["value"] is None


def test_a_model_is_retrained_and_rolled_back(fleet: Path) -> None:
    """Versions made by hand are listed, last, and stay after the process that made them."""
    first = answer("retrain", "--reason", "because", cwd=fleet)
    assert first["success"] is True
    assert first["reason"] == "because"
    assert (first["retrain_type"], first["state"]) == ("incremental", "pending")
    refused = answer("retrain", "--full", cwd=fleet, code=1)
    assert "under way or on trial" in refused["error"]
    quality = answer("retrain", "latency-prediction", "--full", cwd=fleet)
    assert (quality["model_type"], quality["retrain_type"]) == ("latency_prediction", "full")
    versions = answer("models", "agent_selection", cwd=fleet)
    assert [item["version"] for item in versions] == [first["version"]]
    served = answer("rollback", "--version", str(first["version"]), cwd=fleet)
    assert served["version"] == first["version"]
    models = {item["model_type"]: item for item in elsewhere("models", cwd=fleet)}
    assert models["agent_selection"]["version"] == first["version"]
    assert len(models) == 5
    log = answer("models", "agent_selection", "--log", cwd=fleet)
    assert [(item["event"], item["reason"]) for item in log] == [
        ("promoted", "rollback"),
    ]
    (then,) = answer("models", "agent_selection", "--at", log[0]["at"], cwd=fleet)
    assert (then["version"], then["reason"]) == (first["version"], "rollback")
    before = answer("models", "--at", "2001-01-01", cwd=fleet)
    assert {row["version"] for row in before} == {None}
    number = str(first["version"])
    same = answer("models", "agent_selection", "--diff", number, number, cwd=fleet)
    assert {each["change"] for each in same["differences"]} == {0.0}
    for words in (["--log"], ["--at", "2001-01-01"], ["--diff", number, number], []):
        assert selfright("models", "agent_selection", *words, cwd=fleet).exit_code == 0


def test_a_retired_agent_is_hidden_and_its_figures_stay(fleet: Path) -> None:
    """`agents retire` resolves its alerts; lists leave it out unless asked for all."""
    assert answer("agents", "retire", "coder", cwd=fleet) == {"retired": "coder"}
    assert answer("alerts", "--agent", "coder", "--state", "firing", cwd=fleet) == []
    assert [item["agent_name"] for item in answer("agents", cwd=fleet)] == ["planner"]
    everyone = answer("agents", "--all", cwd=fleet)
    assert {item["agent_name"] for item in everyone} == {"coder", "planner"}
    assert answer("agents", "show", "coder", cwd=fleet)["metrics"]["total_tasks"] > 0
    assert list(answer("report", cwd=fleet)["agent_metrics"]) == ["planner"]


def test_a_deleted_agent_is_gone(fleet: Path) -> None:
    """After `agents delete` it was never there, also for the process after that."""
    assert answer("agents", "delete", "coder", cwd=fleet) == {"deleted": "coder"}
    assert [item["agent_name"] for item in elsewhere("agents", "--all", cwd=fleet)] == ["planner"]
    gone = selfright("agents", "show", "coder", cwd=fleet)
    assert gone.exit_code == 1
    assert selfright("agents", "delete", "coder", cwd=fleet).exit_code == 1
    firing = answer("alerts", "--state", "firing", cwd=fleet)
    assert "coder" not in {item["agent_name"] for item in firing}


def test_doctor_finds_a_sound_directory_sound(fleet: Path) -> None:
    """Every line is ok or a warning with its remedy; exit code 0."""
    found = answer("doctor", cwd=fleet)
    assert found["ok"] is True
    checks = {item["check"]: item for item in found["checks"]}
    assert set(checks) >= {
        "python",
        "packages",
        "settings",
        "data directory",
        "disk",
        "port",
        "log",
    }
    assert re.fullmatch(r"8\d\d events, every one readable", checks["log"]["found"])
    assert all(item["remedy"] for item in found["checks"] if item["verdict"] != "ok")


def test_doctor_finds_a_damaged_log(fleet: Path) -> None:
    """A flipped byte in the log is found and named; exit code 3."""
    path = fleet / "selfright-data" / "events.db"
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 3, 2 * len(data) // 3, 64):
        data[at] ^= 0xFF
    path.write_bytes(data)
    found = answer("doctor", cwd=fleet, code=3)
    (line,) = (item for item in found["checks"] if item["verdict"] == "fail")
    assert line["check"] == "log"
    assert line["remedy"]


def test_settings_show_value_and_origin(tmp_path: Path) -> None:
    """Flag beats environment beats file beats default; secrets are masked."""
    (tmp_path / "selfright.toml").write_text(
        "[trigger]\ncooldown_s = 60\nnew_outcomes = 50\n"
        "[notify]\nwebhook_url = 'https://user:geheim@example.org/hook'\n"
    )
    done = selfright(
        "config",
        "show",
        "--data-dir",
        "elsewhere",
        "--json",
        cwd=tmp_path,
        SELFRIGHT__TRIGGER__NEW_OUTCOMES="70",
    )
    found = json.loads(done.stdout)
    assert found["trigger.cooldown_s"]["value"] == 60.0
    assert found["trigger.cooldown_s"]["origin"].endswith("selfright.toml")
    assert found["trigger.new_outcomes"]["value"] == 70
    assert "SELFRIGHT__TRIGGER__NEW_OUTCOMES" in found["trigger.new_outcomes"]["origin"]
    assert (found["server.data_dir"]["value"], found["server.data_dir"]["origin"]) == (
        "elsewhere",
        "flag",
    )
    assert found["gate.level"]["origin"] == "default"
    assert "geheim" not in done.stdout
    text = selfright("config", "show", "notify", cwd=tmp_path)
    assert "geheim" not in text.stdout
    assert "trigger" not in text.stdout


def test_backtest_prints_the_promised_keys(tmp_path: Path) -> None:
    """On a small matrix with one clearly best agent the selection finds it."""
    rng = np.random.default_rng(2)
    path = tmp_path / "matrix.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["agent_name", "task_id", "task_type", "reward", "cost_usd"])
        for agent, share in (("good", 0.9), ("fair", 0.6), ("poor", 0.3)):
            for task in range(200):
                writer.writerow(
                    [agent, task, f"t{task % 2}", int(rng.random() < share), share / 100]
                )
    found = answer(
        "backtest", path, "--matrix", "--decisions", "1500", "--seeds", "2", cwd=tmp_path
    )
    assert set(found) >= {
        "whole",
        "last_quarter",
        "random",
        "best_single",
        "best_per_type",
        "oracle",
        "cost",
    }
    assert found["best_agent"] == "good"
    assert found["last_quarter"] > found["best_single"] - 0.03
    assert found["random"] < found["whole"] < found["oracle"]
    assert found["cost"]["best_single"] == pytest.approx(0.009)
    text = selfright("backtest", path, "--matrix", "--seeds", "1", cwd=tmp_path)
    assert "best single agent (good)" in text.stdout
    dear = answer("backtest", path, "--matrix", "--w-cost", "200", "--seeds", "1", cwd=tmp_path)
    assert dear["best_agent"] == "poor"


def test_backtest_chooses_by_features_that_matter(tmp_path: Path) -> None:
    """Long tasks are for one agent and short ones for the other: a choice by type cannot tell."""
    rows, known = [], []
    for task in range(200):
        length = task % 20
        known += [f"{task},length,{length}", f"{task},noise,{task * 7919 % 13}"]
        rows += [f"a,{task},t,{int(length < 10)}", f"b,{task},t,{int(length >= 10)}"]
    (tmp_path / "m.csv").write_text("\n".join(["agent_name,task_id,task_type,reward", *rows]))
    (tmp_path / "f.csv").write_text("\n".join(["task_id,feature,value", *known]))
    words = ("backtest", "m.csv", "--matrix", "--decisions", "2000", "--seeds", "1")
    blind, seeing = (
        answer(*words, cwd=tmp_path),
        answer(*words, "--features", "f.csv", cwd=tmp_path),
    )
    assert seeing["features"] == {"checked": ["length", "noise"], "used": True}
    assert blind["last_quarter"] < 0.7
    assert seeing["last_quarter"] > 0.9
    text = selfright(*words, "--features", "f.csv", cwd=tmp_path)
    assert "2 features of tasks were given to the models" in text.stdout
    assert "uses those that prove to matter" in " ".join(text.stderr.split())
    assert "features" not in blind

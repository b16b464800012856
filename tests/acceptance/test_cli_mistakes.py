"""What newcomers do wrong is answered in one line that names the remedy, never a traceback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from selfright.cli.app import app

pytestmark = pytest.mark.acceptance

SRC = Path(__file__).resolve().parents[2] / "src"
RUN = "import sys; sys.argv[0] = 'selfright'; from selfright.cli import main; main()"
ROWS = """\
run_id,agent_name,status,duration_ms,score
r1,planner,success,120,1.0
r2,planner,failure,340,0.0
"""


def selfright(
    *words: str | Path, cwd: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder of its own; nothing of this machine's settings counts."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SELFRIGHT")}
    return subprocess.run(
        [sys.executable, "-c", RUN, *map(str, words)],
        cwd=cwd,
        env=clean | {"PYTHONPATH": str(SRC), "COLUMNS": "200"} | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Return a small file of runs; an empty one lies beside it."""
    path = tmp_path / "runs.csv"
    path.write_text(ROWS)
    (tmp_path / "empty.parquet").touch()
    return path


@pytest.fixture
def taken_port() -> Iterator[int]:
    """Give a port that somebody else listens on."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def _one_line(code: int, stderr: str, wanted: int, *said: str) -> None:
    assert code == wanted, stderr
    assert "Traceback" not in stderr
    lines = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, stderr
    for words in said:
        assert words in lines[0]


def _fails(done: subprocess.CompletedProcess[str], wanted: int, *said: str) -> None:
    _one_line(done.returncode, done.stderr, wanted, *said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("replay", "missing.csv"), ("missing.csv", "does not exist")),
        (("import", "missing.csv"), ("missing.csv", "does not exist")),
        (("replay", "empty.parquet"), ("empty.parquet", "holds no rows", "at least one")),
        (("replay", "runs.csv", "--map", "accuracy_score"), ("accuracy_score", "NEW=OLD")),
        (("replay", "runs.csv", "--map", "accuracy=score"), ("did you mean accuracy_score",)),
        (("replay", "runs.csv", "--map", "accuracy_score=scor"), ("did you mean score",)),
        (("replay", "runs.csv", "--order-by", "tiem"), ("tiem", "no such column")),
        (("replay", "runs.csv", "--where", "colour = 'red'"), ("where",)),
        (("replay", "runs.csv", "--where", "status = 'x'"), ("selects none of the 2 rows",)),
        (("replay", "runs.csv", "--clock", "0"), ("clock", "above 0")),
        (("replay", "runs.csv", "--speed", "slow"), ("--speed", "must be max")),
        (("replay", "runs.csv", "--thresholds", "acuracy_min=1"), ("did you mean accuracy_min",)),
        (("replay", "runs.csv", "--thresholds", "accuracy_min=high"), ("accuracy_min", "high")),
        (("replay", "runs.csv", "--thresholds", "accuracy_min"), ("name=value",)),
        (
            ("replay", "runs.csv", "--set", "trigger.cooldwn_s=5"),
            ("did you mean trigger.cooldown_s",),
        ),
        (("replay", "runs.csv", "--set", "nonsense=1"), ("nonsense", "selfright config show")),
        (("backtest", "runs.csv"), ("--matrix",)),
        (("backtest", "runs.csv", "--grid", "nonsense=1"), ("nonsense", "selfright config show")),
        (("backtest", "runs.csv", "--matrix"), ("no column task_id",)),
        (("retrain", "agents"), ("holds no fleet yet",)),
        (("models", "--diff", "1", "2"), ("--diff", "selfright models MODEL")),
        (("models", "--log"), ("--log", "selfright models MODEL")),
        (("models", "routing", "--log", "--at", "0"), ("one of them at a time",)),
        (("report",), ("holds no fleet yet", "--data-dir")),
        (("alerts",), ("holds no fleet yet",)),
        (("check",), ("holds no fleet yet",)),
        (("report", "--format", "pdf"), ("text, json or html",)),
        (("check", "--min-success", "80"), ("success_rate", "between 0 and 1")),
        (("check", "--max-error", "nan"), ("error_rate", "between 0 and 1")),
        (("check", "--min-health", "101"), ("health_score", "between 0 and 100")),
        (("check", "--max-p95-ms", "-1"), ("p95_latency_ms", "0 or more")),
        (("report", "--config", "missing.toml"), ("missing.toml", "cannot be read")),
        (("config", "show", "triger"), ("did you mean trigger",)),
        (("serve", "--host", "0.0.0.0"), ("server.host", "reachable from other machines")),
        (("serve", "--host", "a..b"), ("server.host", "a..b", "write 127.0.0.1")),
        (("serve", "--port", "99999"), ("server.port", "65535")),
        (("report", "--url", "localhost:8000"), ("--url", "http://127.0.0.1:8000")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_a_mistake_on_the_command_line_is_explained(
    rows: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: tuple[str, ...]
) -> None:
    """Exit code 2 and one line: what is wrong, its value, and what to write instead."""
    # In this process: starting thirty others would take a minute.
    monkeypatch.chdir(rows.parent)
    for name in [name for name in os.environ if name.startswith("SELFRIGHT")]:
        monkeypatch.delenv(name)
    done = CliRunner().invoke(app, list(words))
    _one_line(done.exit_code, done.stderr, 2, *said)


def test_the_real_command_explains_itself_too(tmp_path: Path) -> None:
    """The same from outside: nothing on standard output, one line on the other."""
    done = selfright("replay", "missing.csv", cwd=tmp_path)
    _fails(done, 2, "missing.csv", "does not exist")
    assert done.stdout == ""


def test_a_misspelt_setting_in_the_file_is_named(tmp_path: Path) -> None:
    """The file, the key and the nearest setting stand in the message."""
    (tmp_path / "selfright.toml").write_text("[trigger]\ncooldown = 5\n")
    done = selfright("config", "show", cwd=tmp_path)
    _fails(done, 2, "trigger.cooldown", "did you mean trigger.cooldown_s", "selfright.toml")


def test_a_wrong_environment_variable_is_named(tmp_path: Path) -> None:
    """The variable that is at fault stands in the message."""
    done = selfright("config", "show", cwd=tmp_path, SELFRIGHT__SERVER__PORT="many")
    _fails(done, 2, "SELFRIGHT__SERVER__PORT", "many")


def test_a_taken_port_is_explained(tmp_path: Path, taken_port: int) -> None:
    """`serve` does not start and says which port is at fault and what to do."""
    done = selfright("serve", "--port", str(taken_port), cwd=tmp_path)
    _fails(done, 2, str(taken_port), "choose another")


def test_a_service_that_is_not_there_is_explained(tmp_path: Path, taken_port: int) -> None:
    """A wrong --url is a failure of the other side: exit code 1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    done = selfright("report", "--url", f"http://127.0.0.1:{free}", cwd=tmp_path)
    _fails(done, 1, str(free), "no answer")


def test_an_unknown_name_is_no_success(rows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for what does not exist fails and names it, with the nearest that does."""
    monkeypatch.chdir(rows.parent)
    assert CliRunner().invoke(app, ["import", str(rows)]).exit_code == 0
    for words, said in (
        ("ack alert-1", "no alert 'alert-1'; `selfright alerts` lists them"),
        ("alerts --why alert-1", "no alert 'alert-1'; `selfright alerts` lists them"),
        ("alerts --agent planer", "did you mean planner"),
        ("agents show planer", "did you mean planner"),
        ("agents retire planer", "planer"),
        ("rollback", "agent_selection"),
        ("rollback --version 7", "no version 7; agent_selection has none"),
    ):
        done = CliRunner().invoke(app, words.split())
        _one_line(done.exit_code, done.stderr, 1, said)


def test_an_unknown_model_version_or_time_is_explained(
    rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which models, versions and times there are, the fleet knows: it is asked."""
    monkeypatch.chdir(rows.parent)
    assert CliRunner().invoke(app, ["import", str(rows)]).exit_code == 0
    for words, code, said in (
        ("models agent_selectoin", 2, "did you mean agent_selection"),
        ("rollback selection", 2, "must be one of"),
        ("models routing --diff 1 2", 1, "no version 1; routing has none"),
        ("models --at yesterday", 2, "must be a datetime, RFC 3339 text"),
        ("models --at 2200-01-01", 2, "still to come"),
    ):
        done = CliRunner().invoke(app, words.split())
        _one_line(done.exit_code, done.stderr, code, said)


def test_the_beginning_of_several_ids_is_not_called_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What begins the ids of several alerts names none of them: write more of it."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "runs.csv"
    lines = [f"r{i},solver,failure,340,0.0\n" for i in range(60)]
    path.write_text(ROWS.splitlines(keepends=True)[0] + "".join(lines))
    words = ["import", "runs.csv", "--map", "accuracy_score=score"]
    assert CliRunner().invoke(app, words).exit_code == 0
    done = CliRunner().invoke(app, ["alerts", "--why", "alert-"])
    _one_line(done.exit_code, done.stderr, 2, "alert-", "write more of it")


def test_debug_shows_where_it_came_from(tmp_path: Path) -> None:
    """Who asks for the traceback gets it, before or behind the command."""
    for words in (("--debug", "replay", "no.csv"), ("replay", "no.csv", "--debug")):
        done = selfright(*words, cwd=tmp_path)
        assert done.returncode != 0
        assert "Traceback" in done.stderr
        assert "ConfigError" in done.stderr


def test_broken_rows_are_refused_and_the_rest_counts(tmp_path: Path) -> None:
    """NaN, negative, unknown words: refused by their row, nothing else is lost."""
    path = tmp_path / "runs.ndjson"
    good = {"run_id": "a", "agent_name": "planner", "status": "success", "duration_ms": 5}
    bad = [
        {**good, "run_id": "b", "duration_ms": -1},
        {**good, "run_id": "c", "status": "splendid"},
        {**good, "run_id": "d", "cost": 1e9},
        {**good, "run_id": "e", "agent_name": ""},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in (good, *bad)))
    done = selfright("replay", path, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["runs"] == 1
    assert "refused 4 of 5 rows" in done.stderr
    for field in ("duration_ms", "status", "cost", "agent_name"):
        assert field in done.stderr


def test_a_reader_that_leaves_early_is_no_failure(tmp_path: Path, rows: Path) -> None:
    """`selfright ... | head -1` ends quietly."""
    command = f'{sys.executable} -c "{RUN}" config show | head -1'
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(SRC)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr

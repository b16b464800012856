"""``selfright --help`` is quick and complete: no command's help loads a server or numpy."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from selfright.cli.app import app

SRC = Path(__file__).resolve().parents[2] / "src"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(SRC), "COLUMNS": "120"}
HEAVY = {"numpy", "fastapi", "starlette", "uvicorn", "duckdb", "sqlite3", "httpx"}
RUN = "import sys; sys.argv[0] = 'selfright'; from selfright.cli import main\n"
TELL = "import atexit; atexit.register(lambda: print('LOADED', *sys.modules, file=sys.stderr))\n"

PROMISED = {
    "serve",
    "demo",
    "replay",
    "backtest",
    "report",
    "retrain",
    "models",
    "rollback",
    "alerts",
    "ack",
    "agents",
    "check",
    "import",
    "keys",
    "doctor",
    "config",
}


def _commands(group: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path]
    for name, command in getattr(group, "commands", {}).items():
        found += _commands(command, (*path, name))
    return found


COMMANDS = _commands(typer.main.get_command(app))


def _run(*words: str, code: str = RUN) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", f"{code}main()", *words],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_promised_command_is_there() -> None:
    """The commands of the public contract exist, and those they group."""
    assert {path[0] for path in COMMANDS if path} >= PROMISED
    assert ("config", "show") in COMMANDS
    assert {("agents", "show"), ("agents", "retire"), ("agents", "delete")} <= {*COMMANDS}
    assert {("keys", "create"), ("keys", "list"), ("keys", "revoke")} <= {*COMMANDS}


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_loads_nothing_heavy(path: tuple[str, ...]) -> None:
    """Asking how a command is used loads neither server nor numpy, and says what it does."""
    done = _run(*path, "--help", code=RUN + TELL)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.partition("LOADED ")[2].split())
    assert "typer" in loaded
    assert not {name.partition(".")[0] for name in loaded} & HEAVY
    assert "Usage: selfright" in done.stdout
    described = done.stdout.partition("Usage:")[2].splitlines()[2].strip()
    assert len(described) > 15, f"{path} does not say what it does"


def test_help_breaks_lines_where_the_terminal_does() -> None:
    """Not also where the source does, which would leave lines of a single word."""
    done = _run("backtest", "--help")
    said = done.stdout.partition("With --matrix")[2].partition("With --grid")[0]
    lines = [line for line in said.splitlines() if line.strip()]
    assert all(len(line.rstrip()) > 80 for line in lines[:-1])


def test_the_check_sees_what_a_command_loads() -> None:
    """The same look finds numpy where a command needs it: `replay` of a file that is missing."""
    done = _run("replay", "nowhere.csv", code=RUN + TELL)
    assert done.returncode == 2
    assert "numpy" in done.stderr.partition("LOADED ")[2].split()


def test_help_is_quick() -> None:
    """A newcomer does not wait for the list of commands."""
    costs = []
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", f"{RUN}main()", "--help"],
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        costs.append(usage.ru_utime + usage.ru_stime)
    print(f"selfright --help: {statistics.median(costs):.2f} s of CPU")
    assert statistics.median(costs) < 1.0


def test_the_version_is_printed() -> None:
    """`--version` answers and ends."""
    done = _run("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("selfright")


def test_no_command_shows_the_help() -> None:
    """`selfright` alone says what there is."""
    done = _run()
    assert "Usage: selfright" in done.stdout + done.stderr


def test_an_unknown_command_is_a_usage_error() -> None:
    """A slip of the pen is answered with the nearest command and exit code 2."""
    done = _run("alert")
    assert done.returncode == 2
    assert "alerts" in done.stderr
    assert "Traceback" not in done.stderr

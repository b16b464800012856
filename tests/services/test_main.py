"""``python -m tests.services``: a command beside the services, and nothing after it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.services.fixtures import KAFKA, POSTGRES

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "tests.services"]
SHOW = f"import os; print(os.environ[{POSTGRES!r}], os.environ[{KAFKA!r}]); raise SystemExit(3)"


def _run(*words, **environment):
    return subprocess.run(
        [*COMMAND, *words],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def started(own_postgres, own_kafka):
    """Ask for both services first, for a machine without one skips; with them this one works."""


def test_the_command_is_told_where_they_are(started):
    """Its exit code is passed on, and servers are gone afterwards."""
    done = _run(sys.executable, "-c", SHOW, **{POSTGRES: "", KAFKA: ""})
    assert done.returncode == 3, done.stderr
    assert "PostgreSQL runs after" in done.stdout
    assert "Kafka runs after" in done.stdout
    postgres, kafka = done.stdout.splitlines()[-1].split()
    assert postgres.startswith("postgresql://")
    ports = {
        int(address.partition("127.0.0.1:")[2].partition("/")[0]) for address in (postgres, kafka)
    }
    assert not ports & _listening()


def _listening():
    return {c.laddr.port for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN}


def test_addresses_that_are_there_are_kept():
    """Who has servers of their own needs none of ours."""
    done = _run(sys.executable, "-c", SHOW, **{POSTGRES: "postgresql://here", KAFKA: "there:9092"})
    assert done.returncode == 3
    assert done.stdout == "postgresql://here there:9092\n"


def test_a_missing_service_is_named(tmp_path):
    """No test runs if one of them is not to be had."""
    done = _run("true", **{POSTGRES: "postgresql://here", KAFKA: "", "JAVA_HOME": str(tmp_path)})
    assert done.returncode == 1
    assert done.stderr.startswith("services: no Java 17 or newer")


def test_it_ends_its_command_when_told_to_end():
    """The signal reaches the command, and the exit code says which it was."""
    process = subprocess.Popen(
        [*COMMAND, "sh", "-c", "echo $$; exec sleep 60"],
        cwd=ROOT,
        env=os.environ | {POSTGRES: "postgresql://here", KAFKA: "there:9092"},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    command = psutil.Process(int(process.stdout.readline()))
    process.terminate()
    assert process.wait(20) == 128 + signal.SIGTERM
    process.stdout.close()
    assert not command.is_running()


def test_no_command_is_a_usage_error():
    """It says how it is used."""
    done = _run()
    assert done.returncode == 2
    assert "COMMAND" in done.stderr

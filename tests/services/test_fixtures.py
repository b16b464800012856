"""What the fixtures do where a service is missing: skip, make do, or fail, as they were told."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.services.fixtures import KAFKA, POSTGRES
from tests.services.server_process import free_port

ROOT = Path(__file__).resolve().parents[2]
STRICT = "SELFRIGHT_REQUIRE_SERVICES"
KAFKA_TESTS = ["tests/services/test_kafka_broker.py", "-k", "any_broker or is_produced"]
TESTS = ["tests/services", "-k", "is_produced or copied_in_binary"]


@pytest.fixture
def suite(tmp_path):
    """Return a function that runs tests where neither service is to be had, by default."""

    def run(*words, **environment):
        nowhere = {"PATH": str(tmp_path), "JAVA_HOME": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", *words],
            cwd=ROOT,
            env=os.environ | nowhere | {KAFKA: "", POSTGRES: "", STRICT: ""} | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        summary = done.stdout.partition("short test summary info")[2]
        # "SKIPPED [1] ..." carries no name, the others do.
        outcomes = re.findall(r"^([A-Z]+) (?:\S*::)?(\S+)", summary, re.MULTILINE)
        return {name: outcome for outcome, name in outcomes}, done.stdout

    return run


def test_without_java_real_brokers_are_skipped_and_mock_ones_used(suite):
    """The reason says what to install; what is content with any broker still runs."""
    outcomes, said = suite(*KAFKA_TESTS)
    assert outcomes == {"test_any_broker_will_do": "PASSED", "[1]": "SKIPPED"}
    assert "no Java 17 or newer" in said


def test_where_services_are_required_a_missing_broker_fails(suite):
    """It cannot be left out unnoticed."""
    outcomes, said = suite(*KAFKA_TESTS, **{STRICT: "1"})
    assert outcomes["test_what_is_produced_is_consumed"] == "ERROR"
    assert "forbidden by SELFRIGHT_REQUIRE_SERVICES=1; Skipped: no Java" in said


def test_a_service_that_was_promised_and_is_silent_is_an_error(suite):
    """A wrong address is no reason to skip, nor to start another server."""
    nobody = f"127.0.0.1:{free_port()}"
    outcomes, said = suite(*TESTS, **{KAFKA: nobody, POSTGRES: f"postgresql://me@{nobody}/mine"})
    assert outcomes == {
        "test_what_is_produced_is_consumed": "ERROR",
        "test_rows_are_copied_in_binary": "ERROR",
    }
    assert f"{KAFKA}={nobody} does not answer: start it, or unset the variable" in said
    assert f"{POSTGRES} does not answer: start it, or unset the variable" in said


def test_given_addresses_are_used(suite, kafka, own_postgres):
    """With nothing installed, servers elsewhere do."""
    addresses = {KAFKA: kafka.servers, POSTGRES: own_postgres.url}
    outcomes, _ = suite(*TESTS, **addresses)
    assert outcomes == {
        "test_what_is_produced_is_consumed": "PASSED",
        "test_rows_are_copied_in_binary": "PASSED",
    }

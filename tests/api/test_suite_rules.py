"""The rules of ``tests/conftest.py`` are known to bite: each is broken once in a small suite."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

# One small suite, a file for each rule; the name of the file is that of the rule.
PLANTED = {
    "skips": """
import pytest

def test_skips():
    pytest.skip("the broker is away")
""",
    "module_skips": """
import pytest

pytest.importorskip("a_package_nobody_has")
""",
    "data_away": """
def test_reads(shared_data):
    shared_data("nothing.parquet")
""",
    "expected_failure": """
import pytest

@pytest.mark.xfail(reason="known")
def test_fails():
    assert False
""",
    "logs_an_error": """
import logging, threading

def test_logs():
    thread = threading.Thread(target=logging.getLogger("selfright.loop").error, args=("lost it",))
    thread.start()
    thread.join()
""",
    "logs_while_clearing_up": """
import logging, pytest

@pytest.fixture
def worker():
    yield
    logging.getLogger("selfright").error("lost it")

def test_logs(worker):
    pass
""",
    "logs_as_meant": """
import logging, pytest

@pytest.mark.allow_errors
def test_logs():
    logging.getLogger("selfright").error("lost it")
""",
    "logs_elsewhere": """
import logging

def test_logs():
    logging.getLogger("selfrighteous").error("not ours")
    logging.getLogger("selfright").warning("no error")
""",
    "warns": """
import warnings

def test_warns():
    warnings.warn("soon gone")
""",
    "unknown_mark": """
import pytest

@pytest.mark.nobody_declared_this
def test_marked():
    pass
""",
}


def _suite(folder: Path, *, strict: bool) -> str:
    """Run the planted suite under the project's own settings; return one line per outcome."""
    (folder / "tests").mkdir()
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    shutil.copy(REPOSITORY / "tests" / "conftest.py", folder / "tests")
    for name, source in PLANTED.items():
        (folder / "tests" / f"test_{name}.py").write_text(source)
    environment = {k: v for k, v in os.environ.items() if k != "SELFRIGHT_SHARED_DATA"}
    environment |= {"SELFRIGHT_REQUIRE_SERVICES": "1" if strict else "", "COLUMNS": "300"}
    options = ["-q", "-rA", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "tests"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Run where skips are forbidden."""
    return _suite(tmp_path_factory.mktemp("strict"), strict=True)


@pytest.fixture(scope="module")
def lenient(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Run where skips are allowed."""
    return _suite(tmp_path_factory.mktemp("lenient"), strict=False)


def _lines(output: str, name: str, *outcomes: str) -> list[str]:
    summary = output.partition("short test summary info")[2].splitlines()
    return [line for line in summary if line.startswith(outcomes) and f"/test_{name}.py" in line]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("skips", "the broker is away"),
        ("module_skips", "a_package_nobody_has"),
        ("data_away", "no nothing.parquet in"),
    ],
)
def test_a_skip_fails_where_skips_are_forbidden(strict: str, name: str, reason: str) -> None:
    """A test, a module or missing data that would be left out fails, and says why."""
    assert _lines(strict, name, "FAILED", "ERROR")
    assert (
        f"skipping is forbidden by SELFRIGHT_REQUIRE_SERVICES=1; Skipped: {reason}" in strict
        or (f"SELFRIGHT_REQUIRE_SERVICES=1; Skipped: could not import '{reason}'" in strict)
    )


@pytest.mark.parametrize("name", ["skips", "module_skips", "data_away"])
def test_a_skip_passes_elsewhere(lenient: str, name: str) -> None:
    """Who has no broker and no data can still run the rest."""
    assert not _lines(lenient, name, "FAILED", "ERROR")
    assert "3 skipped" in lenient


def test_an_expected_failure_is_no_skip(strict: str) -> None:
    """Forbidding skips does not forbid stating a known failure."""
    assert _lines(strict, "expected_failure", "XFAIL")


@pytest.mark.parametrize("name", ["logs_an_error", "logs_while_clearing_up"])
def test_a_logged_error_fails_the_test(strict: str, name: str) -> None:
    """An internal error that nothing else noticed fails the test that caused it."""
    (line,) = _lines(strict, name, "FAILED", "ERROR")
    assert "logged at ERROR" in line


@pytest.mark.parametrize("name", ["logs_as_meant", "logs_elsewhere"])
def test_a_meant_or_foreign_error_passes(strict: str, name: str) -> None:
    """A test may provoke an error on purpose, and other libraries' logs are theirs."""
    assert _lines(strict, name, "PASSED")
    assert not _lines(strict, name, "FAILED", "ERROR")


@pytest.mark.parametrize("name", ["warns", "unknown_mark"])
def test_a_warning_or_an_undeclared_marker_fails(lenient: str, name: str) -> None:
    """Warnings are errors and markers are declared."""
    assert _lines(lenient, name, "FAILED", "ERROR")

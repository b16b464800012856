"""What holds for every test: no silent skip, no logged internal error, the shared data.

With ``SELFRIGHT_REQUIRE_SERVICES=1`` (as ``.ci/run`` sets it) a skip is a failure: a suite that
quietly leaves out what it could not reach proves nothing about it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Generator
from pathlib import Path

import hypothesis
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

# Two cores shared with servers and benchmarks make deadlines report the machine, not the code.
# Where the verdict decides whether work lands, the examples are the same on every run.
hypothesis.settings.register_profile("default", deadline=None, print_blob=True)
hypothesis.settings.register_profile(
    "ci", hypothesis.settings.get_profile("default"), derandomize=True
)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Return a function from the name of a real data file to its path; it skips if absent."""
    folder = Path(os.environ.get("SELFRIGHT_SHARED_DATA") or REPOSITORY.parent / "shared" / "data")

    def locate(name: str) -> Path:
        path = folder / name
        if not path.exists():
            pytest.skip(
                f"no {name} in {folder}; set SELFRIGHT_SHARED_DATA to the folder that has it"
            )
        return path

    return locate


def _skips_are_failures() -> bool:
    return os.environ.get("SELFRIGHT_REQUIRE_SERVICES") == "1"


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    # An expected failure also reports itself as skipped, and is none.
    if report.skipped and not hasattr(report, "wasxfail") and _skips_are_failures():
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipping is forbidden by SELFRIGHT_REQUIRE_SERVICES=1; {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a test's skip into a failure where skips are forbidden."""
    report = yield
    _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a whole module's skip into a failure where skips are forbidden."""
    report = yield
    _refuse_skip(report)
    return report


class _LoggedErrors(logging.Handler):
    """Keeps what the library logs at ERROR or above, from any thread, until it is taken."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "selfright" or record.name.startswith("selfright."):
            self._lines.append(self.format(record))

    def take(self) -> list[str]:
        taken, self._lines = self._lines, []
        return taken


_LOGGED = pytest.StashKey[_LoggedErrors]()


def pytest_configure(config: pytest.Config) -> None:
    """Listen at the root logger, because the library's own must stay without handlers."""
    handler = _LoggedErrors()
    config.stash[_LOGGED] = handler
    logging.getLogger().addHandler(handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave the root logger as it was found."""
    logging.getLogger().removeHandler(config.stash[_LOGGED])


def _refuse_logged_errors(item: pytest.Item) -> Generator[None, object, object]:
    result = yield
    lines = item.config.stash[_LOGGED].take()
    if lines and item.get_closest_marker("allow_errors") is None:
        found = "\n".join(lines)
        pytest.fail(f"logged at ERROR (mark `allow_errors` if meant):\n{found}", pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Fail the test whose fixtures made the library log an error."""
    return (yield from _refuse_logged_errors(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail the test that made the library log an error."""
    return (yield from _refuse_logged_errors(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Fail the test whose clearing up made the library log an error."""
    return (yield from _refuse_logged_errors(item))

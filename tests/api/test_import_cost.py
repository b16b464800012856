"""``import selfright`` costs about a bare interpreter, so that any program can afford it."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

SRC = Path(__file__).resolve().parents[2] / "src"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(SRC)}
ROUNDS = 15
LIMIT = 2.0  # times a bare interpreter


def _cpu_s(statement: str) -> float:
    """Return the processor seconds, not the elapsed ones: a busy machine must not fail this."""
    process = subprocess.Popen([sys.executable, "-c", statement], env=ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, statement
    return usage.ru_utime + usage.ru_stime


def _times_bare(statement: str) -> float:
    """Return the cost over that of an interpreter that does nothing, both measured in turns."""
    _cpu_s(statement)  # writes the byte code, which is no cost of importing
    turns = [(_cpu_s("pass"), _cpu_s(statement)) for _ in range(ROUNDS)]
    bare, loaded = (statistics.median(column) for column in zip(*turns, strict=True))
    return loaded / bare


def _loaded(statement: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{statement}\nimport sys; print(*sys.modules)"],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_importing_costs_at_most_two_bare_interpreters() -> None:
    """A program that imports selfright and does not use it hardly notices."""
    times = _times_bare("import selfright")
    print(f"import selfright: {times:.2f} x a bare interpreter")
    assert times <= LIMIT


def test_the_measure_sees_an_expensive_import() -> None:
    """The same measure refuses a front door that would load an event loop."""
    assert _times_bare("import selfright, asyncio") > LIMIT


def test_importing_loads_nothing_but_the_front_door() -> None:
    """No room and no package of others is loaded before a name is asked for."""
    added = _loaded("import selfright") - _loaded("pass")
    foreign = {name for name in added if name.partition(".")[0] not in sys.stdlib_module_names}
    assert foreign == {"selfright"}
    assert not added & {"asyncio", "logging", "sqlite3", "threading", "socket", "dataclasses"}

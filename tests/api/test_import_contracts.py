"""Who may import whom holds on the real tree, and each way to break it is caught.

A contract that has never failed is not known to work, so every kind of violation is planted once
in a copy of the tree.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Copy the configuration and every module to a folder where faults may be planted."""
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    shutil.copytree(
        REPOSITORY / "src" / "selfright",
        tmp_path / "src" / "selfright",
        ignore=shutil.ignore_patterns("__pycache__", "static"),
    )
    return tmp_path


def _plant(tree: Path, module: str, source: str = "") -> Path:
    path = tree / "src" / "selfright" / module
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / "__init__.py").touch()
    path.write_text(f"from __future__ import annotations\n\n{source}\n")
    return path


def _verdicts(tree: Path) -> dict[str, str]:
    """Return the verdict on each contract by the word before its colon."""
    environment = os.environ | {"PYTHONPATH": str(tree / "src"), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-c", LINT_IMPORTS, "--no-logo", "--no-cache"],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    found = dict(re.findall(r"^([\w ]+): .* (KEPT|BROKEN)(?: \(.*\))?$", done.stdout, re.MULTILINE))
    assert found, done.stdout + done.stderr
    assert (done.returncode == 0) == (set(found.values()) == {"KEPT"}), done.stdout
    return found


def _broken(tree: Path) -> set[str]:
    return {name for name, verdict in _verdicts(tree).items() if verdict == "BROKEN"}


def _ruff(tree: Path, path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format=concise", str(path)],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr, done.stderr
    return done.stdout


def test_the_tree_keeps_every_contract(tree: Path) -> None:
    """No module of the project imports upwards, sideways or what its room forbids."""
    verdicts = _verdicts(tree)
    kept = {"Layers", "Pure rooms", "Front door", "Updater", "Updater face", "Learners"}
    assert kept | {"Detectors"} <= verdicts.keys()
    assert set(verdicts.values()) == {"KEPT"}, verdicts


UPWARD = [
    ("events/planted.py", "metrics/target.py", "from selfright.metrics import target"),
    ("metrics/planted.py", "detect/target.py", "import selfright.detect.target"),
    ("detect/planted.py", "learn/target.py", "from selfright.learn.target import __doc__"),
    ("loop/planted.py", "assemble.py", "def late():\n    from selfright import assemble"),
    ("retrain/planted.py", "loop/target.py", "from selfright.loop import target"),
]


@pytest.mark.parametrize(("importer", "imported", "line"), UPWARD)
def test_an_upward_import_is_caught(tree: Path, importer: str, imported: str, line: str) -> None:
    """A room that imports one further from the event breaks the layers, however it is written."""
    if not (tree / "src" / "selfright" / imported).exists():
        _plant(tree, imported)
    _plant(tree, importer, line)
    assert _broken(tree) == {"Layers"}


@pytest.mark.parametrize(
    ("importer", "imported", "line"),
    [
        (
            "performance_monitor.py",
            "online_learning/__init__.py",
            "import selfright.online_learning",
        ),
        ("sinks/planted.py", "sources/target.py", "from selfright.sources import target"),
        ("worker.py", "server/target.py", "from selfright.server import target"),
        ("clock.py", "errors.py", "from selfright import errors"),
    ],
)
def test_a_sideways_import_is_caught(tree: Path, importer: str, imported: str, line: str) -> None:
    """The two faces, the outside rooms and the two roots do not know each other."""
    if not (tree / "src" / "selfright" / imported).exists():
        _plant(tree, imported)
    _plant(tree, importer, line)
    assert _broken(tree) == {"Layers"}


@pytest.mark.parametrize(("room", "contract"), [("learn", "Learners"), ("detect", "Detectors")])
def test_a_sibling_import_is_caught(tree: Path, room: str, contract: str) -> None:
    """No learner imports another learner, no detector another detector."""
    _plant(tree, f"{room}/planted_one.py")
    _plant(tree, f"{room}/planted_two.py", f"from selfright.{room} import planted_one")
    assert _broken(tree) == {contract}


PURE = [
    "events/planted.py",
    "metrics/planted.py",
    "detect/planted.py",
    "learn/planted.py",
    "alerts/planted.py",
    "retrain/trigger.py",
    "retrain/gate.py",
    "loop/fold.py",
]


@pytest.mark.parametrize("module", PURE)
def test_a_pure_room_that_reads_the_clock_is_caught(tree: Path, module: str) -> None:
    """A pure room may not import ``time``; what it knows of the present, it is given."""
    _plant(tree, module, "import time")
    assert _broken(tree) == {"Pure rooms"}


@pytest.mark.parametrize(
    "line",
    [
        "import logging",
        "from threading import Lock",
        "import asyncio.events",
        "import socket",
        "import sqlite3",
        "import random",
        "from concurrent.futures import ThreadPoolExecutor",
        "from selfright.clock import monotonic_s",
    ],
)
def test_a_pure_room_that_does_more_than_compute_is_caught(tree: Path, line: str) -> None:
    """Each forbidden neighbour of the pure rooms is really forbidden."""
    _plant(tree, "alerts/planted.py", line)
    assert _broken(tree) == {"Pure rooms"}


@pytest.mark.parametrize("room", ["log", "sources", "sinks", "engines"])
def test_a_pure_room_that_reaches_for_io_of_ours_is_caught(tree: Path, room: str) -> None:
    """A pure room does not import our own rooms that do I/O."""
    _plant(tree, f"{room}/target.py")
    _plant(tree, "loop/fold.py", f"from selfright.{room} import target")
    assert _broken(tree) == {"Pure rooms"}


@pytest.mark.parametrize("line", ["import selfright", "from selfright import PerformanceMonitor"])
def test_an_import_of_the_front_door_is_caught(tree: Path, line: str) -> None:
    """One import of the front door from inside ties every room into a circle."""
    (tree / "src" / "selfright" / "__init__.py").write_text("PerformanceMonitor = None\n")
    _plant(tree, "orchestrator.py", line)
    assert _broken(tree) == {"Front door"}


@pytest.mark.parametrize(
    ("part", "line", "contract"),
    [
        ("names.py", "from selfright.online_learning import versions", "Updater"),
        ("reading.py", "from selfright.online_learning import recording", "Updater"),
        ("planted.py", "", "Updater"),
        (
            "planted/part.py",
            "from selfright.online_learning import RealTimeModelUpdater",
            "Updater face",
        ),
    ],
)
def test_a_part_of_the_updater_that_looks_back_is_caught(
    tree: Path, part: str, line: str, contract: str
) -> None:
    """Upwards, sideways, to the face itself, or a new part that stands in no layer."""
    _plant(tree, f"online_learning/{part}", line)
    assert contract in _broken(tree)


@pytest.mark.parametrize("module", ["planted.py", "planted/__init__.py"])
def test_a_new_top_level_name_is_caught(tree: Path, module: str) -> None:
    """A room that stands in no layer is a decision nobody took."""
    _plant(tree, module)
    assert _broken(tree) == {"Layers"}


@pytest.mark.parametrize(
    ("source", "rule"),
    [
        ("import random\n\nx = random.random()", "TID251"),
        ("from random import choice", "TID251"),
        ("import numpy as np\n\nx = np.random.rand(3)", "NPY002"),
        ("import numpy as np\n\nnp.random.seed(3)", "NPY002"),
        ("import pickle", "TID251"),
        ("from pickle import loads", "TID251"),
        ("import time\n\nx = time.time()", "TID251"),
        ("from time import monotonic", "TID251"),
        ("import datetime\n\nx = datetime.datetime.now(datetime.UTC)", "TID251"),
        ("from . import errors", "TID252"),
    ],
)
def test_a_banned_name_is_caught(tree: Path, source: str, rule: str) -> None:
    """Chance from the air, pickles and clocks are refused in every room, pure or not."""
    assert f" {rule} " in _ruff(tree, _plant(tree, "server/planted.py", source))


def test_the_clock_alone_may_read_the_time(tree: Path) -> None:
    """The ban has one exception, and that one is used."""
    clock = tree / "src" / "selfright" / "clock.py"
    assert "TID251" not in _ruff(tree, clock)
    (tree / "src" / "selfright" / "clock_two.py").write_text(clock.read_text())
    assert "TID251" in _ruff(tree, clock.with_name("clock_two.py"))

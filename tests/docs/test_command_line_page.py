"""The page of commands runs from top to bottom, with the exit codes it promises."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main

from selfright.cli.app import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
RUN = "import sys; sys.argv[0] = 'selfright'; from selfright.cli import main; main()"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which `selfright` is this checkout's, and nothing else is set."""
    command = tmp_path / "bin" / "selfright"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c "{RUN}" "$@"\n')
    command.chmod(0o755)
    clean = {key: value for key, value in os.environ.items() if not key.startswith("SELFRIGHT")}
    return clean | {
        "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
    }


def _promised(block: str) -> int:
    """Return the exit code that a block says it ends with; 0 where it says nothing."""
    last = block.strip().splitlines()[-1]
    found = re.search(r"# exits with (\d+)(?! for)", last)
    return int(found[1]) if found else 0


def test_every_block_runs_with_the_exit_code_it_promises(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """One after the other in an empty folder, as a reader would paste them."""
    folder = tmp_path / "here"
    folder.mkdir()
    for block in BLOCKS:
        done = subprocess.run(
            ["sh", "-e", "-c", block],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == _promised(block), f"{block}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")


def test_every_command_has_an_example() -> None:
    """Those of groups, too."""
    shown = " ".join(BLOCKS)
    missing = [
        " ".join(path)
        for path in _commands(typer.main.get_command(app))
        if not re.search(rf"selfright {' '.join(path)}\b", shown)
    ]
    assert missing == []


def _commands(group: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    commands = getattr(group, "commands", {})
    alone = [] if commands else [path]
    return alone + [
        found for name, command in commands.items() for found in _commands(command, (*path, name))
    ]


def test_a_promise_that_is_not_kept_is_seen() -> None:
    """The look at exit codes finds those the page promises."""
    assert _promised("selfright x\nselfright check   # exits with 3\n") == 3
    assert _promised("selfright x   # exits with 1 for an agent never seen\n") == 0
    assert sum(_promised(block) > 0 for block in BLOCKS) == 3

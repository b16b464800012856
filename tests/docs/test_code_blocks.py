"""Every Python block of README and docs runs, file by file, as a reader would run it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def _program(page: Path) -> str:
    return "\n".join(_BLOCK.findall(page.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if _program(page)],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_every_block_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    """A reader who pastes the blocks of a page one after the other sees no error."""
    done = _run([sys.executable, "-W", "error", "-c", _program(page)], tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "example", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.name
)
def test_every_example_runs(example: Path, tmp_path: Path) -> None:
    """Each example ends by itself, without an error."""
    done = _run([sys.executable, "-W", "error", str(example)], tmp_path)
    assert done.returncode == 0, done.stderr


def test_links_between_pages_lead_somewhere() -> None:
    """A link to a file of the project names one that exists."""
    broken = [
        f"{page.name}: {target}"
        for page in PAGES
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

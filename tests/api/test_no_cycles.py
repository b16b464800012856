"""No module leads back to itself, whether by what it runs or by what it names in annotations."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"


def _modules(root: Path) -> dict[str, Path]:
    found = {}
    for path in root.glob("selfright/**/*.py"):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def _needs(source: str, modules: dict[str, Path]) -> set[str]:
    """Return the modules that a source imports, wherever in it; of a room the part it names."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module in modules:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in modules else node.module for name in inner}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in modules}
    return found


def _graph(root: Path) -> dict[str, set[str]]:
    modules = _modules(root)
    return {
        name: _needs(path.read_text(encoding="utf-8"), modules) - {name}
        for name, path in modules.items()
    }


def test_modules_can_be_put_in_order():
    """Annotations count: what names another's type knows of it."""
    graph = _graph(SOURCE)
    assert len(graph) > 300
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("under", ["", "if TYPE_CHECKING:\n    ", "def late():\n    "])
def test_an_arrow_back_is_seen_wherever_it_stands(tmp_path, under):
    """At the top, for annotations, in a function."""
    room = tmp_path / "selfright"
    room.mkdir()
    (room / "above.py").write_text("from selfright.below import thing\n")
    (room / "below.py").write_text(f"{under}from selfright.above import other\n")
    with pytest.raises(CycleError, match="in a cycle"):
        TopologicalSorter(_graph(tmp_path)).prepare()

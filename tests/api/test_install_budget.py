"""``pip install selfright`` stays small: people put it beside agents that are large already."""

from __future__ import annotations

import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"
PACKAGES_MAX = 30
MEBIBYTES_MAX = 170


def _installed_for(requirements: list[str]) -> set[str]:
    """Return the names of all distributions that pip brings in for ``requirements``."""
    found: set[str] = set()
    waiting = [(Requirement(text), "") for text in requirements]
    seen: set[tuple[str, str]] = set()
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = requirement.name.lower().replace("_", "-")
        found.add(name)
        # A distribution may be asked for again with an extra that it did not have before.
        for wanted in {"", *requirement.extras} - {e for n, e in seen if n == name}:
            seen.add((name, wanted))
            needs = distribution(name).requires or []
            waiting += [(Requirement(text), wanted) for text in needs]
    return found


def _mebibytes(names: set[str]) -> float:
    paths = (Path(str(f.locate())) for name in names for f in distribution(name).files or [])
    return sum(path.stat().st_blocks * 512 for path in paths if path.is_file()) / 2**20


def test_the_core_stays_within_its_budget() -> None:
    """The library, the server and the command line bring few packages and little weight."""
    names = _installed_for(tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"])
    size = _mebibytes(names)
    print(f"core: {len(names) + 1} packages, {size:.0f} MiB")
    assert {"numpy", "pydantic-core", "starlette"} <= names  # what is needed indirectly counts
    assert len(names) + 1 <= PACKAGES_MAX
    assert 50 < size <= MEBIBYTES_MAX


def test_every_dependency_is_bounded_above() -> None:
    """A new major version of a dependency is a decision of ours, not an accident of the day."""
    for text in tomllib.loads(PYPROJECT.read_text())["project"]["dependencies"]:
        operators = {specifier.operator for specifier in Requirement(text).specifier}
        assert operators == {">=", "<"}, text

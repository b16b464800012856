"""The pinned environment is complete, exact and free of places to fetch from."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[2]


def _pins() -> dict[str, Requirement]:
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in pins}


def test_every_pin_is_exact_and_names_no_address() -> None:
    """The file says which version, never where from: that is the reader's own setting."""
    assert "://" not in (REPOSITORY / "constraints.txt").read_text()
    for name, pin in _pins().items():
        assert pin.url is None, name
        assert [s.operator for s in pin.specifier] == ["=="], name


def test_every_declared_dependency_is_pinned_within_its_range() -> None:
    """A dependency added to pyproject.toml and not pinned would differ from day to day."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    declared = [*project["dependencies"], *(text for extra in extras for text in extra)]
    pins = _pins()
    for requirement in map(Requirement, declared):
        name = canonicalize_name(requirement.name)
        if name == "selfright":  # an extra that includes others
            continue
        version = str(pins[name].specifier).removeprefix("==")
        assert requirement.specifier.contains(version), requirement

"""Tables of what the registry knows: versions, what served when, what two versions differ in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from selfright.cli import show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

_VERSION_COLUMNS: Final = (
    "version", "parent", "state", "created_at", "retrain_type", "samples", "reason",
)  # fmt: skip
# A fleet of thousands would fill pages; what changed most stands first. ``--json`` has all.
_LISTED: Final = 40


def models(rows: Sequence[dict[str, Any]]) -> RenderableType:
    """Return one line per model: what serves, what is on trial, what it learnt."""
    lines = [(m["model_type"], m["version"], m["on_trial"], m["updates"]) for m in rows]
    return show.table("", ("model", "serves", "on trial", "learnt from"), lines)


def serving(rows: Sequence[dict[str, Any]]) -> RenderableType:
    """Return one line per model: what served at a moment, since when and why."""
    lines = [
        (row["model_type"], row["version"], show.clock_time(row["since"]), row["reason"])
        for row in rows
    ]
    return show.table("", ("model", "served", "since", "why"), lines)


def versions(rows: Sequence[dict[str, Any]]) -> RenderableType:
    """Return one line per version, a damaged one with what is wrong with it."""
    columns = [key for key in _VERSION_COLUMNS if any(key in item for item in rows)]
    name = rows[0]["model_type"] if rows else "no version yet"
    return show.table(name, columns, [[item.get(key) for key in columns] for item in rows])


def promotions(rows: Sequence[dict[str, Any]]) -> RenderableType:
    """Return one line per entry of the promotion log, with the gate's numbers."""
    lines = [
        (
            show.clock_time(row["at"]),
            row["event"],
            row["version"],
            row["previous"],
            row["reason"],
            verdict(row["gate"]),
        )
        for row in rows
    ]
    return show.table("", ("at", "event", "version", "before", "why", "gate"), lines)


def comparison(found: dict[str, Any]) -> RenderableType:
    """Return what two versions differ in: arms and groups, then all the rest."""
    from rich.console import Group
    from rich.text import Text

    before, after = found["before"], found["after"]
    differences = found["differences"]
    lines = [
        (
            each["arm"],
            each["group"],
            each["before"],
            each["after"],
            f"{each['change']:+,.3f}",
            round(each["n_before"]),
            round(each["n_after"]),
        )
        for each in differences[:_LISTED]
    ]
    pair = f"version {before['version']} and {after['version']}"
    title = f"{found['model_type']}: expected {found['unit']}, {pair}"
    columns = ("arm", "group", "before", "after", "change", "n before", "n after")
    parts: list[RenderableType] = [show.table(title, columns, lines, numbers=5)]
    if len(differences) > _LISTED:
        parts.append(Text(f"and {len(differences) - _LISTED} smaller changes; --json has all"))
    about: list[tuple[object, object, object]] = [
        ("samples", before["samples"], after["samples"]),
        ("reason", before["reason"], after["reason"]),
        ("gate", verdict(before["gate"]), verdict(after["gate"])),
    ]
    about += [(name, was, now) for name, (was, now) in found["hyperparameters"].items()]
    parts.append(
        show.table("", ("", f"version {before['version']}", f"version {after['version']}"), about)
    )
    return Group(*parts)


def verdict(gate: dict[str, Any] | None) -> str | None:
    """Return a gate's record in a few words."""
    if gate is None:
        return None
    gain = gate.get("gain")
    return gate["verdict"] if gain is None else f"{gate['verdict']}, {gain:+.3f} over {gate['n']}"

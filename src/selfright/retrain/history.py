"""What served when, and why, as users see it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from selfright.events.record import GateRecord
from selfright.events.timestamp import iso
from selfright.retrain.manifest import SERVING, EntryEvent

if TYPE_CHECKING:
    from selfright.retrain.manifest import Entry
    from selfright.retrain.registry import ModelRegistry


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """One line of a model's promotion log: from ``at`` on, this holds.

    Attributes
    ----------
    event
        ``promoted``: ``version`` serves instead of ``previous``; ``withdrawn``: no version
        serves any more; ``settled``: the gate gave a verdict that changes nothing;
        ``quarantined``: found damaged.
    reason
        Why: ``promoted`` by the gate, ``emergency``, ``reverted``, ``rollback``, ``promote``
        by hand, ``saved``, ``recovered`` after a restart, or what was found damaged.
    gate
        The record of the verdict behind it, where there was one.
    """

    at: str
    event: EntryEvent
    version: int
    previous: int | None
    parent: int | None
    reason: str
    gate: GateRecord | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-able values."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What served at a moment. ``version`` None: no version did, so the model that learns in place.

    ``since`` and ``reason`` are those of the promotion that held then.
    """

    model_type: str
    version: int | None
    since: str | None
    reason: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-able values."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values


def promotions(registry: ModelRegistry, model_type: str) -> list[Promotion]:
    """Return the promotion log of a model, oldest first."""
    return [
        Promotion(
            at=iso(entry.ts_us),
            event=entry.event,
            version=entry.version,
            previous=entry.previous,
            parent=entry.parent,
            reason=entry.reason,
            gate=entry.gate,
        )
        for entry in registry.promotions(model_type)
    ]


def serving_at(registry: ModelRegistry, model_type: str, ts_us: int) -> Serving:
    """Return what served at log time ``ts_us``."""
    held = [e for e in registry.promotions(model_type) if e.event in SERVING and e.ts_us <= ts_us]
    entry: Entry | None = held[-1] if held else None
    return Serving(
        model_type=model_type,
        version=registry.serving_at(model_type, ts_us),
        since=None if entry is None else iso(entry.ts_us),
        reason=None if entry is None else entry.reason,
    )

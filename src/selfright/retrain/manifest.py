"""What is written down about a version: how it was made, and what became of it."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import Any, Final, Literal

import msgspec
import numpy as np
from msgspec import Struct

from selfright.errors import ConfigError
from selfright.events.record import GateRecord
from selfright.retrain.model_state import ArraySchema, State

FORMAT: Final = 1

VersionState = Literal["champion", "challenger", "archived", "quarantined"]
EntryEvent = Literal["promoted", "withdrawn", "settled", "quarantined"]
# What says which version serves: the last of these holds.
SERVING: Final = frozenset({"promoted", "withdrawn"})


class StoredFile(Struct, frozen=True):
    """A file of a version as it was written."""

    sha256: str
    bytes: int


class VersionMeta(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the maker of a version knows about it. Everything may be left out.

    Attributes
    ----------
    samples
        Outcomes it was retrained on.
    agents
        The agents whose outcomes these were; empty for the whole fleet.
    offsets
        First and next offset of the log that was read.
    """

    reason: str | None = None
    retrain_id: str | None = None
    retrain_type: str | None = None
    samples: int = 0
    agents: list[str] = []
    offsets: tuple[int, int] | None = None
    hyperparameters: dict[str, Any] = {}
    counts: dict[str, float] = {}
    scores: dict[str, float] = {}


class Manifest(Struct, frozen=True, kw_only=True):
    """Everything about a version that was known when it was saved. Never changed."""

    format: int
    model_type: str
    version: int
    parent: int | None
    created_us: int
    created_at: str
    files: dict[str, StoredFile]
    arrays: dict[str, ArraySchema]
    meta: VersionMeta
    libraries: dict[str, str]


class Entry(Struct, frozen=True, kw_only=True):
    """One line of the promotion log: from ``ts_us`` on, this holds.

    ``promoted``: ``version`` serves instead of ``previous``. ``withdrawn``: it serves no
    more, and no version does. ``settled``: the gate gave its verdict. ``quarantined``: the
    version was found damaged. ``seq`` counts lines.
    """

    event: EntryEvent
    version: int
    parent: int | None
    previous: int | None
    reason: str
    ts_us: int
    gate: GateRecord | None = None
    seq: int = 0
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A version read back: its state, as it was saved, and its manifest."""

    state: State
    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Skipped:
    """A version that was found damaged, and why."""

    version: int
    reason: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """What serves: a model, or none; and what was found damaged since this was last asked."""

    model: StoredModel | None
    skipped: tuple[Skipped, ...] = ()

    @property
    def version(self) -> int | None:
        """The version that serves."""
        return None if self.model is None else self.model.manifest.version


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """One version of a model as users see it: lineage, state, what it was made of.

    Attributes
    ----------
    parent
        The version it was made from; None for a first one.
    state
        ``champion`` serves; ``challenger`` is the newest one while nothing was decided
        about it; ``quarantined`` was found damaged; all others are ``archived``.
    samples
        Outcomes it was retrained on.
    agents
        The agents whose outcomes these were; empty for the whole fleet.
    gate
        The latest verdict about it, None before there is one.
    promoted_at
        When it last began to serve.
    reason
        Why it was made; of a damaged one, what is wrong with it.
    """

    version: int
    model_type: str
    parent: int | None
    created_at: str | None
    state: VersionState
    samples: int
    agents: tuple[str, ...]
    gate: GateRecord | None
    promoted_at: str | None
    reason: str | None
    retrain_id: str | None = None
    retrain_type: str | None = None
    scores: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-able values."""
        values: dict[str, Any] = msgspec.to_builtins(self)
        return values


def checked_format(values: dict[str, Any]) -> dict[str, Any]:
    """Return ``values`` if we can read them.

    Raises
    ------
    ConfigError
        If a newer Selfright wrote them. They are not damaged and must be left alone.
    """
    found = values.get("format")
    if isinstance(found, int) and found > FORMAT:
        raise ConfigError(
            "model storage", f"format {found}", "was written by a newer Selfright; upgrade this one"
        )
    return values


@cache
def libraries() -> dict[str, str]:
    """Return the versions of what a model file depends on."""
    try:
        own = metadata.version("selfright")
    except metadata.PackageNotFoundError:
        own = "source"  # run from a checkout that was not installed
    return {"selfright": own, "python": platform.python_version(), "numpy": np.__version__}

"""The versions of one model of the user's own: kept, loaded, and which of them serves."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from selfright.errors import ConfigError
from selfright.loop.own.stored import packed, unpacked

if TYPE_CHECKING:
    from selfright.clock import Clock
    from selfright.events.record import GateRecord, RetrainFinished
    from selfright.loop.own.protocol import OwnModel
    from selfright.loop.own.stored import Covered
    from selfright.retrain.manifest import Entry, ModelVersion
    from selfright.retrain.registry import ModelRegistry


class OwnVersions:
    """The part of a registry that holds one model. Methods raise what the registry raises."""

    def __init__(self, name: str, registry: ModelRegistry, clock: Clock) -> None:
        self._name = name
        self._registry = registry
        self._clock = clock

    @property
    def current(self) -> int | None:
        """The version that serves."""
        return self._registry.current(self._name)

    def intact(self) -> int | None:
        """Return the version that serves, or its nearest ancestor where it is damaged."""
        return self._registry.load_current(self._name).version

    def all(self) -> list[ModelVersion]:
        """Return all versions, oldest first."""
        return self._registry.versions(self._name)

    def last_promotion(self) -> Entry | None:
        """Return the entry since which what serves does, whatever was saved of it meanwhile."""
        promoted = (e for e in reversed(self._registry.promotions(self._name)))
        return next((e for e in promoted if e.event == "promoted" and e.reason != "saved"), None)

    def load(self, like: OwnModel, version: int) -> tuple[OwnModel, Covered]:
        """Return a version as a model of the kind of ``like``, and what it had learnt.

        Raises ``UnknownNameError``, ``CorruptLogError``, and ``ConfigError`` if the model
        cannot load it.
        """
        stored = self._registry.load(self._name, version)
        model = copy.deepcopy(like)
        try:
            return model, unpacked(model, stored.state)
        except (Exception, SystemExit) as error:
            raise ConfigError(
                f"model {self._name!r}",
                version,
                f"this version could not be loaded ({type(error).__name__}: {error}); "
                "register a model that reads it, or another name",
            ) from error

    def keep(
        self, model: OwnModel, covered: Covered, parent: int | None, made: RetrainFinished | None
    ) -> int:
        """Keep a model as a version, that of a retraining or else of what was learnt since."""
        meta: dict[str, Any] = {
            "reason": "saved" if made is None else made.reason,
            "samples": covered.events if made is None else made.events_processed,
            "retrain_type": "snapshot" if made is None else made.retrain_type,
            "retrain_id": None if made is None else made.retrain_id,
            "offsets": [0, covered.offset],
        }
        return self._registry.save(self._name, packed(model, covered), parent=parent, meta=meta)

    def promote(self, version: int, reason: str, gate: GateRecord | None = None) -> Entry:
        """Let a version serve; return the entry in the promotion log that says so."""
        self._registry.promote(self._name, version, reason, self._clock.now_us(), gate)
        return self._registry.promotions(self._name)[-1]

    def settle(self, version: int, gate: GateRecord) -> None:
        """Record a verdict that does not change what serves."""
        self._registry.settle(self._name, version, gate, self._clock.now_us())

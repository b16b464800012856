"""Keeps the registry in step with the fold: the log decides what serves, the registry follows.

The fold decides, and the registry is told a moment later. A process may end in between,
so at a restart the two are compared, and what the registry missed is made up for.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from selfright.errors import SelfrightError
from selfright.loop.effects import Serve, Settle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from selfright.loop.effects import Effect
    from selfright.loop.fold import Fold
    from selfright.retrain.registry import ModelRegistry

_log = logging.getLogger("selfright")


def follow(registry: ModelRegistry, effect: Serve | Settle, now_us: int) -> None:
    """Have the registry do what the fold decided. Raises what the registry raises."""
    match effect:
        case Serve(model_type, None, reason, _):
            registry.withdraw(model_type, reason, now_us)
        case Serve(model_type, int(version), reason, gate):
            registry.promote(model_type, version, reason, now_us, gate)
        case Settle(model_type, version, gate):
            registry.settle(model_type, version, gate, now_us)


def make_up(
    registry: ModelRegistry, fold: Fold, effects: Iterable[Effect], now_us: int
) -> list[Serve | Settle]:
    """Let the registry catch up with a fold that was recovered; return what it had missed.

    Parameters
    ----------
    effects
        What the recovery found the fold to have decided after its checkpoint. Most of
        it the registry knows already.
    """
    done: list[Serve | Settle] = []
    missed: list[Serve | Settle] = [*_verdicts(registry, effects)]
    missed += _pointers(registry, fold, effects)
    for effect in missed:
        try:
            follow(registry, effect, now_us)
        except SelfrightError as error:
            # A version that is damaged or gone cannot serve after the next restart; what
            # the registry found to serve instead stays.
            _log.warning("%s: cannot follow the log: %s", effect.model_type, error)
        else:
            _log.warning("%s: what serves was behind the log; made up for", effect.model_type)
            done.append(effect)
    return done


def _verdicts(registry: ModelRegistry, effects: Iterable[Effect]) -> list[Settle]:
    return [
        effect
        for effect in effects
        if isinstance(effect, Settle) and not _knows(registry, effect.model_type, effect)
    ]


def _knows(registry: ModelRegistry, name: str, effect: Serve | Settle) -> bool:
    return any(
        entry.version == effect.version and entry.gate == effect.gate
        for entry in registry.promotions(name)
    )


def _pointers(registry: ModelRegistry, fold: Fold, effects: Iterable[Effect]) -> list[Serve]:
    last = {effect.model_type: effect for effect in effects if isinstance(effect, Serve)}
    found = []
    for kind, slot in fold.rooms.slots.items():
        name, served = kind.value, slot.served_version
        wanted = last.get(name)
        if wanted is None or wanted.version != served:
            wanted = Serve(name, served, "recovered")
        # An emergency's version that is promoted serves already, but not for good.
        unsaid = wanted.gate is not None and not _knows(registry, name, wanted)
        if registry.current(name) != served or unsaid:
            found.append(wanted)
    return found

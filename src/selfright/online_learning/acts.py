"""Acts on the models: retrain, promote, roll back, save. Each is written to the log."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from selfright.errors import ConfigError, UnknownNameError
from selfright.events.record import OperatorAct
from selfright.learn.model_type import ModelType
from selfright.loop import retraining
from selfright.online_learning.names import known, own_called
from selfright.online_learning.versions import served, version_of

if TYPE_CHECKING:
    from selfright.loop.retraining import RetrainResult
    from selfright.online_learning.membership import Membership
    from selfright.retrain.manifest import ModelVersion


def retrain(
    member: Membership, model_type: ModelType | str, reason: str, *, full: bool
) -> RetrainResult:
    """Retrain now; one of the user's own always in full. Blocks until there is a result."""
    own = own_called(member, model_type)
    if own is not None:
        member.circle.pump()
        return own.retrain(str(model_type), reason)
    kind = ModelType(known(member, model_type))
    result = retraining.ask(member.circle, model_type=kind, reason=reason, full=full)
    assert result is not None  # without a time limit there is always a result
    return result


def promote(
    member: Membership, model_type: ModelType | str, version: int, *, force: bool
) -> ModelVersion:
    """Let a version serve by hand. Raises ``UnknownNameError``, ``ConfigError``."""
    found = _able_to_serve(version_of(member, model_type, version))
    if found.state not in {"champion", "archived"} and not force:
        raise ConfigError(
            "version", version, "has not passed the gate; pass force=True to serve it anyway"
        )
    return _serve(member, "promote", model_type, version)


def rollback(member: Membership, model_type: ModelType | str, version: int | None) -> ModelVersion:
    """Let the parent of the version that serves serve again, or ``version``.

    Raises ``UnknownNameError`` for a version there is none of, ``ConfigError`` for a
    damaged one.
    """
    name = known(member, model_type)
    version = _parent(member, name) if version is None else version
    _able_to_serve(version_of(member, name, version))
    return _serve(member, "rollback", name, version)


def save(member: Membership) -> dict[str, int]:
    """Save what all models have learnt; return the version of each."""
    saved = {}
    with member.circle.reading() as fold:
        states = {
            kind: (slot.champion.to_state(), slot.version, slot.champion.update_count)
            for kind, slot in fold.rooms.slots.items()
        }
    for kind, (state, parent, samples) in states.items():
        meta = {"reason": "saved", "samples": samples, "retrain_type": "snapshot"}
        version = member.registry.save(kind.value, state, parent=parent, meta=meta)
        _act(member, "promote", kind, {"version": version, "saved": True})
        saved[kind.value] = version
    member.circle.settle(retrainings=False)
    return saved if member.own is None else saved | member.own.save()


def _parent(member: Membership, name: str) -> int:
    current = served(member, name)
    if current is None:
        raise UnknownNameError("version of", name, "it has none yet; a retraining makes the first")
    parent = version_of(member, name, current).parent
    if parent is None:
        raise UnknownNameError(
            "parent version", current, "it is the first; name the version to serve"
        )
    return parent


def _able_to_serve(version: ModelVersion) -> ModelVersion:
    """Return a version that can serve. Raises ``ConfigError`` for a damaged one."""
    if version.state == "quarantined":
        raise ConfigError(
            "version", version.version, f"is quarantined ({version.reason}); name another"
        )
    return version


def _serve(
    member: Membership, verb: str, model_type: ModelType | str, version: int
) -> ModelVersion:
    own = own_called(member, model_type)
    if own is not None:
        member.circle.pump()
        own.serve(str(model_type), version, verb)
        return version_of(member, model_type, version)
    model_type = ModelType(model_type)
    _act(member, verb, model_type, {"version": version})
    member.circle.settle(retrainings=False)
    return version_of(member, model_type, version)


def _act(member: Membership, verb: str, model_type: ModelType, arguments: dict[str, Any]) -> None:
    circle = member.circle
    circle.act(
        OperatorAct(
            act_id=f"{verb}-{uuid.uuid4().hex[:16]}",
            ts_us=circle.clock.now_us(),
            verb="rollback" if verb == "rollback" else "promote",
            target=model_type.value,
            arguments=arguments,
        )
    )
    circle.pump()

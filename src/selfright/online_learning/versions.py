"""Reads the registry: which versions there are, what served when, what two differ in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfright.errors import ConfigError, InvalidEventError, UnknownNameError
from selfright.events.timestamp import parse, parse_text
from selfright.learn.model_type import ModelType
from selfright.online_learning.names import known, names
from selfright.retrain import comparison, history

if TYPE_CHECKING:
    from datetime import datetime

    from selfright.online_learning.membership import Membership
    from selfright.retrain.comparison import Comparison
    from selfright.retrain.history import Promotion, Serving
    from selfright.retrain.manifest import ModelVersion


def versions(member: Membership, model_type: ModelType | str) -> list[ModelVersion]:
    """Return the versions of a model, oldest first; damaged ones with what is wrong."""
    member.catch_up()
    return member.registry.versions(known(member, model_type))


def version_of(member: Membership, model_type: ModelType | str, version: int) -> ModelVersion:
    """Return one version of a model. Raises ``UnknownNameError`` that lists those there are."""
    found = versions(member, model_type)
    for one in found:
        if one.version == version:
            return one
    listed = ", ".join(str(one.version) for one in found) or "none"
    raise UnknownNameError("version", version, f"{model_type} has {listed}")


def served(member: Membership, name: str) -> int | None:
    """Return the version that serves; None before there is any."""
    if name not in set(ModelType):
        return member.registry.current(name)
    with member.circle.reading() as fold:
        return fold.rooms.slots[ModelType(name)].served_version


def promotions(member: Membership, model_type: ModelType | str) -> list[Promotion]:
    """Return the promotion log of a model, oldest first: what served when, and why."""
    member.catch_up()
    return history.promotions(member.registry, known(member, model_type))


def serving_at(
    member: Membership, at: datetime | str | float, model_type: ModelType | str | None
) -> list[Serving]:
    """Return what served at a moment: every model, or one.

    Raises ``ConfigError`` for what is no time, or one that is still to come.
    """
    try:
        ts_us = parse_text(at, "at") if isinstance(at, str) else parse(at, "at")
    except InvalidEventError as error:
        raise ConfigError("at", at, error.reason) from None
    if ts_us > member.circle.clock.now_us():
        raise ConfigError("at", at, "is still to come; name a moment that is over")
    wanted = names(member) if model_type is None else [known(member, model_type)]
    return [history.serving_at(member.registry, name, ts_us) for name in wanted]


def compare(member: Membership, model_type: ModelType | str, before: int, after: int) -> Comparison:
    """Return what two versions of one of the five believe differently.

    Raises ``ConfigError`` for a model of the user's own, ``UnknownNameError`` for a version
    there is none of, and ``CorruptLogError`` for a damaged one.
    """
    name = known(member, model_type)
    if name not in set(ModelType):
        raise ConfigError(
            "model_type", name, "is one of the user's own: compare its versions by loading them"
        )
    found = version_of(member, name, before), version_of(member, name, after)
    stored = member.registry.load(name, before), member.registry.load(name, after)
    return comparison.compare(*stored, found)

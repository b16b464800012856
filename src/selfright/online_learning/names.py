"""Which models there are: the five, those the registry knows, and the user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfright.errors import ConfigError, did_you_mean
from selfright.learn.model_type import ModelType
from selfright.loop.own.models import unregistered

if TYPE_CHECKING:
    from selfright.loop.own.models import OwnModels
    from selfright.online_learning.membership import Membership


def names(member: Membership) -> list[str]:
    """Return the names of all models, also of those that only the registry knows."""
    own = [] if member.own is None else member.own.names()
    return list(dict.fromkeys([*map(str, ModelType), *member.registry.model_types(), *own]))


def known(member: Membership, model_type: ModelType | str) -> str:
    """Return the name of a model there is. Raises ``ConfigError`` for any other."""
    name, found = str(model_type), names(member)
    if name not in found:
        words = ", ".join(found)
        hint = did_you_mean(name, found)
        raise ConfigError(
            "model_type",
            name,
            f"must be one of {words}{hint}; a model of your own is known where register_model "
            "named it, in this very process",
        )
    return name


def one_of_five(model_type: ModelType | str) -> ModelType:
    """Return a type of the five. Raises ``ConfigError`` for any other."""
    try:
        return ModelType(model_type)
    except ValueError:
        words = ", ".join(ModelType)
        hint = did_you_mean(model_type, ModelType)
        raise ConfigError("model_type", model_type, f"must be one of {words}{hint}") from None


def own_called(member: Membership, model_type: ModelType | str) -> OwnModels | None:
    """Return who knows the model of that name, None for one of the five.

    Raises ``ConfigError`` for no model's name, ``UnknownNameError`` for a model of the
    user's own that nobody registered in this process.
    """
    if known(member, model_type) in set(ModelType):
        return None
    if member.own is None:
        raise unregistered(str(model_type))
    return member.own

"""Among what is chosen: agents, routes or parameter sets, by their names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from selfright.errors import ConfigError
from selfright.events.record import MAX_NAME
from selfright.learn.feed import config_key
from selfright.learn.model_type import ModelType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfright.learn.model import Model
    from selfright.loop.fold import Fold

CHOOSING: Final = frozenset(
    {ModelType.AGENT_SELECTION, ModelType.ROUTING, ModelType.PARAMETER_OPTIMIZATION}
)
# Stands for the agent in the outcome of a route or a parameter set that was chosen for none.
UNASSIGNED: Final = "unassigned"
# Agents beyond the most that are told apart.
_OTHER: Final = "_other"


def arms_of(
    fold: Fold, model_type: ModelType, arms: Sequence[Any] | None, served: Model
) -> list[str]:
    """Return the names to choose among; ``arms`` None: all that are known and not gone.

    Raises ``ConfigError`` for none, for one named twice, and for what cannot be a name.
    """
    if arms is None:
        is_agents = model_type is ModelType.AGENT_SELECTION
        found = fold.agents.names if is_agents else served.arm_names()
        absent = {_OTHER, UNASSIGNED, *fold.rooms.absent.retired}
        names = [name for name in found if name not in absent]
    elif model_type is ModelType.PARAMETER_OPTIMIZATION:
        names = [_parameter_set(arm) for arm in arms]
    else:
        names = [_arm(arm) for arm in arms]
    if not names:
        raise ConfigError("candidates", arms, "there is nobody to choose from; name some")
    if len(set(names)) != len(names):
        raise ConfigError("candidates", names, "each may be named once")
    return names


def group_of(
    model_type: ModelType, task_type: str | None, context: Mapping[str, Any] | None
) -> str | None:
    """Return within what is chosen: a task type, or the agent whose parameters they are."""
    if model_type is not ModelType.PARAMETER_OPTIMIZATION:
        return task_type
    name = (context or {}).get("agent_name")
    return name if isinstance(name, str) else None


def _arm(arm: object) -> str:
    if not isinstance(arm, str) or not 0 < len(arm) <= MAX_NAME:
        raise ConfigError("candidates", arm, f"must be names of 1 to {MAX_NAME} characters")
    return arm


def _parameter_set(arm: object) -> str:
    """Return the name of a parameter set, given as a mapping or by that name."""
    found = arm
    if isinstance(arm, str):
        try:
            found = json.loads(arm)
        except ValueError:
            found = None
    if not isinstance(found, Mapping):
        raise ConfigError("candidates", arm, "must be parameter sets: mappings, or their JSON")
    try:
        return config_key(dict(found)) or "{}"
    except (TypeError, ValueError):
        raise ConfigError("candidates", arm, "must hold what JSON can") from None

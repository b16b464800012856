"""What a model expects, in the words of its users."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from selfright.errors import ConfigError
from selfright.learn.model_type import ModelType

if TYPE_CHECKING:
    from selfright.learn.model import Model


def predict(model: Model, **about: Any) -> Any:
    """Return a prediction of ``model``; see ``RealTimeModelUpdater.predict``."""
    task_type, agent_name = about.pop("task_type", None), about.pop("agent_name", None)
    top_k = about.pop("top_k", 3)
    about.pop("context", None)
    if about:
        raise ConfigError(
            "predict", next(iter(about)), "takes task_type, agent_name, context and top_k"
        )
    kind = model.model_type
    if kind is ModelType.AGENT_SELECTION:
        return model.predict(task_type, top_k)
    if kind is ModelType.ROUTING:
        best = model.predict(task_type, 1)
        return {"route": best[0][0], "score": best[0][1]} if best else None
    if kind is ModelType.PARAMETER_OPTIMIZATION:
        best = model.predict(agent_name, 1)
        return json.loads(best[0][0]) if best else None
    if agent_name is None:
        raise ConfigError("agent_name", None, f"{kind.value} needs the agent's name")
    found = model.predict(agent_name, task_type)
    return {"value": found.value, "low": found.low, "high": found.high}

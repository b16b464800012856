"""What a model expects, in the words of its users."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from selfright.errors import ConfigError
from selfright.learn.features import features_of
from selfright.learn.model_type import ModelType

if TYPE_CHECKING:
    from collections.abc import Collection

    from selfright.learn.model import Model


def predict(model: Model, absent: Collection[str], /, **about: Any) -> Any:
    """Return a prediction of ``model``; see ``RealTimeModelUpdater.predict``.

    ``absent`` are agents that are no candidates.
    """
    task_type, agent_name = about.pop("task_type", None), about.pop("agent_name", None)
    top_k = about.pop("top_k", 3)
    features = features_of(about.pop("context", None))
    if about:
        raise ConfigError(
            "predict", next(iter(about)), "takes task_type, agent_name, context and top_k"
        )
    kind = model.model_type
    if kind is ModelType.AGENT_SELECTION:
        found = model.predict(task_type, top_k + len(absent), features)
        return [pair for pair in found if pair[0] not in absent][:top_k]
    if kind is ModelType.ROUTING:
        best = model.predict(task_type, 1, features)
        return {"route": best[0][0], "score": best[0][1]} if best else None
    if kind is ModelType.PARAMETER_OPTIMIZATION:
        best = model.predict(agent_name, 1)
        return json.loads(best[0][0]) if best else None
    if agent_name is None:
        raise ConfigError("agent_name", None, f"{kind.value} needs the agent's name")
    guess = model.predict(agent_name, task_type)
    return {"value": guess.value, "low": guess.low, "high": guess.high}

"""The five models of a fleet, by the names the outside world uses."""

from __future__ import annotations

from enum import StrEnum


class ModelType(StrEnum):
    """What a model decides or predicts.

    Three choose and are judged by the reward that followed; two predict a number and are
    judged by the error. A member is its own string, so that it can stand in JSON, in a
    path and in a URL as it is.
    """

    AGENT_SELECTION = "agent_selection"
    PARAMETER_OPTIMIZATION = "parameter_optimization"
    ROUTING = "routing"
    QUALITY_PREDICTION = "quality_prediction"
    LATENCY_PREDICTION = "latency_prediction"

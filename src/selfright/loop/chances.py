"""What the circle knows of agents that may be tried one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from selfright.errors import ConfigError
from selfright.learn.cascade import Chances
from selfright.learn.choice import ChoiceModel
from selfright.learn.model_type import ModelType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from selfright.loop.control import Circle
    from selfright.loop.fold import Fold

_AFTER_FAILURE: Final = "after failure"


def after_failure(task_type: str | None) -> str:
    """Return the task type of a task that another agent has failed at."""
    return _AFTER_FAILURE if task_type is None else f"{task_type} {_AFTER_FAILURE}"


def chances_of(
    circle: Circle, names: Sequence[str], task_type: str | None, costs_usd: Mapping[str, float]
) -> Chances:
    """Return what is believed of each agent's success, and what its runs cost.

    Whoever asks holds the circle's lock. Raises ``ConfigError`` for a cost that is none.
    """
    fold = circle.fold
    model = fold.rooms.slots[ModelType.AGENT_SELECTION].served
    assert isinstance(model, ChoiceModel)  # the selection is one
    cost_usd, latency_s = _measured(circle, fold, names, costs_usd)
    policy = fold.rooms.feed.policy
    lost = policy.w_cost * cost_usd + policy.w_latency * latency_s
    most_lost = policy.w_cost * policy.cost_bound_usd + policy.w_latency * policy.latency_bound_s
    scale = (policy.w_success + most_lost) / policy.w_success

    def in_group(group: str | None) -> tuple[np.ndarray, np.ndarray]:
        reward, variance = model.posterior(names, group)
        # Rewards hold cost and latency already; here they are counted by themselves.
        success = (reward * (policy.w_success + most_lost) + lost - most_lost) / policy.w_success
        spread = scale * np.sqrt(variance * model.tempering(len(names)))
        return np.clip(success, 0.0, 1.0), spread

    first, later = in_group(task_type), in_group(after_failure(task_type))
    return Chances(*first, *later, cost_usd)


def _measured(
    circle: Circle, fold: Fold, names: Sequence[str], costs_usd: Mapping[str, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean cost in dollars and mean latency in seconds of each agent, float64[n]."""
    metrics = fold.rooms.metrics
    now_us = fold.now_us if fold.policy.file_clock else circle.clock.now_us()
    window_minutes = metrics.policy.horizon_minutes
    cost, latency = np.full(len(names), np.nan), np.full(len(names), np.nan)
    codes = [code for name in names if (code := fold.agents.get(name)) is not None]
    known = [fold.agents.names[code] for code in codes]
    place = {name: i for i, name in enumerate(names)}
    for agent in metrics.performances(codes, known, [None] * len(codes), now_us, window_minutes):
        i, seen = place[agent.agent_name], agent.metrics
        cost[i] = np.nan if seen.cost_per_task is None else seen.cost_per_task
        latency[i] = np.nan if seen.avg_latency_ms is None else seen.avg_latency_ms / 1e3
    for name, given in costs_usd.items():
        if not 0 <= given < float("inf"):
            raise ConfigError(f"costs_usd[{name!r}]", given, "must be a finite number from 0")
        if name in place:
            cost[place[name]] = given
    return _filled(cost), _filled(latency)


def _filled(values: np.ndarray) -> np.ndarray:
    """Return values with the mean of the known ones where nothing is known; 0 without any."""
    known = values[~np.isnan(values)]
    usual = float(known.mean()) if known.size else 0.0
    filled: np.ndarray = np.where(np.isnan(values), usual, values)
    return filled

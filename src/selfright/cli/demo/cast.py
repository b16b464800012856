"""Who plays: 24 agents with known true quality, and what happens to the best of them."""

from __future__ import annotations

from typing import Final

import numpy as np

from selfright.testing.fleet import AgentModel, FleetModel, Shift

# What the fleet is asked to do, and how often each.
TASK_TYPES: Final = {"coding": 0.4, "research": 0.35, "support": 0.25}
_NAMES: Final = ("atlas", "birch", "cedar", "delta", "ember", "flint", "grove", "heron")
# Accuracy of the best agent of a trade in its own trade, and of everybody in the others.
# All lie above the default threshold of .70: a healthy fleet raises no alert.
_BEST: Final = 0.97
_OTHERS: Final = (0.80, 0.90)
_OFF_TRADE: Final = (0.78, 0.84)
# Its own accuracy once it has tipped over: somebody changed a prompt.
SICK_ACCURACY: Final = 0.35
SICK: Final = "atlas-coding"


def fleet_model(drift_at_s: float, label_delay_s: float, seed: int) -> FleetModel:
    """Return the fleet: eight agents of each trade, each better in its own.

    Parameters
    ----------
    drift_at_s
        When the best agent tips over, seconds after the start. Nobody repairs it.
    label_delay_s
        Mean time until the real outcome of a run is known.
    """
    rng = np.random.default_rng(seed)
    sick = Shift(SICK, at_s=drift_at_s, accuracy=SICK_ACCURACY)
    agents = tuple(
        _agent(name, trade, rank, rng) for trade in TASK_TYPES for rank, name in enumerate(_NAMES)
    )
    return FleetModel(agents, (sick,), task_types=TASK_TYPES, label_delay_s=label_delay_s)


def _agent(name: str, trade: str, rank: int, rng: np.random.Generator) -> AgentModel:
    own = _BEST if rank == 0 else float(rng.uniform(*_OTHERS))
    others = {kind: float(rng.uniform(*_OFF_TRADE)) for kind in TASK_TYPES if kind != trade}
    return AgentModel(
        name=f"{name}-{trade}",
        agent_type=trade,
        success_rate=0.99,
        accuracy=own,
        by_task_type={trade: own, **others},
        latency_ms=float(rng.uniform(400.0, 1_500.0)),
        cost_usd=float(rng.uniform(0.002, 0.03)),
        tokens=int(rng.integers(400, 2_000)),
    )

"""What was chosen: one arm with its exact probability, or agents to try in turn."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from selfright.loop.chances import after_failure


@dataclass(frozen=True, slots=True)
class Decision:
    """What was chosen, and with which probability it was.

    ``probabilities`` has one for every candidate and sums to 1; the choice was drawn
    from exactly these. ``agent_name`` is the arm, whatever the model chooses among.
    """

    decision_id: str
    agent_name: str
    probability: float
    probabilities: dict[str, float]
    model_version: int
    mode: str

    @property
    def arm(self) -> str:
        """The choice: an agent, a route, or the name of a parameter set."""
        return self.agent_name

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameter set that was chosen. Raises ``ValueError`` for another choice."""
        found: dict[str, Any] = json.loads(self.agent_name)
        return found


@dataclass(frozen=True, slots=True)
class Cascade:
    """Agents to try one after the other until one succeeds.

    Attributes
    ----------
    decision
        The choice of the first one, with its exact probability.
    agents
        The agents in their order.
    expected_success, expected_cost_usd
        What is expected of the whole chain.
    """

    decision: Decision
    agents: tuple[str, ...]
    task_type: str | None
    expected_success: float
    expected_cost_usd: float

    @property
    def task_types(self) -> tuple[str | None, ...]:
        """The task type to record each step's run with.

        What others have failed at is another type of task: counted with the rest, it would
        make whoever comes second look worse than it is.
        """
        after = after_failure(self.task_type)
        return (self.task_type, *[after] * (len(self.agents) - 1))

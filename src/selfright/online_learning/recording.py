"""Takes in what happened: events, and what came of decisions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from selfright.errors import ConfigError, UnknownNameError
from selfright.events.record import Decision as DecisionRecord
from selfright.learn.model_type import ModelType
from selfright.loop.outcome_event import record_event
from selfright.online_learning.arms import UNASSIGNED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from selfright.events.record import AnyAct
    from selfright.loop.control import Circle
    from selfright.loop.outcome_event import OutcomeEvent
    from selfright.online_learning.membership import Membership


def submit(member: Membership, events: Iterable[OutcomeEvent | Mapping[str, Any]]) -> int:
    """Record events; return how many. Raises ``InvalidEventError`` at the first bad one."""
    count = 0
    for event in events:
        record_event(member.circle, event)
        count += 1
    member.settle()
    return count


def record_outcome(
    member: Membership,
    decision_id: str,
    score: float | None,
    status: str | None,
    cost: float | None,
    latency_ms: float | None,
) -> None:
    """Record what came of a decision: a run, and its outcome where there is a score.

    Raises ``ConfigError`` without score and status, ``UnknownNameError`` for a decision
    that nobody made, ``InvalidEventError`` for a bad value.
    """
    if score is None and status is None:
        raise ConfigError("reward", None, "give reward, accuracy_score or status")
    circle = member.circle
    made = _decision(circle, decision_id)
    about = _about(made)
    run_id = f"decision:{decision_id}"
    now_us = circle.clock.now_us()
    rows = [
        circle.door.run(
            run_id, about["agent_name"], "agent", status or "success", latency_ms, None, cost,
            None, None, None, None, None, None, None, None, None, None, 0, None,
            made.task_type, made.context, decision_id, None, None, None, about["config"],
            about["route"], now_us,
        )
    ]  # fmt: skip
    if score is not None:
        rows.append(
            circle.door.outcome(
                about["agent_name"], None, None, None, "decision", None, None, score, None,
                run_id, now_us,
            )
        )  # fmt: skip
    for row in rows:
        circle.inbox.put(row)
    member.settle()


def _decision(circle: Circle, decision_id: str) -> DecisionRecord:
    found: AnyAct | None = circle.fold.decisions.get(decision_id)
    if found is None:
        circle.pump()
        found = circle.fold.decisions.get(decision_id) or circle.log.find_act(decision_id)
    if not isinstance(found, DecisionRecord):
        raise UnknownNameError("decision", decision_id, "it was never made, or is forgotten")
    return found


def _about(made: DecisionRecord) -> dict[str, Any]:
    """Return whose run a decision led to, and by which route or parameters."""
    context = made.context or {}
    about: dict[str, Any] = {"agent_name": made.arm, "route": None, "config": None}
    if made.model_type == ModelType.ROUTING.value:
        about.update(agent_name=context.get("agent_name", UNASSIGNED), route=made.arm)
    elif made.model_type == ModelType.PARAMETER_OPTIMIZATION.value:
        about.update(agent_name=context.get("agent_name", UNASSIGNED), config=json.loads(made.arm))
    return about

"""Events as they come through the door, for the tests of this room."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from selfright.events.batch import Intake
from selfright.events.door import Door
from selfright.events.raw import outcome_batch, run_batch
from selfright.events.record import OperatorAct

DOOR = Door(lambda predicted, actual: float(predicted == actual), clamp_future=False)
RUN = {
    "agent_name": "planner", "agent_type": "agent", "status": "success", "now_us": 1_000_000,
    "retry_count": 0,
    **dict.fromkeys((
        "duration_ms", "tokens_used", "cost", "memory_mb", "cpu_ms", "quality_score", "confidence",
        "error_type", "metadata", "timestamp", "tokens_in", "tokens_out", "api_calls", "task_id",
        "task_type", "context", "decision_id", "agent_version", "parent_run_id", "session_id",
        "config", "route",
    )),
}  # fmt: skip
OUTCOME = {
    "agent_name": "planner", "feedback_source": "user", "accuracy_score": 1.0, "now_us": 1_000_000,
    **dict.fromkeys((
        "task_id", "predicted_outcome", "actual_outcome", "metadata", "timestamp", "outcome_id",
        "run_id",
    )),
}  # fmt: skip


def run(run_id, **fields):
    """Return a run as the door passes it."""
    return DOOR.run(run_id, **{**RUN, **fields})


def outcome(**fields):
    """Return an outcome as the door passes it."""
    return DOOR.outcome(**{**OUTCOME, **fields})


def act(act_id):
    """Return some act."""
    return OperatorAct(act_id=act_id, ts_us=5, verb="mute", target="a", arguments={})


def intake(runs=(), outcomes=(), acts=()):
    """Return an intake: runs, then outcomes, then acts."""
    n = len(runs)
    return Intake.of(
        run_batch(list(runs)),
        outcome_batch(list(outcomes), np.arange(n, n + len(outcomes), dtype=np.int64)),
        acts,
    )


@pytest.fixture
def make():
    """Builders of runs, outcomes, acts and intakes."""
    return SimpleNamespace(run=run, outcome=outcome, act=act, intake=intake)

"""Watch and trigger together on simulated agents: quick where it matters, rarely wrong.

Outcomes are drawn once per scenario from a seed; every attempt is rejected at once, which
leaves the evidence as it was and so is the worst case for false attempts.
"""

from __future__ import annotations

import numpy as np
import pytest

from selfright.detect.detection import SYSTEM
from selfright.detect.policy import WatchPolicy
from selfright.detect.watch import FleetWatch
from selfright.events.record import GateRecord, RetrainFinished
from selfright.retrain.trigger import Request, Trigger, TriggerPolicy

POLICY = WatchPolicy(0.8, 0.15, 0.7, 5000.0, 1.0, 1024.0, 5000.0)
SECOND = 1_000_000


def attempts(outcomes, step_us, verdict="rejected"):
    """Yield at which outcomes an attempt is made, for an agent that is the whole fleet."""
    watch, trigger = FleetWatch(POLICY), Trigger(TriggerPolicy())
    for i, good in enumerate(outcomes.tolist()):
        now = i * step_us
        row = (-1, -1, float(good), -1, -1, -1, -1)
        for detection in watch.update_run(0, row, now, i):
            trigger.observe(detection)
        if not watch.standing_scopes:
            continue
        asked = trigger.decide(watch, 0, now, i, lambda scope: None if scope < 0 else "agent")
        if isinstance(asked, Request):
            yield i, asked.act
            trigger.note_started(asked.act, now)
            trigger.note_finished(result(asked.act, verdict), now)
            if verdict == "promoted":
                watch.note_retraining(0)
                watch.note_retraining(SYSTEM)


def result(act, verdict):
    """Return the record of a retraining's end."""
    return RetrainFinished(
        act_id=f"{act.act_id}:done",
        ts_us=0,
        retrain_id=act.act_id,
        model_type=act.model_type,
        retrain_type=act.mode,
        state="done",
        reason="",
        automatic=True,
        agents=act.agents,
        gate=GateRecord(verdict=verdict),
    )


@pytest.mark.parametrize(("rate", "most"), [(0.75, 0.3), (0.80, 0.05)])
@pytest.mark.parametrize("step_s", [1, 10])
def test_a_healthy_agent_is_left_alone(rate, most, step_s):
    """Attempts in 5,000 outcomes of a healthy agent, on average over 40 agents."""
    rng = np.random.default_rng(3)
    made = [len(list(attempts(rng.random(5000) < rate, step_s * SECOND))) for _ in range(40)]
    assert np.mean(made) <= most


@pytest.mark.parametrize("step_s", [1, 10])
def test_a_drop_is_acted_on_soon(step_s):
    """From .90 to .65: the first attempt after a median of at most 230 outcomes."""
    rng = np.random.default_rng(4)
    delays = []
    for _ in range(60):
        outcomes = np.concatenate([rng.random(1000) < 0.90, rng.random(2000) < 0.65])
        made = attempts(outcomes, step_s * SECOND)
        delays.append(next(at - 1000 for at, _ in made if at >= 1000))
    assert np.median(delays) <= 230


def test_an_agent_that_never_was_good():
    """Always .65: the first attempt after a median of at most 100 outcomes."""
    rng = np.random.default_rng(5)
    first = [next(attempts(rng.random(2000) < 0.65, 10 * SECOND))[0] + 1 for _ in range(100)]
    assert np.median(first) <= 100


def test_one_incident_is_one_cause():
    """The agent is the whole fleet: one attempt about it, the fleet named beside it."""
    rng = np.random.default_rng(6)
    outcomes = np.concatenate([rng.random(500) < 0.95, rng.random(250) < 0.4])
    made = list(attempts(outcomes, 10 * SECOND, "promoted"))
    assert {tuple(act.agents) for _, act in made} == {("agent",)}
    assert {cause["agent_name"] for cause in made[0][1].causes} == {None, "agent"}


def test_a_retraining_that_does_not_help_is_followed_by_a_full_one():
    """Promoted twice and still bad: the third is full, once."""
    rng = np.random.default_rng(7)
    outcomes = np.concatenate([rng.random(500) < 0.95, rng.random(1500) < 0.4])
    modes = [act.mode for _, act in attempts(outcomes, 10 * SECOND, "promoted")]
    assert modes[:3] == ["incremental", "incremental", "full"]
    assert modes.count("full") == 1

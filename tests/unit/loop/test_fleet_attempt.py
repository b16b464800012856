"""A retraining that the fleet as a whole asked for is one about its agents, too."""

from __future__ import annotations

from selfright.config import with_values
from selfright.errors import StorageError
from selfright.events.record import SettingsApplied
from selfright.retrain.registry import MemoryRegistry


class Full(MemoryRegistry):
    """A registry that cannot keep a version: every retraining fails at once."""

    def save(self, *arguments, **named):
        raise StorageError("models", "full")


def test_no_agent_asks_again_right_after_the_fleet_did(kept):
    """Each has its own pause, which begins with the attempt that was about it."""
    kept.registry = Full(kept.clock)
    # Nobody becomes certain: what is certain of an agent does not wait for its pause.
    kept.settings = with_values(kept.settings, {"detect.run_length": 1e15})
    circle = kept.open()
    on = SettingsApplied(act_id="on", ts_us=kept.clock.now_us(), settings={"automatic": True})
    circle.act(on)
    for agent in "abcd":
        kept.runs(circle, agent, 15, 0.65)
    circle.pump()
    (first,) = circle.fold.trials.retrainings.values()
    assert (first.automatic, first.agents, first.state) == (True, [], "failed")
    kept.clock.advance(20.0)
    kept.runs(circle, "a", 150, 0.65)
    circle.pump()
    assert len(circle.fold.trials.retrainings) == 1
    held = [item for item in circle.fold.rooms.trigger.suppressed if item.agent_name == "a"]
    assert {item.reason.value for item in held} == {"cooldown"}
    kept.clock.advance(900.0)
    kept.runs(circle, "a", 150, 0.65)
    circle.pump()
    assert len(circle.fold.trials.retrainings) == 2


def test_what_becomes_certain_about_an_agent_is_tried_at_once_and_once(kept):
    """Its pause is passed by one attempt; the next waits for its time."""
    kept.registry = Full(kept.clock)
    circle = kept.open()
    on = SettingsApplied(act_id="on", ts_us=kept.clock.now_us(), settings={"automatic": True})
    circle.act(on)
    for agent in "abcd":
        kept.runs(circle, agent, 15, 0.2)
    circle.pump()
    kept.clock.advance(20.0)
    kept.runs(circle, "a", 30, 0.2)
    circle.pump()
    first, second = circle.fold.trials.retrainings.values()
    assert (first.agents, second.agents) == ([], ["a"])
    assert circle.fold.trials.retrainings[second.retrain_id].retrain_type == "incremental"
    kept.clock.advance(20.0)
    kept.runs(circle, "a", 20, 0.2)
    circle.pump()
    assert len(circle.fold.trials.retrainings) == 2

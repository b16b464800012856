"""A retraining under way: how far it is, how it is ended, and how it goes on after a crash."""

from __future__ import annotations

import threading

import msgspec
import pytest

from selfright.errors import ConfigError, UnknownNameError
from selfright.learn.model_type import ModelType
from selfright.loop.retraining import ask, cancel, find
from selfright.loop.view import FleetView
from selfright.retrain.registry import MemoryRegistry

SELECTION = ModelType.AGENT_SELECTION


class Slow(MemoryRegistry):
    """A registry that takes as long to save as it is told to."""

    def __init__(self, clock):
        super().__init__(clock)
        self.reached, self.free = threading.Event(), threading.Event()

    def versions(self, model_type):
        """Wait where a full retraining looks for a version that it has saved before."""
        if threading.current_thread().name == "selfright-retrain":
            self.reached.set()
            assert self.free.wait(30)
        return super().versions(model_type)

    def save(self, *args, **kwargs):
        """Wait here, too, for the sake of incremental ones."""
        if threading.current_thread().name == "selfright-retrain":
            self.reached.set()
            assert self.free.wait(30)
        return super().save(*args, **kwargs)


def full(kept, name="by-hand"):
    """Return a request for a full retraining."""
    return msgspec.structs.replace(kept.request(name, automatic=False), mode="full")


def test_one_that_waits_for_its_turn_is_cancelled_and_one_that_runs_shows_its_share(kept):
    """The first holds the worker; the second, of another model, is aborted when it gets there."""
    registry = kept.registry = Slow(kept.clock)
    circle = kept.open()
    kept.runs(circle, "a", 50, 0.5)
    circle.start()
    assert circle.retrain(full(kept, "first"), 0.0) is None
    assert registry.reached.wait(30)
    (running,) = FleetView(circle).retrainings(10)
    assert (running["state"], running["progress"]) == ("running", 0.8)
    other = msgspec.structs.replace(full(kept, "second"), model_type="latency_prediction")
    assert circle.retrain(other, 0.0) is None
    assert find(circle, "second")["progress"] == 0.0
    assert cancel(circle, "second", "not needed", 0.0)["state"] == "running"
    registry.free.set()
    circle.settle()
    second = find(circle, "second")
    assert (second["state"], second["error"]) == ("aborted", "not needed")
    assert circle.fold.trials.running(ModelType.LATENCY_PREDICTION) is None
    assert find(circle, "first")["state"] == "pending"
    with pytest.raises(ConfigError, match="on trial"):
        cancel(circle, "first", "too late")
    with pytest.raises(ConfigError, match="is aborted already"):
        cancel(circle, "second", "again")
    with pytest.raises(UnknownNameError):
        cancel(circle, "third", "who?")


def test_one_that_a_crash_interrupted_goes_on_at_the_next_start(kept):
    """Until then it can be seen, and cancelled."""
    circle = kept.open()
    kept.runs(circle, "a", 50, 0.5)
    circle.act(full(kept, "one"))  # the process ends before anything is folded
    again = kept.open()
    assert find(again, "one")["state"] == "running"
    again.start()
    again.settle()
    assert find(again, "one")["state"] == "pending"


def test_one_that_nobody_goes_on_with_can_be_cancelled(kept):
    """The next one is free to start, then."""
    circle = kept.open()
    kept.runs(circle, "a", 50, 0.5)
    circle.act(full(kept, "one"))
    again = kept.open()
    assert cancel(again, "one", "not any more")["error"] == "not any more"
    assert again.fold.trials.running(SELECTION) is None
    third = kept.open()
    assert find(third, "one")["state"] == "aborted"
    result = ask(third, model_type=SELECTION, reason="anew", full=True)
    assert result is not None
    assert result["state"] == "pending"


def test_who_asks_for_another_one_finds_the_interrupted_one_done(kept):
    """A command on a directory that nobody serves goes on with it first."""
    circle = kept.open()
    kept.runs(circle, "a", 50, 0.5)
    circle.act(full(kept, "one"))
    again = kept.open()
    result = ask(again, model_type=SELECTION, reason="anew", full=True)
    assert result is not None
    assert not result["success"]
    assert "one is under way or on trial" in result["error"]
    assert find(again, "one")["state"] == "pending"

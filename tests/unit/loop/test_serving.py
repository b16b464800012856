"""Fold and registry agree on what serves, whenever the process ended."""

from __future__ import annotations

import uuid

import pytest

from selfright import PerformanceMonitor, RealTimeModelUpdater
from selfright.errors import StorageError
from selfright.events.record import OperatorAct
from selfright.learn.model_type import ModelType
from selfright.log.memory import MemoryLog
from selfright.loop.saved import encode_state
from selfright.retrain.registry import MemoryRegistry

SELECTION = "agent_selection"


def _served(circle):
    return circle.fold.rooms.slots[ModelType.AGENT_SELECTION].served_version


def _state(circle):
    return encode_state(circle.fold.to_state())


def _promote(kept, verb, version):
    return OperatorAct(
        act_id=f"{verb}-{version}",
        ts_us=kept.clock.now_us(),
        verb="rollback" if verb == "rollback" else "promote",
        target=SELECTION,
        arguments={"version": version},
    )


class Refusing(MemoryRegistry):
    """A registry whose process ends before it hears of anything new."""

    ended = False

    def promote(self, *arguments, **named):
        if self.ended:
            raise StorageError("models", "the process ended")
        super().promote(*arguments, **named)

    def withdraw(self, *arguments, **named):
        if self.ended:
            raise StorageError("models", "the process ended")
        super().withdraw(*arguments, **named)

    def settle(self, *arguments, **named):
        if self.ended:
            raise StorageError("models", "the process ended")
        super().settle(*arguments, **named)


def test_a_first_version_that_is_rejected_serves_no_more(kept):
    """Neither in the fold nor in the registry, now and after a restart."""
    circle = kept.open()
    kept.emergency(circle)
    assert (_served(circle), kept.registry.current(SELECTION)) == (1, 1)
    kept.until_decided(circle, success=0.95)
    assert circle.fold.trials.retrainings["emergency"].gate.verdict == "rejected"
    assert (_served(circle), kept.registry.current(SELECTION)) == (None, None)
    last = kept.registry.promotions(SELECTION)[-1]
    assert (last.event, last.version, last.reason) == ("withdrawn", 1, "reverted")
    assert kept.registry.serving_at(SELECTION, kept.clock.now_us()) is None
    adopted = circle.fold.trials.adoptions[-1]
    assert (adopted.verdict, adopted.version, adopted.parent_version) == ("reverted", 0, 1)
    again = kept.open()
    assert (_served(again), kept.registry.current(SELECTION)) == (None, None)
    assert _state(again) == _state(circle)


def test_a_new_fold_begins_with_what_served_then(kept):
    """Not with what serves now, which has learnt from the log already."""
    circle = kept.open()
    kept.emergency(circle)
    kept.until_decided(circle, success=0.3)
    assert (_served(circle), kept.registry.current(SELECTION)) == (1, 1)
    again = kept.open()
    assert _state(again) == _state(circle)


def test_a_new_log_begins_with_what_serves(kept):
    """A registry that outlived its log is what the models go on from."""
    circle = kept.open()
    kept.emergency(circle)
    kept.until_decided(circle, success=0.3)
    kept.clock.advance(1.0)
    kept.log = MemoryLog()
    assert _served(kept.open()) == 1


@pytest.mark.allow_errors
@pytest.mark.parametrize(("success", "serves"), [(0.3, 1), (0.95, None)])
def test_a_verdict_that_the_registry_missed_is_made_up_for(kept, success, serves):
    """The process ended between the log's record and the registry's."""
    registry = kept.registry = Refusing(kept.clock)
    circle = kept.open()
    kept.emergency(circle)
    registry.ended = True
    kept.until_decided(circle, success=success)
    assert registry.promotions(SELECTION)[-1].reason == "emergency"
    registry.ended = False
    again = kept.open()
    assert (_served(again), registry.current(SELECTION)) == (serves, serves)
    (version,) = registry.versions(SELECTION)
    assert version.gate == circle.fold.trials.retrainings["emergency"].gate
    entries = len(registry.promotions(SELECTION))
    kept.open()
    assert len(registry.promotions(SELECTION)) == entries, "made up for once"


@pytest.mark.parametrize("verb", ["rollback", "promote"])
def test_what_an_operator_said_is_done_after_a_restart(kept, verb):
    """Also if the process ended before anything followed from it."""
    circle = kept.open()
    kept.emergency(circle)
    kept.until_decided(circle, success=0.3)
    kept.emergency(circle, "another")
    assert kept.registry.current(SELECTION) == 2
    circle.act(_promote(kept, verb, 1))  # the process ends before this is folded
    again = kept.open()
    assert (_served(again), kept.registry.current(SELECTION)) == (1, 1)
    assert kept.registry.promotions(SELECTION)[-1].reason == verb
    gate = kept.registry.versions(SELECTION)[1].gate
    assert gate is not None, "the version whose trial this ended has a verdict"
    assert gate.verdict == "inconclusive"


def test_a_rollback_says_from_where_to_where(kept):
    """In the record of what serves, and so in the alert."""
    circle = kept.open()
    kept.emergency(circle)
    kept.until_decided(circle, success=0.3)
    kept.emergency(circle, "another")
    kept.until_decided(circle, success=0.3)
    assert _served(circle) == 2
    circle.act(_promote(kept, "rollback", 1))
    circle.pump()
    adopted = circle.fold.trials.adoptions[-1]
    assert (adopted.verdict, adopted.version, adopted.parent_version) == ("rollback", 1, 2)


def test_a_forced_promotion_is_recorded_as_forced(kept):
    """With the registry, too, where versions are looked up."""
    circle = kept.open()
    kept.runs(circle, "a", 100, 0.5)
    circle.act(kept.request("by-hand", "a", automatic=False))
    circle.pump()
    assert kept.registry.current(SELECTION) is None
    circle.act(_promote(kept, "promote", 1))
    circle.pump()
    (version,) = kept.registry.versions(SELECTION)
    assert version.gate is not None
    assert version.gate.verdict == "forced"
    assert _state(kept.open()) == _state(circle)


def test_a_level_accepted_as_normal_stays_so_after_a_restart(kept):
    """The act is all there is to it: folded or not, the next process knows."""
    circle = kept.open()
    kept.runs(circle, "a", 100, 0.3)
    circle.pump()
    assert circle.fold.rooms.book.active()
    circle.act(
        OperatorAct(
            act_id="ok",
            ts_us=kept.clock.now_us(),
            verb="accept_as_normal",
            target="a",
            arguments={},
        )
    )
    again = kept.open()
    about_a = [alert for alert in again.fold.rooms.book.active() if alert.agent_name == "a"]
    assert about_a == []
    circle.pump()
    assert _state(again) == _state(circle)


def test_what_was_saved_serves_after_a_restart_and_learns_on(tmp_path):
    """A save gives what serves a number; it takes nothing back that was learnt since."""
    url = f"sqlite:///{tmp_path / 'e.db'}"

    def open_monitor():
        updater = RealTimeModelUpdater(model_storage_path=str(tmp_path / "models"))
        return PerformanceMonitor(database_url=url, model_updater=updater), updater

    def run(monitor, count):
        for _ in range(count):
            name = uuid.uuid4().hex
            monitor.record_agent_run(name, "a", "llm", "success", 10.0)
        monitor.flush()

    monitor, updater = open_monitor()
    run(monitor, 20)
    assert updater.save()[SELECTION] == 1
    run(monitor, 5)
    before = _state(monitor.circle)
    monitor.close()
    monitor, updater = open_monitor()
    assert (_served(monitor.circle), updater.registry.current(SELECTION)) == (1, 1)
    assert _state(monitor.circle) == before
    model = monitor.circle.fold.rooms.slots[ModelType.AGENT_SELECTION].served
    assert model.update_count == 25
    monitor.close()

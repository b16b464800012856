"""Retrainings of a user's model are listed with their verdicts like all others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from selfright import ModelType
from selfright.errors import StorageError
from selfright.events.record import OperatorAct
from selfright.loop.own.told import Told
from selfright.loop.retraining import find

MINE = "mine"

Make = Callable[..., Any]


def test_they_are_listed_with_their_verdict(open_place: Make, constant: Make) -> None:
    """Pending, then decided; in their order among the others, and after a restart."""
    place = open_place(lambda: constant(before=0.9, after=0.2))
    place.run(100, 0.9)
    before = place.monitor.trigger_retraining("the fleet's")
    result = place.updater.trigger_retraining(MINE, "mine")
    after = place.monitor.trigger_retraining("another", model_type=ModelType.LATENCY_PREDICTION)
    listed = [one.retrain_id for one in place.monitor.get_retrainings()]
    assert listed == [before.retrain_id, result.retrain_id, after.retrain_id]
    told = place.retraining(result)
    assert (told.success, told.state, told.promoted) == (True, "pending", False)
    assert (told.model_type, told.retrain_type, told.reason) == (MINE, "full", "mine")
    assert (told.events_processed, told.agents_tracked) == (100, 1)
    assert (told.version, told.parent_version) == (2, 1)
    assert told.gate["verdict"] == "pending"
    assert told.duration_ms > 0
    assert dict(told) == dict(result)
    place.run(60, 0.9)
    told = place.retraining(result)
    assert (told.state, told.gate["verdict"], told.gate["loss"]) == ("done", "rejected", "score")
    assert find(place.monitor.circle, result.retrain_id) == told
    assert place.open().retraining(result) == told
    assert place.updater.get_metrics().rejected == 1
    report = place.monitor.generate_report()
    assert result.retrain_id in {one["retrain_id"] for one in report["retrainings"]}
    assert "mine" in place.monitor.generate_report(format="html")


def test_the_gate_has_decided_by_the_time_it_is_asked(open_place: Make, constant: Make) -> None:
    """Not started, models of the user's own learn when something is read of them."""
    place = open_place(lambda: constant(before=0.9, after=0.2))
    place.run(100, 0.9)
    result = place.updater.trigger_retraining(MINE)
    for i in range(60):
        place.monitor.record_agent_run(f"late-{i}", "a", "llm", "success", 1.0)
    assert place.retraining(result).gate["verdict"] == "rejected"
    assert find(place.monitor.circle, result.retrain_id).state == "done"


def test_each_is_told_once_as_an_info_alert(open_place: Make, constant: Make) -> None:
    """As the retrainings of the five are."""
    place = open_place(lambda: constant(before=0.9, after=0.2))
    place.run(100, 0.9)
    place.updater.trigger_retraining(MINE)
    assert not place.alerts("retraining")
    place.run(60, 0.9)
    (alert,) = place.alerts("retraining")
    assert alert.level == "info"
    assert "full retraining of mine: version 2 rejected, version 1 stays" in alert.message


def test_one_that_failed_is_listed_and_critical(open_place: Make, constant: Make) -> None:
    """Until the next ends well. An attempt that could not begin is only returned."""

    class Broken(constant):  # type: ignore[misc,valid-type]
        def refit(self, events: list[Any]) -> None:
            if self.seen < 150:
                raise RuntimeError("not yet")
            super().refit(events)

    place = open_place(lambda: Broken(before=0.9, after=0.2))
    nothing = place.updater.trigger_retraining(MINE)
    assert (nothing.success, nothing.retrain_id) == (False, None)
    assert nothing.error == "no events to learn from yet"
    assert not place.monitor.get_retrainings()
    place.run(100, 0.9)
    result = place.updater.trigger_retraining(MINE)
    told = place.retraining(result)
    assert (told.success, told.state, told.error) == (False, "failed", "RuntimeError: not yet")
    assert [a.state for a in place.alerts("retraining") if a.level == "critical"] == ["firing"]
    place.run(100, 0.9)
    again = place.updater.trigger_retraining(MINE)
    refused = place.updater.trigger_retraining(MINE)
    assert refused.error == f"retraining {again.retrain_id} is on trial"
    place.run(60, 0.9)
    assert place.retraining(again).state == "done"
    assert not [a for a in place.alerts("retraining") if a.state == "firing"]
    assert len(place.monitor.get_retrainings()) == 2


def test_they_do_not_count_for_the_five(open_place: Make, constant: Make) -> None:
    """Neither as under way nor against the trigger's pauses."""
    place = open_place(lambda: constant(before=0.9, after=0.2))
    place.run(100, 0.9)
    result = place.updater.trigger_retraining(MINE)
    with place.monitor.circle.reading() as fold:
        assert all(fold.trials.running(kind) is None for kind in ModelType)
        assert not fold.trials.unfinished()
    assert result.state == "pending"
    assert place.monitor.trigger_retraining("the fleet's").success


def test_what_the_log_refuses_is_offered_again() -> None:
    """In its order, once it takes something again; until then the failure is shown."""
    kept: list[str] = []
    said: list[str] = []
    full = True

    def act(one: Any) -> None:
        if full:
            raise StorageError("log", "no space left")
        kept.append(one.act_id)

    def acts(*names: str) -> list[OperatorAct]:
        return [
            OperatorAct(act_id=name, ts_us=0, verb="mute", target="", arguments={})
            for name in names
        ]

    told = Told(act, lambda where, error: said.append(f"{where}: {error}"))
    for one in acts("first", "second"):
        told.tell(one)
    assert not kept
    assert "no space left" in said[0]
    full = False
    for one in acts("third"):
        told.tell(one)
    told.flush()
    assert kept == ["first", "second", "third"]


@pytest.mark.parametrize("verb", ["rollback", "promote"])
def test_what_an_operator_lets_serve_stands_in_the_log(
    open_place: Make, constant: Make, verb: str
) -> None:
    """As of the five; a rollback is told as an alert."""
    place = open_place(lambda: constant(before=0.9, after=0.2))
    place.run(50, 0.9)
    first = place.updater.save()[MINE]
    place.run(50, 0.9)
    place.updater.save()
    getattr(place.updater, verb)(MINE, first)
    with place.monitor.circle.reading() as fold:
        (adopted,) = [one for one in fold.trials.adoptions if one.model_type == MINE]
    assert (adopted.version, adopted.parent_version, adopted.verdict) == (first, 2, verb)
    assert len(place.alerts("rollback")) == (verb == "rollback")

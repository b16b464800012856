"""A restart goes on with the watch of a user's model, and tells what the end cut short."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from selfright.clock import SystemClock
from selfright.events.record import GateRecord, RetrainRequested
from selfright.retrain.registry import FileRegistry

MINE = "mine"

Make = Callable[..., Any]


def _harmful(place: Any) -> Any:
    """Have a worse version promoted by force; return the retraining's result."""
    place.run(100, 0.9)
    result = place.updater.trigger_retraining(MINE)
    place.updater.promote(MINE, result.version, force=True)
    return result


@pytest.mark.parametrize("after", [(), (0,), (1,), (9,), (2, 5)])
def test_a_restart_changes_nothing_of_the_evidence(
    open_place: Make, constant: Make, after: tuple[int, ...]
) -> None:
    """What was compared before is compared again, from the log, and nothing twice."""
    proofs = []
    for restarts in (set(), set(after)):
        place = open_place(lambda: constant(before=0.9, after=0.2))
        result = _harmful(place)
        for number in range(40):
            if number in restarts:
                place.open()
            place.run(1, 0.9)
        assert place.row()["version"] == result.parent_version
        assert place.updater.get_model(MINE).seen == place.runs
        proofs.append(place.retraining(result).proof)
        assert len(place.alerts("rollback")) == 1
    assert proofs[0] == proofs[1]


@pytest.mark.parametrize("by_hand", [False, True])
def test_what_came_before_the_promotion_is_no_evidence_after_a_restart(
    open_place: Make, constant: Make, by_hand: bool
) -> None:
    """It is learnt again, by both; they are compared from where the promotion was."""
    proofs = []
    for restarts in (False, True):
        place = open_place(lambda: constant(before=0.6, after=0.9))
        place.run(100, 0.9)
        older = place.updater.save()[MINE]
        place.promote_by_gate()
        if by_hand:
            place.run(210, 0.9)
            place.updater.promote(MINE, older)
            place.run(10, 0.9)
        if restarts:
            place.open()
        place.run(300, 0.9)
        with place.monitor.circle.reading() as fold:
            told = [one.proof for one in fold.trials.adoptions if one.proof is not None]
            told += [one.proof for one in fold.trials.retrainings.values()]
        assert place.updater.get_model(MINE).seen == place.runs
        proofs.append(told)
    assert proofs[0] == proofs[1]
    assert proofs[0][0].n == 200 or by_hand


def test_from_a_saved_version_the_watch_goes_on(open_place: Make, constant: Make) -> None:
    """Its parent, which was not saved, catches up from the log first; then both are compared."""
    place = open_place(lambda: constant(before=0.9, after=0.2))
    result = _harmful(place)
    place.run(2, 0.9)
    saved = place.updater.save()[MINE]
    place.run(2, 0.9)
    place.open()
    assert place.row()["version"] == saved > result.version
    place.run(40, 0.9)
    assert place.row()["version"] == result.parent_version
    assert place.updater.get_model(MINE).seen == place.runs
    assert place.retraining(result).gate["verdict"] == "rolled_back"
    (alert,) = place.alerts("rollback")
    assert f"from version {saved} to version {result.parent_version}" in alert.message


def test_trial_and_watch_both_go_on(open_place: Make, constant: Make) -> None:
    """A challenger of what is on watch, and the parent in shadow."""
    place = open_place(lambda: constant(before=0.6, after=0.7))
    first = _harmful(place)
    place.run(5, 0.9)
    second = place.updater.trigger_retraining(MINE)
    place.run(5, 0.9)
    place.open()
    assert place.row()["on_trial"]
    place.run(250, 0.9)
    assert place.retraining(first).proof["verdict"] in {"improved", "no_change"}
    # Equal to what serves, it is left open; the first has been compared all the while.
    place.run(300, 0.9)
    assert place.retraining(second).gate["verdict"] == "inconclusive"
    assert place.updater.get_model(MINE).seen == place.runs


def test_a_watch_that_is_over_is_not_begun_again(open_place: Make, constant: Make) -> None:
    """Neither one with a proof in its retraining, nor one of an older version by hand."""
    place = open_place(lambda: constant(before=0.6, after=0.9))
    place.run(100, 0.9)
    first = place.updater.save()[MINE]
    result = place.promote_by_gate()
    place.run(250, 0.9)
    proof = place.retraining(result).proof
    place.updater.save()  # else it would be compared up to the same end again
    place.open().run(250, 0.0)
    assert not place.alerts("rollback")
    assert place.retraining(result).proof == proof
    place.updater.promote(MINE, first)
    place.run(250, 0.7)
    place.updater.save()
    place.open().run(250, 0.99)
    assert not place.alerts("rollback")


@pytest.mark.parametrize("verdict", ["promoted", "rejected"])
def test_a_verdict_that_the_log_missed_is_told(
    open_place: Make, constant: Make, verdict: str
) -> None:
    """The process ended when the registry knew it and the log did not; what serves is watched."""
    place = open_place(lambda: constant(before=0.9, after=0.2))
    place.run(100, 0.9)
    result = place.updater.trigger_retraining(MINE)
    place.close()
    registry = FileRegistry(place.folder / "models", SystemClock())
    gate, now_us = GateRecord(verdict=verdict, n=7), SystemClock().now_us()
    if verdict == "promoted":
        registry.promote(MINE, result.version, "promoted", now_us, gate)
    else:
        registry.settle(MINE, result.version, gate, now_us)
    place.open()
    told = place.retraining(result)
    assert (told.state, told.gate["verdict"], told.gate["n"]) == ("done", verdict, 7)
    assert told.promoted == (verdict == "promoted")
    place.run(60, 0.9)
    assert place.row()["version"] == result.parent_version
    assert bool(place.alerts("rollback")) == (verdict == "promoted")


def test_a_rollback_that_the_log_missed_is_told(open_place: Make, constant: Make) -> None:
    """With its alert, though the figures are gone."""
    place = open_place(lambda: constant(before=0.9, after=0.2))
    result = _harmful(place)
    place.close()
    registry = FileRegistry(place.folder / "models", SystemClock())
    now_us = SystemClock().now_us()
    registry.settle(MINE, result.version, GateRecord(verdict="rolled_back"), now_us)
    registry.promote(MINE, result.parent_version, "rolled_back", now_us)
    place.open()
    told = place.retraining(result)
    assert (told.promoted, told.proof["rolled_back"]) == (False, True)
    assert len(place.alerts("rollback")) == 1
    place.open()
    assert len(place.alerts("rollback")) == 1


def test_a_parent_that_cannot_be_loaded_ends_the_watch(open_place: Make, constant: Make) -> None:
    """It is named as a failure; what serves goes on."""
    place = open_place(lambda: constant(before=0.9, after=0.2))
    result = _harmful(place)
    place.close()
    path = Path(place.folder) / "models" / MINE / str(result.parent_version) / "model.npz"
    path.write_bytes(path.read_bytes()[:-9])
    place.open().run(60, 0.9)
    row = place.row()
    assert row["version"] == result.version
    assert f"parent {result.parent_version}: CorruptLogError" in row["last_failure"]


@pytest.mark.parametrize("saved", [False, True])
def test_a_request_read_again_for_a_watch_is_not_heeded_again(
    open_place: Make, constant: Make, saved: bool
) -> None:
    """What came while the challenger was on trial was refused then, and is over."""
    place = open_place(lambda: constant(before=0.5, after=0.9))
    place.run(100, 0.9)
    result = place.updater.trigger_retraining(MINE)
    place.monitor.circle.act(
        RetrainRequested(
            act_id="fleet", ts_us=1, model_type="agent_selection", mode="full", reason="it fell",
            automatic=True, agents=[], causes=[],
        )
    )  # fmt: skip
    while place.row()["on_trial"]:
        place.run(8, 0.9)
    if saved:
        place.updater.save()
    place.open().run(16, 0.9)
    assert not place.row()["on_trial"]
    mine = [one for one in place.monitor.get_retrainings() if one.model_type == MINE]
    assert [one.retrain_id for one in mine] == [result.retrain_id]

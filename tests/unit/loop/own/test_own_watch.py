"""A promoted model of the user's own is watched, and taken back if it harms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from selfright.errors import ConfigError

MINE = "mine"

Make = Callable[..., Any]


def test_what_harms_after_its_promotion_is_taken_back(open_place: Make, constant: Make) -> None:
    """By itself: the parent serves, has learnt all that came, and everybody is told why."""
    place = open_place(lambda: constant(before=0.5, after=0.9, turns=120, later=0.1))
    place.run(100, 0.9)
    result = place.promote_by_gate()
    assert place.retraining(result).gate["verdict"] == "promoted"
    while place.row()["version"] == result.version:
        place.run(8, 0.9)
        assert place.runs < 400
    assert place.row()["version"] == result.parent_version
    served = place.updater.get_model(MINE)
    assert (served.rate(), served.seen) == (0.5, place.runs)
    told = place.retraining(result)
    assert (told.state, told.promoted, told.gate["verdict"]) == ("done", False, "rolled_back")
    proof = told.proof
    assert (proof["verdict"], proof["rolled_back"], proof["measure"]) == ("worse", True, "score")
    assert proof["before"] < proof["after"]  # losses: the parent's is the smaller one
    (alert,) = place.alerts("rollback")
    assert alert.level == "critical"
    assert "certainly worse: score of the parent" in alert.message
    versions = {version.version: version for version in place.updater.versions(MINE)}
    assert versions[result.version].gate.verdict == "rolled_back"
    assert versions[result.parent_version].state == "champion"
    assert place.updater.promotions(MINE)[-1].reason == "rolled_back"


def test_what_does_no_harm_gets_its_proof(open_place: Make, constant: Make) -> None:
    """After as many scored events as the setting says; then its parent is let go."""
    place = open_place(lambda: constant(before=0.5, after=0.9))
    place.run(100, 0.9)
    result = place.promote_by_gate()
    began = place.runs
    while place.retraining(result).proof is None:
        place.run(8, 0.9)
    told = place.retraining(result)
    assert 193 <= place.runs - began <= 200
    assert (told.promoted, told.gate["verdict"], told.proof["n"]) == (True, "promoted", 200)
    assert (told.proof["verdict"], told.proof["rolled_back"]) == ("improved", False)
    place.run(300, 0.1)  # the world turns: nothing is taken back any more
    assert place.row()["version"] == result.version
    assert not place.alerts("rollback")


def test_a_version_that_is_as_good_is_left_alone(open_place: Make, constant: Make) -> None:
    """Promoted by hand, which takes force; its scores say that nothing changed."""
    place = open_place(lambda: constant(before=0.8, after=0.8))
    place.run(100, 0.9)
    result = place.updater.trigger_retraining(MINE)
    with pytest.raises(ConfigError, match="has not passed the gate"):
        place.updater.promote(MINE, result.version)
    place.updater.promote(MINE, result.version, force=True)
    told = place.retraining(result)
    assert (told.promoted, told.gate["verdict"]) == (True, "forced")
    place.run(210, 0.9)
    assert place.retraining(result).proof["verdict"] == "no_change"
    assert place.row()["version"] == result.version


def test_what_an_operator_forced_is_watched_too(open_place: Make, constant: Make) -> None:
    """Whoever let it serve: certain harm takes it back."""
    place = open_place(lambda: constant(before=0.9, after=0.2))
    place.run(100, 0.9)
    result = place.updater.trigger_retraining(MINE)
    place.updater.promote(MINE, result.version, force=True)
    place.run(60, 0.9)
    assert place.row()["version"] == result.parent_version
    assert place.retraining(result).gate["verdict"] == "rolled_back"


def test_an_older_version_by_hand_is_watched_from_where_it_caught_up(
    open_place: Make, constant: Make
) -> None:
    """It first learns what came since it was saved; only then the two are compared."""
    place = open_place(lambda: constant(before=0.2, after=0.9))
    place.run(100, 0.9)
    first = place.updater.save()[MINE]
    result = place.promote_by_gate()
    while place.retraining(result).proof is None:
        place.run(50, 0.9)
    place.updater.promote(MINE, first)
    assert place.row()["version"] == first
    assert place.updater.get_model(MINE).seen == place.runs
    assert not place.alerts("rollback")  # what it missed is not held against it
    place.run(60, 0.9)
    assert place.row()["version"] == result.version
    (alert,) = place.alerts("rollback")
    assert alert.details["proof"]["n"] <= 60


def test_a_rollback_by_hand_is_not_watched(open_place: Make, constant: Make) -> None:
    """Whoever takes something back knows better; the watch of it ends with what it showed."""
    place = open_place(lambda: constant(before=0.2, after=0.9))
    place.run(100, 0.9)
    result = place.promote_by_gate()
    place.run(24, 0.9)
    place.updater.rollback(MINE)
    told = place.retraining(result)
    assert (told.proof["verdict"], told.proof["n"], told.promoted) == ("improved", 24, True)
    place.run(300, 0.9)  # the older version is certainly worse
    assert place.row()["version"] == result.parent_version
    (alert,) = place.alerts("rollback")
    versions = f"from version {result.version} to version {result.parent_version}"
    assert alert.message == f"mine: rolled back {versions} by selfright"


def test_no_watch_where_it_is_switched_off(open_place: Make, constant: Make) -> None:
    """``gate.watch_runs = 0`` leaves versions alone, those of the user's own too."""
    place = open_place(lambda: constant(before=0.5, after=0.9, turns=100), watch_runs=0)
    place.run(100, 0.9)
    result = place.promote_by_gate()
    place.run(300, 0.9)
    place.open().run(100, 0.9)
    assert place.row()["version"] == result.version
    assert place.retraining(result).proof is None


@pytest.mark.parametrize("raises", [("update",), ("score",), ("score", "update")])
def test_a_version_that_goes_on_raising_gives_way_to_its_parent(
    open_place: Make, constant: Make, raises: tuple[str, ...]
) -> None:
    """Nobody has to mend what served well before; one failure costs nothing but its batch."""
    place = open_place(lambda: constant(0.5, 0.9, turns=100, later=0.9, raises=raises))
    place.run(100, 0.9)
    result = place.promote_by_gate()
    while not place.row()["failures"]:
        place.run(8, 0.9)
    assert place.row()["version"] == result.version
    for _ in range(4):
        place.run(8, 0.9)
    row = place.row()
    assert (row["version"], row["disabled"]) == (result.parent_version, None)
    assert place.updater.get_model(MINE).seen == place.runs
    told = place.retraining(result)
    assert told.gate["verdict"] == "rolled_back"
    assert "5 failures in a row" in told.gate["reason"]
    assert "is broken" in told.gate["reason"]


@pytest.mark.allow_errors
def test_a_parent_that_goes_on_raising_is_no_way_back(open_place: Make, constant: Make) -> None:
    """The watch ends; what fails then is switched off as ever."""

    class Ageing(constant):  # type: ignore[misc,valid-type]
        def update(self, events: list[Any]) -> None:
            if self.seen > 240:
                raise RuntimeError("too many")
            super().update(events)

    place = open_place(lambda: Ageing(before=0.5, after=0.9))
    place.run(100, 0.9)
    result = place.promote_by_gate()
    while place.retraining(result).proof is None:
        place.run(8, 0.9)
        assert place.runs < 400
    assert place.row()["version"] == result.version
    place.run(50, 0.9)
    assert "switched off" in place.row()["disabled"]


@pytest.mark.allow_errors
def test_where_both_raise_nothing_is_taken_back(open_place: Make, constant: Make) -> None:
    """What ails both is not the new version's fault, and the parent is no remedy."""
    broken: set[str] = set()

    class Told(constant):  # type: ignore[misc,valid-type]
        def update(self, events: list[Any]) -> None:
            if ("version" if self.refitted else "parent") in broken:
                raise RuntimeError("told to")
            super().update(events)

    place = open_place(lambda: Told(before=0.5, after=0.9))
    place.run(100, 0.9)
    result = place.promote_by_gate()
    for number in range(5):
        broken.add("version" if number < 3 else "parent")
        place.run(8, 0.9)
    row = place.row()
    assert row["version"] == result.version
    assert "5 failures in a row" in row["disabled"]


def test_a_promotion_onto_what_is_unproved_keeps_the_parent(
    open_place: Make, constant: Make
) -> None:
    """What has not proved itself is nothing to go back to; its own watch ends early."""
    place = open_place(lambda: constant(before=0.5, after=0.7, turns=10**6))
    place.run(100, 0.9)
    first = place.promote_by_gate()
    second = place.updater.trigger_retraining(MINE)
    place.updater.promote(MINE, second.version, force=True)
    assert place.retraining(first).proof["rolled_back"] is False
    while place.row()["version"] == second.version:
        place.run(8, 0.0)  # both expect .7, their parent .5
        assert place.runs < 500
    assert place.row()["version"] == first.parent_version
    assert place.retraining(second).gate["verdict"] == "rolled_back"


def test_what_was_made_of_a_harmful_version_goes_with_it(open_place: Make, constant: Make) -> None:
    """A challenger on trial beside it has the same fault."""

    class Stubborn(constant):  # type: ignore[misc,valid-type]
        def refit(self, events: list[Any]) -> None:
            self.refitted = True

    place = open_place(lambda: Stubborn(before=0.5, after=0.9, turns=250, later=0.1))
    place.run(100, 0.9)
    first = place.promote_by_gate()
    second = place.updater.trigger_retraining(MINE)
    assert place.row()["on_trial"]
    while place.row()["version"] != first.parent_version:
        place.run(8, 0.9)
        assert place.runs < 500
    assert not place.row()["on_trial"]
    told = place.retraining(second)
    assert (told.state, told.promoted, told.gate["verdict"]) == ("done", False, "inconclusive")

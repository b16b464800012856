"""The level is the updates of a week by the false alarms put up with."""

from __future__ import annotations

import pytest

from selfright.detect.certainty.budget import HOUR_US, LEAST, Budget

WEEK = 168


def hours(budget: Budget, first: int, last: int, updates: int) -> float:
    """Pass hours of so many updates each; return the level at the last of them."""
    for hour in range(first, last):
        budget.begin(hour * HOUR_US)
        budget.count(updates)
    budget.begin(last * HOUR_US)
    return budget.level


@pytest.mark.parametrize("false_alarms", [0.5, 1.0, 20.0])
def test_the_level_is_a_weeks_updates_by_the_false_alarms(false_alarms: float) -> None:
    """After a week of ten thousand updates an hour."""
    assert hours(Budget(false_alarms), 0, WEEK, 10**4) == pytest.approx(1_680_000 / false_alarms)


def test_a_young_log_is_taken_to_go_on() -> None:
    """After two hours of a million updates as many are expected of all the others."""
    assert hours(Budget(1.0), 500_000, 500_002, 10**6) == pytest.approx(168e6)


def test_what_is_older_than_a_week_does_not_count() -> None:
    """A busy hour is forgotten when the same hour of the next week is over."""
    budget = Budget(1.0)
    hours(budget, 0, 1, 10**9)
    assert hours(budget, 1, WEEK, 1000) > 9e8
    assert hours(budget, WEEK, WEEK + 2, 1000) == pytest.approx(168_000)


def test_it_changes_at_a_new_hour_alone() -> None:
    """Whatever comes within an hour; and time that steps back changes nothing."""
    budget = Budget(1.0)
    level = hours(budget, 0, 5, 10**6)
    budget.count(10**9)
    for now in (5 * HOUR_US + 1, 6 * HOUR_US - 1, 2 * HOUR_US):
        budget.begin(now)
        assert budget.level == level
    budget.begin(6 * HOUR_US)
    assert budget.level > level


def test_a_small_fleet_is_not_alarmed_at_a_whim() -> None:
    """Ten updates an hour: the level is that of ten thousand updates all the same."""
    assert Budget(1.0).level == hours(Budget(1.0), 0, WEEK, 10) == LEAST


def test_a_fixed_run_length_is_the_level() -> None:
    """Whatever comes; after a checkpoint of another level, too."""
    budget = Budget(1.0, 500.0)
    assert hours(budget, 0, WEEK, 10**6) == 500.0
    learnt = Budget(1.0)
    hours(learnt, 0, WEEK, 10**6)
    budget.restore(learnt.to_state())
    assert budget.level == 500.0
    again = Budget(1.0)
    again.restore(learnt.to_state())
    assert (again.level, again.to_state()) == (learnt.level, learnt.to_state())

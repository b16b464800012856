"""The windowed mean speaks when it crosses its threshold, and only then."""

from __future__ import annotations

from dataclasses import replace

import pytest

from selfright.detect.detection import Kind, WatchedMetric
from selfright.detect.policy import WatchPolicy
from selfright.detect.watch import FleetWatch

# The mean of tokens may be 70, and clears at 67.2: an amount, of which every excess is told.
POLICY = WatchPolicy(None, None, None, None, None, None, 70.0)
TOKENS = WatchedMetric.TOKEN_USAGE


@pytest.fixture
def watch():
    """Return a watch that follows tokens alone."""
    return FleetWatch(POLICY)


def test_silent_below_twenty_outcomes(watch, feed):
    """Nineteen runs beyond the limit say nothing; the twentieth speaks."""
    assert feed(watch, TOKENS, [100] * 19) == []
    assert [one.kind for one in feed(watch, TOKENS, [100])] == [Kind.BEYOND]


def test_a_mean_at_the_threshold_is_not_beyond_it(watch, feed):
    """14 of 20 of a hundred tokens is a mean of 70, which is allowed; so is every multiple."""
    for _ in range(40):
        assert feed(watch, TOKENS, [0] * 6 + [100] * 14) == []


def test_speaks_once_and_clears_beyond_the_margin(watch, feed):
    """Between the threshold and the clear threshold nothing is said either way."""
    said = feed(watch, TOKENS, [100] * 20 + [60] * 40)
    assert [(one.kind, one.offset) for one in said] == [(Kind.BEYOND, 19)]
    assert feed(watch, TOKENS, [60] * 20) == []  # 70: at the threshold
    said = feed(watch, TOKENS, [0] * 4)
    assert [(one.kind, one.n) for one in said] == [(Kind.CLEARED, 84)]


def test_outcomes_leave_after_the_window(watch, feed):
    """What happened in minute 0 is forgotten in minute 60, not in minute 59."""
    feed(watch, TOKENS, [0] * 30, minute=0)
    feed(watch, TOKENS, [31], minute=59)
    assert watch.window(0, TOKENS) == (31, 1.0)
    feed(watch, TOKENS, [1], minute=60)
    assert watch.window(0, TOKENS) == (2, 16.0)


def test_a_late_outcome_goes_to_its_own_minute(watch, feed):
    """It counts as long as its minute does; from before the window it is ignored."""
    feed(watch, TOKENS, [1], minute=100)
    feed(watch, TOKENS, [3], minute=50)
    assert watch.window(0, TOKENS) == (2, 2.0)
    feed(watch, TOKENS, [5], minute=40)  # 60 minutes before the newest: outside
    assert watch.window(0, TOKENS) == (2, 2.0)
    feed(watch, TOKENS, [1], minute=110)
    assert watch.window(0, TOKENS) == (2, 1.0)


def test_a_long_silence_empties_the_window(watch, feed):
    """After a gap longer than the window nothing is left, whatever place a minute has."""
    feed(watch, TOKENS, [9] * 30, minute=5)
    feed(watch, TOKENS, [1], minute=5 + 60 * 7)
    assert watch.window(0, TOKENS) == (1, 1.0)


def test_a_shorter_window_keeps_what_it_still_covers(watch, feed):
    """State of a 60-minute window restores into one of 10 minutes, or of 90."""
    for minute in range(60):
        feed(watch, TOKENS, [minute], minute=minute)
    shorter = FleetWatch.from_state(replace(POLICY, window_minutes=10), watch.to_state())
    assert shorter.window(0, TOKENS) == (10, sum(range(50, 60)) / 10)
    longer = FleetWatch.from_state(replace(POLICY, window_minutes=90), watch.to_state())
    feed(longer, TOKENS, [0], minute=89)
    assert longer.window(0, TOKENS) == (61, sum(range(60)) / 61)
    feed(longer, TOKENS, [0], minute=92)  # minutes 0 to 2 go
    assert longer.window(0, TOKENS) == (59, sum(range(3, 60)) / 59)


def test_a_retraining_changes_nothing(watch, feed):
    """It does not undo what was seen."""
    feed(watch, TOKENS, [1] * 30)
    watch.note_retraining(0)
    assert watch.window(0, TOKENS) == (30, 1.0)


def test_sums_stay_exact_beyond_what_a_float_holds(watch, feed):
    """A run of 9 petatokens leaves nothing behind when it goes."""
    feed(watch, TOKENS, [float(1 << 53), 1.0, 1.0], minute=0)
    feed(watch, TOKENS, [3.0], minute=1)
    feed(watch, TOKENS, [5.0], minute=60)
    assert watch.window(0, TOKENS) == (2, 4.0)

"""The windowed mean speaks when it crosses its threshold, and only then."""

from __future__ import annotations

from selfright.detect.detection import Signal
from selfright.detect.window import WindowRule


def rule(threshold=0.7, clear=0.72, minutes=60, min_n=20):
    """Return the rule as production has it."""
    return WindowRule(threshold, clear, minutes, min_n)


def feed(of, values, minute=0):
    """Return what the rule says to each of the values."""
    return [of.update(x, minute, 0) for x in values]


def test_silent_below_twenty_outcomes():
    """Nineteen failures say nothing; the twentieth speaks."""
    of = rule()
    assert feed(of, [0] * 19) == [None] * 19
    assert feed(of, [0]) == [Signal.BEYOND]


def test_a_mean_at_the_threshold_is_not_beyond_it():
    """14 of 20 is 0.70, which is what was asked for; so is every multiple of it."""
    of = rule()
    for _ in range(40):
        assert set(feed(of, [1] * 14 + [0] * 6)) == {None}


def test_speaks_once_and_clears_beyond_the_margin():
    """Between the threshold and the clear threshold nothing is said either way."""
    of = rule()
    assert [s for s in feed(of, [0] * 10 + [1] * 20) if s] == [Signal.BEYOND]
    assert of.total / of.n < 0.7
    said = feed(of, [1] * 5)  # 25 of 35 = 0.714: back above 0.70, not yet at 0.72
    assert said == [None] * 5
    assert feed(of, [1]) == [Signal.CLEARED]  # 26 of 36 = 0.722


def test_outcomes_leave_after_the_window():
    """What happened in minute 0 is forgotten in minute 60, not in minute 59."""
    of = rule()
    feed(of, [0] * 30, minute=0)
    feed(of, [1], minute=59)
    assert (of.n, of.total) == (31, 1)
    feed(of, [1], minute=60)
    assert (of.n, of.total) == (2, 2)


def test_a_late_outcome_goes_to_its_own_minute():
    """It counts as long as its minute does; from before the window it is ignored."""
    of = rule()
    feed(of, [1], minute=100)
    feed(of, [0], minute=50)
    assert of.n == 2
    feed(of, [0], minute=40)  # 60 minutes before the newest: outside
    assert of.n == 2
    feed(of, [1], minute=110)
    assert (of.n, of.total) == (2, 2)


def test_a_long_silence_empties_the_window():
    """After a gap longer than the window nothing is left, whatever slot a minute maps to."""
    of = rule()
    feed(of, [0] * 30, minute=5)
    feed(of, [1], minute=5 + 60 * 7)
    assert (of.n, of.total) == (1, 1)


def test_a_shorter_window_keeps_what_it_still_covers():
    """State of a 60-minute window restores into a 10-minute one."""
    of = rule()
    for minute in range(60):
        feed(of, [minute], minute)
    shorter = rule(minutes=10)
    shorter.restore(of.to_state())
    assert (shorter.n, shorter.total) == (10, sum(range(50, 60)))
    longer = rule(minutes=90)
    longer.restore(of.to_state())
    feed(longer, [0], 89)
    assert (longer.n, longer.total) == (61, sum(range(60)))
    feed(longer, [0], 92)  # minutes 0 to 2 go
    assert (longer.n, longer.total) == (59, sum(range(3, 60)))


def test_a_cut_changes_nothing():
    """A retraining does not undo what was seen."""
    of = rule()
    feed(of, [1] * 30)
    of.cut()
    assert of.n == 30

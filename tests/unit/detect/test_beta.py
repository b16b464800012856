"""The Beta rule is sure when the Beta distribution is, and forgets what it must."""

from __future__ import annotations

import pytest

from selfright.detect.beta import BetaQuestion, BetaRule
from selfright.detect.detection import Signal


def rule(threshold=0.7, sign=1, recent=200, min_n=20, minutes=60):
    """Return the rule at the levels of production."""
    return BetaRule(BetaQuestion(threshold, sign, 0.95, 0.5, recent, min_n, minutes))


def feed(of, values, minute=0):
    """Return what the rule says to each of the values."""
    return [of.update(x, minute, 0) for x in values]


def test_twenty_outcomes_at_least():
    """Nineteen failures in a row are no evidence yet, twenty are."""
    of = rule()
    assert feed(of, [0] * 19) == [None] * 19
    assert feed(of, [0]) == [Signal.LIKELY]


def test_likely_exactly_when_the_probability_says_so():
    """It stands at every outcome at which P(rate < 0.70) is at least 0.95, and no other."""
    of = rule()
    pattern = [1, 1, 0, 1, 0] * 40 + [1] * 100 + [0, 1] * 100
    for count, x in enumerate(pattern, 1):
        of.update(x, 0, 0)
        assert of.stands == (of.finding().probability >= 0.95 and count >= 20)


def test_an_episode_lasts_until_half():
    """Leaving and reaching 95 % again are told apart from a new episode."""
    of = rule()
    said = [s for s in feed(of, [0] * 20 + [1] * 35 + [0] * 10 + [1] * 200) if s]
    assert said == [
        Signal.LIKELY,
        Signal.FADES,
        Signal.STANDS,
        Signal.FADES,
        Signal.UNLIKELY,
    ]
    assert not of.open


def test_a_rate_that_must_not_be_exceeded():
    """Error rates are handed over negative; the probability is that of exceeding."""
    of = rule(threshold=0.15, sign=-1)
    assert feed(of, [-1] * 6 + [0] * 14)[-1] is None or of.stands
    finding = of.finding()
    mirror = rule(threshold=0.85)
    feed(mirror, [0] * 6 + [1] * 14)
    assert finding.probability == pytest.approx(mirror.finding().probability, rel=1e-12)
    assert of.stands == mirror.stands
    assert finding.inputs["sum"] == 6


def test_graded_scores_count_by_their_size():
    """Scores of 0.6 are 0.6 of a success each."""
    of = rule()
    feed(of, [0.625] * 160)
    assert of.total == 100.0
    assert of.finding().probability > 0.95


def test_only_the_latest_count():
    """Of 1,000 outcomes the last 200 are judged."""
    of = rule()
    feed(of, [0] * 800 + [1] * 150 + [0] * 50)
    assert (of.n, of.total, of.seen) == (200, 150, 1000)


def test_a_cut_needs_twenty_new_outcomes():
    """After a retraining old evidence is gone; the episode goes on until it is refuted."""
    of = rule()
    feed(of, [0] * 50)
    of.cut()
    assert not of.stands
    assert of.open
    assert feed(of, [0] * 19) == [None] * 19
    assert feed(of, [0]) == [Signal.STANDS]


def test_outcomes_leave_after_the_window():
    """Evidence of an hour ago is none, even if fewer than 200 came since."""
    of = rule()
    feed(of, [0] * 50, minute=0)
    feed(of, [1] * 10, minute=59)
    assert of.n == 60
    assert feed(of, [1], minute=60) == [Signal.FADES]
    assert (of.n, of.total) == (11, 11)


def test_a_late_outcome_leaves_with_its_minute():
    """Late outcomes expire by when they happened, not by when they came."""
    of = rule()
    feed(of, [1], minute=100)
    feed(of, [0] * 5, minute=50)
    feed(of, [1], minute=100)
    feed(of, [0], minute=20)  # before the window: ignored
    assert (of.n, of.total) == (7, 2)
    feed(of, [1], minute=110)
    assert (of.n, of.total) == (3, 3)


def test_an_open_episode_survives_a_checkpoint():
    """Saved between likely and unlikely, it is still an episode that can end."""
    of = rule()
    feed(of, [0] * 30 + [1] * 60)
    assert (of.open, of.stands) == (True, False)
    restored = rule()
    restored.restore(of.to_state())
    assert restored.to_state() == of.to_state()
    assert Signal.UNLIKELY in feed(restored, [1] * 60)

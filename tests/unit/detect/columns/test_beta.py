"""The Beta rule is sure when the Beta distribution is, and forgets what it must."""

from __future__ import annotations

import pytest

from selfright.detect.columns.question import questions_of
from selfright.detect.detection import Kind, WatchedMetric
from selfright.detect.policy import WatchPolicy
from selfright.detect.watch import BETA, FleetWatch

POLICY = WatchPolicy(None, 0.15, 0.7, None, None, None, None)
M = WatchedMetric


@pytest.fixture
def watch():
    """Return a watch in which only the Beta rule speaks."""
    return FleetWatch(POLICY, (BETA,))


def kinds(said):
    """Return what was said, without the figures."""
    return [one.kind for one in said]


def test_twenty_outcomes_at_least(watch, feed):
    """Nineteen failures in a row are no evidence yet, twenty are."""
    assert feed(watch, M.ACCURACY, [0] * 19) == []
    assert kinds(feed(watch, M.ACCURACY, [0])) == [Kind.LIKELY]


def test_likely_exactly_when_the_probability_says_so(watch, feed):
    """It stands at every outcome at which P(rate < 0.70) is at least 0.95, and no other."""
    question = questions_of(POLICY)[M.ACCURACY]
    pattern = [1, 1, 0, 1, 0] * 40 + [1] * 100 + [0, 1] * 100
    for count, x in enumerate(pattern, 1):
        feed(watch, M.ACCURACY, [x])
        latest = pattern[max(0, count - 200) : count]
        likely = question.probability(len(latest), sum(latest)) >= 0.95 and count >= 20
        assert (0 in watch.standing_scopes) == likely


def test_an_episode_lasts_until_half(watch, feed):
    """Leaving and reaching 95 % again are told apart from a new episode."""
    outcomes = [0] * 20 + [1] * 35 + [0] * 10 + [1] * 200
    course = []
    for x in outcomes:
        said = kinds(feed(watch, M.ACCURACY, [x]))
        moment = (0 in watch.standing_scopes, said)
        if not course or said or course[-1][0] != moment[0]:
            course.append(moment)
    assert course == [
        (False, []),
        (True, [Kind.LIKELY]),
        (False, []),
        (True, []),
        (False, []),
        (False, [Kind.UNLIKELY]),
    ]


def test_a_rate_that_must_not_be_exceeded(watch, feed):
    """The probability is that of exceeding."""
    (said,) = feed(watch, M.ERROR_RATE, [1] * 6 + [0] * 14)
    mirror = questions_of(WatchPolicy(None, None, 0.85, None, None, None, None))[M.ACCURACY]
    assert said.probability == pytest.approx(mirror.probability(20, 14), rel=1e-12)
    assert said.inputs["sum"] == 6


def test_graded_scores_count_by_their_size(watch, feed):
    """Scores of 0.625 are 0.625 of a success each."""
    feed(watch, M.ACCURACY, [0.625] * 160)
    (standing,) = watch.standing(0)
    assert standing.inputs["sum"] == 100.0
    assert standing.probability > 0.95


def test_only_the_latest_count(watch, feed):
    """Of 1,000 outcomes the last 200 are judged."""
    feed(watch, M.ACCURACY, [1] * 800 + [0] * 50 + [1] * 80 + [0] * 70)
    (standing,) = watch.standing(0)
    assert (standing.n, standing.inputs["sum"]) == (200, 80)
    assert watch.seen(0, M.ACCURACY) == 1000


def test_a_retraining_needs_twenty_new_outcomes(watch, feed):
    """After it old evidence is gone; the episode goes on until it is refuted."""
    feed(watch, M.ACCURACY, [0] * 50)
    watch.note_retraining(0)
    assert 0 not in watch.standing_scopes
    feed(watch, M.ACCURACY, [0] * 19)
    assert 0 not in watch.standing_scopes
    assert feed(watch, M.ACCURACY, [0]) == []
    assert 0 in watch.standing_scopes


def test_outcomes_leave_after_the_window(watch, feed):
    """Evidence of an hour ago is none, even if fewer than 200 came since."""
    feed(watch, M.ACCURACY, [0] * 50, minute=0)
    feed(watch, M.ACCURACY, [0] * 25, minute=59)
    assert watch.standing(0)[0].n == 75
    feed(watch, M.ACCURACY, [0], minute=60)
    assert watch.standing(0)[0].n == 26


def test_a_late_outcome_leaves_with_its_minute(watch, feed):
    """Late outcomes expire by when they happened, not by when they came."""
    feed(watch, M.ACCURACY, [0] * 20, minute=100)
    feed(watch, M.ACCURACY, [0] * 5, minute=50)
    feed(watch, M.ACCURACY, [0], minute=100)
    feed(watch, M.ACCURACY, [0], minute=20)  # before the window: ignored
    assert (watch.standing(0)[0].n, watch.seen(0, M.ACCURACY)) == (26, 26)
    feed(watch, M.ACCURACY, [0], minute=110)
    assert (watch.standing(0)[0].n, watch.seen(0, M.ACCURACY)) == (22, 27)


def test_one_driven_out_does_not_come_back(watch, feed):
    """Of 200 outcomes that drove others out, late ones leave; what is left is fewer."""
    feed(watch, M.ACCURACY, [0] * 100, minute=100)
    feed(watch, M.ACCURACY, [0] * 150, minute=50)
    feed(watch, M.ACCURACY, [0] * 50, minute=101)
    assert watch.standing(0)[0].n == 200
    feed(watch, M.ACCURACY, [0], minute=110)
    assert watch.standing(0)[0].n == 51
    assert watch.window(0, M.ACCURACY)[0] == 151


def test_an_open_episode_survives_a_checkpoint(watch, feed):
    """Saved between likely and unlikely, it is still an episode that can end."""
    assert kinds(feed(watch, M.ACCURACY, [0] * 30 + [1] * 60)) == [Kind.LIKELY]
    restored = FleetWatch.from_state(POLICY, watch.to_state(), (BETA,))
    assert Kind.UNLIKELY in kinds(feed(restored, M.ACCURACY, [1] * 60))

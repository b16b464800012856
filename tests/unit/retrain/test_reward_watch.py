"""Rewards after a promotion against those before: harm is found, no harm is left alone."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from selfright.retrain.reward_watch import Earned, RewardWatch, comparable

LEVEL, HORIZON = 0.008, 200


def _rewards(rng, n, rate, group=None, arm="before"):
    return [Earned(group, arm, float(y)) for y in rng.random(n) < rate]


def _is_harm(watch, rewards):
    return any(watch.update(earned) for earned in rewards)


def _share_of_harm(rate, loss, repeats=400):
    rng = np.random.default_rng(7)
    found = 0
    for _ in range(repeats):
        watch = RewardWatch(_rewards(rng, 2000, rate), LEVEL, HORIZON)
        found += _is_harm(watch, _rewards(rng, HORIZON, rate - loss, arm="since"))
    return found / repeats


@pytest.mark.parametrize(("rate", "least"), [(0.6, 0.9), (0.8, 0.95), (0.9, 0.97)])
def test_harm_of_fifteen_points_is_found(rate, least):
    """Within 200 rewards, nearly always."""
    assert _share_of_harm(rate, 0.15) >= least


@pytest.mark.parametrize("rate", [0.3, 0.6, 0.9, 0.97])
def test_no_harm_is_left_alone(rate):
    """However often it is looked at; 400 watches at .8 % have more than 10 of it once in 1,500."""
    assert _share_of_harm(rate, 0.0) <= 10 / 400


def test_harder_tasks_are_no_harm():
    """Task types that earn less came more often: within each of them nothing changed."""
    rng = np.random.default_rng(1)
    before = _rewards(rng, 900, 0.9, "easy") + _rewards(rng, 300, 0.4, "hard")
    after = _rewards(rng, 50, 0.9, "easy", "x") + _rewards(rng, 150, 0.4, "hard", "x")
    after = [after[i] for i in rng.permutation(len(after))]
    watch = RewardWatch(before, LEVEL, HORIZON)
    assert not _is_harm(watch, after)
    plain = RewardWatch([one._replace(group=None) for one in before], LEVEL, HORIZON)
    assert _is_harm(plain, [one._replace(group=None) for one in after])


def test_arms_that_fall_are_no_harm():
    """The same arm earns less than it did: the world's doing, whichever version serves."""
    rng = np.random.default_rng(2)
    before = _rewards(rng, 1000, 0.9)
    assert not _is_harm(RewardWatch(before, LEVEL, HORIZON), _rewards(rng, HORIZON, 0.6))
    after = _rewards(rng, HORIZON, 0.6, arm="since")
    assert _is_harm(RewardWatch(before, LEVEL, HORIZON), after)


def test_only_what_came_after_the_last_change_is_comparable():
    """An agent fell before the promotion: what was earned before that is out of reach."""
    rng = np.random.default_rng(4)
    fell = _rewards(rng, 1500, 0.9) + _rewards(rng, 200, 0.5)
    assert 150 <= len(comparable(fell)) <= 250
    steady = [len(comparable(_rewards(rng, 1000, 0.7))) for _ in range(50)]
    assert sum(n == 1000 for n in steady) >= 40
    assert min(steady) >= 50
    assert comparable([]) == []


def test_a_new_task_type_is_left_out():
    """Nobody knows what the parent would have earned there."""
    watch = RewardWatch([Earned("old", "a", 1.0)] * 100, LEVEL, HORIZON)
    assert not _is_harm(watch, [Earned("new", "b", 0.0)] * 200)
    assert watch.n == 0
    assert math.isinf(watch.difference().high)


def test_too_few_rewards_before_say_nothing():
    """49 of them; with one more it is certain."""
    good, poor = Earned(None, "a", 1.0), Earned(None, "b", 0.0)
    assert not _is_harm(RewardWatch([good] * 49, LEVEL, HORIZON), [poor] * 200)
    assert _is_harm(RewardWatch([good] * 50, LEVEL, HORIZON), [poor] * 200)


def test_the_difference_has_an_interval():
    """.9 before and .7 since: the interval holds the difference and not 0."""
    before = [Earned(None, "a", float(i % 10 < 9)) for i in range(1000)]
    watch = RewardWatch(before, LEVEL, HORIZON)
    for i in range(HORIZON):
        watch.update(Earned(None, "b", float(i % 10 < 7)))
    value, low, high = watch.difference()
    assert value == pytest.approx(-0.2)
    assert low < -0.2 < high < 0
    assert watch.means == pytest.approx((0.9, 0.7))
    assert (watch.n_before, watch.n) == (1000, 200)


def test_the_interval_holds_at_every_look():
    """Each bound fails in at most 5 % of the watches, the worst look of each counted."""
    rng = np.random.default_rng(3)
    missed = 0
    for _ in range(300):
        watch = RewardWatch(_rewards(rng, 1000, 0.7), LEVEL, HORIZON)
        outside = False
        for earned in _rewards(rng, HORIZON, 0.7):
            watch.update(earned)
            _, low, high = watch.difference()
            outside = outside or not low <= 0 <= high
        missed += outside
    assert missed / 300 <= 0.13


def test_checkpoint_plus_rest_equals_whole():
    """A watch that went through JSON in between says the same."""
    rng = np.random.default_rng(5)
    before = _rewards(rng, 300, 0.8, "a") + _rewards(rng, 300, 0.6)
    after = _rewards(rng, 60, 0.5, "a") + _rewards(rng, 60, 0.4)
    whole = RewardWatch(before, LEVEL, HORIZON)
    said = [whole.update(row) for row in after]
    part = RewardWatch(before, LEVEL, HORIZON)
    heard = [part.update(row) for row in after[:50]]
    part = RewardWatch.from_state(json.loads(json.dumps(part.to_state())))
    heard += [part.update(row) for row in after[50:]]
    assert heard == said
    assert part.to_state() == whole.to_state()

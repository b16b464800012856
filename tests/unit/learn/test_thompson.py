"""The probabilities of a choice, and that the choice follows them."""

from __future__ import annotations

import numpy as np
import pytest

from selfright.learn.hierarchy.thompson import draw, win_probabilities, with_floor


@pytest.mark.parametrize("arms", [2, 5, 20, 80])
def test_probabilities_are_those_of_being_drawn_as_best(arms):
    """They agree with draws from the posteriors; in total variation within .05."""
    rng = np.random.default_rng(arms)
    mean, sd = rng.normal(0.7, 0.1, arms), np.exp(rng.normal(-3.0, 0.7, arms))
    won = (mean + sd * rng.standard_normal((40_000, arms))).argmax(axis=1)
    drawn = np.bincount(won, minlength=arms) / 40_000
    assert np.abs(win_probabilities(mean, sd, 48) - drawn).sum() / 2 < 0.05


def test_equal_arms_are_equally_probable():
    """Also two, and also when nothing tells them apart from many."""
    for arms in (1, 2, 7):
        found = win_probabilities(np.full(arms, 0.5), np.full(arms, 0.1), 48)
        assert found == pytest.approx(np.full(arms, 1 / arms))


def test_a_hopeless_arm_has_no_chance_but_the_floor():
    """Far outside the reach of the best it is left to the floor alone."""
    won = win_probabilities(np.array([0.9, 0.1]), np.array([0.01, 0.01]), 48)
    assert won.tolist() == [1.0, 0.0]
    assert with_floor(won, 0.002).tolist() == [0.999, 0.001]


@pytest.mark.parametrize("sd", [1e-9, 1e-3, 1e3])
def test_extreme_spreads_stay_probabilities(sd):
    """No overflow, no NaN, and they sum to 1."""
    found = win_probabilities(np.array([0.2, 0.3, 0.30001]), np.array([0.1, sd, 0.05]), 48)
    assert np.isfinite(found).all()
    assert found.min() >= 0.0
    assert found.sum() == pytest.approx(1.0, abs=1e-12)


def test_draws_follow_the_probabilities():
    """Chi-square over 50,000 draws lies below its 99.9 % quantile."""
    rng = np.random.default_rng(7)
    probabilities = with_floor(np.array([0.6, 0.25, 0.1, 0.05, 0.0]), 0.01)
    seen = np.bincount([draw(probabilities, rng) for _ in range(50_000)], minlength=5)
    expected = probabilities * 50_000
    assert ((seen - expected) ** 2 / expected).sum() < 18.47
    wrong = np.roll(probabilities, 1) * 50_000
    assert ((seen - wrong) ** 2 / wrong).sum() > 18.47

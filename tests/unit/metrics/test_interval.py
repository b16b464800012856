"""Intervals keep what they promise: they hold the truth in 95 of 100 cases."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfright.metrics.interval import quantile_ranks, wilson, wilson_ends


def test_wilson_equals_the_textbook():
    """8 of 10: Wilson's 1927 interval as any table has it."""
    assert wilson(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-7)


def test_nothing_observed_has_no_interval():
    """Unknown, not everything."""
    assert wilson(0, 0) is None


@given(st.integers(1, 10**7), st.floats(0, 1))
def test_an_interval_holds_its_mean_and_stays_within_0_and_1(n, mean):
    """Rounding does not push the mean out, not even at 0 and 1."""
    low, high = wilson(mean * n, n)
    assert 0 <= low <= mean * n / n <= high <= 1
    assert low < high


@pytest.mark.parametrize("n", [20, 60, 200])
def test_the_mean_coverage_over_all_rates_is_the_level(n):
    """Exactly, by summing binomial probabilities over a grid of true rates."""
    kept = []
    for truth in np.linspace(0.02, 0.98, 49):
        chance = [comb(n, k) * truth**k * (1 - truth) ** (n - k) for k in range(n + 1)]
        intervals = [wilson(k, n) for k in range(n + 1)]
        kept.append(
            sum(p for p, (low, high) in zip(chance, intervals, strict=True) if low <= truth <= high)
        )
    assert 0.945 <= np.mean(kept) <= 0.96
    assert min(kept) > 0.83  # Wilson's known worst is at rates next to 0 and 1


@pytest.mark.parametrize(("a", "b"), [(8.0, 2.0), (0.5, 0.5), (0.3, 2.0)])
def test_the_interval_of_graded_scores_is_never_too_narrow(a, b):
    """Beta-distributed grades of every shape: at least 95 % coverage, to 1 % of chance."""
    rng = np.random.default_rng(7)
    scores = rng.beta(a, b, size=(4000, 50))
    truth = a / (a + b)
    kept = [low <= truth <= high for low, high in (wilson(row.sum(), 50) for row in scores)]
    assert np.mean(kept) >= 0.94


@pytest.mark.parametrize("n", [150, 1000])
def test_the_interval_of_a_percentile_holds_it_for_any_distribution(n):
    """Coverage of p95 between its two order statistics, on a heavy tail."""
    rng = np.random.default_rng(11)
    samples = np.sort(rng.pareto(1.5, size=(4000, n)), axis=1)
    truth = 0.05 ** (-1 / 1.5) - 1
    (low,), (high,) = quantile_ranks(np.array([n]), 0.95)
    kept = (samples[:, low - 1] <= truth) & (truth <= samples[:, high - 1])
    assert 0.94 <= kept.mean() <= 0.99


def test_too_few_values_enclose_no_percentile():
    """Then there is no interval, rather than one that is too short."""
    low, high = quantile_ranks(np.array([0, 50, 130]), 0.95)
    assert (low > 0).tolist() == (high > 0).tolist() == [False, False, True]


@given(st.integers(1, 10**10), st.floats(0, 1))
def test_one_interval_is_the_same_as_among_many(n, mean):
    """To the last bit: a fleet read alone and beside others shows the same figures."""
    low, high = wilson_ends(np.array([mean * n]), np.array([n]))
    assert wilson(mean * n, n) == (low.item(), high.item())

"""What an outcome is worth averages to 1 at most while the claim holds, whatever else is true."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfright.detect.certainty.bets import (
    NO_GRADE,
    NO_VALUES,
    RANK_BETS,
    RATE_BETS,
    REFERENCE_GRID,
    TEMPER_GRID,
    Bets,
    Grade,
    Values,
    grade,
    values,
)

# Outcomes and how often each of them comes, to be raised to a mean of p0 at least.
DISTRIBUTIONS = st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 1)), min_size=1, max_size=5)
Worth = Callable[[Grade, Bets], Values]


def average(
    outcomes: list[tuple[float, float]], p0: float, temper: float, bets: Bets, worth: Worth
) -> float:
    """Return the largest mean of a bet's value, under a distribution of mean p0 or more."""
    of = grade(p0, temper)
    total = sum(weight for _, weight in outcomes)
    mean = sum(x * weight for x, weight in outcomes) / total
    # Mixed with outcomes of 1 as far as it takes: the claim is that the mean is at least p0.
    lifted = 0.0 if mean >= p0 else (p0 - mean) / (1.0 - mean)
    spread = [(x, (1.0 - lifted) * weight / total) for x, weight in outcomes] + [(1.0, lifted)]
    at_zero, slope, *_ = worth(of, bets)
    return max(
        sum(share * (zero + up * x) for x, share in spread)
        for zero, up in zip(at_zero, slope, strict=True)
    )


@given(
    DISTRIBUTIONS,
    st.floats(0.01, 0.9999),
    st.sampled_from([1.0, 1.3, 2.0, 7.5]),
    st.sampled_from([RATE_BETS, RANK_BETS]),
)
def test_the_mean_is_at_most_one(
    outcomes: list[tuple[float, float]], p0: float, temper: float, bets: Bets
) -> None:
    """For outcomes of 0 and 1 and graded ones, tempered or not."""
    assert average(outcomes, p0, temper, bets, values) <= 1.0 + 1e-9


def test_a_bet_that_is_too_bold_is_noticed() -> None:
    """The check bites: a hundredth more for failures, and the mean exceeds 1."""

    def bold(of: Grade, bets: Bets) -> Values:
        fair = values(of, bets)
        slope = tuple(up - 0.01 for up in fair.slope)
        return Values(tuple(zero + 0.01 for zero in fair.at_zero), slope, *fair[2:])

    assert average([(0.0, 0.3), (1.0, 0.7)], 0.7, 1.0, RATE_BETS, bold) > 1.0


def test_a_reference_a_little_too_high_is_noticed() -> None:
    """The mean is 1 exactly at the reference, so that rounding it up would be seen."""
    worth = values(grade(0.7, 1.0), RATE_BETS)
    for mean, more in ((0.7, False), (0.69, True)):
        at_mean = [zero + up * mean for zero, up in zip(worth[0], worth[1], strict=True)]
        assert (max(at_mean) > 1.0) is more


@given(st.floats(0.01, 1), st.floats(1, 50))
def test_rounding_makes_more_careful(reference: float, temper: float) -> None:
    """References go down and tempers up, by less than a step of their grids."""
    low, high = grade(reference, temper)
    held = min(reference, 0.9999)
    assert 0 <= held - low / REFERENCE_GRID < 1 / REFERENCE_GRID
    assert -1e-9 <= high / TEMPER_GRID - temper < 1 / TEMPER_GRID


@pytest.mark.parametrize("reference", [None, 0.0, 0.009])
def test_without_a_reference_there_is_no_evidence(reference: float | None) -> None:
    """None, or one that is too low to be undercut."""
    assert grade(reference, 2.0) == NO_GRADE
    assert values(NO_GRADE, RATE_BETS) is NO_VALUES


@given(st.floats(0.01, 0.9999), st.floats(1, 9), st.sampled_from([RATE_BETS, RANK_BETS]))
def test_a_failure_speaks_for_a_drop(p0: float, temper: float, bets: Bets) -> None:
    """Values fall with the outcome and are never negative."""
    worth = values(grade(p0, temper), bets)
    assert min(worth.at_one) >= 0.0
    assert max(worth.slope) < 0.0


@pytest.mark.parametrize("bets", [RATE_BETS, RANK_BETS])
def test_the_bets_weigh_one_together(bets: Bets) -> None:
    """Else the run length that is stated would be another."""
    assert sum(bets.weights) == pytest.approx(1.0, abs=1e-12)
    assert min(bets.weights) > 0.0

"""The interval around a change point holds the truth, and is as narrow as the outcomes allow."""

from __future__ import annotations

import numpy as np
import pytest

from selfright.detect.certainty.bank import Block
from selfright.detect.certainty.change_point import interval
from selfright.detect.certainty.found import Found
from selfright.detect.certainty.rates import Rates


def first_found(outcomes: np.ndarray, since: int) -> Found | None:
    """Return the first finding from ``since`` on."""
    rates = Rates(min_drop=0.0, tempering=True)
    rates.add(0.7)
    n = len(outcomes)
    columns = np.zeros(n, dtype=np.int64), outcomes.astype(float), np.arange(n), np.arange(n)
    found = rates.feed(Block(*columns), 1e4)
    return next((one for one in found if one.row >= since and one.said is None), None)


@pytest.mark.parametrize(("after", "widest"), [(0.4, 60), (0.65, 120), (0.8, 350)])
def test_it_holds_the_truth_nine_times_in_ten(after: float, widest: int) -> None:
    """From .90 to a lower rate, wherever in fifty outcomes: at the alarm, over 150 agents."""
    held, widths, rng = [], [], np.random.default_rng(2)
    for seed in range(150):
        before = 1000 + seed
        outcomes = np.concatenate([rng.random(before) < 0.9, rng.random(2000) < after])
        one = first_found(outcomes, before)
        if one is None or one.began is None:
            continue
        most, least = one.began
        held.append(least <= one.here.n - before <= most)
        widths.append(most - least)
    assert len(held) >= 140
    assert np.mean(held) >= 0.9
    assert np.median(widths) <= widest


def test_outcomes_left_out_are_noticed() -> None:
    """The check bites: without the latest outcomes hardly anything is told apart."""
    tens = [9.0] * 100 + [4.0, 3.0]
    most, least = interval(tens, 0.9)
    assert least <= 20 <= most <= 40
    most, least = interval(tens[:-2], 0.9)
    assert most - least >= 900


def test_the_rest_of_a_ten_counts() -> None:
    """Seven failures behind the last ten: it began with them, or within the ten before."""
    assert interval([9.0] * 50, 0.9, (7, 0.0)) == (17, 0)
    assert interval([], 0.9, (7, 0.0)) == (17, 0)
    assert interval([], 0.9) == (0, 0)


def test_where_nothing_fell_it_may_be_anywhere() -> None:
    """As wide as what was looked at."""
    assert interval([10.0] * 8, 0.9) == (90, 0)

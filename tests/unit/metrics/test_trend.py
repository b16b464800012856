"""Trends: found where they are, not found in noise, and still is not the same as unknown."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from selfright.metrics.metric_type import MetricType
from selfright.metrics.trend import MIN_EVENTS, Trend, trends_of

HOURS = np.arange(12) / 12  # spans of 5 minutes


def trend(metric, values, events=100, hours=HOURS):
    """Return the trend of a single series."""
    values = np.asarray(values, dtype=float)[None, :]
    counts = np.broadcast_to(np.asarray(events), values.shape)
    return trends_of(metric, hours, values, counts).get(0)


def test_the_slope_is_the_median_of_all_pairwise_slopes():
    """Computed anew pair by pair, gaps included."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=12)
    values[[2, 7]] = np.nan
    known = np.flatnonzero(~np.isnan(values))
    slopes = [(values[j] - values[i]) / (HOURS[j] - HOURS[i]) for i, j in combinations(known, 2)]
    found = trend(MetricType.LATENCY, values)
    assert found.slope_per_h == pytest.approx(np.median(slopes))
    assert np.isclose(slopes, found.interval[0]).any()
    assert found.interval[0] < found.slope_per_h < found.interval[1]


@pytest.mark.parametrize("metric", list(MetricType))
def test_a_clear_rise_is_an_improvement_only_where_more_is_better(metric):
    """Success, accuracy and quality should rise; all that is consumed or fails should not."""
    rising = trend(metric, 0.5 + 0.2 * HOURS)
    falling = trend(metric, 0.7 - 0.2 * HOURS)
    better, worse = (rising, falling) if metric.rises_when_better else (falling, rising)
    assert (better.direction, worse.direction) == ("improving", "degrading")
    assert rising.slope_per_h == pytest.approx(0.2)
    assert rising.interval == pytest.approx((0.2, 0.2))


@pytest.mark.parametrize("metric", list(MetricType))
def test_keeping_still_is_a_finding(metric):
    """Little noise around a level: stable, at any level, zero included."""
    rng = np.random.default_rng(5)
    level = 0.9 + rng.normal(scale=0.004, size=12)
    assert trend(metric, level).direction == "stable"
    assert trend(metric, np.zeros(12)).direction == "stable"


def test_a_change_below_the_practical_margin_is_stable_however_certain():
    """3 points of a rate per hour, 8 % of a latency: seen, and of no consequence."""
    assert trend(MetricType.SUCCESS_RATE, 0.9 - 0.03 * HOURS).direction == "stable"
    assert trend(MetricType.LATENCY, 1000 + 80 * HOURS).direction == "stable"
    assert trend(MetricType.LATENCY, 1000 + 150 * HOURS).direction == "degrading"


def test_noise_wider_than_the_margin_is_unknown():
    """Neither a trend nor its absence can be told."""
    rng = np.random.default_rng(2)
    assert trend(MetricType.SUCCESS_RATE, rng.uniform(0.4, 1, 12)).direction == "unknown"


def test_too_little_data_is_unknown():
    """Fewer than six spans have no slope; few events have one that says nothing."""
    values = np.full(12, np.nan)
    values[:5] = np.linspace(0.9, 0.1, 5)
    assert trend(MetricType.SUCCESS_RATE, values) == Trend("unknown", None, None)
    clear = 0.9 - 0.5 * HOURS
    assert trend(MetricType.SUCCESS_RATE, clear, events=1).direction == "unknown"
    enough = -(-MIN_EVENTS // 12)
    assert trend(MetricType.SUCCESS_RATE, clear, events=enough).direction == "degrading"


def test_wild_spans_do_not_make_a_trend():
    """Two of twelve spans a hundred times as high: a least-squares slope would follow them."""
    values = 1000 + np.random.default_rng(9).normal(scale=5, size=12)
    values[[3, 11]] = 100_000
    found = trend(MetricType.LATENCY, values)
    assert np.polyfit(HOURS, values, 1)[0] > 10_000
    assert abs(found.slope_per_h) < 30
    assert found.direction not in {"improving", "degrading"}


def test_pure_noise_has_a_trend_in_at_most_5_of_100_cases():
    """Over 4,000 series without any; the margin is far below the noise."""
    noise = np.random.default_rng(1).normal(0.8, 0.1, size=(4000, 12))
    events = np.full(noise.shape, 100)
    codes = trends_of(MetricType.SUCCESS_RATE, HOURS, noise, events).codes
    assert 0.02 < np.mean(codes >= 2) < 0.06


def test_the_interval_holds_the_true_slope():
    """In at least 95 of 100 series of twelve spans, and of seven."""
    rng = np.random.default_rng(4)
    noise = rng.standard_t(3, size=(4000, 12)) * 20 + 1000 + 50 * HOURS
    sparse = noise.copy()
    sparse[:, [0, 2, 5, 8, 9]] = np.nan
    for values in (noise, sparse):
        found = trends_of(MetricType.LATENCY, HOURS, values, np.full(values.shape, 50))
        held = (found.low_per_h <= 50) & (found.high_per_h >= 50)
        assert 0.945 <= held.mean() <= 0.995


def test_many_series_at_once_are_each_alone():
    """Vectorised over agents, with gaps of each agent's own."""
    rng = np.random.default_rng(8)
    values = rng.normal(size=(30, 12))
    values[rng.random(values.shape) < 0.3] = np.nan
    events = rng.integers(0, 8, values.shape)
    together = trends_of(MetricType.COST, HOURS, values, events)
    for row in range(30):
        alone = trends_of(MetricType.COST, HOURS, values[row : row + 1], events[row : row + 1])
        assert alone.get(0) == together.get(row)
        assert alone.words(np.array([0])) == together.words(np.array([row]))


def test_as_a_mapping_it_has_the_keys_of_the_contract():
    """direction, slope_per_h, interval; null where there is none."""
    assert Trend("stable", 0.1, (0.0, 0.2)).to_dict() == {
        "direction": "stable",
        "slope_per_h": 0.1,
        "interval": [0.0, 0.2],
    }
    assert Trend("unknown", None, None).to_dict()["interval"] is None

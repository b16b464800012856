"""Logarithmic buckets: exact edges, the promised error, and nothing lost in merging."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfright.errors import ConfigError
from selfright.events.record import MAX_DURATION_MS
from selfright.metrics.histogram import (
    BUCKETS,
    MAX_ERROR,
    OTEL_OFFSET,
    Histogram,
    bucket_of,
    bucket_of_one,
    edges,
    rank,
)

LONGEST_US = int(MAX_DURATION_MS * 1000)
durations = st.lists(
    st.one_of(st.integers(0, 200), st.integers(0, LONGEST_US)), min_size=1, max_size=60
)


@given(durations, st.sampled_from([0.0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 1.0]))
def test_a_quantile_errs_by_at_most_the_promised_part_of_the_order_statistic(values, q):
    """The reference is numpy's inverse of the empirical distribution."""
    histogram = Histogram()
    histogram.update(np.array(values))
    exact = np.quantile(values, q, method="inverted_cdf")
    assert abs(histogram.quantile(q) - exact) <= MAX_ERROR * exact * (1 + 1e-12)


def test_the_promised_error_is_below_what_the_documentation_says():
    """1.1 % in words, (gamma - 1) / (gamma + 1) in truth."""
    assert MAX_ERROR < 0.011


def test_every_edge_is_the_last_microsecond_below_its_power_of_two():
    """Bucket b ends at 2^((b - offset + 1) / 32) seconds, inclusive, judged in rationals."""
    for bucket, upper in enumerate(edges().upper[:-1].tolist()):
        power = Fraction(2) ** (bucket - OTEL_OFFSET + 1)
        assert Fraction(upper, 10**6) ** 32 <= power < Fraction(upper + 1, 10**6) ** 32


def test_a_duration_falls_into_the_bucket_whose_edges_enclose_it():
    """The quick way by the float's bits, the way of one value and a search agree."""
    upper = edges().upper
    near = np.concatenate([upper[:-1], upper[:-1] + 1, np.arange(5000), [LONGEST_US]])
    found = bucket_of(near)
    assert (found == np.where(near > 0, np.searchsorted(upper, near), 0)).all()
    assert [bucket_of_one(value) for value in near.tolist()] == found.tolist()


def test_zero_has_its_own_bucket_and_is_reported_as_zero():
    """A duration of 0 is not a short duration."""
    histogram = Histogram()
    histogram.update(np.array([0, 0, 1]))
    assert histogram.counts[0] == 2
    assert [histogram.quantile(q) for q in (0.5, 1.0)] == [0.0, 1.0]


def test_up_to_46_microseconds_nothing_is_rounded():
    """Buckets narrower than a microsecond hold one value."""
    values = np.arange(47)
    assert edges().value[bucket_of(values)].tolist() == values.tolist()


def test_durations_beyond_every_bucket_count_in_the_last():
    """Nothing is lost, however long."""
    histogram = Histogram()
    histogram.update(np.array([2**60, 2**62]))
    assert histogram.counts[-1] == histogram.count() == 2


@given(durations, durations)
def test_merging_is_the_same_as_counting_together(first, second):
    """In either order, dense or by way of the sparse form."""
    left, right, both = Histogram(), Histogram(), Histogram()
    left.update(np.array(first))
    right.update(np.array(second))
    both.update(np.array(first + second))
    sparse = [np.concatenate(parts) for parts in zip(left.sparse(), right.sparse(), strict=True)]
    assert (Histogram.from_sparse(*sparse).counts == both.counts).all()
    left.merge(right)
    assert (left.counts == both.counts).all()


def test_an_empty_histogram_knows_no_quantile():
    """NaN, neither 0 nor an error."""
    assert np.isnan(Histogram().quantile(0.5))
    assert Histogram.from_sparse(*Histogram().sparse()).count() == 0


@pytest.mark.parametrize("q", [-0.1, 1.1, float("nan")])
def test_a_quantile_outside_of_0_to_1_is_refused(q):
    """The error names what was asked for."""
    with pytest.raises(ConfigError, match="q="):
        Histogram().quantile(q)


def test_counts_of_another_layout_are_refused():
    """They would be read as other durations."""
    with pytest.raises(ConfigError, match=str(BUCKETS)):
        Histogram(np.zeros(10, dtype=np.int64))


@given(st.integers(1, 10**6))
def test_ranks_are_exact_where_a_float_product_is_not(n):
    """0.07 x 100 is more than 7 in floating point; ranks are found in integers."""
    for part in (50, 95, 99):
        assert rank(n, part, 100) == -((-n * part) // 100)

"""What a context says in numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfright.learn.features import features_of

keys = st.text(min_size=1, max_size=12)
values = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(), st.text(max_size=80),
    st.lists(st.integers(), max_size=2),
)  # fmt: skip


@given(st.dictionaries(keys, values, max_size=20))
def test_whatever_a_context_holds_its_features_are_small_finite_numbers(context):
    """Bounded, and multiples of 1/256, so that sums of products of them are exact."""
    found = features_of(context) or {}
    for value in found.values():
        assert math.isfinite(value)
        assert abs(value) <= 256.0
        assert value * 256.0 == round(value * 256.0)


@given(st.floats(-1e12, 1e12), st.floats(-1e12, 1e12))
def test_a_larger_number_is_no_smaller_feature(a, b):
    """Compression keeps the order."""
    low, high = sorted((a, b))
    assert features_of({"x": low})["x"] <= features_of({"x": high})["x"]


def test_a_share_stays_what_it_is_and_a_count_is_compressed():
    """Within a percent up to one; far less than proportional beyond."""
    assert features_of({"x": 0.5})["x"] == pytest.approx(0.5, abs=0.01)
    assert features_of({"x": 100_000})["x"] < 100.0


def test_equal_texts_share_a_column_and_long_ones_say_nothing():
    """A text is a category as long as it is short."""
    assert features_of({"language": "de"}) == features_of({"language": "de"})
    assert list(features_of({"language": "de"})) != list(features_of({"tone": "de"}))
    assert features_of({"prompt": "a" * 65}) is None
    assert features_of({}) is None
    assert features_of(None) is None

"""What must hold of the accuracy score for every pair of values."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from selfright.metrics.accuracy import accuracy_score

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=12),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=6), st.dictionaries(st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=25,
)


def shuffled(value, rng):
    """Return the same value with sequences and keys in another order."""
    if isinstance(value, list):
        items = [shuffled(item, rng) for item in value]
        rng.shuffle(items)
        return items
    if isinstance(value, dict):
        keys = list(value)
        rng.shuffle(keys)
        return {key: shuffled(value[key], rng) for key in keys}
    return value


@given(values)
def test_a_value_scores_1_against_itself(value):
    """However it is built."""
    assert accuracy_score(value, value) == 1


@given(values, st.integers())
def test_order_within_sequences_and_mappings_does_not_count(value, seed):
    """Sequences are multisets at every depth."""
    assert accuracy_score(value, shuffled(value, random.Random(seed))) == 1


@given(values, values)
def test_a_score_lies_in_0_to_1_and_does_not_depend_on_the_side(a, b):
    """And it is the same every time."""
    score = accuracy_score(a, b)
    assert 0 <= score <= 1
    assert accuracy_score(a, b) == score
    assert abs(accuracy_score(b, a) - score) < 1e-9


@given(st.lists(values, max_size=6), values)
def test_one_wrong_element_costs_no_more_than_its_share(items, wrong):
    """N right of n + 1 score at least n / (n + 1)."""
    score = accuracy_score([*items, wrong], [*items, "something else entirely"])
    assert score >= len(items) / (len(items) + 1) - 1e-9

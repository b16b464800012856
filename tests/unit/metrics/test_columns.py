"""Sums of equal keys and rows in cells, against a plain dictionary."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfright.metrics.columns import Column, delta_of_runs, sum_keys
from selfright.metrics.labels import Labels
from selfright.metrics.rows import RunRows

MINUTE = 60_000_000
SMALL = st.integers(-5, 5)
HUGE = st.sampled_from([2**31 - 1, 2**31, -(2**31), 1 - 2**31, 2**40])


@given(st.lists(st.tuples(st.integers(0, 6) | st.just(2**31), SMALL | HUGE), max_size=30))
def test_counts_of_equal_keys_are_added_up(pairs):
    """Also where a key or a count is too large to share an integer with the other."""
    expected: Counter[int] = Counter()
    for key, count in pairs:
        expected[key] += count
    keys, counts = (np.array([pair[i] for pair in pairs], dtype=np.int64) for i in (0, 1))
    found = [array.tolist() for array in sum_keys(keys, counts)]
    assert found == [sorted(expected), [expected[key] for key in sorted(expected)]]


@pytest.mark.parametrize("most", [3, 9_999])
@pytest.mark.parametrize("minutes", [1, 40])
def test_rows_are_added_up_by_agent_and_minute(make_runs, most, minutes):
    """Whether the codes of the agents lie close together or far apart."""
    rng = np.random.default_rng(1)
    n = 50
    agents = rng.choice([0, most // 2, most], n).astype(np.int64)
    times = rng.integers(0, minutes, n) * MINUTE
    tokens = rng.integers(-1, 5, n)
    runs = make_runs(n, ts_us=times, tokens=tokens, cost_nano_usd=rng.integers(0, 5, n))
    delta = delta_of_runs(RunRows.of(agents, runs), Labels())
    cells = list(zip(delta.agents.tolist(), delta.minutes.tolist(), strict=True))
    assert cells == sorted(set(zip(agents.tolist(), (times // MINUTE).tolist(), strict=True)))
    for (agent, minute), values in zip(cells, delta.values, strict=True):
        mine = (agents == agent) & (times // MINUTE == minute)
        told = tokens[mine][tokens[mine] >= 0]
        assert values[Column.SUCCESS] == mine.sum()
        assert values[Column.TOKENS : Column.TOKENS + 2].tolist() == [len(told), told.sum()]
        assert values[Column.COST_NANO_USD + 1] == runs.cost_nano_usd[mine].sum()
        assert not values[Column.TOKENS_IN : Column.COST_NANO_USD].any()

"""Many agents read at once are each as if read alone, in plain Python numbers."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from selfright.metrics.store import MetricsPolicy, MetricsStore

MINUTE = 60_000_000
NOON = 1_767_268_800 * 1_000_000
Q32 = 1 << 32
SUCCESS, FAILURE, PENDING = 0, 1, 6
PLAIN = {int, float, str, type(None), tuple, dict, datetime}
WINDOWS = [None, 30, math.inf]


@pytest.fixture
def store(make_runs, make_outcomes, codes):
    """Return a fleet in which everything that can be missing is missing somewhere."""
    rng = np.random.default_rng(2)
    store = MetricsStore(MetricsPolicy(window_minutes=60, horizon_minutes=600))
    n = 3000
    busy = make_runs(
        n,
        ts_us=NOON - rng.integers(0, 90, n) * MINUTE,
        status=rng.integers(0, 7, n),
        duration_us=rng.integers(-1, 10**9, n),
        retry_count=rng.integers(0, 2, n),
        tokens=rng.integers(-1, 100, n),
        tokens_in=rng.integers(-1, 100, n),
        tokens_out=rng.integers(-1, 100, n),
        api_calls=rng.integers(-1, 9, n),
        cost_nano_usd=rng.integers(-1, 10**10, n),
        memory_kib=rng.integers(-1, 10**6, n),
        cpu_us=rng.integers(-1, 10**6, n),
        quality_q32=rng.integers(-1, Q32, n),
        confidence_q32=rng.integers(-1, Q32, n),
        error_type=[("A", "B", None)[i] for i in rng.integers(0, 3, n)],
        task_type=[f"t{i}" for i in rng.integers(0, 4, n)],
    )
    store.update_runs(rng.integers(0, 5, n).astype(np.int32), busy)
    scores = make_outcomes(50, ts_us=NOON, score_q32=rng.integers(0, Q32, 50))
    store.update_outcomes(rng.integers(3, 7, 50).astype(np.int32), scores)  # 5, 6: no runs
    store.update_runs(codes(8), make_runs(ts_us=NOON, status=PENDING, tokens=7))
    store.update_runs(codes(9), make_runs(ts_us=NOON - 300 * MINUTE, duration_us=5))  # idle
    store.update_runs(codes(10), make_runs(ts_us=NOON, status=FAILURE, cost_nano_usd=5))
    store.update_runs(codes(11), make_runs(ts_us=NOON, duration_us=0))  # one value, and that is 0
    gone = make_runs(2, ts_us=NOON, task_type="t9", duration_us=7)
    store.update_runs(codes(12, 12), gone)
    store.retract_runs(codes(12, 12), gone)
    return store


def performances(store, agents, window):
    """Return the performance of some agents, read together."""
    names, types = [f"agent {agent}" for agent in agents], ["worker"] * len(agents)
    return store.performances(agents, names, types, NOON, window)


@pytest.mark.parametrize("window", WINDOWS)
def test_every_field_is_that_of_the_agent_alone(store, window):
    """Metrics and scores, to the last bit, whatever the agent lacks."""
    agents = store.agents()
    assert agents == [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12]
    everyone = store.snapshots(NOON, window)
    together = performances(store, agents, window)
    for agent, found in zip(agents, together, strict=True):
        alone = store.snapshot(agent, NOON, window)
        for name in alone.__struct_fields__:
            value = getattr(alone, name)
            assert getattr(found.metrics, name) == value, (agent, name)
            assert getattr(everyone[agent], name) == value, (agent, name)
        assert performances(store, [agent], window) == [found]
    assert performances(store, [*agents[::-1], 7, 10**6], window)[-3::-1] == together


@pytest.mark.parametrize("window", WINDOWS)
def test_no_number_of_numpy_leaks(store, window):
    """They would not compare, print or become JSON like the numbers they stand for."""
    of_fleet = store.snapshot(None, NOON, window)
    for found in performances(store, store.agents(), window):
        kinds = {type(getattr(found, name)) for name in found.__struct_fields__}
        assert kinds - {type(of_fleet)} <= PLAIN
        for metrics in (found.metrics, of_fleet):
            values = [getattr(metrics, name) for name in metrics.__struct_fields__]
            assert {type(value) for value in values} <= PLAIN
            inner = [x for value in values if isinstance(value, tuple) for x in value]
            assert {type(x) for x in inner} <= {float}
            counts = [x for value in values if isinstance(value, dict) for x in value.values()]
            assert {type(x) for x in counts} <= {int}


def test_ints_stay_ints_and_floats_floats(store):
    """By field, as they are annotated."""
    found = store.snapshots(NOON)[3]
    kinds = {name: type(getattr(found, name)) for name in found.__struct_fields__}
    ints = {name for name, kind in kinds.items() if kind is int}
    assert ints == {
        "total_tasks", "successful_tasks", "failed_tasks", "partial_tasks", "timeout_tasks",
        "decided_tasks", "total_tokens", "total_tokens_in", "total_tokens_out",
        "total_api_calls", "window_minutes", "sample_size", "accuracy_sample_size",
    }  # fmt: skip
    assert {name for name, kind in kinds.items() if kind is type(None)} == {"label_delay_ms_avg"}
    assert found.window_end == datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_nobody_shares_a_dictionary(store):
    """Whoever adds to the counts of one agent must not change those of another."""
    first, *others = store.snapshots(NOON).values()
    mine = (first.task_types, first.errors_by_type, first.feedback_sources)
    for found in others:
        for counts in (found.task_types, found.errors_by_type, found.feedback_sources):
            assert all(counts is not own for own in mine)


def test_a_fleet_larger_than_is_read_at_once_is_read_in_parts(make_runs):
    """The quantiles of 2,500 agents are each its own."""
    n = 2500
    store = MetricsStore(MetricsPolicy())
    store.update_runs(
        np.arange(n, dtype=np.int32), make_runs(n, ts_us=NOON, duration_us=np.arange(n) * 997)
    )
    for agent, found in store.snapshots(NOON).items():
        assert found.max_latency_ms == pytest.approx(agent * 0.997, rel=0.011)
    assert store.snapshots(NOON)[2400] == store.snapshot(2400, NOON)

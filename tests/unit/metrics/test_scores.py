"""The three scores of an agent, each on an example, each unknown where it rests on nothing."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from selfright.metrics.interval import wilson
from selfright.metrics.snapshot import AgentPerformance
from selfright.metrics.store import MetricsPolicy, MetricsStore

NOON = 1_767_268_800 * 1_000_000
MINUTE = 60_000_000
FAILURE = 1


def performances(store, now=NOON, window=None):
    """Return the performance of every agent."""
    agents = store.agents()
    names, types = [f"agent {agent}" for agent in agents], ["worker"] * len(agents)
    found = store.performances(agents, names, types, now, window)
    return dict(zip(agents, found, strict=True))


def alone(store, agent, window=None):
    """Return the performance of one agent, read by itself."""
    return store.performances([agent], [f"agent {agent}"], ["worker"], NOON, window)[0]


@pytest.fixture
def fleet(make_runs, codes):
    """Return a store of three agents: 1 is the median, 0 takes half, 2 twice as much."""
    store = MetricsStore(MetricsPolicy())
    for agent, factor in enumerate((1, 2, 4)):
        runs = make_runs(
            20,
            ts_us=NOON,
            duration_us=factor * 2**25,
            cost_nano_usd=factor * 1000,
            tokens=factor * 10,
            task_type=["code", "chat"] * 10 if agent == 1 else "code",
        )
        store.update_runs(codes(*[agent] * 20), runs)
    return store


def test_efficiency_compares_what_a_success_takes_with_the_median_agent(fleet):
    """The median agent has one half; half or twice its needs have two or one third."""
    scores = [found.efficiency_score for found in performances(fleet).values()]
    assert scores == pytest.approx([2 / 3, 1 / 2, 1 / 3], rel=0.01)


def test_failures_make_a_success_dearer(fleet, make_runs, codes):
    """The same spent for half the successes halves what is counted in cost and tokens."""
    failed = make_runs(
        20, ts_us=NOON, status=FAILURE, duration_us=2**25, cost_nano_usd=1000, tokens=10
    )
    fleet.update_runs(codes(*[0] * 20), failed)
    found = performances(fleet)[0]
    assert found.metrics.success_rate == 0.5
    assert found.efficiency_score == pytest.approx((2 / 3 + 1 / 2 + 1 / 2) / 3, rel=0.01)


def test_spending_without_any_success_scores_nothing(make_runs, codes):
    """Cost and tokens went for nothing; only the latency still counts."""
    store = MetricsStore(MetricsPolicy())
    for agent, status in enumerate((0, 0, FAILURE)):
        store.update_runs(codes(agent), make_runs(ts_us=NOON, status=status, cost_nano_usd=5))
    assert [found.efficiency_score for found in performances(store).values()] == [0.5, 0.5, 0.0]


def test_reliability_is_what_one_may_count_on(fleet):
    """The lower end of the interval of the success rate."""
    assert performances(fleet)[0].reliability_score == wilson(20, 20)[0]


def test_specialization_is_one_minus_the_evenness_of_task_types(fleet):
    """One type of two: 1. Both alike: 0."""
    scores = [found.specialization_score for found in performances(fleet).values()]
    assert scores == pytest.approx([1, 0, 1])


def test_scores_without_ground_are_none(make_runs, codes):
    """Nobody to compare with, nothing decided, one type of task: unknown, not 0."""
    store = MetricsStore(MetricsPolicy())
    store.update_runs(codes(0), make_runs(ts_us=NOON, status=4, task_type="a", tokens=5))
    store.update_runs(codes(1), make_runs(ts_us=NOON, task_type="a", duration_us=5))
    cancelled, only = performances(store).values()
    assert cancelled.reliability_score is None
    assert cancelled.efficiency_score is only.efficiency_score is None
    assert cancelled.specialization_score is only.specialization_score is None


def test_scores_lie_in_0_to_1_whatever_the_fleet(make_runs, codes):
    """Random fleets, zeros and missing quantities included."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        store = MetricsStore(MetricsPolicy())
        runs = make_runs(
            60,
            ts_us=NOON,
            status=rng.integers(0, 7, 60),
            duration_us=rng.integers(-1, 2, 60),
            tokens=rng.integers(-1, 2, 60),
            cost_nano_usd=rng.integers(-1, 2, 60),
            task_type=[f"t{i}" for i in rng.integers(0, 4, 60)],
        )
        store.update_runs(rng.integers(0, 6, 60).astype(np.int32), runs)
        for found in performances(store).values():
            for score in ("specialization_score", "reliability_score", "efficiency_score"):
                value = getattr(found, score)
                assert value is None or 0 <= value <= 1


def test_status_says_whether_an_agent_works(fleet, make_outcomes, codes):
    """In the window: active. Before it: idle. The newest run is told either way."""
    assert {found.status for found in performances(fleet).values()} == {"active"}
    later = performances(fleet, NOON + 90 * MINUTE)[0]
    assert (later.status, later.metrics.total_tasks) == ("idle", 0)
    assert later.last_run.timestamp() * 1e6 == NOON
    fleet.update_outcomes(codes(9), make_outcomes(ts_us=NOON, score_q32=0))
    judged = performances(fleet)[9]
    assert (judged.status, judged.last_run) == ("idle", None)
    for never in fleet.performances([8, 10**6], ["x", "y"], [None, None], NOON):
        assert never.status == "unknown"
        assert never == msgspec.structs.replace(
            AgentPerformance.unknown(never.agent_name), metrics=fleet.snapshot(8, NOON)
        )


def test_the_fleet_compared_with_is_that_of_the_same_window_and_moment(fleet, make_runs, codes):
    """A cached reference must not outlive what it was made of."""
    before = alone(fleet, 0)
    dear = make_runs(20, ts_us=NOON, cost_nano_usd=10**9, duration_us=2**33, tokens=10**6)
    fleet.update_runs(codes(*[1] * 20), dear)
    assert alone(fleet, 0).efficiency_score > before.efficiency_score
    for window in (None, math.inf, 30):
        for agent, found in performances(fleet, window=window).items():
            assert found == alone(fleet, agent, window)
    fleet.advance(NOON + 10**6 * MINUTE)  # the horizon leaves everything behind
    assert alone(fleet, 0).efficiency_score is None
    assert alone(fleet, 0, 30).efficiency_score is None
    assert alone(fleet, 0, math.inf).efficiency_score > before.efficiency_score


def test_a_performance_is_json_able(fleet):
    """The keys of the contract, the metrics within."""
    plain = performances(fleet)[0].to_dict()
    assert list(plain) == [
        "agent_name",
        "agent_type",
        "metrics",
        "last_run",
        "status",
        "specialization_score",
        "reliability_score",
        "efficiency_score",
    ]
    assert plain["last_run"] == "2026-01-01T12:00:00.000000Z"
    assert plain["metrics"]["total_tasks"] == 20

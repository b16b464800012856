"""The store as a whole: limits, memory, series and trends over time, large fleets."""

from __future__ import annotations

import gc
import math
import weakref

import numpy as np
import pytest

from selfright.errors import ConfigError
from selfright.metrics.histogram import edges
from selfright.metrics.metric_type import MetricType
from selfright.metrics.store import MetricsPolicy, MetricsStore

MINUTE = 60_000_000
NOON = 1_767_268_800 * 1_000_000
Q32 = 1 << 32
FAILURE, PENDING = 1, 6
POLICY = MetricsPolicy(window_minutes=60, horizon_minutes=240)


@pytest.fixture
def store():
    """Return an empty store with a window of an hour."""
    return MetricsStore(POLICY)


def test_a_policy_that_contradicts_itself_is_refused():
    """The error names the number and what it must be."""
    with pytest.raises(ConfigError, match=r"horizon_minutes=5: .*window_minutes=60"):
        MetricsPolicy(horizon_minutes=5)
    for name in ("window_minutes", "max_agents", "archive_mb"):
        with pytest.raises(ConfigError, match=f"{name}=0"):
            MetricsPolicy(**{name: 0})


def test_more_agents_than_the_policy_allows_are_refused(make_runs, make_outcomes, codes):
    """The interner should have seen to it; memory must not grow without bound."""
    store = MetricsStore(MetricsPolicy(max_agents=2))
    with pytest.raises(ConfigError, match="max_agents=2"):
        store.update_runs(codes(2), make_runs(ts_us=NOON))
    with pytest.raises(ConfigError, match="max_agents=2"):
        store.update_outcomes(codes(0, 5), make_outcomes(2, ts_us=NOON))
    assert store.snapshot(None, NOON).total_tasks == 0


def test_empty_batches_change_nothing(store, make_runs, make_outcomes, codes):
    """Not even the clock."""
    state = store.to_state()["clock"]
    for change in (store.update_runs, store.retract_runs):
        change(codes(), make_runs(0))
    for change in (store.update_outcomes, store.retract_outcomes):
        change(codes(), make_outcomes(0))
    assert store.to_state()["clock"] == state is None


def test_all_durations_ever_are_counted_and_added_up(store, make_runs, codes):
    """Beyond the horizon too, undecided runs left out; a retraction takes them back."""
    durations = [1_000, 2_000, 2_000, 3_000_000]
    for i, duration in enumerate(durations):
        old = NOON - i * 1000 * MINUTE
        store.update_runs(codes(i), make_runs(ts_us=old, duration_us=duration))
    store.update_runs(codes(0), make_runs(ts_us=NOON, duration_us=77, status=PENDING))
    counts, sum_us = store.durations()
    assert (int(counts.sum()), sum_us) == (4, sum(durations))
    # A bucket's value stands for all in it, within 1.1 %.
    assert counts @ edges().value == pytest.approx(sum_us, rel=0.011)
    store.retract_runs(codes(3), make_runs(ts_us=NOON - 3000 * MINUTE, duration_us=3_000_000))
    counts, sum_us = store.durations()
    assert (int(counts.sum()), sum_us) == (3, 5_000)


def test_a_large_fleet_over_many_minutes_equals_numpy(make_runs, codes):
    """Codes and minutes far apart, rows in random order, many batches."""
    rng = np.random.default_rng(5)
    n = 30_000
    agents = rng.choice(np.array([0, 3, 77, 5_000, 9_999]), n).astype(np.int32)
    ts_us = NOON + rng.integers(0, 200, n) * MINUTE
    status = rng.choice([0, 0, 0, FAILURE, PENDING], n)
    duration = np.exp(rng.normal(14, 2, n)).astype(np.int64)
    cost = rng.integers(-1, 10**13, n)
    runs = make_runs(n, ts_us=ts_us, status=status, duration_us=duration, cost_nano_usd=cost)
    store = MetricsStore(MetricsPolicy(window_minutes=60, horizon_minutes=240))
    for at in range(0, n, 777):
        part = slice(at, at + 777)
        store.update_runs(agents[part], runs.take(part))
    now = NOON + 150 * MINUTE
    for minutes, first in ((60, 90), (100, 50), (math.inf, 0)):
        inside = (ts_us >= NOON + first * MINUTE) & ((ts_us <= now) | (minutes == math.inf))
        everyone = store.snapshots(now, minutes)
        assert sorted(everyone) == [0, 3, 77, 5_000, 9_999]
        for agent, found in everyone.items():
            mine = inside & (agents == agent)
            decided = mine & (status != PENDING)
            paid = mine & (cost >= 0)
            exact = np.quantile(duration[decided], [0.5, 0.95, 0.99], method="inverted_cdf")
            assert found.total_tasks == mine.sum()
            assert found.success_rate == (mine & (status == 0)).sum() / decided.sum()
            assert found.total_cost == pytest.approx(int(cost[paid].sum()) / 10**9, rel=1e-15)
            assert found.avg_latency_ms == pytest.approx(duration[decided].mean() / 1000)
            quantiles = [found.p50_latency_ms, found.p95_latency_ms, found.p99_latency_ms]
            assert quantiles == pytest.approx((exact / 1000).tolist(), rel=0.011)
            assert found == store.snapshot(agent, now, minutes)


def test_sums_of_ten_million_of_the_largest_scores_do_not_overflow(store, make_runs, codes):
    """2^32 x 10^7 is a hundredth of what an int64 holds; the batch path adds it exactly."""
    runs = make_runs(1000, ts_us=NOON, quality_q32=Q32)
    for _ in range(10):
        store.update_runs(codes(*[0] * 1000), runs)
    assert store.snapshot(0, NOON).avg_quality_score == 1.0
    assert 10**7 * Q32 < 2**63 // 100


@pytest.mark.parametrize("together", [True, False])
def test_a_row_is_late_one_minute_beyond_the_horizon(store, make_runs, codes, together):
    """At the horizon it still counts in the longest window, alone or in a batch."""
    now = NOON + 240 * MINUTE
    runs = make_runs(4, ts_us=[now, NOON, NOON - 1, now])
    if together:
        store.update_runs(codes(0, 0, 0, 0), runs)
    else:
        for i in range(4):
            store.update_runs(codes(0), runs.take(slice(i, i + 1)))
    assert (store.late, store.late_runs, store.late_outcomes) == (1, 1, 0)
    assert store.snapshot(0, now, 240).total_tasks == 3
    assert store.snapshot(0, now, math.inf).total_tasks == 4
    assert store.snapshot(0, now).total_tasks == 2


def test_a_window_does_not_show_what_has_been_forgotten(store, make_runs, codes):
    """Read before and after the horizon passed: no figure from a minute that is gone."""
    store.update_runs(codes(0, 0), make_runs(2, ts_us=[NOON, NOON + 30 * MINUTE]))
    now = NOON + 40 * MINUTE
    assert store.snapshot(0, now).total_tasks == 2
    store.advance(NOON + 250 * MINUTE)
    found = store.snapshot(0, now)
    assert found.total_tasks == 1
    assert found.window_start.timestamp() * 1e6 == NOON + 10 * MINUTE
    assert store.snapshot(0, NOON + 70 * MINUTE).total_tasks == 1


@pytest.mark.parametrize("width", [60, 100, 240])
def test_every_window_forgets_what_the_horizon_left_behind(store, make_runs, codes, width):
    """Read again where it stands after time passed without an event, whatever its length."""
    store.update_runs(codes(0), make_runs(ts_us=NOON))
    for at in (0, 240, 241):
        store.advance(NOON + at * MINUTE)
        assert store.snapshot(0, NOON + 30 * MINUTE, width).total_tasks == (at <= 240)


def test_an_evicted_agent_cannot_go_below_nothing(store, make_runs, codes):
    """A retraction of what was forgotten is ignored; what comes after counts from 0."""
    runs = make_runs(3, ts_us=NOON)
    store.update_runs(codes(0, 0, 1), runs)
    assert store.snapshot(0, NOON, math.inf).total_tasks == 2
    store.evict(0)
    store.retract_runs(codes(0, 0, 1), runs)
    assert store.snapshot(None, NOON, math.inf).total_tasks == 0
    assert store.agents() == [1]
    store.update_runs(codes(0), make_runs(ts_us=NOON))
    assert store.snapshot(0, NOON).total_tasks == 1
    store.evict(4)  # never seen: nothing to do


def test_the_newest_run_is_known_per_agent_and_for_the_fleet(store, make_runs, codes):
    """Whatever the order, and after a retraction still."""
    runs = make_runs(3, ts_us=[NOON + 5, NOON, NOON + 7])
    store.update_runs(codes(0, 0, 1), runs)
    assert [store.last_run_us(agent) for agent in (0, 1, 2, None)] == [
        NOON + 5,
        NOON + 7,
        None,
        NOON + 7,
    ]
    store.retract_runs(codes(0, 0, 1), runs)
    assert store.last_run_us(0) == NOON + 5


def test_waiting_rows_do_not_keep_payloads_alive(store, make_runs, make_outcomes, codes):
    """Contexts and predictions of a megabyte must not stay for a few integers."""

    class Payload(dict):
        """A mapping that can be watched."""

    context, actual = Payload(), Payload()
    gone = [weakref.ref(context), weakref.ref(actual)]
    store.update_runs(codes(0), make_runs(ts_us=NOON, context=context))
    run = {"ts_us": NOON, "status": 0, "context": context}
    store.update_outcomes(codes(0), make_outcomes(ts_us=NOON, actual=actual, run=[run]))
    del context, actual, run
    gc.collect()
    assert [reference() for reference in gone] == [None, None]
    assert store.snapshot(0, NOON).accuracy_coverage == 1


def test_a_full_archive_drops_its_oldest_minutes_and_says_so(make_runs, codes):
    """The window keeps everything, what lies behind it is shortened, the whole past is whole."""
    policy = MetricsPolicy(window_minutes=5, horizon_minutes=10_000, archive_mb=1)
    store = MetricsStore(policy)
    rng = np.random.default_rng(1)
    agents = np.arange(200, dtype=np.int32)
    minutes = 400
    for at in range(minutes):
        duration = np.exp(rng.normal(14, 1, 200)).astype(np.int64)
        runs = make_runs(200, ts_us=NOON + at * MINUTE, duration_us=duration, tokens=10**6 + at)
        store.update_runs(agents, runs)
    now = NOON + (minutes - 1) * MINUTE
    assert store.snapshot(None, now).total_tasks == 6 * 200
    longest = store.snapshot(None, now, 10_000)
    kept = round((now - longest.window_start.timestamp() * 1e6) / MINUTE) + 1
    assert 50 < kept < 350
    assert longest.total_tasks == kept * 200
    assert longest.window_minutes == kept - 1
    assert store.snapshot(None, now, math.inf).total_tasks == minutes * 200
    store.update_runs(agents, make_runs(200, ts_us=NOON))
    assert store.late_runs == 200


def test_a_series_has_a_value_per_bucket(store, make_runs, codes):
    """Rates, means and medians, the open bucket last, unknown where nothing was."""
    for at, (failed, duration) in enumerate([(0, 100), (1, 200), (4, 300)]):
        ts_us = NOON + (10 * at + 3) * MINUTE
        status = [FAILURE] * failed + [0] * (4 - failed)
        runs = make_runs(4, ts_us=ts_us, status=status, duration_us=[1, duration, duration, 10**6])
        store.update_runs(codes(0, 0, 0, 0), runs)
    now = NOON + 31 * MINUTE
    rate = store.series(0, MetricType.SUCCESS_RATE, now, 31, 10)
    assert rate.start_us == tuple(NOON + 10 * at * MINUTE for at in range(4))
    assert rate.values == (1.0, 0.75, 0.0, None)
    assert rate.events == (4, 4, 4, 0)
    latency = store.series(None, MetricType.LATENCY, now, 31, 10)
    assert latency.values[:3] == pytest.approx((0.1, 0.2, 0.3), rel=0.011)
    assert store.series(5, MetricType.COST, now, 31, 10).values == (None,) * 4
    plain = rate.to_dict()
    assert plain["start"][0] == "2026-01-01T12:00:00.000000Z"
    assert plain["values"] == [1.0, 0.75, 0.0, None]


def test_a_series_equals_snapshots_of_its_buckets(make_runs, make_outcomes, codes):
    """All metrics, agents and the fleet, on random rows; also after more rows came in."""
    rng = np.random.default_rng(3)
    store = MetricsStore(MetricsPolicy(window_minutes=4, horizon_minutes=60))
    n = 400
    for _ in range(2):
        runs = make_runs(
            n,
            ts_us=NOON + rng.integers(0, 20, n) * MINUTE,
            status=rng.integers(0, 7, n),
            duration_us=rng.integers(-1, 10**7, n),
            tokens=rng.integers(-1, 100, n),
            cost_nano_usd=rng.integers(-1, 100, n),
            memory_kib=rng.integers(-1, 100, n),
            cpu_us=rng.integers(-1, 100, n),
            api_calls=rng.integers(-1, 100, n),
            quality_q32=rng.integers(-1, Q32, n),
        )
        store.update_runs(rng.integers(0, 4, n).astype(np.int32), runs)
        labels = make_outcomes(
            n, ts_us=NOON + rng.integers(0, 20, n) * MINUTE, score_q32=rng.integers(0, Q32, n)
        )
        store.update_outcomes(rng.integers(0, 4, n).astype(np.int32), labels)
        names = {
            MetricType.SUCCESS_RATE: "success_rate",
            MetricType.ERROR_RATE: "error_rate",
            MetricType.LATENCY: "p50_latency_ms",
            MetricType.TOKEN_USAGE: "tokens_per_task",
            MetricType.COST: "cost_per_task",
            MetricType.MEMORY: "avg_memory_mb",
            MetricType.CPU: "avg_cpu_ms",
            MetricType.ACCURACY: "avg_accuracy",
            MetricType.QUALITY: "avg_quality_score",
        }
        for agent in (None, 0, 3):
            for metric, name in names.items():
                series = store.series(agent, metric, NOON + 19 * MINUTE, 19, 5)
                assert len(series.values) == 4
                for start, value in zip(series.start_us, series.values, strict=True):
                    found = store.snapshot(agent, start + 4 * MINUTE)
                    assert value == pytest.approx(getattr(found, name)), (agent, metric)


@pytest.mark.parametrize("bucket", [0, -1])
def test_a_bucket_of_no_length_is_refused(store, bucket):
    """As are more buckets than a chart can show."""
    with pytest.raises(ConfigError, match="bucket_minutes"):
        store.series(None, MetricType.COST, NOON, 10, bucket)
    long = MetricsStore(MetricsPolicy(horizon_minutes=50_000))
    with pytest.raises(ConfigError, match="buckets"):
        long.series(None, MetricType.COST, NOON, 40_000, 1)


def falling(make_runs, codes, store, agent, minutes=61):
    """Let an agent sink from always right to always wrong, ever slower, within an hour."""
    rng = np.random.default_rng(agent)
    for at in range(minutes):
        runs = make_runs(
            10,
            ts_us=NOON + at * MINUTE,
            status=(rng.random(10) < at / 60).astype(int),
            duration_us=10**6 + at * 20_000,
            cost_nano_usd=5 * 10**6,
        )
        store.update_runs(codes(*[agent] * 10), runs)


def test_trends_stand_in_the_snapshot_and_say_where_things_go(store, make_runs, codes):
    """A sinking agent beside one that keeps still, in one fleet."""
    falling(make_runs, codes, store, 0)
    for at in range(61):
        runs = make_runs(10, ts_us=NOON + at * MINUTE, duration_us=10**6, cost_nano_usd=10**6)
        store.update_runs(codes(*[1] * 10), runs)
    now = NOON + 60 * MINUTE
    sinking, still, fleet = (store.snapshot(agent, now) for agent in (0, 1, None))
    for found, words in (
        (sinking, ("degrading", "degrading", "stable")),
        (still, ("stable", "stable", "stable")),
        (fleet, ("degrading", "stable", "stable")),  # half of the runs keep their latency
    ):
        assert (found.success_rate_trend, found.latency_trend, found.cost_trend) == words
    assert store.snapshots(now)[0] == sinking
    trends = store.trends(0, now)
    assert list(trends) == list(MetricType)
    assert trends[MetricType.SUCCESS_RATE].slope_per_h == pytest.approx(-1, abs=0.2)
    assert trends[MetricType.LATENCY].slope_per_h == pytest.approx(1200, rel=0.1)
    assert trends[MetricType.ACCURACY].direction == "unknown"
    assert store.trends(7, now)[MetricType.SUCCESS_RATE].direction == "unknown"
    assert store.trends(0, now, math.inf)[MetricType.SUCCESS_RATE].direction == "degrading"
    assert store.snapshot(0, now, trends=False).latency_trend == "unknown"


def test_kept_trends_do_not_outlive_what_they_were_made_of(store, make_runs, codes):
    """Late rows, retractions and time passing change them as if computed anew."""
    falling(make_runs, codes, store, 0)
    now = NOON + 60 * MINUTE
    assert store.snapshot(0, now).success_rate_trend == "degrading"
    lifted = [make_runs(300, ts_us=NOON + at * MINUTE) for at in range(61)]
    for runs in lifted:
        store.update_runs(codes(*[0] * 300), runs)
    assert store.snapshot(0, now).success_rate_trend == "stable"
    for runs in lifted:
        store.retract_runs(codes(*[0] * 300), runs)
    assert store.snapshot(0, now).success_rate_trend == "degrading"
    assert store.snapshot(0, now + 120 * MINUTE).success_rate_trend == "unknown"


def test_trends_do_not_look_at_the_span_that_is_still_open(store, make_runs, codes):
    """A minute into a new span its rate would be that of a handful of runs."""
    for at in range(60):
        store.update_runs(codes(*[0] * 10), make_runs(10, ts_us=NOON + at * MINUTE))
    now = NOON + 60 * MINUTE
    before = store.trends(0, now)
    store.update_runs(codes(*[0] * 10), make_runs(10, ts_us=now, status=FAILURE))
    assert store.trends(0, now) == before


def test_stores_of_different_policies_do_not_merge(store):
    """Their minutes mean different horizons."""
    with pytest.raises(ConfigError, match="policy"):
        store.merge(MetricsStore(MetricsPolicy()))


def test_merged_stores_match_names_not_numbers(make_runs, codes):
    """Two partitions met the same errors in another order."""
    stores = [MetricsStore(POLICY) for _ in range(2)]
    for store, names in zip(stores, (["A", "B"], ["B", "C"]), strict=True):
        runs = make_runs(2, ts_us=NOON, status=FAILURE, error_type=names)
        store.update_runs(codes(0, 0), runs)
        assert store.snapshot(0, NOON, math.inf).total_tasks == 2
        assert store.snapshot(0, NOON).total_tasks == 2
    stores[0].merge(stores[1])
    assert stores[0].snapshot(0, NOON).errors_by_type == {"A": 1, "B": 2, "C": 1}
    assert stores[0].snapshot(0, NOON, math.inf).errors_by_type == {"A": 1, "B": 2, "C": 1}
    assert stores[1].snapshot(0, NOON).errors_by_type == {"B": 1, "C": 1}


def test_a_state_of_another_format_is_refused(store):
    """Rather than read as something else."""
    with pytest.raises(ConfigError, match="format"):
        MetricsStore.from_state(POLICY, {**store.to_state(), "format": 99})
    with pytest.raises(ConfigError, match="format"):
        MetricsStore.from_state(POLICY, {})


def test_a_state_read_under_a_shorter_horizon_forgets_what_is_beyond(store, make_runs, codes):
    """Settings may change between two runs; the whole past stays whole."""
    store.update_runs(codes(0, 0), make_runs(2, ts_us=[NOON, NOON + 100 * MINUTE]))
    short = MetricsPolicy(window_minutes=60, horizon_minutes=60)
    again = MetricsStore.from_state(short, store.to_state())
    now = NOON + 100 * MINUTE
    assert again.snapshot(0, now, 240).total_tasks == 1
    assert again.snapshot(0, now, math.inf).total_tasks == 2


def test_packed_minutes_take_a_quarter_of_the_memory(make_runs, codes):
    """And hold the same figures."""
    store = MetricsStore(MetricsPolicy(window_minutes=2, horizon_minutes=60))
    agents = np.arange(100, dtype=np.int32)
    for at in range(10):
        runs = make_runs(100, ts_us=NOON + at * MINUTE, duration_us=10**6, tokens=1000)
        store.update_runs(agents, runs)
    store.snapshot(None, NOON + 9 * MINUTE)
    minutes = store._ledger.minutes
    packed = minutes[NOON // MINUTE].pack()
    agents, values = minutes[NOON // MINUTE + 8].cells()
    keys, counts = minutes[NOON // MINUTE + 8].marks()
    assert packed < sum(array.nbytes for array in (agents, values, keys, counts)) / 4
    assert (minutes[NOON // MINUTE].cells()[1] == values).all()

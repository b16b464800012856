"""What the figures mean: every definition on an example small enough to check by hand."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import msgspec
import pytest

from selfright.errors import ConfigError
from selfright.metrics.interval import wilson
from selfright.metrics.snapshot import AgentPerformance, MetricType, PerformanceMetrics
from selfright.metrics.store import MetricsPolicy, MetricsStore

MINUTE = 60_000_000
NOON = 1_767_268_800 * 1_000_000  # 2026-01-01T12:00:00Z
Q32 = 1 << 32
SUCCESS, FAILURE, PARTIAL, TIMEOUT, CANCELLED, INTERRUPTED, PENDING = range(7)


@pytest.fixture
def store():
    """Return an empty store with a window of ten minutes."""
    return MetricsStore(MetricsPolicy(window_minutes=10, horizon_minutes=60))


def test_rates_are_over_decided_runs_only(store, make_runs, codes):
    """A cancelled, interrupted or pending run says nothing about the agent."""
    status = [SUCCESS] * 5 + [FAILURE, PARTIAL, TIMEOUT, CANCELLED, INTERRUPTED, PENDING]
    retried = [0, 0, 0, 0, 2, 1, 0, 0, 5, 5, 5]
    runs = make_runs(11, status=status, ts_us=NOON, retry_count=retried)
    store.update_runs(codes(*[0] * 11), runs)
    found = store.snapshot(0, NOON)
    assert (found.total_tasks, found.sample_size, found.decided_tasks) == (11, 11, 8)
    assert (found.successful_tasks, found.failed_tasks) == (5, 1)
    assert (found.partial_tasks, found.timeout_tasks) == (1, 1)
    assert found.success_rate == 5 / 8
    assert found.error_rate == 2 / 8
    assert found.timeout_rate == 1 / 8
    assert found.retry_rate == 2 / 8
    assert found.success_rate_interval == wilson(5, 8)
    assert found.error_rate_interval == wilson(2, 8)


@pytest.mark.parametrize("status", [CANCELLED, INTERRUPTED, PENDING])
def test_nothing_decided_is_unknown_not_zero(store, make_runs, codes, status):
    """Every rate and its interval is None, while the run itself counts."""
    store.update_runs(codes(0), make_runs(status=status, ts_us=NOON, duration_us=7000))
    found = store.snapshot(0, NOON)
    assert found.total_tasks == 1
    for name in ("success_rate", "error_rate", "timeout_rate", "retry_rate"):
        assert getattr(found, name) is None
    assert found.success_rate_interval is None
    assert found.accuracy_coverage is None
    assert found.avg_latency_ms is None  # cut short: tells when, not how fast


def test_what_nobody_reported_is_none(store, make_runs, codes):
    """Neither 0 nor an average of nothing."""
    store.update_runs(codes(0), make_runs(ts_us=NOON))
    found = store.snapshot(0, NOON)
    unknown = {name for name in found.__struct_fields__ if getattr(found, name) is None}
    assert unknown == {
        "avg_latency_ms",
        "p50_latency_ms",
        "p95_latency_ms",
        "p99_latency_ms",
        "max_latency_ms",
        "total_tokens",
        "total_tokens_in",
        "total_tokens_out",
        "total_api_calls",
        "total_cost",
        "cost_per_task",
        "tokens_per_task",
        "avg_memory_mb",
        "avg_cpu_ms",
        "avg_quality_score",
        "avg_confidence",
        "avg_accuracy",
        "accuracy_interval",
        "p95_latency_interval",
        "label_delay_ms_avg",
    }


def test_units_are_those_of_the_contract(store, make_runs, codes):
    """Milliseconds, dollars, megabytes and 0..1; means over the runs that reported."""
    runs = make_runs(
        4,
        ts_us=NOON,
        duration_us=[1_500_000, 2_500_000, -1, -1],
        tokens=[100, -1, 300, 0],
        tokens_in=[60, -1, -1, -1],
        tokens_out=[40, -1, -1, -1],
        api_calls=[3, 0, -1, -1],
        cost_nano_usd=[25_000_000, 75_000_000, -1, -1],
        memory_kib=[512 * 1024, -1, 256 * 1024, -1],
        cpu_us=[800_000, -1, -1, -1],
        quality_q32=[Q32, Q32 // 2, -1, -1],
        confidence_q32=[Q32 // 4, -1, -1, -1],
    )
    store.update_runs(codes(0, 0, 0, 0), runs)
    found = store.snapshot(None, NOON)
    assert found.avg_latency_ms == 2000
    assert found.max_latency_ms == pytest.approx(2500, rel=0.011)
    assert found.p50_latency_ms == pytest.approx(1500, rel=0.011)
    assert (found.total_tokens, found.tokens_per_task) == (400, 400 / 3)
    assert (found.total_tokens_in, found.total_tokens_out) == (60, 40)
    assert found.total_api_calls == 3
    assert (found.total_cost, found.cost_per_task) == (0.1, 0.05)
    assert (found.avg_memory_mb, found.avg_cpu_ms) == (384, 800)
    assert (found.avg_quality_score, found.avg_confidence) == (0.75, 0.25)


def test_accuracy_comes_with_coverage_delay_and_sources(store, make_runs, make_outcomes, codes):
    """Three of four decided runs are labelled, one of them twice; an unmatched outcome counts."""
    status = [SUCCESS, SUCCESS, FAILURE, SUCCESS, CANCELLED]
    runs = make_runs(5, status=status, ts_us=NOON)
    store.update_runs(codes(*[0] * 5), runs)
    run = {"ts_us": NOON, "status": SUCCESS}
    cancelled = {"ts_us": NOON, "status": CANCELLED}
    outcomes = make_outcomes(
        6,
        ts_us=NOON + 2 * MINUTE,
        score_q32=[Q32, Q32, 0, Q32 // 2, 0, Q32],
        feedback_source=["user", "judge", "user", "user", "judge", "user"],
        run=[run, run, run, run, cancelled, None],
        primary=[True, False, True, True, True, True],
    )
    store.update_outcomes(codes(*[0] * 6), outcomes)
    found = store.snapshot(0, NOON + 3 * MINUTE)
    assert found.avg_accuracy == 3.5 / 6
    assert found.accuracy_sample_size == 6
    assert found.accuracy_interval == wilson(3.5, 6)
    assert found.accuracy_coverage == 3 / 4
    assert found.label_delay_ms_avg == 120_000
    assert found.feedback_sources == {"user": 4, "judge": 2}
    assert store.outcomes_total == 6


def test_a_label_counts_for_coverage_at_the_time_of_its_run(store, make_runs, make_outcomes, codes):
    """The outcome is in the window, its run is not: accuracy has it, coverage must not."""
    store.update_runs(codes(0, 0), make_runs(2, ts_us=[NOON, NOON + 20 * MINUTE]))
    old = {"ts_us": NOON, "status": SUCCESS}
    labels = make_outcomes(1, ts_us=NOON + 20 * MINUTE, score_q32=Q32, run=[old])
    store.update_outcomes(codes(0), labels)
    found = store.snapshot(0, NOON + 20 * MINUTE)
    assert (found.accuracy_sample_size, found.accuracy_coverage) == (1, 0)
    assert store.snapshot(0, NOON + 20 * MINUTE, 30).accuracy_coverage == 0.5


def test_a_label_that_seems_older_than_its_run_has_no_delay(store, make_outcomes, codes):
    """Clocks disagree; a negative delay would hide the others'."""
    run = {"ts_us": NOON + MINUTE, "status": SUCCESS}
    for n in (1, 2):
        labels = make_outcomes(n, ts_us=NOON, score_q32=Q32, run=[run] * n)
        store.update_outcomes(codes(*[0] * n), labels)
    assert store.snapshot(0, NOON).label_delay_ms_avg == 0


def test_names_are_counted_where_they_say_something(store, make_runs, codes):
    """Errors of failures and timeouts, task types of decided runs."""
    runs = make_runs(
        5,
        ts_us=NOON,
        status=[FAILURE, TIMEOUT, SUCCESS, CANCELLED, FAILURE],
        error_type=["ValueError", "Timeout", "Warning", "Cancelled", None],
        task_type=["code", "code", "chat", "chat", None],
    )
    store.update_runs(codes(*[0] * 5), runs)
    found = store.snapshot(0, NOON)
    assert found.errors_by_type == {"ValueError": 1, "Timeout": 1}
    assert found.task_types == {"code": 2, "chat": 1}


def test_one_row_alone_counts_as_in_company(make_runs, make_outcomes, codes):
    """The way of single rows and that of batches are two; their sums are one."""
    runs = make_runs(
        3,
        ts_us=[NOON, NOON + MINUTE, NOON],
        status=[FAILURE, SUCCESS, PENDING],
        duration_us=[5000, 0, 7],
        retry_count=1,
        error_type="E",
        task_type="t",
        **{
            name: [5, 0, -1]
            for name in ("tokens", "tokens_in", "tokens_out", "api_calls", "cost_nano_usd")
        },
        **{name: [-1, 6, 0] for name in ("memory_kib", "cpu_us", "quality_q32", "confidence_q32")},
    )
    run = {"ts_us": NOON, "status": FAILURE}
    labels = make_outcomes(2, ts_us=NOON + MINUTE, score_q32=[7, Q32], run=[run, None])
    together, alone = (MetricsStore(MetricsPolicy()) for _ in range(2))
    together.update_runs(codes(0, 1, 0), runs)
    together.update_outcomes(codes(0, 1), labels)
    for i, agent in enumerate((0, 1, 0)):
        alone.update_runs(codes(agent), runs.take(slice(i, i + 1)))
        alone.snapshot(0, NOON)  # each is added up before the next comes
    for i, agent in enumerate((0, 1)):
        alone.update_outcomes(codes(agent), labels.take(slice(i, i + 1)))
        alone.snapshot(0, NOON)
    for now in (NOON, NOON + MINUTE):
        assert alone.snapshots(now) == together.snapshots(now)
        assert alone.snapshots(now, math.inf) == together.snapshots(now, math.inf)


@pytest.mark.parametrize("n", [3, 200])
def test_the_interval_of_p95_needs_enough_values(store, make_runs, codes, n):
    """About 120; then it encloses p95."""
    store.update_runs(
        codes(*[0] * n), make_runs(n, ts_us=NOON, duration_us=[*range(1000, 1000 + n)])
    )
    found = store.snapshot(0, NOON)
    if n == 3:
        assert found.p95_latency_interval is None
    else:
        low, high = found.p95_latency_interval
        assert low <= found.p95_latency_ms <= high <= found.max_latency_ms


def test_the_window_says_when_it_begins_and_ends(store, make_runs, codes):
    """It begins at a whole minute, so that nothing of the last ten minutes is missing."""
    now = NOON + 30_000_000
    store.update_runs(codes(0), make_runs(ts_us=NOON))
    found = store.snapshot(0, now)
    assert found.window_start == datetime(2026, 1, 1, 11, 50, tzinfo=UTC)
    assert found.window_end == datetime(2026, 1, 1, 12, 0, 30, tzinfo=UTC)
    assert found.window_minutes == 10
    assert found.runs_per_minute == 1 / 10.5


def test_a_run_leaves_the_window_when_its_minute_does(store, make_runs, codes):
    """Ten minutes old: still in, wherever within its minute; eleven: gone."""
    store.update_runs(codes(0, 0), make_runs(2, ts_us=[NOON, NOON + MINUTE - 1]))
    assert store.snapshot(0, NOON + 11 * MINUTE - 1).total_tasks == 2
    assert store.snapshot(0, NOON + 11 * MINUTE).total_tasks == 0


@pytest.mark.parametrize("n", [1, 2])
def test_a_late_run_enters_the_window_that_was_read_before(store, make_runs, codes, n):
    """Running totals follow: in its oldest minute, in its newest, and not beside them."""
    now = NOON + 10 * MINUTE
    store.update_runs(codes(0), make_runs(ts_us=now))
    assert store.snapshot(0, now).total_tasks == 1
    for ts_us, total in ((NOON, 1 + n), (NOON - 1, 1 + n), (now + MINUTE - 1, 1 + 2 * n)):
        store.update_runs(codes(*[0] * n), make_runs(n, ts_us=ts_us))
        assert store.snapshot(0, now).total_tasks == total
    store.update_runs(codes(*[0] * n), make_runs(n, ts_us=now + MINUTE))
    assert store.snapshot(0, now).total_tasks == 1 + 2 * n


def test_an_event_ahead_of_now_counts_from_its_minute_on(store, make_runs, codes):
    """Neither lost nor counted early, and it pushes nothing out."""
    store.update_runs(codes(0, 0), make_runs(2, ts_us=[NOON, NOON + 3 * MINUTE]))
    assert store.snapshot(0, NOON).total_tasks == 1
    assert store.snapshot(0, NOON + 3 * MINUTE).total_tasks == 2


def test_a_window_beyond_the_horizon_is_cut_there_and_says_so(store, make_runs, codes):
    """Asked for a day with an hour kept."""
    store.update_runs(codes(0), make_runs(ts_us=NOON))
    found = store.snapshot(0, NOON, 1440)
    assert (found.window_minutes, found.window_start.hour) == (60, 11)


def test_the_whole_past_begins_with_the_first_run(store, make_runs, codes):
    """Of the agent asked for; that of nobody has no beginning."""
    store.update_runs(codes(0, 1), make_runs(2, ts_us=[NOON, NOON - 500 * MINUTE]))
    found = store.snapshot(0, NOON + 5 * MINUTE, math.inf)
    assert found.window_start == datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert found.window_minutes is None
    assert found.runs_per_minute == 1 / 5
    assert store.snapshot(None, NOON, math.inf).total_tasks == 2
    assert store.snapshot(7, NOON, math.inf).window_start is None


@pytest.mark.parametrize("minutes", [0, -1, math.nan, -math.inf])
def test_a_window_of_no_length_is_refused(store, minutes):
    """The error names the parameter as users know it."""
    with pytest.raises(ConfigError, match="time_window_minutes"):
        store.snapshot(None, NOON, minutes)


def test_a_fraction_of_a_minute_is_rounded_up(store, make_runs, codes):
    """Minutes are the finest there is; nothing asked for may be missing."""
    store.update_runs(codes(0), make_runs(ts_us=NOON))
    assert store.snapshot(0, NOON + MINUTE, 0.5).total_tasks == 1


def test_an_unknown_agent_has_empty_metrics(store):
    """No error: it may come yet."""
    found = store.snapshot(5, NOON)
    assert (found.total_tasks, found.success_rate) == (0, None)
    assert store.snapshots(NOON) == {}
    assert store.last_run_us(5) is None
    unknown = AgentPerformance.unknown("nobody")
    assert (unknown.status, unknown.metrics.total_tasks) == ("unknown", 0)


def test_metrics_are_json_able_and_complete(store, make_runs, codes):
    """Every field of the contract, times as RFC 3339, intervals as lists."""
    store.update_runs(codes(*[0] * 300), make_runs(300, ts_us=NOON, duration_us=9, task_type="t"))
    plain = json.loads(json.dumps(store.snapshot(0, NOON).to_dict(), allow_nan=False))
    contract = """
        total_tasks successful_tasks failed_tasks partial_tasks success_rate avg_latency_ms
        p50_latency_ms p95_latency_ms p99_latency_ms max_latency_ms total_tokens
        total_api_calls total_cost avg_memory_mb avg_cpu_ms avg_quality_score avg_confidence
        avg_accuracy error_rate timeout_rate retry_rate success_rate_trend latency_trend
        cost_trend window_start window_end sample_size
    """
    assert set(contract.split()) <= set(plain)
    assert plain["window_end"] == "2026-01-01T12:00:00.000000Z"
    assert plain["p95_latency_interval"] == [0.009, 0.009]
    assert plain["success_rate_trend"] == "unknown"
    json.dumps(AgentPerformance.unknown("nobody").to_dict(), allow_nan=False)


def test_metrics_cannot_be_changed(store):
    """A snapshot is what was, for whoever holds it."""
    found = store.snapshot(None, NOON)
    with pytest.raises(AttributeError):
        found.total_tasks = 5
    assert msgspec.structs.replace(found, total_tasks=5).total_tasks == 5
    assert isinstance(found, PerformanceMetrics)


def test_metric_types_are_those_of_the_contract():
    """As users write them."""
    words = "success_rate latency token_usage api_calls cost memory cpu accuracy quality error_rate"
    assert [metric.value for metric in MetricType] == words.split()

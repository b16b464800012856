"""What must hold of the metrics whatever comes in, judged by plain Python over the rows."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfright.events.batch import RUN_COLUMNS, OutcomeBatch, RunBatch
from selfright.events.status import DECIDED, ERRORS, RunStatus
from selfright.metrics.histogram import MAX_ERROR
from selfright.metrics.interval import wilson
from selfright.metrics.store import MetricsPolicy, MetricsStore

MINUTE = 60_000_000
START = 1_700_000_040 * 1_000_000  # a whole minute
Q32 = 1 << 32
WINDOW, HORIZON = 5, 20
POLICY = MetricsPolicy(window_minutes=WINDOW, horizon_minutes=HORIZON, max_agents=8)
AGENTS = range(4)

QUANTITIES = (
    "tokens",
    "tokens_in",
    "tokens_out",
    "api_calls",
    "cost_nano_usd",
    "memory_kib",
    "cpu_us",
    "quality_q32",
    "confidence_q32",
)


@dataclass(frozen=True)
class Run:
    """A row; -1 and None where nothing was reported."""

    agent: int
    ts_us: int
    status: int
    duration_us: int
    retry_count: int
    quantities: tuple[int, ...]
    error_type: str | None
    task_type: str | None

    def row(self) -> dict:
        """Return the columns that matter."""
        return {
            "ts_us": self.ts_us,
            "status": self.status,
            "duration_us": self.duration_us,
            "retry_count": self.retry_count,
            "error_type": self.error_type,
            "task_type": self.task_type,
            **dict(zip(QUANTITIES, self.quantities, strict=True)),
        }


@dataclass(frozen=True)
class Label:
    """An outcome's row, perhaps joined to a run."""

    agent: int
    ts_us: int
    score_q32: int
    source: str
    run: Run | None
    primary: bool


def batch(cls, rows):
    """Return a batch of rows given as mappings; what they leave out does not matter."""
    columns = {}
    for spec in fields(cls):
        dtype = {"Ints": np.int64, "Codes": np.int8, "Bools": np.bool_}.get(spec.type)
        values = [row.get(spec.name, None if dtype is None else 0) for row in rows]
        columns[spec.name] = values if dtype is None else np.array(values, dtype=dtype)
    return cls(**columns)


def codes(rows):
    """Return the agents of rows as a store is given them."""
    return np.array([row.agent for row in rows], dtype=np.int32)


def runs_of(rows):
    """Return runs as a batch."""
    return batch(RunBatch, [row.row() for row in rows])


def outcomes_of(rows):
    """Return outcomes as a batch, joined runs as the log stores them."""

    def stored(run):
        return None if run is None else tuple(run.row().get(name) for name in RUN_COLUMNS)

    return batch(
        OutcomeBatch,
        [
            {
                "ts_us": row.ts_us,
                "score_q32": row.score_q32,
                "feedback_source": row.source,
                "run": stored(row.run),
                "primary": row.primary,
            }
            for row in rows
        ],
    )


def update(store, rows, sign=1):
    """Give a store rows of either kind, runs first, in one batch each."""
    runs = [row for row in rows if isinstance(row, Run)]
    labels = [row for row in rows if isinstance(row, Label)]
    if sign > 0:
        store.update_runs(codes(runs), runs_of(runs))
        store.update_outcomes(codes(labels), outcomes_of(labels))
    else:
        store.retract_runs(codes(runs), runs_of(runs))
        store.retract_outcomes(codes(labels), outcomes_of(labels))


def store_of(rows, size=1000):
    """Return a store that was given rows in batches of a size."""
    store = MetricsStore(POLICY)
    for start in range(0, len(rows), size):
        update(store, rows[start : start + size])
    return store


def content(store, *, late=True, seen=True):
    """Return a store's state as something that compares byte by byte."""
    left_out = set() if late else {"late_runs", "late_outcomes"}
    left_out |= set() if seen else {"seen_agents", "first_us", "last_us"}

    def plain(value):
        if isinstance(value, np.ndarray):
            return value.dtype.str, value.shape, value.tobytes()
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items() if key not in left_out}
        return value

    return plain(store.to_state())


def spread(number):
    """Return quantities made of one number: drawing nine of them takes ten times as long."""
    return tuple(
        number * (2 * i + 3) % (Q32 if name.endswith("q32") else 10**14) if number >> i & 1 else -1
        for i, name in enumerate(QUANTITIES)
    )


@st.composite
def runs(draw, minutes=HORIZON - 1):
    """Draw a run within some minutes from the start."""
    number = draw(st.integers(0, 10**15))
    return Run(
        agent=draw(st.sampled_from(AGENTS)),
        ts_us=START + draw(st.integers(0, minutes * MINUTE)),
        status=draw(st.sampled_from([*RunStatus, RunStatus.SUCCESS])),
        duration_us=draw(st.one_of(st.integers(-1, 100), st.integers(0, 10**13))),
        retry_count=number % 3,
        quantities=spread(number),
        error_type=(None, "Timeout", "ValueError")[number % 3],
        task_type=(None, "code", "chat", "math")[number % 4],
    )


@st.composite
def labels(draw, minutes=HORIZON - 1):
    """Draw an outcome within some minutes from the start."""
    return Label(
        agent=draw(st.sampled_from(AGENTS)),
        ts_us=START + draw(st.integers(0, minutes * MINUTE)),
        score_q32=draw(st.integers(0, Q32)),
        source=draw(st.sampled_from(["user", "judge"])),
        run=draw(st.one_of(st.none(), runs(minutes))),
        primary=draw(st.booleans()),
    )


def histories(minutes=HORIZON - 1, most=25):
    """Draw rows of both kinds."""
    return st.lists(st.one_of(runs(minutes), labels(minutes)), max_size=most)


# The oracle


def minute(ts_us):
    """Return the number of the minute that holds a time."""
    return ts_us // MINUTE


def within(rows, agent, now_us, width, floor):
    """Return runs, outcomes and labels (one per labelled run) that count, by definition."""
    low, high = max(minute(now_us) - width, floor), minute(now_us)
    mine = [row for row in rows if agent is None or row.agent == agent]
    counted = [row for row in mine if low <= minute(row.ts_us) <= high]
    labelled = [
        row
        for row in mine
        if isinstance(row, Label) and row.run is not None and low <= minute(row.run.ts_us) <= high
    ]
    found_runs = [row for row in counted if isinstance(row, Run)]
    return found_runs, [row for row in counted if isinstance(row, Label)], labelled


def mean(values, unit):
    """Return the mean of what was reported, None if nothing was."""
    known = [value for value in values if value >= 0]
    return sum(known) / (len(known) * unit) if known else None


def total(values, unit=1):
    """Return the sum of what was reported, None if nothing was."""
    known = [value for value in values if value >= 0]
    return sum(known) / unit if known else None


def expected(found_runs, found_labels, labelled):
    """Return every field that the rows determine, computed anew."""
    by_status = Counter(run.status for run in found_runs)
    decided = [run for run in found_runs if run.status in DECIDED]
    errors = [run for run in decided if run.status in ERRORS]
    n = len(decided)
    columns = {name: [run.quantities[i] for run in found_runs] for i, name in enumerate(QUANTITIES)}
    scores = [label.score_q32 for label in found_labels]
    delays = [
        max(label.ts_us - label.run.ts_us, 0) // 1000
        for label in found_labels
        if label.run is not None
    ]
    known = [label for label in labelled if label.primary and label.run.status in DECIDED]
    return {
        "total_tasks": len(found_runs),
        "sample_size": len(found_runs),
        "successful_tasks": by_status[RunStatus.SUCCESS],
        "failed_tasks": by_status[RunStatus.FAILURE],
        "partial_tasks": by_status[RunStatus.PARTIAL],
        "timeout_tasks": by_status[RunStatus.TIMEOUT],
        "decided_tasks": n,
        "success_rate": by_status[RunStatus.SUCCESS] / n if n else None,
        "error_rate": len(errors) / n if n else None,
        "timeout_rate": by_status[RunStatus.TIMEOUT] / n if n else None,
        "retry_rate": sum(run.retry_count > 0 for run in decided) / n if n else None,
        "avg_latency_ms": mean([run.duration_us for run in decided], 1000),
        "total_tokens": total(columns["tokens"]),
        "total_tokens_in": total(columns["tokens_in"]),
        "total_tokens_out": total(columns["tokens_out"]),
        "total_api_calls": total(columns["api_calls"]),
        "total_cost": total(columns["cost_nano_usd"], 10**9),
        "tokens_per_task": mean(columns["tokens"], 1),
        "avg_memory_mb": mean(columns["memory_kib"], 1024),
        "avg_cpu_ms": mean(columns["cpu_us"], 1000),
        "avg_quality_score": mean(columns["quality_q32"], Q32),
        "avg_confidence": mean(columns["confidence_q32"], Q32),
        "avg_accuracy": sum(scores) / Q32 / len(scores) if scores else None,
        "accuracy_sample_size": len(scores),
        "accuracy_coverage": len(known) / n if n else None,
        "label_delay_ms_avg": sum(delays) / len(delays) if delays else None,
        "feedback_sources": dict(Counter(label.source for label in found_labels)),
        "errors_by_type": dict(Counter(run.error_type for run in errors if run.error_type)),
        "task_types": dict(Counter(run.task_type for run in decided if run.task_type)),
        "success_rate_interval": wilson(by_status[RunStatus.SUCCESS], n),
        "error_rate_interval": wilson(len(errors), n),
        "accuracy_interval": wilson(sum(scores) / Q32, len(scores)),
    }


def agrees(metrics, rows):
    """Check metrics against rows: all sums exactly, quantiles within the histogram's error."""
    for name, value in expected(*rows).items():
        assert getattr(metrics, name) == value, name
    durations = sorted(
        run.duration_us for run in rows[0] if run.status in DECIDED and run.duration_us >= 0
    )
    for name, part in (("p50", 50), ("p95", 95), ("p99", 99), ("max", 100)):
        found = getattr(metrics, f"{name}_latency_ms")
        if not durations:
            assert found is None
        else:
            exact = durations[-(-len(durations) * part // 100) - 1] / 1000
            assert abs(found - exact) <= MAX_ERROR * exact * (1 + 1e-12), name


@given(
    rows=histories(),
    now=st.integers(-2, HORIZON + 30),
    width=st.sampled_from([None, 1, 3, WINDOW, HORIZON]),
    size=st.sampled_from([1, 3, 1000]),
    ask_between=st.booleans(),
)
def test_a_window_equals_its_recomputation_from_the_rows(rows, now, width, size, ask_between):
    """For the fleet and every agent, at any time, for any window and batching."""
    store = MetricsStore(POLICY)
    now_us = START + now * MINUTE + 17_000_000
    for start in range(0, len(rows), size):
        update(store, rows[start : start + size])
        if ask_between:  # running totals must follow what comes in while they stand there
            store.snapshot(0, now_us, width)
            store.snapshot(0, rows[start].ts_us, math.inf)
            store.snapshot(0, now_us)
    floor = max((minute(row.ts_us) for row in rows), default=0) - HORIZON
    minutes = WINDOW if width is None else width
    everyone = store.snapshots(now_us, width)
    assert set(everyone) == {row.agent for row in rows}
    for agent in (None, *AGENTS):
        metrics = store.snapshot(agent, now_us, width)
        agrees(metrics, within(rows, agent, now_us, minutes, floor))
        if agent in everyone:
            assert everyone[agent] == metrics


@given(rows=histories(minutes=5 * HORIZON), size=st.sampled_from([1, 4, 1000]))
def test_the_whole_past_is_that_of_all_rows(rows, size):
    """Late ones and those that the horizon left behind included."""
    store = store_of(rows, size)
    for agent in (None, *AGENTS):
        metrics = store.snapshot(agent, START, math.inf)
        agrees(metrics, within(rows, agent, START + 10**15, 10**10, 0))


@settings(max_examples=40)  # each makes many stores
@given(rows=histories(), extra=histories(), packed=st.booleans())
def test_a_retraction_leaves_no_trace(rows, extra, packed):
    """Update, then retract: the same state, whatever was read in between."""
    store = store_of(rows)
    later = START + (2 * HORIZON if packed else HORIZON - 1) * MINUTE
    store.advance(later)
    before = content(store, late=False, seen=False)
    update(store, extra)
    store.snapshot(None, later)
    store.snapshot(None, later, math.inf)
    update(store, extra, -1)
    seen = {row.agent for row in rows}
    for agent in seen:
        assert store.snapshot(agent, later, trends=False) == store_of(rows).snapshot(
            agent, later, trends=False
        )
    assert content(store, late=False, seen=False) == before


@given(rows=histories(minutes=3 * HORIZON), data=st.data())
def test_order_and_batching_do_not_matter(rows, data):
    """The same rows give the same bytes; only how many came late depends on the order."""
    shuffled = data.draw(st.permutations(rows))
    sizes = data.draw(st.lists(st.integers(1, 7), min_size=1))
    store = MetricsStore(POLICY)
    at = 0
    for turn in range(len(shuffled)):
        size = sizes[turn % len(sizes)]
        update(store, shuffled[at : at + size])
        at += size
    assert content(store, late=False) == content(store_of(rows), late=False)


@given(rows=st.lists(runs(minutes=3 * HORIZON), max_size=25), size=st.integers(1, 9))
def test_how_many_are_late_does_not_depend_on_batching(rows, size):
    """A row is late if the rows before it had moved the horizon past it."""
    assert content(store_of(rows, size)) == content(store_of(rows))
    newest, late = 0, 0
    for row in rows:
        newest = max(newest, minute(row.ts_us))
        late += minute(row.ts_us) < newest - HORIZON
    assert store_of(rows).late == late == store_of(rows, size).late_runs


@settings(max_examples=40)  # each makes many stores
@given(first=histories(40), second=histories(40), third=histories(40))
def test_stores_merge_in_any_order_and_grouping(first, second, third):
    """Merging is associative, commutative and the same as having seen all rows."""
    left, right = store_of(first), store_of(third)
    middle = store_of(second)
    left.merge(middle)
    left.merge(right)
    tail = store_of(third)
    tail.merge(store_of(second))
    tail.merge(store_of(first))
    nested, inner = store_of(first), store_of(second)
    inner.merge(store_of(third))
    nested.merge(inner)
    whole = content(store_of([*first, *second, *third]), late=False)
    assert content(left) == content(tail) == content(nested)
    assert content(left, late=False) == whole


@settings(max_examples=40)  # each makes many stores
@given(rows=histories(), late=st.lists(runs(minutes=3), min_size=1, max_size=5))
def test_a_late_event_changes_nothing_but_its_count_and_the_whole_past(rows, late):
    """Older than the horizon: no window shows it, and none forgets that it came."""
    newest = START + 2 * HORIZON * MINUTE
    store, other = store_of(rows), store_of(rows)
    for each in (store, other):
        each.advance(newest)
    before = {width: store.snapshots(newest, width) for width in (WINDOW, HORIZON)}
    update(store, late)
    assert store.late_runs - other.late_runs == len(late)
    for width, metrics in before.items():
        after = store.snapshots(newest, width)
        assert {agent: after[agent] for agent in metrics} == metrics
        assert all(after[agent].total_tasks == 0 for agent in after)
    whole, old = (each.snapshot(None, newest, math.inf) for each in (store, other))
    assert whole.total_tasks - old.total_tasks == len(late)


@settings(max_examples=40)  # each makes many stores
@given(rows=histories(), order=st.permutations([0, 3, 7, HORIZON, HORIZON + WINDOW + 1]))
def test_a_window_forgets_on_read_and_remembers_on_reading_earlier(rows, order):
    """Reading moves nothing but the point of view, in whatever order one reads."""
    store = store_of(rows)
    fresh = {at: store_of(rows).snapshots(START + at * MINUTE) for at in order}
    state = content(store)
    for at in order:
        assert store.snapshots(START + at * MINUTE) == fresh[at]
    gone = store.snapshots(START + (HORIZON + WINDOW + 1) * MINUTE)
    assert all(metrics.total_tasks == 0 for metrics in gone.values())
    assert all(metrics.accuracy_sample_size == 0 for metrics in gone.values())
    assert content(store) == state


@settings(max_examples=40)  # each makes many stores
@given(rows=histories(40), more=histories(60))
def test_a_store_goes_on_from_its_state_as_if_never_stopped(rows, more):
    """The round trip gives the same bytes, and so does everything that comes after."""
    store = store_of(rows)
    again = MetricsStore.from_state(POLICY, store.to_state())
    assert content(again) == content(store)
    update(store, more)
    update(again, more)
    assert content(again) == content(store)
    now = START + 50 * MINUTE
    assert again.snapshots(now) == store.snapshots(now)
    assert again.snapshots(now, math.inf) == store.snapshots(now, math.inf)


@given(rows=histories(40), agent=st.sampled_from(AGENTS))
def test_an_evicted_agent_might_never_have_been(rows, agent):
    """What is left is the store of the others, but for the clock that its events moved."""
    store = store_of(rows)
    store.advance(START + 50 * MINUTE)
    store.evict(agent)
    others = MetricsStore(POLICY)
    others.advance(START + 50 * MINUTE)
    update(others, [row for row in rows if row.agent != agent])
    assert content(store, late=False) == content(others, late=False)


def test_the_laws_fail_on_a_planted_fault():
    """The oracle is not blind: a row counted twice, a minute kept too long are found."""
    row = Run(0, START, 0, 1000, 0, (1,) * len(QUANTITIES), None, None)
    twice = store_of([row, row])
    with pytest.raises(AssertionError, match="total_tasks"):
        agrees(twice.snapshot(None, START), within([row], None, START, WINDOW, 0))
    stale = store_of([row])
    with pytest.raises(AssertionError, match="total_tasks"):
        agrees(
            stale.snapshot(None, START, WINDOW),
            within([row], None, START + (WINDOW + 1) * MINUTE, WINDOW, 0),
        )

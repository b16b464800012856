"""The figures of the fleet or of an agent over a window: PerformanceMetrics, AgentPerformance.

Definitions
-----------
*Decided* runs ended in success, failure, partial or timeout; rates are over them alone.
success_rate = success / decided, error_rate = (failure + timeout) / decided,
timeout_rate = timeout / decided, retry_rate = decided runs with ``retry_count`` > 0 /
decided. Means and sums are over the runs that reported the quantity. What nobody
reported, and every rate while nothing is decided, is None: unknown, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, Self

from msgspec import Struct

from selfright.events.batch import KIB_PER_MB, NANO_PER_USD, Q32, US_PER_MS
from selfright.events.timestamp import to_datetime
from selfright.metrics.columns import Column
from selfright.metrics.figures import NO_FIGURES, Figures, Latencies
from selfright.metrics.interval import Interval, wilson
from selfright.metrics.labels import Kind
from selfright.metrics.metric_type import MetricType
from selfright.metrics.trend import UNKNOWN, Direction

__all__ = ["AgentPerformance", "MetricType", "PerformanceMetrics"]

# As plain integers: looking up a member of an enum costs more than the sums themselves.
_DURATION: Final = int(Column.DURATION_US)
_TOKENS: Final = int(Column.TOKENS)
_TOKENS_IN: Final = int(Column.TOKENS_IN)
_TOKENS_OUT: Final = int(Column.TOKENS_OUT)
_CALLS: Final = int(Column.API_CALLS)
_COST: Final = int(Column.COST_NANO_USD)
_MEMORY: Final = int(Column.MEMORY_KIB)
_CPU: Final = int(Column.CPU_US)
_QUALITY: Final = int(Column.QUALITY_Q32)
_CONFIDENCE: Final = int(Column.CONFIDENCE_Q32)
_ACCURACY: Final = int(Column.ACCURACY_Q32)
_DELAY: Final = int(Column.DELAY_MS)
_LABELLED: Final = int(Column.LABELLED)


class PerformanceMetrics(Struct, frozen=True, kw_only=True):
    """How an agent, or the fleet, did in a window of time.

    Attributes
    ----------
    total_tasks, sample_size
        Runs in the window, however they ended, undecided ones included.
    successful_tasks, failed_tasks, partial_tasks, timeout_tasks
        Runs by how they ended; ``decided_tasks`` is their sum.
    success_rate, error_rate, timeout_rate, retry_rate
        Ratios over decided runs; None while there are none.
    avg_latency_ms, p50_latency_ms, p95_latency_ms, p99_latency_ms, max_latency_ms
        Durations of decided runs. The mean is exact, the others within 1.1 %.
    total_tokens, total_tokens_in, total_tokens_out, total_api_calls, total_cost
        Sums over runs that reported them; cost in dollars.
    cost_per_task, tokens_per_task
        Means over runs that reported them.
    avg_memory_mb, avg_cpu_ms, avg_quality_score, avg_confidence
        Means over runs that reported them.
    avg_accuracy, accuracy_sample_size
        Mean score of the outcomes in the window, and how many there are.
    accuracy_coverage
        Share of the window's decided runs whose outcome is known by now.
    label_delay_ms_avg
        Mean time from a run to its outcome, over outcomes that found their run.
    feedback_sources, errors_by_type, task_types
        Counts by name: of outcomes, of failures and timeouts, of decided runs.
    success_rate_interval, error_rate_interval, accuracy_interval
        95 % intervals, (low, high).
    p95_latency_interval
        The same of the 95th percentile, ms; None below about 120 durations.
    success_rate_trend, latency_trend, cost_trend
        improving, stable, degrading or unknown; see ``trend``.
    runs_per_minute
        Runs over the length of the window.
    window_start, window_end
        UTC. The window starts at a whole minute; None if it is the whole past and that
        is empty, or nothing was ever seen.
    window_minutes
        The window's length as asked for, or as far as figures reach back; None for the
        whole past.
    """

    total_tasks: int
    successful_tasks: int
    failed_tasks: int
    partial_tasks: int
    timeout_tasks: int
    decided_tasks: int
    success_rate: float | None
    avg_latency_ms: float | None
    p50_latency_ms: float | None
    p95_latency_ms: float | None
    p99_latency_ms: float | None
    max_latency_ms: float | None
    total_tokens: int | None
    total_tokens_in: int | None
    total_tokens_out: int | None
    total_api_calls: int | None
    total_cost: float | None
    cost_per_task: float | None
    tokens_per_task: float | None
    avg_memory_mb: float | None
    avg_cpu_ms: float | None
    avg_quality_score: float | None
    avg_confidence: float | None
    avg_accuracy: float | None
    error_rate: float | None
    timeout_rate: float | None
    retry_rate: float | None
    success_rate_trend: Direction
    latency_trend: Direction
    cost_trend: Direction
    window_start: datetime | None
    window_end: datetime | None
    window_minutes: int | None
    sample_size: int
    runs_per_minute: float
    success_rate_interval: Interval | None
    error_rate_interval: Interval | None
    accuracy_interval: Interval | None
    p95_latency_interval: Interval | None
    accuracy_coverage: float | None
    accuracy_sample_size: int
    label_delay_ms_avg: float | None
    feedback_sources: dict[str, int]
    errors_by_type: dict[str, int]
    task_types: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values by field; times as RFC 3339, intervals as lists."""
        return {name: _plain(getattr(self, name)) for name in self.__struct_fields__}


class Span(NamedTuple):
    """A window of time, shared by all metrics of one reading."""

    start: datetime | None
    end: datetime | None
    minutes: float
    asked: int | None


NO_TRENDS: Final[tuple[Direction, Direction, Direction]] = (UNKNOWN, UNKNOWN, UNKNOWN)


def span_between(start_us: int | None, now_us: int, asked: int | None) -> Span:
    """Return the window from ``start_us`` to ``now_us``; its length is at least a minute."""
    if start_us is None:
        return Span(None, to_datetime(now_us), 1.0, asked)
    minutes = max(1.0, (now_us - start_us) / 60e6)
    return Span(to_datetime(start_us), to_datetime(now_us), minutes, asked)


def metrics_of(
    figures: Figures,
    span: Span,
    trends: tuple[Direction, Direction, Direction] = NO_TRENDS,
) -> PerformanceMetrics:
    """Return the metrics that sums and quantiles amount to. About 10 us.

    Parameters
    ----------
    figures
        What was added up.
    span
        The window the sums are over.
    trends
        Of success rate, latency and cost.
    """
    cell, latency, names = figures
    success, failure, partial, timeout, cancelled, interrupted, pending, retried = cell[:8]
    decided = success + failure + partial + timeout
    total = decided + cancelled + interrupted + pending
    errors = failure + timeout
    timed, tokens_n, cost_n = cell[_DURATION], cell[_TOKENS], cell[_COST]
    memory_n, cpu_n, quality_n = cell[_MEMORY], cell[_CPU], cell[_QUALITY]
    confidence_n, delays, labels = cell[_CONFIDENCE], cell[_DELAY], cell[_ACCURACY]
    tokens, cost = cell[_TOKENS + 1], cell[_COST + 1] / NANO_PER_USD
    score = cell[_ACCURACY + 1] / Q32
    return PerformanceMetrics(
        total_tasks=total,
        successful_tasks=success,
        failed_tasks=failure,
        partial_tasks=partial,
        timeout_tasks=timeout,
        decided_tasks=decided,
        success_rate=success / decided if decided > 0 else None,
        avg_latency_ms=cell[_DURATION + 1] / (timed * US_PER_MS) if timed > 0 else None,
        p50_latency_ms=latency.p50,
        p95_latency_ms=latency.p95,
        p99_latency_ms=latency.p99,
        max_latency_ms=latency.greatest,
        total_tokens=tokens if tokens_n > 0 else None,
        total_tokens_in=cell[_TOKENS_IN + 1] if cell[_TOKENS_IN] > 0 else None,
        total_tokens_out=cell[_TOKENS_OUT + 1] if cell[_TOKENS_OUT] > 0 else None,
        total_api_calls=cell[_CALLS + 1] if cell[_CALLS] > 0 else None,
        total_cost=cost if cost_n > 0 else None,
        cost_per_task=cost / cost_n if cost_n > 0 else None,
        tokens_per_task=tokens / tokens_n if tokens_n > 0 else None,
        avg_memory_mb=cell[_MEMORY + 1] / (memory_n * KIB_PER_MB) if memory_n > 0 else None,
        avg_cpu_ms=cell[_CPU + 1] / (cpu_n * US_PER_MS) if cpu_n > 0 else None,
        avg_quality_score=cell[_QUALITY + 1] / (quality_n * Q32) if quality_n > 0 else None,
        avg_confidence=cell[_CONFIDENCE + 1] / (confidence_n * Q32) if confidence_n > 0 else None,
        avg_accuracy=score / labels if labels > 0 else None,
        error_rate=errors / decided if decided > 0 else None,
        timeout_rate=timeout / decided if decided > 0 else None,
        retry_rate=retried / decided if decided > 0 else None,
        success_rate_trend=trends[0],
        latency_trend=trends[1],
        cost_trend=trends[2],
        window_start=span.start,
        window_end=span.end,
        window_minutes=span.asked,
        sample_size=total,
        runs_per_minute=total / span.minutes,
        success_rate_interval=wilson(success, decided),
        error_rate_interval=wilson(errors, decided),
        accuracy_interval=wilson(score, labels),
        p95_latency_interval=_interval(latency),
        accuracy_coverage=cell[_LABELLED] / decided if decided > 0 else None,
        accuracy_sample_size=labels,
        label_delay_ms_avg=cell[_DELAY + 1] / delays if delays > 0 else None,
        feedback_sources=names.get(Kind.SOURCE, {}),
        errors_by_type=names.get(Kind.ERROR, {}),
        task_types=names.get(Kind.TASK_TYPE, {}),
    )


AgentStatus = Literal["active", "idle", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPerformance:
    """How one agent did, and how that compares with its fleet; see ``scores``.

    Attributes
    ----------
    agent_name, agent_type
        As recorded; the type is None for an agent never seen.
    metrics
        Its figures in the window.
    last_run
        Time of its newest run ever, UTC.
    status
        active: it had runs in the window; idle: it had none there; unknown: never seen.
    specialization_score, reliability_score, efficiency_score
        0..1, or None where unknown.
    """

    agent_name: str
    agent_type: str | None
    metrics: PerformanceMetrics
    last_run: datetime | None
    status: AgentStatus
    specialization_score: float | None
    reliability_score: float | None
    efficiency_score: float | None

    @classmethod
    def unknown(cls, agent_name: str) -> Self:
        """Return what is known of an agent that was never seen."""
        return cls(
            agent_name=agent_name,
            agent_type=None,
            metrics=metrics_of(NO_FIGURES, Span(None, None, 1.0, None)),
            last_run=None,
            status="unknown",
            specialization_score=None,
            reliability_score=None,
            efficiency_score=None,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values by field; times as RFC 3339."""
        return {
            "agent_name": self.agent_name,
            "agent_type": self.agent_type,
            "metrics": self.metrics.to_dict(),
            "last_run": _plain(self.last_run),
            "status": self.status,
            "specialization_score": self.specialization_score,
            "reliability_score": self.reliability_score,
            "efficiency_score": self.efficiency_score,
        }


def _interval(latency: Latencies) -> Interval | None:
    if latency.p95_low is None or latency.p95_high is None:
        return None
    return latency.p95_low, latency.p95_high


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return list(value) if isinstance(value, tuple) else value

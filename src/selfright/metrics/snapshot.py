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

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from selfright.events.timestamp import to_datetime, to_datetimes
from selfright.metrics.blanked import blanked
from selfright.metrics.figures import Figures, figures_of
from selfright.metrics.interval import Interval
from selfright.metrics.labels import Kind, Labels
from selfright.metrics.metric_type import MetricType
from selfright.metrics.rates import rates_of
from selfright.metrics.totals import Totals
from selfright.metrics.trend import UNKNOWN, Direction

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["AgentPerformance", "MetricType", "PerformanceMetrics"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_US_PER_MINUTE: Final = 60e6


class PerformanceMetrics(Struct, frozen=True, gc=False):
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


class Spans(NamedTuple):
    """The windows of time of several metrics read together; only the starts may differ.

    Attributes
    ----------
    start
        UTC; None where nothing was ever seen.
    end
        UTC.
    minutes
        Lengths, at least a minute each.
    asked
        The length in whole minutes, None for the whole past.
    """

    start: list[datetime | None]
    end: datetime | None
    minutes: Floats
    asked: int | None

    @classmethod
    def window(cls, start_us: int, now_us: int, asked: int, n: int) -> Self:
        """Return ``n`` times the window from ``start_us`` to ``now_us``."""
        minutes = max(1.0, (now_us - start_us) / _US_PER_MINUTE)
        start: list[datetime | None] = [to_datetime(start_us)]
        return cls(start * n, to_datetime(now_us), np.full(n, minutes), asked)

    @classmethod
    def since(cls, first_us: Ints, known: Bools, now_us: int) -> Self:
        """Return the whole past since each of ``first_us``, where that is ``known``."""
        minutes = np.maximum(1.0, (now_us - first_us) / _US_PER_MINUTE)
        starts = datetimes(first_us, known)
        return cls(starts, to_datetime(now_us), np.where(known, minutes, 1.0), None)


def datetimes(ts_us: Ints, known: Bools) -> list[datetime | None]:
    """Return times as UTC, None where not ``known``."""
    return blanked(to_datetimes(np.where(known, ts_us, 0)), known)


def metrics_of(
    figures: Figures, spans: Spans, trends: Sequence[list[Direction]] | None = None
) -> list[PerformanceMetrics]:
    """Return the metrics that each row of ``figures`` amounts to. About 1.5 us a row.

    Parameters
    ----------
    figures
        What was added up.
    spans
        The windows the sums are over.
    trends
        Of success rate, latency and cost; without them they are unknown.
    """
    n = figures.sums.shape[1]
    nothing = [UNKNOWN] * n
    rate, latency, cost = trends or (nothing, nothing, nothing)
    columns = {
        **rates_of(figures, spans.minutes),
        "success_rate_trend": rate,
        "latency_trend": latency,
        "cost_trend": cost,
        "window_start": spans.start,
        "window_end": [spans.end] * n,
        "window_minutes": [spans.asked] * n,
        "feedback_sources": figures.names(Kind.SOURCE),
        "errors_by_type": figures.names(Kind.ERROR),
        "task_types": figures.names(Kind.TASK_TYPE),
    }
    # By position: by name it would take three times as long.
    return list(map(PerformanceMetrics, *[columns[name] for name in _FIELDS]))


_FIELDS: Final = PerformanceMetrics.__struct_fields__


AgentStatus = Literal["active", "idle", "unknown"]


class AgentPerformance(Struct, frozen=True, gc=False):
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
        figures = figures_of(Totals(), Labels(), np.zeros(1, dtype=np.int64))
        metrics = metrics_of(figures, Spans([None], None, np.ones(1), None))[0]
        return cls(agent_name, None, metrics, None, "unknown", None, None, None)

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


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return list(value) if isinstance(value, tuple) else value

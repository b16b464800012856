"""How every agent does: rows in, metrics, series and trends out.

A window of W minutes at ``now`` consists of the minute that holds ``now`` and the W
minutes before it: everything of the last W minutes is in it, and nothing older than
W + 1. An event counts in the minute of its own time, whenever it comes; one that lies
ahead of ``now`` counts from its minute on. ``window_minutes=math.inf`` is the whole past,
that before the horizon included.
"""

from __future__ import annotations

from math import ceil, inf, isfinite
from typing import TYPE_CHECKING, Final, Self

import numpy as np
import numpy.typing as npt

from selfright.errors import ConfigError
from selfright.metrics.columns import US_PER_MINUTE, Column
from selfright.metrics.digest import Digests
from selfright.metrics.figures import figures_of, figures_of_all
from selfright.metrics.ledger import NEVER, Ledger
from selfright.metrics.metric_type import MetricType
from selfright.metrics.policy import MetricsPolicy
from selfright.metrics.scores import agent_performance, fleet_reference
from selfright.metrics.series import Series, TrendReader, series_of
from selfright.metrics.snapshot import (
    NO_TRENDS,
    PerformanceMetrics,
    metrics_of,
    span_between,
)
from selfright.metrics.window import RollingTotals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from selfright.events.batch import OutcomeBatch, RunBatch
    from selfright.metrics.scores import FleetReference
    from selfright.metrics.snapshot import AgentPerformance, Span
    from selfright.metrics.state import State
    from selfright.metrics.totals import Totals
    from selfright.metrics.trend import Direction, Trend, Trends

__all__ = ["MetricsPolicy", "MetricsStore"]

Codes = npt.NDArray[np.integer]
Directions = tuple["Direction", "Direction", "Direction"]

_SHOWN_TRENDS: Final = (MetricType.SUCCESS_RATE, MetricType.LATENCY, MetricType.COST)
_OTHER_WINDOWS: Final = 4  # windows of other lengths that are kept until something changes
_MAX_SPANS: Final = 10_000


class MetricsStore:
    """Metrics of up to ``policy.max_agents`` agents and of the fleet, by event time.

    Agents are dense codes; ``None`` means the whole fleet. Sums are exact: any order and
    batching of the same rows gives the same answers and the same ``to_state``, and
    ``retract_*`` undoes ``update_*`` (but for ``last_run_us`` and the count of late
    rows). It holds no names, reads no clock and is not thread-safe.

    Parameters
    ----------
    policy
        Window, horizon and limits.

    Notes
    -----
    An update costs about 0.5 us a row in a dense stream of batches and 5 us for a row
    alone; the rows are added up when 4,096 wait or somebody asks. A snapshot costs about
    80 us, that of all of 200 agents 4 ms, however many events the window holds; what
    changed in the last complete spans is added for the trends. Memory: 300 bytes per pair
    of agent and minute in the latest ten minutes, a quarter of that before, and 5 kB per
    agent.

    Examples
    --------
    >>> from selfright.events.batch import RunBatch
    >>> store = MetricsStore(MetricsPolicy(window_minutes=5))
    >>> store.update_runs(np.empty(0, dtype=np.int32), RunBatch.empty())
    >>> store.snapshot(None, now_us=0).success_rate is None
    True
    """

    __slots__ = ("_digests", "_fleet", "_ledger", "_others", "_trends")

    def __init__(self, policy: MetricsPolicy) -> None:
        self._use(Ledger(policy))

    def _use(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._digests = Digests()
        self._trends = TrendReader(self._digests)
        self._others: dict[int, tuple[tuple[int, int | None], RollingTotals]] = {}
        self._fleet: tuple[tuple[int, int, float], FleetReference] | None = None

    @property
    def policy(self) -> MetricsPolicy:
        """The numbers the store goes by."""
        return self._ledger.policy

    @property
    def late(self) -> int:
        """Rows that came after the horizon had passed their minute: only in the whole past."""
        return self._ledger.late_runs + self._ledger.late_outcomes

    @property
    def late_runs(self) -> int:
        """The runs among ``late``."""
        return self._ledger.late_runs

    @property
    def late_outcomes(self) -> int:
        """The outcomes among ``late``."""
        return self._ledger.late_outcomes

    @property
    def outcomes_total(self) -> int:
        """Outcomes ever counted."""
        self._ledger.flush()
        return int(self._ledger.whole().values[:, Column.ACCURACY_Q32].sum())

    def update_runs(self, agent: Codes, runs: RunBatch) -> None:
        """Add runs; ``agent`` holds the code of each."""
        self._ledger.update_runs(agent, runs)

    def update_outcomes(self, agent: Codes, outcomes: OutcomeBatch) -> None:
        """Add outcomes, joined or not; ``agent`` holds the code of each."""
        self._ledger.update_outcomes(agent, outcomes)

    def retract_runs(self, agent: Codes, runs: RunBatch) -> None:
        """Take back runs that were added before, exactly."""
        self._ledger.retract_runs(agent, runs)

    def retract_outcomes(self, agent: Codes, outcomes: OutcomeBatch) -> None:
        """Take back outcomes that were added before, as they stood then, exactly."""
        self._ledger.retract_outcomes(agent, outcomes)

    def advance(self, now_us: int) -> None:
        """Let time pass without an event: free what the horizon leaves behind.

        Not needed for right answers, for a window forgets on read.
        """
        self._ledger.advance(now_us // US_PER_MINUTE)

    def evict(self, agent: int) -> None:
        """Forget an agent altogether."""
        self._ledger.evict(agent)

    def merge(self, other: MetricsStore) -> None:
        """Add what another store holds. Agent codes and policies must be the same ones."""
        self._ledger.merge(other._ledger)

    def agents(self) -> list[int]:
        """Return the codes of all agents with anything to their name, ascending."""
        self._ledger.flush()
        known: list[int] = np.flatnonzero(self._ledger.seen).tolist()
        return known

    def last_run_us(self, agent: int | None) -> int | None:
        """Return when the newest run ever began, None if there was none."""
        self._ledger.flush()
        newest = self._ledger.last_us
        if agent is not None:
            newest = newest[agent : agent + 1]
        return int(newest.max(initial=-1)) if newest.max(initial=-1) >= 0 else None

    def snapshot(
        self,
        agent: int | None,
        now_us: int,
        window_minutes: float | None = None,
        *,
        trends: bool = True,
    ) -> PerformanceMetrics:
        """Return the metrics of an agent, or of the fleet, in the window before ``now_us``.

        Parameters
        ----------
        agent
            Code, or None for the fleet. An unknown agent has empty metrics.
        now_us
            The end of the window.
        window_minutes
            None for the configured window, ``math.inf`` for the whole past. A window
            beyond the horizon is cut there; ``window_start`` says so.
        trends
            Whether to find the three trends; without them it costs half.

        Raises
        ------
        ConfigError
            If ``window_minutes`` is not positive.
        """
        self._ledger.flush()
        totals = self._totals(now_us, window_minutes)
        span = self._span(agent, now_us, window_minutes)
        row = self._row(agent)
        words = self._directions(now_us, window_minutes)(row) if trends else NO_TRENDS
        figures = figures_of(totals, self._ledger.labels, agent)
        return metrics_of(figures, span, words)

    def snapshots(
        self, now_us: int, window_minutes: float | None = None, *, trends: bool = True
    ) -> dict[int, PerformanceMetrics]:
        """Return the metrics of every known agent by code, idle ones included.

        The same as ``snapshot`` of each, about ten times as fast.
        """
        self._ledger.flush()
        totals = self._totals(now_us, window_minutes)
        words = self._directions(now_us, window_minutes) if trends else _no_trends
        agents = np.flatnonzero(self._ledger.seen)
        totals.reserve(len(self._ledger.last_us))
        figures = figures_of_all(totals, self._ledger.labels, agents)
        span = self._span(None, now_us, window_minutes)
        whole = span.asked is None
        return {
            agent: metrics_of(
                own,
                self._span(agent, now_us, window_minutes) if whole else span,
                words(agent + 1),
            )
            for agent, own in zip(agents.tolist(), figures, strict=True)
        }

    def performance(
        self,
        agent: int,
        agent_name: str,
        agent_type: str | None,
        metrics: PerformanceMetrics,
        now_us: int,
    ) -> AgentPerformance:
        """Return an agent's ``metrics``, just read at ``now_us``, with its scores.

        It is compared with the fleet in the same window; that costs as much as
        ``snapshots`` once per window and change, then 5 us.
        """
        window = inf if metrics.window_minutes is None else metrics.window_minutes
        asked = (self._ledger.changes, now_us, window)
        if self._fleet is None or self._fleet[0] != asked:
            everyone = self.snapshots(now_us, window, trends=False)
            self._fleet = (asked, fleet_reference(everyone.values()))
        last_us = self.last_run_us(agent)
        return agent_performance(agent_name, agent_type, metrics, last_us, self._fleet[1])

    def series(
        self,
        agent: int | None,
        metric: MetricType,
        now_us: int,
        window_minutes: float | None = None,
        bucket_minutes: int = 1,
    ) -> Series:
        """Return a metric over time, in spans of ``bucket_minutes`` up to ``now_us``.

        Reaches as far back as minutes are kept. Raises ``ConfigError`` for a bucket that
        is not positive, or more than 10,000 of them.
        """
        if bucket_minutes < 1:
            raise ConfigError("bucket_minutes", bucket_minutes, "must be at least 1")
        self._ledger.flush()
        first, last = self._minutes(now_us, window_minutes)
        spans = range(first // bucket_minutes, last // bucket_minutes + 1)
        if len(spans) > _MAX_SPANS:
            raise ConfigError("bucket_minutes", bucket_minutes, f"makes {len(spans)} buckets")
        minutes = self._ledger.minutes
        digests = {span: self._digests.get(minutes, bucket_minutes, span) for span in spans}
        return series_of(digests, -1 if agent is None else agent, metric, bucket_minutes)

    def trends(
        self, agent: int | None, now_us: int, window_minutes: float | None = None
    ) -> dict[MetricType, Trend]:
        """Return where each metric of an agent, or of the fleet, is heading.

        The whole past means the minutes that are kept.
        """
        self._ledger.flush()
        row = self._row(agent)
        metrics = list(MetricType)
        found = self._trends_of(metrics, now_us, window_minutes)
        return {metric: trends.get(row) for metric, trends in zip(metrics, found, strict=True)}

    def to_state(self) -> State:
        """Return everything as numpy arrays and JSON-able values; see ``state``."""
        return self._ledger.to_state()

    @classmethod
    def from_state(cls, policy: MetricsPolicy, state: State) -> Self:
        """Return the store that ``to_state`` described, under ``policy``.

        Raises ``ConfigError`` for another format, or more agents than the policy allows.
        """
        store = cls(policy)
        store._use(Ledger.from_state(policy, state))
        return store

    # Windows

    def _minutes(self, now_us: int, window_minutes: float | None) -> tuple[int, int]:
        """Return the first and the last minute of a window, as far as minutes are kept."""
        last = now_us // US_PER_MINUTE
        kept = min(self._ledger.minutes, default=last)
        width = self._width(window_minutes)
        return (min(kept, last) if width is None else max(last - width, self._floor(last)), last)

    def _width(self, window_minutes: float | None) -> int | None:
        """Return the width of a window in minutes, None for the whole past."""
        if window_minutes is None:
            return self.policy.window_minutes
        if window_minutes == inf:
            return None
        if not isfinite(window_minutes) or window_minutes <= 0:
            raise ConfigError(
                "time_window_minutes", window_minutes, "must be positive; math.inf is everything"
            )
        return min(ceil(window_minutes), max(self.policy.horizon_minutes, 1))

    def _floor(self, last: int) -> int:
        floor = self._ledger.floor
        return last - self.policy.horizon_minutes if floor is None else floor

    def _totals(self, now_us: int, window_minutes: float | None) -> Totals:
        ledger, width = self._ledger, self._width(window_minutes)
        if width is None:
            return ledger.whole()
        newest, room = now_us // US_PER_MINUTE, len(ledger.last_us)
        if width == ledger.window.width:
            return ledger.window.seek(newest, ledger.minutes, room)
        # What the horizon left behind could not be taken away from a window any more.
        holds = (ledger.changes, ledger.floor)
        known, window = self._others.pop(width, (holds, RollingTotals(width)))
        if known != holds:
            window.forget()
        self._others[width] = (holds, window)
        while len(self._others) > _OTHER_WINDOWS:
            del self._others[next(iter(self._others))]
        return window.seek(newest, ledger.minutes, room)

    def _span(self, agent: int | None, now_us: int, window_minutes: float | None) -> Span:
        width = self._width(window_minutes)
        if width is not None:
            last = now_us // US_PER_MINUTE
            start = max(last - width, self._floor(last))
            return span_between(start * US_PER_MINUTE, now_us, min(width, last - start))
        first = self._ledger.first_us
        if agent is not None:
            first = first[agent : agent + 1]
        oldest = int(first.min(initial=NEVER))
        return span_between(None if oldest == NEVER else oldest, now_us, None)

    # Parts of metrics

    def _row(self, agent: int | None) -> int:
        """Return an agent's row among trends; those unknown share the last, empty one."""
        return 0 if agent is None else min(agent, len(self._ledger.last_us)) + 1

    def _trends_of(
        self, metrics: Sequence[MetricType], now_us: int, window_minutes: float | None
    ) -> list[Trends]:
        first, last = self._minutes(now_us, window_minutes)
        room = len(self._ledger.last_us) + 1
        return self._trends.read(self._ledger.minutes, first, last, room, metrics)

    def _directions(self, now_us: int, window_minutes: float | None) -> Callable[[int], Directions]:
        """Return a function from an agent's row to the words of the shown trends."""
        found = self._trends_of(_SHOWN_TRENDS, now_us, window_minutes)
        rate, latency, cost = (trends.word for trends in found)
        return lambda row: (rate(row), latency(row), cost(row))


def _no_trends(_row: int) -> Directions:
    return NO_TRENDS

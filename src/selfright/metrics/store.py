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
from selfright.metrics.figures import figures_of
from selfright.metrics.histogram import BUCKETS
from selfright.metrics.labels import SLOTS
from selfright.metrics.ledger import NEVER, Ledger
from selfright.metrics.metric_type import MetricType
from selfright.metrics.performance import performances_of
from selfright.metrics.policy import MetricsPolicy
from selfright.metrics.scores import fleet_reference
from selfright.metrics.series import Series, TrendReader, series_of
from selfright.metrics.snapshot import PerformanceMetrics, Spans, metrics_of
from selfright.metrics.window import RollingTotals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfright.events.batch import OutcomeBatch, RunBatch
    from selfright.metrics.figures import Figures
    from selfright.metrics.scores import FleetReference
    from selfright.metrics.snapshot import AgentPerformance
    from selfright.metrics.state import State
    from selfright.metrics.totals import Totals
    from selfright.metrics.trend import Trend, Trends

__all__ = ["MetricsPolicy", "MetricsStore"]

Codes = npt.NDArray[np.integer]
Ints = npt.NDArray[np.int64]

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
    0.1 ms, that of all of 200 agents 0.8 ms, however many events the window holds; what
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
        self._fleet: tuple[tuple[int | None, ...], FleetReference] | None = None

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
            Whether to find the three trends; without them it costs a fifth less.

        Raises
        ------
        ConfigError
            If ``window_minutes`` is not positive.
        """
        self._ledger.flush()
        rows = None if agent is None else np.array([agent])
        figures = self._figures(rows, now_us, window_minutes)
        return self._metrics(figures, rows, now_us, window_minutes, trends=trends)[0]

    def snapshots(
        self, now_us: int, window_minutes: float | None = None, *, trends: bool = True
    ) -> dict[int, PerformanceMetrics]:
        """Return the metrics of every known agent by code, idle ones included.

        The same as ``snapshot`` of each, about fifty times as fast.
        """
        rows = self._known()
        figures = self._figures(rows, now_us, window_minutes)
        found = self._metrics(figures, rows, now_us, window_minutes, trends=trends)
        return dict(zip(rows.tolist(), found, strict=True))

    def performances(
        self,
        agents: Sequence[int],
        names: Sequence[str],
        types: Sequence[str | None],
        now_us: int,
        window_minutes: float | None = None,
    ) -> list[AgentPerformance]:
        """Return the metrics of each of ``agents`` with its scores.

        They are compared with the fleet in the same window, whose medians are kept until
        something changes.

        Parameters
        ----------
        agents
            Codes; one that was never seen has nothing to its name.
        names, types
            Of the agents, in the same order.
        now_us, window_minutes
            As for ``snapshot``.
        """
        known, rows = self._known(), np.array(agents, dtype=np.int64)
        figures = self._figures(rows, now_us, window_minutes)
        everyone = figures if np.array_equal(known, rows) else None
        fleet = self._reference(known, everyone, now_us, window_minutes)
        metrics = self._metrics(figures, rows, now_us, window_minutes, trends=True)
        newest = _at(self._ledger.last_us, rows, -1)
        return performances_of(names, types, metrics, figures, newest, fleet)

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
        row = self._trend_rows(None if agent is None else np.array([agent])).item()
        metrics = list(MetricType)
        found = self._trends_of(metrics, now_us, window_minutes)
        return {metric: trends.get(row) for metric, trends in zip(metrics, found, strict=True)}

    def durations(self) -> tuple[npt.NDArray[np.int64], int]:
        """Return the durations of all decided runs ever: their histogram and their sum.

        How many lie in each bucket of ``histogram``, int64[BUCKETS], and the exact sum in
        microseconds.
        """
        self._ledger.flush()
        totals = self._ledger.whole()
        keys, found = totals.counts.entries()
        # Behind the buckets stand other counts of the same agents.
        counts = np.bincount(keys & (SLOTS - 1), weights=found, minlength=BUCKETS)[:BUCKETS]
        return counts.astype(np.int64), int(totals.values[:, Column.DURATION_US + 1].sum())

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

    def _spans(self, rows: Ints | None, now_us: int, window_minutes: float | None) -> Spans:
        width = self._width(window_minutes)
        if width is not None:
            last = now_us // US_PER_MINUTE
            start = max(last - width, self._floor(last))
            n = 1 if rows is None else len(rows)
            return Spans.window(start * US_PER_MINUTE, now_us, min(width, last - start), n)
        first = self._ledger.first_us
        first = first.min(initial=NEVER, keepdims=True) if rows is None else _at(first, rows, NEVER)
        return Spans.since(first, first != NEVER, now_us)

    # Parts of metrics

    def _known(self) -> Ints:
        self._ledger.flush()
        return np.flatnonzero(self._ledger.seen)

    def _figures(self, rows: Ints | None, now_us: int, window_minutes: float | None) -> Figures:
        """Return the figures of agents, or with None those of the fleet."""
        return figures_of(self._totals(now_us, window_minutes), self._ledger.labels, rows)

    def _metrics(
        self,
        figures: Figures,
        rows: Ints | None,
        now_us: int,
        window_minutes: float | None,
        *,
        trends: bool,
    ) -> list[PerformanceMetrics]:
        spans, words = self._spans(rows, now_us, window_minutes), None
        if trends:
            places = self._trend_rows(rows)
            found = self._trends_of(_SHOWN_TRENDS, now_us, window_minutes)
            words = [trend.words(places) for trend in found]
        return metrics_of(figures, spans, words)

    def _reference(
        self, known: Ints, everyone: Figures | None, now_us: int, window_minutes: float | None
    ) -> FleetReference:
        """Return what agents are compared with; ``everyone``, if read already, is the fleet."""
        ledger, width = self._ledger, self._width(window_minutes)
        # Within a minute a window holds the same; the whole past does at any time.
        minute = None if width is None else now_us // US_PER_MINUTE
        asked = (ledger.changes, ledger.floor, minute, width)
        if self._fleet is None or self._fleet[0] != asked:
            figures = everyone or self._figures(known, now_us, window_minutes)
            self._fleet = (asked, fleet_reference(figures))
        return self._fleet[1]

    def _trend_rows(self, rows: Ints | None) -> Ints:
        """Return rows among trends; agents that are unknown share the last, empty one."""
        if rows is None:
            return np.zeros(1, dtype=np.int64)
        return np.minimum(rows, len(self._ledger.last_us)) + 1

    def _trends_of(
        self, metrics: Sequence[MetricType], now_us: int, window_minutes: float | None
    ) -> list[Trends]:
        first, last = self._minutes(now_us, window_minutes)
        room = len(self._ledger.last_us) + 1
        return self._trends.read(self._ledger.minutes, first, last, room, metrics)


def _at(values: Ints, rows: Ints, missing: int) -> Ints:
    """Return the value of each row, ``missing`` for those beyond the end."""
    found: Ints = np.append(values, missing)[np.minimum(rows, len(values))]
    return found

"""One metric of one agent over time, span by span, as a chart draws it."""

from __future__ import annotations

from dataclasses import dataclass
from operator import is_
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from selfright.events.timestamp import iso
from selfright.metrics.columns import US_PER_MINUTE
from selfright.metrics.trend import SPANS, Trends, trends_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from selfright.metrics.digest import Digest, Digests
    from selfright.metrics.metric_type import MetricType
    from selfright.metrics.minute import Minute


_KEPT_TRENDS: Final = 64  # pairs of metric and width, before all are forgotten


@dataclass(frozen=True, slots=True)
class Series:
    """Values of a metric per span of time.

    Attributes
    ----------
    bucket_minutes
        Length of a span; the last one may not be complete yet.
    start_us
        When each span begins, ascending, a multiple of its length.
    values
        The rate, the mean or (latency) the median in the span; None where unknown.
    events
        How many runs or outcomes each value rests on.
    """

    bucket_minutes: int
    start_us: tuple[int, ...]
    values: tuple[float | None, ...]
    events: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values by field; times as RFC 3339."""
        return {
            "bucket_minutes": self.bucket_minutes,
            "start": [iso(start) for start in self.start_us],
            "values": list(self.values),
            "events": list(self.events),
        }


def series_of(
    digests: Mapping[int, Digest], agent: int, metric: MetricType, bucket_minutes: int
) -> Series:
    """Return the series of an agent (-1: the fleet) over digests by number of span."""
    spans = sorted(digests)
    values: list[float | None] = []
    events: list[int] = []
    for span in spans:
        row = digests[span].rows(np.array([agent])).item()
        value, count = digests[span].measure(metric)
        known = row >= 0 and not np.isnan(value[row])
        values.append(value.item(row) if known else None)
        events.append(count.item(row) if row >= 0 else 0)
    starts = tuple(span * bucket_minutes * US_PER_MINUTE for span in spans)
    return Series(bucket_minutes, starts, tuple(values), tuple(events))


class TrendReader:
    """Trends over the complete spans of a window, of all agents at once.

    The trends of one metric are kept until a span changes: complete spans do not, so that
    snapshots within one span pay for no more than seeing that.
    """

    __slots__ = ("_digests", "_kept", "_latest")

    def __init__(self, digests: Digests) -> None:
        self._digests = digests
        self._kept: dict[tuple[MetricType, int], tuple[tuple[int, ...], list[Digest], Trends]] = {}
        self._latest: tuple[tuple[Any, ...], list[Trends]] | None = None

    def read(
        self,
        minutes: Mapping[int, Minute],
        first: int,
        last: int,
        agents: int,
        metrics: Sequence[MetricType],
    ) -> list[Trends]:
        """Return the trends from minute ``first`` to before ``last``, one per metric.

        Row 0 is the fleet, row a + 1 is agent a, for ``agents`` agents.
        """
        width = max(1, round((last - first) / SPANS))
        newest = last // width - 1
        oldest = max(newest - SPANS + 1, -(-first // width) - 1)
        spans = range(oldest, newest + 1)
        versions = [
            (number, minutes[number].version)
            for number in range(oldest * width, (newest + 1) * width)
            if number in minutes
        ]
        asked = (width, spans, agents, tuple(metrics), versions)
        if self._latest is None or self._latest[0] != asked:
            digests = [self._digests.get(minutes, width, span) for span in spans]
            found = [self._one(metric, width, spans, digests, agents) for metric in metrics]
            self._latest = (asked, found)
        return self._latest[1]

    def _one(
        self, metric: MetricType, width: int, spans: range, digests: list[Digest], agents: int
    ) -> Trends:
        key, asked = (metric, width), (agents, *spans)
        kept = self._kept.get(key)
        # Digests are compared by identity: one that still holds is the very same object.
        if kept is not None and kept[0] == asked and all(map(is_, kept[1], digests)):
            return kept[2]
        values = np.full((agents + 1, len(digests)), np.nan)
        events = np.zeros((agents + 1, len(digests)), dtype=np.int64)
        for column, digest in enumerate(digests):
            value, count = digest.measure(metric)
            rows = np.concatenate(([0], digest.agents + 1))
            values[rows, column] = value
            events[rows, column] = count
        hours = np.array(spans, dtype=np.float64) * width / 60
        trends = trends_of(metric, hours, values, events)
        if len(self._kept) >= _KEPT_TRENDS:
            self._kept.clear()
        self._kept[key] = (asked, digests, trends)
        return trends

"""A block of rows as one sequence of values for each stream: a metric of an agent, or the fleet."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from selfright.detect.detection import RETRAINING, WatchedMetric
from selfright.detect.policy import BOUNDS, WatchPolicy

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

US_PER_MIN: Final = 60_000_000
METRICS: Final = len(WatchedMetric)
RATES: Final = len(RETRAINING)  # the metrics that come first
SCORE_BITS: Final = 32  # a score counts in 2^-32

# Powers of two in which the streams of each metric count.
SHIFT: Final = np.array(
    [SCORE_BITS if metric is WatchedMetric.ACCURACY else 0 for metric in WatchedMetric]
)
# Which sign the values of each metric have.
SIGN: Final = np.array([BOUNDS[metric].sign for metric in WatchedMetric])
_METRIC: Final = np.arange(METRICS)


class Entries(NamedTuple):
    """Values by stream, those of one stream side by side and in the order of the log.

    Streams are ordered by metric, then by agent, the fleet last. Those of rates come first.

    Attributes
    ----------
    stream, metric, shift
        Of each stream: its number, its metric, the power of two that it counts in. ``shift`` is
        None where all count in ones.
    first, last
        Of each stream: where its entries begin, and the last of them.
    of
        Of each entry: the place of its stream in ``stream``.
    row, minute, value
        Of each entry. Low values are bad.
    """

    stream: Ints
    metric: Ints
    shift: Ints | None
    first: Ints
    last: Ints
    of: Ints
    row: Ints
    minute: Ints
    value: Ints

    @property
    def size(self) -> Ints:
        """How many entries each stream has."""
        return self.last - self.first + 1

    def rates(self) -> Entries:
        """Return the part that is about rates."""
        streams = int(np.count_nonzero(self.metric < RATES))
        if streams == len(self.stream):
            return self
        end = int(self.first[streams])
        return Entries(
            self.stream[:streams],
            self.metric[:streams],
            None if self.shift is None else self.shift[:streams],
            self.first[:streams],
            self.last[:streams],
            self.of[:end],
            self.row[:end],
            self.minute[:end],
            self.value[:end],
        )


Whole = TypeVar("Whole", int, Ints)


def number(scope: Whole, metric: Whole) -> Whole:
    """Return the number of a stream. The fleet, whose scope is -1, comes before the agents."""
    return (scope + 1) * METRICS + metric


class Turn:
    """Turns rows into entries: what counts of them, in whole numbers of which low is bad.

    Of latencies only the share above a limit is followed: p95 lies beyond the limit exactly when
    that share is more than 5 %.

    Parameters
    ----------
    policy
        Metrics without a threshold do not count.
    """

    def __init__(self, policy: WatchPolicy) -> None:
        self._ignored = [metric for metric in WatchedMetric if policy.threshold(metric) is None]
        self._factor = np.array(
            [float(BOUNDS[metric].sign << int(SHIFT[metric])) for metric in WatchedMetric]
        )[:, None]
        limit = policy.threshold(WatchedMetric.LATENCY)
        self._limit = np.inf if limit is None else limit * BOUNDS[WatchedMetric.LATENCY].unit

    def entries(self, agent: Ints, values: Floats, ts_us: Ints) -> Entries:
        """Return the entries of rows, each for its agent and once more for the fleet."""
        rows = len(agent)
        columns = values.T
        whole = (columns * self._factor).astype(np.int64)
        latency = WatchedMetric.LATENCY
        whole[latency] = (columns[latency] > self._limit) * BOUNDS[latency].sign
        there = columns >= 0
        if self._ignored:
            there[self._ignored] = False
        by_agent = agent.argsort(kind="stable")
        order = np.concatenate([by_agent, np.arange(rows)])
        scope = np.zeros(2 * rows, dtype=np.int64)
        np.add(agent[by_agent], 1, out=scope[:rows])
        taken = there[:, order]
        reported = taken.sum(axis=1)
        metric = _METRIC.repeat(reported)
        place = taken.ravel().nonzero()[0] - metric * (2 * rows)
        row = order[place]
        of_entry = scope[place] * METRICS + metric
        starts = changes(of_entry)
        first = starts.nonzero()[0]
        last = np.empty_like(first)
        last[:-1] = first[1:] - 1
        last[-1:] = len(row) - 1
        metrics = metric[first]
        return Entries(
            stream=of_entry[first],
            metric=metrics,
            shift=SHIFT[metrics] if reported[WatchedMetric.ACCURACY] else None,
            first=first,
            last=last,
            of=starts.cumsum() - 1,
            row=row,
            minute=(ts_us // US_PER_MIN)[row],
            value=whole[metric, row],
        )


def changes(*columns: Ints) -> Bools:
    """Tell at which entries one of the columns differs from the entry before; the first does."""
    found = np.zeros(len(columns[0]), dtype=np.bool_)
    found[:1] = True
    for column in columns:
        found[1:] |= column[1:] != column[:-1]
    return found


def steps(counts: Ints) -> tuple[Ints, Ints]:
    """Return, for the ``counts[i]`` steps of each i, the i and the step from 0."""
    of = np.arange(len(counts)).repeat(counts)
    return of, np.arange(len(of)) - (counts.cumsum() - counts)[of]


def running(numbers: Ints | Bools) -> Ints:
    """Return the sums of the first 0, 1, 2, ... numbers."""
    found = np.zeros(len(numbers) + 1, dtype=np.int64)
    numbers.cumsum(out=found[1:])
    return found

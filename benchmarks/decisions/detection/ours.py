"""Our detectors alone: certainty over many streams at once, each stream an agent."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from benchmarks.decisions.detection.streams import Floats
from selfright.detect.certainty.fleet import Certainty, CertaintyPolicy, Rows
from selfright.detect.detection import Kind, WatchedMetric

NAME: Final = "Selfright"
THRESHOLD: Final = 0.7
_STEPS: Final = 50  # outcomes of each stream in a block
SECOND_US: Final = 1_000_000
_ALERTS: Final = frozenset({Kind.DRIFT, Kind.CERTAIN})


def plain(run_length: float = 1e4) -> CertaintyPolicy:
    """Return bets without margin and without allowance for bursts."""
    return CertaintyPolicy(run_length=run_length, min_drop=0.0, tempering=False)


def production(run_length: float = 1e4) -> CertaintyPolicy:
    """Return what a user has who changes nothing, at a given run length."""
    return CertaintyPolicy(run_length=run_length)


class Heard(NamedTuple):
    """One finding: whose, at which of its outcomes, what, and whether an alert opens with it.

    ``alarms`` counts those of the episode so far.
    """

    stream: int
    at: int
    kind: Kind
    opens: bool
    alarms: int


def rows(x: Floats, first: int, metric: WatchedMetric) -> Rows:
    """Return outcomes, a row for each stream, as they come: one of each stream a second."""
    streams, steps = x.shape
    offset = first * streams + np.arange(x.size)
    values = np.full((x.size, len(WatchedMetric)), -1.0)
    values[:, metric] = x.T.reshape(-1)
    agent = np.tile(np.arange(streams), steps)
    return Rows(agent, values, offset, offset // streams * SECOND_US)


def listen(
    x: Floats,
    policy: CertaintyPolicy,
    metric: WatchedMetric = WatchedMetric.ACCURACY,
    threshold: float = THRESHOLD,
) -> list[Heard]:
    """Return all that is found in ``x``, in order of time."""
    certainty = Certainty(policy, {metric: threshold} if metric.is_rate else {})
    streams, length = x.shape
    heard: list[Heard] = []
    for first in range(0, length, _STEPS):
        block = rows(x[:, first : first + _STEPS], first, metric)
        for stream, found in certainty.feed(block, first * SECOND_US):
            if stream.scope >= 0:
                opens = found.said is None and found.kind in _ALERTS
                at = found.here.offset // streams
                heard.append(Heard(stream.scope, at, found.kind, opens, found.alarms))
        certainty.keep()
    return heard


def counts(heard: list[Heard], streams: int) -> list[int]:
    """Return how many alerts were opened about each stream."""
    return np.bincount([one.stream for one in heard if one.opens], minlength=streams).tolist()


def delays(heard: list[Heard], streams: int, change: int, within: int) -> list[float]:
    """Return after how many outcomes behind ``change`` each stream was alerted; inf: not.

    An alert that was open by mistake when the change came hides it, until it is said to be more.
    """
    found = [np.inf] * streams
    for one in heard:
        is_news = one.opens or one.kind is Kind.CERTAIN
        if is_news and change <= one.at < change + within and found[one.stream] == np.inf:
            found[one.stream] = one.at - change + 1.0
    return found

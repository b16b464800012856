"""Rows for the watch."""

from __future__ import annotations

import numpy as np
import pytest

from selfright.detect.certainty.fleet import Rows
from selfright.detect.detection import WatchedMetric

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US


class Feeder:
    """Feeds one metric of one agent to a watch, an outcome a row."""

    def __init__(self) -> None:
        self.offset = 0

    def rows(self, agent, metric, values, ts_us):
        """Return outcomes as rows."""
        columns = np.full((len(values), len(WatchedMetric)), -1.0)
        columns[:, metric] = values
        offset = self.offset + np.arange(len(values))
        return Rows(np.full(len(values), agent), columns, offset, np.asarray(ts_us))

    def __call__(self, watch, metric, values, agent=0, minute=None):
        """Keep outcomes, one a second or all in a minute; return what is said of the agent."""
        seconds = self.offset + np.arange(len(values))
        ts_us = seconds * SECOND_US if minute is None else np.full(len(values), minute * MINUTE_US)
        said = watch.feed(self.rows(agent, metric, values, ts_us))
        watch.keep()
        self.offset += len(values)
        return [one for _, told in sorted(said.items()) for one in told if one.scope == agent]


@pytest.fixture
def feed() -> Feeder:
    """Return a feeder whose first row has offset 0 and second 0."""
    return Feeder()

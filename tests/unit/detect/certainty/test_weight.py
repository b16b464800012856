"""What the evidence about an agent takes in memory."""

from __future__ import annotations

import tracemalloc

import numpy as np

from selfright.detect.certainty.fleet import RATES, Certainty, CertaintyPolicy, Rows
from selfright.detect.detection import WatchedMetric


def test_agents_weigh_little() -> None:
    """Ten thousand agents with six metrics and accuracy take less than 80 MB from the start."""
    agents = 600
    values = np.full((agents, len(WatchedMetric)), 1000.0)
    values[:, RATES] = 1.0
    values[:, WatchedMetric.ERROR_RATE] = 0.0
    rows = Rows(np.arange(agents), values, np.arange(agents), np.zeros(agents, dtype=np.int64))
    _fed(rows)  # for the first time numpy imports parts of itself
    tracemalloc.start()
    certainty = _fed(rows)
    weight = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(certainty.to_state()["baselines"]["scopes"]) == 4 * agents
    assert weight / agents <= 8000


def _fed(rows: Rows) -> Certainty:
    certainty = Certainty(CertaintyPolicy(), dict.fromkeys(RATES, 0.8))
    certainty.feed(rows, 0)
    certainty.keep()
    return certainty

"""A drop of which hardly any outcomes come: told once, nothing costly, recovery by probes."""

from __future__ import annotations

import numpy as np

from selfright.detect.certainty.fleet import Certainty, CertaintyPolicy, Rows
from selfright.detect.detection import Kind, WatchedMetric

HOUR_US = 3_600_000_000


class _Agent:
    """One agent whose outcomes come when the test says so."""

    def __init__(self) -> None:
        self.certainty = Certainty(CertaintyPolicy(run_length=1e4), {WatchedMetric.ACCURACY: 0.7})
        self.offset = 0
        self.now_us = 0
        self._rng = np.random.default_rng(1)

    def give(self, outcomes: int, rate: float) -> list[Kind]:
        """Let outcomes come, one a second; return what is found about the agent."""
        said = []
        for _ in range(outcomes):
            values = np.full((1, len(WatchedMetric)), -1.0)
            values[0, WatchedMetric.ACCURACY] = self._rng.random() < rate
            at = np.array([self.offset])
            rows = Rows(np.zeros(1, dtype=np.int64), values, at, np.array([self.now_us]))
            found = self.certainty.feed(rows, self.now_us)
            said += [one.kind for stream, one in found if stream.scope == 0]
            self.certainty.keep()
            self.offset += 1
            self.now_us += 1_000_000
        return said

    def wait(self, hours: int) -> list[Kind]:
        """Let time pass without outcomes."""
        self.now_us += hours * HOUR_US
        return [one.kind for _, one in self.certainty.contained(self.now_us)]


def _fallen() -> _Agent:
    agent = _Agent()
    agent.give(900, 0.95)
    assert Kind.CERTAIN in agent.give(40, 0.2)
    return agent


def test_a_day_without_outcomes_contains_a_drop_once():
    """Not before a day is over, and not again."""
    agent = _fallen()
    assert agent.wait(23) == []
    assert agent.wait(2) == [Kind.CONTAINED]
    assert agent.wait(24) == []


def test_what_is_contained_is_not_confirmed():
    """However many bad outcomes the probes bring, nothing costly follows."""
    agent = _fallen()
    agent.wait(25)
    assert Kind.CONFIRMED not in agent.give(400, 0.2)


def test_probes_that_go_well_end_it():
    """Its recovery is judged by them."""
    agent = _fallen()
    agent.wait(25)
    assert agent.give(300, 0.95)[-1:] == [Kind.RECOVERED]


def test_a_drop_with_outcomes_enough_is_confirmed_and_not_contained():
    """The router still sends tasks: the question is answered by them."""
    agent = _fallen()
    assert Kind.CONFIRMED in agent.give(150, 0.2)
    assert agent.wait(48) == []

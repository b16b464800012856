"""Only rows that matter are heard, and whoever listens misses nothing."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from selfright.assemble import Learning, open_circle
from selfright.config import Settings
from selfright.detect.certainty.fleet import Certainty, CertaintyPolicy, Rows
from selfright.detect.detection import SYSTEM, Kind, WatchedMetric
from selfright.detect.policy import WatchPolicy
from selfright.detect.watch import FleetWatch
from selfright.events.batch import Intake
from selfright.events.raw import run_batch
from selfright.events.record import GateRecord, RetrainFinished
from selfright.learn.strategy import UpdateStrategy
from selfright.log.memory import MemoryLog
from selfright.loop.evidence import Judged, judge
from selfright.loop.saved import encode_state
from selfright.retrain.registry import MemoryRegistry
from selfright.retrain.trigger import Request, Trigger
from selfright.retrain.trigger_policy import TriggerPolicy
from selfright.testing.clock import ManualClock

POLICY = WatchPolicy(0.8, 0.15, 0.7, 5000.0, 1.0, 1024.0, 5000.0)
SECOND_US = 1_000_000
AGENTS = 4
M = WatchedMetric


def stream(seed, n=1200):
    """Return rows over some hours; one agent drops for a while, then all of them; some are late."""
    rng = np.random.default_rng(seed)
    agent = rng.integers(0, AGENTS, n)
    rate = np.full(n, 0.9)
    rate[(agent == 1) & (np.arange(n) > n // 4) & (np.arange(n) < n // 2)] = 0.4
    rate[3 * n // 4 :] = 0.5
    good = (rng.random(n) < rate).astype(float)
    values = np.full((n, len(M)), -1.0)
    values[:, M.SUCCESS_RATE], values[:, M.ERROR_RATE] = good, 1.0 - good
    values[::3, M.ACCURACY] = good[::3]
    values[:, M.COST] = rng.lognormal(10, 1, n).round()
    log_us = np.cumsum(rng.integers(0, 6 * SECOND_US, n)) + 10**15
    late_us = np.where(rng.random(n) < 0.05, rng.integers(0, 300 * SECOND_US, n), 0)
    return Judged(Rows(agent, values, np.arange(n), log_us - late_us), log_us)


class Listener:
    """Watch, certainty and trigger, which stop at each request as the fold does."""

    def __init__(self):
        self.watch, self.trigger = FleetWatch(POLICY), Trigger(TriggerPolicy())
        self.certainty = Certainty(
            CertaintyPolicy(run_length=1e5),
            {M.SUCCESS_RATE: 0.8, M.ERROR_RATE: 0.85, M.ACCURACY: 0.7},
        )
        self.heard, self.records, self.looked = [], [], 0

    def take(self, found, block, urgent):
        """Take rows in blocks; start again behind each request."""
        first, n = 0, len(found.now_us)
        while first < n:
            last = min(first + block, n)
            first = self._until_request(found.part(first, last), urgent, last) or last

    def _until_request(self, part, urgent, last):
        with closing(judge(self.watch, self.certainty, part, urgent)) as rows:
            for row in rows:
                self.looked += 1
                for said in row.detections:
                    self.heard.append((row.offset, said))
                    self.trigger.observe(said, self.name(said.scope))
                asked = self.trigger.decide(
                    self.watch, row.agent, row.now_us, row.offset, self.name
                )
                if asked is not None:
                    self.records.append((row.offset, repr(asked)))
                if isinstance(asked, Request):
                    break
            else:
                return last
        self.trigger.note_started(asked.act, row.now_us)
        self.trigger.note_finished(self.rejected(asked.act), row.now_us)
        for scope in (*asked.scopes, SYSTEM):
            self.watch.note_retraining(scope)
        return row.offset + 1

    def name(self, scope):
        """Return an agent's name, None for the fleet."""
        return None if scope < 0 else f"agent-{scope}"

    def rejected(self, act):
        """Return the end of a retraining whose challenger the gate refused."""
        return RetrainFinished(
            act_id=f"{act.act_id}:done", ts_us=0, retrain_id=act.act_id, model_type=act.model_type,
            retrain_type=act.mode, state="done", reason="", automatic=True, agents=act.agents,
            gate=GateRecord(verdict="rejected"),
        )  # fmt: skip

    def state(self):
        """Return the whole state as bytes."""
        parts = {"watch": self.watch, "certainty": self.certainty, "trigger": self.trigger}
        return encode_state({name: part.to_state() for name, part in parts.items()})


@pytest.mark.parametrize("seed", range(2))
def test_at_the_rows_left_out_nobody_would_have_asked(seed):
    """Asked at every row, in blocks of one, the trigger decides what it decides at those heard."""
    rows, every, some = stream(seed), Listener(), Listener()
    every.take(rows, 1, {SYSTEM})
    some.take(rows, 1024, some.trigger.urgent)
    assert every.looked == len(rows.now_us) > some.looked > len(some.records) > 10
    assert some.heard == every.heard
    assert {said.kind for _, said in some.heard} >= {Kind.LIKELY, Kind.UNLIKELY, Kind.CERTAIN}
    assert some.records == every.records
    assert some.state() == every.state()


@pytest.mark.parametrize("block", [7, 100, 1200])
def test_how_rows_are_batched_does_not_matter(block):
    """The same is heard, asked and kept, whatever was fed and dropped on the way."""
    whole, parts = Listener(), Listener()
    whole.take(stream(7), 1024, whole.trigger.urgent)
    parts.take(stream(7), block, parts.trigger.urgent)
    assert (parts.heard, parts.records) == (whole.heard, whole.records)
    assert parts.state() == whole.state()


def test_who_asks_for_nothing_hears_detections_alone():
    """Rows at which something stands, but nothing is said, are left out."""
    watch = FleetWatch(POLICY)
    certainty = Certainty(CertaintyPolicy(), {})
    rows = stream(1)
    found = [row.offset for row in judge(watch, certainty, rows) if row.detections]
    again = [
        row.offset for row in judge(FleetWatch(POLICY), Certainty(CertaintyPolicy(), {}), rows)
    ]
    assert again == found
    assert len(watch.standing_scopes) > 0


def test_log_time_goes_on_where_there_is_nothing_to_hear():
    """With the time of the events, the fold is at the time of the last of them."""
    clock = ManualClock(1_700_000_000_000_000)
    learning = Learning(MemoryRegistry(clock), UpdateStrategy.BAYESIAN)
    circle = open_circle(
        Settings(), log=MemoryLog(), learning=learning, clock=clock, file_clock=True
    )
    rows = []
    for i in range(50):
        given = (f"r{i}", "a", "llm", "success", 10.0, *[None] * 12, 0, *[None] * 9)
        rows.append(circle.door.run(*given, clock.now_us() + i * SECOND_US))
    circle.submit(Intake.of(runs=run_batch(rows)))
    circle.pump()
    assert circle.fold.now_us == clock.now_us() + 49 * SECOND_US
    circle.stop()

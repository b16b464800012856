"""Wherever a process ends: a user's model learns each event once, and none is left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from selfright.assemble import Learning, open_circle
from selfright.config import Settings, with_values
from selfright.events.batch import Intake
from selfright.events.raw import run_batch
from selfright.learn.strategy import UpdateStrategy
from selfright.log.memory import MemoryLog
from selfright.loop.own.models import OwnModels
from selfright.retrain.registry import MemoryRegistry
from selfright.testing.clock import START_US, ManualClock

MINE = "mine"
# A watch of a few events, so that one ends now and then; no trial ends by itself.
SETTINGS = with_values(Settings(), {"gate.watch_runs": 12, "gate.max_outcomes": 10**6})


class Heard:
    """Remembers of each event how often it was learnt, since it was refitted on them too."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def refit(self, events: list[Any]) -> None:
        self.counts = {}
        self.update(events)

    def update(self, events: list[Any]) -> None:
        for event in events:
            self.counts[event.run_id] = self.counts.get(event.run_id, 0) + 1

    def score(self, events: list[Any]) -> list[float]:
        return [0.5 for _ in events]

    def save(self, folder: str) -> None:
        (Path(folder) / "all.json").write_text(json.dumps(self.counts))

    def load(self, folder: str) -> None:
        self.counts = json.loads((Path(folder) / "all.json").read_text())


class Process:
    """A data directory whose process may end at any time."""

    def __init__(self) -> None:
        self.clock = ManualClock(START_US)
        self.log, self.registry = MemoryLog(), MemoryRegistry(self.clock)
        self.runs = 0
        self.start()

    def start(self) -> None:
        learning = Learning(self.registry, UpdateStrategy.BAYESIAN)
        self.circle = open_circle(SETTINGS, log=self.log, learning=learning, clock=self.clock)
        self.own = OwnModels(self.circle, self.registry, newest=10_000)
        self.own.register(MINE, Heard())

    def run(self, n: int) -> None:
        rows = []
        for _ in range(n):
            self.runs += 1
            given = (f"r{self.runs}", "a", "llm", "success", 10.0, *[None] * 12, 0, *[None] * 9)
            rows.append(self.circle.door.run(*given, self.clock.now_us()))
        self.clock.advance(1.0)
        self.circle.submit(Intake.of(runs=run_batch(rows)))

    def act(self, step: tuple[str, int]) -> None:
        what, n = step
        slot = self.own.slot(MINE)
        if what == "run":
            self.run(n)
        elif what == "hear":
            self.own.catch_up()
        elif what == "save":
            self.own.save()
        elif what == "retrain":
            self.own.retrain(MINE, "a law")
        elif what == "end":
            self.start()
        elif what == "promote":
            self.own.retrain(MINE, "a law")
            if slot.trial is not None:
                self.own.serve(MINE, slot.trial.version, "promote")
        elif what == "back" and slot.versions.all():
            self.own.serve(MINE, 1 + n % len(slot.versions.all()), "rollback")


STEPS = st.tuples(
    st.sampled_from(["run", "hear", "save", "retrain", "end", "promote", "back"]),
    st.integers(1, 9),
)


@given(st.lists(STEPS, min_size=4, max_size=16))
@settings(max_examples=150, deadline=None)
def test_each_event_is_learnt_once_whatever_happens(steps: list[tuple[str, int]]) -> None:
    """By what serves, by a challenger and by a parent in shadow alike, after any restarts."""
    process = Process()
    for step in steps:
        process.act(step)
    process.run(3)
    for _ in range(2):  # what the first one tells the log is read by the second
        process.own.catch_up()
    slot = process.own.slot(MINE)
    everything = {f"r{i + 1}": 1 for i in range(process.runs)}
    heard = [slot.serving]
    heard += [] if slot.trial is None else [slot.trial.follower]
    heard += [] if slot.watch is None else [slot.watch.parent]
    for one in heard:
        assert one.model.counts == everything
        assert one.offset == process.log.next_offset
    assert slot.learnt == process.runs
    assert slot.failures == 0

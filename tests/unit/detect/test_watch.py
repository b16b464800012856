"""The watch speaks for each agent and for the fleet, in the user's units."""

from __future__ import annotations

from dataclasses import replace

import pytest

from selfright.detect.detection import SYSTEM, Finding, Kind, Signal, WatchedMetric
from selfright.detect.policy import WatchPolicy
from selfright.detect.watch import DETECTORS, FleetWatch

POLICY = WatchPolicy(0.8, 0.15, 0.7, 5000.0, 1.0, 1024.0, 5000.0)
SECOND = 1_000_000
M = WatchedMetric


def feed(watch, scope, metric, values, start=0):
    """Return what the watch says to values one second apart."""
    said = []
    for i, x in enumerate(values):
        said += watch.update(scope, metric, x, (start + i) * SECOND, start + i)
    return said


def test_healthy_values_say_nothing_at_no_cost():
    """A silent update returns the one shared empty tuple."""
    watch = FleetWatch(POLICY)
    returned = [watch.update(0, M.ACCURACY, 1.0, i * SECOND, i) for i in range(300)]
    assert all(said is returned[0] for said in returned)
    assert returned[0] == ()
    assert not watch.standing_scopes


def test_a_drop_is_beyond_then_likely_then_over():
    """All four kinds, in order, each once, with the figures they were judged by."""
    watch = FleetWatch(POLICY)
    said = feed(watch, 7, M.ACCURACY, [1.0, 1.0, 0.0] * 120)
    assert [d.kind for d in said] == [Kind.BEYOND]
    said = feed(watch, 7, M.ACCURACY, [0.0] * 30, 360)
    likely = said[0]
    assert [d.kind for d in said] == [Kind.LIKELY]
    assert (likely.scope, likely.metric, likely.detector) == (7, M.ACCURACY, "beta")
    assert likely.probability >= 0.95
    assert likely.n == 200
    assert likely.value == likely.inputs["sum"] / 200
    assert likely.interval[0] < likely.value < likely.interval[1] < 1.0
    assert likely.ts_us == likely.offset * SECOND
    assert likely.inputs["critical_sum"] >= likely.inputs["sum"]
    said = feed(watch, 7, M.ACCURACY, [1.0] * 300, 460)
    assert sorted(d.kind for d in said) == [Kind.CLEARED, Kind.UNLIKELY]
    assert not watch.standing_scopes


def test_errors_are_reported_as_errors():
    """A rate that must not be exceeded keeps its sign and its unit."""
    watch = FleetWatch(POLICY)
    said = feed(watch, 0, M.ERROR_RATE, [1, 0] * 10)
    assert [d.kind for d in said] == [Kind.BEYOND, Kind.LIKELY]
    assert {(d.value, d.threshold, d.n) for d in said} == {(0.5, 0.15, 20)}


def test_p95_is_followed_by_the_share_above_the_limit():
    """5 % above the limit is allowed, clearly more is not; the limit itself is allowed."""
    watch = FleetWatch(POLICY)
    fine, slow = 5_000_000, 5_000_001
    assert feed(watch, 0, M.LATENCY, ([fine] * 19 + [slow]) * 10) == []
    assert feed(watch, 0, M.LATENCY, [slow] * 4, 200) == []  # chance explains as much
    (said,) = feed(watch, 0, M.LATENCY, [slow], 204)
    assert said.kind is Kind.BEYOND
    assert (said.value, said.threshold) == (15 / 205, 0.05)
    assert said.inputs["limit_ms"] == 5000.0
    assert said.probability is None


@pytest.mark.parametrize(
    ("metric", "at_limit", "shown"),
    [(M.COST, 10**9, 1.0), (M.MEMORY, 1024 * 1024, 1024.0), (M.TOKEN_USAGE, 5000, 5000.0)],
)
def test_amounts_are_bounded_in_the_mean(metric, at_limit, shown):
    """The mean per run may be at the limit, not above; it is shown in the user's unit."""
    watch = FleetWatch(POLICY)
    assert feed(watch, 0, metric, [at_limit] * 30) == []
    (said,) = feed(watch, 0, metric, [at_limit + 31], 30)
    assert said.kind is Kind.BEYOND
    assert said.value == pytest.approx(shown, rel=1e-3)
    assert said.value > said.threshold == shown
    assert said.interval is None
    (said,) = feed(watch, 0, metric, [0] * 5, 31)
    assert said.kind is Kind.CLEARED


def test_a_metric_without_threshold_is_ignored():
    """None switches it off."""
    watch = FleetWatch(replace(POLICY, accuracy_min=None, latency_p95_max_ms=None))
    assert feed(watch, 0, M.ACCURACY, [0.0] * 100) == []
    assert feed(watch, 0, M.LATENCY, [10**9] * 100) == []
    assert feed(watch, 0, M.SUCCESS_RATE, [0] * 100) != []


def test_many_small_agents_are_seen_together():
    """No agent has 20 outcomes, the fleet has."""
    watch = FleetWatch(POLICY)
    said = []
    for i in range(100):
        run = (0, 1, -1, -1, -1, -1, -1)
        said += watch.update_run(i % 10, run, i * SECOND, i)
    assert {d.scope for d in said} == {SYSTEM}
    assert {(d.metric, d.kind) for d in said} == {
        (metric, kind)
        for metric in (M.SUCCESS_RATE, M.ERROR_RATE)
        for kind in (Kind.BEYOND, Kind.LIKELY)
    }


def test_what_stands_is_told_with_the_figures_of_now():
    """Since when, but with today's count; not while the probability is below 95 %."""
    watch = FleetWatch(POLICY)
    feed(watch, 3, M.ACCURACY, [0.0] * 40)
    (standing,) = watch.standing(3)
    assert (standing.kind, standing.n, standing.offset) == (Kind.LIKELY, 40, 19)
    feed(watch, 3, M.ACCURACY, [1.0] * 75, 40)
    assert watch.standing(3) == ()
    assert watch.seen(3, M.ACCURACY) == 115
    assert watch.window(3, M.ACCURACY) == (115, 75 / 115)
    assert watch.standing(99) == ()
    assert watch.seen(99, M.ACCURACY) == 0
    assert watch.window(99, M.ACCURACY) == (0, 0.0)


def test_a_retraining_sets_the_evidence_aside():
    """For the agent retrained, not for the others; counting goes on."""
    watch = FleetWatch(POLICY)
    for scope in (1, 2, SYSTEM):
        feed(watch, scope, M.ACCURACY, [0.0] * 40)
    watch.note_retraining(1)
    assert sorted(watch.standing_scopes) == [SYSTEM, 2]
    assert watch.seen(1, M.ACCURACY) == 40
    feed(watch, 1, M.ACCURACY, [0.0] * 19, 40)
    assert 1 not in watch.standing_scopes
    assert feed(watch, 1, M.ACCURACY, [0.0], 59) == []  # the same episode: nothing new to tell
    assert 1 in watch.standing_scopes


def test_forgetting_an_agent():
    """Nothing of it is left; others keep theirs."""
    watch = FleetWatch(POLICY)
    feed(watch, 1, M.ACCURACY, [0.0] * 40)
    feed(watch, 2, M.ACCURACY, [0.0] * 40)
    watch.forget(1)
    assert list(watch.standing_scopes) == [2]
    assert watch.seen(1, M.ACCURACY) == 0


class Every50:
    """A detector from elsewhere: certain after every 50th outcome."""

    def __init__(self):
        self.n = 0

    def update(self, x, minute, offset):
        self.n += 1
        return Signal.LIKELY if self.n % 50 == 0 else None

    def finding(self):
        return Finding(self.n, 0.0, 0.5, {"every": 50})

    def cut(self):
        self.n = 0

    def to_state(self):
        return [self.n], []

    def restore(self, state):
        (self.n,), _ = state


def test_one_more_detector_is_one_more_entry():
    """It is asked, heard, saved and restored without a change to the others."""
    table = {
        **DETECTORS,
        "every50": (9, lambda policy, metric: Every50(), frozenset({M.ACCURACY})),
    }
    watch = FleetWatch(POLICY, table)
    assert feed(watch, 0, M.ACCURACY, [1.0] * 40) == []
    watch = FleetWatch.from_state(POLICY, watch.to_state(), table)
    (said,) = feed(watch, 0, M.ACCURACY, [1.0] * 10, 40)
    assert (said.detector, said.inputs["every"]) == ("every50", 50)
    assert [d.detector for d in watch.standing(0)] == ["every50"]


def test_new_thresholds_judge_old_outcomes():
    """A watch restored under other thresholds goes on from the outcomes it saw."""
    watch = FleetWatch(POLICY)
    feed(watch, 0, M.ACCURACY, [1.0, 1.0, 1.0, 0.0] * 50)
    stricter = FleetWatch.from_state(replace(POLICY, accuracy_min=0.85), watch.to_state())
    said = feed(stricter, 0, M.ACCURACY, [1.0], 200)
    assert [d.kind for d in said] == [Kind.BEYOND, Kind.LIKELY]

"""The watch speaks for each agent and for the fleet, in the user's units."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from selfright.detect.certainty.fleet import Rows
from selfright.detect.detection import SYSTEM, Kind, WatchedMetric
from selfright.detect.policy import WatchPolicy
from selfright.detect.watch import BETA, WINDOW, FleetWatch

POLICY = WatchPolicy(0.8, 0.15, 0.7, 5000.0, 1.0, 1024.0, 5000.0)
SECOND = 1_000_000
M = WatchedMetric


def test_healthy_values_say_nothing(feed):
    """Nothing is said, nothing stands."""
    watch = FleetWatch(POLICY)
    assert feed(watch, M.ACCURACY, [1.0] * 300) == []
    assert not watch.standing_scopes
    assert watch.feed(feed.rows(0, M.ACCURACY, [], [])) == {}


def test_a_drop_is_beyond_then_likely_then_over(feed):
    """All four kinds, in order, each once, with the figures they were judged by."""
    watch = FleetWatch(POLICY)
    said = feed(watch, M.ACCURACY, [1.0, 1.0, 0.0] * 120, agent=7)
    assert [d.kind for d in said] == [Kind.BEYOND]
    said = feed(watch, M.ACCURACY, [0.0] * 30, agent=7)
    likely = said[0]
    assert [d.kind for d in said] == [Kind.LIKELY]
    assert (likely.scope, likely.metric, likely.detector) == (7, M.ACCURACY, "beta")
    assert likely.probability >= 0.95
    assert likely.n == 200
    assert likely.value == likely.inputs["sum"] / 200
    assert likely.interval[0] < likely.value < likely.interval[1] < 1.0
    assert likely.ts_us == likely.offset * SECOND
    assert likely.inputs["critical_sum"] >= likely.inputs["sum"]
    said = feed(watch, M.ACCURACY, [1.0] * 300, agent=7)
    assert sorted(d.kind for d in said) == [Kind.CLEARED, Kind.UNLIKELY]
    assert not watch.standing_scopes


def test_errors_are_reported_as_errors(feed):
    """A rate that must not be exceeded keeps its sign and its unit."""
    watch = FleetWatch(POLICY)
    said = feed(watch, M.ERROR_RATE, [1, 0] * 10)
    assert [d.kind for d in said] == [Kind.BEYOND, Kind.LIKELY]
    assert {(d.value, d.threshold, d.n) for d in said} == {(0.5, 0.15, 20)}


def test_p95_is_followed_by_the_share_above_the_limit(feed):
    """5 % above the limit is allowed, clearly more is not; the limit itself is allowed."""
    watch = FleetWatch(POLICY)
    fine, slow = 5_000_000, 5_000_001
    assert feed(watch, M.LATENCY, ([fine] * 19 + [slow]) * 10) == []
    assert feed(watch, M.LATENCY, [slow] * 4) == []  # chance explains as much
    (said,) = feed(watch, M.LATENCY, [slow])
    assert said.kind is Kind.BEYOND
    assert (said.value, said.threshold) == (15 / 205, 0.05)
    assert said.inputs["limit_ms"] == 5000.0
    assert said.probability is None


@pytest.mark.parametrize(
    ("metric", "at_limit", "shown"),
    [(M.COST, 10**9, 1.0), (M.MEMORY, 1024 * 1024, 1024.0), (M.TOKEN_USAGE, 5000, 5000.0)],
)
def test_amounts_are_bounded_in_the_mean(feed, metric, at_limit, shown):
    """The mean per run may be at the limit, not above; it is shown in the user's unit."""
    watch = FleetWatch(POLICY)
    assert feed(watch, metric, [at_limit] * 30) == []
    (said,) = feed(watch, metric, [at_limit + 31])
    assert said.kind is Kind.BEYOND
    assert said.value == pytest.approx(shown, rel=1e-3)
    assert said.value > said.threshold == shown
    assert said.interval is None
    (said,) = feed(watch, metric, [0] * 5)
    assert said.kind is Kind.CLEARED


def test_a_metric_without_threshold_is_ignored(feed):
    """None switches it off."""
    watch = FleetWatch(replace(POLICY, accuracy_min=None, latency_p95_max_ms=None))
    assert feed(watch, M.ACCURACY, [0.0] * 100) == []
    assert feed(watch, M.LATENCY, [10**9] * 100) == []
    assert feed(watch, M.SUCCESS_RATE, [0] * 100) != []


def test_many_small_agents_are_seen_together():
    """No agent has 20 outcomes, the fleet has."""
    watch, at = FleetWatch(POLICY), np.arange(100)
    values = np.tile((0.0, 1.0, -1, -1, -1, -1, -1), (100, 1))
    said = watch.feed(Rows(at % 10, values, at, at * SECOND))
    assert list(said) == [19]
    assert [(one.scope, one.metric, one.kind) for one in said[19]] == [
        (SYSTEM, metric, kind)
        for metric in (M.SUCCESS_RATE, M.ERROR_RATE)
        for kind in (Kind.BEYOND, Kind.LIKELY)
    ]


def test_what_stands_is_told_with_the_figures_of_now(feed):
    """Since when, but with today's count; not while the probability is below 95 %."""
    watch = FleetWatch(POLICY)
    feed(watch, M.ACCURACY, [0.0] * 40, agent=3)
    (standing,) = watch.standing(3)
    assert (standing.kind, standing.n, standing.offset) == (Kind.LIKELY, 40, 19)
    feed(watch, M.ACCURACY, [1.0] * 75, agent=3)
    assert watch.standing(3) == ()
    assert watch.seen(3, M.ACCURACY) == 115
    assert watch.window(3, M.ACCURACY) == (115, 75 / 115)
    assert watch.standing(99) == ()
    assert watch.seen(99, M.ACCURACY) == 0
    assert watch.window(99, M.ACCURACY) == (0, 0.0)


def test_a_moment_in_a_block_is_as_if_the_block_ended_there(feed):
    """Before a row of its own an agent is as it was kept; backwards and forwards."""
    watch = FleetWatch(POLICY)
    feed(watch, M.ACCURACY, [0.0] * 40, agent=3)
    said = watch.feed(feed.rows(4, M.ACCURACY, [0.0] * 30, np.arange(40, 70) * SECOND))
    assert [row for row, told in said.items() if 4 in {one.scope for one in told}] == [19]
    assert watch.standing_rows().tolist() == list(range(30))  # the fleet stands anyway
    for row, scopes in ((0, [SYSTEM, 3]), (19, [SYSTEM, 3, 4]), (18, [SYSTEM, 3])):
        watch.at(row)
        assert list(watch.standing_scopes) == scopes
        assert watch.seen(4, M.ACCURACY) == watch.window(4, M.ACCURACY)[0] == row + 1
        assert watch.standing(SYSTEM)[0].n == 41 + row
        assert watch.standing(3)[0].n == 40
    watch.drop()
    assert list(watch.standing_scopes) == [SYSTEM, 3]
    assert watch.seen(4, M.ACCURACY) == 0


def test_only_rows_of_agents_that_stand_are_marked(feed):
    """Where the fleet is well, rows of other agents are none of them."""
    watch = FleetWatch(POLICY)
    feed(watch, M.ACCURACY, [1.0] * 300, agent=1)
    feed(watch, M.ACCURACY, [0.0] * 25, agent=2)
    at = np.arange(6)
    values = np.full((6, len(M)), -1.0)
    values[:, M.ACCURACY] = 1.0
    watch.feed(Rows(np.array([1, 2, 1, 2, 7, 2]), values, 400 + at, (400 + at) * SECOND))
    assert watch.standing_rows().tolist() == [1, 3, 5]


def test_a_retraining_sets_the_evidence_aside(feed):
    """For the agent retrained, not for the others; counting goes on."""
    watch = FleetWatch(POLICY)
    feed(watch, M.ACCURACY, [0.0] * 40, agent=1)
    feed(watch, M.ACCURACY, [0.0] * 40, agent=2)
    watch.note_retraining(1)
    assert list(watch.standing_scopes) == [SYSTEM, 2]
    assert watch.seen(1, M.ACCURACY) == 40
    feed(watch, M.ACCURACY, [0.0] * 19, agent=1)
    assert 1 not in watch.standing_scopes
    assert feed(watch, M.ACCURACY, [0.0], agent=1) == []  # the same episode: nothing new to tell
    assert 1 in watch.standing_scopes


def test_forgetting_an_agent(feed):
    """Nothing of it is left; others keep theirs, and it may come again."""
    watch = FleetWatch(POLICY)
    feed(watch, M.ACCURACY, [0.0] * 40, agent=1)
    feed(watch, M.ACCURACY, [0.0] * 40, agent=2)
    watch.forget(1)
    assert list(watch.standing_scopes) == [SYSTEM, 2]
    assert watch.seen(1, M.ACCURACY) == 0
    assert watch.window(1, M.ACCURACY) == (0, 0.0)
    assert [one.kind for one in feed(watch, M.ACCURACY, [0.0] * 20, agent=1)] == [
        Kind.BEYOND,
        Kind.LIKELY,
    ]
    watch.forget(10_000)
    watch.note_retraining(10_000)  # never heard of: nothing to do


def test_a_rule_may_speak_alone(feed):
    """The other is followed, and says nothing."""
    for rule, kind in ((WINDOW, Kind.BEYOND), (BETA, Kind.LIKELY)):
        watch = FleetWatch(POLICY, (rule,))
        assert [one.kind for one in feed(watch, M.ACCURACY, [0.0] * 40)] == [kind]
        assert bool(watch.standing_scopes) == (rule == BETA)


def test_new_thresholds_judge_old_outcomes(feed):
    """A watch restored under other thresholds goes on from the outcomes it saw."""
    watch = FleetWatch(POLICY)
    feed(watch, M.ACCURACY, [1.0, 1.0, 1.0, 0.0] * 50)
    stricter = FleetWatch.from_state(replace(POLICY, accuracy_min=0.85), watch.to_state())
    said = feed(stricter, M.ACCURACY, [1.0])
    assert [d.kind for d in said] == [Kind.BEYOND, Kind.LIKELY]


def test_agents_weigh_little(feed):
    """Ten thousand agents with six metrics and full memories take less than 24 MB."""
    watch, agents, rng = FleetWatch(POLICY), 500, np.random.default_rng(1)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for turn in range(200):
        values = rng.lognormal(6.0, 0.5, (agents, len(M))).round()
        good = (rng.random(agents) < 0.95).astype(float)
        values[:, M.SUCCESS_RATE], values[:, M.ERROR_RATE] = good, 1.0 - good
        values[:, M.ACCURACY], values[:, M.MEMORY] = good, -1.0
        at = turn * agents + np.arange(agents)
        watch.feed(Rows(np.arange(agents), values, at, np.full(agents, turn * 20 * SECOND)))
        watch.keep()
    del values, good, at
    weight = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert weight / agents <= 2400

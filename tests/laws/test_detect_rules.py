"""Whatever comes, in whatever order and blocks, the watch judges just the outcomes in the window.

``Mean`` and ``Latest`` are the two rules as anyone would write them down, an outcome at a time and
from all outcomes anew; the columns of the watch have to agree with them to the last digit.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from selfright.detect.certainty.fleet import Rows
from selfright.detect.columns.question import questions_of
from selfright.detect.columns.window import WARN_DEVIATIONS
from selfright.detect.detection import RETRAINING, SYSTEM, Kind, WatchedMetric
from selfright.detect.policy import BOUNDS, WatchPolicy
from selfright.detect.watch import FleetWatch

MINUTES, RECENT, MIN_N = 7, 12, 4
MINUTE_US = 60_000_000
POLICY = WatchPolicy(
    0.6, 0.3, 0.6, 1.0, 1e-6, 1.0, 5.0, window_minutes=MINUTES, recent=RECENT, min_n=MIN_N
)
HASTY = replace(POLICY, min_n=1, confidence=0.8)  # one failure is enough
OTHER = WatchPolicy(0.7, None, 0.5, 1.0, None, 1.0, 5.0, window_minutes=5, recent=9, min_n=MIN_N)
AGENTS = 3


class Mean:
    """The mean of the outcomes in the window against its threshold."""

    def __init__(self, policy, metric):
        bound, share = BOUNDS[metric], policy.judged(metric)
        of_runs = metric.is_rate or metric is WatchedMetric.LATENCY
        scale = bound.sign * (1 if of_runs else bound.unit)
        self.threshold, self.clear = share * scale, policy.clear(metric) * scale
        self.noise = WARN_DEVIATIONS**2 * share * (1.0 - share) if of_runs else 0.0
        self.policy, self.counting, self.newest, self.beyond = policy, [], -1, False

    def take(self, x, minute):
        """Return what it says to an outcome."""
        if minute <= self.newest - self.policy.window_minutes:
            return None
        self.newest = max(self.newest, minute)
        horizon = self.newest - self.policy.window_minutes
        self.counting = [one for one in [*self.counting, (x, minute)] if one[1] > horizon]
        n, total = self.figures()
        if n < self.policy.min_n:
            return None
        if self.beyond and total / n >= self.clear:
            self.beyond = False
            return Kind.CLEARED
        short = self.threshold * n - total
        if not self.beyond and total / n < self.threshold and short * short >= self.noise * n:
            self.beyond = True
            return Kind.BEYOND
        return None

    def figures(self):
        """Return count and sum."""
        return len(self.counting), sum(x for x, _ in self.counting)


class Latest:
    """What the latest outcomes in the window, since the last cut, make probable."""

    def __init__(self, policy, metric):
        self.policy, self.question = policy, questions_of(policy)[metric]
        self.likely, self.unlikely = self.question.answers()
        self.counting, self.newest, self.seen, self.open, self.stands = [], -1, 0, False, False

    def take(self, x, minute):
        """Return what it says to an outcome."""
        if minute <= self.newest - self.policy.window_minutes:
            return None
        self.newest, self.seen = max(self.newest, minute), self.seen + 1
        horizon = self.newest - self.policy.window_minutes
        held = [one for one in self.counting if one[1] > horizon]
        self.counting = [*held, (x, minute)][-self.policy.recent :]
        n, total = self.figures()
        self.stands = total <= self.likely[n]
        if self.stands and not self.open:
            self.open = True
            return Kind.LIKELY
        if self.open and not self.stands and total >= self.unlikely[n]:
            self.open = False
            return Kind.UNLIKELY
        return None

    def figures(self):
        """Return count and sum."""
        return len(self.counting), sum(x for x, _ in self.counting)


class Slow:
    """A watch made of these rules."""

    def __init__(self, policy=POLICY):
        self.policy, self.rules = policy, {}

    def take(self, agent, values, ts_us):
        """Return what is said to a row: detector, kind, scope, metric, count, sum."""
        said = []
        for scope in (agent, SYSTEM):
            for metric, x in zip(WatchedMetric, values, strict=True):
                if x >= 0 and self.policy.threshold(metric) is not None:
                    said += self._ask(scope, metric, x, ts_us // MINUTE_US)
        return said

    def _ask(self, scope, metric, x, minute):
        limit = self.policy.threshold(metric) * BOUNDS[metric].unit
        x = BOUNDS[metric].sign * (x > limit if metric is WatchedMetric.LATENCY else x)
        for name, rule in self.of(scope, metric).items():
            kind = rule.take(x, minute)
            if kind is not None:
                yield name, kind, scope, metric, *rule.figures()

    def of(self, scope, metric):
        """Return the rules of a stream."""
        if (scope, metric) not in self.rules:
            self.rules[scope, metric] = {"window": Mean(self.policy, metric)}
            if metric in RETRAINING:
                self.rules[scope, metric]["beta"] = Latest(self.policy, metric)
        return self.rules[scope, metric]

    def cut(self, scope):
        """A retraining is about a scope."""
        for metric in RETRAINING:
            rule = self.rules.get((scope, metric), {}).get("beta")
            if rule is not None:
                rule.counting, rule.stands = [], False

    def standing(self, scope):
        """Return what stands about a scope: metric, count, sum."""
        return [
            (metric, *rules["beta"].figures())
            for metric in RETRAINING
            if (rules := self.rules.get((scope, metric))) and rules["beta"].stands
        ]


def brief(detection):
    """Return of a detection what ``Slow`` says; the sum in the rule's orientation and units."""
    bound = BOUNDS[detection.metric]
    unit = 1 if detection.metric is WatchedMetric.LATENCY else bound.unit
    total = round(bound.sign * detection.value * detection.n * unit * 8) / 8
    return (
        detection.detector,
        detection.kind,
        detection.scope,
        detection.metric,
        detection.n,
        total,
    )


def agrees(watch, slow, scope):
    """Check every figure of a scope at the moment the watch is at."""
    found = [(one.metric, one.n, brief(one)[-1]) for one in watch.standing(scope)]
    assert found == slow.standing(scope)
    assert (scope in watch.standing_scopes) == bool(found)
    assert sorted(watch.standing_metrics(scope)) == [metric for metric, *_ in found]
    for metric in WatchedMetric:
        rules = slow.rules.get((scope, metric))
        n, total = rules["window"].figures() if rules else (0, 0)
        shown = watch.window(scope, metric)
        bound = BOUNDS[metric]
        unit = 1 if metric is WatchedMetric.LATENCY else bound.unit
        assert shown == (n, bound.sign * (total / n) / unit + 0.0 if n else 0.0)
        seen = rules["beta"].seen if rules and "beta" in rules else 0
        assert watch.seen(scope, metric) == seen


@st.composite
def streams(draw):
    """Return rows; mostly in the order of their minutes, as in life, or in any order."""
    # Drawn one by one, most streams would be too short for anything to leave a window.
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    rows = draw(st.integers(0, 120))
    low, high = draw(st.sampled_from([(0, 0), (0, 1), (0, 3), (-9, 9)]))
    late_ratio = draw(st.sampled_from([0.0, 0.0, 0.1, 0.5]))
    missing_ratio = draw(st.sampled_from([0.0, 0.3]))
    grades = draw(st.sampled_from([1, 8]))
    values = rng.integers(0, 3001, (rows, len(WatchedMetric))).astype(float)
    good = rng.random((rows, len(RETRAINING))) < np.repeat(rng.random(12), 10)[:rows, None]
    values[:, : len(RETRAINING)] = good
    graded = rng.integers(0, grades + 1, rows) / grades
    values[:, WatchedMetric.ACCURACY] = np.where(rng.random(rows) < 0.5, graded, good[:, 0])
    values[rng.random(values.shape) < missing_ratio] = -1.0
    minute = np.maximum(50 + np.cumsum(rng.integers(low, high + 1, rows)), 20)
    minute -= np.where(rng.random(rows) < late_ratio, rng.integers(1, 10, rows), 0)
    agent = rng.integers(0, AGENTS, rows)
    return list(
        zip(agent.tolist(), values.tolist(), (minute * MINUTE_US + 7).tolist(), strict=True)
    )


def rows_of(stream, first, last):
    """Return part of a stream as columns."""
    part = stream[first:last]
    return Rows(
        np.array([agent for agent, _, _ in part], dtype=np.int64),
        np.array([values for _, values, _ in part], dtype=np.float64).reshape(-1, 7),
        np.arange(first, first + len(part)),
        np.array([ts_us for _, _, ts_us in part], dtype=np.int64),
    )


def blocks(stream, sizes):
    """Return where the blocks of a stream begin and end."""
    ends = [0]
    while ends[-1] < len(stream):
        ends.append(min(ends[-1] + sizes[(len(ends) - 1) % len(sizes)], len(stream)))
    return pairwise(ends)


def same(one, other):
    """Tell whether two states are equal byte for byte."""
    return all(one[key].tobytes() == other[key].tobytes() for key in one) and set(one) == set(other)


sizes = st.lists(st.integers(1, 25), min_size=1, max_size=4)
cuts = st.dictionaries(st.integers(0, 20), st.integers(-1, AGENTS - 1), max_size=3)


@given(streams(), sizes, cuts, st.sampled_from([POLICY, HASTY]))
def test_a_block_says_what_its_rows_say_one_by_one(stream, sizes, cuts, policy):
    """Every detection at its row, and at every row of a block all that stands, as of that row."""
    watch, slow = FleetWatch(policy), Slow(policy)
    for number, (first, last) in enumerate(blocks(stream, sizes)):
        said = watch.feed(rows_of(stream, first, last))
        stands = []
        for row in range(last - first):
            agent, values, ts_us = stream[first + row]
            expected = slow.take(agent, values, ts_us)
            assert [brief(one) for one in said.get(row, ())] == expected
            assert all((one.ts_us, one.offset) == (ts_us, first + row) for one in said.get(row, ()))
            watch.at(last - first - 1)  # somebody looked ahead
            watch.at(row)
            for scope in (agent, SYSTEM):
                agrees(watch, slow, scope)
            if slow.standing(agent) or slow.standing(SYSTEM):
                stands.append(row)
        assert watch.standing_rows().tolist() == stands
        watch.keep()
        if number in cuts:
            watch.note_retraining(cuts[number])
            slow.cut(cuts[number])
        for scope in range(-1, AGENTS):
            agrees(watch, slow, scope)


@given(streams(), sizes, st.lists(st.integers(0, 39), min_size=1, max_size=4))
def test_a_block_cut_short_is_as_if_only_its_first_part_had_come(stream, sizes, stops):
    """However rows are batched, and whatever is fed and dropped, the state is the same bytes."""
    whole, parts = FleetWatch(POLICY), FleetWatch(POLICY)
    said_whole, said_parts, first, turn = {}, {}, 0, 0
    for row in range(len(stream)):
        told = whole.feed(rows_of(stream, row, row + 1))
        said_whole |= {row + at: said for at, said in told.items()}
        whole.keep()
    while first < len(stream):
        last = min(first + sizes[turn % len(sizes)], len(stream))
        stop = min(first + 1 + stops[turn % len(stops)], last)
        parts.feed(rows_of(stream, first, last))
        parts.at(0)
        if turn % 2:
            parts.drop()  # else the next block takes its place
        told = parts.feed(rows_of(stream, first, stop))
        said_parts |= {first + at: said for at, said in told.items()}
        parts.keep()
        first, turn = stop, turn + 1
    assert said_parts == said_whole
    assert same(parts.to_state(), whole.to_state())


@given(streams(), sizes, st.integers(0, 4), st.integers(0, 3))
def test_checkpoint_plus_rest_equals_the_whole(stream, sizes, at, cut_after):
    """Saved and restored anywhere, the watch goes on as if nothing had happened."""
    whole, parts = FleetWatch(POLICY), FleetWatch(POLICY)
    for number, (first, last) in enumerate(blocks(stream, sizes)):
        if number == at:
            parts = FleetWatch.from_state(POLICY, parts.to_state())
        if number == cut_after:
            for watch in (whole, parts):
                watch.note_retraining(0)
        rows = rows_of(stream, first, last)
        assert parts.feed(rows) == whole.feed(rows)
        for watch in (whole, parts):
            watch.keep()
    assert same(parts.to_state(), whole.to_state())


@given(streams(), streams(), sizes)
def test_another_policy_judges_what_it_still_reaches(before, after, sizes):
    """Restored under shorter lengths, the window and the latest outcomes are those within them."""
    watch, slow = FleetWatch(POLICY), Slow()
    for first, last in blocks(before, sizes):
        watch.feed(rows_of(before, first, last))
        watch.keep()
    for row in before:
        slow.take(*row)
    watch, restored = FleetWatch.from_state(OTHER, watch.to_state()), Slow(OTHER)
    for (scope, metric), rules in slow.rules.items():
        if OTHER.threshold(metric) is None:
            continue
        for name, rule in restored.of(scope, metric).items():
            horizon = rules[name].newest - OTHER.window_minutes
            rule.counting = [one for one in rules[name].counting if one[1] > horizon]
            rule.newest = rules[name].newest
        restored.rules[scope, metric]["window"].beyond = rules["window"].beyond
        if "beta" in rules:
            beta = restored.rules[scope, metric]["beta"]
            beta.counting = beta.counting[-OTHER.recent :]
            beta.seen, beta.open = rules["beta"].seen, rules["beta"].open
            beta.stands = rules["beta"].stands
    for scope in range(-1, AGENTS):
        agrees(watch, restored, scope)
    for first, last in blocks(after, sizes):
        said = watch.feed(rows_of(after, first, last))
        for row in range(last - first):
            expected = restored.take(*after[first + row])
            assert [brief(one) for one in said.get(row, ())] == expected
            watch.at(row)
            agrees(watch, restored, after[first + row][0])
        watch.keep()

"""Whatever comes, in whatever order, the rules judge exactly the outcomes in the window."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from selfright.detect.beta import BetaQuestion, BetaRule
from selfright.detect.detection import SYSTEM, Signal, WatchedMetric
from selfright.detect.incomplete_beta import incomplete_beta
from selfright.detect.policy import WatchPolicy
from selfright.detect.watch import FleetWatch
from selfright.detect.window import WindowRule

MINUTES, RECENT, MIN_N = 7, 12, 4

scores = st.integers(0, 8).map(lambda eighths: eighths / 8)
outcomes = st.lists(st.tuples(scores, st.integers(0, 30)), max_size=120)
# Mostly in order, as in life: each minute a small step from the one before.
walks = st.lists(st.tuples(scores, st.integers(-2, 3)), max_size=200).map(
    lambda steps: [
        (x, 50 + sum(step for _, step in steps[: i + 1])) for i, (x, _) in enumerate(steps)
    ]
)
streams = st.one_of(outcomes, walks)


@given(streams)
def test_window_equals_recomputation(stream):
    """Count, total and transitions equal those computed from all outcomes anew."""
    rule = WindowRule(0.5, 0.625, MINUTES, MIN_N)
    accepted, newest, beyond = [], -1, False
    for x, minute in stream:
        signal = rule.update(x, minute, 0)
        if minute <= newest - MINUTES:
            assert signal is None
            continue
        newest = max(newest, minute)
        accepted.append((x, minute))
        held = [x for x, at in accepted if at > newest - MINUTES]
        assert (rule.n, rule.total) == (len(held), sum(held))
        mean = sum(held) / len(held)
        expected = None
        if len(held) >= MIN_N and not beyond and mean < 0.5:
            beyond, expected = True, Signal.BEYOND
        elif len(held) >= MIN_N and beyond and mean >= 0.625:
            beyond, expected = False, Signal.CLEARED
        assert signal is expected


@given(streams, st.sampled_from([1, -1]), st.sets(st.integers(0, 199), max_size=3))
def test_beta_equals_recomputation(stream, sign, cuts):
    """It is likely exactly when the Beta distribution of the outcomes that count says so."""
    rule = BetaRule(BetaQuestion(0.6, sign, 0.9, 0.5, RECENT, MIN_N, MINUTES))
    counting, newest = [], -1
    for i, (x, minute) in enumerate(stream):
        if i in cuts:
            rule.cut()
            counting = []
        rule.update(sign * x, minute, 0)
        if minute > newest - MINUTES:
            newest = max(newest, minute)
            held = [(x, at) for x, at in counting if at > newest - MINUTES]
            counting = [*held, (x, minute)][-RECENT:]
        n, s = len(counting), sum(x for x, _ in counting)
        assert (rule.n, rule.total) == (n, sign * s)
        below = incomplete_beta(1 + s, 1 + n - s, 0.6)
        probability = below if sign > 0 else 1 - below
        assert abs(rule.finding().probability - probability) < 1e-9
        if n and abs(probability - 0.9) > 1e-6 and minute > newest - MINUTES:
            assert rule.stands == (probability >= 0.9 and n >= MIN_N)


POLICY = WatchPolicy(
    0.6, 0.3, 0.6, 1.0, 1e-6, 1.0, 5.0, window_minutes=MINUTES, recent=RECENT, min_n=MIN_N
)
amounts = st.integers(-1, 3000)
rows = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.tuples(
            st.integers(0, 1),
            st.integers(0, 1),
            st.one_of(st.just(-1.0), scores),
            amounts,
            amounts,
            amounts,
            amounts,
        ),
        st.integers(0, 20 * 60_000_000),
    ),
    max_size=60,
)


@given(rows)
def test_a_run_at_once_equals_its_values_one_by_one(stream):
    """The fast path says what the slow one says, in the same order, and ends the same."""
    fast, slow = FleetWatch(POLICY), FleetWatch(POLICY)
    for offset, (agent, values, ts_us) in enumerate(stream):
        one_by_one = ()
        for scope in (agent, SYSTEM):
            for metric, x in zip(WatchedMetric, values, strict=True):
                if x >= 0:
                    one_by_one += slow.update(scope, metric, x, ts_us, offset)
        assert fast.update_run(agent, values, ts_us, offset) == one_by_one
    assert same(fast.to_state(), slow.to_state())


@given(rows, st.integers(0, 60))
def test_checkpoint_plus_rest_equals_the_whole(stream, at):
    """Saved and restored anywhere, the watch goes on as if nothing had happened."""
    whole = FleetWatch(POLICY)
    parts = FleetWatch(POLICY)
    for offset, (agent, values, ts_us) in enumerate(stream):
        if offset == at:
            parts = FleetWatch.from_state(POLICY, parts.to_state())
        if offset == 2 * at:
            for watch in (whole, parts):
                watch.note_retraining(agent)
        expected = whole.update_run(agent, values, ts_us, offset)
        assert parts.update_run(agent, values, ts_us, offset) == expected
        assert parts.standing(agent) == whole.standing(agent)
    assert same(parts.to_state(), whole.to_state())


def same(one, other):
    """Tell whether two states are equal byte for byte."""
    return all(one[key].tobytes() == other[key].tobytes() for key in one) and set(one) == set(other)

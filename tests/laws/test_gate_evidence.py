"""Evidence is fair: over all futures in which a challenger is no better it averages to 1."""

from __future__ import annotations

import itertools
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfright.retrain.gate import GatePolicy, PredictiveGate
from selfright.retrain.loss import AbsoluteError, LogLoss, SquaredError

beliefs = st.floats(0.02, 0.98)
numbers = st.floats(allow_nan=True, allow_infinity=True)


class BetaLearner:
    """A challenger that learns from each outcome after it predicted it."""

    def __init__(self, successes: float, failures: float) -> None:
        self.a, self.b = successes, failures

    def predict(self) -> float:
        return min(0.98, max(0.02, self.a / (self.a + self.b)))

    def learn(self, y: float) -> None:
        self.a, self.b = self.a + y, self.b + 1 - y


def break_even(p: float, q: float) -> float:
    """Return the rate at which beliefs p and q have the same expected log loss."""
    at_1, at_0 = math.log(q / p), math.log((1 - q) / (1 - p))
    return -at_0 / (at_1 - at_0)


def expected_evidence(champions, prior, level, side, slack):
    """Sum evidence times probability over every possible sequence of outcomes."""
    total = 0.0
    for future in itertools.product((0.0, 1.0), repeat=len(champions)):
        gate = PredictiveGate(GatePolicy(level=level), LogLoss(), 0)
        learner, probability = BetaLearner(*prior), 1.0
        for p, y in zip(champions, future, strict=True):
            q = learner.predict()
            if abs(p - q) > 1e-6:
                rate = break_even(p, q)
                # The side on which the model that was bet on is worse by ``slack``.
                worse_at = 0.0 if (q > p) == (side == "better") else 1.0
                rate += slack * (worse_at - rate)
            else:
                rate = 0.5
            probability *= rate if y else 1.0 - rate
            gate.update(y, p, q)
            learner.learn(y)
        record = gate.record()
        evidence = record.evidence_better if side == "better" else record.evidence_worse
        total += probability * evidence
    return total


@settings(max_examples=60, deadline=None)
@given(
    champions=st.lists(beliefs, min_size=1, max_size=7),
    prior=st.tuples(st.floats(0.5, 50), st.floats(0.5, 50)),
    level=st.floats(0.01, 0.45),
    side=st.sampled_from(["better", "worse"]),
)
def test_evidence_against_an_equal_averages_to_what_was_staked(champions, prior, level, side):
    """Exactly 1, whatever the predictions, however the challenger learns, stopped or not."""
    assert math.isclose(expected_evidence(champions, prior, level, side, 0.0), 1.0, rel_tol=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    champions=st.lists(beliefs, min_size=1, max_size=7),
    prior=st.tuples(st.floats(0.5, 50), st.floats(0.5, 50)),
    side=st.sampled_from(["better", "worse"]),
    slack=st.floats(0.001, 1.0),
)
def test_evidence_for_the_worse_one_averages_to_less(champions, prior, side, slack):
    """At most 1, so that 100 is reached in at most one of a hundred such trials."""
    assert expected_evidence(champions, prior, 0.01, side, slack) <= 1.0 + 1e-9


@settings(max_examples=60, deadline=None)
@given(
    pairs=st.lists(st.tuples(beliefs, beliefs), min_size=1, max_size=7),
    loss=st.sampled_from([SquaredError(), AbsoluteError(), AbsoluteError(0.2)]),
)
def test_evidence_is_fair_for_the_other_losses(pairs, loss):
    """With outcomes at two points, weighed so that neither prediction has the advantage."""
    better = worse = 0.0
    for future in itertools.product((0, 1), repeat=len(pairs)):
        gate = PredictiveGate(GatePolicy(), loss, 0)
        probability = 1.0
        for (p, q), which in zip(pairs, future, strict=True):
            points = (0.0, 1.0) if isinstance(loss, SquaredError) else (p, q)
            seen = [loss.compare(y, p, q) for y in points]
            gains = [c.champion - c.challenger for c in seen]
            rate = -gains[0] / (gains[1] - gains[0]) if seen[0].most_harm else 0.5
            probability *= rate if which else 1.0 - rate
            gate.update(points[which], p, q)
        record = gate.record()
        better += probability * record.evidence_better
        worse += probability * record.evidence_worse
    assert math.isclose(better, 1.0, rel_tol=1e-6)
    assert math.isclose(worse, 1.0, rel_tol=1e-6)


@given(st.lists(st.tuples(numbers, st.floats(-1e9, 1e9)), max_size=60))
def test_the_gate_never_promotes_a_model_over_itself(outcomes):
    """Nor rejects it: equal predictions are no evidence."""
    for loss in (LogLoss(), SquaredError(), AbsoluteError()):
        gate = PredictiveGate(GatePolicy(max_outcomes=50), loss, 0)
        records = [gate.update(y, p, p) for y, p in outcomes]
        assert {r.verdict for r in records if r is not None} <= {"inconclusive"}
        evidence = gate.record().evidence_better, gate.record().evidence_worse
        assert evidence == pytest.approx((1.0, 1.0), rel=1e-12)


@given(
    rows=st.lists(st.tuples(st.floats(-0.5, 1.5), beliefs, beliefs), max_size=80),
    cut=st.integers(0, 80),
    loss=st.sampled_from([LogLoss(), SquaredError(), AbsoluteError(0.8)]),
)
def test_checkpoint_plus_rest_equals_whole(rows, cut, loss):
    """A gate that went through JSON in between says the same, bit by bit."""
    whole = PredictiveGate(GatePolicy(level=0.1), loss, 5)
    said = [whole.update(*row) for row in rows]
    part = PredictiveGate(GatePolicy(level=0.1), loss, 5)
    heard = [part.update(*row) for row in rows[:cut]]
    part = PredictiveGate.from_state(json.loads(json.dumps(part.to_state())))
    heard += [part.update(*row) for row in rows[cut:]]
    assert heard == said
    assert part.to_state() == whole.to_state()


@given(st.lists(st.tuples(st.floats(0, 1), beliefs, beliefs), min_size=1, max_size=80))
def test_swapping_the_two_swaps_the_verdict(rows):
    """The gate has no favourite."""
    swapped = {"promoted": "rejected", "rejected": "promoted"}
    one, other = (PredictiveGate(GatePolicy(level=0.2), LogLoss(), 0) for _ in range(2))
    for y, p, q in rows:
        one.update(y, p, q)
        other.update(y, q, p)
    a, b = one.record(), other.record()
    assert swapped.get(a.verdict, a.verdict) == b.verdict
    assert math.isclose(a.evidence_better, b.evidence_worse, rel_tol=1e-9)
    assert math.isclose(a.gain, -b.gain, rel_tol=1e-9, abs_tol=1e-12)


@given(st.lists(st.tuples(numbers, numbers, numbers), max_size=60))
def test_every_record_is_made_of_finite_numbers(rows):
    """Whatever a broken model or outcome says, the record can be written as JSON."""
    for loss in (LogLoss(), SquaredError(), AbsoluteError()):
        gate = PredictiveGate(GatePolicy(), loss, 0)
        for row in rows:
            gate.update(*row)
        record = gate.record()
        values = [getattr(record, name) for name in record.__struct_fields__]
        assert all(math.isfinite(v) for v in values if isinstance(v, float))
        json.dumps(gate.to_state(), allow_nan=False)

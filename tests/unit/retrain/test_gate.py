"""The gate promotes what is certainly better, rejects what is certainly worse, else waits."""

from __future__ import annotations

import json
import math
from typing import get_args, get_type_hints

import numpy as np
import pytest

from selfright.errors import ConfigError
from selfright.events.record import GateRecord
from selfright.retrain.gate import GatePolicy, PredictiveGate, Verdict
from selfright.retrain.loss import AbsoluteError, LogLoss, SquaredError, loss_from, loss_of

HOUR_US = 3_600_000_000
NOTHING_WON = pytest.approx(1.0, rel=1e-12)


def _gate(loss=None, **policy):
    return PredictiveGate(GatePolicy(**policy), loss or LogLoss(), opened_us=0)


def _feed(gate, outcomes, champion, challenger):
    for y in outcomes:
        record = gate.update(y, champion, challenger)
        if record is not None:
            return record
    return None


def _alternating(n, ones=1, zeros=1):
    return [1.0 if i % (ones + zeros) < ones else 0.0 for i in range(n)]


def test_a_certainly_better_challenger_is_promoted():
    """The champion expects 90 %, the challenger 50 %, and every second run fails."""
    gate = _gate()
    record = _feed(gate, _alternating(200), 0.9, 0.5)
    assert record.verdict == gate.verdict == "promoted"
    assert record.n == gate.n < 60
    assert record.evidence_better >= 100
    assert record.evidence_worse < 1


def test_a_certainly_worse_challenger_is_rejected():
    """The same the other way round."""
    record = _feed(_gate(), _alternating(200), 0.5, 0.9)
    assert record.verdict == "rejected"
    assert record.evidence_worse >= 100
    assert record.evidence_better < 1
    assert record.gain < 0


def test_what_cannot_be_told_apart_is_inconclusive_after_the_last_outcome():
    """Two beliefs equally wrong on either side of the truth: 500 outcomes, no verdict before."""
    gate = _gate()
    outcomes = _alternating(1000)
    assert _feed(gate, outcomes[:499], 0.45, 0.55) is None
    assert gate.verdict == "pending"
    record = gate.update(outcomes[499], 0.45, 0.55)
    assert (record.verdict, record.n) == ("inconclusive", 500)


def test_certainty_at_the_last_outcome_wins_over_the_limit():
    """The outcome that ends the watch is looked at first."""
    certain = _feed(_gate(), _alternating(200), 0.9, 0.5)
    record = _feed(_gate(max_outcomes=certain.n), _alternating(200), 0.9, 0.5)
    assert record == certain


def test_a_watch_that_lasts_too_long_is_inconclusive():
    """24 h of log time after the opening, not a microsecond earlier, and once."""
    gate = PredictiveGate(GatePolicy(), LogLoss(), opened_us=7)
    gate.update(1.0, 0.5, 0.6)
    assert gate.expire(24 * HOUR_US + 6) is None
    record = gate.expire(24 * HOUR_US + 7)
    assert (record.verdict, record.n) == ("inconclusive", 1)
    assert gate.expire(99 * HOUR_US) is None


def test_a_watch_without_outcomes_expires_without_numbers():
    """Nothing seen is no gain of 0."""
    record = _gate().expire(24 * HOUR_US)
    assert (record.verdict, record.n) == ("inconclusive", 0)
    assert record.evidence_better == record.evidence_worse == NOTHING_WON
    unknown = ("gain", "gain_low", "gain_high", "champion_loss", "challenger_loss")
    assert {getattr(record, name) for name in unknown} == {None}


def test_after_the_verdict_nothing_changes():
    """A decided gate ignores what still arrives."""
    gate = _gate()
    record = _feed(gate, _alternating(200), 0.9, 0.5)
    assert _feed(gate, [1.0] * 1000, 0.9, 0.5) is None
    assert gate.record() == record


def test_the_champion_is_never_promoted_over_itself():
    """A copy predicts the same: evidence stays 1 and the watch ends inconclusive."""
    gate = _gate()
    record = _feed(gate, _alternating(500, ones=1, zeros=5), 0.9, 0.9)
    assert record.verdict == "inconclusive"
    assert record.evidence_better == record.evidence_worse == NOTHING_WON
    assert (record.gain, record.n) == (0.0, 500)


def test_a_difference_within_rounding_is_none():
    """Sums in another order must not look like another belief."""
    gate = _gate()
    record = _feed(gate, [0.0] * 500, 0.3, 0.1 + 0.2)
    assert (record.verdict, record.gain) == ("inconclusive", 0.0)


def test_the_record_holds_mean_losses_and_gain():
    """Against numpy over the same outcomes, clipped at 1 %."""
    gate = _gate()
    outcomes, champions, challengers = (
        [1.0, 0.0, 0.25, 1.0],
        [0.9, 0.8, 1.0, 0.7],
        [0.5, 0.8, 0.6, 0.0],
    )
    for y, p, q in zip(outcomes, champions, challengers, strict=True):
        gate.update(y, p, q)

    def mean_loss(predictions):
        p, y = np.clip(predictions, 0.01, 0.99), np.array(outcomes)
        return float(np.mean(-y * np.log(p) - (1 - y) * np.log(1 - p)))

    record = gate.record()
    assert record.verdict == "pending"
    assert record.champion_loss == pytest.approx(mean_loss(champions))
    assert record.challenger_loss == pytest.approx(mean_loss(challengers))
    assert record.gain == pytest.approx(mean_loss(champions) - mean_loss(challengers))
    assert record.gain_low < record.gain < record.gain_high
    assert (record.n, record.loss, record.level) == (4, "log_loss", 0.01)


def test_a_verdict_given_by_hand_keeps_the_numbers():
    """A forced promotion is recorded with what the gate had seen."""
    gate = _gate()
    gate.update(1.0, 0.5, 0.6)
    forced = gate.record("forced")
    assert (forced.verdict, forced.n) == ("forced", 1)
    assert gate.verdict == "pending"


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf, 1e300])
def test_a_challenger_that_has_diverged_is_rejected(broken):
    """No number, no service."""
    record = _gate().update(1.0, 0.5, broken)
    assert (record.verdict, record.n) == ("rejected", 1)
    assert json.loads(json.dumps(record.gain)) == 0.0


@pytest.mark.parametrize(("y", "champion"), [(math.nan, 0.5), (1.0, math.nan), (math.inf, 0.5)])
def test_what_is_no_number_tells_nothing(y, champion):
    """Neither evidence nor loss may be poisoned by one broken value."""
    gate = _gate()
    assert gate.update(y, champion, 0.6) is None
    record = gate.record()
    assert (record.n, record.gain, record.evidence_better) == (1, 0.0, NOTHING_WON)


def test_certainty_of_a_prediction_is_bounded():
    """One surprise against a prediction of 0 or 1 costs log 100, not infinity."""
    gate = _gate()
    gate.update(0.0, 1.0, 0.5)
    assert gate.record().champion_loss == pytest.approx(math.log(100))
    gate = _gate()
    gate.update(5.0, 0.0, 0.5)
    assert gate.record().champion_loss == pytest.approx(math.log(100))


def test_level_is_the_evidence_needed():
    """At level .001 the gate waits for 1,000 and not for 100."""
    record = _feed(_gate(level=0.001), _alternating(200), 0.9, 0.5)
    quick = _feed(_gate(level=0.2), _alternating(200), 0.9, 0.5)
    assert record.evidence_better >= 1000
    assert 5 <= quick.evidence_better < 100
    assert quick.n < record.n


def test_quality_is_judged_by_squared_error():
    """Mean quality fell from .8 to .7; the challenger knows."""
    rng = np.random.default_rng(1)
    outcomes = rng.normal(0.7, 0.1, 500).tolist()
    record = _feed(_gate(SquaredError()), outcomes, 0.8, 0.7)
    assert (record.verdict, record.loss) == ("promoted", "squared_error")
    assert record.n < 100


def test_log_latency_is_judged_by_absolute_error():
    """Latency doubled; a run of an hour in between neither helps nor hurts much."""
    rng = np.random.default_rng(2)
    outcomes = rng.normal(math.log(2000), 0.5, 500).tolist()
    outcomes[5] = math.log(3.6e6)
    record = _feed(_gate(AbsoluteError()), outcomes, math.log(1000), math.log(2000))
    assert (record.verdict, record.loss) == ("promoted", "absolute_error")
    assert record.n < 60


def test_no_outcome_exceeds_the_bound_of_its_bet():
    """Whatever comes, the difference of the losses lies within what was announced."""
    rng = np.random.default_rng(3)
    for loss in (
        LogLoss(),
        SquaredError(),
        SquaredError(-2, 5),
        AbsoluteError(),
        AbsoluteError(0.9),
    ):
        for y, p, q in rng.normal(0.5, 1.5, (500, 3)).tolist():
            seen = loss.compare(y, p, q)
            gain = seen.champion - seen.challenger
            assert -seen.most_harm - 1e-9 <= gain <= seen.most_gain + 1e-9


def test_pinball_is_proper_for_its_quantile():
    """Of all predictions the true quantile has the least mean loss."""
    outcomes = np.random.default_rng(4).exponential(size=20_000)
    loss = AbsoluteError(0.9)
    candidates = np.linspace(1.5, 3.5, 41)
    means = [np.mean([loss.compare(y, m, m).champion for y in outcomes[:4000]]) for m in candidates]
    assert candidates[int(np.argmin(means))] == pytest.approx(math.log(10), abs=0.2)


def test_the_state_survives_json():
    """A gate restored in the middle goes on as the other one does."""
    for loss in (LogLoss(), SquaredError(0, 2), AbsoluteError(0.7)):
        gate = _gate(loss, level=0.05)
        _feed(gate, [0.3, 1.0, 0.0, 0.9], 0.8, 0.4)
        other = PredictiveGate.from_state(json.loads(json.dumps(gate.to_state())))
        for each in (gate, other):
            _feed(each, [0.2, 0.1, 0.0, 1.0], 0.8, 0.35)
        assert other.to_state() == gate.to_state()
        assert other.record() == gate.record()
        assert other.loss == loss


def test_a_state_of_another_kind_is_refused():
    """Silently mixing up two gates' evidence would be a wrong verdict."""
    state = _gate(LogLoss()).to_state() | {"loss": SquaredError().to_state()}
    with pytest.raises(ValueError, match="players"):
        PredictiveGate.from_state(state)
    with pytest.raises(ValueError, match="no such loss"):
        loss_from({"name": "hinge"})


def test_every_model_type_has_a_loss():
    """Rewards are judged as probabilities, quality by its mean, latency by its median."""
    names = {
        "agent_selection": "log_loss",
        "routing": "log_loss",
        "parameter_optimization": "log_loss",
        "quality_prediction": "squared_error",
        "latency_prediction": "absolute_error",
    }
    assert {model_type: loss_of(model_type).name for model_type in names} == names


def test_the_words_of_a_verdict_are_those_of_the_record():
    """One list of words, wherever a verdict is written down."""
    assert set(get_args(Verdict)) == set(get_args(get_type_hints(GateRecord)["verdict"]))


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("gate.level", {"level": 0.0}),
        ("gate.level", {"level": 0.5}),
        ("gate.level", {"level": math.nan}),
        ("gate.max_outcomes", {"max_outcomes": 0}),
        ("gate.max_us", {"max_us": 0}),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(setting, values):
    """The error names the setting."""
    with pytest.raises(ConfigError) as refused:
        GatePolicy(**values)
    assert refused.value.setting == setting


@pytest.mark.parametrize("bounds", [(1.0, 1.0), (2.0, 1.0), (0.0, math.inf), (math.nan, 1.0)])
def test_bounds_out_of_order_are_refused(bounds):
    """So are bounds that bind nothing."""
    with pytest.raises(ConfigError):
        SquaredError(*bounds)


@pytest.mark.parametrize("quantile", [0.0, 1.0, math.nan])
def test_a_quantile_outside_is_refused(quantile):
    """The 0th and the 100th percentile have no finite loss."""
    with pytest.raises(ConfigError):
        AbsoluteError(quantile)

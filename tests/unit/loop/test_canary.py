"""A challenger that the gate cannot tell apart decides a tenth, and is judged by rewards."""

from __future__ import annotations

import numpy as np
import pytest

from selfright.errors import ConfigError
from selfright.learn.model_type import ModelType
from selfright.learn.samples import Samples
from selfright.loop.canary import Canary, CanaryPolicy, Drawn
from selfright.loop.saved import decode_state, encode_state

SELECTION = ModelType.AGENT_SELECTION


def _on_canary(make_fleet, **settings):
    """Return a fleet whose retrained version became a canary, and the retraining's id."""
    fleet = make_fleet(max_outcomes=20, **settings)
    fleet.decide(200)
    fleet.updater.save()
    result = fleet.updater.trigger_retraining(SELECTION)
    with fleet.circle.reading() as fold:
        slot = fold.rooms.slots[SELECTION]
    # A copy that goes on learning from what is ever better shows a gain, yet no certain one.
    slot.challenger.model = slot.champion.copy()
    fleet.decide(20, {"good": 1.0, "poor": 1.0})
    return fleet, slot, result.retrain_id


def _play(rates, n, *, seed=1, share=0.1, policy=None, costs=(0, 0), failing=(0, 0), slow=1):
    """Let champion (arm 0) and challenger (arm 1) decide; return the record, if any."""
    rng = np.random.default_rng(seed)
    canary = Canary(policy or CanaryPolicy(), share, 0)
    chances = np.array([[0.98, 0.02], [0.02, 0.98]])
    mixed = (1 - share) * chances[0] + share * chances[1]
    for i in range(n):
        arm = int(rng.random() < mixed[1])
        canary.note(str(i), Drawn(mixed[arm], chances[0, arm], chances[1, arm]))
        failed = bool(rng.random() < failing[arm])
        canary.ran(str(i), 1_000 * slow**arm, int(costs[arm] * 1e9), is_error=failed)
        record = canary.earn(str(i), float(rng.random() < rates[arm]))
        if record is not None:
            return record
    return None


def test_the_one_that_earns_more_is_promoted():
    """Forty points more; from a hundred effective decisions on."""
    record = _play((0.4, 0.8), 2_000)
    assert record.verdict == "promoted"
    assert record.effective >= 100
    assert record.loss == "missed_reward"
    assert record.gain_low > 0


def test_the_one_that_earns_less_is_rejected():
    """Forty points less."""
    record = _play((0.8, 0.4), 2_000)
    assert record.verdict == "rejected"
    assert record.reason is None


def test_what_earns_the_same_ends_inconclusive():
    """After so many rewards, or so much time."""
    record = _play((0.7, 0.7), 500, policy=CanaryPolicy(outcomes=300))
    assert (record.verdict, record.n) == ("inconclusive", 300)
    waiting = Canary(CanaryPolicy(max_us=10), 0.1, 5)
    assert waiting.expire(14) is None
    assert waiting.expire(15).verdict == "inconclusive"


def test_rewards_are_not_paid_for_with_errors_or_cost():
    """A guard metric beyond its margin ends the canary, whatever it earns."""
    failing = _play((0.6, 0.9), 2_000, failing=(0.02, 0.4))
    assert failing.verdict == "rejected"
    assert failing.reason.startswith("error rate 0.")
    dear = _play((0.6, 0.9), 2_000, costs=(0.01, 0.05))
    assert dear.verdict == "rejected"
    assert dear.reason.startswith("cost per run $0.0")
    slow = _play((0.6, 0.9), 2_000, slow=2)
    assert slow.verdict == "rejected"
    assert "above the champion's p95 of 1 ms" in slow.reason


def test_a_canary_decides_a_tenth(make_fleet):
    """The logged probabilities are those of the mixture, and say whose part is which."""
    fleet, slot, retrain_id = _on_canary(make_fleet)
    assert slot.mode == "canary"
    assert slot.served_version == 1
    fell = Samples.of(["good"] * 200, [None] * 200, [0.0] * 200)
    slot.challenger.model = slot.champion.restart(["good"], fell)
    choice = slot.choose(["good", "poor"], None, np.random.default_rng(1))
    own = slot.champion.propensities(["good", "poor"], None)
    theirs = slot.challenger.model.propensities(["good", "poor"], None)
    assert theirs[1] - own[1] > 0.8
    assert choice.probabilities.tolist() == pytest.approx((0.9 * own + 0.1 * theirs).tolist())
    assert choice.challenger.tolist() == theirs.tolist()
    made = fleet.updater.select_agent(candidates=["good", "poor"])
    assert made.mode == "canary"
    fleet.circle.pump()
    logged = fleet.circle.log.find_act(made.decision_id)
    assert logged.challenger_version == slot.challenger.version
    assert sum(logged.challenger_probabilities) == pytest.approx(1.0)
    with fleet.circle.reading() as fold:
        pending = fold.trials.retrainings[retrain_id]
    assert (pending.state, pending.gate.verdict) == ("pending", "canary")


def test_a_canary_ends_after_its_outcomes(make_fleet):
    """Inconclusive, and the champion goes on as before."""
    fleet, slot, retrain_id = _on_canary(make_fleet, canary_outcomes=100)
    fleet.decide(100)
    assert slot.challenger is None
    assert slot.mode == "thompson"
    with fleet.circle.reading() as fold:
        ended = fold.trials.retrainings[retrain_id]
    assert (ended.state, ended.gate.verdict, ended.gate.n) == ("done", "inconclusive", 100)
    assert ended.gate.loss == "missed_reward"
    assert not ended.promoted


def test_a_canary_stands_in_nobodys_way(make_fleet):
    """A new retraining ends it."""
    fleet, slot, retrain_id = _on_canary(make_fleet)
    following = fleet.updater.trigger_retraining(SELECTION)
    assert following.state == "pending"
    assert slot.challenger.pending.retrain_id == following.retrain_id
    with fleet.circle.reading() as fold:
        ended = fold.trials.retrainings[retrain_id]
    assert ended.gate.verdict == "inconclusive"
    assert following.retrain_id in ended.gate.reason


def test_no_canary_where_none_is_wanted(make_fleet):
    """With a share of 0 the gate's word is the last."""
    _, slot, _ = _on_canary(make_fleet, canary_share=0.0)
    assert slot.challenger is None


def test_a_canary_goes_on_from_a_checkpoint(make_fleet):
    """Slot, comparison and guards alike."""
    fleet, slot, _ = _on_canary(make_fleet)
    fleet.decide(15)
    state = encode_state(slot.to_state())
    other = type(slot).from_state(decode_state(state))
    assert other.challenger.canary.gate.n == 15
    assert len(other.challenger.canary.guards) == 15
    assert encode_state(other.to_state()) == state


def test_nonsense_is_refused():
    """By the name of its setting."""
    with pytest.raises(ConfigError, match="canary_share"):
        CanaryPolicy(share=0.7)
    with pytest.raises(ConfigError, match="canary_outcomes"):
        CanaryPolicy(outcomes=0)

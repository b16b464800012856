"""The value of a policy from another one's log: right, bounded, and never a guess."""

from __future__ import annotations

import json

import numpy as np
import pytest

from selfright.errors import ConfigError
from selfright.retrain.off_policy import OffPolicyPolicy, PolicyGate, ValueEstimate

TRUTH = np.array([0.8, 0.5, 0.3])


def _decisions(rng, n, logged):
    """Yield arm and reward of so many decisions drawn from ``logged``."""
    for arm in rng.choice(len(TRUTH), size=n, p=logged):
        yield int(arm), float(rng.random() < TRUTH[arm])


def test_the_value_of_a_policy_is_within_its_interval():
    """For 100 logs and three policies, with and without a model: at every look of ten."""
    rng = np.random.default_rng(1)
    logged = np.array([0.2, 0.5, 0.3])
    missed = 0
    for i in range(100):
        target = np.array([[1.0, 0.0, 0.0], [0.1, 0.1, 0.8], [1 / 3] * 3][i % 3])
        model = TRUTH + rng.normal(0, 0.1, 3) if i % 2 else np.zeros(3)
        value, outside = ValueEstimate(), False
        for k, (arm, reward) in enumerate(_decisions(rng, 1000, logged)):
            value.update(reward, logged[arm], target[arm], model[arm], float(target @ model))
            if k % 100 == 99:
                found = value.estimate()
                outside = outside or not found.low <= float(target @ TRUTH) <= found.high
        missed += outside
    assert missed <= 10


def test_a_model_makes_the_interval_narrower():
    """Doubly robust: the noise that the model explains is gone."""
    rng = np.random.default_rng(2)
    logged, target = np.array([0.05, 0.05, 0.9]), np.array([0.9, 0.05, 0.05])
    plain, modelled = ValueEstimate(), ValueEstimate()
    for arm, reward in _decisions(rng, 4000, logged):
        plain.update(reward, logged[arm], target[arm])
        modelled.update(reward, logged[arm], target[arm], TRUTH[arm], float(target @ TRUTH))
    wide, narrow = plain.estimate(), modelled.estimate()
    assert narrow.high - narrow.low < wide.high - wide.low
    assert narrow.effective == wide.effective < 4000 * 0.1


def test_what_is_clipped_is_said_and_widens_the_interval():
    """A choice a thousand times likelier counts a hundred times, and might have earned more."""
    value = ValueEstimate()
    for _ in range(999):
        value.update(0.0, 0.999, 0.0)
    value.update(1.0, 0.001, 1.0)
    found = value.estimate()
    assert found.clipped == 1
    assert found.dr == pytest.approx(0.1)
    assert found.high >= 1.0


def test_the_uniform_policy_is_found_in_the_log_of_another(shared_data):
    """Real clicks: the interval from Thompson sampling's log holds what evenly drawn ones got."""
    path = shared_data("obd_men.parquet")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = parquet.read_table(path, columns=["behavior_policy", "propensity_score", "reward"])
    logs = {"bts": ValueEstimate(), "random": ValueEstimate()}
    for row in rows.to_pylist():
        logs[row["behavior_policy"]].update(row["reward"], row["propensity_score"], 1 / 34)
    truth = logs["random"].estimate().dr
    found = logs["bts"].estimate()
    assert truth == pytest.approx(0.0046)
    assert found.low <= truth <= found.high < 0.03
    assert found.snips == pytest.approx(0.0032, abs=2e-4)
    assert 600 < found.effective < 800


def _gate(champion, challenger, n, seed=3, logged=None):
    rng = np.random.default_rng(seed)
    champion, challenger = np.array(champion), np.array(challenger)
    logged = 0.5 * champion + 0.5 * challenger if logged is None else np.array(logged)
    gate = PolicyGate(OffPolicyPolicy())
    for arm, reward in _decisions(rng, n, logged):
        gate.update(reward, logged[arm], champion[arm], challenger[arm], 0.6)
    return gate


def test_the_better_policy_is_promoted_and_the_worse_rejected():
    """Thirty points apart, half of the decisions each."""
    good, poor = [0.98, 0.01, 0.01], [0.01, 0.98, 0.01]
    assert _gate(poor, good, 600).verdict() == "promoted"
    assert _gate(good, poor, 600).verdict() == "rejected"


def test_a_policy_is_never_promoted_over_itself():
    """Its decisions weigh the same under both: the gain is 0, not nearly 0."""
    gate = _gate([0.6, 0.3, 0.1], [0.6, 0.3, 0.1], 2000)
    assert gate.verdict() == "pending"
    assert gate.record("pending").gain == 0.0


def test_below_a_hundred_effective_events_it_refuses():
    """However clear the rewards look: a canary finds out, a guess does not."""
    gate = _gate([0.98, 0.01, 0.01], [0.01, 0.98, 0.01], 3000, logged=[0.98, 0.01, 0.01])
    assert gate.effective < 100
    assert gate.verdict() == "canary"
    assert gate.record("canary").effective == gate.effective


def test_checkpoint_plus_rest_equals_whole():
    """A gate that went through JSON is the same."""
    gate = _gate([0.9, 0.05, 0.05], [0.05, 0.9, 0.05], 300)
    other = PolicyGate.from_state(json.loads(json.dumps(gate.to_state())))
    for one in (gate, other):
        one.update(1.0, 0.5, 0.9, 0.1, 0.6)
    assert other.to_state() == gate.to_state()
    assert other.record("pending") == gate.record("pending")


def test_nonsense_is_refused():
    """With the value that is wrong."""
    with pytest.raises(ValueError, match=r"logged probability 0\.0"):
        ValueEstimate().update(1.0, 0.0, 0.5)
    with pytest.raises(ValueError, match=r"reward 1\.5"):
        ValueEstimate().update(1.5, 0.5, 0.5)
    with pytest.raises(ConfigError, match="clip"):
        OffPolicyPolicy(clip=0.5)
    with pytest.raises(ConfigError, match="level"):
        OffPolicyPolicy(level=0.7)

"""Champion, challenger and the gate between them."""

from __future__ import annotations

import numpy as np
import pytest

from selfright.events.record import RetrainFinished
from selfright.learn.model import new_model
from selfright.learn.model_type import ModelType
from selfright.learn.samples import Samples
from selfright.loop.slot import Challenger, ModelSlot, with_probes
from selfright.retrain.gate import GatePolicy, PredictiveGate
from selfright.retrain.loss import LogLoss


def _samples(arm: str, rewards: list[float]) -> Samples:
    return Samples.of([arm] * len(rewards), ["t"] * len(rewards), rewards)


def _on_trial(*, serves: bool) -> ModelSlot:
    champion = new_model(ModelType.AGENT_SELECTION)
    champion.update(_samples("a", [1.0] * 90 + [0.0] * 10))
    champion.update(_samples("b", [1.0] * 70 + [0.0] * 30))
    slot = ModelSlot(champion, 1)
    pending = RetrainFinished(
        act_id="x:pending",
        ts_us=0,
        retrain_id="x",
        model_type="agent_selection",
        retrain_type="incremental",
        state="pending",
        reason="",
        automatic=True,
        agents=["a"],
        version=2,
    )
    retrained = champion.restart(["a"], _samples("a", [1.0] * 40 + [0.0] * 60))
    gate = PredictiveGate(GatePolicy(), LogLoss(), 0)
    slot.open(Challenger(pending, retrained, champion.copy(), gate, serves, 0))
    return slot


def test_a_challenger_that_predicts_better_is_promoted() -> None:
    """On the outcomes of the affected agent alone."""
    slot = _on_trial(serves=False)
    rng = np.random.default_rng(1)
    assert slot.served_version == 1
    record = None
    for _ in range(400):
        assert slot.learn(_samples("b", [1.0])) is None
        record = slot.learn(_samples("a", [float(rng.random() < 0.4)]))
        if record is not None:
            break
    assert record is not None
    assert record.verdict == "promoted"
    slot.close(promoted=True)
    assert slot.served_version == 2


def test_a_challenger_that_predicts_worse_is_rejected() -> None:
    """And the champion, which has learnt meanwhile, goes on."""
    slot = _on_trial(serves=True)
    assert slot.served_version == 2
    rng = np.random.default_rng(2)
    record = None
    while record is None:
        record = slot.learn(_samples("a", [float(rng.random() < 0.9)]))
    assert record.verdict == "rejected"
    slot.close(promoted=False)
    assert slot.served_version == 1
    assert slot.served.update_count == 200 + record.n


def test_an_agent_in_doubt_is_probed_while_the_challenger_serves() -> None:
    """Or nobody would learn which of the two versions is right."""
    rng = np.random.default_rng(3)
    on_trial = _on_trial(serves=True).choose(["a", "b"], "t", rng)
    assert on_trial.probabilities[0] >= 0.04
    assert on_trial.probabilities.sum() == pytest.approx(1.0)
    waiting = _on_trial(serves=False).choose(["a", "b"], "t", rng)
    assert waiting.probabilities[0] > 0.5


@pytest.mark.parametrize("count", [1, 3, 30])
def test_probes_leave_most_choices_to_the_model(count: int) -> None:
    """However many agents are in doubt."""
    probabilities = np.full(40, 1e-6)
    probabilities[-1] = 1 - 39e-6
    doubted = np.arange(40) < count
    raised = with_probes(probabilities, doubted)
    assert raised.sum() == pytest.approx(1.0)
    assert raised[doubted].sum() <= 0.2 + 1e-9
    assert raised[-1] > 0.79


def test_a_slot_goes_on_from_its_state() -> None:
    """Champion, challenger and gate alike."""
    slot = _on_trial(serves=True)
    slot.learn(_samples("a", [0.0] * 3))
    other = ModelSlot.from_state(slot.to_state())
    assert other.served_version == 2
    arms, groups = ["a", "b"], ["t", "t"]
    assert other.served.mean_of(arms, groups).tolist() == slot.served.mean_of(arms, groups).tolist()
    first, second = slot.learn(_samples("a", [0.0])), other.learn(_samples("a", [0.0]))
    assert first == second
    assert other.challenger is not None
    assert slot.challenger is not None
    assert other.challenger.gate.to_state() == slot.challenger.gate.to_state()

"""Saved models: read back whole, or refused with the reason."""

from __future__ import annotations

import json

import numpy as np
import pytest

from selfright.learn.model import model_from_state, new_model
from selfright.learn.model_type import ModelType
from selfright.learn.samples import Samples
from selfright.learn.settings import LearnSettings
from selfright.learn.strategy import UpdateStrategy


def trained(model_type=ModelType.QUALITY_PREDICTION, strategy=UpdateStrategy.BAYESIAN):
    """Return a model that has learnt a little."""
    rng = np.random.default_rng(0)
    model = new_model(model_type, strategy, LearnSettings(floor=0.01))
    arms = [f"a{i}" for i in rng.integers(4, size=80)]
    model.update(Samples.of(arms, ["g", None] * 40, rng.random(80)))
    return model


@pytest.mark.parametrize("strategy", list(UpdateStrategy))
@pytest.mark.parametrize("model_type", list(ModelType))
def test_a_state_is_arrays_and_json_and_survives_a_file(model_type, strategy, tmp_path):
    """Written without pickle and read by another process it is the same model."""
    state = trained(model_type, strategy).to_state()
    arrays = {key: value for key, value in state.items() if isinstance(value, np.ndarray)}
    plain = {key: value for key, value in state.items() if key not in arrays}
    np.savez(tmp_path / "model.npz", **arrays)
    text = json.dumps(plain)
    with np.load(tmp_path / "model.npz", allow_pickle=False) as stored:
        loaded = model_from_state({**json.loads(text), **stored})
    again = loaded.to_state()
    assert again.keys() == state.keys()
    for key, value in state.items():
        assert np.array_equal(again[key], value) if key in arrays else again[key] == value
    assert loaded.settings.floor == 0.01


@pytest.mark.parametrize("strategy", list(UpdateStrategy))
def test_every_damaged_part_is_refused(strategy):
    """Each part missing, each array cut, of another type, not finite or out of range."""
    state = trained(strategy=strategy).to_state()
    for key, value in state.items():
        refused({name: part for name, part in state.items() if name != key}, key)
        if not isinstance(value, np.ndarray):
            continue
        refused(state | {key: value.astype(np.complex128)}, key)
        refused(state | {key: value[:, None]}, key)
        if len(value) > 1:
            refused(state | {key: value[:-1]}, key)
        broken = value.copy()
        broken[-1] = 30_000 if value.dtype.kind == "i" else np.nan
        refused(state | {key: broken}, key)


def refused(state, key):
    """Assert that the state is refused for a stated reason."""
    with pytest.raises(ValueError, match=r"\w+") as caught:
        model_from_state(state)
    assert str(caught.value), key


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"format": 99}, "format"),
        ({"model_type": "weather"}, "weather"),
        ({"strategy": "hope"}, "hope"),
        ({"settings": {"floor": 7.0}}, "floor"),
        ({"settings": {"unheard_of": 1}}, "unheard_of"),
        ({"settings": None}, "settings"),
        ({"arms": ["a0", "a0", "a1", "a2"]}, "twice"),
        ({"arms": ["a0", None, "a1", "a2"]}, "name"),
        ({"arms": "a0"}, "arms"),
        ({"groups": [1, 2]}, "groups"),
    ],
)
def test_a_state_that_cannot_be_is_refused_with_its_reason(changed, reason):
    """The message names what was wrong."""
    with pytest.raises(ValueError, match=reason):
        model_from_state(trained().to_state() | changed)


def test_ten_thousand_agents_stay_small():
    """All five models of 10,000 agents on two task types each: at most 20 MB."""
    rng = np.random.default_rng(0)
    agents = [f"agent-{i:05d}" for i in range(10_000)]
    arms = agents * 4
    groups = [f"type {i % 2}" for i in range(10_000)] * 2
    groups += [f"type {2 + i % 3}" for i in range(10_000)] * 2
    size = 0
    for model_type in ModelType:
        if model_type is ModelType.PARAMETER_OPTIMIZATION:
            samples = Samples.of([f"set {i % 3}" for i in range(40_000)], arms, rng.random(40_000))
        elif model_type is ModelType.LATENCY_PREDICTION:
            samples = Samples.of(arms, groups, 6 + 0.5 * rng.standard_normal(40_000))
        else:
            samples = Samples.of(arms, groups, rng.random(40_000) < 0.7)
        model = new_model(model_type)
        model.update(samples)
        state = model.to_state()
        size += sum(value.nbytes for value in state.values() if isinstance(value, np.ndarray))
        size += sum(len(name or "") for key in ("arms", "groups") for name in state[key])
    assert size <= 20_000_000

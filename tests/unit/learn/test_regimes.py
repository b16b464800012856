"""An arm that changed is believed to have changed; one that did not is left in peace."""

from __future__ import annotations

import json

import numpy as np
import pytest

from selfright.learn.choice import AgentSelection
from selfright.learn.features import features_of
from selfright.learn.samples import Samples
from selfright.learn.settings import LearnSettings

NAMES = ["ada", "bo"]


def fleet(rng, n=600):
    """Return a model that notices changes, of two agents of .9 and .7."""
    model = AgentSelection(settings=LearnSettings.alone())
    model.update(Samples.of(["bo"] * n, ["math"] * n, (rng.random(n) < 0.7).astype(float)))
    tell(model, rng, 0.9, n)
    return model


def tell(model, rng, rate, n):
    """Let a model learn outcomes of ada."""
    model.update(Samples.of(["ada"] * n, ["math"] * n, (rng.random(n) < rate).astype(float)))


def until(model, rng, rate, share):
    """Return after how many outcomes of ada at ``rate`` she is chosen more, or less, than so."""
    more = rate > 0.8
    for n in range(1, 400):
        tell(model, rng, rate, 1)
        chosen = model.propensities(NAMES, "math")[0]
        if chosen > share if more else chosen < share:
            return n
    return 400


def test_a_fall_a_recovery_and_the_same_fall_again():
    """Over 20 fleets: about twenty outcomes, about six, and fewer the second time."""
    first, back, second = [], [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        model = fleet(rng)
        first.append(until(model, rng, 0.3, 0.1))
        tell(model, rng, 0.3, 60)
        back.append(until(model, rng, 0.9, 0.8))
        tell(model, rng, 0.9, 60)
        second.append(until(model, rng, 0.3, 0.1))
    assert np.median(first) <= 30
    assert np.median(back) <= 10
    assert np.median(second) < np.median(first)


def test_a_steady_agent_starts_anew_seldom_and_is_believed_in_all_the_same():
    """Once in 80,000 outcomes at most; and .85 is never taken for less than .8."""
    restarts, believed = 0, []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        model = AgentSelection(settings=LearnSettings.alone())
        tell(model, rng, 0.85, 2000)
        restarts += model.regimes.parked("ada") is not None
        believed.append(model.mean_of(["ada"], ["math"])[0])
    assert restarts <= 1
    assert min(believed) > 0.8


@pytest.mark.parametrize("seed", range(3))
def test_a_curve_that_a_line_misses_is_no_change(seed):
    """Success is logistic in the size; from half-way on there are only large tasks."""
    rng = np.random.default_rng(seed)
    size = np.concatenate([rng.normal(size=3000), np.abs(rng.normal(size=1500))])
    success = rng.random(len(size)) < 1.0 / (1.0 + np.exp(-1.0 - 2.0 * size))
    model = AgentSelection(settings=LearnSettings.alone())
    features = [features_of({"size": value}) for value in size.tolist()]
    n = len(size)
    model.update(Samples.of(["ada"] * n, ["math"] * n, success.astype(float), features=features))
    assert model.regimes.parked("ada") is None


def test_what_was_is_probed_as_long_as_it_would_be_better():
    """A share of .015 at least, whatever the outcomes; more while they speak for it."""
    rng = np.random.default_rng(3)
    model = fleet(rng)
    tell(model, rng, 0.1, 300)
    chosen = model.propensities(NAMES, "math")
    assert 0.015 <= chosen[0] <= 0.04
    tell(model, rng, 1.0, 2)
    assert model.propensities(NAMES, "math")[0] > chosen[0]


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_batches_change_nothing(size):
    """Expectations are renewed at counts of samples, so all batches give one state."""
    rng = np.random.default_rng(4)
    y = np.concatenate([rng.random(500) < 0.9, rng.random(200) < 0.2, rng.random(300) < 0.9])
    group = ["math", "code"] * 500
    whole, parts = (AgentSelection(settings=LearnSettings.alone()) for _ in range(2))
    every = Samples.of(["ada"] * 1000, group, y.astype(float))
    whole.update(every)
    for at in range(0, 1000, size):
        parts.update(every.take(slice(at, at + size)))
    assert json.dumps(parts.to_state()["regimes"]) == json.dumps(whole.to_state()["regimes"])
    assert whole.regimes.parked("ada") is not None


def test_saved_and_loaded_it_goes_on_as_if_nothing_had_been():
    """Odds, evidence and expectations are part of the state."""
    rng = np.random.default_rng(5)
    model = fleet(rng)
    tell(model, rng, 0.3, 30)
    loaded = AgentSelection.from_state(json_round(model.to_state()))
    rest = Samples.of(["ada"] * 50, ["math"] * 50, (rng.random(50) < 0.3).astype(float))
    model.update(rest)
    loaded.update(rest)
    for mine, its in zip(
        model.posterior(NAMES, "math"), loaded.posterior(NAMES, "math"), strict=True
    ):
        assert mine.tolist() == its.tolist()
    assert model.propensities(NAMES, "math").tolist() == loaded.propensities(NAMES, "math").tolist()


def test_a_copy_learns_apart():
    """Arms are shared until one of the two changes them."""
    rng = np.random.default_rng(6)
    model = fleet(rng)
    before = json.dumps(model.to_state()["regimes"])
    copied = model.copy()
    tell(copied, rng, 0.1, 100)
    assert json.dumps(model.to_state()["regimes"]) == before
    assert copied.regimes.parked("ada") is not None


def test_who_is_forgotten_is_forgotten_with_what_was_parked():
    """A restart leaves no other regime behind; names stay our own."""
    rng = np.random.default_rng(7)
    model = fleet(rng)
    tell(model, rng, 0.2, 200)
    assert model.regimes.parked("ada") is not None
    again = model.restart(["ada"], Samples.empty())
    assert again.regimes.parked("ada") is None
    assert again.arm_names() == ["bo"]
    assert model.arm_names() == ["ada", "bo"]


def test_agents_of_many_groups_start_anew_without_features_too():
    """What is parked empties groups and fills them again: rows and columns follow."""
    rng = np.random.default_rng(9)
    model = AgentSelection(settings=LearnSettings.alone())
    for rate in (0.9, 0.2, 0.9, 0.4, 0.9):
        groups = [f"group {i % 40}" for i in range(300)]
        model.update(Samples.of(["ada"] * 300, groups, (rng.random(300) < rate).astype(float)))
    assert model.regimes.parked("ada") is not None
    assert model.mean_of(["ada"], ["group 1"])[0] > 0.6


def test_a_damaged_state_is_refused():
    """With a word on what is wrong."""
    state = fleet(np.random.default_rng(8)).to_state()
    for wrong in ([], [1, 2, [["ada", [1]]]], "x"):
        with pytest.raises(ValueError, match="regimes"):
            AgentSelection.from_state({**state, "regimes": wrong})


def json_round(state):
    """Return a state whose plain parts went through JSON."""
    return {
        key: value if isinstance(value, np.ndarray) else json.loads(json.dumps(value))
        for key, value in state.items()
    }


def test_what_was_loaded_goes_on_to_the_same_state():
    """Though its groups came in another order than the one they are saved in."""
    rng = np.random.default_rng(8)
    groups = [("math", "code", None)[i] for i in rng.integers(3, size=400)]
    rows = Samples.of(["ada", "bo"] * 200, groups, (rng.random(400) < 0.7).astype(float))
    model = AgentSelection(settings=LearnSettings.alone())
    model.update(rows.take(slice(0, 200)))
    loaded = AgentSelection.from_state(model.to_state())
    for each in (model, loaded):
        each.update(rows.take(slice(200, 400)))
    assert loaded.to_state()["regimes"] == model.to_state()["regimes"]

"""The four rules of forgetting: each does what it says, and they differ."""

from __future__ import annotations

import time

import numpy as np
import pytest

from selfright.learn.choice import AgentSelection
from selfright.learn.samples import Samples
from selfright.learn.settings import LearnSettings
from selfright.learn.strategy import UpdateStrategy

SUMS = [s for s in UpdateStrategy if s is not UpdateStrategy.GRADIENT]


def outcomes(rng, rate, n, arm="ada"):
    """Return successes and failures of one agent."""
    return Samples.of([arm] * n, ["math"] * n, (rng.random(n) < rate).astype(float))


def believed(strategy, parts, **settings):
    """Return the belief about one agent after the parts, in their order."""
    model = AgentSelection(strategy, LearnSettings(**settings))
    for part in parts:
        model.update(part)
    return model.mean_of(["ada"], ["math"])[0]


def test_only_some_forget_by_themselves():
    """After 2,000 outcomes at .9 and 200 at .3: who noticed, and who waits for a retraining."""
    found = {}
    for strategy in UpdateStrategy:
        rng = np.random.default_rng(0)
        parts = [outcomes(rng, 0.9, 2000), outcomes(rng, 0.3, 200)]
        found[strategy] = believed(strategy, parts)
    assert found[UpdateStrategy.BAYESIAN] == pytest.approx(0.845, abs=0.02)
    for strategy in set(UpdateStrategy) - {UpdateStrategy.BAYESIAN}:
        assert found[strategy] < 0.5
    assert len({round(value, 6) for value in found.values()}) == 4


def test_alone_the_full_posterior_notices_a_change():
    """What waits for a retraining in the loop starts anew by itself where there is none."""
    rng = np.random.default_rng(0)
    parts = [outcomes(rng, 0.9, 2000), outcomes(rng, 0.3, 200)]
    alone = LearnSettings.alone().regime_level
    assert believed(UpdateStrategy.BAYESIAN, parts, regime_level=alone) == pytest.approx(
        0.3, abs=0.06
    )


def test_a_window_forgets_wholly_and_at_once():
    """The samples before the window do not matter at all."""
    rng = np.random.default_rng(1)
    latest = outcomes(rng, 0.3, 100)
    strategy = UpdateStrategy.MOVING_AVERAGE
    assert believed(strategy, [outcomes(rng, 0.9, 500), latest]) == believed(strategy, [latest])


def test_discounted_evidence_fades_by_its_factor():
    """A discount of .5 leaves a quarter of a sample that two have followed."""
    strategy = UpdateStrategy.EXPONENTIAL
    model = AgentSelection(strategy, LearnSettings(discount=0.5))
    for y in (1.0, 0.0, 0.0):
        model.update(Samples.of(["ada"], ["math"], [y]))
    state = model.to_state()
    assert state["cell_n"].tolist() == [1.75]
    assert state["cell_s"].tolist() == [0.25]
    assert model.update_count == 3


def test_forgetting_keeps_an_agent_uncertain():
    """Full evidence becomes ever more certain; a window or a discount does not."""
    variances = {}
    for strategy in UpdateStrategy:
        rng = np.random.default_rng(2)
        model = AgentSelection(strategy)
        model.update(outcomes(rng, 0.7, 5000))
        model.update(outcomes(rng, 0.5, 5000, "bo"))
        variances[strategy] = model.posterior(["ada"], "math")[1][0]
    least = variances.pop(UpdateStrategy.BAYESIAN)
    assert all(variance > 5 * least for variance in variances.values())


@pytest.mark.parametrize("strategy", list(UpdateStrategy))
def test_every_strategy_finds_the_better_agent(strategy):
    """200 outcomes of each are enough for .8 against .5."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        model = AgentSelection(strategy)
        model.update(outcomes(rng, 0.8, 200))
        model.update(outcomes(rng, 0.5, 200, "bo"))
        assert model.predict("math", 1)[0][0] == "ada"


@pytest.mark.parametrize("strategy", list(UpdateStrategy))
def test_a_restart_works_under_every_strategy(strategy):
    """The restarted agent is believed to be what the new samples say; others stay."""
    rng = np.random.default_rng(3)
    model = AgentSelection(strategy)
    model.update(outcomes(rng, 0.9, 300))
    model.update(outcomes(rng, 0.6, 300, "bo"))
    before = model.mean_of(["bo"], ["math"])[0]
    restarted = model.restart(["ada"], outcomes(rng, 0.2, 100))
    assert restarted.mean_of(["ada"], ["math"])[0] == pytest.approx(0.2, abs=0.15)
    assert restarted.mean_of(["bo"], ["math"])[0] == pytest.approx(before, abs=0.1)
    assert restarted.predict("math", 1)[0][0] == "bo"


@pytest.mark.parametrize("strategy", SUMS)
def test_a_corrected_outcome_counts_once(strategy):
    """Taking the wrong one back and adding the right one is as if it had been right."""
    rng = np.random.default_rng(4)
    model, right = AgentSelection(strategy), AgentSelection(strategy)
    earlier = outcomes(rng, 0.7, 30)
    wrong = Samples.of(["ada"], ["math"], [0.0])
    for each in (model, right):
        each.update(earlier)
    model.update(wrong)
    model.update(Samples.of(["ada"], ["math"], [0.0], weight=-1.0))
    model.update(Samples.of(["ada"], ["math"], [1.0]))
    right.update(Samples.of(["ada"], ["math"], [1.0]))
    assert model.mean_of(["ada"], ["math"])[0] == pytest.approx(
        right.mean_of(["ada"], ["math"])[0], abs=0.02
    )
    assert model.update_count == right.update_count == 31


def test_averaged_gradients_lie_between():
    """Merged by parameter averaging: between both, nearer to the one that saw more."""
    rng = np.random.default_rng(5)
    models = [AgentSelection(UpdateStrategy.GRADIENT) for _ in range(2)]
    models[0].update(outcomes(rng, 0.9, 900))
    models[1].update(outcomes(rng, 0.3, 300))
    one, other = (model.mean_of(["ada"], ["math"])[0] for model in models)
    merged = models[0].merge(models[1])
    found = merged.mean_of(["ada"], ["math"])[0]
    assert other < found < one
    assert one - found < found - other
    assert merged.update_count == 1200


def test_a_window_taken_back_leaves_a_gap_that_closes():
    """A sample that already left the window takes nothing back."""
    settings = LearnSettings(window=3)
    model = AgentSelection(UpdateStrategy.MOVING_AVERAGE, settings)
    for y in (0.25, 0.5, 0.75, 1.0):
        model.update(Samples.of(["ada"], [None], [y]))
    model.update(Samples.of(["ada"], [None], [0.25], weight=-1.0))
    assert model.to_state()["window_y"].tolist() == [0.5, 0.75, 1.0]
    model.update(Samples.of(["ada"], [None], [0.75], weight=-1.0))
    assert model.to_state()["window_y"].tolist() == [0.5, 1.0]
    model.update(Samples.of(["ada"], [None], [0.0]))
    model.update(Samples.of(["ada"], [None], [0.125]))
    assert model.to_state()["window_y"].tolist() == [1.0, 0.0, 0.125]


def test_a_large_batch_into_a_window_costs_no_more_than_its_end():
    """What the same batch pushes out again is not learnt first."""
    rng = np.random.default_rng(6)
    small, large = outcomes(rng, 0.5, 1000), outcomes(rng, 0.5, 100_000)
    took = []
    for samples in (small, large):
        start = time.process_time()
        AgentSelection.fit(samples, strategy=UpdateStrategy.MOVING_AVERAGE)
        took.append(time.process_time() - start)
    assert took[1] < 60 * took[0]

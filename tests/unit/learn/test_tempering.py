"""How much is explored: little at the start, as told once there is enough to go by."""

from __future__ import annotations

import numpy as np
import pytest

from selfright.errors import ConfigError
from selfright.learn.choice import AgentSelection
from selfright.learn.samples import Samples
from selfright.learn.settings import LearnSettings

NAMES = [f"agent-{i}" for i in range(10)]


def told(n, **settings):
    """Return a model that has heard ``n`` outcomes of ten agents."""
    model = AgentSelection(settings=LearnSettings(**settings))
    arms = [NAMES[i % 10] for i in range(n)]
    model.update(Samples.of(arms, ["math"] * n, np.arange(n) % 2.0))
    return model


@pytest.mark.parametrize(("n", "share"), [(0, 0.4), (60, 0.4), (150, 0.5), (300, 1.0), (500, 1.0)])
def test_the_variance_of_a_draw_grows_with_what_is_known(n, share):
    """Two fifths until twelve outcomes an agent, all of it from thirty on."""
    assert told(n).tempering(10) == pytest.approx(0.25 * share)


def test_more_candidates_ask_for_more_outcomes():
    """What suffices for five does not for ten."""
    model = told(240)
    assert model.tempering(5) > model.tempering(10) > model.tempering(16)


def test_early_on_the_best_so_far_gets_more():
    """After one success each for two and failures for eight, those two get more than without."""
    rewards = np.array([1.0, 1.0] + [0.0] * 8)
    eager, curious = (
        AgentSelection(settings=LearnSettings(early_share=share)) for share in (0.4, 1.0)
    )
    for model in (eager, curious):
        model.update(Samples.of(NAMES, ["math"] * 10, rewards))
    chosen = [m.propensities(NAMES, "math")[:2].sum() for m in (eager, curious)]
    assert chosen[0] > chosen[1]


def test_what_is_learnt_is_what_is_counted():
    """Taken back, an outcome counts no more."""
    model = told(150)
    back = Samples.of([NAMES[0]], ["math"], [0.0])
    model.update(Samples(back.arm, back.group, back.y, -back.weight, back.ts_us, back.features))
    assert model.tempering(10) == pytest.approx(0.25 * 149 / 300)


@pytest.mark.parametrize("value", [0.0, 1.5, -1.0, float("nan")])
def test_a_share_beyond_its_range_is_named(value):
    """The error says which setting, and what it may be."""
    with pytest.raises(ConfigError, match="early_share"):
        LearnSettings(early_share=value)

"""Quality and latency: predictions, and intervals that cover what they say."""

from __future__ import annotations

import numpy as np
import pytest

from selfright.learn.samples import Samples
from selfright.learn.strategy import UpdateStrategy
from selfright.learn.value import LatencyPrediction, QualityPrediction

AGENTS, GROUPS = [f"a{i}" for i in range(6)], ["g0", "g1", "g2"]


class World:
    """Six agents on three task types; two of them can turn worse."""

    def __init__(self, kind, seed):
        self.kind, self.rng = kind, np.random.default_rng(seed)
        rng = self.rng
        self.base = rng.normal(0, 1, (6, 1)) + rng.normal(0, 0.5, 3) + rng.normal(0, 0.2, (6, 3))
        self.sd = np.exp(rng.normal(-1, 0.4, 6))
        self.model = (QualityPrediction if kind == "quality" else LatencyPrediction)()

    def target(self, agent, group, shift=0.0):
        """Return one target: a score, or the logarithm of a latency."""
        rng, level = self.rng, self.base[agent, group] + shift
        if self.kind == "quality":
            mean = 1 / (1 + np.exp(-level))
            return rng.beta(6 * mean, 6 * (1 - mean))
        if self.kind == "lognormal":
            return 6 + level + self.sd[agent] * rng.standard_normal()
        if self.kind == "student":
            return float(np.clip(6 + level + self.sd[agent] * rng.standard_t(2), -3, 18))
        return 5 + level + np.log1p(rng.pareto(1.2))

    def run(self, n, asked_every=3, shift=0.0, only=None):
        """Learn ``n`` runs; return whether the asked intervals held them, and the samples."""
        held, seen = [], []
        for step in range(n):
            agent = int(self.rng.integers(6)) if only is None else only[step % len(only)]
            group = int(self.rng.integers(3))
            y = self.target(agent, group, shift)
            if step % asked_every == 0:
                found = self.model.predict(AGENTS[agent], GROUPS[group])
                value = y if self.kind == "quality" else np.exp(y)
                held.append(found.low <= value <= found.high)
            seen.append(Samples.of([AGENTS[agent]], [GROUPS[group]], [y]))
            self.model.update(seen[-1])
        return held, Samples.concat(seen)


@pytest.mark.parametrize("kind", ["quality", "lognormal", "student", "pareto"])
def test_intervals_cover_nine_in_ten(kind):
    """Within 3 points, each run predicted before it is learnt; heavy tails included."""
    held = []
    for seed in range(6):
        world = World(kind, seed)
        world.run(200, asked_every=1000)
        held += world.run(800, asked_every=4)[0]
    assert len(held) == 1200
    assert np.mean(held) == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize("kind", ["quality", "lognormal", "student"])
def test_intervals_cover_after_drift_once_retrained(kind):
    """Two agents change; until a restart their intervals are wrong, after it right."""
    stale, fresh = [], []
    # In log odds, or in logarithms of a latency.
    shift = -1.4 if kind == "quality" else 2.0
    for seed in range(10):
        world = World(kind, seed)
        world.run(900, asked_every=10_000)
        held, latest = world.run(200, asked_every=6, shift=shift, only=[0, 1])
        stale += held[:10]
        world.model = world.model.restart(AGENTS[:2], latest)
        fresh += world.run(200, asked_every=2, shift=shift, only=[0, 1])[0]
    assert np.mean(stale) < 0.8
    assert np.mean(fresh) == pytest.approx(0.9, abs=0.03)


def test_new_agents_and_groups_have_wide_intervals():
    """The less is known the wider the interval; nobody at all is no error."""
    world = World("lognormal", 0)
    nothing = world.model.predict("a0", "g0")
    assert 0 < nothing.low < nothing.value < nothing.high
    world.run(600, asked_every=10_000)
    widths = []
    for arm, group in (("a0", "g0"), ("a0", "new"), ("new", "g0"), ("new", "new")):
        found = world.model.predict(arm, group)
        widths.append(np.log(found.high / found.low))
    assert (np.diff(widths) > -1e-9).all()
    assert widths[2] > 1.5 * widths[0]


def test_an_interval_of_unbalanced_noise_is_unbalanced():
    """Mostly quick with rare slow runs: the interval reaches far upwards only."""
    rng = np.random.default_rng(1)
    y = np.log(100.0) + np.where(rng.random(3000) < 0.1, 2.0, 0.05 * rng.standard_normal(3000))
    found = LatencyPrediction.fit(Samples.of(["a"] * 3000, ["g"] * 3000, y)).predict("a", "g")
    assert found.high / found.value > 4
    assert found.value / found.low < 2


def test_the_spread_is_that_of_the_runs():
    """Each agent's own, learnt from its runs and shrunk to the fleet's while there are few."""
    rng = np.random.default_rng(2)
    model = LatencyPrediction()
    for arm, sd in (("steady", 0.1), ("wild", 1.0)):
        y = 5.0 + sd * rng.standard_normal(800)
        model.update(Samples.of([arm] * 800, ["g"] * 800, y))
    steady, wild, new = model.spread_of(["steady", "wild", "new"], ["g"] * 3)
    assert steady == pytest.approx(0.1, abs=0.05)
    assert wild == pytest.approx(1.0, abs=0.1)
    assert steady < new
    assert model.mean_of(["steady"], ["g"])[0] == pytest.approx(5.0, abs=0.05)


def test_quality_stays_within_its_range():
    """Value and ends lie in 0..1 and in order, also for scores of only 0 and 1."""
    rng = np.random.default_rng(3)
    for rate in (0.0, 0.03, 0.5, 0.97, 1.0):
        y = (rng.random(200) < rate).astype(float)
        found = QualityPrediction.fit(Samples.of(["a"] * 200, [None] * 200, y)).predict("a")
        assert 0.0 <= found.low <= found.value <= found.high <= 1.0
        inside = (found.low <= y) & (y <= found.high)
        assert inside.mean() >= 0.9


@pytest.mark.parametrize("strategy", list(UpdateStrategy))
def test_every_strategy_predicts_with_an_interval(strategy):
    """Whatever forgets, a steady agent's runs lie in its interval nine times in ten."""
    held = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        y = 5.0 + 0.5 * rng.standard_normal(3000)
        model = LatencyPrediction.fit(Samples.of(["a"] * 3000, ["g"] * 3000, y), strategy=strategy)
        found = model.predict("a", "g")
        later = np.exp(5.0 + 0.5 * rng.standard_normal(4000))
        held.append(((found.low <= later) & (later <= found.high)).mean())
    assert np.mean(held) == pytest.approx(0.9, abs=0.04)

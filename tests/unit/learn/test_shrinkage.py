"""The hierarchical posterior against a computation from first principles."""

from __future__ import annotations

import numpy as np
import pytest

from selfright.learn.choice import AgentSelection
from selfright.learn.hierarchy.shrinkage import Fleet, arm_effects, cell_posterior, learn_fleet
from selfright.learn.settings import LearnSettings
from selfright.learn.value import LatencyPrediction

REWARDS = AgentSelection.design(LearnSettings()).prior
LOGS = LatencyPrediction.design(LearnSettings()).prior


def drawn(rng, arms, groups, each, *spreads, group_sd=0.3, level=2.0):
    """Return evidence of a random fleet, and the truth per arm and group.

    ``spreads``: standard deviations of arms, of cells and of the noise.
    """
    arm_sd, cell_sd, noise_sd = spreads
    truth = (
        level
        + arm_sd * rng.standard_normal((arms, 1))
        + group_sd * rng.standard_normal(groups)
        + cell_sd * rng.standard_normal((arms, groups))
    )
    n = rng.integers(*each, size=(arms, groups)).astype(float)
    s, q = np.zeros_like(n), np.zeros(arms)
    for i, j in np.ndindex(arms, groups):
        y = truth[i, j] + noise_sd * rng.standard_normal(int(n[i, j]))
        s[i, j], q[i] = y.sum(), q[i] + (y * y).sum()
    return n, s, q, truth


def test_posterior_equals_the_multivariate_normal():
    """Mean and variance of each cell are those of conditioning one large normal vector."""
    rng = np.random.default_rng(0)
    n, s, q, _ = drawn(rng, 4, 3, (0, 6), 0.5, 0.3, 0.4)
    fleet = Fleet(np.array([2.0, 2.3, 1.8]), 0.1, 2.0, 0.16, 0.25, 0.09)
    believed = arm_effects(n, s, q, fleet, LOGS)
    for i in range(4):
        v = believed.v[i, 0]
        mean, var = cell_posterior(
            n[i], s[i], np.full(3, v), fleet.base, (believed.effect[i], believed.var[i]), fleet
        )
        prior = fleet.arm_var + fleet.cell_var * np.eye(3)
        seen = n[i] > 0
        noise = np.diag(v / n[i][seen])
        gain = prior[:, seen] @ np.linalg.inv(prior[np.ix_(seen, seen)] + noise)
        expected = fleet.base + fleet.shift
        rest = s[i][seen] / n[i][seen] - expected[seen]
        np.testing.assert_allclose(mean, expected + gain @ rest, atol=1e-12)
        np.testing.assert_allclose(var, np.diag(prior - gain @ prior[seen]), atol=1e-12)


def test_spreads_are_learnt():
    """With much evidence the learnt spreads come near the true ones, not the prior's."""
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        n, s, q, _ = drawn(rng, 60, 8, (20, 60), 0.4, 0.6, 0.5)
        fleet = learn_fleet(n, s, q, LOGS)
        found.append((fleet.arm_var, fleet.cell_var, fleet.noise))
    assert np.sqrt(np.mean(found, axis=0)) == pytest.approx([0.4, 0.6, 0.5], rel=0.25)


def test_shrunk_means_beat_plain_ones_and_the_fleets():
    """The mean squared error is below that of cell means, arm means and the fleet mean."""
    errors = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        n, s, q, truth = drawn(rng, 30, 6, (1, 12), 0.5, 0.2, 0.6)
        fleet = learn_fleet(n, s, q, LOGS)
        believed = arm_effects(n, s, q, fleet, LOGS)
        shrunk = np.empty_like(n)
        for i in range(30):
            shrunk[i] = cell_posterior(
                n[i], s[i], np.full(6, believed.v[i, 0]), fleet.base,
                (believed.effect[i], believed.var[i]), fleet,
            )[0]  # fmt: skip
        arm = np.repeat((s.sum(1) / n.sum(1))[:, None], 6, axis=1)
        guesses = (shrunk, s / n, arm, np.full_like(n, s.sum() / n.sum()))
        errors.append([((guess - truth) ** 2).mean() for guess in guesses])
    mean = np.mean(errors, axis=0)
    assert mean[0] < 0.75 * mean[1:].min()


def test_arms_given_the_hard_tasks_are_not_thought_worse():
    """Two equal arms, one on hard tasks only: told apart by their groups' difficulty."""
    n = np.array([[100.0, 10.0], [10.0, 100.0], [50.0, 50.0]])
    rate = np.array([0.9, 0.5])
    s = n * rate
    fleet = learn_fleet(n, s, s.sum(axis=1), REWARDS)
    effect = arm_effects(n, s, s.sum(axis=1), fleet, REWARDS).effect
    assert np.ptp(effect) < 0.04
    plain = s.sum(1) / n.sum(1)
    assert np.ptp(plain) > 0.3


def test_graded_rewards_are_known_faster_than_successes():
    """Rewards that vary little around their mean are given little noise."""
    n = np.full((5, 2), 40.0)
    s = n * 0.7
    graded = s.sum(1) * 0.7 + 80 * 0.05**2
    assert learn_fleet(n, s, graded, REWARDS).noise < 0.15
    assert learn_fleet(n, s, s.sum(axis=1), REWARDS).noise == pytest.approx(1.0, abs=0.05)


def test_without_evidence_everything_is_the_prior():
    """No arms, no groups, or both without samples: the expectation, and no error."""
    for shape in ((0, 0), (3, 0), (0, 2), (2, 2)):
        fleet = learn_fleet(np.zeros(shape), np.zeros(shape), np.zeros(shape[0]), REWARDS)
        assert (fleet.level, fleet.shift) == (0.5, 0.0)
        assert fleet.arm_var == pytest.approx(REWARDS.arm_sd**2)

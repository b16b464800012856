"""The backtest on matrices small enough to know the answer."""

from __future__ import annotations

import numpy as np
import pytest

from selfright.errors import ConfigError
from selfright.learn.backtest import Matrix, Utility, backtest
from selfright.learn.choice import AgentSelection

REWARD = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 1.0]])
COST = np.array([[0.5, 0.5, 0.5, 0.5], [0.2, 0.9, 0.2, 0.2], [0.1, 0.1, 0.1, 0.1]])
SMALL = Matrix(["ada", "bo", "cy"], ["x", "x", "y", "y"], REWARD, COST)


def large(seed=0, agents=8, tasks=400):
    """Return a matrix with a best agent per task type."""
    rng = np.random.default_rng(seed)
    types = rng.integers(3, size=tasks)
    rate = np.clip(0.5 + 0.25 * rng.standard_normal((agents, 3)), 0.05, 0.95)
    reward = (rng.random((agents, tasks)) < rate[:, types]).astype(float)
    return Matrix([f"a{i}" for i in range(agents)], [f"t{t}" for t in types], reward)


def test_references_are_computed_on_the_whole_matrix():
    """Random, best single, best per type and oracle, with the costs of each."""
    report = backtest(SMALL, seeds=[0], decisions=10)
    assert report.random.utility == pytest.approx(0.5)
    assert (report.best_agent, report.best_single.utility) == ("bo", 0.75)
    assert report.best_per_type.utility == 1.0
    assert report.oracle.utility == 1.0
    assert report.best_single.cost == pytest.approx(0.375)
    assert report.best_per_type.cost == pytest.approx((0.5 + 0.5 + 0.2 + 0.2) / 4)
    # Of the agents that solve a task the oracle takes the cheapest.
    assert report.oracle.cost == pytest.approx((0.5 + 0.5 + 0.2 + 0.1) / 4)


def test_each_task_once_or_as_many_as_asked():
    """The stream is a permutation by default, and of the asked length otherwise."""
    matrix = large()
    once = backtest(matrix, seeds=[0, 1])
    assert once.learned.whole.shape == (2,)
    assert ((once.learned.whole * 400) % 1 < 1e-9).all()
    many = backtest(matrix, seeds=[0], decisions=700)
    assert (many.learned.whole[0] * 700) % 1 == pytest.approx(0, abs=1e-6)


def test_what_is_learned_beats_the_best_single_agent_by_type():
    """Over 2,000 decisions the last quarter comes near the best agent per task type."""
    report = backtest(large(), seeds=range(2), decisions=2000)
    last = report.learned.last_quarter.mean()
    assert report.random.utility < report.best_single.utility < last
    assert last == pytest.approx(report.best_per_type.utility, abs=0.07)
    assert report.oracle.utility > last


def test_only_the_chosen_agents_reward_is_shown():
    """Changing every reward that was not shown changes nothing that was chosen."""
    matrix, shown = large(tasks=100), {}

    class Witness(AgentSelection):
        def update(self, samples):
            shown.setdefault(len(shown), (samples.arm[0], float(samples.y[0])))
            super().update(samples)

    first = backtest(matrix, seeds=[3], new_model=Witness)
    order = np.random.default_rng([3, 0]).permutation(100)
    other = 1.0 - matrix.reward
    for step, (arm, y) in shown.items():
        other[matrix.agents.index(arm), order[step]] = y
    changed = Matrix(matrix.agents, matrix.task_types, other)
    second = backtest(changed, seeds=[3])
    assert second.learned.whole == first.learned.whole
    assert second.best_single.utility != first.best_single.utility


def test_seeds_are_repeatable_and_differ():
    """The same seed gives the same run, another one another."""
    matrix = large()
    one, two = (backtest(matrix, seeds=[5, 6]).learned.whole for _ in range(2))
    assert one.tolist() == two.tolist()
    assert one[0] != one[1]


def test_a_dear_agent_is_chosen_less_when_cost_counts():
    """The utility is learnt scaled and reported as it is."""
    rng = np.random.default_rng(1)
    reward = (rng.random((2, 500)) < np.array([[0.8], [0.7]])).astype(float)
    cost = np.array([[2.0], [0.1]]) * np.ones((2, 500))
    matrix = Matrix(["dear", "cheap"], ["t"] * 500, reward, cost)
    free = backtest(matrix, seeds=range(2), decisions=600)
    dear = backtest(matrix, seeds=range(2), decisions=600, utility=Utility(w_cost=0.3))
    assert free.best_agent == "dear"
    assert dear.best_agent == "cheap"
    assert dear.learned.cost.mean() < 0.5 * free.learned.cost.mean()
    assert dear.best_single.utility == pytest.approx(reward[1].mean() - 0.03)


def test_latency_weighs_by_its_declared_bound():
    """Scaled utilities fill 0..1 between nothing lost and everything lost."""
    matrix = Matrix(["a"], ["t", "t"], np.array([[0.0, 1.0]]), None, np.array([[4.0, 0.0]]))
    raw, scaled = Utility(w_latency=0.5, latency_bound_s=4.0).of(matrix)
    assert raw.tolist() == [[-2.0, 1.0]]
    assert scaled.tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize(
    ("utility", "setting"),
    [
        (Utility(w_cost=1.0, cost_bound_usd=0.5), "cost"),
        (Utility(w_latency=1.0), "w_latency"),
        (Utility(w_success=0.0, w_cost=1.0), "w_success"),
        (Utility(w_cost=-1.0), "w_success"),
    ],
)
def test_utilities_that_cannot_be_scaled_are_refused(utility, setting):
    """A bound that is exceeded, a column that is missing, a weight that makes no sense."""
    with pytest.raises(ConfigError, match=setting):
        backtest(SMALL, seeds=[0], utility=utility)


def test_gaps_are_refused_and_named():
    """A reward that is not known is not guessed."""
    reward = REWARD.copy()
    reward[1, 2] = np.nan
    with pytest.raises(ValueError, match="first for bo"):
        Matrix(["ada", "bo", "cy"], ["x", "x", "y", "y"], reward)
    with pytest.raises(ValueError, match="shape"):
        Matrix(["ada", "bo"], ["x", "x", "y", "y"], REWARD)
    with pytest.raises(ConfigError, match="rewards"):
        backtest(Matrix(["ada"], ["x"], np.array([[2.0]])), seeds=[0])


@pytest.mark.parametrize(("seeds", "decisions"), [([], 10), ([0], 0)])
def test_a_backtest_needs_seeds_and_decisions(seeds, decisions):
    """Nothing to run is a mistake."""
    with pytest.raises(ConfigError):
        backtest(SMALL, seeds=seeds, decisions=decisions)

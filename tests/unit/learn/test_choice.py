"""Agent selection, routing and parameter optimisation: what is chosen, and how surely."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from selfright.learn.choice import AgentSelection, ChoiceModel, ParameterOptimization, Routing
from selfright.learn.model_type import ModelType
from selfright.learn.samples import Samples
from selfright.learn.settings import LearnSettings

AGENTS = ["ada", "bo", "cy", "di"]


def outcomes(rng, arm, rate, n, group="math"):
    """Return successes and failures of one arm."""
    return Samples.of([arm] * n, [group] * n, (rng.random(n) < rate).astype(float))


def fleet(rng, rates, n=300, group="math"):
    """Return a selection model that has seen ``n`` outcomes of each agent."""
    model = AgentSelection()
    for arm, rate in rates.items():
        model.update(outcomes(rng, arm, rate, n, group))
    return model


def shares(model, candidates, group="math"):
    """Return the probability of each candidate."""
    return dict(zip(candidates, model.propensities(candidates, group).tolist(), strict=True))


def test_an_incremental_retraining_changes_what_is_selected():
    """After a fall from .9 to .3 a restart on the latest 100 outcomes changes the choice.

    Learning the same 100 outcomes once more does not: that is counting them twice.
    """
    for seed in range(20):
        rng = np.random.default_rng(seed)
        model = fleet(rng, {"ada": 0.9, "bo": 0.7, "cy": 0.6}, n=1000)
        latest = outcomes(rng, "ada", 0.3, 100)
        model.update(latest)
        assert model.predict("math", 1)[0][0] == "ada"
        twice = model.copy()
        twice.update(latest)
        assert twice.predict("math", 1)[0][0] == "ada"
        assert shares(twice, AGENTS[:3])["ada"] > 0.9
        restarted = model.restart(["ada"], latest)
        assert restarted.predict("math", 1)[0][0] == "bo"
        assert shares(restarted, AGENTS[:3])["ada"] < 0.01
        assert restarted.mean_of(["ada"], ["math"])[0] == pytest.approx(0.3, abs=0.15)
        # The others' evidence is as it was, and nothing is counted twice.
        assert restarted.update_count == model.update_count - 1000
        assert restarted.mean_of(["bo"], ["math"]) == pytest.approx(
            model.mean_of(["bo"], ["math"]), abs=0.02
        )


def test_probabilities_sum_to_one_and_nobody_is_below_the_floor():
    """Whatever is known of the candidates, each keeps its share of the floor."""
    rng = np.random.default_rng(3)
    model = fleet(rng, {"ada": 0.95, "bo": 0.2, "cy": 0.1})
    for candidates in (AGENTS, ["ada"], ["bo", "nobody"], [f"new{i}" for i in range(77)]):
        for group in ("math", "unheard of", None):
            found = model.propensities(candidates, group)
            assert found.sum() == pytest.approx(1.0, abs=1e-12)
            assert found.min() >= model.settings.floor / len(candidates) * (1 - 1e-12)


def test_choices_are_drawn_from_the_logged_probabilities():
    """Chi-square over 20,000 choices lies below its 99.9 % quantile."""
    rng = np.random.default_rng(5)
    model = fleet(rng, {"ada": 0.7, "bo": 0.68, "cy": 0.66, "di": 0.3}, n=60)
    logged = model.propensities(AGENTS, "math")
    seen = np.zeros(4)
    for _ in range(20_000):
        choice = model.select(AGENTS, "math", rng)
        assert choice.probabilities.tobytes() == logged.tobytes()
        seen[choice.index] += 1
    assert logged[:3].min() > 0.02
    assert ((seen - 20_000 * logged) ** 2 / (20_000 * logged)).sum() < 16.27


def test_probabilities_are_not_remembered_beyond_an_update():
    """The same question after an outcome has another answer, also in a copy."""
    rng = np.random.default_rng(0)
    model = AgentSelection()
    for arm in ("ada", "bo"):
        model.update(Samples.of([arm] * 20, ["math"] * 20, [1.0, 0.0] * 10))
    before = shares(model, ["ada", "bo"])
    copied = model.copy()
    copied.update(outcomes(rng, "ada", 0.0, 20))
    assert shares(copied, ["ada", "bo"])["ada"] < before["ada"] - 0.1
    assert shares(model, ["ada", "bo"]) == before
    model.update(outcomes(rng, "ada", 0.0, 20))
    assert shares(model, ["ada", "bo"]) == shares(copied, ["ada", "bo"])


def test_a_new_agent_is_tried_because_it_is_uncertain():
    """A newcomer gets more than a known poor agent, and less than a known good one."""
    rng = np.random.default_rng(1)
    model = fleet(rng, {"ada": 0.85, "bo": 0.75, "cy": 0.55})
    found = shares(model, [*AGENTS[:3], "newcomer"])
    assert found["cy"] < 0.001 < found["newcomer"] < found["ada"]


def test_the_best_agent_may_differ_by_task_type():
    """Enough evidence within a task type overrules the agent's mean."""
    rng = np.random.default_rng(2)
    model = AgentSelection()
    for group, rates in (("math", (0.9, 0.5)), ("code", (0.5, 0.9))):
        for arm, rate in zip(("ada", "bo"), rates, strict=True):
            model.update(outcomes(rng, arm, rate, 200, group))
    assert model.predict("math", 1)[0][0] == "ada"
    assert model.predict("code", 1)[0][0] == "bo"
    scores = dict(model.predict("never seen", 2))
    assert scores["ada"] == pytest.approx(scores["bo"], abs=0.06)


def test_a_lucky_streak_in_a_rare_group_does_not_overrule_much_evidence():
    """Two successes in a new group leave the agent with 1,000 good outcomes ahead."""
    rng = np.random.default_rng(4)
    model = fleet(rng, {"ada": 0.9, "bo": 0.5}, n=1000)
    model.update(outcomes(rng, "bo", 1.0, 2, "rare"))
    assert model.predict("rare", 1)[0][0] == "ada"


def test_runs_without_a_group_tell_of_the_agent_too():
    """None is a group like others, and an unseen one falls back to the agent's mean."""
    rng = np.random.default_rng(6)
    model = fleet(rng, {"ada": 0.9, "bo": 0.4}, group=None)
    assert model.predict(None, 1)[0][0] == "ada"
    assert model.predict("math", 1)[0][0] == "ada"


def test_predictions_are_sorted_and_limited():
    """Best first, equal ones by name, at most ``top_k``, scores within 0..1."""
    model = AgentSelection()
    assert model.predict("math", 3) == []
    for arm in ("zoe", "ada", "bo"):
        model.update(Samples.of([arm] * 50, ["math"] * 50, [1.0] * 50))
    found = model.predict("math", 2)
    assert [arm for arm, _ in found] == ["ada", "bo"]
    assert all(0.9 < score <= 1.0 for _, score in found)


def test_the_best_parameters_differ_per_agent():
    """Arms are parameter sets and groups are agents; a new agent starts from all others."""
    rng = np.random.default_rng(8)
    model = ParameterOptimization()
    few, many = '{"max_turns":2}', '{"max_turns":8}'
    for agent in ("ada", "bo", "cy"):
        model.update(outcomes(rng, few, 0.5, 300, agent))
        model.update(outcomes(rng, many, 0.8, 300, agent))
    model.update(outcomes(rng, few, 0.9, 300, "sprinter"))
    model.update(outcomes(rng, many, 0.4, 300, "sprinter"))
    assert model.predict("ada", 1)[0][0] == many
    assert model.predict("sprinter", 1)[0][0] == few
    assert model.predict("newcomer", 1)[0][0] == many


def test_parameters_of_one_agent_are_restarted_by_group():
    """Only what was learnt of that agent is set aside."""
    rng = np.random.default_rng(9)
    model = ParameterOptimization()
    for agent in ("ada", "bo"):
        model.update(outcomes(rng, "{}", 0.9, 200, agent))
    restarted = model.restart([], outcomes(rng, "{}", 0.2, 100, "ada"), groups=["ada"])
    assert restarted.mean_of(["{}"], ["ada"])[0] < 0.4
    assert restarted.mean_of(["{}"], ["bo"])[0] > 0.8
    assert restarted.update_count == 300


def test_there_may_be_as_many_groups_of_parameters_as_agents():
    """The cap on groups is one on task types; agents are not pooled by it."""
    agents = [f"agent {i}" for i in range(200)]
    model = ParameterOptimization.fit(Samples.of(["{}"] * 200, agents, [1.0] * 200))
    assert len(model.to_state()["groups"]) == 200
    pooled = AgentSelection.fit(Samples.of(["ada"] * 200, agents, [1.0] * 200))
    assert len(pooled.to_state()["groups"]) == 65


def test_what_is_pooled_is_believed_alike_and_never_offered():
    """Arms beyond the cap share one belief; it is no arm that could be chosen."""
    settings = replace(LearnSettings(), max_arms=3)
    arms = [f"agent {i}" for i in range(12)]
    model = AgentSelection.fit(Samples.of(arms * 30, [None] * 360, [0.25] * 360), settings)
    assert len(model.arm_names()) == 3
    pooled = [arm for arm in arms if arm not in model.arm_names()]
    assert len(set(model.mean_of(pooled, [None] * 9).tolist())) == 1
    assert model.mean_of(pooled[:1], [None])[0] == pytest.approx(0.25, abs=0.02)
    assert {arm for arm, _ in model.predict(None, 99)} == set(model.arm_names())


@pytest.mark.parametrize("candidates", [[], ["ada", "ada"]])
def test_a_choice_needs_distinct_candidates(candidates):
    """Nobody to choose from, or one twice, is the caller's mistake."""
    with pytest.raises(ValueError, match="candidates"):
        AgentSelection().select(candidates, None, np.random.default_rng(0))


@pytest.mark.parametrize("reward", [-0.01, 1.01])
def test_rewards_outside_their_range_are_refused_wholly(reward):
    """Of a batch with one bad reward nothing is learnt."""
    model = AgentSelection()
    with pytest.raises(ValueError, match=r"0\.\.1"):
        model.update(Samples.of(["ada", "bo"], [None, None], [0.5, reward]))
    assert model.arm_names() == []


def test_models_of_another_kind_cannot_be_merged():
    """Nor of other settings: their sums would mean something else."""
    with pytest.raises(ValueError, match="routing"):
        AgentSelection().merge(Routing())
    with pytest.raises(ValueError, match="settings"):
        AgentSelection().merge(AgentSelection(settings=LearnSettings(floor=0.01)))


def test_the_three_are_told_apart_by_their_type():
    """One core, three models."""
    kinds = {AgentSelection, Routing, ParameterOptimization}
    assert {kind.model_type for kind in kinds} == {
        ModelType.AGENT_SELECTION,
        ModelType.ROUTING,
        ModelType.PARAMETER_OPTIMIZATION,
    }
    assert all(issubclass(kind, ChoiceModel) for kind in kinds)


def test_selection_finds_good_ones_among_many():
    """Among 20 agents .85 of what is to be won is won in decisions 1,000 to 2,000."""
    won = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        rates = rng.beta(4, 3, 20)
        names, model = [f"a{i}" for i in range(20)], AgentSelection()
        chosen = []
        for _ in range(2000):
            index = model.select(names, "t", rng).index
            chosen.append(rates[index])
            model.update(Samples.of([names[index]], ["t"], [float(rng.random() < rates[index])]))
        won.append((np.mean(chosen[1000:]) - rates.mean()) / (rates.max() - rates.mean()))
    assert np.mean(won) > 0.85

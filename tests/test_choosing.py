"""Routes and parameter sets are chosen like agents, and what came of it may come when it likes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfright import ModelType, OutcomeEvent, PerformanceMonitor, RealTimeModelUpdater
from selfright.errors import ConfigError, InvalidEventError, UnknownNameError
from selfright.events.record import Decision as DecisionRecord
from selfright.learn.choice import ChoiceModel

CASES = [
    (ModelType.AGENT_SELECTION, ["a", "b", "c"], {}),
    (ModelType.ROUTING, ["fast", "slow"], {}),
    (
        ModelType.PARAMETER_OPTIMIZATION,
        [{"temperature": 0}, {"temperature": 1}],
        {"context": {"agent_name": "solver"}},
    ),
]
BY_MODEL = pytest.mark.parametrize(
    ("model_type", "arms", "about"), CASES, ids=[str(case[0]) for case in CASES]
)


@pytest.fixture
def updater(tmp_path: Path) -> RealTimeModelUpdater:
    """Return an updater that keeps its versions in a folder of the test's."""
    return RealTimeModelUpdater(model_storage_path=str(tmp_path))


def _learn(
    updater: RealTimeModelUpdater, model_type: ModelType, arms: list[Any], about: dict[str, Any]
) -> None:
    """Let the first arm be good at "plan", the others poor."""
    rng = np.random.default_rng(2)
    first = None
    for _ in range(60):
        choice = updater.select(model_type, arms, "plan", **about)
        first = first or next(iter(choice.probabilities))
        rate = 0.9 if choice.arm == first else 0.4
        updater.record_outcome(choice.decision_id, reward=float(rng.random() < rate))


@BY_MODEL
def test_the_propensity_that_is_recorded_is_the_one_drawn_from(
    updater: RealTimeModelUpdater, model_type: ModelType, arms: list[Any], about: dict[str, Any]
) -> None:
    """It stands in the log, it is the model's, and arms are drawn with exactly it."""
    _learn(updater, model_type, arms, about)
    updater.circle.pump()
    chosen: Counter[str] = Counter()
    n = 2000
    for _ in range(n):
        choice = updater.select(model_type, arms, "plan", **about)
        chosen[choice.arm] += 1
    model = updater.get_model(model_type)
    assert isinstance(model, ChoiceModel)
    names = list(choice.probabilities)
    group = about["context"]["agent_name"] if about else "plan"
    assert list(choice.probabilities.values()) == model.propensities(names, group).tolist()
    for name, p in choice.probabilities.items():
        assert abs(chosen[name] - n * p) <= 5 * np.sqrt(n * p * (1 - p)) + 1
    updater.circle.pump()
    kept = updater.circle.log.find_act(choice.decision_id)
    assert isinstance(kept, DecisionRecord)
    assert (kept.model_type, kept.arm) == (model_type.value, choice.arm)
    assert dict(zip(kept.candidates, kept.probabilities, strict=True)) == choice.probabilities
    assert kept.probability == choice.probabilities[choice.arm]
    assert (kept.task_type, kept.context) == ("plan", about.get("context"))


@BY_MODEL
def test_outcomes_may_come_in_any_order_late_or_never(
    tmp_path: Path, model_type: ModelType, arms: list[Any], about: dict[str, Any]
) -> None:
    """The model believes the same whatever the order; a decision without one teaches nothing."""
    beliefs = []
    for order in (1, -1):
        updater = RealTimeModelUpdater(model_storage_path=str(tmp_path / str(order)))
        choices = [
            updater.select(model_type, [arm], "plan", **about) for arm in arms for _ in range(20)
        ]
        told = [choice for i, choice in enumerate(choices) if i % 4]  # one in four: never
        for i, choice in list(enumerate(told))[::order]:
            updater.record_outcome(choice.decision_id, reward=float(i % 3 > 0))
        updater.circle.pump()
        model = updater.get_model(model_type)
        names = [choice.arm for choice in choices]
        groups = [about["context"]["agent_name"] if about else "plan"] * len(names)
        beliefs.append(model.mean_of(names, groups).tolist())
        assert model.update_count == len(told)
    assert beliefs[0] == beliefs[1]


def test_an_outcome_given_again_replaces_the_first(updater: RealTimeModelUpdater) -> None:
    """A correction is no second outcome."""
    choice = updater.select(ModelType.ROUTING, ["fast"], "plan")
    updater.record_outcome(choice.decision_id, reward=1.0)
    updater.record_outcome(choice.decision_id, reward=0.0)
    model = updater.get_model(ModelType.ROUTING)
    assert model.update_count == 1
    assert model.mean_of(["fast"], ["plan"])[0] < 0.5


def test_a_run_with_the_decision_does_the_same(tmp_path: Path) -> None:
    """Recorded by the monitor, it teaches the route it names."""
    updater = RealTimeModelUpdater(model_storage_path=str(tmp_path))
    monitor = PerformanceMonitor(model_updater=updater)
    choice = updater.select(ModelType.ROUTING, ["fast", "slow"], "plan")
    monitor.record_agent_run(
        "r", "solver", "llm", "failure", 10.0, task_type="plan",
        route=choice.arm, decision_id=choice.decision_id,
    )  # fmt: skip
    monitor.flush()
    model = updater.get_model(ModelType.ROUTING)
    assert (model.arm_names(), model.update_count) == ([choice.arm], 1)
    monitor.close()


def test_routes_are_no_agents(updater: RealTimeModelUpdater) -> None:
    """Whose route it was may stay open; nobody of the name of a route joins the fleet."""
    for _ in range(5):
        updater.record_outcome(updater.select(ModelType.ROUTING, ["fast"]).decision_id, reward=1.0)
    made = updater.select(
        ModelType.PARAMETER_OPTIMIZATION, [{"t": 0}], context={"agent_name": "solver"}
    )
    assert made.parameters == {"t": 0}
    updater.record_outcome(made.decision_id, status="success", cost=0.1, latency_ms=20.0)
    assert [name for name, _ in updater.predict(ModelType.AGENT_SELECTION)] == ["solver"]
    assert list(updater.select_agent().probabilities) == ["solver"]
    assert updater.predict(ModelType.ROUTING)["route"] == "fast"
    assert updater.predict(ModelType.PARAMETER_OPTIMIZATION, agent_name="solver") == {"t": 0}


def test_known_arms_are_the_candidates_where_none_are_named(updater: RealTimeModelUpdater) -> None:
    """Routes and parameter sets that were seen; equal sets are one, however they are written."""
    updater.submit_many(
        OutcomeEvent(agent_name="a", route=f"r{i % 2}", config_snapshot={"x": i % 3, "y": 1})
        for i in range(30)
    )
    updater.circle.pump()
    assert set(updater.select(ModelType.ROUTING).probabilities) == {"r0", "r1"}
    assert len(updater.select(ModelType.PARAMETER_OPTIMIZATION).probabilities) == 3
    same = updater.select(ModelType.PARAMETER_OPTIMIZATION, ['{ "y": 1, "x": 0 }'])
    assert same.arm == '{"x":0,"y":1}'
    with pytest.raises(ConfigError, match="once"):
        updater.select(ModelType.PARAMETER_OPTIMIZATION, [{"x": 0, "y": 1}, {"y": 1, "x": 0}])


@pytest.mark.parametrize(
    ("model_type", "arms", "said"),
    [
        (ModelType.ROUTING, [], "nobody to choose from"),
        (ModelType.ROUTING, [{"a": 1}], "must be names"),
        (ModelType.AGENT_SELECTION, [""], "must be names"),
        (ModelType.AGENT_SELECTION, ["x" * 201], "must be names"),
        (ModelType.PARAMETER_OPTIMIZATION, ["hot"], "must be parameter sets"),
        (ModelType.PARAMETER_OPTIMIZATION, [3], "must be parameter sets"),
        (ModelType.PARAMETER_OPTIMIZATION, [{"x": {1}}], "what JSON can"),
        (ModelType.QUALITY_PREDICTION, ["a"], "chooses nothing"),
        ("rooting", ["a"], "did you mean routing"),
    ],
)
def test_what_cannot_be_chosen_is_refused(
    updater: RealTimeModelUpdater, model_type: Any, arms: list[Any], said: str
) -> None:
    """Before anything is recorded."""
    with pytest.raises(ConfigError, match=said):
        updater.select(model_type, arms)
    assert len(updater.circle.inbox) == 0


def test_outcomes_that_cannot_be_are_refused(updater: RealTimeModelUpdater) -> None:
    """The message names the field."""
    choice = updater.select_agent(candidates=["a"])
    with pytest.raises(InvalidEventError, match="accuracy_score"):
        updater.record_outcome(choice.decision_id, reward=1.5)
    with pytest.raises(ConfigError, match="give reward"):
        updater.record_outcome(choice.decision_id)
    with pytest.raises(UnknownNameError, match="never made"):
        updater.record_outcome("nobody's", reward=1.0)


def test_metrics_count_what_was_learnt_and_decided(updater: RealTimeModelUpdater) -> None:
    """Events, versions, retrainings, verdicts; all of it plain."""
    updater.submit_many(OutcomeEvent(agent_name="a", duration_ms=10.0) for _ in range(40))
    assert updater.trigger_retraining().success
    before = updater.get_metrics()
    assert before.updates["latency_prediction"] == 40
    assert before.on_trial == ("agent_selection",)
    assert (before.retrainings, before.promoted, before.rejected) == (1, 0, 0)
    updater.promote(ModelType.AGENT_SELECTION, 1, force=True)
    after = updater.get_metrics().to_dict()
    assert (after["promoted"], after["versions"]["agent_selection"]) == (1, 1)
    assert after["on_trial"] == []

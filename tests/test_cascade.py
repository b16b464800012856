"""Where an outcome can be checked: a cheap agent first, a dear one on failure."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.decisions.cascade import FILE, best_single, play
from hypothesis import given
from hypothesis import strategies as st

from selfright import MonitoredOrchestrator, OutcomeEvent, PerformanceMonitor, RealTimeModelUpdater
from selfright.errors import ConfigError
from selfright.learn.cascade import Chances, best_chain, choose, expected
from selfright.sources.matrix import load_matrix

CHANCE = st.floats(0, 1)


def _utility(chances: Chances, members: tuple[int, ...], value_usd: float) -> float:
    success, cost = expected(chances, members)
    return value_usd * success - cost


def _chances(first: Any, later: Any, cost: Any, sd: float = 0.0) -> Chances:
    spread = np.full(len(cost), sd)
    return Chances(np.array(first), spread, np.array(later), spread, np.array(cost))


@given(
    st.lists(st.tuples(CHANCE, CHANCE, st.floats(0, 2)), min_size=1, max_size=6),
    st.floats(0.1, 20),
)
def test_no_single_and_no_pair_is_better(
    agents: list[tuple[float, float, float]], value_usd: float
) -> None:
    """Held against every one of them."""
    chances = _chances(*map(list, zip(*agents, strict=True)))
    found = best_chain(chances.first, chances.later, chances.cost_usd, value_usd, 2)
    n = len(agents)
    every = [(i,) for i in range(n)] + list(itertools.permutations(range(n), 2))
    best = max(_utility(chances, members, value_usd) for members in every)
    assert _utility(chances, found, value_usd) == pytest.approx(best, abs=1e-9)
    assert len(set(found)) == len(found) <= 2


def test_further_agents_are_tried_while_they_are_worth_their_cost() -> None:
    """None twice, and none that costs more than it brings."""
    chances = _chances([0.5] * 4, [0.4, 0.5, 0.3, 0.01], [0.1, 0.1, 0.1, 0.1])
    found = best_chain(chances.first, chances.later, chances.cost_usd, 1.0, 9)
    assert 3 not in found
    assert len(found) == 3
    assert best_chain(chances.first, chances.later, chances.cost_usd, 1.0, 1) == (0,)


def test_the_first_is_drawn_from_the_probabilities() -> None:
    """Which sum to one and leave nobody out."""
    chances = _chances([0.6, 0.55, 0.1], [0.3, 0.3, 0.1], [0.1, 0.1, 0.1], sd=0.05)
    rng = np.random.default_rng(3)
    chains = [choose(chances, 1.0, 2, 0.01, rng) for _ in range(600)]
    mean = np.mean([chain.probabilities for chain in chains], axis=0)
    seen = np.bincount([chain.members[0] for chain in chains], minlength=3) / 600
    assert all(chain.probabilities.sum() == pytest.approx(1.0) for chain in chains)
    assert min(chain.probabilities.min() for chain in chains) > 0
    assert np.abs(mean - seen).max() < 0.07


def _fleet(folder: Path) -> tuple[PerformanceMonitor, RealTimeModelUpdater]:
    updater = RealTimeModelUpdater(model_storage_path=str(folder))
    return PerformanceMonitor(model_updater=updater, enable_auto_alerts=False), updater


def test_cheap_comes_first_and_the_dear_one_on_failure(tmp_path: Path) -> None:
    """As the runs say what each costs and how often it succeeds; value decides how far to go."""
    monitor, updater = _fleet(tmp_path)
    rng = np.random.default_rng(1)
    for i in range(300):
        for name, rate, cost in (("cheap", 0.6, 0.01), ("dear", 0.8, 0.5)):
            status = "success" if rng.random() < rate else "failure"
            monitor.record_agent_run(f"{name}{i}", name, "llm", status, 10.0, cost=cost)
    monitor.flush()
    found = updater.select_cascade(success_value_usd=5.0)
    assert found.agents == ("cheap", "dear")
    assert found.task_types == (None, "after failure")
    assert found.expected_cost_usd == pytest.approx(0.01 + 0.4 * 0.5, abs=0.05)
    assert found.decision.mode == "cascade"
    frugal = updater.select_cascade(success_value_usd=0.2)
    assert frugal.agents == ("cheap",)
    told = updater.select_cascade(success_value_usd=5.0, costs_usd={"dear": 0.0, "cheap": 0.5})
    assert told.agents[0] == "dear"
    monitor.close()


def test_who_comes_second_is_judged_apart(tmp_path: Path) -> None:
    """What others have failed at is hard: it makes nobody look worse at the task itself."""
    _, updater = _fleet(tmp_path)
    after = updater.select_cascade("plan", candidates=["dear", "cheap"]).task_types[-1]
    events = [("dear", "plan", 0.8), ("dear", "plan after failure", 0.2), ("cheap", "plan", 0.5)]
    updater.submit_many(
        OutcomeEvent(
            agent_name=name, task_type=kind, status="success" if i < 100 * p else "failure"
        )
        for i in range(100)
        for name, kind, p in events
    )
    model = updater.get_model("agent_selection")
    assert after == "plan after failure"
    assert model.mean_of(["dear"], ["plan"])[0] == pytest.approx(0.8, abs=0.06)
    assert model.mean_of(["dear"], [after])[0] == pytest.approx(0.2, abs=0.06)


def test_the_orchestrator_tries_until_the_check_passes(tmp_path: Path) -> None:
    """Each run is recorded with its cost; what the check refuses is a failure."""
    monitor, updater = _fleet(tmp_path)
    agents: dict[str, Callable[[int], Any]] = {
        "cheap": lambda task: {"answer": 0, "usd": 0.01},
        "dear": lambda task: {"answer": task, "usd": 0.5},
    }
    orchestrator = MonitoredOrchestrator(
        agents, monitor, updater, cost_of=lambda output: output["usd"]
    )

    async def right(output: dict[str, Any]) -> bool:
        return output["answer"] == 7

    for _ in range(40):
        found = orchestrator.run(7, "sum", strategy="cascade", check=right)
    assert found.ok
    assert found.agent_name == "dear"
    assert found.output == {"answer": 7, "usd": 0.5}
    metrics = monitor.get_all_agent_metrics()
    assert metrics["cheap"].metrics.success_rate == 0.0
    assert metrics["dear"].metrics.success_rate == 1.0
    assert metrics["dear"].metrics.cost_per_task == pytest.approx(0.5)
    assert "dear" in updater.select_cascade("sum", candidates=list(agents)).agents
    monitor.close()


@pytest.mark.parametrize("output", [lambda task: 1 / 0, lambda task: "wrong"])
def test_all_may_fail(tmp_path: Path, output: Callable[[Any], Any]) -> None:
    """That is a result with every attempt, not an exception."""
    monitor, updater = _fleet(tmp_path)
    orchestrator = MonitoredOrchestrator({"a": output, "b": output}, monitor, updater)
    found = orchestrator.run(1, strategy="cascade", check=lambda answer: answer == "right")
    assert not found.ok
    assert [result.status for result in found.results] == ["failure", "failure"]
    assert found.output is None
    assert found.results[0].decision_id is not None
    assert found.results[1].decision_id is None
    monitor.close()


def test_what_a_cascade_needs_is_named(tmp_path: Path) -> None:
    """An updater, a check, somebody to choose from, numbers in their range."""
    _, updater = _fleet(tmp_path)
    agents = {"a": lambda task: task}
    with pytest.raises(ConfigError, match="needs an updater and a check"):
        MonitoredOrchestrator(agents).run(1, strategy="cascade", check=bool)
    with pytest.raises(ConfigError, match="needs an updater and a check"):
        MonitoredOrchestrator(agents, updater=updater).run(1, strategy="cascade")
    for wrong in (
        {"success_value_usd": 0.0},
        {"max_agents": 0},
        {"costs_usd": {"a": -1.0}},
    ):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            updater.select_cascade(candidates=["a"], **wrong)
    with pytest.raises(ConfigError, match="nobody to choose from"):
        updater.select_cascade()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_on_real_coding_agents_a_cascade_earns_more(shared_data: Callable[[str], Path]) -> None:
    """Learnt from what was tried alone, it beats the best single agent known beforehand."""
    matrix = load_matrix(shared_data(FILE))
    value_usd = 1.0
    _, success, cost = best_single(matrix, value_usd)
    found = play(matrix, value_usd, max_agents=2, seed=0, tasks=1500)
    assert found.utility(value_usd) > value_usd * success - cost
    assert found.late_success > success

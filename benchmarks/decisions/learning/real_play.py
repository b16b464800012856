"""What is played on real data: one stream of one seed at a time, fit to run in another process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from benchmarks.decisions import real_data
from selfright.learn.backtest import Matrix, Report, Utility, backtest
from selfright.learn.choice import AgentSelection, ParameterOptimization
from selfright.learn.features import Features, features_of
from selfright.learn.samples import Samples
from selfright.learn.settings import LearnSettings
from selfright.sources.matrix import load_matrix

_MINT: Final = (
    "max_turns = 5 and gpt4_feedback = false and task_type not in ('alfworld','hotpotqa')"
)


@dataclass(frozen=True)
class Source:
    """A file as a full matrix, and what is to be reached on it.

    Attributes
    ----------
    whole, spread
        Least mean reward of 20,000 decisions; how far the worst seed may lie below the mean.
    once
        Least mean reward where each task comes once.
    """

    file: str
    whole: float
    once: float
    spread: float = 0.03
    options: dict[str, Any] = field(default_factory=dict)


# A plain Thompson sampler with the best fixed prior strength of each matrix, chosen with
# hindsight, earned ``whole`` + .005.
SOURCES: Final[dict[str, Source]] = {
    "LLMRouter": Source("llmrouter_default", 0.641, 0.617),
    "BFCL": Source("bfcl", 0.888, 0.845, options={"complete": "agents"}),
    "SWE-bench": Source("swebench_verified_mini", 0.736, 0.655),
    "MINT": Source("mint", 0.653, 0.43, 0.05, {"where": _MINT}),
    "RouteLLM": Source("routellm_mmlu", 0.805, 0.803),
}


def play(job: tuple[str, int | None, int, float]) -> Report:
    """Return one stream of a matrix: name, decisions, seed and the price of a dollar."""
    name, decisions, seed, w_cost = job
    return backtest(
        matrix_of(name), seeds=[seed], decisions=decisions, utility=Utility(w_cost=w_cost)
    )


def matrix_of(name: str) -> Matrix:
    """Return a source as a matrix, with costs where all of them are known."""
    source = SOURCES[name]
    found = load_matrix(real_data.file(f"{source.file}.parquet"), **source.options)
    whole_cost = found.cost_usd is not None and bool(np.isfinite(found.cost_usd).all())
    return Matrix(
        list(found.agents), list(found.task_types), found.reward,
        cost_usd=found.cost_usd if whole_cost else None,
    )  # fmt: skip


def play_solvers(job: tuple[str, int, int]) -> tuple[float, float, float, float]:
    """Return best single, oracle, whole stream and last quarter of a scenario of ASlib."""
    scenario, decisions, seed = job
    report = backtest(solvers_of(scenario), seeds=[seed], decisions=decisions)
    learned = report.learned
    return (
        report.best_single.utility, report.oracle.utility, float(learned.whole[0]),
        float(learned.last_quarter[0]),
    )  # fmt: skip


def solvers_of(scenario: str) -> Matrix:
    """Return a scenario of ASlib: the tasks that all its solvers were run on, with features."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    rows = pq.read_table(real_data.file("aslib.parquet"), filters=[("task_type", "=", scenario)])
    agents, tasks = (
        sorted(pc.unique(rows[name]).to_pylist()) for name in ("agent_name", "task_id")
    )
    place = {name: i for i, name in enumerate(agents)}, {name: i for i, name in enumerate(tasks)}
    reward = np.full((len(agents), len(tasks)), np.nan)
    for agent, task, earned in zip(
        *(rows[name].to_pylist() for name in ("agent_name", "task_id", "reward")), strict=True
    ):
        reward[place[0][agent], place[1][task]] = np.nan if earned is None else earned
    full = np.isfinite(reward).all(axis=0)
    known = _features_of(scenario, set(tasks))
    features: list[Features | None] = [
        features_of(known.get(task))
        for task, kept in zip(tasks, full.tolist(), strict=True)
        if kept
    ]
    return Matrix(agents, [scenario] * int(full.sum()), reward[:, full], features=features)


def _features_of(scenario: str, tasks: set[str]) -> dict[str, dict[str, float]]:
    import pyarrow.parquet as pq

    path, found = real_data.file("aslib_features_long.parquet"), dict[str, dict[str, float]]()
    filters = [("task_type", "=", scenario)] if "task_type" in pq.read_schema(path).names else None
    columns = pq.read_table(path, columns=["task_id", "feature", "value"], filters=filters)
    for task, name, value in zip(*(column.to_pylist() for column in columns.columns), strict=True):
        if value is not None and task in tasks:
            found.setdefault(task, {})[name] = value
    return found


def play_drift(job: tuple[str, int]) -> float:
    """Return the mean reward over both versions of two agents, one after the other."""
    task_type, seed = job
    phases = phases_of(task_type)
    rng, earned = np.random.default_rng(seed), []
    model = AgentSelection(settings=LearnSettings.alone())
    for reward in phases:
        agents = sorted(reward)
        tasks = [task for task in reward[agents[0]] if all(task in reward[a] for a in agents)]
        for at in rng.permutation(len(tasks)).tolist():
            agent = agents[model.select(agents, None, rng).index]
            got = reward[agent][tasks[at]]
            if got is not None:
                earned.append(got)
                model.update(Samples.of([agent], [None], [got]))
    return float(np.mean(earned))


def phases_of(task_type: str) -> list[dict[str, dict[str, float | None]]]:
    """Return for the old and the new versions: reward by agent and task, in the file's order."""
    import pyarrow.parquet as pq

    columns = ["agent_name", "agent_version", "task_id", "reward"]
    rows = pq.read_table(
        real_data.file("llmdrift.parquet"),
        columns=columns,
        filters=[("task_type", "=", task_type)],
    )
    phases: list[dict[str, dict[str, float | None]]] = [{}, {}]
    for agent, version, task, reward in zip(
        *(column.to_pylist() for column in rows.columns), strict=True
    ):
        phases["03" not in version].setdefault(agent, {})[task] = reward
    return phases


def play_parameters(seed: int) -> list[float]:
    """Return by agent how far the budget believed best is below the best, after one pass."""
    reward = _budgets()
    rng, model = np.random.default_rng(seed), ParameterOptimization()
    arms = [f'{{"max_turns":{turns}}}' for turns in range(1, 6)]
    pairs = [(agent, task) for agent, tasks in reward.items() for task in tasks]
    for at in rng.permutation(len(pairs)).tolist():
        agent, task = pairs[at]
        chosen = model.select(arms, agent, rng).index
        model.update(Samples.of([arms[chosen]], [agent], [float(reward[agent][task][chosen])]))
    gaps = []
    for agent, tasks in reward.items():
        mean = np.mean(list(tasks.values()), axis=0)
        believed = model.posterior(arms, agent)[0]
        gaps.append(float(mean.max() - mean[int(believed.argmax())]))
    return gaps


def _budgets() -> dict[str, dict[str, list[float]]]:
    """Return the rewards with 1..5 turns by agent and task, where all are known."""
    import pyarrow.parquet as pq

    columns = ["agent_name", "task_type", "task_id", "max_turns", "gpt4_feedback", "reward"]
    found: dict[str, dict[str, dict[int, float]]] = {}
    for row in pq.read_table(real_data.file("mint.parquet"), columns=columns).to_pylist():
        if not row["gpt4_feedback"] and row["task_type"] not in {"alfworld", "hotpotqa"}:
            by_task = found.setdefault(row["agent_name"], {})
            by_task.setdefault(row["task_id"], {})[row["max_turns"]] = row["reward"]
    full = {
        agent: {
            task: [by[turns] for turns in range(1, 6)] for task, by in tasks.items() if len(by) == 5
        }
        for agent, tasks in found.items()
    }
    return {agent: tasks for agent, tasks in full.items() if tasks}

"""What the selection earns on real matrices of agents and tasks, told only what it chose.

``python -m benchmarks.decisions.learning.real [--quick] [--seeds N] [--write]``; half an hour
on two cores. Exit code 1 if a target is missed. The data is not part of the project: it is looked
for in ``SELFRIGHT_SHARED_DATA``, or in ``shared/data`` beside the checkout.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

import selfright
from benchmarks.decisions.learning.page import thousandths
from benchmarks.decisions.learning.season import processes
from benchmarks.decisions.table import Cell, Effort, Section
from selfright.learn.backtest import Matrix, Report, Utility, backtest
from selfright.learn.choice import AgentSelection, ParameterOptimization
from selfright.learn.features import Features, features_of
from selfright.learn.samples import Samples
from selfright.learn.settings import LearnSettings
from selfright.sources.matrix import load_matrix

PAGE: Final = Path(__file__).resolve().parents[3] / "docs" / "benchmarks" / "learning_real.md"
DECISIONS: Final = 20_000
SEEDS: Final = 20

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


def data() -> Path:
    """Return the folder that should hold the data."""
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    return Path(os.environ.get("SELFRIGHT_SHARED_DATA", beside))


# ---- what runs in the processes ------------------------------------------------------


def _play(job: tuple[str, int | None, int, float]) -> Report:
    """Return one stream of a matrix: name, decisions, seed and the price of a dollar."""
    name, decisions, seed, w_cost = job
    return backtest(
        _matrix(name), seeds=[seed], decisions=decisions, utility=Utility(w_cost=w_cost)
    )


def _matrix(name: str) -> Matrix:
    source = SOURCES[name]
    found = load_matrix(data() / f"{source.file}.parquet", **source.options)
    whole_cost = found.cost_usd is not None and bool(np.isfinite(found.cost_usd).all())
    return Matrix(
        list(found.agents), list(found.task_types), found.reward,
        cost_usd=found.cost_usd if whole_cost else None,
    )  # fmt: skip


def _play_aslib(job: tuple[str, int, int]) -> tuple[float, float, float, float]:
    """Return best single, oracle, whole stream and last quarter of a scenario of ASlib."""
    scenario, decisions, seed = job
    report = backtest(_aslib(scenario), seeds=[seed], decisions=decisions)
    learned = report.learned
    return (
        report.best_single.utility, report.oracle.utility, float(learned.whole[0]),
        float(learned.last_quarter[0]),
    )  # fmt: skip


def _aslib(scenario: str) -> Matrix:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    rows = pq.read_table(data() / "aslib.parquet", filters=[("task_type", "=", scenario)])
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
    known = _aslib_features(scenario, set(tasks))
    features: list[Features | None] = [
        features_of(known.get(task))
        for task, kept in zip(tasks, full.tolist(), strict=True)
        if kept
    ]
    return Matrix(agents, [scenario] * int(full.sum()), reward[:, full], features=features)


def _aslib_features(scenario: str, tasks: set[str]) -> dict[str, dict[str, float]]:
    import pyarrow.parquet as pq

    path, found = data() / "aslib_features_long.parquet", dict[str, dict[str, float]]()
    filters = [("task_type", "=", scenario)] if "task_type" in pq.read_schema(path).names else None
    columns = pq.read_table(path, columns=["task_id", "feature", "value"], filters=filters)
    for task, name, value in zip(*(column.to_pylist() for column in columns.columns), strict=True):
        if value is not None and task in tasks:
            found.setdefault(task, {})[name] = value
    return found


def _play_drift(job: tuple[str, int]) -> float:
    """Return the mean reward over both versions of two agents, one after the other."""
    task_type, seed = job
    phases = _llmdrift(task_type)
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


def _llmdrift(task_type: str) -> list[dict[str, dict[str, float | None]]]:
    """Return for the old and the new versions: reward by agent and task, in the file's order."""
    import pyarrow.parquet as pq

    columns = ["agent_name", "agent_version", "task_id", "reward"]
    rows = pq.read_table(
        data() / "llmdrift.parquet", columns=columns, filters=[("task_type", "=", task_type)]
    )
    phases: list[dict[str, dict[str, float | None]]] = [{}, {}]
    for agent, version, task, reward in zip(
        *(column.to_pylist() for column in rows.columns), strict=True
    ):
        phases["03" not in version].setdefault(agent, {})[task] = reward
    return phases


def _play_parameters(seed: int) -> tuple[list[float], list[str]]:
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
    return gaps, list(reward)


def _budgets() -> dict[str, dict[str, list[float]]]:
    """Return the rewards with 1..5 turns by agent and task, where all are known."""
    import pyarrow.parquet as pq

    columns = ["agent_name", "task_type", "task_id", "max_turns", "gpt4_feedback", "reward"]
    found: dict[str, dict[str, dict[int, float]]] = {}
    for row in pq.read_table(data() / "mint.parquet", columns=columns).to_pylist():
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


# ---- sections ------------------------------------------------------------------------


class Bench:
    """The sections, played on processes."""

    def __init__(self, pool: ProcessPoolExecutor, effort: Effort, seeds: int) -> None:
        self._pool, self._effort, self._seeds = pool, effort, range(seeds)
        self._decisions = effort(DECISIONS, 300)

    def sections(self) -> list[Section]:
        """Return all of them."""
        return [
            self._matrices(), self._once(), self._cost(), self._solvers(), self._drift(),
            self._parameters(),
        ]  # fmt: skip

    def _map(self, play: Callable[[Any], Any], jobs: Iterable[Any]) -> list[Any]:
        return list(self._pool.map(play, list(jobs)))

    def _matrices(self) -> Section:
        section = Section(
            "matrices",
            "Tasks drawn again and again",
            f"{self._decisions:,} tasks drawn with replacement; the mean reward of a decision.",
            ["agents", "tasks", "whole stream", "worst seed", "last quarter", *_REFERENCES],
        )
        for name, source in SOURCES.items():
            jobs = [(name, self._decisions, seed, 0.0) for seed in self._seeds]
            reports = self._map(_play, jobs)
            whole = np.array([report.learned.whole[0] for report in reports])
            last = np.mean([report.learned.last_quarter[0] for report in reports])
            matrix = _matrix(name)
            section.add(
                name,
                [
                    Cell(f"{len(matrix.agents)}"),
                    Cell(f"{len(matrix.task_types):,}"),
                    _least(float(whole.mean()), source.whole),
                    _least(float(whole.min()), float(whole.mean()) - source.spread),
                    Cell(thousandths(float(last))),
                    *_references(reports[0]),
                ],
            )
        return section

    def _once(self) -> Section:
        section = Section(
            "once",
            "Each task once, in random order",
            "Few decisions an agent: 13 on BFCL and SWE-bench.",
            ["decisions", "whole stream", "worst seed", *_REFERENCES],
        )
        for name, source in SOURCES.items():
            reports = self._map(_play, [(name, None, seed, 0.0) for seed in self._seeds])
            whole = np.array([report.learned.whole[0] for report in reports])
            section.add(
                name,
                [
                    Cell(f"{len(_matrix(name).task_types):,}"),
                    _least(float(whole.mean()), source.once),
                    Cell(thousandths(float(whole.min()))),
                    *_references(reports[0]),
                ],
            )
        return section

    def _cost(self) -> Section:
        section = Section(
            "cost",
            "A dollar is worth a solved task",
            "SWE-bench, reward less 1.0 for each dollar, a solved task being worth 1.",
            ["whole stream", "last quarter", "USD a decision", *_REFERENCES],
        )
        reports = self._map(_play, [("SWE-bench", self._decisions, s, 1.0) for s in self._seeds])
        learned = [report.learned for report in reports]
        section.add(
            "SWE-bench",
            [
                _least(
                    float(np.mean([one.whole[0] for one in learned])),
                    reports[0].best_single.utility,
                ),
                Cell(thousandths(float(np.mean([one.last_quarter[0] for one in learned])))),
                Cell(f"{np.mean([one.cost[0] for one in learned]):.2f}"),
                *_references(reports[0]),
            ],
        )
        return section

    def _solvers(self) -> Section:
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        section = Section(
            "aslib",
            "Solvers, by the features of their tasks",
            "ASlib: how much of the way from the best single solver to the best for each task is "
            f"closed over {self._decisions:,} decisions, contexts being the published features.",
            ["best single", "best per task", "closed, whole stream", "closed, last quarter"],
        )
        column = pq.read_table(data() / "aslib.parquet", columns=["task_type"])["task_type"]
        scenarios, seeds = sorted(pc.unique(column).to_pylist()), self._seeds[:2]
        jobs = [(name, self._decisions, seed) for name in scenarios for seed in seeds]
        played = np.array(self._map(_play_aslib, jobs)).reshape(len(scenarios), len(seeds), 4)
        single, oracle, whole, last = played.mean(axis=1).T
        closed = (whole - single) / (oracle - single), (last - single) / (oracle - single)
        for i, name in enumerate(scenarios):
            section.add(
                name,
                [
                    Cell(thousandths(float(single[i]))),
                    Cell(thousandths(float(oracle[i]))),
                    *[Cell(f"{share[i]:.0%}") for share in closed],
                ],
            )
        mean = [float(share.mean()) for share in closed]
        cell = Cell(f"{mean[0]:.0%}", ">= 50 %", mean[0] >= 0.5)
        section.add("mean", [Cell(""), Cell(""), cell, Cell(f"{mean[1]:.0%}")])
        return section

    def _drift(self) -> Section:
        section = Section(
            "llmdrift",
            "Two agents that were replaced by new versions",
            "LLMDrift, GPT-3.5 and GPT-4 of March, then of June 2023; no version is told.",
            ["mean", "worst seed"],
        )
        for task_type, target in (("prime", 0.732), ("opinion_survey", 0.961)):
            earned = np.array(self._map(_play_drift, [(task_type, seed) for seed in self._seeds]))
            cells = [_least(float(earned.mean()), target), Cell(thousandths(float(earned.min())))]
            section.add(task_type, cells)
        return section

    def _parameters(self) -> Section:
        section = Section(
            "parameters",
            "How many turns an agent gets",
            "MINT, budgets of 1 to 5 turns, one pass: how far the budget that is believed best is "
            "below the agent's best.",
            ["agents", "mean", "agents within .02"],
        )
        gaps = np.array([played[0] for played in self._map(_play_parameters, self._seeds)])
        mean = float(gaps.mean())
        cells = [
            Cell(f"{gaps.shape[1]}"),
            Cell(thousandths(mean), "<= .020", mean <= 0.02),
            Cell(f"{(gaps <= 0.02).mean():.0%}"),
        ]
        section.add("MINT", cells)
        return section


_REFERENCES: Final = ("random", "best single", "best per type", "best per task")


def _references(report: Report) -> list[Cell]:
    known = (report.random, report.best_single, report.best_per_type, report.oracle)
    return [Cell(thousandths(reference.utility)) for reference in known]


def _least(value: float, target: float) -> Cell:
    return Cell(thousandths(value), f">= {thousandths(target)}", held=value >= target)


_HEAD: Final = """\
# Which agent gets a task? On real data

Matrices of what agents achieved on the same tasks. The selection is told the reward of the agent
it chose and nothing else; it plays with the settings of a model by itself, the same everywhere.
Means of {seeds} seeds ({aslib} of ASlib). The last three columns of a table know the future.

```
python -m benchmarks.decisions.learning.real --write
```

Written by that command; not edited by hand. Selfright {version}. The data is not part of the
project, as its licences differ.

{missed} of {n} targets are missed.

{sections}
"""


def page(sections: Sequence[Section], seeds: int) -> str:
    """Return the page in Markdown."""
    return _HEAD.format(
        seeds=seeds,
        aslib=min(2, seeds),
        version=selfright.__version__,
        missed=sum(len(section.missed()) for section in sections),
        n=sum(len(section.targets()) for section in sections),
        sections="\n\n".join(section.page() for section in sections),
    )


def main() -> int:
    """Print what is measured beside its target; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions.learning.real")
    parser.add_argument("--quick", action="store_true", help="seconds; shows that it works")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="streams of each matrix")
    parser.add_argument("--write", action="store_true", help="write the page of the documentation")
    options = parser.parse_args()
    if options.seeds < 1:
        parser.error(f"--seeds {options.seeds}: must be at least 1")
    if options.write and (options.quick or options.seeds != SEEDS):
        parser.error("--write wants all of it: no --quick, no --seeds")
    if not (data() / "bfcl.parquet").exists():
        print(f"No data in {data()}; set SELFRIGHT_SHARED_DATA to the folder that has it.")
        return 0
    effort = Effort(options.quick)
    seeds = effort(options.seeds, 2)
    with processes() as pool:
        sections = Bench(pool, effort, seeds).sections()
    if options.write:
        PAGE.write_text(page(sections, seeds), encoding="utf-8")
    missed = [line for section in sections for line in section.missed()]
    print(f"\n{len(missed)} missed" + "".join(f"\nMISSED  {line}" for line in missed))
    return 1 if missed and not options.quick else 0


if __name__ == "__main__":
    sys.exit(main())

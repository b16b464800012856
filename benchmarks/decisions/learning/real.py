"""What the selection earns on real matrices of agents and tasks, told only what it chose.

``python -m benchmarks.decisions.learning.real [--quick] [--seeds N] [--write]``; half an hour
on two cores. Exit code 1 if a target is missed. The data is not part of the project: it is looked
for in ``SELFRIGHT_SHARED_DATA``, or in ``shared/data`` beside the checkout.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np

import selfright
from benchmarks.decisions import real_data
from benchmarks.decisions.learning.page import thousandths
from benchmarks.decisions.learning.real_play import (
    SOURCES,
    matrix_of,
    play,
    play_drift,
    play_parameters,
    play_solvers,
)
from benchmarks.decisions.learning.season import processes
from benchmarks.decisions.table import Cell, Effort, Section
from selfright.learn.backtest import Report

PAGE: Final = Path(__file__).resolve().parents[3] / "docs" / "benchmarks" / "learning_real.md"
DECISIONS: Final = 20_000
SEEDS: Final = 20
FILES: Final = (
    *(f"{source.file}.parquet" for source in SOURCES.values()),
    "aslib.parquet", "aslib_features_long.parquet", "llmdrift.parquet",
)  # fmt: skip


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
            reports = self._map(play, jobs)
            whole = np.array([report.learned.whole[0] for report in reports])
            last = np.mean([report.learned.last_quarter[0] for report in reports])
            matrix = matrix_of(name)
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
            reports = self._map(play, [(name, None, seed, 0.0) for seed in self._seeds])
            whole = np.array([report.learned.whole[0] for report in reports])
            section.add(
                name,
                [
                    Cell(f"{len(matrix_of(name).task_types):,}"),
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
        reports = self._map(play, [("SWE-bench", self._decisions, s, 1.0) for s in self._seeds])
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
        column = pq.read_table(real_data.file("aslib.parquet"), columns=["task_type"])["task_type"]
        scenarios, seeds = sorted(pc.unique(column).to_pylist()), self._seeds[:2]
        jobs = [(name, self._decisions, seed) for name in scenarios for seed in seeds]
        played = np.array(self._map(play_solvers, jobs)).reshape(len(scenarios), len(seeds), 4)
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
            earned = np.array(self._map(play_drift, [(task_type, seed) for seed in self._seeds]))
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
        gaps = np.array(self._map(play_parameters, self._seeds))
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
    missing = real_data.absent(*FILES)
    if missing is not None:
        print(f"Nothing is measured: {missing}.")
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

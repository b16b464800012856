"""Cheap agent first, dear one on failure, beside the best single agent, on a real matrix.

``python -m benchmarks.decisions.cascade`` plays SWE-bench Verified: 25 coding agents, whether
each solved each of 315 issues, and what it really cost. Every issue is drawn with
replacement; only what was tried is seen. Run it with ``--seeds 3`` for a quicker look.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.decisions import real_data
from selfright import PerformanceMonitor, RealTimeModelUpdater
from selfright.config import Settings, with_values
from selfright.sources.matrix import load_matrix

if TYPE_CHECKING:
    from selfright.sources.matrix import Matrix

FILE: Final = "swebench_verified_mini.parquet"
TASKS: Final = 3000
VALUES_USD: Final = (1.0, 10.0)


@dataclass(frozen=True, slots=True)
class Played:
    """Mean success and cost per task, over the whole stream and its last quarter."""

    success: float
    cost_usd: float
    late_success: float
    late_cost_usd: float

    def utility(self, value_usd: float) -> float:
        """Return what a task earned in the last quarter, in dollars."""
        return value_usd * self.late_success - self.late_cost_usd


def play(
    matrix: Matrix, value_usd: float, max_agents: int, seed: int, tasks: int = TASKS
) -> Played:
    """Choose chains for ``tasks`` tasks drawn with replacement; learn from what was tried."""
    assert matrix.cost_usd is not None
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(matrix.tasks), size=tasks).tolist()
    settings = with_values(Settings(), {"learn.seed": seed})
    row = {name: i for i, name in enumerate(matrix.agents)}
    success, cost = np.zeros(tasks), np.zeros(tasks)
    with tempfile.TemporaryDirectory() as folder:
        updater = RealTimeModelUpdater(model_storage_path=folder, settings=settings, batch_size=1)
        monitor = PerformanceMonitor(
            model_updater=updater, enable_auto_alerts=False, settings=settings
        )
        for t, task in enumerate(drawn):
            chain = updater.select_cascade(
                candidates=matrix.agents, success_value_usd=value_usd, max_agents=max_agents
            )
            for step, (name, task_type) in enumerate(
                zip(chain.agents, chain.task_types, strict=True)
            ):
                solved = bool(matrix.reward[row[name], task] > 0.5)
                paid = max(0.0, float(np.nan_to_num(matrix.cost_usd[row[name], task])))
                monitor.record_agent_run(
                    f"{t}-{step}", name, "coder", "success" if solved else "failure", 1.0,
                    cost=paid, task_type=task_type,
                )  # fmt: skip
                cost[t] += paid
                if solved:
                    success[t] = 1.0
                    break
        monitor.close()
    late = slice(-tasks // 4, None)
    return Played(
        float(success.mean()), float(cost.mean()), float(success[late].mean()),
        float(cost[late].mean()),
    )  # fmt: skip


def best_single(matrix: Matrix, value_usd: float) -> tuple[str, float, float]:
    """Return the agent of the highest utility with its mean success and cost, all known."""
    assert matrix.cost_usd is not None
    success, cost = matrix.reward.mean(axis=1), np.nanmean(matrix.cost_usd, axis=1)
    best = int(np.argmax(value_usd * success - cost))
    return matrix.agents[best], float(success[best]), float(cost[best])


def best_pair(matrix: Matrix, value_usd: float) -> tuple[str, str, float, float]:
    """Return the fixed pair of the highest utility, chosen with everything known."""
    assert matrix.cost_usd is not None
    solved, cost = matrix.reward > 0.5, np.nan_to_num(matrix.cost_usd)
    found = (-np.inf, 0, 0, 0.0, 0.0)
    for a in range(len(solved)):
        any_solved = (solved[a] | solved).mean(axis=1)
        paid = cost[a].mean() + (~solved[a] * cost).mean(axis=1)
        utility = value_usd * any_solved - paid
        b = int(np.argmax(utility))
        found = max(found, (float(utility[b]), a, b, float(any_solved[b]), float(paid[b])))
    return matrix.agents[found[1]], matrix.agents[found[2]], found[3], found[4]


def main() -> None:
    """Print one line per way to choose and value of a success."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--data", default=real_data.folder())
    asked = parser.parse_args()
    matrix = load_matrix(Path(asked.data) / FILE)
    for value_usd in VALUES_USD:
        print(f"a success is worth ${value_usd:g}")
        name, success, cost = best_single(matrix, value_usd)
        print(f"  best single, known ({name}): {success:.3f} at ${cost:.3f}")
        first, second, success, cost = best_pair(matrix, value_usd)
        print(f"  best pair, known ({first}, {second}): {success:.3f} at ${cost:.3f}")
        for max_agents in (1, 2):
            runs = [play(matrix, value_usd, max_agents, seed) for seed in range(asked.seeds)]
            late = [run.utility(value_usd) for run in runs]
            print(
                f"  learnt, up to {max_agents}: whole {np.mean([r.success for r in runs]):.3f} at "
                f"${np.mean([r.cost_usd for r in runs]):.3f}; last quarter "
                f"{np.mean([r.late_success for r in runs]):.3f} at "
                f"${np.mean([r.late_cost_usd for r in runs]):.3f}, "
                f"utility {np.mean(late):.3f} (worst {min(late):.3f})"
            )


if __name__ == "__main__":
    main()

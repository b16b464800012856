"""What simple policies earn that learn nothing: chance, and two that know the future."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from benchmarks.decisions.learning.play import score
from benchmarks.decisions.learning.problems import Bools, Floats, Ints, Problem


def known(problems: Iterable[Problem]) -> dict[str, list[float]]:
    """Return the score of every reference on every problem.

    Where agents come and go, the best is the best of those that are there.
    """
    found: dict[str, list[float]] = {
        "a random choice": [],
        "best single agent (knows the future)": [],
        "best agent per task type (likewise)": [],
    }
    for problem in problems:
        single = _best(problem, np.zeros_like(problem.task_type))
        scores = (
            _random(problem),
            score(problem, single),
            score(problem, _best(problem, problem.task_type)),
        )
        for one, value in zip(found.values(), scores, strict=True):
            one.append(value)
    return found


def _random(problem: Problem) -> float:
    there = np.where(problem.available, problem.expected, np.nan)
    return float(np.nanmean(there, axis=1).sum() / problem.oracle.sum())


def _best(problem: Problem, group: Ints) -> Ints:
    """Return at every decision the agent that is best over all decisions of its group."""
    chosen = np.empty(len(group), dtype=np.int64)
    for one in np.unique(group):
        rows = group == one
        mean = _mean(problem.expected[rows], problem.available[rows])
        chosen[rows] = np.where(problem.available[rows], mean, -np.inf).argmax(axis=1)
    return chosen


def _mean(expected: Floats, available: Bools) -> Floats:
    """Return the mean of every agent while it is there."""
    return (expected * available).sum(axis=0) / np.maximum(available.sum(axis=0), 1)

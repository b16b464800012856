"""One policy on one problem: what it chose, what that was worth, how soon it was back.

A policy sees what it would see in life: who may be chosen, the task's type and features, and the
reward of whom it chose once that is heard. What it earns is counted in expected utility, so that
the luck of outcomes does not blur the score.
"""

from __future__ import annotations

import time
from collections import defaultdict
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from benchmarks.decisions.learning.policies import Decision, New, Setup, Task
from benchmarks.decisions.learning.problems import Floats, Ints, Problem

WINDOW: Final = 100  # decisions over which it is judged whether a policy is back
BACK: Final = 0.95  # of what the oracle earns


class Played(NamedTuple):
    """What came of it.

    Attributes
    ----------
    score
        Expected utility of what was chosen, over that of the oracle.
    microseconds
        Of processor time per decision: choosing and learning.
    back
        By kind of moment: for each, the decisions until the latest ``WINDOW`` of them, all after
        the moment, earned ``BACK`` of the oracle; inf: not before the next moment.
    """

    score: float
    microseconds: float
    back: dict[str, list[float]]


def play(problem: Problem, new: New, seed: int) -> Played:
    """Return how a new policy fares on a problem."""
    policy = new(Setup(problem.agents, problem.types, problem.context.shape[1], seed))
    tasks = _tasks(problem)
    reward, index = problem.reward, {name: i for i, name in enumerate(problem.agents)}
    # Whether an outcome is late or lost is the task's fate, whoever is chosen.
    due = (np.arange(len(tasks)) + problem.heard_after).tolist()
    waiting: dict[int, list[tuple[Decision, float]]] = defaultdict(list)
    chosen = np.empty(len(tasks), dtype=np.int64)
    began = time.process_time()
    for at, task in enumerate(tasks):
        decision = policy.choose(task)
        chosen[at] = agent = index[decision.agent]
        waiting[due[at]].append((decision, float(reward[at, agent])))
        for heard in waiting.pop(at, ()):
            policy.learn(*heard)
    spent = time.process_time() - began
    return Played(score(problem, chosen), 1e6 * spent / len(tasks), back(problem, chosen))


def score(problem: Problem, chosen: Ints) -> float:
    """Return what was earned over what the oracle earns."""
    return float(_earned(problem, chosen).sum() / problem.oracle.sum())


def back(problem: Problem, chosen: Ints) -> dict[str, list[float]]:
    """Return after how many decisions behind each moment the policy was back, by kind."""
    earned, oracle = _earned(problem, chosen), problem.oracle
    starts = [*(moment.at for moment in problem.moments), len(chosen)]
    found: dict[str, list[float]] = defaultdict(list)
    for moment, (start, end) in zip(problem.moments, pairwise(starts), strict=True):
        part = slice(start, end)
        found[moment.kind].append(_first(earned[part], oracle[part]))
    return dict(found)


def _first(earned: Floats, oracle: Floats) -> float:
    if len(earned) < WINDOW:
        return np.inf
    ones = np.ones(WINDOW)
    held = np.convolve(earned, ones, "valid") >= BACK * np.convolve(oracle, ones, "valid")
    return float(held.argmax() + WINDOW) if held.any() else np.inf


def _earned(problem: Problem, chosen: Ints) -> Floats:
    at = np.arange(len(chosen))
    if not problem.available[at, chosen].all():
        raise AssertionError("an agent was chosen that was not there")
    return problem.expected[at, chosen]


def _tasks(problem: Problem) -> list[Task]:
    """Return the tasks in order; tasks that have the same candidates share one list of them."""
    changed = (problem.available[1:] != problem.available[:-1]).any(axis=1)
    starts = [0, *(np.flatnonzero(changed) + 1).tolist(), len(changed) + 1]
    vectors = problem.vectors
    tasks: list[Task] = []
    for start, end in pairwise(starts):
        rows = problem.available[start]
        candidates = tuple(a for a, there in zip(problem.agents, rows, strict=True) if there)
        tasks += [
            Task(candidates, problem.types[problem.task_type[at]], problem.context[at], vectors[at])
            for at in range(start, end)
        ]
    return tasks

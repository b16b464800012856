"""What an update costs, beside River in the same run, and what ten thousand agents weigh.

Times stand on the page as ratios only, for they are the machine's; what they are in microseconds
here is printed.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from enum import Enum
from functools import partial
from types import FunctionType, ModuleType
from typing import Any, Final

import numpy as np

from benchmarks.decisions.detection import acting, ours, peers, streams
from benchmarks.decisions.detection.ours import SECOND_US
from benchmarks.decisions.table import Cell, Effort, Section, bounded, short
from selfright.detect.certainty.bets import RATE_BETS, grade, values
from selfright.detect.certainty.fleet import QUANTITIES, Certainty, Rows
from selfright.detect.certainty.lane import Lane
from selfright.detect.certainty.rates import REFERENCES
from selfright.detect.detection import WatchedMetric
from selfright.detect.watch import FleetWatch

W = WatchedMetric
_BOUNDS: Final = {W.SUCCESS_RATE: 0.8, W.ERROR_RATE: 0.85, W.ACCURACY: ours.THRESHOLD}
_OF_A_RUN: Final = tuple(metric for metric in W if metric is not W.ACCURACY)
# What a process has once, however many agents there are.
_SHARED: Final = (type, ModuleType, FunctionType, Enum)
_TOP: Final = "HDDM_W"
_EVERY_S: Final = 10  # an outcome of an agent, while memory fills
# Budgets as shares of HDDM_W; 3.1 us where the budgets in microseconds were set.
_VECTORISED, _RUN = 0.12 / 3.1, 2.0 / 3.1


def cost(effort: Effort) -> list[Section]:
    """Time of an update as a ratio to HDDM_W."""
    section = Section(
        "cost",
        "Cost of an update",
        "As a multiple of one update of River's HDDM_W in the same run; the best of several "
        "rounds. Vectorised: 200 agents, 50 outcomes each in a block.",
        ["ratio"],
    )
    us = _times(effort)
    print("  here, in us: " + ", ".join(f"{who} {t:.3f}" for who, t in us.items()), flush=True)
    top = us.get(_TOP)
    if top is None:
        section.note(f"Left out, for it is relative to it: {peers.WITHOUT}.")
        return [section]
    limits = {"one detector, alone": 0.7, "one detector, vectorised": _VECTORISED}
    limits["all of a run: certainty"] = limits["all of a run: watch and certainty"] = _RUN
    for who, t in us.items():
        ratio, most = t / top, limits.get(who)
        text = f"{ratio:.3g}".removeprefix("0") + " x"
        target = "" if most is None else f"<= {most:.2g}".replace("0.", ".", 1) + " x"
        section.add(who, [bounded(text, ratio, most, target) if most else Cell(text)])
    section.note(
        "Vectorised and all of a run: the budgets are .12 us and 2 us where HDDM_W takes 3.1 us. "
        "A run has six metrics: 12 detectors of certainty, and windows and Beta rules of the agent "
        "and of the fleet."
    )
    return [section]


def memory(effort: Effort) -> list[Section]:
    """Memory of all detectors of ten thousand agents."""
    agents, each = effort(10_000, 60), effort(500, 300)
    section = Section(
        "memory",
        "Memory of 10,000 agents",
        f"All detector state of {agents:,} agents, of which each has had {each:,} outcomes, one "
        "per 10 s: windows, rings and baselines are full or allotted in full by then.",
        ["accuracy alone", "a run's six metrics and accuracy"],
    )
    watch, certain = [], []
    for metrics in ((W.ACCURACY,), tuple(W)):
        certain.append(_weigh(partial(_certain, metrics, agents, each)) / 1e6)
        watch.append(_weigh(partial(_watched, metrics, agents, each)) / 1e6)
    section.add("certainty", [Cell(f"{short(mb)} MB") for mb in certain])
    section.add("watch: windows and Beta rules", [Cell(f"{short(mb)} MB") for mb in watch])
    both = [a + b for a, b in zip(certain, watch, strict=True)]
    section.add("together", [bounded(f"{short(mb)} MB", mb, 100, "<= 100 MB") for mb in both])
    return [section]


def _times(effort: Effort) -> dict[str, float]:
    """Return microseconds per update; the rounds take turns, so that all meet the same noise."""
    n = effort(20_000, 1000)
    x = streams.outcomes(streams.chance("cost"), np.full(n, 0.9), 1)[0]
    blocks = [_block((W.ACCURACY,), 200, i) for i in range(effort(10, 2))]
    runs = [_block(_OF_A_RUN, 200, i) for i in range(effort(10, 2))]
    of_runs = sum(len(block.agent) for block in runs)
    detectors = len(REFERENCES) * sum(len(block.agent) for block in blocks)
    jobs: dict[str, tuple[Callable[[], float], float]] = {
        "one detector, alone": (lambda: _alone(x.tolist()), n),
        "one detector, vectorised": (lambda: _fed(_warm((W.ACCURACY,)), blocks), detectors),
        "all of a run: certainty": (lambda: _fed(_warm(_OF_A_RUN), runs), of_runs),
        "all of a run: watch": (lambda: _watched_runs(runs), of_runs),
    }
    for peer in peers.river():
        if peer.name in {_TOP, "ADWIN", "KSWIN"}:
            given = (1.0 - x if peer.counts_errors else x).tolist()
            given = given[: max(300, n // 10)] if peer.share < 1.0 else given
            jobs[peer.name] = (partial(_updates, peer.make, given), len(given))
    best = dict.fromkeys(jobs, np.inf)
    for _ in range(effort(7, 1)):
        for who, (job, updates) in jobs.items():
            gc.collect()
            best[who] = min(best[who], job() / updates * 1e6)
    best["all of a run: watch and certainty"] = (
        best["all of a run: certainty"] + best["all of a run: watch"]
    )
    return best


def _alone(x: list[float]) -> float:
    lane = Lane(1)
    lane.use(0, values(grade(0.87, 1.0), RATE_BETS))
    update, started = lane.update, time.perf_counter()
    for at, value in enumerate(x):
        update(value, 1e4, at, at)
    return time.perf_counter() - started


def _updates(make: Callable[[], Any], x: list[float]) -> float:
    update = make().update
    started = time.perf_counter()
    for value in x:
        update(value)
    return time.perf_counter() - started


def _warm(metrics: tuple[WatchedMetric, ...]) -> Certainty:
    """Return certainty that has references of 200 agents."""
    certainty = Certainty(ours.plain(1e9), _BOUNDS)
    for i in range(10):
        certainty.feed(_block(metrics, 200, 100 + i), 0)
        certainty.keep()
    return certainty


def _fed(certainty: Certainty, blocks: list[Rows]) -> float:
    started = time.perf_counter()
    for block in blocks:
        certainty.feed(block, 0)
        certainty.keep()
    return time.perf_counter() - started


def _watched_runs(blocks: list[Rows]) -> float:
    watch = FleetWatch(acting.WATCH)
    started = time.perf_counter()
    for block in blocks:
        watch.feed(block)
        watch.keep()
    return time.perf_counter() - started


def _block(
    metrics: tuple[WatchedMetric, ...], agents: int, number: int, steps: int = 50, every_s: int = 1
) -> Rows:
    """Return outcomes of healthy agents, all metrics in one row."""
    rng, n = streams.chance("block", number), agents * steps
    found = np.full((n, len(W)), -1.0)
    good = (rng.random(n) < 0.95).astype(np.float64)
    for metric in metrics:
        if metric in _BOUNDS:
            found[:, metric] = 1.0 - good if metric is W.ERROR_RATE else good
        else:
            assert metric in QUANTITIES
            found[:, metric] = np.round(rng.lognormal(6.0, 0.5, n) * 1000.0)
    step = number * steps + np.arange(n) // agents
    return Rows(
        np.tile(np.arange(agents), steps),
        found,
        number * n + np.arange(n),
        step * every_s * SECOND_US,
    )


def _certain(metrics: tuple[WatchedMetric, ...], agents: int, each: int) -> object:
    certainty = Certainty(ours.production(1e9), _BOUNDS)
    for i in range(each // 50):
        certainty.feed(_block(metrics, agents, i, every_s=_EVERY_S), 0)
        certainty.keep()
    return certainty


def _watched(metrics: tuple[WatchedMetric, ...], agents: int, each: int) -> object:
    watch = FleetWatch(acting.WATCH)
    for i in range(each // 50):
        watch.feed(_block(metrics, agents, i, every_s=_EVERY_S))
        watch.keep()
    return watch


def _weigh(make: Callable[[], object]) -> int:
    """Return the bytes of what ``make`` returns and of all that it alone refers to.

    Counted object by object: tracing every allocation instead takes many minutes.
    """
    waiting, seen, weight = [make()], set(), 0
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, _SHARED):
            continue
        seen.add(id(one))
        weight += sys.getsizeof(one)
        waiting += gc.get_referents(one)
        if isinstance(one, np.ndarray) and one.base is not None:
            waiting.append(one.base)
    return weight

"""What is measured, and the limit each figure has to keep."""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.speed.seed_like import SeedLikeMonitor
from selfright.config import Settings, with_values
from selfright.online_learning import ModelType, RealTimeModelUpdater
from selfright.performance_monitor import PerformanceMonitor

AGENTS = [f"agent-{i:03d}" for i in range(200)]
UNBOUNDED = with_values(Settings(), {"log.queue_rows": 2_000_000, "log.memory_events": 2_000_000})


@dataclass(frozen=True)
class Figure:
    """One measured number; ``at_most`` False: the limit is a least value."""

    what: str
    value: float
    unit: str
    limit: float | None = None
    at_most: bool = True

    @property
    def held(self) -> bool:
        """Whether the limit is kept; a figure without one only informs."""
        if self.limit is None:
            return True
        return self.value <= self.limit if self.at_most else self.value >= self.limit

    def line(self) -> str:
        """Return a row of the table."""
        sign = "<=" if self.at_most else ">="
        limit = "" if self.limit is None else f"{sign} {self.limit:g}"
        missed = "" if self.held else "MISSED"
        return f"{self.what:58} {self.value:>9.3g} {self.unit:4} {limit:>9}  {missed}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "held": self.held}


def _rows(n: int) -> Iterator[tuple[str, str, str, float, int, float]]:
    rng = np.random.default_rng(1)
    latency = rng.lognormal(6, 1, n).tolist()
    failed = (rng.random(n) < 0.1).tolist()
    tokens = rng.integers(10, 4000, n).tolist()
    for i in range(n):
        yield (
            f"run-{i}", AGENTS[i % 200], "failure" if failed[i] else "success",
            latency[i], tokens[i], tokens[i] * 1e-6,
        )  # fmt: skip


def _best_s(action: Callable[[], object], repeats: int = 5) -> float:
    """Return the shortest of some runs: what the machine can do undisturbed."""
    times = []
    # Once: a walk over the heap before each run would empty the caches that it is about.
    gc.collect()
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return min(times)


def caller_cost() -> list[Figure]:
    """Return what recording costs the caller's thread, beside prometheus_client."""
    from prometheus_client import CollectorRegistry, Histogram

    n = 20_000
    rows = list(_rows(n))
    histogram = Histogram("run_seconds", "x", ["agent", "status"], registry=CollectorRegistry())

    def ours() -> None:
        record = PerformanceMonitor(settings=UNBOUNDED).record_agent_run
        for run_id, agent, status, latency, tokens, cost in rows:
            record(run_id, agent, "agent", status, latency, tokens, cost)

    def theirs() -> None:
        for _, agent, status, latency, _, _ in rows:
            histogram.labels(agent, status).observe(latency)

    our_us, their_us = _best_s(ours) / n * 1e6, _best_s(theirs) / n * 1e6
    return [
        Figure("record_agent_run, caller's thread", our_us, "us"),
        Figure("prometheus_client labels().observe", their_us, "us"),
        Figure("record_agent_run / prometheus_client", our_us / their_us, "x", 1.0),
    ]


def pipeline() -> list[Figure]:
    """Return the cost of record to windowed metrics, beside the dict-in-a-deque design.

    That design pays for every look with a pass over the window, so the ratio depends on how
    often somebody looks. The limits hold at one look at the fleet per 1,000 runs: a rule
    or a chart that is renewed each second at 1,000 runs/s. The far rarer look at every
    agent per 5,000 runs is shown beside it.
    """
    figures = []
    for every, agents, least in ((1000, False, (4.0, 25.0)), (5000, True, (None, None))):
        seed_us, our_us, columnar_us = _pipeline_us(50_000, every, agents)
        what = f"every agent read per {every:,} runs" if agents else f"fleet read per {every:,}"
        figures += [
            Figure(f"dict-in-a-deque design, {what}", seed_us, "us"),
            Figure(f"record -> windowed metrics, {what}", our_us, "us"),
            Figure("dict-in-a-deque / record", seed_us / our_us, "x", least[0], at_most=False),
            Figure(f"columnar batches, {what}", columnar_us, "us"),
            Figure("dict-in-a-deque / columnar", seed_us / columnar_us, "x", least[1], False),
        ]
    return figures


def _pipeline_us(n: int, every: int, agents: bool) -> tuple[float, float, float]:
    """Return microseconds per run of the old design, of ``record_agent_run``, of batches."""
    rows = list(_rows(n))
    names = ("run_id", "agent_name", "status", "duration_ms", "tokens_used", "cost")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    for name in names[3:]:
        columns[name] = np.array(columns[name])

    def look(monitor: PerformanceMonitor) -> object:
        return monitor.get_all_agent_metrics() if agents else monitor.get_system_metrics()

    def seed() -> None:
        monitor = SeedLikeMonitor()
        for i, (run_id, agent, status, latency, tokens, cost) in enumerate(rows, 1):
            monitor.record_agent_run(run_id, agent, "agent", status, latency, tokens, cost)
            if i % every == 0:
                monitor.agent_metrics() if agents else monitor.system_metrics()

    def ours() -> None:
        monitor = PerformanceMonitor(settings=UNBOUNDED, enable_auto_alerts=False)
        for i, (run_id, agent, status, latency, tokens, cost) in enumerate(rows, 1):
            monitor.record_agent_run(run_id, agent, "agent", status, latency, tokens, cost)
            if i % every == 0:
                look(monitor)

    def columnar() -> None:
        monitor = PerformanceMonitor(settings=UNBOUNDED, enable_auto_alerts=False)
        for first in range(0, n, every):
            part = {name: column[first : first + every] for name, column in columns.items()}
            monitor.record_agent_runs(part)
            look(monitor)

    seed_us, our_us, columnar_us = (_best_s(f, 3) / n * 1e6 for f in (seed, ours, columnar))
    return seed_us, our_us, columnar_us


def window_query() -> list[Figure]:
    """Return the time of all metrics of 200 agents with 1 M runs in the window."""
    n = 1_000_000
    rng = np.random.default_rng(2)
    monitor = PerformanceMonitor(settings=UNBOUNDED, enable_auto_alerts=False)
    seed = SeedLikeMonitor()
    now_s = time.time()
    for first in range(0, n, 10_000):
        size = 10_000
        latency = rng.lognormal(6, 1, size)
        monitor.record_agent_runs(
            {
                "run_id": [f"q-{first + i}" for i in range(size)],
                "agent_name": [AGENTS[i % 200] for i in range(size)],
                "status": ["success"] * size,
                "duration_ms": latency,
                "timestamp": now_s - rng.random(size) * 3500,
            }
        )
        for i in range(0, size, 10):  # a tenth: its pass over a million takes minutes
            seed.record_agent_run(
                f"q-{first + i}", AGENTS[i // 10 % 200], "agent", "success", latency[i], 1, 0.0
            )
    monitor.flush()
    our_s = _best_s(monitor.get_all_agent_metrics, 7)
    seed_s = _best_s(seed.agent_metrics, 2) * 10
    monitor.close()
    return [
        Figure("all metrics of 200 agents, 1 M runs in the window", our_s * 1e3, "ms", 5.0),
        Figure("dict-in-a-deque design, the same (a tenth x 10)", seed_s * 1e3, "ms"),
        Figure("dict-in-a-deque / ours", seed_s / our_s, "x", 1000.0, at_most=False),
    ]


def retraining() -> list[Figure]:
    """Return the time of incremental and full retrainings, saving included."""
    figures = []
    for runs, full, limit_ms in ((10_000, False, None), (10_000, True, None)):
        with tempfile.TemporaryDirectory() as folder:
            updater = RealTimeModelUpdater(model_storage_path=folder)
            monitor = PerformanceMonitor(settings=UNBOUNDED, model_updater=updater)
            monitor.record_agent_runs(
                {
                    "run_id": [f"r-{i}" for i in range(runs)],
                    "agent_name": [AGENTS[i % 20] for i in range(runs)],
                    "status": ["success" if i % 7 else "failure" for i in range(runs)],
                    "task_type": [f"type-{i % 5}" for i in range(runs)],
                    "duration_ms": np.full(runs, 100.0),
                }
            )
            monitor.flush()
            started = time.perf_counter()
            result = monitor.trigger_retraining("benchmark", full)
            whole_ms = (time.perf_counter() - started) * 1e3
            assert result.success, result.error
            name = "full, 10,000 runs" if full else "incremental, 100 outcomes"
            figures.append(Figure(f"retraining {name}: whole call", whole_ms, "ms", limit_ms))
            figures.append(
                Figure(
                    f"retraining {name}: job with save and fsync",
                    result.duration_ms,
                    "ms",
                    75.0 if full else 30.0,
                )
            )
    return figures


def refitting() -> list[Figure]:
    """Return the time of a full refit on a million events: half runs, half their outcomes.

    From columns in memory: condense, join, fit the agent selection. From SQLite: reading
    included, by one process and by two.
    """
    from benchmarks.speed.refit import EVENTS, recorded, refit, refit_from_disk

    log = recorded()
    commits = log.read(0, EVENTS)
    in_memory_s = _best_s(lambda: refit(commits))
    figures = [Figure("refit on 1 M events in memory: agent selection", in_memory_s, "s", 1.5)]
    with tempfile.TemporaryDirectory() as folder:
        for processes, took_s in refit_from_disk(log, Path(folder)):
            what = f"full retraining from SQLite, processes: {processes}"
            figures.append(Figure(what, EVENTS / took_s, "/s"))
    return figures


def decisions() -> list[Figure]:
    """Return the time of one selection among ten agents, propensities included."""
    with tempfile.TemporaryDirectory() as folder:
        updater = RealTimeModelUpdater(model_storage_path=folder)
        monitor = PerformanceMonitor(settings=UNBOUNDED, model_updater=updater)
        monitor.record_agent_runs(
            {
                "run_id": [f"d-{i}" for i in range(2000)],
                "agent_name": [AGENTS[i % 10] for i in range(2000)],
                "status": ["success" if i % 7 else "failure" for i in range(2000)],
                "task_type": [f"type-{i % 5}" for i in range(2000)],
                "duration_ms": np.full(2000, 100.0),
            }
        )
        monitor.flush()
        n = 2000

        def choose() -> None:
            for _ in range(n):
                updater.select_agent("type-1", candidates=AGENTS[:10])

        monitor.start()  # the drain thread takes the decisions away
        taken_us = _best_s(choose, 3) / n * 1e6
        monitor.close()
        assert updater.select(ModelType.AGENT_SELECTION, AGENTS[:2]).probability > 0
    return [Figure("select_agent, 10 agents, exact propensity", taken_us, "us", 100.0)]


def importing() -> list[Figure]:
    """Return what ``import selfright`` costs, beside a bare interpreter."""

    def run(code: str) -> float:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - started

    pairs = [(run("pass"), run("import selfright")) for _ in range(15)]
    bare, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
    return [Figure("import selfright / bare interpreter", ours / bare, "x", 2.0)]


def server() -> list[Figure]:
    """Return start to first 200, idle memory and CPU, and durable runs a second."""
    from benchmarks.speed.served import measure_server

    return [
        Figure(*row) for row in measure_server(Path(tempfile.mkdtemp(prefix="selfright-bench-")))
    ]


MEASURES: dict[str, Callable[[], list[Figure]]] = {
    "import": importing,
    "caller": caller_cost,
    "pipeline": pipeline,
    "window": window_query,
    "decision": decisions,
    "retraining": retraining,
    "refit": refitting,
    "server": server,
}

assert os.name == "posix", "the server's measures read /proc"

"""A full refit on a million events, in memory and from SQLite."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from selfright.events.batch import Commit, Intake
from selfright.events.columns import outcome_columns, run_columns
from selfright.events.record import RetrainRequested
from selfright.learn.choice import AgentSelection
from selfright.learn.feed import RewardPolicy
from selfright.learn.model_type import ModelType
from selfright.learn.parts.extract import extract
from selfright.learn.parts.join import join
from selfright.log.memory import MemoryLog
from selfright.log.sqlite import SqliteLog
from selfright.retrain.job import Job, JobPolicy
from selfright.retrain.registry import FileRegistry
from selfright.testing.clock import START_US, ManualClock

EVENTS = 1_000_000
_COMMIT = 10_000  # rows
_SEGMENT = 7  # commits
_SELECTION = ModelType.AGENT_SELECTION


def intakes() -> Iterator[Intake]:
    """Yield runs of 200 agents, a tenth of them failed, each with its outcome."""
    rng = np.random.default_rng(1)
    half = _COMMIT // 2
    for first in range(0, EVENTS // 2, half):
        ids = [f"run-{first + i}" for i in range(half)]
        agents = [f"agent-{i % 200:03d}" for i in range(half)]
        failed = rng.random(half) < 0.1
        now_us = START_US + first
        runs, _ = run_columns(
            {
                "run_id": ids,
                "agent_name": agents,
                "status": ["failure" if one else "success" for one in failed],
                "task_type": [f"type-{i % 5}" for i in range(half)],
                "duration_ms": np.full(half, 100.0),
            },
            now_us,
        )
        outcomes, _ = outcome_columns(
            {"agent_name": agents, "run_id": ids, "accuracy_score": rng.random(half)}, now_us
        )
        yield Intake.of(runs, outcomes.numbered(np.arange(half, _COMMIT)))


def recorded() -> MemoryLog:
    """Return a log in memory of a million events."""
    log = MemoryLog(None)
    for place, intake in enumerate(intakes()):
        log.append(intake, START_US + place)
    return log


def refit(commits: Sequence[Commit]) -> AgentSelection:
    """Return the model that has learnt the commits, in parts, as a retraining does."""
    parts = [
        extract(commits[at : at + _SEGMENT], _SELECTION, RewardPolicy())
        for at in range(0, len(commits), _SEGMENT)
    ]
    return AgentSelection.fit(join(parts, _SELECTION).samples())


def refit_from_disk(log: MemoryLog, folder: Path) -> Iterator[tuple[int, float]]:
    """Yield how many processes took how many seconds to retrain from the log on disk."""
    durable = SqliteLog(folder / "events.db")
    for place, intake in enumerate(intakes()):
        durable.append(intake, START_US + place)
    made = []
    for processes in (1, 2):
        registry = FileRegistry(folder / f"models-{processes}", ManualClock())
        job = Job(registry, JobPolicy(RewardPolicy(), full_outcomes=0, processes=processes))
        request = RetrainRequested(
            act_id="retrain-benchmark",
            ts_us=START_US,
            model_type=_SELECTION.value,
            mode="full",
            reason="benchmark",
            automatic=False,
            agents=[],
            causes=[],
        )
        started = time.perf_counter()
        result = job.run(request, AgentSelection(), None, None, durable, ManualClock())
        yield processes, time.perf_counter() - started
        assert result.version == 1, result.error
        model = folder / f"models-{processes}" / _SELECTION.value / "1" / "model.npz"
        made.append(model.read_bytes())
    assert made[0] == made[1]
    durable.close()

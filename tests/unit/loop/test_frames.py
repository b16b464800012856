"""A frame holds every run there is, oldest first, in the units in which it was recorded."""

from __future__ import annotations

import json

import pytest

from selfright import PerformanceMonitor
from selfright.config import Settings, with_values
from selfright.errors import ConfigError
from selfright.log.page import SCANNED
from selfright.loop.frames import all_runs

MORE_THAN_A_PAGE = SCANNED + 20_000
RUN = {
    "run_id": "full",
    "agent_name": "planner",
    "agent_type": "llm",
    "status": "failure",
    "timestamp": "2026-01-02T03:04:05Z",
    "duration_ms": 812.5,
    "tokens_used": 30,
    "cost": 0.25,
    "retry_count": 2,
    "quality_score": 0.5,
    "task_type": "plan",
    "config": {"temperature": 0.5},
    "metadata": {"any": ["thing"]},
}


@pytest.fixture(scope="module")
def large():
    """Return a monitor that keeps more runs than the log looks through for one page."""
    monitor = PerformanceMonitor(
        enable_auto_alerts=False, settings=with_values(Settings(), {"log.memory_events": 10**6})
    )
    for start in range(0, MORE_THAN_A_PAGE, 10_000):
        numbers = range(start, start + 10_000)
        monitor.record_agent_runs(
            {
                "run_id": [f"r{i}" for i in numbers],
                "agent_name": ["planner"] * 10_000,
                "status": ["success"] * 10_000,
                "duration_ms": [float(i) for i in numbers],
            }
        )
    return monitor


def test_all_pages_of_the_log_are_read_oldest_first(large):
    """Not only the first one, which is bounded."""
    with large.circle.reading():
        page = large.circle.log.runs(limit=10**6)
        assert page.next_before is not None, "this log is too short to tell"
        runs = all_runs(large.circle.log)
    assert len(runs) == MORE_THAN_A_PAGE
    assert runs.seq.tolist() == sorted(runs.seq.tolist())


@pytest.mark.parametrize("engine", ["pandas", "polars", "arrow"])
def test_every_engine_gives_all_runs(large, engine):
    """As many rows as runs, and the oldest on top."""
    frame = large.runs_frame(engine)
    durations = frame["duration_ms"]
    listed = durations.to_pylist() if engine == "arrow" else durations.to_list()
    assert listed == [float(i) for i in range(MORE_THAN_A_PAGE)]


def _records(frame, engine):
    if engine == "pandas":
        rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    else:
        rows = frame.to_pylist() if engine == "arrow" else frame.to_dicts()
    return [{**row, "timestamp": row["timestamp"].isoformat()} for row in rows]


@pytest.mark.parametrize("engine", ["pandas", "polars", "arrow"])
def test_columns_are_named_and_measured_as_they_were_recorded(engine):
    """Words, milliseconds, dollars and times; nothing where nothing was reported."""
    monitor = PerformanceMonitor()
    monitor.record_agent_runs([RUN, {"run_id": "bare", "agent_name": "solver"}])
    full, bare = _records(monitor.runs_frame(engine), engine)
    expected = {**RUN, "timestamp": "2026-01-02T03:04:05+00:00", "offset": 0}
    for name in ("config", "metadata"):
        assert json.loads(full.pop(name)) == expected.pop(name)
    assert {name: full[name] for name in expected} == expected
    assert (bare["duration_ms"], bare["tokens_used"], bare["cost"]) == (None, None, None)
    assert (bare["task_type"], bare["config"]) == (None, None)


@pytest.mark.parametrize("engine", ["pandas", "polars", "arrow"])
def test_an_empty_fleet_has_an_empty_frame_with_all_columns(engine):
    """So that a program needs no special case."""
    frame = PerformanceMonitor().runs_frame(engine)
    names = list(frame.column_names if engine == "arrow" else frame.columns)
    assert (len(frame), names[:3]) == (0, ["offset", "run_id", "agent_name"])


def test_an_engine_nobody_knows_is_refused():
    """The error lists those we know."""
    with pytest.raises(ConfigError, match="pandas, polars or arrow"):
        PerformanceMonitor().runs_frame("numpy")

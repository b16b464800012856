"""Runs as they are shown: named and measured as they were recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from selfright.events.batch import KIB_PER_MB, NANO_PER_USD, Q32, US_PER_MS
from selfright.events.status import RunStatus
from selfright.events.timestamp import iso

if TYPE_CHECKING:
    from selfright.events.batch import Ints, RunBatch

_WORDS: Final = {int(status): status.word for status in RunStatus}
TEXTS: Final = (
    "error_type", "task_id", "task_type", "decision_id", "agent_version", "parent_run_id",
    "session_id", "route",
)  # fmt: skip
STRUCTURES: Final = ("context", "config", "metadata")


def runs_as_columns(runs: RunBatch) -> dict[str, list[Any]]:
    """Return the runs by field, in the units of ``record_agent_run``; None: not reported.

    ``offset`` is where the log has the run; ``timestamp`` is int microseconds.
    """
    return {
        "offset": runs.seq.tolist(),
        "run_id": runs.run_id,
        "agent_name": runs.agent_name,
        "agent_type": runs.agent_type,
        "status": [_WORDS[code] for code in runs.status.tolist()],
        "timestamp": runs.ts_us.tolist(),
        "duration_ms": _scaled(runs.duration_us, US_PER_MS),
        "tokens_used": _scaled(runs.tokens),
        "tokens_in": _scaled(runs.tokens_in),
        "tokens_out": _scaled(runs.tokens_out),
        "api_calls": _scaled(runs.api_calls),
        "cost": _scaled(runs.cost_nano_usd, NANO_PER_USD),
        "memory_mb": _scaled(runs.memory_kib, KIB_PER_MB),
        "cpu_ms": _scaled(runs.cpu_us, US_PER_MS),
        "retry_count": runs.retry_count.tolist(),
        "quality_score": _scaled(runs.quality_q32, Q32),
        "confidence": _scaled(runs.confidence_q32, Q32),
        **{name: getattr(runs, name) for name in (*TEXTS, *STRUCTURES)},
    }


def runs_as_records(runs: RunBatch) -> list[dict[str, Any]]:
    """Return each run as a mapping like the one that was sent, the timestamp as RFC 3339."""
    columns = runs_as_columns(runs)
    columns["timestamp"] = [iso(ts_us) for ts_us in columns["timestamp"]]
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


def _scaled(column: Ints, unit: int = 1) -> list[Any]:
    return [
        None if value < 0 else value if unit == 1 else value / unit for value in column.tolist()
    ]

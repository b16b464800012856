"""Columns back to the rows that the service takes: what ``import`` sends to one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from selfright.events.status import RunStatus
from selfright.events.timestamp import iso

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfright.events.batch import Column, OutcomeBatch, RunBatch

# Columns whose name or unit is not that of the wire: its name there and the divisor.
_WIRE: Final = {
    "duration_us": ("duration_ms", 1000),
    "cpu_us": ("cpu_ms", 1000),
    "cost_nano_usd": ("cost", 1_000_000_000),
    "memory_kib": ("memory_mb", 1024),
    "quality_q32": ("quality_score", 1 << 32),
    "confidence_q32": ("confidence", 1 << 32),
    "score_q32": ("accuracy_score", 1 << 32),
    "tokens": ("tokens_used", 1),
    "predicted": ("predicted_outcome", 1),
    "actual": ("actual_outcome", 1),
}
# What only the log fills in.
_OURS: Final = frozenset({"seq", "ts_given", "run", "primary", "fresh"})


def wire_rows(batch: RunBatch | OutcomeBatch) -> Iterator[dict[str, Any]]:
    """Yield the rows as mappings; what is unknown is left out."""
    names = [name for name in batch.__dataclass_fields__ if name not in _OURS]
    columns = [_values(name, getattr(batch, name)) for name in names]
    wire = [_WIRE.get(name, (name, 1))[0] for name in names]
    wire[names.index("ts_us")] = "timestamp"
    for row in zip(*columns, strict=True):
        yield {name: value for name, value in zip(wire, row, strict=True) if value is not None}


def _values(name: str, column: Column) -> list[Any]:
    if name == "status":
        return [RunStatus(code).word for code in column.tolist()]
    if name == "ts_us":
        return [iso(ts_us) for ts_us in column.tolist()]
    if isinstance(column, list):
        return column
    unit = _WIRE.get(name, (name, 1))[1]
    # Every quantity is 0 or more; -1 is one that nobody reported.
    return [
        None if value < 0 else value if unit == 1 else value / unit for value in column.tolist()
    ]

"""The scenarios by name, in the order of the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from benchmarks.decisions.detection.alarms import steady, uneven
from benchmarks.decisions.detection.cost import cost, memory
from benchmarks.decisions.detection.creeping import creeping
from benchmarks.decisions.detection.drops import delays, fleet
from benchmarks.decisions.detection.latency import latency
from benchmarks.decisions.detection.real import real
from benchmarks.decisions.detection.retrainings import attempts, dips, healthy
from benchmarks.decisions.table import Effort, Section

SCENARIOS: Final[dict[str, Callable[[Effort], list[Section]]]] = {
    "steady": steady,
    "uneven": uneven,
    "drops": delays,
    "fleet": fleet,
    "healthy": healthy,
    "attempts": attempts,
    "dips": dips,
    "creeping": creeping,
    "real": real,
    "latency": latency,
    "cost": cost,
    "memory": memory,
}

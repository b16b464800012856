"""What sums amount to: counts, rates, means and intervals, of many agents at once.

Everything here is a column, one list per field of ``PerformanceMetrics``, made by a handful
of numpy operations over all agents: the work per agent is that of a few numbers.
"""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from selfright.events.batch import KIB_PER_MB, NANO_PER_USD, Q32, US_PER_MS
from selfright.metrics.blanked import blanked, listed
from selfright.metrics.columns import Column
from selfright.metrics.figures import DECIDED, ERRORS, TOTAL
from selfright.metrics.interval import wilson, wilson_ends

if TYPE_CHECKING:
    from collections.abc import Iterable

    from selfright.metrics.figures import Figures

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_COUNTS: Final = {
    "total_tasks": TOTAL,
    "successful_tasks": Column.SUCCESS,
    "failed_tasks": Column.FAILURE,
    "partial_tasks": Column.PARTIAL,
    "timeout_tasks": Column.TIMEOUT,
    "decided_tasks": DECIDED,
    "sample_size": TOTAL,
    "accuracy_sample_size": Column.ACCURACY_Q32,
}
# The column of how many reported it; the sum is right behind.
_SUMS: Final = {
    "total_tokens": Column.TOKENS,
    "total_tokens_in": Column.TOKENS_IN,
    "total_tokens_out": Column.TOKENS_OUT,
    "total_api_calls": Column.API_CALLS,
}
# Numerator and how many of it make one; denominator and what it is multiplied by.
_RATIOS: Final = {
    "success_rate": (Column.SUCCESS, 1, DECIDED, 1),
    "error_rate": (ERRORS, 1, DECIDED, 1),
    "timeout_rate": (Column.TIMEOUT, 1, DECIDED, 1),
    "retry_rate": (Column.RETRIED, 1, DECIDED, 1),
    "accuracy_coverage": (Column.LABELLED, 1, DECIDED, 1),
    "avg_latency_ms": (Column.DURATION_US + 1, 1, Column.DURATION_US, US_PER_MS),
    "cost_per_task": (Column.COST_NANO_USD + 1, NANO_PER_USD, Column.COST_NANO_USD, 1),
    "tokens_per_task": (Column.TOKENS + 1, 1, Column.TOKENS, 1),
    "avg_memory_mb": (Column.MEMORY_KIB + 1, 1, Column.MEMORY_KIB, KIB_PER_MB),
    "avg_cpu_ms": (Column.CPU_US + 1, 1, Column.CPU_US, US_PER_MS),
    "avg_quality_score": (Column.QUALITY_Q32 + 1, 1, Column.QUALITY_Q32, Q32),
    "avg_confidence": (Column.CONFIDENCE_Q32 + 1, 1, Column.CONFIDENCE_Q32, Q32),
    "avg_accuracy": (Column.ACCURACY_Q32 + 1, Q32, Column.ACCURACY_Q32, 1),
    "label_delay_ms_avg": (Column.DELAY_MS + 1, 1, Column.DELAY_MS, 1),
}
_LATENCIES: Final = ("p50_latency_ms", "p95_latency_ms", "p99_latency_ms", "max_latency_ms")
_FLOATS: Final = (*_RATIOS, "total_cost", *_LATENCIES)
_INTERVALS: Final = (
    "success_rate_interval",
    "error_rate_interval",
    "accuracy_interval",
    "p95_latency_interval",
)

# The tables above as indices, for one look-up each.
_OF_COUNTS: Final = np.array([int(column) for column in _COUNTS.values()])
_OF_SUMS: Final = np.array([int(column) for column in _SUMS.values()])
_ABOVE, _ABOVE_UNIT, _BELOW, _BELOW_UNIT = (
    np.array([int(number) for number in numbers]) for numbers in zip(*_RATIOS.values(), strict=True)
)
_COST: Final = [list(_RATIOS).index("cost_per_task")]
_OF_SCORE: Final = [list(_RATIOS).index("avg_accuracy")]
_OF_EVENTS: Final = [int(Column.SUCCESS), ERRORS]
_OF_EVENTS_N: Final = [DECIDED, DECIDED, int(Column.ACCURACY_Q32)]


def rates_of(figures: Figures, minutes: Floats) -> dict[str, list[Any]]:
    """Return a list per field with a value for each row, None where it is unknown.

    Parameters
    ----------
    figures
        What was added up.
    minutes
        The length of each row's window.
    """
    sums, latencies = figures.sums, figures.latencies_ms
    if sums.shape[1] == 1:
        alone = _rates_of_one(sums[:, 0].tolist(), latencies[:, 0].tolist(), minutes.item())
        return {name: [value] for name, value in alone.items()}
    above = sums[_ABOVE] / _ABOVE_UNIT[:, None]
    below = sums[_BELOW] * _BELOW_UNIT[:, None]
    given, timed = below > 0, ~np.isnan(latencies[:5])
    rows = np.concatenate((above / np.maximum(below, 1), above[_COST], latencies[:4]))
    return {
        **_named(_COUNTS, sums[_OF_COUNTS].tolist()),
        **_named(_SUMS, listed(sums[_OF_SUMS + 1], sums[_OF_SUMS] > 0)),
        **_named(_FLOATS, listed(rows, np.concatenate((given, given[_COST], timed[:4])))),
        **_named(_INTERVALS, _intervals(sums, above[_OF_SCORE], latencies[4:6], timed[4])),
        "runs_per_minute": (sums[TOTAL] / minutes).tolist(),
    }


def _rates_of_one(sums: list[int], latencies: list[float], minutes: float) -> dict[str, Any]:
    """Return the same values of a single row, as of the fleet: in a fifth of the time."""
    # As numpy divides; Python would divide integers beyond 2^53 more exactly.
    real = list(map(float, sums))
    known = [None if isnan(value) else value for value in latencies]
    low, high = known[4:6]
    cost = Column.COST_NANO_USD
    score = real[Column.ACCURACY_Q32 + 1] / Q32
    intervals = (
        wilson(real[Column.SUCCESS], sums[DECIDED]),
        wilson(real[ERRORS], sums[DECIDED]),
        wilson(score, sums[Column.ACCURACY_Q32]),
        None if low is None else (low, high),
    )
    return {
        **{name: sums[column] for name, column in _COUNTS.items()},
        **{name: sums[of + 1] if sums[of] > 0 else None for name, of in _SUMS.items()},
        **{
            name: real[above] / unit / (real[below] * below_unit) if sums[below] > 0 else None
            for name, (above, unit, below, below_unit) in _RATIOS.items()
        },
        "total_cost": real[cost + 1] / NANO_PER_USD if sums[cost] > 0 else None,
        **dict(zip(_LATENCIES, known, strict=False)),
        **dict(zip(_INTERVALS, intervals, strict=True)),
        "runs_per_minute": real[TOTAL] / minutes,
    }


def _intervals(sums: Ints, scores: Floats, p95: Floats, timed: Bools) -> list[list[Any]]:
    """Return the intervals as pairs; of p95 they are known already."""
    totals: Floats = np.concatenate((sums[_OF_EVENTS].astype(np.float64), scores))
    n = sums[_OF_EVENTS_N]
    low, high = wilson_ends(totals, n)
    ends = zip((*low, p95[0]), (*high, p95[1]), (*(n > 0), timed), strict=True)
    return [
        blanked(list(zip(least.tolist(), greatest.tolist(), strict=True)), known)
        if known.any()
        else [None] * len(known)
        for least, greatest, known in ends
    ]


def _named(names: Iterable[str], columns: list[list[Any]]) -> dict[str, list[Any]]:
    return dict(zip(names, columns, strict=True))

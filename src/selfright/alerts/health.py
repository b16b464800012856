"""One number for the fleet's health, 0 to 100, and what it is made of.

Each part turns one figure into points: 100 where it could not be better, 60 exactly at
its threshold, 0 where it could not be worse. The score is the mean of the parts that are
known, by the weights in ``PARTS``; what nobody reported is left out and the rest weighs
accordingly more. No figure at all: the score is unknown, which is not healthy.

The word beside it: *unhealthy* below 50, *healthy* from 75 on if no part is below 60 and
no critical alert is open, *degraded* otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from selfright.alerts.alert import AlertLevel

if TYPE_CHECKING:
    from selfright.alerts.alert import PerformanceAlert
    from selfright.config import Thresholds
    from selfright.metrics.snapshot import PerformanceMetrics

HealthStatus = Literal["healthy", "degraded", "unhealthy", "unknown"]

AT_THRESHOLD: Final = 60.0
_HEALTHY: Final = 75.0
_UNHEALTHY: Final = 50.0
_PER_ALERT: Final = {AlertLevel.INFO: 0.0, AlertLevel.WARNING: 15.0, AlertLevel.CRITICAL: 40.0}


class Part(NamedTuple):
    """How one figure counts.

    ``shape``: a ratio that must be high, one that must be low, or an amount with a limit.
    """

    weight: float
    threshold: str
    shape: Literal["high", "low", "limit"]


# Weights sum to 1 together with the alerts'.
PARTS: Final[Mapping[str, Part]] = {
    "success_rate": Part(0.25, "success_rate_min", "high"),
    "error_rate": Part(0.15, "error_rate_max", "low"),
    "accuracy": Part(0.25, "accuracy_min", "high"),
    "latency_p95_ms": Part(0.15, "latency_p95_max_ms", "limit"),
    "cost_per_task": Part(0.05, "cost_per_task_max", "limit"),
    "memory_mb": Part(0.025, "memory_max_mb", "limit"),
    "tokens_per_task": Part(0.025, "token_per_task_max", "limit"),
}
ALERTS_WEIGHT: Final = 0.10


@dataclass(frozen=True, slots=True)
class HealthPart:
    """One part of the score: its figure, threshold and points, and the weight they had."""

    name: str
    value: float
    threshold: float | None
    points: float
    weight: float


@dataclass(frozen=True, slots=True)
class Health:
    """The score and how it came about. ``score`` is None where nothing is known."""

    score: float | None
    status: HealthStatus
    parts: tuple[HealthPart, ...]
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; the score under its public name ``health_score``."""
        return {
            "status": self.status,
            "health_score": self.score,
            "parts": [
                {
                    "name": part.name,
                    "value": part.value,
                    "threshold": part.threshold,
                    "points": round(part.points, 1),
                    "weight": round(part.weight, 4),
                }
                for part in self.parts
            ],
            "reasons": list(self.reasons),
        }


def health(
    metrics: PerformanceMetrics, thresholds: Thresholds, alerts: Iterable[PerformanceAlert]
) -> Health:
    """Return the health of the fleet with these figures and these open alerts."""
    values = {
        "success_rate": metrics.success_rate,
        "error_rate": metrics.error_rate,
        "accuracy": metrics.avg_accuracy,
        "latency_p95_ms": metrics.p95_latency_ms,
        "cost_per_task": metrics.cost_per_task,
        "memory_mb": metrics.avg_memory_mb,
        "tokens_per_task": metrics.tokens_per_task,
    }
    limits = {part.threshold: getattr(thresholds, part.threshold) for part in PARTS.values()}
    return score(values, limits, [alert.level for alert in alerts])


def score(
    values: Mapping[str, float | None],
    thresholds: Mapping[str, float],
    open_alerts: Iterable[AlertLevel],
) -> Health:
    """Return the health of figures named as in ``PARTS``; None is unknown.

    Examples
    --------
    >>> score({"success_rate": 0.95}, {"success_rate_min": 0.8}, []).score
    92.9
    """
    known = [
        HealthPart(name, value, limit, _points(part.shape, value, limit), part.weight)
        for name, part in PARTS.items()
        if (value := values.get(name)) is not None
        and (limit := thresholds.get(part.threshold)) is not None
    ]
    if not known:
        return Health(None, "unknown", (), ("nothing was reported in the window",))
    levels = list(open_alerts)
    calm = max(0.0, 100.0 - sum(_PER_ALERT[level] for level in levels))
    known.append(HealthPart("alerts", float(len(levels)), None, calm, ALERTS_WEIGHT))
    total = sum(part.weight for part in known)
    parts = tuple(
        HealthPart(part.name, part.value, part.threshold, part.points, part.weight / total)
        for part in known
    )
    points = sum(part.points * part.weight for part in parts)
    reasons = [
        f"{part.name} {part.value:.4g} is beyond its threshold {part.threshold:.4g}"
        for part in parts
        if part.threshold is not None and part.points < AT_THRESHOLD
    ]
    criticals = levels.count(AlertLevel.CRITICAL)
    if criticals:
        reasons.append(f"{criticals} critical alert{'s' if criticals > 1 else ''}")
    return Health(round(points, 1), _status(points, bool(reasons)), parts, tuple(reasons))


def _status(points: float, troubled: bool) -> HealthStatus:
    if points < _UNHEALTHY:
        return "unhealthy"
    return "degraded" if troubled or points < _HEALTHY else "healthy"


def _points(shape: str, value: float, threshold: float) -> float:
    if shape == "limit":
        # Half the limit is as good as nothing; twice the limit is as bad as it gets.
        share = value / threshold
        if share <= 1.0:
            return min(100.0, 100.0 - (100.0 - AT_THRESHOLD) * (2.0 * share - 1.0))
        return max(0.0, AT_THRESHOLD * (2.0 - share))
    good, least = (value, threshold) if shape == "high" else (1.0 - value, 1.0 - threshold)
    if good >= least:
        room = 1.0 - least
        return 100.0 if room <= 0.0 else 100.0 - (100.0 - AT_THRESHOLD) * (1.0 - good) / room
    return AT_THRESHOLD * good / least

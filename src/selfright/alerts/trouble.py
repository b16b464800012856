"""Which agent to look at first: the severity of its open alerts, then how far it is off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from selfright.alerts.alert import AlertLevel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from selfright.config import Thresholds

    Figure = Callable[[str], Any]  # from a field of PerformanceMetrics to its value

# How something stands; pages give each a shape and a colour besides its word.
Kind = Literal["ok", "warn", "crit", "none"]
_SEVERITY: Final[dict[Kind, int]] = {"none": 0, "ok": 1, "warn": 2, "crit": 3}
# Threshold, the figure it bounds, and the sign of what lies beyond it.
BOUNDS: Final = (
    ("success_rate_min", "success_rate", -1),
    ("error_rate_max", "error_rate", 1),
    ("accuracy_min", "avg_accuracy", -1),
    ("latency_p95_max_ms", "p95_latency_ms", 1),
    ("cost_per_task_max", "cost_per_task", 1),
    ("memory_max_mb", "avg_memory_mb", 1),
    ("token_per_task_max", "tokens_per_task", 1),
)


class Standing(NamedTuple):
    """How an agent stands: its kind, the word for it, and where that puts it in a list."""

    kind: Kind
    word: str
    beyond: float
    runs: int

    @property
    def place(self) -> tuple[int, float, int]:
        """Sorts agents, the one most in trouble first."""
        return -_SEVERITY[self.kind], -self.beyond, -self.runs


def standing(figure: Figure, limits: Thresholds, fewest: int, level: AlertLevel | None) -> Standing:
    """Return how an agent with these figures stands.

    Parameters
    ----------
    figure
        Looks up a field of ``PerformanceMetrics``.
    fewest
        Decided runs below which nothing is said of an agent without an alert.
    level
        Of its worst open alert.
    """
    runs, decided = figure("total_tasks") or 0, figure("decided_tasks") or 0
    beyond = beyond_thresholds(figure, limits) if decided >= fewest else 0.0
    if level is AlertLevel.CRITICAL:
        return Standing("crit", "critical", beyond, runs)
    if level is AlertLevel.WARNING:
        return Standing("warn", "warning", beyond, runs)
    if not runs:
        return Standing("none", "idle", beyond, runs)
    if decided < fewest:
        return Standing("none", f"collecting {decided}/{fewest}", beyond, runs)
    if beyond > 0:
        return Standing("warn", "beyond threshold", beyond, runs)
    return Standing("ok", "ok", beyond, runs)


def beyond_thresholds(figure: Figure, limits: Thresholds) -> float:
    """Return how far the worst figure lies beyond its threshold, as a share of it."""
    shares = [
        sign * (value - limit) / limit
        for threshold, name, sign in BOUNDS
        if (value := figure(name)) is not None and (limit := getattr(limits, threshold)) > 0
    ]
    return max(shares, default=0.0)


def worst_levels(
    alerts: Iterable[tuple[str | None, AlertLevel]],
) -> dict[str, AlertLevel]:
    """Return the worst level above info per agent, of open alerts as (agent, level)."""
    worst: dict[str, AlertLevel] = {}
    for name, level in alerts:
        if name is None or level is AlertLevel.INFO:
            continue
        if name not in worst or level.rank > worst[name].rank:
            worst[name] = level
    return worst

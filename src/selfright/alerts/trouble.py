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
# Threshold, the figure it bounds, the sign of what lies beyond it, and the figure's interval.
BOUNDS: Final = (
    ("success_rate_min", "success_rate", -1, "success_rate_interval"),
    ("error_rate_max", "error_rate", 1, "error_rate_interval"),
    ("accuracy_min", "avg_accuracy", -1, "accuracy_interval"),
    ("latency_p95_max_ms", "p95_latency_ms", 1, "p95_latency_interval"),
    ("cost_per_task_max", "cost_per_task", 1, None),
    ("memory_max_mb", "avg_memory_mb", 1, None),
    ("token_per_task_max", "tokens_per_task", 1, None),
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
    """Return how far the worst figure surely lies beyond its threshold, as a share of it.

    Of a figure with an interval the end that speaks for the agent counts: of thirty runs of a
    sound agent the mean is beyond its threshold now and then.
    """
    shares = [
        sign * (value - limit) / limit
        for threshold, name, sign, interval in BOUNDS
        if (value := _for_the_agent(figure, name, sign, interval)) is not None
        and (limit := getattr(limits, threshold)) > 0
    ]
    return max(shares, default=0.0)


def _for_the_agent(figure: Figure, name: str, sign: int, interval: str | None) -> float | None:
    value: float | None = figure(name)
    ends = figure(interval) if interval is not None else None
    if value is None or ends is None:
        return value
    low, high = ends
    return float(low if sign > 0 else high)


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

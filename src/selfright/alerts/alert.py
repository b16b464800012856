"""The record that users see: PerformanceAlert."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from selfright.alerts.life import AlertState
from selfright.metrics.metric_type import MetricType


class AlertLevel(StrEnum):
    """How much an alert matters. ``rank`` orders them."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for info, 1 for warning, 2 for critical."""
        return ("info", "warning", "critical").index(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class PerformanceAlert:
    """One thing worth telling about one agent or the fleet, as it stands now.

    Attributes
    ----------
    alert_id
        Hash of rule, agent and the place in the log where it opened.
    level, metric_type, message, recommendation
        How bad, what it is about, the sentence to read, what to do next.
    current_value, threshold
        What was judged and by what, in the metric's unit; None where there is no such thing.
    agent_name
        None: the whole fleet.
    timestamp
        When it was raised, log time, UTC.
    details
        The latest evaluation with its exact inputs; of a retraining, its result.
    rule
        The threshold's name (``accuracy_min``) or what else raised it (``retraining``).
    state, count
        Where it stands, and how many findings it has gathered.
    first_seen, last_seen
        Of its findings, log time, UTC. ``first_seen`` is earlier than ``timestamp`` if the
        alert had to hold before it was told.
    change_point
        Where the metric changed, by a detector that can tell; else None.
    """

    alert_id: str
    level: AlertLevel
    metric_type: MetricType
    message: str
    current_value: float | None
    threshold: float | None
    agent_name: str | None
    timestamp: datetime
    recommendation: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    rule: str = ""
    state: AlertState = AlertState.FIRING
    count: int = 1
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    change_point: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; times are RFC 3339 text."""
        return {
            "alert_id": self.alert_id,
            "level": self.level.value,
            "metric_type": self.metric_type.value,
            "message": self.message,
            "current_value": self.current_value,
            "threshold": self.threshold,
            "agent_name": self.agent_name,
            "timestamp": _text(self.timestamp),
            "recommendation": self.recommendation,
            "details": self.details,
            "rule": self.rule,
            "state": self.state.value,
            "count": self.count,
            "first_seen": _text(self.first_seen),
            "last_seen": _text(self.last_seen),
            "change_point": self.change_point,
        }


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="microseconds").replace("+00:00", "Z")

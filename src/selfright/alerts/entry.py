"""One alert as the book keeps it: times as integers, open to change, exact in a checkpoint."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec
from msgspec import Struct

from selfright.alerts.alert import AlertLevel, PerformanceAlert
from selfright.alerts.life import AlertEvent, AlertState
from selfright.alerts.recommend import recommendation
from selfright.events.timestamp import to_datetime
from selfright.metrics.metric_type import MetricType

# An alert that is acknowledged and escalated for years must not grow without bound.
_COURSE: Final = 50


class Evaluation(Struct, frozen=True, kw_only=True):
    """What a rule found, as far as an alert shows it.

    Attributes
    ----------
    rule, agent_name
        Together they name the alert: there is one at a time.
    finder
        Which of the rule's detectors found it; the alert stays until all take it back.
    mark
        Where in the log it stands (an offset), or the identity of what it reports.
    details
        The exact inputs, plain values.
    """

    rule: str
    agent_name: str | None
    metric_type: MetricType
    level: AlertLevel
    message: str
    finder: str
    mark: int | str
    current_value: float | None = None
    threshold: float | None = None
    details: dict[str, Any] = msgspec.field(default_factory=dict)
    change_point: dict[str, Any] | None = None


class Turn(Struct, frozen=True):
    """One step in an alert's life."""

    at_us: int
    event: AlertEvent
    state: AlertState


class Entry(Struct, kw_only=True):
    """An alert in the book. ``due_us`` is when its state changes by itself, -1: never."""

    alert_id: str
    opened: Evaluation
    latest: Evaluation
    level: AlertLevel
    state: AlertState | None
    raised_us: int
    first_us: int
    last_us: int
    due_us: int = -1
    count: int = 1
    turns: int = 0
    finders: list[str]
    course: list[Turn] = msgspec.field(default_factory=list)

    @property
    def key(self) -> tuple[str, str | None]:
        """Rule and agent."""
        return self.opened.rule, self.opened.agent_name

    @property
    def is_open(self) -> bool:
        """Whether it has not been resolved."""
        return self.state is not AlertState.RESOLVED

    def note(self, turn: Turn) -> None:
        """Write down a step."""
        self.state = turn.state
        self.turns += 1
        self.course.append(turn)
        del self.course[:-_COURSE]

    def shown(self) -> PerformanceAlert:
        """Return the alert as it stands now. About 5 us."""
        of = self.latest
        assert self.state is not None  # set by the step that opened it
        return PerformanceAlert(
            alert_id=self.alert_id,
            level=self.level,
            metric_type=of.metric_type,
            message=of.message,
            current_value=of.current_value,
            threshold=of.threshold,
            agent_name=of.agent_name,
            timestamp=to_datetime(self.raised_us),
            recommendation=recommendation(of.rule, self.level, of.agent_name),
            details=of.details,
            rule=of.rule,
            state=self.state,
            count=self.count,
            first_seen=to_datetime(self.first_us),
            last_seen=to_datetime(self.last_us),
            change_point=of.change_point,
        )


def open_entry(found: Evaluation, now_us: int) -> Entry:
    """Return an alert that has not taken its first step yet."""
    return Entry(
        alert_id=alert_id(found.rule, found.agent_name, found.mark),
        opened=found,
        latest=found,
        level=found.level,
        state=None,
        raised_us=now_us,
        first_us=now_us,
        last_us=now_us,
        finders=[found.finder],
    )


def alert_id(rule: str, agent_name: str | None, mark: int | str) -> str:
    """Return the identity of the alert of ``rule`` about an agent that opened at ``mark``.

    A function of the log alone: folding it again gives the same ids.
    """
    parts = msgspec.json.encode([rule, agent_name, mark])
    return "alert-" + hashlib.blake2b(parts, digest_size=8).hexdigest()

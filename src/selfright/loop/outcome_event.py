"""``OutcomeEvent``: the message of the topic ``agent-outcomes``, and how it is recorded.

A compatibility record: it says in one flat message what our own records say in several.
Unknown fields are ignored and missing optional ones are null, since other programs and
other versions write it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from selfright.errors import InvalidEventError

if TYPE_CHECKING:
    from selfright.loop.control import Circle


class OutcomeStatus(StrEnum):
    """How a run ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    PARTIAL = "partial"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    PENDING = "pending"
    INTERRUPTED = "interrupted"


class EventSeverity(StrEnum):
    """How much an event matters to a reader."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


def _new_id() -> str:
    return uuid.uuid4().hex


class OutcomeEvent(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """One run or outcome as a flat message.

    ``kind``: ``run`` (default) is an execution, and its outcome too where
    ``accuracy_score`` or an actual outcome is given; ``outcome`` is only the latter.
    ``action_type`` serves as task type, ``memory_used_mb`` as memory, ``cost_estimate``
    as cost in dollars, ``config_snapshot`` as parameter set.
    """

    event_id: str = msgspec.field(default_factory=_new_id)
    run_id: str | None = None
    agent_name: str = ""
    agent_type: str = "agent"
    action_type: str | None = None
    timestamp: str | float | None = None
    start_time: str | float | None = None
    end_time: str | float | None = None
    duration_ms: float | None = None
    status: str = OutcomeStatus.SUCCESS.value
    severity: str = EventSeverity.INFO.value
    latency_ms: float | None = None
    llm_latency_ms: float | None = None
    tokens_used: int | None = None
    output: Any = None
    error_message: str | None = None
    error_type: str | None = None
    stack_trace: str | None = None
    input_data: Any = None
    context_snapshot: dict[str, Any] | None = None
    config_snapshot: dict[str, Any] | None = None
    retry_count: int = 0
    memory_used_mb: float | None = None
    cpu_time_ms: float | None = None
    cost_estimate: float | None = None
    quality_score: float | None = None
    confidence_score: float | None = None
    parent_event_id: str | None = None
    correlation_id: str | None = None
    workflow_id: str | None = None
    tags: list[str] | None = None
    metadata: dict[str, Any] | None = None
    kind: Literal["run", "outcome", "decision", "act"] = "run"
    task_id: str | None = None
    task_type: str | None = None
    decision_id: str | None = None
    agent_version: str | None = None
    accuracy_score: float | None = None
    predicted_outcome: Any = None
    actual_outcome: Any = None
    route: str | None = None

    def to_json(self) -> bytes:
        """Return the message as it stands on the topic."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes | str) -> OutcomeEvent:
        """Return the event of a message. Raises ``InvalidEventError`` naming the reason."""
        try:
            return msgspec.json.decode(data, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise InvalidEventError("event", data[:60], str(error)) from None


def record_event(circle: Circle, event: OutcomeEvent | Mapping[str, Any]) -> None:
    """Put an event into the circle's inbox. Raises ``InvalidEventError``."""
    if isinstance(event, Mapping):
        try:
            event = msgspec.convert(dict(event), OutcomeEvent)
        except msgspec.ValidationError as error:
            raise InvalidEventError("event", event, str(error)) from None
    if event.kind not in {"run", "outcome"}:
        raise InvalidEventError("kind", event.kind, "a program submits runs and outcomes only")
    now_us = circle.clock.now_us()
    run_id = event.run_id or event.event_id
    rows = []
    if event.kind == "run":
        rows.append(_run(circle, event, run_id, now_us))
    if event.kind == "outcome" or _has_outcome(event):
        rows.append(
            circle.door.outcome(
                event.agent_name,
                event.task_id,
                event.predicted_outcome,
                event.actual_outcome,
                "event",
                None,
                event.timestamp,
                event.accuracy_score,
                event.event_id if event.kind == "outcome" else None,
                run_id if event.kind == "run" else event.run_id,
                now_us,
            )
        )
    for row in rows:
        circle.inbox.put(row)


def _has_outcome(event: OutcomeEvent) -> bool:
    return event.accuracy_score is not None or event.actual_outcome is not None


def _run(circle: Circle, event: OutcomeEvent, run_id: str, now_us: int) -> tuple[Any, ...]:
    duration_ms = event.latency_ms if event.duration_ms is None else event.duration_ms
    timestamp = event.timestamp
    if timestamp is None:
        timestamp = event.start_time if event.end_time is None else event.end_time
    return circle.door.run(
        run_id, event.agent_name, event.agent_type, event.status, duration_ms,
        event.tokens_used, event.cost_estimate, event.memory_used_mb, event.cpu_time_ms,
        event.quality_score, event.confidence_score, event.error_type, event.metadata,
        timestamp, None, None, None, event.retry_count, event.task_id,
        event.task_type or event.action_type, event.context_snapshot, event.decision_id,
        event.agent_version, event.parent_event_id, event.workflow_id, event.config_snapshot,
        event.route, now_us,
    )  # fmt: skip

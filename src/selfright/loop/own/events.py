"""What a model of the user's own is given: rows of the log as flat events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from selfright.events.absent import without_deleted
from selfright.events.batch import (
    KIB_PER_MB,
    MISSING,
    NANO_PER_USD,
    Q32,
    RUN_FIELD,
    US_PER_MS,
)
from selfright.events.record import RetrainRequested
from selfright.events.status import RunStatus
from selfright.events.timestamp import iso
from selfright.loop.outcome_event import OutcomeEvent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from selfright.events.batch import Commit
    from selfright.log.protocol import EventLog

_ROWS_PER_READ: Final = 1024
_F: Final = RUN_FIELD
_NOTHING: Final[tuple[Any, ...]] = (None,) * len(RUN_FIELD)


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of the log, in order.

    Attributes
    ----------
    events
        What is learnt from.
    fresh
        For each event, whether it is the first that was heard of it: a correction is not.
    next_offset
        The log is covered up to there.
    log_time_us
        Of the last row.
    asked
        A full retraining that an alert escalated to, the last row; None otherwise.
    """

    events: list[OutcomeEvent]
    fresh: list[bool]
    next_offset: int
    log_time_us: int
    asked: RetrainRequested | None = None

    @property
    def new(self) -> list[OutcomeEvent]:
        """The events that are the first heard of something: what models are judged by."""
        return [event for event, new in zip(self.events, self.fresh, strict=True) if new]


def batches(
    log: EventLog, start: int, end: int, limit: int, deleted: Mapping[str, int]
) -> Iterator[Batch]:
    """Yield the rows ``start <= offset < end``, at most ``limit`` events at a time.

    Rows that retention took are passed over. About 10 us an event.
    """
    at = start
    events: list[OutcomeEvent] = []
    fresh: list[bool] = []
    now_us = 0
    while at < end:
        commits = log.read(at, _ROWS_PER_READ)
        if not commits or commits[0].first_offset >= end:
            break
        for commit in commits:
            now_us = commit.log_time_us
            for offset, item, is_fresh in _items(commit.between(at, end), deleted):
                if isinstance(item, RetrainRequested):
                    yield Batch(events, fresh, offset + 1, now_us, item)
                    events, fresh = [], []
                    continue
                events.append(item)
                fresh.append(is_fresh)
                if len(events) >= limit:
                    yield Batch(events, fresh, offset + 1, now_us)
                    events, fresh = [], []
            at = min(commit.next_offset, end)
    yield Batch(events, fresh, end, now_us)


def newest(log: EventLog, end: int, limit: int, deleted: Mapping[str, int]) -> list[OutcomeEvent]:
    """Return the newest ``limit`` events before ``end`` as they stand now, oldest first.

    Of an event that was corrected only the last word counts.
    """
    start, rows = end, limit
    while True:
        start = max(log.first_offset, end - rows)
        found: dict[tuple[str, str | None], OutcomeEvent] = {}
        for batch in batches(log, start, end, limit, deleted):
            for event in batch.events:
                key = event.kind, event.event_id
                found.pop(key, None)  # the last word stands where it was said
                found[key] = event
        if len(found) >= limit or start <= log.first_offset:
            return list(found.values())[-limit:]
        rows *= 2


def _items(
    commit: Commit, deleted: Mapping[str, int]
) -> list[tuple[int, OutcomeEvent | RetrainRequested, bool]]:
    part = without_deleted(commit, deleted)
    again = set(part.retracted_runs.seq.tolist())
    found: list[tuple[int, OutcomeEvent | RetrainRequested, bool]] = []
    for seq, row in zip(part.runs.seq.tolist(), part.runs.rows(), strict=True):
        if row[_F["status"]] != RunStatus.PENDING:
            found.append((seq, _run(row), seq not in again))
    outcomes = part.outcomes
    for i, (seq, fresh) in enumerate(
        zip(outcomes.seq.tolist(), outcomes.fresh.tolist(), strict=True)
    ):
        run = outcomes.run[i] or _NOTHING
        event = OutcomeEvent(
            kind="outcome",
            event_id=outcomes.outcome_id[i]
            or f"{outcomes.run_id[i] or outcomes.task_id[i]}:{outcomes.feedback_source[i]}",
            run_id=outcomes.run_id[i] or run[_F["run_id"]],
            agent_name=outcomes.agent_name[i],
            agent_type=run[_F["agent_type"]] or "agent",
            timestamp=iso(int(outcomes.ts_us[i])),
            task_id=outcomes.task_id[i] or run[_F["task_id"]],
            accuracy_score=int(outcomes.score_q32[i]) / Q32,
            predicted_outcome=outcomes.predicted[i],
            actual_outcome=outcomes.actual[i],
            metadata=outcomes.metadata[i],
            status=_status(run),
            **_about(run),
        )
        found.append((seq, event, fresh))
    for seq, act in part.acts:
        if isinstance(act, RetrainRequested) and act.automatic and act.mode == "full":
            found.append((seq, act, True))
    found.sort(key=lambda item: item[0])
    return found


def _run(row: tuple[Any, ...]) -> OutcomeEvent:
    return OutcomeEvent(
        event_id=row[_F["run_id"]],
        run_id=row[_F["run_id"]],
        agent_name=row[_F["agent_name"]],
        agent_type=row[_F["agent_type"]],
        timestamp=iso(row[_F["ts_us"]]),
        task_id=row[_F["task_id"]],
        status=_status(row),
        error_type=row[_F["error_type"]],
        retry_count=row[_F["retry_count"]],
        metadata=row[_F["metadata"]],
        **_about(row),
    )


def _status(row: tuple[Any, ...]) -> str:
    status = row[_F["status"]]
    return RunStatus.SUCCESS.word if status is None else RunStatus(status).word


def _about(row: tuple[Any, ...]) -> dict[str, Any]:
    """Return what a run tells, also of an outcome that joined it."""
    return {
        "duration_ms": _measured(row, "duration_us", US_PER_MS),
        "cost_estimate": _measured(row, "cost_nano_usd", NANO_PER_USD),
        "tokens_used": None if row[_F["tokens"]] in {None, MISSING} else row[_F["tokens"]],
        "memory_used_mb": _measured(row, "memory_kib", KIB_PER_MB),
        "cpu_time_ms": _measured(row, "cpu_us", US_PER_MS),
        "quality_score": _measured(row, "quality_q32", Q32),
        "confidence_score": _measured(row, "confidence_q32", Q32),
        "action_type": row[_F["task_type"]],
        "task_type": row[_F["task_type"]],
        "decision_id": row[_F["decision_id"]],
        "agent_version": row[_F["agent_version"]],
        "parent_event_id": row[_F["parent_run_id"]],
        "workflow_id": row[_F["session_id"]],
        "context_snapshot": row[_F["context"]],
        "config_snapshot": row[_F["config"]],
        "route": row[_F["route"]],
    }


def _measured(row: tuple[Any, ...], field: str, unit: int) -> float | None:
    value = row[_F[field]]
    return None if value in {None, MISSING} else value / unit

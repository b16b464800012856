"""The one door: the only place where a value from outside is checked.

Three ways in, one check: scalars from Python (``Door``), bytes from the wire (``wire``)
and columns (``columns``). ``Door.run`` sits in the caller's hot path: it checks and
returns a plain tuple; units are converted later, for a thousand rows at once (``raw``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from selfright.events import check
from selfright.events import timestamp as time_at_the_edge
from selfright.events.record import (
    MAX_COST_USD,
    MAX_DURATION_MS,
    MAX_MEMORY_MB,
    MAX_NAME,
    MAX_TOKENS,
)
from selfright.events.status import ALIASES, UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from selfright.events.raw import RawOutcome, RawRun

    Scorer = Callable[[Any, Any], float]

MAX_AHEAD_US: Final = 5 * 60 * 1_000_000  # further in the future is a wrong clock
# Names seen and found good. Bounded, since a hostile client may send a new one each time.
_KNOWN_NAMES: Final = 50_000


class Door:
    """Checks what comes in. One per log; cheap; not tied to a thread.

    Parameters
    ----------
    scorer
        Accuracy in 0..1 of a prediction, given the truth.
    clamp_future
        Treat a time more than five minutes ahead of now as a wrong clock: replace it
        by now and count it. Off where time is the file's own.
    """

    __slots__ = ("_clamp", "_known", "_scorer", "clamped")

    def __init__(self, scorer: Scorer, *, clamp_future: bool = True) -> None:
        self._scorer = scorer
        self._clamp = clamp_future
        self._known: set[str] = set()
        self.clamped = 0

    def run(  # noqa: PLR0912, PLR0913, C901 - the record has this many fields; a loop over them costs 5x
        self,
        run_id: str,
        agent_name: str,
        agent_type: str,
        status: str,
        duration_ms: float | None,
        tokens_used: int | None,
        cost: float | None,
        memory_mb: float | None,
        cpu_ms: float | None,
        quality_score: float | None,
        confidence: float | None,
        error_type: str | None,
        metadata: dict[str, Any] | None,
        timestamp: datetime | str | float | None,
        tokens_in: int | None,
        tokens_out: int | None,
        api_calls: int | None,
        retry_count: int,
        task_id: str | None,
        task_type: str | None,
        context: dict[str, Any] | None,
        decision_id: str | None,
        agent_version: str | None,
        parent_run_id: str | None,
        session_id: str | None,
        config: dict[str, Any] | None,
        route: str | None,
        now_us: int,
    ) -> RawRun:
        """Return the run as a raw row for ``run_batch``; raise ``InvalidEventError``."""
        known = self._known
        if run_id.__class__ is not str or not 0 < len(run_id) <= MAX_NAME or not run_id.isprintable():
            check.refuse_name("run_id", run_id)
        if agent_name not in known:
            self._learn("agent_name", agent_name)
        if agent_type not in known:
            self._learn("agent_type", agent_type)
        code = ALIASES.get(status, UNKNOWN) if status.__class__ is str else UNKNOWN
        if code < 0:
            code = check.status_code(status)
        # The three quantities that nearly every run carries are checked without a call.
        if duration_ms is not None and not (
            duration_ms.__class__ is float and 0.0 <= duration_ms <= MAX_DURATION_MS
        ):
            check.number("duration_ms", duration_ms, MAX_DURATION_MS)
        if tokens_used is not None and not (
            tokens_used.__class__ is int and 0 <= tokens_used <= MAX_TOKENS
        ):
            check.whole("tokens_used", tokens_used, MAX_TOKENS)
        if cost is not None and not (cost.__class__ is float and 0.0 <= cost <= MAX_COST_USD):
            check.number("cost", cost, MAX_COST_USD)
        if memory_mb is not None:
            check.number("memory_mb", memory_mb, MAX_MEMORY_MB)
        if cpu_ms is not None:
            check.number("cpu_ms", cpu_ms, MAX_DURATION_MS)
        if quality_score is not None:
            check.number("quality_score", quality_score, 1)
        if confidence is not None:
            check.number("confidence", confidence, 1)
        if tokens_in is not None:
            check.whole("tokens_in", tokens_in, MAX_TOKENS)
        if tokens_out is not None:
            check.whole("tokens_out", tokens_out, MAX_TOKENS)
        if api_calls is not None:
            check.whole("api_calls", api_calls, check.MAX_COUNT)
        if retry_count != 0:
            check.whole("retry_count", retry_count, check.MAX_COUNT)
        if error_type is not None:
            error_type = check.text("error_type", error_type)
        if task_id is not None:
            check.name("task_id", task_id)
        if task_type is not None and task_type not in known:
            self._learn("task_type", task_type)
        if decision_id is not None:
            check.name("decision_id", decision_id)
        if agent_version is not None and agent_version not in known:
            self._learn("agent_version", agent_version)
        if parent_run_id is not None:
            check.name("parent_run_id", parent_run_id)
        if session_id is not None:
            check.name("session_id", session_id)
        if route is not None and route not in known:
            self._learn("route", route)
        if metadata is not None:
            metadata = check.attributes("metadata", metadata)
        if context is not None:
            context = check.attributes("context", context)
        if config is not None:
            config = check.attributes("config", config)
        given = timestamp is not None
        ts_us = self._time(timestamp, now_us) if given else now_us
        return (
            run_id, agent_name, agent_type, code, ts_us, duration_ms, tokens_used, tokens_in,
            tokens_out, api_calls, cost, memory_mb, cpu_ms, retry_count, quality_score,
            confidence, error_type, task_id, task_type, decision_id, agent_version,
            parent_run_id, session_id, route, context, config, metadata, given,
        )  # fmt: skip

    def outcome(  # noqa: PLR0913 - the record has this many fields
        self,
        agent_name: str,
        task_id: str | None,
        predicted_outcome: Any,
        actual_outcome: Any,
        feedback_source: str,
        metadata: dict[str, Any] | None,
        timestamp: datetime | str | float | None,
        accuracy_score: float | None,
        outcome_id: str | None,
        run_id: str | None,
        now_us: int,
    ) -> RawOutcome:
        """Return the outcome, scored, as a raw row; raise ``InvalidEventError``."""
        if agent_name not in self._known:
            self._learn("agent_name", agent_name)
        for field, value in (("task_id", task_id), ("outcome_id", outcome_id), ("run_id", run_id)):
            if value is not None:
                check.name(field, value)
        check.name("feedback_source", feedback_source)
        if accuracy_score is None:
            predicted_outcome = check.plain("predicted_outcome", predicted_outcome)
            actual_outcome = check.plain("actual_outcome", actual_outcome)
            accuracy_score = float(self._scorer(predicted_outcome, actual_outcome))
            check.number("scorer(predicted, actual)", accuracy_score, 1)
        else:
            check.number("accuracy_score", accuracy_score, 1)
            predicted_outcome = check.plain("predicted_outcome", predicted_outcome)
            actual_outcome = check.plain("actual_outcome", actual_outcome)
        if metadata is not None:
            metadata = check.attributes("metadata", metadata)
        given = timestamp is not None
        ts_us = self._time(timestamp, now_us) if given else now_us
        return (
            agent_name, run_id, task_id, ts_us, accuracy_score, feedback_source, outcome_id,
            predicted_outcome, actual_outcome, metadata, given,
        )  # fmt: skip

    def _time(self, value: Any, now_us: int) -> int:
        ts_us = time_at_the_edge.parse(value)
        if self._clamp and ts_us > now_us + MAX_AHEAD_US:
            self.clamped += 1
            return now_us
        return ts_us

    def _learn(self, field: str, name: Any) -> None:
        check.name(field, name)
        if len(self._known) >= _KNOWN_NAMES:
            self._known.clear()
        self._known.add(name)

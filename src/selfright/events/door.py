"""The one door: the only place where a value from outside is checked.

Three ways in, one check: scalars from Python (``Door``), bytes from the wire (``wire``)
and columns (``columns``). ``Door.run`` sits in the caller's hot path: it checks and
returns a plain tuple; units are converted later, for a thousand rows at once (``raw``).
"""

from __future__ import annotations

from datetime import datetime
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

    from selfright.events.raw import RawOutcome, RawRun

    Scorer = Callable[[Any, Any], float]

MAX_AHEAD_US: Final = 5 * 60 * 1_000_000  # further in the future is a wrong clock
SCORED: Final = "scorer(predicted, actual)"
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

    Attributes
    ----------
    clamped
        Times replaced so far because they lay ahead.
    naive
        Datetimes without a zone so far; they were taken for UTC.
    """

    __slots__ = ("_clamp", "_known", "_scorer", "clamped", "naive")

    def __init__(self, scorer: Scorer, *, clamp_future: bool = True) -> None:
        self._scorer = scorer
        self._clamp = clamp_future
        self._known: dict[str, str] = {}
        self.clamped = 0
        self.naive = 0

    def usual_run(
        self,
        run_id: str,
        agent_name: str,
        agent_type: str,
        status: str,
        duration_ms: float | None,
        tokens_used: int | None,
        cost: float | None,
        now_us: int,
    ) -> RawRun:
        """Return a run of no more fields than these as a raw row; raise ``InvalidEventError``.

        Nearly all runs are of this kind. About 0.6 us.
        """
        if (
            run_id.__class__ is not str
            or not 0 < len(run_id) <= MAX_NAME
            or not run_id.isprintable()
        ):
            run_id = check.name("run_id", run_id)
        # A name seen before is replaced by the very object kept: millions of rows share it.
        known = self._known
        try:
            agent_name = known[agent_name]
        except (KeyError, TypeError):
            agent_name = self._learn("agent_name", agent_name)
        try:
            agent_type = known[agent_type]
        except (KeyError, TypeError):
            agent_type = self._learn("agent_type", agent_type)
        code = ALIASES.get(status, UNKNOWN) if status.__class__ is str else UNKNOWN
        if code < 0:
            code = check.status_code(status)
        # Checked without a call: these three come with nearly every run.
        if duration_ms is not None and not (
            duration_ms.__class__ is float and 0.0 <= duration_ms <= MAX_DURATION_MS
        ):
            duration_ms = check.number("duration_ms", duration_ms, MAX_DURATION_MS)
        if tokens_used is not None and not (
            tokens_used.__class__ is int and 0 <= tokens_used <= MAX_TOKENS
        ):
            tokens_used = check.whole("tokens_used", tokens_used, MAX_TOKENS)
        if cost is not None and not (cost.__class__ is float and 0.0 <= cost <= MAX_COST_USD):
            cost = check.number("cost", cost, MAX_COST_USD)
        return run_id, agent_name, agent_type, code, now_us, duration_ms, tokens_used, cost

    def run(  # noqa: C901, PLR0912, PLR0913, PLR0917 - one line per field: a loop costs 5x
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
        usual = self.usual_run(
            run_id, agent_name, agent_type, status, duration_ms, tokens_used, cost, now_us
        )
        if memory_mb is not None:
            memory_mb = check.number("memory_mb", memory_mb, MAX_MEMORY_MB)
        if cpu_ms is not None:
            cpu_ms = check.number("cpu_ms", cpu_ms, MAX_DURATION_MS)
        if quality_score is not None:
            quality_score = check.number("quality_score", quality_score, 1)
        if confidence is not None:
            confidence = check.number("confidence", confidence, 1)
        if tokens_in is not None:
            tokens_in = check.whole("tokens_in", tokens_in, MAX_TOKENS)
        if tokens_out is not None:
            tokens_out = check.whole("tokens_out", tokens_out, MAX_TOKENS)
        if api_calls is not None:
            api_calls = check.whole("api_calls", api_calls, check.MAX_COUNT)
        if retry_count.__class__ is not int or retry_count:
            retry_count = check.whole("retry_count", retry_count, check.MAX_COUNT)
        if error_type is not None:
            error_type = check.text("error_type", error_type)
        if task_id is not None:
            task_id = check.name("task_id", task_id)
        if task_type is not None:
            task_type = self._name("task_type", task_type)
        if decision_id is not None:
            decision_id = check.name("decision_id", decision_id)
        if agent_version is not None:
            agent_version = self._name("agent_version", agent_version)
        if parent_run_id is not None:
            parent_run_id = check.name("parent_run_id", parent_run_id)
        if session_id is not None:
            session_id = check.name("session_id", session_id)
        if route is not None:
            route = self._name("route", route)
        if metadata is not None:
            metadata = check.attributes("metadata", metadata)
        if context is not None:
            context = check.attributes("context", context)
        if config is not None:
            config = check.attributes("config", config)
        ts_us, given = now_us, False
        if timestamp is not None:
            ts_us, given = self._time(timestamp, now_us)
        return (
            *usual[:4], ts_us, *usual[5:], tokens_in, tokens_out, api_calls, memory_mb, cpu_ms,
            retry_count, quality_score, confidence, error_type, task_id, task_type, decision_id,
            agent_version, parent_run_id, session_id, route, context, config, metadata, given,
        )  # fmt: skip

    def outcome(  # noqa: PLR0913, PLR0917 - the record has this many fields
        self,
        agent_name: str,
        task_id: str | None,
        predicted_outcome: Any,  # noqa: ANN401 - any JSON value
        actual_outcome: Any,  # noqa: ANN401 - ditto
        feedback_source: str,
        metadata: dict[str, Any] | None,
        timestamp: datetime | str | float | None,
        accuracy_score: float | None,
        outcome_id: str | None,
        run_id: str | None,
        now_us: int,
    ) -> RawOutcome:
        """Return the outcome, scored, as a raw row; raise ``InvalidEventError``."""
        agent_name = self._name("agent_name", agent_name)
        if task_id is not None:
            task_id = check.name("task_id", task_id)
        if outcome_id is not None:
            outcome_id = check.name("outcome_id", outcome_id)
        if run_id is not None:
            run_id = check.name("run_id", run_id)
        feedback_source = self._name("feedback_source", feedback_source)
        predicted = check.plain("predicted_outcome", predicted_outcome)
        actual = check.plain("actual_outcome", actual_outcome)
        if accuracy_score is None:
            score = check.number(SCORED, float(self._scorer(predicted, actual)), 1)
        else:
            score = check.number("accuracy_score", accuracy_score, 1)
        if metadata is not None:
            metadata = check.attributes("metadata", metadata)
        ts_us, given = (now_us, False) if timestamp is None else self._time(timestamp, now_us)
        return (
            agent_name, run_id, task_id, ts_us, score, feedback_source, outcome_id, predicted,
            actual, metadata, given,
        )  # fmt: skip

    def _time(self, value: datetime | str | float, now_us: int) -> tuple[int, bool]:
        """Return the time and whether it is the sender's own."""
        ts_us = time_at_the_edge.parse(value)
        if isinstance(value, datetime) and value.tzinfo is None:
            self.naive += 1
        if self._clamp and ts_us > now_us + MAX_AHEAD_US:
            self.clamped += 1
            return now_us, False
        return ts_us, True

    def _name(self, field: str, name: str) -> str:
        try:
            return self._known[name]
        except (KeyError, TypeError):  # TypeError: something that cannot even be looked up
            return self._learn(field, name)

    def _learn(self, field: str, name: str) -> str:
        checked = check.name(field, name)
        if len(self._known) >= _KNOWN_NAMES:
            self._known.clear()
        return self._known.setdefault(checked, checked)

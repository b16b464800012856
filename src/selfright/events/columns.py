"""The columnar door: whole columns of runs and outcomes, checked at once.

Thousands of rows for the price of a few: what costs a microsecond and more per run as
single calls costs a fraction of one here. The same values get the same verdict as at
the other two doors. A bad row is refused by its index, the others are kept; only what is
wrong with a column as such raises.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from selfright.errors import InvalidEventError
from selfright.events import check
from selfright.events.batch import (
    KIB_PER_MB,
    MISSING,
    NANO_PER_USD,
    Q32,
    US_PER_MS,
    OutcomeBatch,
    RunBatch,
)
from selfright.events.door import MAX_AHEAD_US, SCORED
from selfright.events.raw import total_tokens
from selfright.events.record import (
    MAX_COST_USD,
    MAX_DURATION_MS,
    MAX_MEMORY_MB,
    MAX_TOKENS,
    AgentRun,
    Outcome,
)
from selfright.events.sieve import Sieve
from selfright.events.wire import NO_EVIDENCE

if TYPE_CHECKING:
    from selfright.events.batch import Bools, Ints
    from selfright.events.door import Door, Scorer
    from selfright.events.wire import Rejection

RUN_FIELDS: Final = AgentRun.__struct_fields__
OUTCOME_FIELDS: Final = Outcome.__struct_fields__

_Batch = TypeVar("_Batch", RunBatch, OutcomeBatch)


def run_columns(
    columns: object, now_us: int, *, clamp_future: bool = True, door: Door | None = None
) -> tuple[RunBatch, list[Rejection]]:
    """Return the runs in a set of columns, and the rows refused.

    Parameters
    ----------
    columns
        Maps the names of ``AgentRun``'s fields to equal-long columns: lists, or numpy
        arrays, whose masked entries count as not reported. An Arrow table and a data
        frame will do. ``run_id`` and ``agent_name`` must be there. NaN is refused.
    now_us
        The time of rows that bring none.
    clamp_future
        Replace a time more than five minutes ahead by now.
    door
        Its count of replaced times goes on, if given.

    Raises
    ------
    InvalidEventError
        For a column that is unknown, of another length than the others or no column, or
        where a required one is not there.

    Notes
    -----
    About 0.4 us a row for five numeric arrays and three lists of names.
    """
    sieve = Sieve(columns, RUN_FIELDS)
    sieve.require("run_id", "agent_name")
    n = sieve.rows
    # In the order of the scalar door, so that a row is refused for the same field.
    run_id = sieve.names("run_id", required=True, few=False)
    agent_name = sieve.names("agent_name", required=True)
    typed = "agent_type" in sieve
    agent_type = sieve.names("agent_type", required=True) if typed else ["agent"] * n
    status = sieve.statuses() if "status" in sieve else np.zeros(n, dtype=np.int8)
    duration_us = sieve.numbers("duration_ms", MAX_DURATION_MS, US_PER_MS)
    tokens = sieve.wholes("tokens_used", MAX_TOKENS)
    cost = sieve.numbers("cost", MAX_COST_USD, NANO_PER_USD)
    memory = sieve.numbers("memory_mb", MAX_MEMORY_MB, KIB_PER_MB)
    cpu = sieve.numbers("cpu_ms", MAX_DURATION_MS, US_PER_MS)
    quality = sieve.numbers("quality_score", 1, Q32)
    confidence = sieve.numbers("confidence", 1, Q32)
    tokens_in = sieve.wholes("tokens_in", MAX_TOKENS)
    tokens_out = sieve.wholes("tokens_out", MAX_TOKENS)
    api_calls = sieve.wholes("api_calls", check.MAX_COUNT)
    retry_count = _retries(sieve)
    error_type = sieve.texts("error_type")
    task_id = sieve.names("task_id", few=False)
    task_type = sieve.names("task_type")
    decision_id = sieve.names("decision_id", few=False)
    agent_version = sieve.names("agent_version")
    parent_run_id = sieve.names("parent_run_id", few=False)
    session_id = sieve.names("session_id")
    route = sieve.names("route")
    metadata = sieve.attributes("metadata")
    context = sieve.attributes("context")
    config = sieve.attributes("config")
    ts_us, ts_given = _times(sieve, now_us, clamp_future=clamp_future, door=door)
    batch = RunBatch(
        seq=np.arange(n, dtype=np.int64),
        run_id=run_id,  # type: ignore[arg-type]  # the rows with None are refused
        agent_name=agent_name,  # type: ignore[arg-type]  # ditto
        agent_type=agent_type,  # type: ignore[arg-type]  # ditto
        status=status,
        ts_us=ts_us,
        duration_us=duration_us,
        tokens=total_tokens(tokens, tokens_in, tokens_out),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        api_calls=api_calls,
        cost_nano_usd=cost,
        memory_kib=memory,
        cpu_us=cpu,
        retry_count=retry_count,
        quality_q32=quality,
        confidence_q32=confidence,
        error_type=error_type,
        task_id=task_id,
        task_type=task_type,
        decision_id=decision_id,
        agent_version=agent_version,
        parent_run_id=parent_run_id,
        session_id=session_id,
        route=route,
        context=context,
        config=config,
        metadata=metadata,
        ts_given=ts_given,
    )
    return _kept(batch, sieve)


def outcome_columns(
    columns: object,
    now_us: int,
    *,
    clamp_future: bool = True,
    scorer: Scorer | None = None,
    door: Door | None = None,
) -> tuple[OutcomeBatch, list[Rejection]]:
    """Return the outcomes in a set of columns, scored, and the rows refused.

    A row without ``accuracy_score`` is scored by ``scorer(predicted, actual)``; without
    a scorer, or with neither a prediction nor a truth, it is refused. For the rest see
    ``run_columns``; ``agent_name`` must be there.
    """
    sieve = Sieve(columns, OUTCOME_FIELDS)
    sieve.require("agent_name")
    n = sieve.rows
    agent_name = sieve.names("agent_name", required=True)
    task_id = sieve.names("task_id", few=False)
    outcome_id = sieve.names("outcome_id", few=False)
    run_id = sieve.names("run_id", few=False)
    sourced = "feedback_source" in sieve
    source = sieve.names("feedback_source", required=True) if sourced else ["user"] * n
    predicted = sieve.values("predicted_outcome")
    actual = sieve.values("actual_outcome")
    score = sieve.numbers("accuracy_score", 1, Q32).copy()  # what is missing is filled in
    _score(sieve, score, predicted, actual, scorer)
    metadata = sieve.attributes("metadata")
    ts_us, ts_given = _times(sieve, now_us, clamp_future=clamp_future, door=door)
    batch = OutcomeBatch(
        seq=np.arange(n, dtype=np.int64),
        agent_name=agent_name,  # type: ignore[arg-type]  # the rows with None are refused
        run_id=run_id,
        task_id=task_id,
        ts_us=ts_us,
        score_q32=score,
        feedback_source=source,  # type: ignore[arg-type]  # ditto
        outcome_id=outcome_id,
        predicted=predicted,
        actual=actual,
        metadata=metadata,
        ts_given=ts_given,
        run=[None] * n,
        primary=np.ones(n, dtype=np.bool_),
        fresh=np.ones(n, dtype=np.bool_),
    )
    return _kept(batch, sieve)


def _retries(sieve: Sieve) -> Ints:
    if "retry_count" not in sieve:
        return np.zeros(sieve.rows, dtype=np.int64)
    retries = sieve.wholes("retry_count", check.MAX_COUNT)
    # It counts from 0: there is no run whose retries are unknown, as the scalar door has it.
    missing = np.flatnonzero(retries == MISSING).tolist()
    sieve.refuse("retry_count", missing, check.whole_reason(check.MAX_COUNT))
    return retries


def _score(
    sieve: Sieve,
    score: Ints,
    predicted: list[Any],
    actual: list[Any],
    scorer: Scorer | None,
) -> None:
    """Fill in the scores that are missing, in place."""
    for row in np.flatnonzero((score == MISSING) & sieve.passed()).tolist():
        if predicted[row] is None and actual[row] is None:
            sieve.refuse("accuracy_score", (row,), NO_EVIDENCE)
        elif scorer is None:
            sieve.refuse("accuracy_score", (row,), "must be there: nothing here scores outcomes")
        else:
            try:
                given = check.number(SCORED, float(scorer(predicted[row], actual[row])), 1)
                score[row] = round(given * Q32)
            except InvalidEventError as error:
                sieve.refuse(error.field, (row,), error.reason)


def _times(
    sieve: Sieve, now_us: int, *, clamp_future: bool, door: Door | None
) -> tuple[Ints, Bools]:
    """Return times and whether they are the sender's own."""
    if "timestamp" not in sieve:
        return np.full(sieve.rows, now_us), np.zeros(sieve.rows, dtype=np.bool_)
    ts_us = sieve.times()
    given = ts_us != MISSING
    if clamp_future:
        ahead = ts_us > now_us + MAX_AHEAD_US
        given &= ~ahead
        if door is not None:
            door.clamped += int(np.count_nonzero(ahead & sieve.passed()))
    return np.where(given, ts_us, now_us), given


def _kept(batch: _Batch, sieve: Sieve) -> tuple[_Batch, list[Rejection]]:
    rejections = sieve.rejections()
    if not rejections:
        return batch, rejections
    kept = batch.take(np.flatnonzero(sieve.passed()))
    return kept.numbered(np.arange(len(kept), dtype=np.int64)), rejections

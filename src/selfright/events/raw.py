"""Raw rows, as the door passes them, to columns in exact units, a thousand at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from selfright.events.batch import (
    KIB_PER_MB,
    MISSING,
    NANO_PER_USD,
    Q32,
    US_PER_MS,
    OutcomeBatch,
    RunBatch,
)

# The number of fields tells the rows of a queue apart: a run of the usual fields alone, an
# outcome, a run of any fields.
USUAL_RUN_FIELDS: Final = 8
RAW_OUTCOME_FIELDS: Final = 11
RAW_RUN_FIELDS: Final = 28
# What a usual run leaves out, in the order of a raw run: no retries, no time of its own.
_LEFT_OUT: Final = (*(None,) * 5, 0, *(None,) * 13, False)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfright.events.batch import Ints

    RawRun = tuple[Any, ...]
    RawOutcome = tuple[Any, ...]


def run_batch(raw: Sequence[RawRun], seq: Ints | None = None) -> RunBatch:
    """Return raw rows as columns in exact units. About 0.4 us a usual row, 1 us another.

    Columns of usual rows that hold nothing are one and the same.
    """
    if not raw:
        return RunBatch.empty()
    seq = np.arange(len(raw), dtype=np.int64) if seq is None else seq
    lengths = set(map(len, raw))
    if lengths == {USUAL_RUN_FIELDS}:
        return _usual_batch(raw, seq)
    if len(lengths) > 1:
        raw = [row if len(row) == RAW_RUN_FIELDS else (*row, *_LEFT_OUT) for row in raw]
    column = list(zip(*raw, strict=True))
    tokens_in, tokens_out = scaled(column[8], 1), scaled(column[9], 1)
    return RunBatch(
        seq=seq,
        run_id=list(column[0]),
        agent_name=list(column[1]),
        agent_type=list(column[2]),
        status=np.array(column[3], dtype=np.int8),
        ts_us=np.array(column[4], dtype=np.int64),
        duration_us=scaled(column[5], US_PER_MS),
        tokens=total_tokens(scaled(column[6], 1), tokens_in, tokens_out),
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        api_calls=scaled(column[10], 1),
        cost_nano_usd=scaled(column[7], NANO_PER_USD),
        memory_kib=scaled(column[11], KIB_PER_MB),
        cpu_us=scaled(column[12], US_PER_MS),
        retry_count=np.array(column[13], dtype=np.int64),
        quality_q32=scaled(column[14], Q32),
        confidence_q32=scaled(column[15], Q32),
        error_type=list(column[16]),
        task_id=list(column[17]),
        task_type=list(column[18]),
        decision_id=list(column[19]),
        agent_version=list(column[20]),
        parent_run_id=list(column[21]),
        session_id=list(column[22]),
        route=list(column[23]),
        context=list(column[24]),
        config=list(column[25]),
        metadata=list(column[26]),
        ts_given=np.array(column[27], dtype=np.bool_),
    )


def _usual_batch(raw: Sequence[RawRun], seq: Ints) -> RunBatch:
    n = len(raw)
    ids, agents, types, codes, times, durations, tokens, costs = zip(*raw, strict=True)
    missing = np.full(n, MISSING, dtype=np.int64)
    missing.flags.writeable = False  # one for many columns
    nothing: list[Any] = [None] * n
    return RunBatch(
        seq=seq,
        run_id=list(ids),
        agent_name=list(agents),
        agent_type=list(types),
        status=np.array(codes, dtype=np.int8),
        ts_us=np.array(times, dtype=np.int64),
        duration_us=scaled(durations, US_PER_MS),
        tokens=scaled(tokens, 1),
        tokens_in=missing,
        tokens_out=missing,
        api_calls=missing,
        cost_nano_usd=scaled(costs, NANO_PER_USD),
        memory_kib=missing,
        cpu_us=missing,
        retry_count=np.zeros(n, dtype=np.int64),
        quality_q32=missing,
        confidence_q32=missing,
        error_type=nothing,
        task_id=nothing,
        task_type=nothing,
        decision_id=nothing,
        agent_version=nothing,
        parent_run_id=nothing,
        session_id=nothing,
        route=nothing,
        context=nothing,
        config=nothing,
        metadata=nothing,
        ts_given=np.zeros(n, dtype=np.bool_),
    )


def outcome_batch(raw: Sequence[RawOutcome], seq: Ints | None = None) -> OutcomeBatch:
    """Return raw outcomes as columns, not yet joined to runs."""
    if not raw:
        return OutcomeBatch.empty()
    column = list(zip(*raw, strict=True))
    n = len(raw)
    return OutcomeBatch(
        seq=np.arange(n, dtype=np.int64) if seq is None else seq,
        agent_name=list(column[0]),
        run_id=list(column[1]),
        task_id=list(column[2]),
        ts_us=np.array(column[3], dtype=np.int64),
        score_q32=scaled(column[4], Q32),
        feedback_source=list(column[5]),
        outcome_id=list(column[6]),
        predicted=list(column[7]),
        actual=list(column[8]),
        metadata=list(column[9]),
        ts_given=np.array(column[10], dtype=np.bool_),
        run=[None] * n,
        primary=np.ones(n, dtype=np.bool_),
        fresh=np.ones(n, dtype=np.bool_),
    )


def total_tokens(tokens: Ints, tokens_in: Ints, tokens_out: Ints) -> Ints:
    """Return the total where it was given, else the sum of the parts that were."""
    if tokens_in.max(initial=MISSING) < 0 and tokens_out.max(initial=MISSING) < 0:
        return tokens
    parts = np.maximum(tokens_in, 0) + np.maximum(tokens_out, 0)
    reported = (tokens_in >= 0) | (tokens_out >= 0)
    return np.where(tokens >= 0, tokens, np.where(reported, parts, MISSING))


def scaled(column: Sequence[float | None], scale: int) -> Ints:
    """Return a checked column in units of ``1 / scale``; None becomes -1."""
    # Most columns of most callers hold nothing at all.
    if column[0] is None and column.count(None) == len(column):
        return np.full(len(column), MISSING, dtype=np.int64)
    values = np.array(column, dtype=np.float64)  # None becomes NaN
    missing = np.isnan(values)
    if missing.any():
        values[missing] = MISSING / scale
    return np.rint(values * scale).astype(np.int64)

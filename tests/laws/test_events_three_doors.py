"""The three ways in give one verdict: scalars, bytes and columns, over hostile values too."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfright.errors import InvalidEventError
from selfright.events.batch import OutcomeBatch, RunBatch
from selfright.events.columns import outcome_columns, run_columns
from selfright.events.door import Door
from selfright.events.raw import outcome_batch, run_batch
from selfright.events.record import AgentRun, Outcome
from selfright.events.wire import decode_outcomes, decode_runs, require_evidence

NOW_US = 1_700_000_000_000_000


def _score(predicted: object, actual: object) -> float:
    return float(predicted == actual)


def _or_none(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


def _nested(depth: int) -> list[Any]:
    return [_nested(depth - 1)] if depth else []


NAMES = st.sampled_from(["a", "agent/1", "x" * 200, "Ärger ✓", "with space"])
HOSTILE_NAMES = st.sampled_from(
    ["", "x" * 201, "a\nb", "a\u2028b", "\x1b[31m", "\u202eevil", "tab\t", "\x00", 5, 1.5, True, []]
)
NUMBERS = st.floats(0, 1) | st.integers(0, 1) | st.sampled_from([0.0, 1.0, 1e-9, 0.1, 1 / 3])
BIG_NUMBERS = NUMBERS | st.floats(0, 1e6) | st.integers(0, 10**5)
HOSTILE_NUMBERS = st.sampled_from(
    [
        math.nan,
        math.inf,
        -math.inf,
        -1,
        -1e-9,
        10**20,
        2**63,
        10**400,
        1e300,
        True,
        False,
        "5",
        "nan",
        "",
        [],
        {},
    ]
)
WHOLES = st.integers(0, 10**9) | st.sampled_from([0, 1])
HOSTILE_WHOLES = st.sampled_from([-1, 10**20, 0.5, 5.0, True, "5", 2**64, []])
TIMES = st.sampled_from(
    [
        0,
        1.5,
        1_700_000_000,
        1_600_000_000.123456,
        "2024-01-01T00:00:00Z",
        "2024-01-01T00:00:00",
        "2024-02-29T23:59:59.999999+05:30",
        "2023-11-14 22:18:20+00:00",
        1_700_000_301,  # just more than five minutes ahead
        "2030-01-01T00:00:00Z",
    ]
)
HOSTILE_TIMES = st.sampled_from([-1, 1e12, "yesterday", "", True, "5", [], "2024-13-01T00:00:00Z"])
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3)
    ),
    max_leaves=8,
)
MAPPINGS = st.dictionaries(st.sampled_from("abc"), PLAIN, max_size=3)
HOSTILE_MAPPINGS = st.sampled_from([[], "text", 5, {"deep": _nested(70)}])
STATUSES = st.sampled_from(["success", "OK", "failed", " Timeout ", "pending", "canceled"])
HOSTILE_STATUSES = st.sampled_from(["done?", "", 0, True, []])
TEXTS = st.sampled_from(["", "TimeoutError", "line\nbreak", "\x1b[0m", "x" * 1000])
HOSTILE_TEXTS = st.sampled_from(["x" * 1001, 5, []])


def _mixed(good: Any, hostile: Any, *, optional: bool = True) -> st.SearchStrategy[Any]:
    return st.none() | good | hostile if optional else good | hostile


RUN_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "run_id": _mixed(NAMES, HOSTILE_NAMES, optional=False),
    "agent_name": _mixed(NAMES, HOSTILE_NAMES, optional=False),
    "agent_type": _mixed(NAMES, HOSTILE_NAMES, optional=False),
    "status": _mixed(STATUSES, HOSTILE_STATUSES, optional=False),
    "duration_ms": _mixed(BIG_NUMBERS, HOSTILE_NUMBERS),
    "tokens_used": _mixed(WHOLES, HOSTILE_WHOLES),
    "cost": _mixed(NUMBERS, HOSTILE_NUMBERS),
    "memory_mb": _mixed(BIG_NUMBERS, HOSTILE_NUMBERS),
    "cpu_ms": _mixed(BIG_NUMBERS, HOSTILE_NUMBERS),
    "quality_score": _mixed(NUMBERS, HOSTILE_NUMBERS),
    "confidence": _mixed(NUMBERS, HOSTILE_NUMBERS),
    "error_type": _mixed(TEXTS, HOSTILE_TEXTS),
    "metadata": _mixed(MAPPINGS, HOSTILE_MAPPINGS),
    "timestamp": _mixed(TIMES, HOSTILE_TIMES),
    "tokens_in": _mixed(WHOLES, HOSTILE_WHOLES),
    "tokens_out": _mixed(WHOLES, HOSTILE_WHOLES),
    "api_calls": _mixed(WHOLES, HOSTILE_WHOLES),
    "retry_count": _mixed(WHOLES, HOSTILE_WHOLES, optional=False),
    "task_id": _mixed(NAMES, HOSTILE_NAMES),
    "task_type": _mixed(NAMES, HOSTILE_NAMES),
    "context": _mixed(MAPPINGS, HOSTILE_MAPPINGS),
    "decision_id": _mixed(NAMES, HOSTILE_NAMES),
    "agent_version": _mixed(NAMES, HOSTILE_NAMES),
    "parent_run_id": _mixed(NAMES, HOSTILE_NAMES),
    "session_id": _mixed(NAMES, HOSTILE_NAMES),
    "config": _mixed(MAPPINGS, HOSTILE_MAPPINGS),
    "route": _mixed(NAMES, HOSTILE_NAMES),
}
OUTCOME_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "agent_name": _mixed(NAMES, HOSTILE_NAMES, optional=False),
    "task_id": _mixed(NAMES, HOSTILE_NAMES),
    "predicted_outcome": _or_none(PLAIN),
    "actual_outcome": _or_none(PLAIN),
    "feedback_source": _mixed(NAMES, HOSTILE_NAMES, optional=False),
    "metadata": _mixed(MAPPINGS, HOSTILE_MAPPINGS),
    "timestamp": _mixed(TIMES, HOSTILE_TIMES),
    "accuracy_score": _mixed(NUMBERS, HOSTILE_NUMBERS),
    "outcome_id": _mixed(NAMES, HOSTILE_NAMES),
    "run_id": _mixed(NAMES, HOSTILE_NAMES),
}


def _rows(
    fields: dict[str, st.SearchStrategy[Any]], base: dict[str, Any]
) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Return rows that differ from a good one in a few fields, so that many still pass."""
    change = st.sampled_from(list(fields)).flatmap(
        lambda name: fields[name].map(lambda value: (name, value))
    )
    plain = {name: base.get(name) for name in fields}
    row = st.lists(change, max_size=5).map(lambda changes: {**plain, **dict(changes)})
    return st.lists(row, min_size=1, max_size=8)


RUNS = _rows(
    RUN_FIELDS,
    {"run_id": "r", "agent_name": "a", "agent_type": "t", "status": "ok", "retry_count": 0},
)
OUTCOMES = _rows(
    OUTCOME_FIELDS, {"agent_name": "a", "feedback_source": "user", "accuracy_score": 0.5}
)


def test_the_law_covers_every_field() -> None:
    """A field added to a record is added here: the law would pass over it in silence."""
    assert tuple(RUN_FIELDS) == AgentRun.__struct_fields__
    assert tuple(OUTCOME_FIELDS) == Outcome.__struct_fields__


def _same(left: RunBatch | OutcomeBatch, right: RunBatch | OutcomeBatch) -> None:
    assert left.seq.tolist() == right.seq.tolist()
    assert left.rows() == right.rows()
    for mine, theirs in zip(left.rows(), right.rows(), strict=True):
        assert [type(value) for value in mine] == [type(value) for value in theirs]


@given(RUNS, st.lists(st.booleans(), min_size=8, max_size=8))
def test_a_usual_run_is_a_run_without_the_rest(
    rows: list[dict[str, Any]], usual: list[bool]
) -> None:
    """Whether a run of the usual fields comes in short or at full length, it is the same."""
    door, short, full = Door(_score), [], []
    for row, is_usual in zip(rows, usual, strict=False):
        given_fields = list(row.values())
        rest = [0 if name == "retry_count" else None for name in list(row)[7:]]
        try:
            whole = door.run(*given_fields[:7], *rest, NOW_US)
        except InvalidEventError as error:
            with pytest.raises(InvalidEventError, match=error.field):
                door.usual_run(*given_fields[:7], NOW_US)
            continue
        full.append(whole)
        short.append(door.usual_run(*given_fields[:7], NOW_US) if is_usual else whole)
    _same(run_batch(short), run_batch(full))


def _scalar_runs(rows: list[dict[str, Any]]) -> tuple[RunBatch, dict[int, str], int]:
    door, kept, refused = Door(_score), [], {}
    for index, row in enumerate(rows):
        try:
            kept.append(door.run(*row.values(), NOW_US))
        except InvalidEventError as error:
            refused[index] = error.field
    return run_batch(kept), refused, door.clamped


def _scalar_outcomes(rows: list[dict[str, Any]]) -> tuple[OutcomeBatch, dict[int, str], int]:
    door, kept, refused = Door(_score), [], {}
    for index, row in enumerate(rows):
        try:
            require_evidence(row["accuracy_score"], row["predicted_outcome"], row["actual_outcome"])
            kept.append(door.outcome(*row.values(), NOW_US))
        except InvalidEventError as error:
            refused[index] = error.field
    return outcome_batch(kept), refused, door.clamped


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def _arrays(columns: dict[str, list[Any]]) -> dict[str, Any]:
    """Return numeric columns as numpy arrays, masked where a value is missing."""
    arrays: dict[str, Any] = dict(columns)
    for name, column in columns.items():
        kinds = {type(value) for value in column}
        if kinds <= {int, float, type(None)} and len(kinds - {type(None)}) == 1:
            missing = [value is None for value in column]
            try:
                data = np.array([0 if value is None else value for value in column])
            except OverflowError:
                continue
            if data.dtype != object:
                arrays[name] = np.ma.MaskedArray(data, missing) if any(missing) else data
    return arrays


@settings(max_examples=200)
@given(RUNS)
def test_runs_get_one_verdict_as_scalars_and_as_columns(rows: list[dict[str, Any]]) -> None:
    """Lists and arrays alike: same rows kept, same rows refused for the same field."""
    expected, refused, clamped = _scalar_runs(rows)
    for columns in (_columns(rows), _arrays(_columns(rows))):
        door = Door(_score)
        batch, rejections = run_columns(columns, NOW_US, door=door)
        assert {item.index: item.field for item in rejections} == refused
        assert door.clamped == clamped
        _same(batch, expected)


@settings(max_examples=200)
@given(RUNS)
def test_runs_get_one_verdict_as_scalars_and_from_the_wire(rows: list[dict[str, Any]]) -> None:
    """JSON array, NDJSON and msgpack: same rows kept, same indices refused."""
    expected, refused, clamped = _scalar_runs(rows)
    for form, body in _bodies(rows):
        door = Door(_score)
        kept, rejections = decode_runs(door, body, NOW_US, form=form)
        assert [item.index for item in rejections] == list(refused)
        assert door.clamped == clamped
        _same(run_batch(kept), expected)


@settings(max_examples=200)
@given(OUTCOMES)
def test_outcomes_get_one_verdict_at_all_doors(rows: list[dict[str, Any]]) -> None:
    """Scored by us or by the sender: same rows kept with the same scores."""
    expected, refused, clamped = _scalar_outcomes(rows)
    door = Door(_score)
    batch, rejections = outcome_columns(_columns(rows), NOW_US, scorer=_score, door=door)
    assert [item.index for item in rejections] == list(refused)
    assert door.clamped == clamped
    _same(batch, expected)
    for form, body in _bodies(rows):
        kept, rejections = decode_outcomes(Door(_score), body, NOW_US, form=form)
        assert [item.index for item in rejections] == list(refused)
        _same(outcome_batch(kept), expected)


def _bodies(rows: list[dict[str, Any]]) -> list[tuple[str, bytes]]:
    texts = [json.dumps(row) for row in rows]
    bodies = [
        ("json", f"[{','.join(texts)}]".encode()),
        ("ndjson", "\n".join(texts).encode()),
    ]
    try:
        bodies.append(("msgpack", msgspec.msgpack.encode(rows)))
    except OverflowError:  # what msgpack cannot say, nobody can send by it
        assert any(_beyond_64_bits(value) for row in rows for value in row.values())
    return bodies


def _beyond_64_bits(value: object) -> bool:
    return type(value) is int and not -(2**63) <= value < 2**64

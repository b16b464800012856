"""Bytes from the wire: what is wrong with one record costs no other."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest

from selfright.errors import InvalidEventError
from selfright.events.door import Door
from selfright.events.raw import outcome_batch, run_batch
from selfright.events.wire import Rejection, decode_outcomes, decode_runs

NOW_US = 1_700_000_000_000_000
GOOD = b'{"run_id":"good","agent_name":"planner"}'


def door() -> Door:
    """Return a door that scores by equality."""
    return Door(lambda predicted, actual: float(predicted == actual))


def runs(body: bytes, form: str = "json") -> tuple[list[str], list[Rejection]]:
    """Return the ids of the runs kept, and the rejections."""
    rows, rejected = decode_runs(door(), body, NOW_US, form=form)
    return [row[0] for row in rows], rejected


def refused_among(record: bytes) -> Rejection:
    """Return why a record is refused, once it has cost its neighbours nothing."""
    kept, rejected = runs(b"[" + GOOD + b"," + record + b"," + GOOD + b"]")
    assert kept == ["good", "good"]
    assert [item.index for item in rejected] == [1]
    assert len(rejected[0].reason) < 300
    return rejected[0]


def with_field(field: str, value: bytes) -> bytes:
    """Return a good record with one more field, written as given."""
    return b'{"run_id":"r","agent_name":"a","' + field.encode() + b'":' + value + b"}"


@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1", b"1e20"])
@pytest.mark.parametrize("field", ["duration_ms", "cost", "quality_score", "tokens_used"])
def test_no_number_refuses_just_that_record_and_names_the_field(field: str, value: bytes) -> None:
    """NaN and Infinity are no JSON, yet Python's json writes them."""
    assert refused_among(with_field(field, value)).field == field


@pytest.mark.parametrize("value", [b'"5"', b"true", b"[]", b"{}", b'"nan"'])
@pytest.mark.parametrize("field", ["duration_ms", "tokens_in", "retry_count"])
def test_what_is_no_number_at_all_names_the_field(field: str, value: bytes) -> None:
    """Text is not read as a number."""
    assert refused_among(with_field(field, value)).field == field


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (b'{"agent_name":"a"}', "run_id"),
        (b'{"run_id":"r"}', "agent_name"),
        (b'{"run_id":null,"agent_name":"a"}', "run_id"),
        (with_field("agent_type", b"null"), "agent_type"),
        (with_field("status", b'"finished"'), "status"),
        (with_field("status", b"null"), "status"),
        (with_field("task_id", b'"a\\nb"'), "task_id"),
        (with_field("task_id", b'"a\\u2028b"'), "task_id"),
        (with_field("task_id", b'"\\ud800"'), "task_id"),
        (with_field("task_id", b'"' + b"x" * 201 + b'"'), "task_id"),
        (with_field("route", b'""'), "route"),
        (with_field("error_type", b'"' + b"x" * 1001 + b'"'), "error_type"),
        (with_field("metadata", b"[]"), "metadata"),
        (with_field("metadata", b'{"a":18446744073709551616}'), "metadata"),
        (with_field("metadata", b'{"a":NaN}'), "metadata"),
        (with_field("context", b'{"a":' + b"[" * 70 + b"]" * 70 + b"}"), "context"),
        (with_field("config", b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}"), "body"),
        (with_field("timestamp", b'"yesterday"'), "timestamp"),
        (with_field("timestamp", b"-1"), "timestamp"),
        (with_field("timestamp", b"1700000000000"), "timestamp"),
        (with_field("timestamp", b"true"), "timestamp"),
        (with_field("agent", b'"a"'), "agent"),
    ],
)
def test_each_fault_is_told_by_its_field(record: bytes, field: str) -> None:
    """The sender can find it without reading our code."""
    assert refused_among(record).field == field


@pytest.mark.parametrize(
    "record",
    [
        b"5",
        b"null",
        b'"text"',
        b"[]",
        b"NaN",
        b"[NaN]",
        b'[{"run_id":"r","agent_name":"a"},NaN]',
        b"nonsense",
        b'{"run_id" "r"}',
        b'{"run_id":"r","agent_name":"a",}',
        b'{"run_id":"\xff\xfe","agent_name":"a"}',
        b'{"run_id":"r","agent_name":"a"} {}',
        b"",
    ],
)
def test_a_malformed_record_spoils_no_other(record: bytes) -> None:
    """As long as its brackets close, the array can be cut around it."""
    assert refused_among(record).field == "body"


def test_a_record_beyond_one_mebibyte_is_refused() -> None:
    """Prompts and outputs do not belong into a run."""
    big = with_field("metadata", b'{"a":"' + b"x" * (1 << 20) + b'"}')
    assert refused_among(big) == Rejection(1, "body", "is larger than 1048576 bytes")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"[",
        b"[1,",
        b"[1]]",
        b"[{]}",
        b"{",
        b"nonsense",
        b"\xff",
        b'[{"run_id":"r]',
        b'{"a":1}{"b":2}',
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_nothing_raises_for_the_whole(body: bytes) -> None:
    """There is no index to refuse; the field is ``body``."""
    with pytest.raises(InvalidEventError, match="malformed json") as caught:
        runs(body)
    assert caught.value.field == "body"
    assert len(str(caught.value)) < 400


def test_one_object_is_a_batch_of_one() -> None:
    """Also where it is refused."""
    assert runs(GOOD) == (["good"], [])
    assert runs(b" " + GOOD + b"\n") == (["good"], [])
    assert [item.index for item in runs(with_field("cost", b"NaN"))[1]] == [0]
    assert runs(b"[]") == ([], [])


def test_ndjson_is_a_record_a_line() -> None:
    """Blank lines count nothing; a broken line is refused alone."""
    body = b"\n".join([GOOD, b"", b"{broken", with_field("cost", b"NaN"), b"  ", GOOD + b"\r"])
    kept, rejected = runs(body, "ndjson")
    assert kept == ["good", "good"]
    assert [(item.index, item.field) for item in rejected] == [(1, "body"), (2, "cost")]


def test_a_separator_within_text_ends_no_line() -> None:
    """U+2028 and a form feed are lines to Python, not to NDJSON."""
    body = '{"run_id":"r","agent_name":"a","metadata":{"t":"a\u2028b\u0085c"}}'.encode()
    assert runs(body, "ndjson") == (["r"], [])


def test_msgpack_says_the_same() -> None:
    """One map or an array of maps."""
    record = {"run_id": "r", "agent_name": "a", "duration_ms": 5}
    wrong = {**record, "cost": float("nan")}
    assert runs(msgspec.msgpack.encode(record), "msgpack") == (["r"], [])
    kept, rejected = runs(msgspec.msgpack.encode([record, wrong, record]), "msgpack")
    assert kept == ["r", "r"]
    assert [(item.index, item.field) for item in rejected] == [(1, "cost")]
    many = msgspec.msgpack.encode([record] * 70_000)
    assert len(runs(many, "msgpack")[0]) == 70_000
    for body in (b"", b"\x93", b"\xc1", b"\xdd\xff\xff\xff\xff"):
        with pytest.raises(InvalidEventError, match="malformed msgpack"):
            runs(body, "msgpack")


@pytest.mark.parametrize("raw", [b"x", {"a": b"x"}])
def test_bytes_in_msgpack_are_no_json(raw: Any) -> None:
    """JSON has no word for them, so neither has a run."""
    body = msgspec.msgpack.encode({"run_id": "r", "agent_name": "a", "metadata": {"k": raw}})
    assert [item.field for item in runs(body, "msgpack")[1]] == ["metadata"]


def test_defaults_of_the_wire_are_those_of_the_call() -> None:
    """Type agent, status success, no retries, the time of arrival."""
    rows, _ = decode_runs(door(), GOOD, NOW_US)
    row = run_batch(rows)
    assert (row.agent_type, row.status.tolist(), row.retry_count.tolist()) == (["agent"], [0], [0])
    assert (row.ts_us.tolist(), row.ts_given.tolist()) == ([NOW_US], [False])


def outcomes(*records: dict[str, Any]) -> tuple[list[int], list[Rejection]]:
    """Return the scores of the outcomes kept, and the rejections."""
    rows, rejected = decode_outcomes(door(), json.dumps(list(records)).encode(), NOW_US)
    return outcome_batch(rows).score_q32.tolist(), rejected


def test_an_outcome_brings_a_score_or_something_to_score() -> None:
    """A false prediction is something; two nulls are nothing."""
    kept, rejected = outcomes(
        {"agent_name": "a", "accuracy_score": 0.25},
        {"agent_name": "a", "predicted_outcome": False, "actual_outcome": True},
        {"agent_name": "a", "predicted_outcome": [1], "actual_outcome": [1]},
        {"agent_name": "a"},
        {"agent_name": "a", "predicted_outcome": None, "actual_outcome": None},
    )
    assert kept == [1 << 30, 0, 1 << 32]
    assert [(item.index, item.field) for item in rejected] == [
        (3, "accuracy_score"),
        (4, "accuracy_score"),
    ]
    assert "predicted_outcome and actual_outcome" in rejected[0].reason


def test_one_wrong_outcome_is_refused_alone() -> None:
    """With its field."""
    kept, rejected = outcomes(
        {"agent_name": "a", "accuracy_score": 1.5},
        {"agent_name": "a", "accuracy_score": 1},
        {"agent_name": "a", "accuracy_score": float("nan")},
        {"agent_name": "a", "accuracy_score": 1, "score": 1},
    )
    assert kept == [1 << 32]
    assert [(item.index, item.field) for item in rejected] == [
        (0, "accuracy_score"),
        (2, "accuracy_score"),
        (3, "score"),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 8_000_000,
        b"[" + b'{"a":1},' * 1_000_000 + b"x]",
        b'["' + b"\\" * 8_000_000,
        b"[" + b'{"a":' * 1_600_000,
        b"[" + b'{"' * 4_000_000,
        b"[" + b"," * 8_000_000,
    ],
    ids=["brackets", "broken at the end", "escapes", "nested", "quotes", "commas"],
)
def test_a_hostile_body_of_eight_mebibytes_is_refused_in_time(body: bytes) -> None:
    """No body makes the rescue of broken ones try again and again."""
    started = time.perf_counter()
    with pytest.raises(InvalidEventError):
        runs(body)
    # It takes half a second on a busy machine; quadratic behaviour would take hours.
    assert time.perf_counter() - started < 20

"""The scalar door: what it takes, what it refuses, and how it says so."""

from __future__ import annotations

import enum
import types
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pytest

from selfright.errors import InvalidEventError
from selfright.events.door import MAX_AHEAD_US, Door
from selfright.events.raw import outcome_batch, run_batch
from selfright.events.record import AgentRun, Outcome
from selfright.events.status import ALIASES, RunStatus

NOW_US = 1_700_000_000_000_000
RUN: dict[str, Any] = {
    **dict.fromkeys(AgentRun.__struct_fields__),
    "run_id": "r1",
    "agent_name": "planner",
    "agent_type": "llm",
    "status": "success",
    "duration_ms": 12.5,
    "retry_count": 0,
}
OUTCOME: dict[str, Any] = {
    **dict.fromkeys(Outcome.__struct_fields__),
    "agent_name": "planner",
    "feedback_source": "user",
    "accuracy_score": 0.5,
}

RATIOS = ("quality_score", "confidence")
QUANTITIES = ("duration_ms", "cost", "memory_mb", "cpu_ms", *RATIOS)
COUNTS = ("tokens_used", "tokens_in", "tokens_out", "api_calls", "retry_count")
REQUIRED_NAMES = ("run_id", "agent_name", "agent_type")
NAMES = (
    *REQUIRED_NAMES,
    "task_id",
    "task_type",
    "decision_id",
    "agent_version",
    "parent_run_id",
    "session_id",
    "route",
)
MAPPINGS = ("metadata", "context", "config")

NO_NUMBER = [
    float("nan"),
    float("inf"),
    -float("inf"),
    1e999,
    -1,
    -0.001,
    10**20,
    10**400,
    True,
    False,
    "5",
    "nan",
    b"5",
    [],
    [1.0],
    {},
    1 + 2j,
    np.float64("nan"),
    np.float16("inf"),
    np.int8(-1),
    np.bool_(True),
    np.array([1.0, 2.0]),
    np.datetime64("2024-01-01"),
]
NO_WHOLE = [*NO_NUMBER, 5.0, 0.5, np.float64(5.0)]
NO_NAME = [
    "",
    "x" * 201,
    "a\nb",
    "a\rb",
    "a\tb",
    "\x00",
    "\x1b[31mred",
    "\x7f",
    "a\u2028b",
    "a\u2029b",
    "\u202egnp.exe",
    "\ud800",
    "\ufeff",
    b"planner",
    5,
    1.5,
    True,
    ["planner"],
    {"a": 1},
    {1},
    np.array(["a", "b"]),
]


def run(**changes: Any) -> dict[str, Any]:
    """Return the run as its stored row, by field."""
    raw = Door(lambda p, a: float(p == a)).run(*{**RUN, **changes}.values(), NOW_US)
    batch = run_batch([raw])
    return dict(zip(list(batch.__dataclass_fields__)[1:], batch.rows()[0], strict=True))


def outcome(**changes: Any) -> dict[str, Any]:
    """Return the outcome as its stored row, by field."""
    raw = Door(lambda p, a: float(p == a)).outcome(*{**OUTCOME, **changes}.values(), NOW_US)
    batch = outcome_batch([raw])
    return dict(zip(list(batch.__dataclass_fields__)[1:], batch.rows()[0], strict=True))


def refusal(**changes: Any) -> InvalidEventError:
    """Return the refusal of a run with one wrong field; it must be told by that field."""
    with pytest.raises(InvalidEventError) as caught:
        run(**changes)
    (field,) = changes
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}=")
    assert len(str(caught.value)) < 400
    return caught.value


@pytest.mark.parametrize("value", NO_NUMBER, ids=repr)
@pytest.mark.parametrize("field", QUANTITIES)
def test_a_quantity_that_is_none_is_refused(field: str, value: object) -> None:
    """NaN, infinities, negatives, unit mistakes, truth values and text are no quantities."""
    assert "must be a finite number between 0 and" in refusal(**{field: value}).reason


@pytest.mark.parametrize("value", NO_WHOLE, ids=repr)
@pytest.mark.parametrize("field", COUNTS)
def test_a_count_that_is_none_is_refused(field: str, value: object) -> None:
    """A count is a whole number; a float is none."""
    assert "must be a whole number between 0 and" in refusal(**{field: value}).reason


@pytest.mark.parametrize("field", RATIOS)
def test_a_ratio_above_one_is_refused(field: str) -> None:
    """Percent are a unit mistake."""
    assert "between 0 and 1" in refusal(**{field: 85.0}).reason


@pytest.mark.parametrize("value", NO_NAME, ids=repr)
@pytest.mark.parametrize("field", NAMES)
def test_a_name_that_could_forge_output_is_refused(field: str, value: object) -> None:
    """Names go into log lines, metric labels and pages: no control or separator characters."""
    assert "1..200 printable characters" in refusal(**{field: value}).reason


@pytest.mark.parametrize("field", REQUIRED_NAMES)
def test_a_required_name_must_be_there(field: str) -> None:
    """None is no name."""
    refusal(**{field: None})


@pytest.mark.parametrize("value", ["", "x" * 200, "agent/1", "Ärger ✓", "=cmd|'/C'", "<script>"])
def test_printable_names_pass_as_they_are(value: str) -> None:
    """What a page or a cell must escape is not the door's matter."""
    if value:
        assert run(agent_name=value)["agent_name"] == value


@pytest.mark.parametrize("value", ["a" * 1001, 5, b"x", ["x"]], ids=repr)
def test_an_error_type_is_text_of_a_thousand_characters(value: object) -> None:
    """Stack traces go elsewhere."""
    assert "at most 1000 characters" in refusal(error_type=value).reason


def test_an_error_type_loses_what_could_forge_a_line() -> None:
    """Line breaks, escapes and lone surrogates become spaces; the rest stays."""
    assert run(error_type="Bad\nthing\x1b[0m\ud800é")["error_type"] == "Bad thing [0m é"


@pytest.mark.parametrize("value", ["", "done?", 0, 1, True, None, b"success", [], {}], ids=repr)
def test_an_unknown_status_is_refused_with_the_list(value: object) -> None:
    """The message names what would be accepted."""
    reason = refusal(status=value).reason
    assert "success, failure, partial, timeout, cancelled, interrupted, pending" in reason


class Mood(str, enum.Enum):  # noqa: UP042 - the kind under test
    """An enum of the old kind, as users' status enums are."""

    GOOD = "success"
    BAD = "failed"


def test_statuses_come_as_words_aliases_and_enum_members() -> None:
    """Case and spaces around do not matter."""
    for alias, code in ALIASES.items():
        assert run(status=alias)["status"] == code
        assert run(status=f" {alias.upper()} ")["status"] == code
    assert run(status=Mood.BAD)["status"] == RunStatus.FAILURE
    assert run(status=RunStatus.TIMEOUT)["status"] == RunStatus.TIMEOUT
    assert run(status=np.str_("ok"))["status"] == RunStatus.SUCCESS


@pytest.mark.parametrize("value", [[], "text", 5, (("a", 1),), {1: "a"}, {None: 1}], ids=repr)
@pytest.mark.parametrize("field", MAPPINGS)
def test_attributes_are_a_mapping_with_text_keys(field: str, value: object) -> None:
    """Anything else is refused."""
    reason = refusal(**{field: value}).reason
    assert reason in {"must be a mapping", "keys must be text"}


def test_exact_units_are_what_batches_hold() -> None:
    """Microseconds, nano-dollars, KiB, 2^-32."""
    row = run(
        duration_ms=0.0015,
        cost=0.000_000_001,
        memory_mb=0.5,
        cpu_ms=1,
        quality_score=0.5,
        confidence=1,
    )
    assert row["duration_us"] == 2
    assert row["cost_nano_usd"] == 1
    assert row["memory_kib"] == 512
    assert row["cpu_us"] == 1000
    assert row["quality_q32"] == 1 << 31
    assert row["confidence_q32"] == 1 << 32


def test_what_nobody_reported_is_minus_one_and_not_zero() -> None:
    """An absent quantity must not pull an average down."""
    row = run(duration_ms=None)
    for column in ("duration_us", "tokens", "cost_nano_usd", "memory_kib", "quality_q32"):
        assert row[column] == -1
    assert row["retry_count"] == 0


def test_tokens_are_the_sum_of_the_parts_unless_the_total_is_given() -> None:
    """One part alone is a sum too."""
    assert run(tokens_in=3, tokens_out=4)["tokens"] == 7
    assert run(tokens_out=4)["tokens"] == 4
    assert run(tokens_used=9, tokens_in=3)["tokens"] == 9


def test_numpy_scalars_are_numbers_and_names() -> None:
    """They become plain Python: no store could encode them."""
    row = run(
        duration_ms=np.float32(1.5),
        tokens_used=np.int32(7),
        agent_name=np.str_("planner"),
        run_id=np.str_("r"),
        task_id=np.str_("t"),
        error_type=np.str_("E"),
        retry_count=np.uint8(3),
        metadata={"a": np.float64(0.5), "b": np.arange(2), "c": np.str_("x")},
    )
    assert row["duration_us"] == 1500
    assert row["tokens"] == 7
    assert row["retry_count"] == 3
    assert row["metadata"] == {"a": 0.5, "b": [0, 1], "c": "x"}
    for column in ("agent_name", "run_id", "task_id", "error_type"):
        assert type(row[column]) is str
    assert [type(value) for value in row["metadata"].values()] == [float, list, str]


def test_text_enums_become_plain_text() -> None:
    """The value, not the member: it is what was meant and what can be stored."""
    row = run(agent_name=Mood.BAD, route=Mood.GOOD)
    assert (row["agent_name"], row["route"]) == ("failed", "success")
    assert type(row["agent_name"]) is str
    assert type(row["route"]) is str


def test_a_name_seen_twice_is_the_same_object() -> None:
    """A log of a hundred thousand runs holds each agent's name once."""
    door = Door(lambda p, a: 1.0)
    names = ["planner".upper().lower() for _ in range(2)]
    rows = [door.run(*{**RUN, "agent_name": name}.values(), NOW_US) for name in names]
    assert names[0] is not names[1]
    assert rows[0][1] is rows[1][1]


def test_new_names_without_end_do_not_fill_the_memory() -> None:
    """A hostile client may send a new name each time."""
    door = Door(lambda p, a: 1.0)
    for number in range(50_050):
        door.run(*{**RUN, "agent_name": f"agent {number}"}.values(), NOW_US)
    assert len(door._known) <= 50_000


def test_attributes_are_a_copy() -> None:
    """What the caller changes later is not ours."""
    given = {"steps": [1, 2]}
    row = run(metadata=given)
    given["steps"].append(3)
    assert row["metadata"] == {"steps": [1, 2]}


def test_a_time_is_the_senders_or_that_of_arrival() -> None:
    """``ts_given`` tells which."""
    assert (run()["ts_us"], run()["ts_given"]) == (NOW_US, False)
    row = run(timestamp=1_600_000_000.25)
    assert (row["ts_us"], row["ts_given"]) == (1_600_000_000_250_000, True)


def test_a_clock_that_is_ahead_is_replaced_and_counted() -> None:
    """Five minutes are tolerated; beyond that the time of arrival counts."""
    door = Door(lambda p, a: 1.0)
    limit = (NOW_US + MAX_AHEAD_US) / 1e6
    tolerated = door.run(*{**RUN, "timestamp": limit}.values(), NOW_US)
    assert tolerated[4] == NOW_US + MAX_AHEAD_US
    assert door.clamped == 0
    ahead = door.run(*{**RUN, "timestamp": limit + 1}.values(), NOW_US)
    assert (ahead[4], ahead[-1]) == (NOW_US, False)
    assert door.clamped == 1
    door.outcome(*{**OUTCOME, "timestamp": "2100-01-01T00:00:00Z"}.values(), NOW_US)
    assert door.clamped == 2


def test_the_files_own_time_is_never_replaced() -> None:
    """A replay looks at a past that may lie after the machine's clock."""
    door = Door(lambda p, a: 1.0, clamp_future=False)
    row = door.run(*{**RUN, "timestamp": "2100-01-01T00:00:00Z"}.values(), NOW_US)
    assert row[4] > NOW_US + MAX_AHEAD_US
    assert door.clamped == 0


def test_datetimes_without_a_zone_are_utc_and_counted() -> None:
    """The face says so once; that is why it must know."""
    door = Door(lambda p, a: 1.0)
    naive = door.run(*{**RUN, "timestamp": datetime(2020, 1, 1)}.values(), NOW_US)  # noqa: DTZ001
    aware = door.run(*{**RUN, "timestamp": datetime(2020, 1, 1, tzinfo=UTC)}.values(), NOW_US)
    east = timezone(timedelta(hours=2))
    same = door.run(*{**RUN, "timestamp": datetime(2020, 1, 1, 2, tzinfo=east)}.values(), NOW_US)
    assert naive[4] == aware[4] == same[4] == 1_577_836_800_000_000
    assert door.naive == 1


@pytest.mark.parametrize(
    "field", ["agent_name", "task_id", "feedback_source", "outcome_id", "run_id"]
)
@pytest.mark.parametrize("value", NO_NAME, ids=repr)
def test_names_of_outcomes_are_checked_alike(field: str, value: object) -> None:
    """The same words for the same fault."""
    with pytest.raises(InvalidEventError, match=r"1\.\.200 printable") as caught:
        outcome(**{field: value})
    assert caught.value.field == field


@pytest.mark.parametrize("value", [*NO_NUMBER, 1.0001], ids=repr)
def test_a_score_outside_zero_to_one_is_refused(value: object) -> None:
    """Also in the shapes numbers must not have."""
    with pytest.raises(InvalidEventError) as caught:
        outcome(accuracy_score=value)
    assert caught.value.field == "accuracy_score"


@pytest.mark.parametrize("value", [float("nan"), b"x", {1: 2}, 2**64, "\ud800", object()], ids=repr)
@pytest.mark.parametrize("field", ["predicted_outcome", "actual_outcome", "metadata"])
def test_predictions_are_any_json_value_and_nothing_else(field: str, value: object) -> None:
    """NaN, bytes and what no store can hold are refused, whether or not a score is given."""
    with pytest.raises(InvalidEventError) as caught:
        outcome(**{field: {"inside": value} if field == "metadata" else value})
    assert caught.value.field == field


def test_an_outcome_is_scored_where_no_score_is_given() -> None:
    """By the scorer, on plain copies; a given score overrides it."""
    assert outcome(accuracy_score=None, predicted_outcome=(1, 2), actual_outcome=[1, 2])[
        "score_q32"
    ] == (1 << 32)
    assert outcome(predicted_outcome=1, actual_outcome=2)["score_q32"] == 1 << 31


@pytest.mark.parametrize("score", [float("nan"), -0.1, 1.1, float("inf")])
def test_a_scorer_that_leaves_zero_to_one_is_told(score: float) -> None:
    """The error names the scorer, not a field of the sender."""
    door = Door(lambda p, a: score)
    with pytest.raises(InvalidEventError) as caught:
        door.outcome(*{**OUTCOME, "accuracy_score": None}.values(), NOW_US)
    assert caught.value.field == "scorer(predicted, actual)"


def test_an_error_shows_a_short_value() -> None:
    """Errors go to logs and answers: no payloads in them."""
    error = refusal(run_id="x" * 100_000)
    assert len(error.value) <= 120
    assert error.value.startswith("'xxx")


def test_whatever_hides_behind_a_value_only_our_error_comes_out() -> None:
    """Attribute errors and the like would be the library's fault in the caller's eyes."""
    for strange in (object(), types.SimpleNamespace(value=3), lambda: None, NotImplemented, ...):
        for field in (*QUANTITIES, *COUNTS, *NAMES, *MAPPINGS, "status", "timestamp", "error_type"):
            refusal(**{field: strange})

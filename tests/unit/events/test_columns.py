"""The columnar door: what a column may be, and what happens to its bad rows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from selfright.errors import InvalidEventError
from selfright.events.batch import RunBatch
from selfright.events.columns import outcome_columns, run_columns
from selfright.events.door import Door
from selfright.events.status import RunStatus
from selfright.events.wire import Rejection

NOW_US = 1_700_000_000_000_000


def runs(rows: int = 3, **columns: Any) -> tuple[RunBatch, list[Rejection]]:
    """Return what becomes of a few good runs with some more columns."""
    base = {"run_id": [f"r{i}" for i in range(rows)], "agent_name": ["planner"] * rows}
    return run_columns({**base, **columns}, NOW_US)


class Arrow:
    """As much of an Arrow table as the door asks for."""

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self._columns = columns

    @property
    def column_names(self) -> list[str]:
        return list(self._columns)

    def to_pydict(self) -> dict[str, list[Any]]:
        return self._columns


class Series:
    """As much of a column of a data frame as the door asks for."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values

    def to_list(self) -> list[Any]:
        return self._values


class Frame:
    """As much of a data frame as the door asks for."""

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self._columns = columns
        self.columns = list(columns)

    def __getitem__(self, name: str) -> Series:
        return Series(self._columns[name])


def test_lists_arrays_tables_and_frames_say_the_same() -> None:
    """Whatever the columns come in."""
    columns = {"run_id": ["a", "b"], "agent_name": ["x", "y"], "duration_ms": [1.5, 2.5]}
    expected = run_columns(columns, NOW_US)[0].rows()
    arrays = {name: np.array(column) for name, column in columns.items()}
    objects = {name: np.array(column, dtype=object) for name, column in columns.items()}
    tuples = {name: tuple(column) for name, column in columns.items()}
    for form in (arrays, objects, tuples, Arrow(columns), Frame(columns)):
        batch, rejections = run_columns(form, NOW_US)
        assert batch.rows() == expected
        assert rejections == []


@pytest.mark.parametrize(
    "dtype", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]
)
def test_every_width_of_number_is_welcome(dtype: str) -> None:
    """Also big-endian and strided ones."""
    numbers = np.array([1, 0, 2, 0, 3, 0], dtype=dtype)[::2]
    for column in (numbers, numbers.astype(np.dtype(dtype).newbyteorder(">"))):
        batch, rejections = runs(duration_ms=column)
        assert batch.duration_us.tolist() == [1000, 2000, 3000]
        assert rejections == []


def test_masked_entries_and_none_are_not_reported() -> None:
    """They become -1; NaN beside them is a value, and refused."""
    mask = [False, True, False]
    for column in (
        np.ma.MaskedArray([1.0, np.nan, 3.0], mask),
        np.ma.MaskedArray([1, 99, 3], mask),
        [1.0, None, 3],
        np.array([1.0, None, 3], dtype=object),
    ):
        batch, rejections = runs(cost=column)
        assert batch.cost_nano_usd.tolist() == [1_000_000_000, -1, 3_000_000_000]
        assert rejections == []
    for column in (np.array([1.0, np.nan, 3.0]), [1.0, float("nan"), 3.0], [None, np.nan, 3.0]):
        batch, rejections = runs(cost=column)
        assert batch.run_id == ["r0", "r2"]
        assert rejections == [Rejection(1, "cost", "must be a finite number between 0 and 100000")]


@pytest.mark.parametrize(
    "column",
    [
        np.array([True, False, True]),
        np.array(["1", "2", "3"]),
        np.array([1 + 2j] * 3),
        np.array(["2024-01-01"] * 3, dtype="datetime64[D]"),
        np.array([b"1"] * 3),
        [True, False, True],
        ["1", "2", "3"],
        [[1], [2], [3]],
    ],
    ids=repr,
)
def test_columns_of_other_things_are_no_numbers(column: Any) -> None:
    """Numpy would read text and truth values as numbers; the door does not."""
    batch, rejections = runs(duration_ms=column)
    assert len(batch) == 0
    assert [item.field for item in rejections] == ["duration_ms"] * 3


def test_counts_in_an_array_of_floats_are_refused() -> None:
    """As one by one: a float is no count."""
    assert len(runs(tokens_used=np.array([1.0, 2.0, 3.0]))[1]) == 3
    assert runs(tokens_used=np.array([1, 2, 3]))[0].tokens.tolist() == [1, 2, 3]


def test_a_bad_row_is_refused_and_the_rest_kept() -> None:
    """Each row once, for its first fault in the order of the record; seq has no gaps."""
    batch, rejections = runs(
        rows=6,
        agent_name=["a", "b\n", "c", "d", "e", "f"],
        status=["ok", "ok", "what", "failed", "ok", "ok"],
        cost=[1.0, -1.0, 0.0, 0.0, np.inf, 0.5],
        metadata=[None, None, None, {1: 2}, None, {"a": 1}],
    )
    assert [(item.index, item.field) for item in rejections] == [
        (1, "agent_name"),
        (2, "status"),
        (3, "metadata"),
        (4, "cost"),
    ]
    assert batch.run_id == ["r0", "r5"]
    assert batch.seq.tolist() == [0, 1]
    assert batch.metadata == [None, {"a": 1}]
    assert batch.cost_nano_usd.tolist() == [1_000_000_000, 500_000_000]


def test_all_rows_may_be_bad() -> None:
    """An empty batch is a batch."""
    batch, rejections = runs(cost=[-1, -1, -1])
    assert len(batch) == 0
    assert len(rejections) == 3


def test_no_rows_are_no_error() -> None:
    """Empty columns of any kind."""
    for empty in ([], np.array([]), np.array([], dtype=object)):
        columns = {"run_id": empty, "agent_name": empty, "cost": empty, "timestamp": empty}
        batch, rejections = run_columns(columns, NOW_US)
        assert (len(batch), rejections) == (0, [])


def test_statuses_are_words_or_members() -> None:
    """Each different word is looked up once; members and mixtures one by one."""
    batch, _ = runs(status=["ok", RunStatus.TIMEOUT, np.str_("failed")])
    assert batch.status.tolist() == [RunStatus.SUCCESS, RunStatus.TIMEOUT, RunStatus.FAILURE]
    _, rejections = runs(status=["ok", None, ["ok"]])
    assert [item.index for item in rejections] == [1, 2]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ([1_600_000_000, 1_600_000_000.5, None], [1_600_000_000, 1_600_000_000.5, None]),
        (np.array([1_600_000_000.5, 0, 5]), [1_600_000_000.5, 0, 5]),
        (np.array([1_600_000_000, 0, 5]), [1_600_000_000, 0, 5]),
        (np.array(["1970-01-01T00:00:01", "1970-01-02", "1970-01-01"], "M8[ns]"), [1, 86_400, 0]),
        (np.array(["1970-01-01", "1970-01-02", "1970-01-03"], "M8[D]"), [0, 86_400, 172_800]),
        (
            np.ma.MaskedArray(np.array([5, 6, 7], "M8[s]"), [False, True, False]),
            [5, None, 7],
        ),
        (["1970-01-01T00:00:01Z", "1970-01-01T01:00:00+01:00", None], [1, 0, None]),
        ([datetime(1970, 1, 1, 0, 1, tzinfo=UTC), 5, "1970-01-01T00:00:07"], [60, 5, 7]),
    ],
)
def test_times_come_in_every_shape(column: Any, expected: list[float | None]) -> None:
    """What is missing gets the time of arrival, and says so."""
    batch, rejections = runs(timestamp=column)
    assert rejections == []
    wanted = [NOW_US if second is None else round(second * 1e6) for second in expected]
    assert batch.ts_us.tolist() == wanted
    assert batch.ts_given.tolist() == [second is not None for second in expected]


@pytest.mark.parametrize(
    "column",
    [
        np.array([1.0, np.nan, 3.0]),
        np.array([1.0, np.inf, 3.0]),
        np.array([1, -1, 3]),
        np.array([1, 1_704_067_200_000, 3]),
        np.array(["1970-01-01", "NaT", "1970-01-02"], "M8[us]"),
        np.array(["1970-01-01", "1969-12-31", "1970-01-02"], "M8[us]"),
        [1, "yesterday", 3],
        [1, True, 3],
    ],
    ids=repr,
)
def test_a_wrong_time_refuses_its_row(column: Any) -> None:
    """NaT too: an array says "not reported" by its mask."""
    batch, rejections = runs(timestamp=column)
    assert [(item.index, item.field) for item in rejections] == [(1, "timestamp")]
    assert batch.run_id == ["r0", "r2"]


def test_times_ahead_are_replaced_and_counted_unless_they_are_the_files_own() -> None:
    """Only rows that pass count."""
    columns = {
        "run_id": ["a", "b", "c"],
        "agent_name": ["x", "x", ""],
        "timestamp": [NOW_US / 1e6 + 299, NOW_US / 1e6 + 301, NOW_US / 1e6 + 301],
    }
    door = Door(lambda p, a: 1.0)
    batch, _ = run_columns(columns, NOW_US, door=door)
    assert batch.ts_us.tolist() == [NOW_US + 299_000_000, NOW_US]
    assert batch.ts_given.tolist() == [True, False]
    assert door.clamped == 1
    batch, _ = run_columns(columns, NOW_US, clamp_future=False, door=door)
    assert batch.ts_us.tolist() == [NOW_US + 299_000_000, NOW_US + 301_000_000]
    assert door.clamped == 1


def test_names_repeated_are_one_object() -> None:
    """A log of a million runs holds each agent's name once."""
    batch, _ = runs(agent_name=["planner".upper().lower() for _ in range(3)])
    assert batch.agent_name[0] is batch.agent_name[1] is batch.agent_name[2]


def test_numpy_text_becomes_plain() -> None:
    """Stores cannot encode numpy's."""
    batch, _ = runs(task_id=[np.str_("t"), "u", None], error_type=np.array(["E\n", "F", "G"]))
    assert batch.task_id == ["t", "u", None]
    assert batch.error_type == ["E ", "F", "G"]
    assert {type(text) for text in (*batch.task_id[:2], *batch.error_type)} == {str}


@pytest.mark.parametrize(
    ("columns", "field", "words"),
    [
        ({"run_id": ["a"], "agent_name": ["x"], "latency_ms": [1]}, "latency_ms", "no field"),
        ({"run_id": ["a"], "agent_name": ["x"], "agent_nmae": [1]}, "agent_nmae", "agent_name?"),
        ({"run_id": ["a"], "agent_name": ["x"], 5: [1]}, "5", "no field"),
        ({"run_id": ["a", "b"], "agent_name": ["x"]}, "agent_name", "1 rows where"),
        ({"run_id": ["a"]}, "agent_name", "must be there"),
        ({"agent_name": ["a"]}, "run_id", "must be there"),
        ({"run_id": "abc", "agent_name": ["x"]}, "run_id", "must be a column"),
        ({"run_id": 5, "agent_name": ["x"]}, "run_id", "must be a column"),
        ({"run_id": {"a": 1}, "agent_name": ["x"]}, "run_id", "must be a column"),
        ({"run_id": ["a"], "agent_name": ["x"], "cost": np.ones((1, 1))}, "cost", "one dimension"),
        ("text", "columns", "must map"),
        ([{"run_id": "a"}], "columns", "must map"),
        (None, "columns", "must map"),
    ],
)
def test_a_fault_of_a_column_as_such_raises(columns: Any, field: str, words: str) -> None:
    """There is no row to blame."""
    with pytest.raises(InvalidEventError) as caught:
        run_columns(columns, NOW_US)
    assert caught.value.field == field
    assert words in str(caught.value)


def test_outcomes_are_scored_where_no_score_is_given() -> None:
    """A scorer that fails a row refuses that row; without a scorer there is nothing to do."""
    columns = {
        "agent_name": ["a"] * 5,
        "accuracy_score": [0.5, None, None, None, 2],
        "predicted_outcome": [None, "x", 9, None, 1],
        "actual_outcome": [None, "x", 8, None, 1],
    }

    def scorer(predicted: Any, actual: Any) -> float:
        return 1.0 if predicted == actual else float("nan")

    batch, rejections = outcome_columns(columns, NOW_US, scorer=scorer)
    assert batch.score_q32.tolist() == [1 << 31, 1 << 32]
    assert [(item.index, item.field) for item in rejections] == [
        (2, "scorer(predicted, actual)"),
        (3, "accuracy_score"),
        (4, "accuracy_score"),
    ]
    batch, rejections = outcome_columns(columns, NOW_US)
    assert batch.score_q32.tolist() == [1 << 31]
    assert [item.index for item in rejections] == [1, 2, 3, 4]
    assert "nothing here scores" in rejections[0].reason


def test_an_outcome_joins_by_what_it_names() -> None:
    """Defaults are those of the call; the log fills the rest."""
    batch, rejections = outcome_columns(
        {"agent_name": ["a"], "accuracy_score": np.array([1]), "task_id": ["t"]}, NOW_US
    )
    assert rejections == []
    assert (batch.feedback_source, batch.task_id, batch.run_id) == (["user"], ["t"], [None])
    assert (batch.run, batch.primary.tolist(), batch.fresh.tolist()) == ([None], [True], [True])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0, 1e12])
def test_one_wrong_number_refuses_its_row_alone(bad: float) -> None:
    """An array is looked at as a whole first; what that finds is told by the row."""
    batch, rejected = runs(duration_ms=np.array([1.0, bad, 3.0]))
    assert [(item.index, item.field) for item in rejected] == [(1, "duration_ms")]
    assert batch.duration_us.tolist() == [1000, 3000]


def test_what_is_no_text_among_texts_refuses_its_row_alone() -> None:
    """Even where it will not be compared with anything, such as an array."""
    odd = ["success", np.array([1, 2]), None]
    _, rejected = runs(task_type=["a", np.array([1, 2]), None], status=odd)
    assert [(item.index, item.field) for item in rejected] == [(1, "status"), (2, "status")]


def test_what_stands_in_for_missing_columns_cannot_be_changed() -> None:
    """They share it: who changed one would change all."""
    batch, _ = runs()
    with pytest.raises(ValueError, match="read-only"):
        batch.tokens_in[0] = 1

"""Files of runs and outcomes: what a row becomes, whichever format it is written in."""

from __future__ import annotations

import csv
import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from selfright.errors import ConfigError, MissingExtraError
from selfright.events.batch import OutcomeBatch, RunBatch
from selfright.events.status import RunStatus
from selfright.sources.tabular import Table, open_table

Row = dict[str, Any]
Write = Callable[..., Path]

START_US = 946_684_800_000_000  # 2000-01-01T00:00:00Z
FORMATS = ("parquet", "csv", "ndjson", "csv.gz", "jsonl.gz")


def _cell(value: object) -> object:
    return json.dumps(value) if isinstance(value, (dict, list, bool)) else value


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes rows as a file of some format."""

    def write(rows: list[Row], form: str = "ndjson", name: str = "runs") -> Path:
        path = tmp_path / f"{name}.{form}"
        names = list(dict.fromkeys(key for row in rows for key in row))
        if form == "parquet":
            source = tmp_path / f"{name}.source.json"
            source.write_text(json.dumps(rows), encoding="utf-8")
            duckdb.connect().execute(
                f"COPY (SELECT * FROM read_json('{source}')) TO '{path}' (FORMAT parquet)"
            )
            return path
        opener = gzip.open if form.endswith(".gz") else open
        with opener(path, "wt", encoding="utf-8", newline="") as file:
            if form.startswith("csv"):
                writer = csv.DictWriter(file, names)
                writer.writeheader()
                writer.writerows({k: _cell(v) for k, v in row.items()} for row in rows)
            else:
                file.writelines(json.dumps(row) + "\n" for row in rows)
        return path

    return write


def read(table: Table) -> tuple[RunBatch, OutcomeBatch]:
    """Return all that passes."""
    pieces = list(table)
    return (
        RunBatch.concat(piece.intake.runs for piece in pieces),
        OutcomeBatch.concat(piece.intake.outcomes for piece in pieces),
    )


def column(table: Table, name: str = "run_id") -> list[Any]:
    """Return one column of the runs that pass."""
    values = getattr(read(table)[0], name)
    return list(values) if isinstance(values, list) else list(values.tolist())


FULL: list[Row] = [
    {
        "run_id": "a",
        "agent_name": "planner",
        "agent_type": "llm",
        "status": "ok",
        "duration_ms": 12.5,
        "tokens_in": 3,
        "tokens_out": 4,
        "cost": 0.25,
        "quality_score": 0.5,
        "retry_count": 1,
        "error_type": None,
        "task_id": "t1",
        "task_type": "math",
        "timestamp": "2024-01-01T00:00:00Z",
        "metadata": {"k": 1},
        "accuracy_score": 1.0,
        "context.size": 3,
        "context.hard": True,
        "config.temperature": 0.5,
        "feedback_source": "judge",
        "notes": "ignored",
    },
    {
        "run_id": "b",
        "agent_name": "coder",
        "agent_type": "llm",
        "status": None,
        "duration_ms": None,
        "tokens_in": None,
        "tokens_out": None,
        "cost": None,
        "quality_score": None,
        "retry_count": None,
        "error_type": "Timeout",
        "task_id": None,
        "task_type": "math",
        "timestamp": "2024-01-01T00:00:01+00:00",
        "metadata": None,
        "accuracy_score": None,
        "context.size": None,
        "context.hard": None,
        "config.temperature": 1.0,
        "feedback_source": None,
        "notes": None,
    },
]


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_says_the_same(write: Write, form: str) -> None:
    """Types, empty cells, nested columns: what a row means does not depend on the file."""
    table = open_table(write(FULL, form))
    runs, outcomes = read(table)
    assert table.rejections == []
    assert (table.rows_total, table.runs, table.outcomes, table.refused) == (2, 2, 1, 0)
    assert table.ignored == ("notes",)
    assert table.filled == {"duration_ms": 1}
    first, second = (dict(zip(list(runs.__dataclass_fields__)[1:], row)) for row in runs.rows())  # noqa: B905
    assert first["context"] == {"size": 3, "hard": True}
    assert first["config"] == {"temperature": 0.5}
    assert first["metadata"] == {"k": 1}
    assert (first["tokens"], first["tokens_in"], first["retry_count"]) == (7, 3, 1)
    assert first["ts_us"] == 1_704_067_200_000_000
    assert (first["duration_us"], first["cost_nano_usd"]) == (12_500, 250_000_000)
    assert second["status"] == RunStatus.PENDING
    assert second["context"] is None
    assert (second["duration_us"], second["tokens"], second["retry_count"]) == (-1, -1, 0)
    assert (second["error_type"], second["task_id"]) == ("Timeout", None)
    assert outcomes.run_id == ["a"]
    assert outcomes.feedback_source == ["judge"]
    assert outcomes.task_id == ["t1"]
    assert outcomes.score_q32.tolist() == [1 << 32]
    assert outcomes.metadata == [None]


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_missing_is_filled_in_and_counted(write: Write, form: str) -> None:
    """Run id, time, duration, status, type: a bare list of agents is a stream of runs."""
    table = open_table(write([{"agent_name": "a"}, {"agent_name": "b"}], form))
    runs, _ = read(table)
    assert runs.run_id == ["000000000", "000000001"]
    assert runs.ts_us.tolist() == [START_US, START_US + 1_000_000]
    assert runs.duration_us.tolist() == [-1, -1]
    assert runs.status.tolist() == [RunStatus.SUCCESS, RunStatus.SUCCESS]
    assert runs.agent_type == ["agent", "agent"]
    fields = ("run_id", "timestamp", "duration_ms", "status", "agent_type")
    assert table.filled == dict.fromkeys(fields, 2)


def test_single_holes_are_filled_in_too(write: Write) -> None:
    """Only where they are, and only they count; a time repeats the one before it."""
    rows: list[Row] = [
        {"agent_name": "a", "timestamp": None, "run_id": None, "agent_type": None},
        {"agent_name": "a", "timestamp": 100, "run_id": "x", "agent_type": "t"},
        {"agent_name": "a", "timestamp": None, "run_id": None, "agent_type": None},
        {"agent_name": "a", "timestamp": 50, "run_id": "y", "agent_type": "t"},
    ]
    for form in FORMATS:
        table = open_table(write(rows, form), chunk=1)
        runs, _ = read(table)
        assert runs.run_id == ["000000000", "x", "000000002", "y"]
        assert runs.agent_type == ["agent", "t", "agent", "t"]
        assert [ts // 1_000_000 for ts in runs.ts_us.tolist()] == [100, 100, 100, 50]
        assert {key: table.filled[key] for key in ("timestamp", "run_id", "agent_type")} == {
            "timestamp": 2,
            "run_id": 2,
            "agent_type": 2,
        }


def test_a_column_of_empty_times_is_no_column_of_times(write: Write) -> None:
    """Several data sets have one."""
    rows: list[Row] = [{"agent_name": "a", "timestamp": None}] * 2
    table = open_table(write(rows))
    assert [ts - START_US for ts in column(table, "ts_us")] == [0, 1_000_000]
    assert table.filled["timestamp"] == 2


def test_run_ids_of_several_files_need_not_collide(write: Write) -> None:
    """Import gives each file a prefix; the number is that of the row in the file."""
    path = write([{"agent_name": "a", "keep": i % 2} for i in range(4)])
    table = open_table(path, run_id_prefix="100%-sure:", where="keep = 1")
    assert column(table) == ["100%-sure:000000001", "100%-sure:000000003"]


@pytest.mark.parametrize("form", FORMATS)
def test_outcomes_have_rows_of_their_own(write: Write, form: str) -> None:
    """``kind`` tells; runs and outcomes keep the order of the file, row for row."""
    rows: list[Row] = [
        {"kind": "run", "agent_name": "a", "run_id": "r0", "accuracy_score": None},
        {"kind": "outcome", "agent_name": "a", "run_id": "r0", "accuracy_score": 0.5},
        {"kind": " Outcome", "agent_name": "b", "run_id": None, "accuracy_score": 0.25},
        {"kind": None, "agent_name": "a", "run_id": "r3", "accuracy_score": 1.0},
        {"kind": "run", "agent_name": "a", "run_id": None, "accuracy_score": 0.0},
        {"kind": "span", "agent_name": "a", "run_id": "r5", "accuracy_score": 0.0},
    ]
    table = open_table(write(rows, form))
    (piece,) = table
    intake = piece.intake
    assert intake.runs.run_id == ["r0", "r3", "000000004"]
    assert intake.outcomes.run_id == ["r0", None, "r3", "000000004"]
    assert intake.outcomes.feedback_source == ["user"] * 4
    assert intake.runs.seq.tolist() == [0, 3, 5]
    assert intake.outcomes.seq.tolist() == [1, 2, 4, 6]
    assert piece.row_of.tolist() == [0, 1, 2, 3, 3, 4, 4]
    assert [(item.index, item.field) for item in table.rejections] == [(5, "kind")]
    assert (table.runs, table.outcomes, table.filled["run_id"]) == (3, 4, 1)


def test_outcomes_to_be_scored_need_a_scorer(write: Write) -> None:
    """A prediction and a truth are any JSON value; without a scorer the row is refused."""
    rows: list[Row] = [
        {"kind": "outcome", "agent_name": "a", "predicted_outcome": p, "actual_outcome": t}
        for p, t in ((1, 1), ("x", "y"), ([1, {"a": 2}], [1, {"a": 2}]), (None, None))
    ]
    for form in ("csv", "ndjson"):
        path = write(rows, form)
        table = open_table(path, scorer=lambda predicted, actual: float(predicted == actual))
        _, outcomes = read(table)
        assert outcomes.score_q32.tolist() == [1 << 32, 0, 1 << 32]
        assert outcomes.predicted == [1, "x", [1, {"a": 2}]]
        assert [item.field for item in table.rejections] == ["accuracy_score"]
        table = open_table(path)
        assert len(read(table)[1]) == 0
        assert table.refused == 4


def test_a_row_that_is_both_is_refused_as_a_whole(write: Write) -> None:
    """Half a row would be a run without its outcome, or the reverse."""
    rows: list[Row] = [
        {"agent_name": "a", "accuracy_score": 1.0, "duration_ms": 1},
        {"agent_name": "a", "accuracy_score": 1.5, "duration_ms": 1},
        {"agent_name": "a", "accuracy_score": 1.0, "duration_ms": -1},
        {"agent_name": "", "accuracy_score": 2.0, "duration_ms": -1},
        {"agent_name": "a", "accuracy_score": 0.0, "duration_ms": 1},
    ]
    table = open_table(write(rows))
    runs, outcomes = read(table)
    assert runs.run_id == outcomes.run_id == ["000000000", "000000004"]
    assert [(item.index, item.field) for item in table.rejections] == [
        (1, "accuracy_score"),
        (2, "duration_ms"),
        (3, "agent_name"),
    ]
    assert table.refused == 3


@pytest.mark.parametrize("chunk", [1, 2, 3, 1000, 20_000])
def test_pieces_cover_all_rows_whatever_their_size(write: Write, chunk: int) -> None:
    """Refused rows included; the rows together do not depend on the cut."""
    rows: list[Row] = [
        {"agent_name": "a", "duration_ms": -1 if i % 5 == 4 else i, "accuracy_score": i % 2}
        for i in range(23)
    ]
    table = open_table(write(rows), chunk=chunk)
    pieces = list(table)
    assert [piece.first_row for piece in pieces] == list(range(0, 23, chunk))
    assert pieces[-1].next_row == 23
    at = [row for piece in pieces for row in piece.row_of.tolist()]
    assert at == [i for i in range(23) if i % 5 != 4 for _ in range(2)]
    for piece in pieces:
        seqs = sorted([*piece.intake.runs.seq.tolist(), *piece.intake.outcomes.seq.tolist()])
        assert seqs == list(range(len(piece.row_of)))
        assert len(piece.intake.runs) <= chunk
    assert (table.refused, table.runs, table.outcomes) == (4, 19, 19)


@pytest.mark.parametrize("form", ["parquet", "ndjson"])
def test_blocks_leave_no_seam(write: Write, form: str) -> None:
    """More rows than are read at once: numbers, times and ids go on."""
    rows: list[Row] = [{"agent_name": "a", "duration_ms": i} for i in range(17_000)]
    table = open_table(write(rows, form))
    runs, _ = read(table)
    assert runs.duration_us.tolist() == [1000 * i for i in range(17_000)]
    assert runs.ts_us.tolist() == [START_US + 1_000_000 * i for i in range(17_000)]
    assert runs.run_id[16_999] == "000016999"
    assert [piece.first_row for piece in table][-1] == 16_384


def test_a_table_can_be_read_twice(write: Write) -> None:
    """With the same result and counts."""
    table = open_table(write([{"agent_name": "a"}, {"agent_name": ""}]))
    first = read(table)[0].rows()
    counts = (table.filled, table.refused, table.runs, table.rejections)
    assert read(table)[0].rows() == first
    assert (table.filled, table.refused, table.runs, table.rejections) == counts
    assert repr(table) == "<Table of 2 rows, 1 fields>"


def test_of_many_rejections_the_first_thousand_are_kept(write: Write) -> None:
    """All are counted."""
    table = open_table(write([{"agent_name": ""}] * 1_500))
    assert column(table) == []
    assert (table.refused, len(table.rejections)) == (1_500, 1_000)


def test_columns_are_renamed_and_left_out(write: Write) -> None:
    """What is renamed no longer fills the field it is named like."""
    rows: list[Row] = [
        {"model": "m", "reward": 0.5, "status": "failed", "task_type": "x", "cost": 9.0, "usd": 0.5}
    ]
    mapping = {
        "agent_name": "model",
        "accuracy_score": "reward",
        "status": "",
        "task_id": "task_type",
        "cost": "usd",
        "context.price": "usd",
    }
    table = open_table(write(rows), mapping=mapping)
    runs, outcomes = read(table)
    assert (runs.agent_name, runs.task_id, runs.task_type) == (["m"], ["x"], [None])
    assert runs.status.tolist() == [RunStatus.SUCCESS]
    assert runs.cost_nano_usd.tolist() == [500_000_000]
    assert runs.context == [{"price": 0.5}]
    assert outcomes.score_q32.tolist() == [1 << 31]
    assert table.ignored == ("status", "cost")
    assert table.column_of["agent_name"] == "model"


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"acuracy_score": "reward"}, "did you mean accuracy_score?"),
        ({"accuracy_score": "rewrad"}, "did you mean reward?"),
        ({"accuracy_score": "zzz"}, "columns are agent_name, reward"),
        ({"context.": "reward"}, "no field"),
        ({"extra.x": "reward"}, "context.NAME"),
    ],
)
def test_a_mapping_from_or_to_nowhere_is_an_error(
    write: Write, mapping: dict[str, str], words: str
) -> None:
    """With the columns the file has, and a suggestion."""
    path = write([{"agent_name": "a", "reward": 1}])
    with pytest.raises(ConfigError) as caught:
        open_table(path, mapping=mapping)
    assert words in str(caught.value)


@pytest.mark.parametrize("form", FORMATS)
def test_a_condition_selects_in_the_files_words_and_in_ours(write: Write, form: str) -> None:
    """``where`` is SQL; numbers compare as numbers, also in CSV; rows are counted after it."""
    rows: list[Row] = [
        {"model": f"m{i % 2}", "ms": i, "note": "it's" if i == 7 else None} for i in range(20)
    ]
    path = write(rows, form)
    mapping = {"agent_name": "model", "duration_ms": "ms"}

    def selected(where: str) -> list[int]:
        table = open_table(path, mapping=mapping, where=where)
        assert table.rows_total == len(list(read(table)[0].run_id))
        return [us // 1000 for us in column(table, "duration_us")]

    assert selected("ms >= 9 AND model = 'm1'") == [9, 11, 13, 15, 17, 19]
    assert selected("duration_ms < 3") == [0, 1, 2]
    assert selected("agent_name = 'm0' and duration_ms between 4 and 8") == [4, 6, 8]
    assert selected("note = 'it''s' -- a comment") == [7]
    assert selected("note IS NULL AND ms % 10 = 3") == [3, 13]


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("nope = 1", "nope"),
        ("ms =", "syntax error"),
        ("ms > 1; DROP TABLE arranged", "syntax error"),
        ("1 = 1) ; SELECT (1", "single condition"),
        ("ms > 1000", "selects none of the 3 rows"),
        ("model + 1 > 2", "model"),
    ],
)
@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_condition_that_cannot_be_is_an_error(
    write: Write, form: str, where: str, words: str
) -> None:
    """What DuckDB says, in a line, and under the name of the option."""
    path = write([{"model": f"m{i}", "ms": i} for i in range(3)], form)
    with pytest.raises(ConfigError) as caught:
        open_table(path, mapping={"agent_name": "model"}, where=where)
    assert caught.value.setting == "where"
    assert words.lower() in str(caught.value).lower()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", FORMATS)
def test_sorting_is_stable_and_empty_cells_come_last(write: Write, form: str) -> None:
    """By several columns; numbers as numbers, also in CSV; in our words too."""
    rows: list[Row] = [
        {"agent_name": name, "v": v, "w": w}
        for name, v, w in (
            ("a", 10, "y"),
            ("b", 9, "x"),
            ("c", None, "x"),
            ("d", 10, "x"),
            ("e", 9, "x"),
            ("f", None, None),
        )
    ]
    path = write(rows, form)

    def order(order_by: str) -> str:
        return "".join(column(open_table(path, order_by=order_by), "agent_name"))

    assert order("v") == "beadcf"
    assert order("w,v") == "bedcaf"
    assert order(" v , w ") == "bedacf"
    assert order("agent_name") == "abcdef"
    mapped = open_table(path, mapping={"duration_ms": "v"}, order_by="duration_ms")
    assert "".join(column(mapped, "agent_name")) == "beadcf"


def test_rows_of_a_group_change_places_and_the_groups_do_not(write: Write) -> None:
    """The same in every format; another seed, another order; nothing lost."""
    rows: list[Row] = [
        {"agent_name": f"{version}{i:03}", "version": version}
        for version in "ba"
        for i in range(50)
    ]
    orders = {}
    for form in FORMATS:
        path = write(rows, form)
        options: dict[str, Any] = {"order_by": "version", "shuffle_within": "version"}
        orders[form] = column(open_table(path, **options, seed=3), "agent_name")
        assert column(open_table(path, **options, seed=3), "agent_name") == orders[form]
        assert column(open_table(path, **options, seed=4), "agent_name") != orders[form]
    shuffled = orders["ndjson"]
    assert all(order == shuffled for order in orders.values())
    assert [name[0] for name in shuffled] == ["a"] * 50 + ["b"] * 50
    assert sorted(shuffled) == sorted(row["agent_name"] for row in rows)
    assert shuffled[:50] != sorted(shuffled[:50])


def test_scattered_groups_keep_their_places(write: Write) -> None:
    """Without sorting, a group's rows change places only with each other."""
    rows: list[Row] = [{"agent_name": f"{i % 3}-{i}", "g": i % 3} for i in range(90)]
    table = open_table(write(rows, "parquet"), shuffle_within="g", seed=1)
    names = column(table, "agent_name")
    assert [name[0] for name in names] == [str(i % 3) for i in range(90)]
    assert names != [row["agent_name"] for row in rows]
    assert sorted(names) == sorted(row["agent_name"] for row in rows)


def test_a_clock_spaces_rows_evenly_instead_of_the_files_times(write: Write) -> None:
    """From the year 2000 on, after sorting; nothing is missing then."""
    rows: list[Row] = [{"agent_name": "a", "timestamp": 5_000 - i, "v": -i} for i in range(3)]
    for form in ("parquet", "csv"):
        table = open_table(write(rows, form), clock_s=0.5, order_by="v")
        assert [ts - START_US for ts in column(table, "ts_us")] == [0, 500_000, 1_000_000]
        assert column(table) == ["000000002", "000000001", "000000000"]
        assert "timestamp" not in table.filled


def test_times_may_go_backwards_and_come_in_every_shape(tmp_path: Path) -> None:
    """As the file's types have them: no zone is UTC, nanoseconds are rounded."""
    path = tmp_path / "times.parquet"
    connection = duckdb.connect()
    for kind, value in (
        ("TIMESTAMP", "'2024-01-01 00:00:01'"),
        ("TIMESTAMPTZ", "'2024-01-01 02:00:01+02'"),
        ("TIMESTAMP_NS", "'2024-01-01 00:00:01.000000400'"),
        ("TIMESTAMP_S", "'2024-01-01 00:00:01'"),
        ("VARCHAR", "'2024-01-01T00:00:01Z'"),
        ("DOUBLE", "1704067201.0"),
        ("BIGINT", "1704067201"),
    ):
        connection.execute(
            f"COPY (SELECT 'a' AS agent_name, CAST({value} AS {kind}) AS timestamp) "
            f"TO '{path}' (FORMAT parquet)"
        )
        table = open_table(path)
        assert column(table, "ts_us") == [1_704_067_201_000_000], kind
        assert table.filled.get("timestamp") is None
    connection.execute(
        "COPY (SELECT 'a' AS agent_name, DATE '2024-01-01' AS timestamp) "
        f"TO '{path}' (FORMAT parquet)"
    )
    assert column(open_table(path), "ts_us") == [1_704_067_200_000_000]


def test_types_that_lose_nothing_are_read_as_the_field_wants(tmp_path: Path) -> None:
    """Ids that are numbers, counts held as floats, exact decimals, dates as versions."""
    path = tmp_path / "types.parquet"
    duckdb.connect().execute(
        "COPY (SELECT 7 AS run_id, 'a'::ENUM ('a', 'b') AS agent_name, 5.0::DOUBLE AS tokens_in, "
        "1.25::DECIMAL(9, 2) AS cost, 3::HUGEINT AS tokens_out, "
        "DATE '2024-01-02' AS agent_version, "
        'true AS "context.flag", [1, 2] AS "context.list", {\'x\': 1} AS metadata, '
        '12::DECIMAL(9, 0) AS "context.exact", TIMESTAMP \'2024-01-01\' AS "context.when", '
        "uuid() AS session_id, '{\"t\": 0.5}' AS config) "
        f"TO '{path}' (FORMAT parquet)"
    )
    table = open_table(path)
    (row,) = read(table)[0].rows()
    found = dict(zip(list(RunBatch.__dataclass_fields__)[1:], row, strict=True))
    assert table.rejections == []
    assert (found["run_id"], found["agent_name"]) == ("7", "a")
    assert (found["tokens"], found["cost_nano_usd"]) == (8, 1_250_000_000)
    assert found["agent_version"] == "2024-01-02"
    assert found["context"] == {
        "flag": True,
        "list": [1, 2],
        "exact": 12.0,
        "when": "2024-01-01 00:00:00",
    }
    assert (found["metadata"], found["config"]) == ({"x": 1}, {"t": 0.5})
    assert len(found["session_id"]) == 36


@pytest.mark.parametrize(
    ("cells", "field"),
    [
        ({"duration_ms": "fast"}, "duration_ms"),
        ({"duration_ms": "nan"}, "duration_ms"),
        ({"duration_ms": "1e999"}, "duration_ms"),
        ({"duration_ms": "1_000"}, "duration_ms"),
        ({"duration_ms": "\u0665"}, "duration_ms"),
        ({"tokens_in": "1.5"}, "tokens_in"),
        ({"tokens_in": "-1"}, "tokens_in"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"metadata": "text"}, "metadata"),
        ({"metadata": '{"a": NaN}'}, "metadata"),
        ({"status": "done?"}, "status"),
        ({"agent_type": "a\u2028b"}, "agent_type"),
    ],
)
def test_text_that_means_nothing_is_refused_by_its_field(
    write: Write, cells: Row, field: str
) -> None:
    """A good row beside it passes."""
    bad = {"agent_name": "a", **cells}
    good = {"agent_name": "a", **dict.fromkeys(cells, "")}
    table = open_table(write([good, bad, good], "csv"))
    read(table)
    assert [(item.index, item.field) for item in table.rejections] == [(1, field)]
    assert table.runs == 2


def test_text_in_csv_stands_for_what_it_says(write: Write) -> None:
    """Numbers for numbers; ids keep their zeros; JSON where a field wants it."""
    rows: list[Row] = [
        {
            "agent_name": "007",
            "task_id": "0314",
            "duration_ms": " 1.5e1 ",
            "tokens_in": "5.0",
            "timestamp": "946684800.5",
            "metadata": '{"a": [1]}',
            "context.n": "5",
            "context.word": "five",
            "context.zip": "0815",
            "context.flag": "true",
            "context.list": "[1]",
        }
    ]
    (row,) = read(open_table(write(rows, "csv")))[0].rows()
    found = dict(zip(list(RunBatch.__dataclass_fields__)[1:], row, strict=True))
    assert (found["agent_name"], found["task_id"]) == ("007", "0314")
    assert (found["duration_us"], found["tokens_in"]) == (15_000, 5)
    assert found["ts_us"] == START_US + 500_000
    assert found["metadata"] == {"a": [1]}
    assert found["context"] == {"n": 5, "word": "five", "zip": "0815", "flag": True, "list": [1]}


def test_typed_files_are_not_read_between_the_lines(write: Write) -> None:
    """In NDJSON text is text: a duration of "5" is refused, as on the wire."""
    table = open_table(write([{"agent_name": "a", "duration_ms": "5"}]))
    read(table)
    assert [item.field for item in table.rejections] == ["duration_ms"]


def test_a_context_column_and_its_parts_go_together(write: Write) -> None:
    """A part wins over the same key in the whole; what is no mapping is refused."""
    rows: list[Row] = [
        {"agent_name": "a", "context": {"x": 1, "y": 1}, "context.x": 2},
        {"agent_name": "a", "context": None, "context.x": None},
        {"agent_name": "a", "context": [1], "context.x": 3},
    ]
    table = open_table(write(rows))
    assert column(table, "context") == [{"x": 2, "y": 1}, None]
    assert [item.field for item in table.rejections] == ["context"]


def test_lines_that_cannot_be_read_are_refused_alone(tmp_path: Path) -> None:
    """By their number; NaN by its field; blank lines count nothing."""
    path = tmp_path / "broken.ndjson"
    path.write_bytes(
        b'{"agent_name": "a"}\n{broken\n\n[1]\n{"agent_name": "a", "cost": NaN}\n\xff\n'
        b'{"agent_name": "b\xe2\x80\xa8"}\n{"agent_name": "c"}\r\n'
    )
    table = open_table(path)
    assert column(table, "agent_name") == ["a", "c"]
    assert [(item.index, item.field) for item in table.rejections] == [
        (1, "body"),
        (2, "body"),
        (3, "cost"),
        (4, "body"),
        (5, "agent_name"),
    ]
    path = tmp_path / "broken.csv"
    path.write_text('agent_name,cost\na,1\nb\nc,1,2\n\n"d\n,\u2028",2\ne,3\n', encoding="utf-8")
    table = open_table(path)
    assert column(table, "agent_name") == ["a", "e"]
    assert [(item.index, item.field) for item in table.rejections] == [
        (1, "body"),
        (2, "body"),
        (3, "agent_name"),
    ]
    assert "has 1 cells where the header has 2" in table.rejections[0].reason


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_csv_may_be_separated_otherwise_and_bear_a_mark(tmp_path: Path, delimiter: str) -> None:
    """As spreadsheets write it, line ends and byte order mark included."""
    path = tmp_path / "runs.csv"
    lines = [["agent_name", "cost"], ["a", "1.5"]]
    text = "\r\n".join(delimiter.join(line) for line in lines)
    path.write_text("\ufeff" + text, encoding="utf-8", newline="")
    assert column(open_table(path), "cost_nano_usd") == [1_500_000_000]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("runs.parquet", b"not parquet at all", "cannot be read as Parquet"),
        ("runs.parquet", b"", "holds no rows; give a file with at least one"),
        ("runs.parquet", b"PAR1 cut off", "cannot be read as Parquet"),
        ("runs.csv", b"", "holds no rows"),
        ("runs.csv", b"agent_name\n", "holds no rows"),
        ("runs.csv", b"agent_name\n\xff\n", "cannot be read as csv"),
        ("runs.csv", b'agent_name\n"a', "cannot be read as csv"),
        ("runs.csv", b"agent_name,agent_name\na,b\n", "'agent_name' twice"),
        ("runs.csv", b"agent_name,\na,b\n", "names a column ''"),
        ("runs.ndjson", b"", "holds no rows"),
        ("runs.ndjson", b"\n\n", "holds no rows"),
        ("runs.csv.gz", b"no gzip", "cannot be read as csv"),
        ("runs.ndjson.gz", gzip.compress(b'{"agent_name": "a"}')[:-9], "cannot be read as ndjson"),
        ("runs.xlsx", b"PK\x03\x04", "give it the ending .parquet, .csv"),
        ("runs", b"agent_name\na\n", "give it the ending .parquet, .csv"),
        ("runs.csv", b"model,reward\na,1\n", "--map agent_name=COLUMN; they are model, reward"),
    ],
)
def test_a_file_that_cannot_be_read_says_why_and_what_to_do(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    """With its path."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        open_table(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_file_must_be_there_and_be_one(tmp_path: Path) -> None:
    """A folder is none."""
    with pytest.raises(ConfigError, match="does not exist"):
        open_table(tmp_path / "absent.parquet")
    with pytest.raises(ConfigError, match="is no file"):
        open_table(tmp_path)


def test_without_an_ending_the_content_tells(write: Write, tmp_path: Path) -> None:
    """Where it can: Parquet and NDJSON."""
    for form in ("parquet", "ndjson"):
        bare = tmp_path / f"bare_{form}"
        bare.write_bytes(write([{"agent_name": "a"}], form).read_bytes())
        assert column(open_table(bare), "agent_name") == ["a"]


def test_a_name_with_wildcards_is_one_file(write: Write, tmp_path: Path) -> None:
    """DuckDB would read all that match."""
    write([{"agent_name": "other"}], "parquet", name="runs1")
    path = write([{"agent_name": "a"}], "parquet", name="plain").rename(
        tmp_path / "runs[1]'?*.parquet"
    )
    assert column(open_table(path), "agent_name") == ["a"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"order_by": "agent_nmae"}, "did you mean agent_name?"),
        ({"shuffle_within": "x"}, "no such column"),
        ({"clock_s": 0.0}, "above 0"),
        ({"clock_s": float("nan")}, "above 0"),
        ({"clock_s": -1.0}, "above 0"),
        ({"chunk": 0}, "at least 1"),
        ({"seed": -1}, "0 or more"),
    ],
)
def test_a_wrong_option_is_an_error(write: Write, options: dict[str, Any], words: str) -> None:
    """Under its name."""
    with pytest.raises(ConfigError) as caught:
        open_table(write([{"agent_name": "a"}]), **options)
    assert words in str(caught.value)


def test_columns_with_awkward_names_are_columns(write: Write) -> None:
    """Quotes, spaces, our own inner names, words of SQL."""
    awkward = ['my "model"', "place", "number", "f0", "g0", "select", "context.a b"]
    rows: list[Row] = [{name: f"{name}{i}" for name in awkward} for i in range(3)]
    for form in ("parquet", "csv", "ndjson"):
        table = open_table(
            write(rows, form),
            mapping={"agent_name": 'my "model"', "task_id": "place", "route": "f0"},
            order_by='select,number,my "model"',
            shuffle_within="g0",
            where="\"select\" <> 'select0' AND place <> ''",
        )
        runs, _ = read(table)
        assert runs.task_id == ["place1", "place2"]
        assert runs.route == ["f01", "f02"]
        assert runs.context == [{"a b": "context.a b1"}, {"a b": "context.a b2"}]


def test_numpy_and_python_sort_text_alike(write: Write) -> None:
    """Whichever reader sorts: by code point."""
    names = ["é", "z", "Z", "a", "ä", "10", "9", "😀", "\uffee"]
    rows: list[Row] = [{"agent_name": name} for name in names]
    orders = [
        column(open_table(write(rows, f), order_by="agent_name"), "agent_name") for f in FORMATS
    ]
    assert all(order == sorted(names) for order in orders)
    assert np.array_equal(orders[0], sorted(names))


def test_without_duckdb_text_files_can_still_be_read(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parquet and conditions need it, and say how to get it."""
    rows: list[Row] = [{"agent_name": "a", "v": 1}]
    text, parquet = write(rows, "csv"), write(rows, "parquet")
    monkeypatch.setitem(sys.modules, "duckdb", None)
    assert column(open_table(text, order_by="v", shuffle_within="v"), "agent_name") == ["a"]
    for path, where in ((parquet, None), (text, "v = 1")):
        with pytest.raises(MissingExtraError, match=r"pip install 'selfright\[analytics\]'"):
            open_table(path, where=where)

"""Somebody else's table, through a map of its columns."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from selfright.errors import ConfigError
from selfright.events.batch import OutcomeBatch, RunBatch
from selfright.events.wire import Rejection
from selfright.sources.database import ForeignTable, read_foreign

DAY_S = 86_400
SINCE_S = 1_704_067_200  # 2024-01-01T00:00:00Z
SINCE_US = SINCE_S * 1_000_000
COLUMNS = {"agent_name": "bot", "timestamp": "at", "duration_ms": "took"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the database is."""
    return tmp_path / "their #1 base.db"


@pytest.fixture
def theirs(path: Path) -> Iterator[sqlite3.Connection]:
    """Return their own connection, open while we read."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE jobs (bot TEXT, at, took REAL, cost REAL, status TEXT)")
        yield connection


def fill(theirs: sqlite3.Connection, *rows: tuple[Any, ...]) -> None:
    """Write rows of bot, at, took, cost, status."""
    theirs.executemany("INSERT INTO jobs VALUES (?, ?, ?, ?, ?)", rows)
    theirs.commit()


def read(table: ForeignTable) -> tuple[RunBatch, OutcomeBatch, list[Rejection]]:
    """Return all that passes, and what does not."""
    pairs = list(table)
    return (
        RunBatch.concat(intake.runs for intake, _ in pairs),
        OutcomeBatch.concat(intake.outcomes for intake, _ in pairs),
        [item for _, refused in pairs for item in refused],
    )


def test_rows_become_runs_with_ids_that_stay(path: Path, theirs: sqlite3.Connection) -> None:
    """The number of the row: reading twice gives the same ids, so that nothing counts twice."""
    fill(theirs, ("a", SINCE_S + 1, 5.0, 0.5, "ok"), ("b", SINCE_S + 2, None, None, None))
    for _ in range(2):
        table = read_foreign(f"sqlite:///{path}", "jobs", COLUMNS, SINCE_US)
        runs, outcomes, refused = read(table)
        assert runs.run_id == ["jobs:000000001", "jobs:000000002"]
        assert runs.agent_name == ["a", "b"]
        assert runs.duration_us.tolist() == [5_000, -1]
        assert runs.cost_nano_usd.tolist() == [500_000_000, -1]
        assert runs.status.tolist() == [0, 6]
        assert (len(outcomes), refused) == (0, [])
    assert repr(table) == "<ForeignTable 'jobs', 5 fields>"


@pytest.mark.parametrize(
    ("at", "kept"),
    [
        (SINCE_S - 1, False),
        (SINCE_S, True),
        (SINCE_S - 0.5, False),
        (SINCE_S + 0.5, True),
        ("2023-12-31T23:59:59Z", False),
        ("2024-01-01T00:00:00Z", True),
        ("2024-01-01 00:00:01", True),
        ("2023-12-31T20:00:00-05:00", True),
        ("2024-01-01T05:00:00+05:30", False),
        ("2023-01-01", False),
        (SINCE_S - 100 * DAY_S, False),
    ],
)
def test_older_rows_are_left_out(
    path: Path, theirs: sqlite3.Connection, at: Any, kept: bool
) -> None:
    """However they write time, zone and all; old ones are no fault."""
    fill(theirs, ("a", at, 1.0, None, "ok"))
    table = read_foreign(f"sqlite:///{path}", "jobs", COLUMNS, SINCE_US)
    runs, _, refused = read(table)
    assert len(runs) == kept
    assert refused == []


def test_bad_rows_are_refused_by_their_number(path: Path, theirs: sqlite3.Connection) -> None:
    """A row without a time too: nothing says whether it counts."""
    now = SINCE_S + 5
    fill(
        theirs,
        ("a", now, -1.0, None, "ok"),
        ("a", None, 1.0, None, "ok"),
        ("a\n", now, 1.0, None, "ok"),
        (b"a", now, 1.0, None, "ok"),
        ("a", "zzz", 1.0, None, "ok"),
        ("a", now * 1000, 1.0, None, "ok"),
        ("a", now, 1.0, None, "ok"),
        (None, now, 1.0, None, "ok"),
    )
    table = read_foreign(f"sqlite:///{path}", "jobs", COLUMNS, SINCE_US)
    runs, _, refused = read(table)
    assert runs.run_id == ["jobs:000000007"]
    assert [(item.index, item.field) for item in refused] == [
        (1, "duration_ms"),
        (2, "body"),
        (3, "agent_name"),
        (4, "agent_name"),
        (5, "timestamp"),
        (6, "timestamp"),
        (8, "agent_name"),
    ]


def test_outcomes_come_along(path: Path, theirs: sqlite3.Connection) -> None:
    """A score in the row of a run; their own ids where they have some."""
    theirs.execute("CREATE TABLE done (run_id INT, agent_name, timestamp, grade, x)")
    theirs.execute("INSERT INTO done VALUES (17, 'a', ?, 0.5, 3)", (SINCE_S,))
    theirs.commit()
    columns = {"accuracy_score": "grade", "context.size": "x"}
    runs, outcomes, refused = read(read_foreign(f"sqlite:///{path}", "done", columns, SINCE_US))
    assert runs.run_id == outcomes.run_id == ["17"]
    assert runs.context == [{"size": 3}]
    assert refused == []
    assert outcomes.score_q32.tolist() == [1 << 31]


def test_many_rows_are_read_in_short_transactions(path: Path, theirs: sqlite3.Connection) -> None:
    """Their writers are not held up between two intakes, nor do they keep us for ever."""
    fill(theirs, *((f"a{i}", SINCE_S + i, float(i), None, "ok") for i in range(2_500)))
    table = read_foreign(f"sqlite:///{path}", "jobs", COLUMNS, SINCE_US)
    ids = []
    for intake, refused in table:
        assert refused == []
        assert len(intake) <= 1024
        ids += intake.runs.run_id
        fill(theirs, ("late", SINCE_S, 1.0, None, "ok"))
    assert ids == [f"jobs:{i:09}" for i in range(1, 2_501)]


def test_views_and_tables_without_numbers_need_a_run_id(
    path: Path, theirs: sqlite3.Connection
) -> None:
    """There is nothing else that stays the same."""
    fill(theirs, ("a", SINCE_S, 1.0, None, "ok"))
    theirs.execute("CREATE VIEW seen AS SELECT 'v' || took AS id, * FROM jobs")
    theirs.execute("CREATE TABLE bare (id TEXT PRIMARY KEY, bot, at, took) WITHOUT ROWID")
    theirs.execute("INSERT INTO bare VALUES ('w', 'a', ?, 1)", (SINCE_S,))
    theirs.commit()
    for name, run_id in (("seen", "v1.0"), ("bare", "w")):
        with pytest.raises(ConfigError, match=r"sync\.columns\.run_id"):
            read_foreign(f"sqlite:///{path}", name, COLUMNS, SINCE_US)
        columns = {**COLUMNS, "run_id": "id"}
        runs, _, _ = read(read_foreign(f"sqlite:///{path}", name, columns, SINCE_US))
        assert runs.run_id == [run_id]


def test_nothing_of_theirs_is_changed(path: Path, theirs: sqlite3.Connection) -> None:
    """The file is opened for reading only."""
    fill(theirs, ("a", SINCE_S, 1.0, None, "ok"))
    before = path.read_bytes()
    read(read_foreign(f"sqlite:///{path}", "jobs", COLUMNS, SINCE_US))
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("table", "columns", "setting", "words"),
    [
        ("job", COLUMNS, "sync.table", "did you mean jobs?"),
        ("jobs", {"agent_name": "bto", "timestamp": "at"}, "sync.columns", "did you mean bot?"),
        ("jobs", {"agent": "bot", "timestamp": "at"}, "sync.columns", "agent is no field"),
        ("jobs", {"agent_name": "bot"}, "sync.columns.timestamp", "bot, at, took, cost, status"),
        ("jobs", {"timestamp": "at"}, "sync.columns.agent_name", "bot, at, took"),
        ('jobs" --', COLUMNS, "sync.table", "no such table"),
    ],
)
def test_a_wrong_setting_is_told_by_its_name(
    path: Path,
    theirs: sqlite3.Connection,
    table: str,
    columns: dict[str, str],
    setting: str,
    words: str,
) -> None:
    """Before anything is read."""
    with pytest.raises(ConfigError) as caught:
        read_foreign(f"sqlite:///{path}", table, columns, SINCE_US)
    assert caught.value.setting == setting
    assert words in str(caught.value)


def test_a_database_that_is_none_is_an_error(tmp_path: Path) -> None:
    """Absent, a folder, or another kind of file."""
    other = tmp_path / "text.db"
    other.write_text("not a database, " * 100, encoding="utf-8")
    for place, words in (
        (tmp_path / "absent.db", "does not exist"),
        (tmp_path, "does not exist"),
        (other, "cannot be read"),
    ):
        with pytest.raises(ConfigError, match=words):
            read_foreign(f"sqlite:///{place}", "jobs", COLUMNS, SINCE_US)


@pytest.mark.parametrize(
    "url",
    ["postgresql://me:hunter2@host/db", "sqlite:///", "sqlite://", "their.db", "", "mysql://x"],
)
def test_other_databases_are_refused_without_their_password(url: str) -> None:
    """Errors go to logs."""
    with pytest.raises(ConfigError, match="only sqlite:///PATH is read") as caught:
        read_foreign(url, "jobs", COLUMNS, SINCE_US)
    assert "hunter2" not in str(caught.value)

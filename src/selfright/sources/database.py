"""Runs and outcomes in somebody else's table, for ``sync_with_database``.

Any table of an SQLite file, through a map of our fields to its columns; what else a file
of runs may hold (``kind``, ``accuracy_score``, ``context.*``) a table may hold too.
"""
# ruff: noqa: S608 - names are quoted; they stand in the operator's settings

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

import msgspec
import numpy as np

from selfright.errors import ConfigError, did_you_mean
from selfright.events.batch import Intake
from selfright.events.timestamp import to_datetime
from selfright.sources.filling import Filling
from selfright.sources.mapping import resolve
from selfright.sources.passage import Passage
from selfright.sources.rows import HeldRows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from selfright.events.door import Scorer
    from selfright.events.wire import Rejection
    from selfright.sources.rows import Cells

_SQLITE: Final = "sqlite:///"
_ROWS: Final = 1024  # per query: each is a short transaction, so that writers are not held up
_DAY_US: Final = 86_400 * 1_000_000
# The number of a row, whatever the table calls its columns.
_NUMBER: Final = "_rowid_"


class ForeignTable:
    """The rows of a table since some time.

    Iterate over it for pairs of an intake and the rows refused beside it; those bear
    their number in the table, or where it has none, their place among the rows read.

    Attributes
    ----------
    column_of
        Field to column, for every field the table fills.
    """

    def __init__(
        self,
        path: Path,
        table: str,
        columns: Mapping[str, str],
        since_us: int,
        scorer: Scorer | None,
    ) -> None:
        self._path = path
        self._table = table
        self._since_us = since_us
        self._scorer = scorer
        with closing(_connected(path)) as connection:
            names = _columns_of(connection, table)
            self._numbered = _is_numbered(connection, table)
        found = resolve(columns, names, setting="sync.columns").column_of
        needed = ["agent_name", "timestamp", *([] if self._numbered else ["run_id"])]
        for field in needed:
            if field not in found:
                remedy = f"name the column of {table!r} that holds it; they are {', '.join(names)}"
                raise ConfigError(f"sync.columns.{field}", None, remedy)
        self.column_of = found

    def __repr__(self) -> str:
        return f"<ForeignTable {self._table!r}, {len(self.column_of)} fields>"

    def __iter__(self) -> Iterator[tuple[Intake, list[Rejection]]]:
        filling = Filling(prefix=f"{self._table}:")
        first = 0
        for rows in self._pages():
            passage = Passage(self._held(rows), filling, self._scorer)
            passed = passage.block(0, len(rows))
            refused = [
                msgspec.structs.replace(
                    item, index=rows[item.index][0] if self._numbered else first + item.index
                )
                for item in passed.rejections
            ]
            first += len(rows)
            intake, _ = passed.between(0, len(rows))
            yield _since(intake, self._since_us), refused

    def _held(self, rows: list[tuple[Any, ...]]) -> HeldRows:
        columns = [list(column) for column in zip(*rows, strict=True)]
        cells: dict[str, Cells] = dict(zip(self.column_of, columns[1:], strict=True))
        # Nothing can stand in for the time here: how old the row is decides whether it counts.
        timeless = {
            row: "its timestamp is empty"
            for row, time in enumerate(cells["timestamp"])
            if time is None
        }
        return HeldRows(cells, np.array(columns[0], dtype=np.int64), timeless)

    def _pages(self) -> Iterator[list[tuple[Any, ...]]]:
        """Yield rows, each headed by its number, in the order in which they were written."""
        timestamp = _quoted(self.column_of["timestamp"])
        names = ", ".join(_quoted(name) for name in self.column_of.values())
        # Coarse, for times may be text of any zone: what is kept is looked at again.
        recent = (
            f"({timestamp} IS NULL OR (typeof({timestamp}) = 'text' AND {timestamp} >= ?)"
            f" OR (typeof({timestamp}) <> 'text' AND {timestamp} >= ?))"
        )
        day = to_datetime(max(self._since_us - _DAY_US, 0)).date().isoformat()
        bounds = (day, self._since_us // 1_000_000)
        source = _quoted(self._table)
        try:
            with closing(_connected(self._path)) as connection:
                if self._numbered:
                    yield from _by_number(connection, f"{_NUMBER}, {names}", source, recent, bounds)
                    return
                query = f"SELECT 0, {names} FROM {source} WHERE {recent}"
                cursor = connection.execute(query, bounds)
                while rows := cursor.fetchmany(_ROWS):
                    yield rows
        except sqlite3.Error as error:
            raise _unreadable(self._path, error) from error


def read_foreign(
    url: str,
    table: str,
    columns: Mapping[str, str],
    since_us: int,
    *,
    scorer: Scorer | None = None,
) -> ForeignTable:
    """Return the runs and outcomes of a table since some time; see ``ForeignTable``.

    Parameters
    ----------
    url
        ``sqlite:///relative.db`` or ``sqlite:////absolute.db``. Opened for reading only.
    table
        A table or a view.
    columns
        Our field to their column; columns that bear our names need no entry. ``run_id``
        may be left out where the table numbers its rows: it becomes ``table:number``, the
        same each time.
    since_us
        Older rows are left out. Microseconds UTC.
    scorer
        As for ``open_table``.

    Raises
    ------
    ConfigError
        For a database that is no SQLite, cannot be read or has no such table or columns.
    """
    return ForeignTable(_path(url), table, columns, since_us, scorer)


def _path(url: str) -> Path:
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        return Path(url.removeprefix(_SQLITE))
    # Never the whole of it: it may hold a password.
    raise ConfigError("sync.url", f"{urlsplit(url).scheme}:...", "only sqlite:///PATH is read")


def _connected(path: Path) -> sqlite3.Connection:
    if not path.is_file():
        raise ConfigError("sync.url", str(path), "does not exist; give the path of a database")
    try:
        return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
    except sqlite3.Error as error:
        raise _unreadable(path, error) from error


def _columns_of(connection: sqlite3.Connection, table: str) -> tuple[str, ...]:
    try:
        known = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")
        tables = [name for (name,) in known]
        described = connection.execute("SELECT name FROM pragma_table_info(?)", (table,))
        names = tuple(name for (name,) in described)
    except sqlite3.Error as error:
        raise ConfigError("sync.url", "sqlite", f"cannot be read: {error}") from error
    if table not in tables:
        hint = did_you_mean(table, tables)
        raise ConfigError("sync.table", table, f"no such table{hint}; there are {_listed(tables)}")
    return names


def _is_numbered(connection: sqlite3.Connection, table: str) -> bool:
    """Return whether rows have numbers of their own: a view and some tables do not."""
    try:
        row = connection.execute(f"SELECT {_NUMBER} FROM {_quoted(table)} LIMIT 1").fetchone()
    except sqlite3.Error:
        return False
    return row is None or row[0] is not None


def _by_number(
    connection: sqlite3.Connection,
    names: str,
    source: str,
    recent: str,
    bounds: tuple[str, int],
) -> Iterator[list[tuple[Any, ...]]]:
    # What is written from now on is for the next time: a busy writer must not keep us for ever.
    (newest,) = connection.execute(f"SELECT max({_NUMBER}) FROM {source}").fetchone()
    query = (
        f"SELECT {names} FROM {source} WHERE {_NUMBER} > ? AND {_NUMBER} <= ? AND {recent} "
        f"ORDER BY {_NUMBER} LIMIT {_ROWS}"
    )
    last = -(2**63)
    while rows := connection.execute(query, (last, newest, *bounds)).fetchall():
        yield rows
        last = rows[-1][0]


def _since(intake: Intake, since_us: int) -> Intake:
    runs, outcomes = intake.runs, intake.outcomes
    if (runs.ts_us >= since_us).all() and (outcomes.ts_us >= since_us).all():
        return intake
    return Intake(runs.take(runs.ts_us >= since_us), outcomes.take(outcomes.ts_us >= since_us))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


def _unreadable(path: Path, error: sqlite3.Error) -> ConfigError:
    return ConfigError("sync.url", str(path), f"cannot be read as SQLite: {error}")

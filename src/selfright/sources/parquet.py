"""Parquet files, read by DuckDB in blocks, so that memory is bound by the columns wanted."""
# ruff: noqa: S608 - names are quoted; the condition is SQL of whoever runs the command

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from selfright.errors import ConfigError
from selfright.sources import duck
from selfright.sources.arrange import shuffled
from selfright.sources.cells import Sort, sort_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from selfright.events.batch import Ints
    from selfright.sources.arrange import Arrangement
    from selfright.sources.rows import Cells

_TEMPORAL = ("TIMESTAMP", "DATE")
_NATIVE = ("BOOLEAN", "FLOAT", "DOUBLE", "VARCHAR", "STRUCT", "MAP")
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_EXACT = ("DECIMAL", "HUGEINT", "UHUGEINT", "UBIGINT")


class ParquetRows:
    """A Parquet file; see ``Rows``. Needs the extra ``analytics``."""

    typed = True

    def __init__(self, path: Path) -> None:
        self._connection = duck.connect("reading Parquet files")
        import duckdb

        self._source = f"read_parquet({duck.literal(path)}, file_row_number = true)"
        try:
            described = self._connection.execute(f"DESCRIBE SELECT * FROM {self._source}")
            self._type_of = {row[0]: str(row[1]) for row in described.fetchall()}
            self.held = self._count(self._source)
        except duckdb.Error as error:
            reason = str(error).split("\n", 1)[0]
            raise ConfigError("file", str(path), f"cannot be read as Parquet: {reason}") from error
        self._type_of.pop("file_row_number", None)
        self.names = tuple(self._type_of)
        self._fields: tuple[str, ...] = ()
        self._temporal: frozenset[str] = frozenset()

    def arrange(self, arrangement: Arrangement, column_of: Mapping[str, str]) -> int:
        """Select and order rows of the columns wanted; return how many rows there are."""
        import duckdb

        self._fields = tuple(column_of)
        casts = {name: _cast(name, old, self._type_of[old]) for name, old in column_of.items()}
        self._temporal = frozenset(name for name, cast in casts.items() if "epoch_us" in cast)
        wanted = [f"{casts[name]} AS f{i}" for i, name in enumerate(self._fields)]
        keys = [duck.quoted(arrangement.column(name)) for name in arrangement.order_by]
        order = ", ".join([*(f"{key} NULLS LAST" for key in keys), "file_row_number"])
        groups = [
            f"CAST({duck.quoted(arrangement.column(name))} AS VARCHAR) AS g{i}"
            for i, name in enumerate(arrangement.shuffle_within)
        ]
        number = f"row_number() OVER (ORDER BY {order}) - 1 AS place"
        selected = ", ".join([number, "file_row_number AS number", *wanted, *groups])
        also = "".join(
            f", {duck.quoted(old)} AS {duck.quoted(new)}" for new, old in arrangement.also.items()
        )
        where = duck.condition(self._connection, arrangement.where)
        try:
            self._connection.execute(
                f"CREATE OR REPLACE TEMP TABLE arranged AS SELECT {selected} "
                f"FROM (SELECT *{also} FROM {self._source}) {where} ORDER BY place"
            )
        except duckdb.Error as error:
            raise duck.refusal(
                arrangement.where or "", error, (*self.names, *arrangement.also)
            ) from error
        if groups:
            self._shuffle(len(groups), arrangement.seed)
        return self._count("arranged")

    def is_empty(self, field: str) -> bool:
        """Return whether no arranged row has a value in ``field``."""
        return self._count("arranged", f"f{self._fields.index(field)}") == 0

    def block(self, low: int, high: int) -> dict[str, Cells]:
        """Return arranged rows ``low <= row < high``, field by field."""
        if not self._fields:
            return {}
        names = ", ".join(f"f{i}" for i in range(len(self._fields)))
        cells = self._between(names, low, high)
        return {
            name: _held(cells[f"f{i}"], temporal=name in self._temporal)
            for i, name in enumerate(self._fields)
        }

    def numbers(self, low: int, high: int) -> Ints:
        """Return the number of each of these rows in the file, from 0."""
        numbers: Ints = self._between("number", low, high)["number"]
        return numbers

    def broken(self, low: int, high: int) -> dict[int, str]:
        """Return nothing: a Parquet file can be read, or cannot be opened."""
        return {}

    def _shuffle(self, groups: int, seed: int) -> None:
        keys = ", ".join(f"g{i}" for i in range(groups))
        columns = self._connection.execute(f"SELECT {keys} FROM arranged ORDER BY place").fetchall()
        order = shuffled(columns, seed)
        moves = {"source": order, "target": np.arange(len(order), dtype=np.int64)}
        self._connection.register("moves", moves)
        self._connection.execute(
            "CREATE OR REPLACE TEMP TABLE arranged AS "
            "SELECT target AS place, arranged.* EXCLUDE (place) "
            "FROM arranged JOIN moves ON place = source ORDER BY target"
        )
        self._connection.unregister("moves")

    def _between(self, columns: str, low: int, high: int) -> dict[str, Any]:
        query = f"SELECT {columns} FROM arranged WHERE place >= ? AND place < ? ORDER BY place"
        return self._connection.execute(query, [low, high]).fetchnumpy()

    def _count(self, table: str, column: str = "*") -> int:
        row = self._connection.execute(f"SELECT count({column}) FROM {table}").fetchone()
        return int(row[0]) if row else 0


def _cast(field: str, column: str, kind: str) -> str:
    """Return the SQL that reads a column as its field wants it."""
    name = duck.quoted(column)
    sort = sort_of(field)
    if kind.startswith(_TEMPORAL) and sort is Sort.TIME:
        # Only whole microseconds have such a function, and others a cast to them.
        zone = "TIMESTAMPTZ" if "TZ" in kind or "ZONE" in kind else "TIMESTAMP"
        return f"epoch_us(CAST({name} AS {zone}))"
    if sort is Sort.NAME and kind != "VARCHAR":
        return f"CAST({name} AS VARCHAR)"
    if kind.startswith(_EXACT):
        return f"CAST({name} AS DOUBLE)"
    if kind.endswith("[]") or kind.startswith(_NATIVE) or kind in _INTEGERS:
        return name
    return f"CAST({name} AS VARCHAR)"


def _held(cells: np.ndarray[Any, Any], *, temporal: bool) -> Cells:
    if temporal:
        mask = np.ma.getmaskarray(cells)
        return np.ma.MaskedArray(np.ma.getdata(cells).astype("datetime64[us]"), mask)
    return cells.tolist() if cells.dtype.kind == "O" else cells

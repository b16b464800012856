"""CSV and NDJSON files, held in memory: they need no DuckDB, except to select by SQL."""
# ruff: noqa: S608 - names are quoted; the condition is SQL of whoever runs the command

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

import msgspec
import numpy as np

from selfright.errors import ConfigError
from selfright.sources import cells as cells_of
from selfright.sources import duck
from selfright.sources.arrange import shuffled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from selfright.events.batch import Ints
    from selfright.sources.arrange import Arrangement
    from selfright.sources.rows import Cells

_DELIMITERS: Final = ",;\t|"


@dataclass(frozen=True, slots=True)
class _Parsed:
    columns: dict[str, list[Any]]
    rows: int
    broken: dict[int, str]


class TextRows:
    """A CSV or NDJSON file, perhaps gzipped; see ``Rows``.

    A line that cannot be read is a row of empty cells, and reported as broken.
    """

    def __init__(self, path: Path, form: str) -> None:
        self.typed = form == "ndjson"
        try:
            with _opened(path) as file:
                parsed = _ndjson(file) if self.typed else _csv(path, file)
        except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
            raise ConfigError("file", str(path), f"cannot be read as {form}: {error}") from error
        self._columns, self.held, self._broken = parsed.columns, parsed.rows, parsed.broken
        self.names = tuple(parsed.columns)
        self._column_of: Mapping[str, str] = {}
        self._order: Ints = np.arange(self.held, dtype=np.int64)

    def arrange(self, arrangement: Arrangement, column_of: Mapping[str, str]) -> int:
        """Select and order rows of the columns wanted; return how many rows there are."""
        self._column_of = column_of
        order = np.arange(self.held, dtype=np.int64)
        if arrangement.where is not None:
            order = self._selected(arrangement)
        # Sorting by the last column first: each later one outweighs, and Python's sort is stable.
        for name in reversed(arrangement.order_by):
            key = self._sort_keys(arrangement.column(name))
            order = np.array(sorted(order.tolist(), key=key.__getitem__), dtype=np.int64)
        if arrangement.shuffle_within:
            columns = [self._columns[arrangement.column(n)] for n in arrangement.shuffle_within]
            keys = [tuple(_key(column[row]) for column in columns) for row in order.tolist()]
            order = order[shuffled(keys, arrangement.seed)]
        self._order = order
        return len(order)

    def is_empty(self, field: str) -> bool:
        """Return whether no arranged row has a value in ``field``."""
        column = self._columns[self._column_of[field]]
        return all(column[row] is None for row in self._order.tolist())

    def block(self, low: int, high: int) -> dict[str, Cells]:
        """Return arranged rows ``low <= row < high``, field by field."""
        rows = self._order[low:high].tolist()
        return {
            field: [self._columns[name][row] for row in rows]
            for field, name in self._column_of.items()
        }

    def numbers(self, low: int, high: int) -> Ints:
        """Return the number of each of these rows in the file, from 0."""
        return self._order[low:high]

    def broken(self, low: int, high: int) -> dict[int, str]:
        """Return those of these rows, from 0, that could not be read, and why."""
        if not self._broken:
            return {}
        numbers = self._order[low:high].tolist()
        return {row: self._broken[n] for row, n in enumerate(numbers) if n in self._broken}

    def _selected(self, arrangement: Arrangement) -> Ints:
        """Return the rows that meet the condition, found by DuckDB in what was parsed here.

        It does not read the file itself: it might split the lines in another way.
        """
        connection = duck.connect("selecting rows by a condition")
        import duckdb

        named = {**{name: name for name in self.names}, **arrangement.also}
        columns = [self._sql_column(name) for name in named.values()]
        lists = ", ".join(
            f"unnest(?::{kind}[]) AS {duck.quoted(new)}"
            for new, (kind, _) in zip(named, columns, strict=True)
        )
        where = duck.condition(connection, arrangement.where)
        try:
            connection.execute(
                f"CREATE TEMP TABLE held AS SELECT {lists}, unnest(?::BIGINT[]) AS selfright_row",
                [*(values for _, values in columns), list(range(self.held))],
            )
            found = connection.execute(f"SELECT selfright_row FROM held {where} ORDER BY 1")
        except duckdb.Error as error:
            raise duck.refusal(arrangement.where or "", error, tuple(named)) from error
        return np.array([row for (row,) in found.fetchall()], dtype=np.int64)

    def _sql_column(self, name: str) -> tuple[str, list[Any]]:
        values = self._values(name)
        kinds = {type(value) for value in values} - {type(None)}
        if kinds == {bool}:
            return "BOOLEAN", values
        if kinds and kinds <= {int, float}:
            return "DOUBLE", values
        return "VARCHAR", [_sql_text(value) for value in values]

    def _sort_keys(self, name: str) -> list[tuple[int, str, Any]]:
        # Empty cells last; values that do not compare, apart by their type.
        return [
            (1, "", 0) if value is None else (0, *_comparable(value))
            for value in self._values(name)
        ]

    def _values(self, name: str) -> list[Any]:
        """Return a column by value: text all of which is numbers, as numbers."""
        column = self._columns[name]
        if self.typed:
            return column
        numbers = [None if cell is None else cells_of.number(cell.strip()) for cell in column]
        return column if any(type(value) is str for value in numbers) else numbers


def _opened(path: Path) -> BinaryIO:
    # A GzipFile is one in all but name.
    return cast("BinaryIO", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _csv(path: Path, file: BinaryIO) -> _Parsed:
    text = file.read().decode("utf-8-sig")
    head = text.partition("\n")[0]
    # The header has no commas within its names; what stands most often there separates them.
    delimiter = max(_DELIMITERS, key=head.count)
    reader = csv.reader(_lines(text), delimiter=delimiter, strict=True)
    names = [name.strip() for name in next(reader, [])]
    for name in names:
        if not name or names.count(name) > 1:
            raise ConfigError("file", str(path), f"its header names a column {name!r} twice or not")
    columns: dict[str, list[Any]] = {name: [] for name in names}
    broken: dict[int, str] = {}
    rows = 0
    for cells in reader:
        if not cells:
            continue
        fits = len(cells) == len(names)
        if not fits:
            broken[rows] = f"has {len(cells)} cells where the header has {len(names)}"
        for column, cell in zip(columns.values(), cells if fits else repeat(""), strict=False):
            column.append(cell or None)
        rows += 1
    return _Parsed(columns, rows, broken)


def _lines(text: str) -> Iterator[str]:
    # Not splitlines(): that also cuts at U+2028 and other characters within cells.
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _ndjson(file: Iterable[bytes]) -> _Parsed:
    broken: dict[int, str] = {}
    records: list[dict[str, Any]] = []
    for line in file:
        if not line.strip():
            continue
        record = _record(line)
        if isinstance(record, str):
            broken[len(records)] = record
            record = {}
        records.append(record)
    names = dict.fromkeys(name for record in records for name in record)
    columns = {name: [record.get(name) for record in records] for name in names}
    return _Parsed(columns, len(records), broken)


def _record(line: bytes) -> dict[str, Any] | str:
    """Return the object in a line, else what is wrong with it."""
    try:
        record = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            record = json.loads(line)  # also NaN, for the door to refuse by its field
        except (ValueError, RecursionError) as error:
            return f"malformed: {error}"
    return record if isinstance(record, dict) else "must be a JSON object"


def _comparable(value: object) -> tuple[str, Any]:
    if isinstance(value, (bool, int, float)):
        return "number", value
    return "text", value if isinstance(value, str) else _sql_text(value)


def _sql_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def _key(value: object) -> object:
    return value if value is None or isinstance(value, (str, int, float)) else _sql_text(value)

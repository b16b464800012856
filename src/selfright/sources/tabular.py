"""Files of runs and outcomes: Parquet, CSV or NDJSON, as replay, backtest and import read them.

One row is a run or an outcome, in order of arrival; columns are named like the parameters
of ``record_agent_run`` and ``record_accuracy``, or mapped to them. A run that carries an
``accuracy_score`` is both: the run, then its outcome. Rows pass the same door as
everything else; a bad one is refused by its index and the rest are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from selfright.errors import ConfigError
from selfright.events.batch import Intake
from selfright.sources.arrange import Arrangement
from selfright.sources.filling import US_PER_S, Filling
from selfright.sources.mapping import resolve
from selfright.sources.passage import Passage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from selfright.events.batch import Ints
    from selfright.events.door import Scorer
    from selfright.events.wire import Rejection
    from selfright.sources.mapping import ColumnMap
    from selfright.sources.rows import Rows

# Rows read at once: enough to make the work per row cheap, little enough to hold.
_BLOCK: Final = 16_384
_KEPT_REJECTIONS: Final = 1_000
_NO_ROWS: Final = "holds no rows; give a file with at least one"
_FORMATS: Final = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A few rows of a file, as they are kept together.

    Attributes
    ----------
    intake
        What passed. ``seq`` counts from 0 through runs and outcomes in the file's order.
    row_of
        For each ``seq``, the index of its row.
    first_row, next_row
        The half-open range of rows this piece covers, refused ones included.
    """

    intake: Intake
    row_of: Ints
    first_row: int
    next_row: int


class Table:
    """An opened file; iterate over it for its pieces, as often as you like.

    Rows are counted from 0 after selection and sorting: these are the indices of
    ``row_of``, of rejections and of ``at_event``.

    Attributes
    ----------
    rows_total
        Rows that are selected.
    column_of
        Field to column, for every field the file fills.
    ignored
        Columns that fill no field.
    filled
        What was missing and filled in so far, by field. Complete after one iteration,
        like all that follows.
    runs, outcomes
        How many passed.
    refused
        How many rows did not.
    rejections
        Which rows did not, and why: the first thousand.
    """

    def __init__(
        self,
        rows: Rows,
        columns: ColumnMap,
        rows_total: int,
        filling: Filling,
        *,
        chunk: int,
        scorer: Scorer | None,
    ) -> None:
        self._rows = rows
        self._filling = filling
        self._chunk = chunk
        self._scorer = scorer
        self.rows_total = rows_total
        self.column_of = columns.column_of
        self.ignored = columns.ignored
        self._reset()

    def _reset(self) -> None:
        self.filled: dict[str, int] = {}
        self.runs = self.outcomes = self.refused = 0
        self.rejections: list[Rejection] = []

    def __repr__(self) -> str:
        return f"<Table of {self.rows_total} rows, {len(self.column_of)} fields>"

    def __iter__(self) -> Iterator[Piece]:
        self._reset()
        filling = self._filling.anew()
        passage = Passage(self._rows, filling, self._scorer)
        # Whole pieces in a block, whatever the size of either.
        block = -(-_BLOCK // self._chunk) * self._chunk
        for low in range(0, self.rows_total, block):
            passed = passage.block(low, min(low + block, self.rows_total))
            self.refused += len(passed.rejections)
            room = _KEPT_REJECTIONS - len(self.rejections)
            self.rejections += passed.rejections[:room]
            self.filled = {name: count for name, count in filling.counts.items() if count}
            for first in range(low, min(low + block, self.rows_total), self._chunk):
                after = min(first + self._chunk, self.rows_total)
                intake, row_of = passed.between(first, after)
                self.runs += len(intake.runs)
                self.outcomes += len(intake.outcomes)
                yield Piece(intake, row_of, first, after)


def open_table(  # noqa: PLR0913 - one for each option of the command line
    path: str | Path,
    *,
    mapping: Mapping[str, str] | None = None,
    where: str | None = None,
    order_by: str | None = None,
    shuffle_within: str | None = None,
    seed: int = 0,
    clock_s: float | None = None,
    chunk: int = 1024,
    run_id_prefix: str = "",
    scorer: Scorer | None = None,
) -> Table:
    """Open a file of runs and outcomes.

    Parameters
    ----------
    path
        Parquet (needs the extra ``analytics``), CSV or NDJSON; the latter two perhaps
        gzipped. Told by the ending, else by the content.
    mapping
        Our field to the file's column; the empty text leaves the field out.
    where
        An SQL condition over the file's columns and our names of them. Needs the extra
        ``analytics``.
    order_by
        Columns to sort by, separated by commas. Stable; empty cells last.
    shuffle_within
        Columns; rows equal in all of them change places at random, the groups do not.
    seed
        Of that shuffling.
    clock_s
        Seconds from row to row, from 2000-01-01T00:00:00Z on, instead of the file's own
        times.
    chunk
        Most rows of the file in a piece.
    run_id_prefix
        Stands before the running number where run ids are filled in: give each file its
        own where several go into one log.
    scorer
        Scores outcomes that bring a prediction and a truth but no ``accuracy_score``.
        Without it they are refused.

    Raises
    ------
    ConfigError
        For a file that is missing, unreadable, empty or of no known format, for unknown
        columns and fields, for a condition that DuckDB refuses or that selects nothing,
        and where no column gives ``agent_name``; the message names the remedy.

    Notes
    -----
    Parquet is read in blocks and costs about 4 us a row in all; CSV and NDJSON are held
    in memory.
    """
    spacing_us = _spacing(clock_s)
    if chunk < 1:
        raise ConfigError("chunk", chunk, "must be at least 1")
    rows = open_rows(path)
    columns = resolve(mapping or {}, rows.names)
    if "agent_name" not in columns.column_of:
        remedy = f"map one of its columns: --map agent_name=COLUMN; they are {_listed(rows)}"
        raise ConfigError("file", str(path), f"has no column agent_name; {remedy}")
    arrangement = Arrangement.of(
        rows.names,
        columns.column_of,
        where=where,
        order_by=order_by,
        shuffle_within=shuffle_within,
        seed=seed,
    )
    rows_total = rows.arrange(arrangement, columns.column_of)
    if rows_total == 0:
        raise ConfigError("where", where, f"selects none of the {rows.held} rows of {path}")
    timed = "timestamp" in columns.column_of and not rows.is_empty("timestamp")
    filling = Filling(
        spacing_us=US_PER_S if spacing_us is None else spacing_us,
        own_times=timed,
        clocked=spacing_us is not None,
        prefix=run_id_prefix,
    )
    return Table(rows, columns, rows_total, filling, chunk=chunk, scorer=scorer)


def open_rows(path: str | Path) -> Rows:
    """Open a file of any columns. Raises ``ConfigError`` as ``open_table`` does."""
    path = Path(path)
    if not path.exists():
        raise ConfigError("file", str(path), "does not exist; give a Parquet, CSV or NDJSON file")
    if not path.is_file():
        raise ConfigError("file", str(path), "is no file; give a Parquet, CSV or NDJSON file")
    if path.stat().st_size == 0:
        raise ConfigError("file", str(path), _NO_ROWS)
    form = _form(path)
    if form == "parquet":
        from selfright.sources.parquet import ParquetRows

        rows: Rows = ParquetRows(path)
    else:
        from selfright.sources.textual import TextRows

        rows = TextRows(path, form)
    if rows.held == 0:
        raise ConfigError("file", str(path), _NO_ROWS)
    return rows


def _form(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    known = _FORMATS.get(suffixes[-1]) if suffixes else None
    if known is not None:
        return known
    try:
        with path.open("rb") as file:
            start = file.read(256)
    except OSError as error:
        raise ConfigError("file", str(path), f"cannot be read: {error}") from error
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.lstrip().startswith(b"{"):
        return "ndjson"
    remedy = "give it the ending .parquet, .csv, .tsv, .ndjson or .jsonl"
    raise ConfigError("file", str(path), f"is neither Parquet nor NDJSON by content; {remedy}")


def _spacing(clock_s: float | None) -> int | None:
    if clock_s is None:
        return None
    if not 0 < clock_s <= 1e9:
        raise ConfigError("clock", clock_s, "must be a number of seconds above 0")
    return max(1, round(clock_s * US_PER_S))


def _listed(rows: Rows) -> str:
    return ", ".join(rows.names)

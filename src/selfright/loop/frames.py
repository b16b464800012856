"""Every run the log keeps, as one data frame."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import msgspec

from selfright.errors import ConfigError, MissingExtraError
from selfright.events.batch import RunBatch
from selfright.events.shown import STRUCTURES, TEXTS, runs_as_columns

if TYPE_CHECKING:
    from collections.abc import Callable

    from selfright.log.protocol import EventLog

_PAGE: Final = 50_000  # what the log looks through for one page at most
_INTS: Final = (
    "offset", "tokens_used", "tokens_in", "tokens_out", "api_calls", "retry_count",
)  # fmt: skip
# What is always reported; the other numbers are missing where nobody reported them.
_ALWAYS: Final = ("offset", "retry_count")
_TEXTS: Final = (
    "run_id", "agent_name", "agent_type", "status", *TEXTS, *STRUCTURES,
)  # fmt: skip
_TIME: Final = "timestamp"


def runs_frame(log: EventLog, engine: str) -> Any:
    """Return the kept runs as they stand now, oldest first.

    Columns are named and measured like the parameters of ``record_agent_run``, with
    ``offset`` before them; ``context``, ``config`` and ``metadata`` are JSON text, for
    no two rows need have the same keys. About 10 us a run.

    Raises ``ConfigError`` for an engine we do not know, ``MissingExtraError`` for one that
    is not installed.
    """
    if engine not in _MAKERS:
        raise ConfigError("engine", engine, "must be pandas, polars or arrow")
    module = "pyarrow" if engine == "arrow" else engine
    try:
        library = import_module(module)
    except ImportError as error:
        raise MissingExtraError(f"runs_frame(engine={engine!r})", "frames") from error
    columns = runs_as_columns(all_runs(log))
    for name in STRUCTURES:
        columns[name] = [
            None if value is None else msgspec.json.encode(value).decode()
            for value in columns[name]
        ]
    return _MAKERS[engine](library, columns)


def all_runs(log: EventLog) -> RunBatch:
    """Return every run that the log keeps, as it stands now, by ascending offset."""
    pages: list[RunBatch] = []
    before: int | None = None
    while True:
        page = log.runs(before_offset=before, limit=_PAGE)
        pages.append(page.runs)
        before = page.next_before
        if before is None:
            break
    return RunBatch.concat(pages).take(slice(None, None, -1))


def _pandas(pandas: Any, columns: dict[str, list[Any]]) -> Any:
    def series(name: str, values: list[Any]) -> Any:
        if name == _TIME:
            return pandas.to_datetime(pandas.Series(values, dtype="int64"), unit="us", utc=True)
        if name in _TEXTS:
            return pandas.Series(values, dtype=object)
        # As users of pandas expect it, what is missing is NaN.
        return pandas.Series(values, dtype="int64" if name in _ALWAYS else "float64")

    return pandas.DataFrame({name: series(name, values) for name, values in columns.items()})


def _polars(polars: Any, columns: dict[str, list[Any]]) -> Any:
    def series(name: str, values: list[Any]) -> Any:
        if name == _TIME:
            return polars.Series(name, values, polars.Int64).cast(polars.Datetime("us", "UTC"))
        kind = polars.String if name in _TEXTS else _number(name, polars.Int64, polars.Float64)
        return polars.Series(name, values, kind)

    return polars.DataFrame([series(name, values) for name, values in columns.items()])


def _arrow(arrow: Any, columns: dict[str, list[Any]]) -> Any:
    def array(name: str, values: list[Any]) -> Any:
        if name == _TIME:
            return arrow.array(values, arrow.timestamp("us", tz="UTC"))
        kind = arrow.string() if name in _TEXTS else _number(name, arrow.int64(), arrow.float64())
        return arrow.array(values, kind)

    return arrow.table({name: array(name, values) for name, values in columns.items()})


def _number(name: str, whole: Any, real: Any) -> Any:
    return whole if name in _INTS else real


_MAKERS: Final[dict[str, Callable[[Any, dict[str, list[Any]]], Any]]] = {
    "pandas": _pandas,
    "polars": _polars,
    "arrow": _arrow,
}

"""What the cells of a file stand for, before the door checks them.

Files say less than calls: CSV has only text, Parquet may hold a count as a double and an
id as an integer. Each is read here as its field wants it where that loses nothing; what
cannot be is left alone, for the door to refuse with the reason.
"""

from __future__ import annotations

import json
import re
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from selfright.sources.mapping import PREFIXES

if TYPE_CHECKING:
    from selfright.sources.rows import Cells


class Sort(Enum):
    """What kind of value a field holds."""

    NAME = auto()
    NUMBER = auto()
    WHOLE = auto()
    TIME = auto()
    MAPPING = auto()
    VALUE = auto()  # any JSON value


_NUMBERS: Final = frozenset(
    {"duration_ms", "cost", "memory_mb", "cpu_ms", "quality_score", "confidence", "accuracy_score"}
)
_WHOLES: Final = frozenset({"tokens_used", "tokens_in", "tokens_out", "api_calls", "retry_count"})
_MAPPINGS: Final = frozenset({"metadata", "context", "config"})
_VALUES: Final = frozenset({"predicted_outcome", "actual_outcome"})
# As JSON writes a number, and the words that Python's json and spreadsheets write for what is
# none: those become floats, which the door refuses by their right name.
_NUMBER: Final = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|nan|inf(?:inity)?)", re.IGNORECASE
)
_JSON_STARTS: Final = tuple('{["-0123456789')
_JSON_WORDS: Final = frozenset({"true", "false", "null"})


def sort_of(field: str) -> Sort:
    """Return what kind of value a field holds."""
    if field in _NUMBERS:
        return Sort.NUMBER
    if field in _WHOLES:
        return Sort.WHOLE
    if field == "timestamp":
        return Sort.TIME
    if field in _MAPPINGS:
        return Sort.MAPPING
    return Sort.VALUE if field in _VALUES or field.startswith(PREFIXES) else Sort.NAME


def read(field: str, cells: Cells, *, typed: bool) -> Cells:
    """Return the cells of a column as its field wants them.

    ``typed``: text is meant as text. Otherwise text may stand for a number, a time or JSON.
    """
    sort = sort_of(field)
    if not typed and isinstance(cells, list):
        cells = _from_text(sort, cells)
    if sort is Sort.WHOLE:
        return _wholes(cells)
    # type() and not isinstance(): a truth value is no name.
    if sort is Sort.NAME and isinstance(cells, list) and int in set(map(type, cells)):
        return [str(cell) if type(cell) is int else cell for cell in cells]
    if sort is Sort.MAPPING and isinstance(cells, list):
        return [_json(cell) if type(cell) is str else cell for cell in cells]
    return cells


def number(text: str) -> float | int | str:
    """Return the number that text stands for, else the text."""
    if not _NUMBER.fullmatch(text):
        return text
    try:
        return int(text)
    except ValueError:
        return float(text)


def _from_text(sort: Sort, cells: list[Any]) -> list[Any]:
    if sort in {Sort.NUMBER, Sort.WHOLE, Sort.TIME}:
        return [number(cell.strip()) if type(cell) is str else cell for cell in cells]
    if sort is Sort.VALUE:
        return [_json_or_text(cell) if type(cell) is str else cell for cell in cells]
    return cells


def _wholes(cells: Cells) -> Cells:
    """Return counts that were held as floats as integers."""
    if isinstance(cells, list):
        return [int(cell) if type(cell) is float and cell.is_integer() else cell for cell in cells]
    if cells.dtype.kind != "f":
        return cells
    data, mask = np.ma.getdata(cells), np.ma.getmaskarray(cells)
    filled = np.where(mask, 0, data)
    if not (np.isfinite(filled) & (filled == np.rint(filled)) & (np.abs(filled) < 2**53)).all():
        return _wholes(cells.tolist())
    return np.ma.MaskedArray(filled.astype(np.int64), mask)


def _json_or_text(text: str) -> Any:  # noqa: ANN401 - any JSON value
    stripped = text.strip()
    if stripped in _JSON_WORDS or stripped.startswith(_JSON_STARTS):
        return _json(stripped)
    return text


def _json(text: str) -> Any:  # noqa: ANN401 - ditto
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        pass
    try:
        return json.loads(text)  # also NaN, for the door to refuse
    except (ValueError, RecursionError):
        return text

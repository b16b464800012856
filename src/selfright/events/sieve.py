"""Equal-long columns under examination: the checks of ``check``, a column at a time.

Every method checks one column, returns it as batches hold it, and notes the rows that do
not pass; what it returns for those rows means nothing. Where a column holds only what the
fast path knows (numbers in an array, plain text in a list), it is checked as a whole; any
other value goes through the check of single values, so that both give the same verdict.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from operator import countOf
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from selfright.errors import InvalidEventError, did_you_mean
from selfright.events import check
from selfright.events import timestamp as time_at_the_edge
from selfright.events.batch import MISSING
from selfright.events.record import MAX_NAME
from selfright.events.wire import Rejection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from selfright.events.batch import Bools, Codes, Ints, Texts

_NONE: Final = type(None)
_Floats = np.ndarray[tuple[int], np.dtype[np.float64]]


class Sieve:
    """A set of columns and, so far, the rows refused.

    Parameters
    ----------
    columns
        Field names to columns: lists, arrays (a masked entry is "not reported"), or
        anything that turns into one (Arrow table, data frame).
    known
        The fields there are.

    Raises
    ------
    InvalidEventError
        If it is no set of columns, a column is not a known field (with a suggestion), is
        no column at all, or has another length than the first.
    """

    __slots__ = ("_columns", "_missing", "_nothing", "_refused", "rows")

    def __init__(self, columns: object, known: Sequence[str]) -> None:
        self._columns: dict[str, list[Any] | np.ndarray[Any, Any]] = {}
        self._refused: dict[int, tuple[str, str]] = {}
        self.rows = 0
        for field, column in _named(columns).items():
            if field not in known:
                hint = did_you_mean(field, known)
                raise InvalidEventError(str(field), "...", f"is no field of this record{hint}")
            held = _held(field, column)
            if self._columns and len(held) != self.rows:
                reason = f"has {len(held)} rows where the columns before it have {self.rows}"
                raise InvalidEventError(field, "...", reason)
            self._columns[field] = held
            self.rows = len(held)
        # Most columns of most senders are not there: they share what stands in for them.
        self._nothing: list[Any] = [None] * self.rows
        self._missing: Ints = np.full(self.rows, MISSING, dtype=np.int64)
        self._missing.flags.writeable = False

    def __contains__(self, field: str) -> bool:
        return field in self._columns

    def require(self, *fields: str) -> None:
        """Raise ``InvalidEventError`` where one of the columns is not there."""
        for field in fields:
            if field not in self._columns:
                raise InvalidEventError(field, None, "this column must be there")

    def refuse(self, field: str, rows: Iterable[int], reason: str) -> None:
        """Note that rows do not pass. The first reason of a row stands."""
        for row in rows:
            self._refused.setdefault(row, (field, reason))

    def passed(self) -> Bools:
        """Return the mask of the rows that no check has refused so far."""
        mask = np.ones(self.rows, dtype=np.bool_)
        mask[list(self._refused)] = False
        return mask

    def rejections(self) -> list[Rejection]:
        """Return the refused rows in order, each with its first reason."""
        return [Rejection(row, *self._refused[row]) for row in sorted(self._refused)]

    def numbers(self, field: str, most: float, scale: int) -> Ints:
        """Return quantities of 0..``most`` in units of ``1 / scale``; -1 where missing."""
        return self._quantities(field, scale, most, check.number, check.number_reason(most))

    def wholes(self, field: str, most: int) -> Ints:
        """Return counts of 0..``most``; -1 where missing."""
        return self._quantities(field, 1, most, check.whole, check.whole_reason(most))

    def names(self, field: str, *, required: bool = False, few: bool = True) -> Texts:
        """Return names, None where missing; without the column all are missing.

        ``few``: the same names are expected again and again, so that each is checked
        once and all rows share one object per name.
        """
        if field not in self._columns:
            return self._nothing
        column = self._listed(field)
        texts = _texts(column)
        if texts is None or (required and texts is not column):
            return self._each(field, check.name, none_passes=not required)
        if few:
            return self._distinct(field, column, check.name)
        return column if _are_names(texts) else self._each(field, check.name)

    def texts(self, field: str) -> Texts:
        """Return free text, cleaned, None where missing."""
        if field not in self._columns:
            return self._nothing
        column = self._listed(field)
        if _texts(column) is not None:
            return self._distinct(field, column, check.text)
        return self._each(field, check.text)

    def statuses(self, field: str = "status") -> Codes:
        """Return status codes."""
        column = self._listed(field)

        def code(_: str, status: object) -> int:
            return check.status_code(status)

        if _texts(column) is column:
            # By way of bytes: half the time that numpy takes to read a list of numbers.
            codes = bytes(self._distinct(field, column, code, refused=0))
            return np.frombuffer(codes, dtype=np.int8)
        each = self._each(field, code, none_passes=False)
        return np.array([0 if code is None else code for code in each], dtype=np.int8)

    def attributes(self, field: str) -> list[dict[str, Any] | None]:
        """Return mappings as copies of plain JSON values, None where missing."""
        return self._each(field, check.attributes)

    def values(self, field: str) -> list[Any]:
        """Return any JSON values as copies, None where missing."""
        return self._each(field, check.plain)

    def times(self, field: str = "timestamp") -> Ints:
        """Return times in microseconds since the epoch; -1 where missing."""
        column = self._columns.get(field)
        if column is None:
            return self._missing
        found = _microseconds(column)
        if found is None:
            parsed = self._each(field, _parsed_time)
            return np.array([MISSING if ts is None else ts for ts in parsed], dtype=np.int64)
        ts_us, missing = found
        wrong = ~missing & ~((ts_us >= 0) & (ts_us <= time_at_the_edge.MAX_US))  # also NaN
        self.refuse(field, np.flatnonzero(wrong).tolist(), time_at_the_edge.ACCEPTED)
        ts_us[missing | wrong] = MISSING
        return ts_us if ts_us.dtype == np.int64 else np.rint(ts_us).astype(np.int64)

    def _quantities(
        self,
        field: str,
        scale: int,
        most: float,
        single: Callable[[str, Any, Any], float],
        reason: str,
    ) -> Ints:
        column = self._columns.get(field)
        if column is None:
            return self._missing
        whole = single is check.whole
        good = _good(column, most, whole=whole)
        if good is not None:
            return np.rint(good * scale).astype(np.int64)
        found = _floats(column, whole=whole)
        if found is None:

            def checked(name: str, value: object) -> float:
                return single(name, value, most)

            each = self._each(field, checked)
            values = np.array(each, dtype=np.float64)
            missing = np.isnan(values)
        else:
            values, missing = found
            wrong = ~missing & ~((values >= 0) & (values <= most))  # also NaN
            self.refuse(field, np.flatnonzero(wrong).tolist(), reason)
            missing |= wrong
        values[missing] = MISSING / scale
        return np.rint(values * scale).astype(np.int64)

    def _listed(self, field: str) -> list[Any]:
        column = self._columns[field]
        return column if isinstance(column, list) else column.tolist()

    def _distinct(
        self,
        field: str,
        column: list[Any],
        single: Callable[[str, Any], Any],
        *,
        refused: object = None,
    ) -> list[Any]:
        """Check each different value once; None passes."""
        different = set(column) - {None}
        if single is check.name and _are_names(different):
            checked: dict[Any, Any] = dict(zip(different, different, strict=True))
            different = set()
        else:
            checked = {}
        checked[None] = None
        wrong: dict[Any, str] = {}
        for value in different:
            try:
                checked[value] = single(field, value)
            except InvalidEventError as error:
                checked[value] = refused
                wrong[value] = error.reason
        if wrong:
            for row, value in enumerate(column):
                if value in wrong:
                    self.refuse(field, (row,), wrong[value])
        return list(map(checked.__getitem__, column))

    def _each(
        self,
        field: str,
        single: Callable[[str, Any], Any],
        *,
        none_passes: bool = True,
    ) -> list[Any]:
        """Check value by value; None passes if it may."""
        if field not in self._columns:
            return self._nothing
        column = self._listed(field)
        checked: list[Any] = [None] * len(column)
        for row, value in enumerate(column):
            if value is None and none_passes:
                continue
            try:
                checked[row] = single(field, value)
            except InvalidEventError as error:
                self.refuse(field, (row,), error.reason)
        return checked


def _named(columns: object) -> Mapping[str, object]:
    if isinstance(columns, Mapping):
        return columns
    to_pydict = getattr(columns, "to_pydict", None)
    if callable(to_pydict):  # an Arrow table or record batch
        named: Mapping[str, object] = to_pydict()
        return named
    frame: Any = columns
    if hasattr(frame, "columns") and hasattr(frame, "__getitem__"):
        return {name: frame[name] for name in frame.columns}
    raise InvalidEventError(
        "columns", columns, "must map field names to columns, or be an Arrow table or data frame"
    )


def _held(field: str, column: object) -> list[Any] | np.ndarray[Any, Any]:
    """Return a column as a list or as an array of one dimension."""
    if isinstance(column, np.ndarray):
        if column.ndim != 1:
            raise InvalidEventError(field, "...", "must be a column: an array of one dimension")
        return column
    if isinstance(column, list):
        return column
    for conversion in ("to_pylist", "to_list"):  # Arrow arrays, series of data frames
        if callable(convert := getattr(column, conversion, None)):
            return list(convert())
    if isinstance(column, Sequence) and not isinstance(column, (str, bytes, bytearray)):
        return list(column)
    raise InvalidEventError(field, column, "must be a column: a list or an array")


def _texts(column: list[Any]) -> list[str] | None:
    """Return the texts of a column, itself if it holds nothing else.

    None if it holds more than plain texts and None.
    """
    texts = countOf(map(type, column), str)
    if texts == len(column):
        return column
    if texts + countOf(map(type, column), _NONE) < len(column):
        return None
    return [text for text in column if text is not None]


def _are_names(texts: Collection[str]) -> bool:
    """Return whether all are names: one look at them together costs that at a few."""
    return not texts or (
        all(texts) and "".join(texts).isprintable() and max(map(len, texts)) <= MAX_NAME
    )


def _good(column: list[Any] | np.ndarray[Any, Any], most: float, *, whole: bool) -> _Floats | None:
    """Return an array of quantities of which none is missing or wrong; None for any other."""
    if type(column) is not np.ndarray or column.dtype.kind not in ("iu" if whole else "iuf"):
        return None
    values: _Floats = column.astype(np.float64)
    # False also for NaN, which is both the least and the greatest.
    return values if values.min(initial=0) >= 0 and values.max(initial=0) <= most else None


def _floats(
    column: list[Any] | np.ndarray[Any, Any], *, whole: bool
) -> tuple[_Floats, Bools] | None:
    """Return a column of plain numbers and its missing rows; None if it holds others."""
    if isinstance(column, np.ndarray):
        if column.dtype.kind not in ("iu" if whole else "iuf"):
            return None
        return np.ma.getdata(column).astype(np.float64), np.ma.getmaskarray(column).copy()
    kinds = set(map(type, column))
    # Elsewhere numpy would read text and truth values as numbers.
    if not kinds <= ({int, _NONE} if whole else {int, float, _NONE}):
        return None
    try:
        values = np.array(column, dtype=np.float64)  # None becomes NaN
    except OverflowError:  # an int that no float can hold
        return None
    missing = np.zeros(len(column), dtype=np.bool_)
    if _NONE in kinds:
        blank = np.flatnonzero(np.isnan(values))
        missing[blank] = [column[row] is None for row in blank.tolist()]
    return values, missing


def _microseconds(
    column: list[Any] | np.ndarray[Any, Any],
) -> tuple[np.ndarray[Any, Any], Bools] | None:
    """Return a column of plain seconds or of datetime64 in microseconds, and what is missing."""
    if isinstance(column, np.ndarray) and column.dtype.kind == "M":
        # NaT becomes the lowest int64, which is out of range.
        ts_us = np.ma.getdata(column).astype("datetime64[us]").astype(np.int64)
        return ts_us, np.ma.getmaskarray(column)
    found = _floats(column, whole=False)
    return None if found is None else (found[0] * time_at_the_edge.US_PER_S, found[1])


def _parsed_time(field: str, value: Any) -> int:  # noqa: ANN401 - whatever was in the column
    return time_at_the_edge.parse(value, field)

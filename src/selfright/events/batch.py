"""Runs and outcomes as columns: the form in which they travel from the door on.

A batch is immutable by convention: whoever holds one may keep it. Numeric columns are
int64 in exact units, so that sums do not depend on the order in which they are taken;
-1 is "not reported" (every quantity is non-negative). Text columns are lists with None
where nothing was reported.

``seq`` orders the rows of an intake among runs, outcomes and acts; the log replaces it
by the offsets it assigns.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from selfright.events.record import AnyAct

Ints = np.ndarray[tuple[int], np.dtype[np.int64]]
Bools = np.ndarray[tuple[int], np.dtype[np.bool_]]
Codes = np.ndarray[tuple[int], np.dtype[np.int8]]
Texts = list[str | None]
Column = Any  # one of the above: a batch handles its columns alike

# The annotation of a column decides how it is held; whatever is not here is a list.
_DTYPES: Final[dict[object, type[np.generic]]] = {
    "Ints": np.int64,
    "Codes": np.int8,
    "Bools": np.bool_,
}

MISSING: Final = -1
Q32: Final = 1 << 32  # scores are stored as multiples of 2^-32
NANO_PER_USD: Final = 1_000_000_000
KIB_PER_MB: Final = 1024
US_PER_MS: Final = 1000


@dataclass(frozen=True, slots=True)
class _Columns:
    """Row-wise view of a set of equal-long columns; the subclasses name them."""

    seq: Ints

    def __len__(self) -> int:
        return len(self.seq)

    def take(self, index: Ints | Bools | slice) -> Self:
        """Return the rows that ``index`` (positions, mask or slice) selects, in its order."""
        if isinstance(index, slice):
            return self._map(lambda column: column[index])
        positions = np.flatnonzero(index) if index.dtype == np.bool_ else index
        listed = positions.tolist()
        return self._map(
            lambda column: (
                column[positions] if isinstance(column, np.ndarray) else [column[i] for i in listed]
            )
        )

    def numbered(self, seq: Ints) -> Self:
        """Return the same rows with other sequence numbers."""
        return type(self)(seq, *_values(self)[1:])

    def rows(self) -> list[tuple[Any, ...]]:
        """Return plain tuples without ``seq``, the stored form; ``from_rows`` reverses it."""
        if not len(self):
            return []
        columns = [
            column.tolist() if isinstance(column, np.ndarray) else column
            for column in _values(self)[1:]
        ]
        return list(zip(*columns, strict=True))

    @classmethod
    def from_rows(cls, rows: Sequence[Sequence[Any]], seq: Ints) -> Self:
        """Return the batch of stored rows. Costs about 1 us a row."""
        if not rows:
            return cls.empty()
        values: list[Column] = [seq]
        for spec, column in zip(fields(cls)[1:], zip(*rows, strict=True), strict=True):
            dtype = _DTYPES.get(spec.type)
            values.append(list(column) if dtype is None else np.array(column, dtype=dtype))
        return cls(*values)

    @classmethod
    @cache
    def empty(cls) -> Self:
        """Return the batch without rows."""
        dtypes = [_DTYPES.get(spec.type) for spec in fields(cls)]
        columns: list[Column] = [[] if dtype is None else np.empty(0, dtype) for dtype in dtypes]
        return cls(*columns)

    @classmethod
    def concat(cls, batches: Iterable[Self]) -> Self:
        """Return all rows, batch after batch."""
        parts = [batch for batch in batches if len(batch)]
        if not parts:
            return cls.empty()
        if len(parts) == 1:
            return parts[0]
        values: list[Column] = []
        for column in zip(*(_values(part) for part in parts), strict=True):
            if isinstance(column[0], np.ndarray):
                values.append(np.concatenate(column))
            else:
                values.append([item for part in column for item in part])
        return cls(*values)

    def _map(self, change: Callable[[Column], Column]) -> Self:
        return type(self)(*(change(column) for column in _values(self)))


def _values(batch: _Columns) -> list[Column]:
    return [getattr(batch, name) for name in batch.__dataclass_fields__]


@dataclass(frozen=True, slots=True)
class RunBatch(_Columns):
    """Runs as columns. Field for field what ``AgentRun`` says, in exact units."""

    seq: Ints
    run_id: list[str]
    agent_name: list[str]
    agent_type: list[str]
    status: Codes
    ts_us: Ints
    duration_us: Ints
    tokens: Ints  # in + out where only the parts were given
    tokens_in: Ints
    tokens_out: Ints
    api_calls: Ints
    cost_nano_usd: Ints
    memory_kib: Ints
    cpu_us: Ints
    retry_count: Ints
    quality_q32: Ints
    confidence_q32: Ints
    error_type: Texts
    task_id: Texts
    task_type: Texts
    decision_id: Texts
    agent_version: Texts
    parent_run_id: Texts
    session_id: Texts
    route: Texts
    context: list[dict[str, Any] | None]
    config: list[dict[str, Any] | None]
    metadata: list[dict[str, Any] | None]
    ts_given: Bools  # False: the time of arrival


@dataclass(frozen=True, slots=True)
class OutcomeBatch(_Columns):
    """Outcomes as columns, scored. The columns from ``run`` on are filled by the log.

    ``run``       the joined run as a stored row of ``RunBatch``, None while unmatched
    ``primary``   of several feedback sources on one run, the newest: the learners' reward
    ``fresh``     False for a row that only replaces an earlier one (a correction, a later
                  join): detectors must not count it again
    """

    seq: Ints
    agent_name: list[str]
    run_id: Texts
    task_id: Texts
    ts_us: Ints
    score_q32: Ints
    feedback_source: list[str]
    outcome_id: Texts
    predicted: list[Any]
    actual: list[Any]
    metadata: list[dict[str, Any] | None]
    ts_given: Bools
    run: list[tuple[Any, ...] | None]
    primary: Bools
    fresh: Bools


RUN_COLUMNS: Final = tuple(RunBatch.__dataclass_fields__)[1:]
OUTCOME_COLUMNS: Final = tuple(OutcomeBatch.__dataclass_fields__)[1:]
# Position of each field within a stored row, e.g. ``row[RUN_FIELD["task_type"]]``.
RUN_FIELD: Final = {name: position for position, name in enumerate(RUN_COLUMNS)}


@dataclass(frozen=True, slots=True)
class Intake:
    """What came in together and shall be kept together. ``seq`` orders rows across kinds.

    ``acts`` are pairs of sequence number and record.
    """

    runs: RunBatch
    outcomes: OutcomeBatch
    acts: tuple[tuple[int, AnyAct], ...] = ()

    def __len__(self) -> int:
        return len(self.runs) + len(self.outcomes) + len(self.acts)

    @classmethod
    def of(
        cls,
        runs: RunBatch | None = None,
        outcomes: OutcomeBatch | None = None,
        acts: Iterable[AnyAct] = (),
    ) -> Intake:
        """Return an intake; acts given bare are ordered behind the rows."""
        runs = RunBatch.empty() if runs is None else runs
        outcomes = OutcomeBatch.empty() if outcomes is None else outcomes
        first = len(runs) + len(outcomes)
        return cls(runs, outcomes, tuple((first + i, act) for i, act in enumerate(acts)))


@dataclass(frozen=True, slots=True)
class Commit:
    """What the log kept of an intake: rows with offsets in ``seq``, duplicates left out.

    ``retracted_*`` are rows of earlier commits, as they stood, that rows here replace
    (a corrected outcome, a finished pending run, an outcome that joined a run later).
    To take a commit into account: subtract the retracted rows, add the others.

    Attributes
    ----------
    first_offset, next_offset
        The half-open range of offsets this commit covers.
    log_time_us
        The log's own time: never earlier than that of the commit before.
    """

    first_offset: int
    next_offset: int
    log_time_us: int
    runs: RunBatch
    outcomes: OutcomeBatch
    acts: tuple[tuple[int, AnyAct], ...]
    retracted_runs: RunBatch
    retracted_outcomes: OutcomeBatch

    def between(self, low: int, high: int) -> Commit:
        """Return the part with offsets in ``low <= offset < high``.

        A retracted row goes with the part that holds its replacement: its ``seq`` is
        the replacement's offset. Rows of a commit are in the order of their ``seq``.
        """
        if low <= self.first_offset and high >= self.next_offset:
            return self
        return Commit(
            max(low, self.first_offset),
            min(high, self.next_offset),
            self.log_time_us,
            _between(self.runs, low, high),
            _between(self.outcomes, low, high),
            tuple(pair for pair in self.acts if low <= pair[0] < high),
            _between(self.retracted_runs, low, high),
            _between(self.retracted_outcomes, low, high),
        )


_Batch = TypeVar("_Batch", RunBatch, OutcomeBatch)


def _between(batch: _Batch, low: int, high: int) -> _Batch:
    first, last = np.searchsorted(batch.seq, (low, high)).tolist()
    return batch.take(slice(first, last))

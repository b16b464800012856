"""Which integers are added up, and how a batch becomes them.

A *cell* is the sum over one agent and one minute: ``WIDTH`` int64. A batch becomes a
``Delta``: one row per cell that it touches, and one key per (cell, slot) for what is
counted by latency bucket or by name. All of it is integer addition without a Python step
per row.

What counts where
-----------------
- Latency is that of decided runs: a run cut short tells when it was cut.
- Cost, tokens, calls, memory, CPU, quality and confidence count for every run that
  reported them, for they were spent or said.
- Retried are the decided runs with ``retry_count`` > 0.
- An outcome counts at its own time; *labelled* counts at the time of its run, so that
  coverage compares like with like. One label per run: that of its primary outcome.
- The delay of a label is 0 where clocks disagree and at most 8.7 years, in whole
  milliseconds, so that no sum of 10 million of them overflows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from selfright.events.batch import US_PER_MS
from selfright.events.status import DECIDED, ERRORS, RunStatus
from selfright.metrics.histogram import bucket_of, bucket_of_one
from selfright.metrics.labels import SLOT_BITS, SLOTS, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfright.events.batch import Texts
    from selfright.metrics.labels import Labels
    from selfright.metrics.rows import OutcomeRows, RunRows

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

US_PER_MINUTE: Final = 60_000_000
MAX_DELAY_MS: Final = 1 << 38
_NARROW: Final = 1 << 31  # two integers below it share one of 64 bits
_DENSE: Final = 8  # keys up to so many times their number are looked up faster than sorted


class Column(IntEnum):
    """Place of each sum within a cell. The first seven are counts by ``RunStatus``."""

    SUCCESS = 0
    FAILURE = 1
    PARTIAL = 2
    TIMEOUT = 3
    CANCELLED = 4
    INTERRUPTED = 5
    PENDING = 6
    RETRIED = 7
    # Of each quantity first how many reported it, then their sum.
    DURATION_US = 8
    TOKENS = 10
    TOKENS_IN = 12
    TOKENS_OUT = 14
    API_CALLS = 16
    COST_NANO_USD = 18
    MEMORY_KIB = 20
    CPU_US = 22
    QUALITY_Q32 = 24
    CONFIDENCE_Q32 = 26
    ACCURACY_Q32 = 28
    DELAY_MS = 30
    LABELLED = 32


WIDTH: Final = 33
STATUSES: Final = len(RunStatus)
# Where ``rows.QUANTITIES`` go, behind the duration, which is not added up as it is.
_SUMMED: Final = [
    int(column)
    for column in (
        Column.DURATION_US,
        Column.TOKENS,
        Column.TOKENS_IN,
        Column.TOKENS_OUT,
        Column.API_CALLS,
        Column.COST_NANO_USD,
        Column.MEMORY_KIB,
        Column.CPU_US,
        Column.QUALITY_Q32,
        Column.CONFIDENCE_Q32,
    )
]
_RETRIED: Final = int(Column.RETRIED)
_DURATION: Final = int(Column.DURATION_US)
_ACCURACY: Final = int(Column.ACCURACY_Q32)
_DELAY: Final = int(Column.DELAY_MS)
_LABELLED: Final = int(Column.LABELLED)
_IS_DECIDED: Final = np.array([status in DECIDED for status in RunStatus])
_IS_ERROR: Final = np.array([status in ERRORS for status in RunStatus])


@dataclass(frozen=True, slots=True)
class Delta:
    """What a batch adds, cell by cell; agents ascend, and minutes within an agent.

    Attributes
    ----------
    agents, minutes
        Of each cell; no pair twice.
    values
        int64[cells, WIDTH].
    mark_cells, mark_slots, mark_counts
        Counts by slot: position of the cell, slot, count. No pair twice.
    """

    agents: Ints
    minutes: Ints
    values: Ints
    mark_cells: Ints
    mark_slots: Ints
    mark_counts: Ints

    def mark_keys(self) -> Ints:
        """Return agent and slot of each mark as one integer."""
        return (self.agents[self.mark_cells] << SLOT_BITS) | self.mark_slots


@dataclass(frozen=True, slots=True)
class Single:
    """What one run adds: the same as a ``Delta`` of one cell, without its overhead."""

    agent: int
    minute: int
    values: list[int]
    slots: list[int]


def sum_cells(agents: Ints, values: Ints) -> tuple[Ints, Ints]:
    """Add up rows of equal agents; return agents ascending and their sums."""
    order = _order(agents)
    starts = starts_of(agents[order])
    return agents[order[starts]], np.add.reduceat(values[order], starts, axis=0)


def sum_keys(keys: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """Add up counts of equal keys; return keys ascending and their sums."""
    if len(keys) == 0:
        return keys, counts
    if keys.max() < _NARROW and counts.min() > -_NARROW and counts.max() < _NARROW:
        # Both in one integer: numpy sorts integers many times as fast as it orders rows.
        packed = (keys << 32) + counts
        packed.sort()
        keys = (packed + _NARROW) >> 32
        counts = packed - (keys << 32)
    else:
        order = _order(keys)
        keys, counts = keys[order], counts[order]
    starts = starts_of(keys)
    return keys[starts], np.add.reduceat(counts, starts)


def translated(keys: Ints, counts: Ints, translate: Ints) -> tuple[Ints, Ints]:
    """Return keys with each slot replaced; those that fall together are added up."""
    moved = (keys & ~np.int64(SLOTS - 1)) | translate[keys & (SLOTS - 1)]
    return sum_keys(moved, counts)


def starts_of(ordered: Ints) -> Ints:
    """Return where each run of equal values begins."""
    return np.flatnonzero(_begins(ordered))


def sizes_of(starts: Ints, end: int) -> Ints:
    """Return the length of each of the runs that begin at ``starts``, the last up to ``end``."""
    sizes = np.empty_like(starts)
    np.subtract(starts[1:], starts[:-1], out=sizes[:-1])
    sizes[-1:] = end - starts[-1:]
    return sizes


def delta_of_runs(runs: RunRows, labels: Labels) -> Delta:
    """Return what ``runs`` (at least one) add."""
    cells = _Cells(runs.agents, runs.ts_us // US_PER_MINUTE)
    status = runs.status.astype(np.int64)
    decided = _IS_DECIDED[status]
    cells.count_statuses(status)
    cells.count(_RETRIED, (runs.retry_count > 0) & decided)
    duration = np.where(decided, runs.duration_us, -1)
    for column, quantity in zip(_SUMMED, (duration, *runs.quantities), strict=True):
        cells.add(column, quantity)
    timed = np.flatnonzero(duration >= 0)
    cells.mark(timed, bucket_of(duration[timed]))
    cells.mark_names(_IS_ERROR[status], runs.error_type, Kind.ERROR, labels)
    cells.mark_names(decided, runs.task_type, Kind.TASK_TYPE, labels)
    return cells.delta()


def delta_of_outcomes(outcomes: OutcomeRows, labels: Labels) -> Delta:
    """Return what ``outcomes`` (at least one) add."""
    n, agents = len(outcomes.agents), outcomes.agents
    # A label has a row of its own, at the time of its run.
    labelled = np.flatnonzero(outcomes.labels)
    agents = np.concatenate((agents, agents[labelled]))
    times = np.concatenate((outcomes.ts_us, outcomes.run_ts_us[labelled]))
    cells = _Cells(agents, times // US_PER_MINUTE)
    score, delay = np.full((2, len(agents)), -1, dtype=np.int64)
    score[:n] = outcomes.score_q32
    since = (outcomes.ts_us - outcomes.run_ts_us) // US_PER_MS
    joined = outcomes.run_ts_us >= 0
    delay[:n] = np.where(joined, np.minimum(np.maximum(since, 0), MAX_DELAY_MS), -1)
    cells.add(_ACCURACY, score)
    cells.add(_DELAY, delay)
    cells.count(_LABELLED, np.arange(len(agents)) >= n)
    cells.mark(np.arange(n), labels.slots(Kind.SOURCE, outcomes.sources))
    return cells.delta()


def single_run(runs: RunRows, labels: Labels) -> Single:
    """Return what the only run there is adds."""
    values = [0] * WIDTH
    slots = []
    status = runs.status.item(0)
    values[status] = 1
    if _IS_DECIDED.item(status):
        values[_RETRIED] = int(runs.retry_count.item(0) > 0)
        duration = runs.duration_us.item(0)
        if duration >= 0:
            values[_DURATION] = 1
            values[_DURATION + 1] = duration
            slots.append(bucket_of_one(duration))
        task_type, error_type = runs.task_type[0], runs.error_type[0]
        if task_type is not None:
            slots.append(labels.slot(Kind.TASK_TYPE, task_type))
        if error_type is not None and _IS_ERROR.item(status):
            slots.append(labels.slot(Kind.ERROR, error_type))
    for column, quantities in zip(_SUMMED[1:], runs.quantities, strict=True):
        quantity = quantities.item(0)
        if quantity >= 0:
            values[column] = 1
            values[column + 1] = quantity
    return Single(runs.agents.item(0), runs.ts_us.item(0) // US_PER_MINUTE, values, slots)


def single_outcome(outcomes: OutcomeRows, labels: Labels) -> Iterator[Single]:
    """Yield what the only outcome there is adds: its own cell, then that of its run."""
    values = [0] * WIDTH
    agent, ts_us = outcomes.agents.item(0), outcomes.ts_us.item(0)
    score, run_ts_us = outcomes.score_q32.item(0), outcomes.run_ts_us.item(0)
    if score >= 0:
        values[_ACCURACY] = 1
        values[_ACCURACY + 1] = score
    if run_ts_us >= 0:
        values[_DELAY] = 1
        values[_DELAY + 1] = min(max(ts_us - run_ts_us, 0) // US_PER_MS, MAX_DELAY_MS)
    source = labels.slot(Kind.SOURCE, outcomes.sources[0])
    yield Single(agent, ts_us // US_PER_MINUTE, values, [source])
    if outcomes.labels.item(0):
        labelled = [0] * WIDTH
        labelled[_LABELLED] = 1
        yield Single(agent, run_ts_us // US_PER_MINUTE, labelled, [])


class _Cells:
    """Rows sorted into cells, and the sums made so far."""

    __slots__ = ("_cell_of_row", "_marks", "_sizes", "_unreported", "_values", "keys")

    def __init__(self, agents: Ints, minutes: Ints) -> None:
        first = int(minutes.min())
        span = int(minutes.max()) - first + 1
        keys = agents if span == 1 else agents * span + (minutes - first)
        unique, self._cell_of_row, self._sizes = _places(keys)
        self._values = np.zeros((len(unique), WIDTH), dtype=np.int64)
        self._marks: list[Ints] = []
        self._unreported: Ints | None = None
        if span == 1:
            self.keys = unique, np.full(len(unique), first, dtype=np.int64)
        else:
            self.keys = unique // span, unique % span + first

    def count_statuses(self, status: Ints) -> None:
        cells = len(self._values)
        counts = np.bincount(self._cell_of_row * STATUSES + status, minlength=cells * STATUSES)
        self._values[:, :STATUSES] = counts.reshape(cells, STATUSES)

    def count(self, column: int, which: Bools) -> None:
        if which.any():
            cells = len(self._values)
            self._values[:, column] = np.bincount(self._cell_of_row[which], minlength=cells)

    def add(self, column: int, quantity: Ints) -> None:
        """Add up a quantity that is -1 where nobody reported it, and count who did."""
        # What a sender never reports is one and the same array; see ``Sieve``.
        if quantity is self._unreported:
            return
        if quantity.max() < 0:
            self._unreported = quantity
            return
        if quantity.min() >= 0:
            self._values[:, column] = self._sizes
        else:
            given = quantity >= 0
            self.count(column, given)
            quantity = np.where(given, quantity, 0)
        np.add.at(self._values[:, column + 1], self._cell_of_row, quantity)

    def mark(self, rows: Ints, slots: Ints) -> None:
        if len(rows):
            self._marks.append((self._cell_of_row[rows] << SLOT_BITS) | slots)

    def mark_names(self, which: Bools, names: Texts, kind: Kind, labels: Labels) -> None:
        if names[0] is not None or names.count(None) < len(names):
            slots = labels.slots(kind, names)
            rows = np.flatnonzero((slots >= 0) & which)
            self.mark(rows, slots[rows])

    def delta(self) -> Delta:
        agents, minutes = self.keys
        marks = np.concatenate(self._marks or [np.empty(0, dtype=np.int64)])
        marks.sort()
        starts = starts_of(marks)
        unique = marks[starts]
        counts = sizes_of(starts, len(marks))
        return Delta(
            agents,
            minutes,
            self._values,
            unique >> SLOT_BITS,
            unique & (SLOTS - 1),
            counts,
        )


def _places(keys: Ints) -> tuple[Ints, Ints, Ints]:
    """Return the different keys, ascending, the place of each one there, and how many it has."""
    most = int(keys.max())
    if most < _DENSE * len(keys):
        counts = np.bincount(keys)
        unique = np.flatnonzero(counts)
        table = np.empty(most + 1, dtype=np.int64)
        table[unique] = np.arange(len(unique))
        return unique, table[keys], counts[unique]
    order = _order(keys)
    ordered = keys[order]
    begins = _begins(ordered)
    starts = np.flatnonzero(begins)
    place = np.empty(len(keys), dtype=np.int64)
    place[order] = np.cumsum(begins) - 1
    return ordered[starts], place, sizes_of(starts, len(keys))


def _begins(ordered: Ints) -> Bools:
    """Return which values differ from the one before; the first one does."""
    begins = np.ones(len(ordered), dtype=np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=begins[1:])
    return begins


def _order(keys: Ints) -> Ints:
    """Return a stable order; by radix where the keys are few enough."""
    if len(keys) and int(keys.min()) >= 0 and int(keys.max()) < 1 << 16:
        return np.argsort(keys.astype(np.uint16), kind="stable")
    return np.argsort(keys, kind="stable")

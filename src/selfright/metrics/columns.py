"""Which integers are added up, and how a batch becomes them.

A *cell* is the sum over one agent and one minute: ``WIDTH`` int64. A batch becomes a
``Delta``: one row per cell that it touches, and one key per (cell, slot) for what is
counted by latency bucket or by name. Sorting once and adding up runs of equal keys keeps
this exact and without a Python step per row.

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

from selfright.events.batch import RUN_FIELD
from selfright.events.status import DECIDED, ERRORS, RunStatus
from selfright.metrics.histogram import bucket_of, bucket_of_one
from selfright.metrics.labels import SLOT_BITS, SLOTS, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfright.events.batch import OutcomeBatch, RunBatch, Texts
    from selfright.metrics.labels import Labels

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

US_PER_MINUTE: Final = 60_000_000
MAX_DELAY_MS: Final = 1 << 38


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
# Fields of a run that are added up as they are, and their place. Durations are not: see above.
QUANTITIES: Final = (
    ("tokens", int(Column.TOKENS)),
    ("tokens_in", int(Column.TOKENS_IN)),
    ("tokens_out", int(Column.TOKENS_OUT)),
    ("api_calls", int(Column.API_CALLS)),
    ("cost_nano_usd", int(Column.COST_NANO_USD)),
    ("memory_kib", int(Column.MEMORY_KIB)),
    ("cpu_us", int(Column.CPU_US)),
    ("quality_q32", int(Column.QUALITY_Q32)),
    ("confidence_q32", int(Column.CONFIDENCE_Q32)),
)
_IS_DECIDED: Final = np.array([status in DECIDED for status in RunStatus])
_IS_ERROR: Final = np.array([status in ERRORS for status in RunStatus])
_RUN_STATUS: Final = RUN_FIELD["status"]
_RUN_TS: Final = RUN_FIELD["ts_us"]


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
    _order: Ints
    _starts: Ints

    def mark_keys(self) -> Ints:
        """Return agent and slot of each mark as one integer."""
        return (self.agents[self.mark_cells] << SLOT_BITS) | self.mark_slots

    def extremes(self, ts_us: Ints) -> tuple[Ints, Ints, Ints]:
        """Return each agent once, and the least and the greatest of its rows' times."""
        firsts = starts_of(self.agents)
        starts, ordered = self._starts[firsts], ts_us[self._order]
        least = np.minimum.reduceat(ordered, starts)
        return self.agents[firsts], least, np.maximum.reduceat(ordered, starts)


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
    order = _order(keys)
    starts = starts_of(keys[order])
    return keys[order[starts]], np.add.reduceat(counts[order], starts)


def translated(keys: Ints, counts: Ints, translate: Ints) -> tuple[Ints, Ints]:
    """Return keys with each slot replaced; those that fall together are added up."""
    moved = (keys & ~np.int64(SLOTS - 1)) | translate[keys & (SLOTS - 1)]
    return sum_keys(moved, counts)


def starts_of(ordered: Ints) -> Ints:
    """Return where each run of equal values begins."""
    if len(ordered) == 0:
        return np.empty(0, dtype=np.int64)
    return np.concatenate(([0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1))


def delta_of_runs(agents: Ints, runs: RunBatch, labels: Labels) -> Delta:
    """Return what ``runs`` (at least one) add; ``agents`` holds the agent of each."""
    cells = _Cells(agents, runs.ts_us // US_PER_MINUTE)
    status = runs.status.astype(np.int64)
    decided = _IS_DECIDED[status]
    cells.count_statuses(status)
    cells.count(Column.RETRIED, (runs.retry_count > 0) & decided)
    duration = np.where(decided, runs.duration_us, -1)
    cells.add(
        [int(Column.DURATION_US), *(column for _, column in QUANTITIES)],
        np.array([duration, *(getattr(runs, name) for name, _ in QUANTITIES)]),
    )
    timed = np.flatnonzero(duration >= 0)
    cells.mark(timed, bucket_of(duration[timed]))
    cells.mark_names(_IS_ERROR[status], runs.error_type, Kind.ERROR, labels)
    cells.mark_names(decided, runs.task_type, Kind.TASK_TYPE, labels)
    return cells.delta()


def delta_of_outcomes(agents: Ints, outcomes: OutcomeBatch, labels: Labels) -> Delta:
    """Return what ``outcomes`` (at least one) add; ``agents`` holds the agent of each."""
    joined = list(_joined(outcomes))
    ts_us = outcomes.ts_us.tolist()
    labelled = [(i, run_ts) for i, run_ts, counts in joined if counts]
    n, minutes = len(outcomes), outcomes.ts_us // US_PER_MINUTE
    if labelled:  # rows of their own, at the time of the run
        rows, times = np.array(labelled, dtype=np.int64).T
        agents = np.concatenate((agents, agents[rows]))
        minutes = np.concatenate((minutes, times // US_PER_MINUTE))
    cells = _Cells(agents, minutes)
    quantities = np.full((2, len(agents)), -1, dtype=np.int64)
    quantities[0, :n] = outcomes.score_q32
    for i, run_ts, _ in joined:
        quantities[1, i] = _delay_ms(ts_us[i], run_ts)
    cells.add([int(Column.ACCURACY_Q32), int(Column.DELAY_MS)], quantities)
    if labelled:
        cells.count(Column.LABELLED, np.arange(len(agents)) >= n)
    cells.mark(np.arange(n), labels.slots(Kind.SOURCE, outcomes.feedback_source))
    return cells.delta()


def single_run(agent: int, runs: RunBatch, labels: Labels) -> Single:
    """Return what the only run of a batch adds."""
    values = [0] * WIDTH
    slots = []
    status = runs.status.item(0)
    values[status] = 1
    if _IS_DECIDED.item(status):
        values[Column.RETRIED] = int(runs.retry_count.item(0) > 0)
        duration = runs.duration_us.item(0)
        if duration >= 0:
            values[Column.DURATION_US] = 1
            values[Column.DURATION_US + 1] = duration
            slots.append(bucket_of_one(duration))
        task_type, error_type = runs.task_type[0], runs.error_type[0]
        if task_type is not None:
            slots.append(labels.slot(Kind.TASK_TYPE, task_type))
        if error_type is not None and _IS_ERROR.item(status):
            slots.append(labels.slot(Kind.ERROR, error_type))
    for name, column in QUANTITIES:
        quantity = getattr(runs, name).item(0)
        if quantity >= 0:
            values[column] = 1
            values[column + 1] = quantity
    return Single(agent, runs.ts_us.item(0) // US_PER_MINUTE, values, slots)


def single_outcome(agent: int, outcomes: OutcomeBatch, labels: Labels) -> Iterator[Single]:
    """Yield what the only outcome of a batch adds: its own cell, then that of its run."""
    values = [0] * WIDTH
    ts_us = outcomes.ts_us.item(0)
    if outcomes.score_q32.item(0) >= 0:
        values[Column.ACCURACY_Q32] = 1
        values[Column.ACCURACY_Q32 + 1] = outcomes.score_q32.item(0)
    joined = next(_joined(outcomes), None)
    if joined is not None:
        values[Column.DELAY_MS] = 1
        values[Column.DELAY_MS + 1] = _delay_ms(ts_us, joined[1])
    source = labels.slot(Kind.SOURCE, outcomes.feedback_source[0])
    yield Single(agent, ts_us // US_PER_MINUTE, values, [source])
    if joined is not None and joined[2]:
        labelled = [0] * WIDTH
        labelled[Column.LABELLED] = 1
        yield Single(agent, joined[1] // US_PER_MINUTE, labelled, [])


def _joined(outcomes: OutcomeBatch) -> Iterator[tuple[int, int, bool]]:
    """Yield row, time of the joined run and whether the row is that run's label."""
    primary = outcomes.primary.tolist()
    for i, run in enumerate(outcomes.run):
        if run is not None:
            yield i, run[_RUN_TS], primary[i] and _IS_DECIDED.item(run[_RUN_STATUS])


def _delay_ms(ts_us: int, run_ts_us: int) -> int:
    return min(max(ts_us - run_ts_us, 0) // 1000, MAX_DELAY_MS)


class _Cells:
    """Rows sorted into cells, and the sums made so far."""

    __slots__ = ("_cell_of_row", "_marks", "_order", "_sizes", "_starts", "_values", "keys")

    def __init__(self, agents: Ints, minutes: Ints) -> None:
        first = int(minutes.min())
        span = int(minutes.max()) - first + 1
        keys = agents if span == 1 else agents * span + (minutes - first)
        self._order = _order(keys)
        ordered = keys[self._order]
        begins = np.empty(len(keys), dtype=np.bool_)
        begins[0] = True
        np.not_equal(ordered[1:], ordered[:-1], out=begins[1:])
        self._starts = np.flatnonzero(begins)
        self._cell_of_row = np.empty(len(keys), dtype=np.int64)
        self._cell_of_row[self._order] = np.cumsum(begins) - 1
        self._sizes = np.bincount(self._cell_of_row)
        self._values = np.zeros((len(self._starts), WIDTH), dtype=np.int64)
        self._marks: list[Ints] = []
        unique = ordered[self._starts]
        if span == 1:
            self.keys = unique, np.full(len(unique), first, dtype=np.int64)
        else:
            self.keys = unique // span, unique % span + first

    def count_statuses(self, status: Ints) -> None:
        cells = len(self._starts)
        counts = np.bincount(self._cell_of_row * STATUSES + status, minlength=cells * STATUSES)
        self._values[:, :STATUSES] = counts.reshape(cells, STATUSES)

    def count(self, column: int, which: Bools) -> None:
        if which.any():
            cells = len(self._starts)
            self._values[:, column] = np.bincount(self._cell_of_row[which], minlength=cells)

    def add(self, columns: list[int], quantities: Ints) -> None:
        """Add up quantities, one row each, that are -1 where nobody reported them."""
        low, high = quantities.min(axis=1).tolist(), quantities.max(axis=1).tolist()
        given = [i for i in range(len(columns)) if high[i] >= 0]
        if not given:
            return
        for i in given:
            if low[i] >= 0:
                self._values[:, columns[i]] = self._sizes
            else:
                self.count(columns[i], quantities[i] >= 0)
        if min(low) < 0:
            quantities = np.maximum(quantities[given], 0)
        summed = np.add.reduceat(quantities.take(self._order, axis=1), self._starts, axis=1)
        self._values[:, [columns[i] + 1 for i in given]] = summed.T

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
        counts = np.diff(starts, append=len(marks))
        return Delta(
            agents,
            minutes,
            self._values,
            unique >> SLOT_BITS,
            unique & (SLOTS - 1),
            counts,
            self._order,
            self._starts,
        )


def _order(keys: Ints) -> Ints:
    """Return a stable order; by radix where the keys are few enough."""
    if len(keys) and int(keys.min()) >= 0 and int(keys.max()) < 1 << 16:
        return np.argsort(keys.astype(np.uint16), kind="stable")
    return np.argsort(keys, kind="stable")

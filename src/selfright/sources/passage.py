"""Blocks of a file through the door: which rows are runs, outcomes or both, and what passed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from selfright.events.batch import Intake, OutcomeBatch, RunBatch
from selfright.events.columns import (
    OUTCOME_FIELDS,
    RUN_FIELDS,
    outcome_columns,
    run_columns,
)
from selfright.events.wire import Rejection
from selfright.sources import cells as cells_of
from selfright.sources.filling import START_US
from selfright.sources.mapping import KIND, PREFIXES
from selfright.sources.rows import missing, picked

if TYPE_CHECKING:
    from selfright.events.batch import Bools, Ints
    from selfright.events.door import Scorer
    from selfright.sources.filling import Filling
    from selfright.sources.rows import Blocks, Cells

_KINDS: Final = {"run": True, "outcome": False}


@dataclass(frozen=True, slots=True)
class Passed:
    """What passed of a block. ``run_row`` and ``outcome_row`` count rows of the file."""

    runs: RunBatch
    run_row: Ints
    outcomes: OutcomeBatch
    outcome_row: Ints
    rejections: list[Rejection]

    def between(self, first: int, after: int) -> tuple[Intake, Ints]:
        """Return the part in rows ``first <= row < after``, and each row by its seq."""
        low, high = np.searchsorted(self.run_row, (first, after)).tolist()
        start, stop = np.searchsorted(self.outcome_row, (first, after)).tolist()
        run_row, outcome_row = self.run_row[low:high], self.outcome_row[start:stop]
        # A row's run comes before its outcome; else all are in the order of their rows.
        run_seq = np.arange(high - low) + np.searchsorted(outcome_row, run_row, side="left")
        outcome_seq = np.arange(stop - start) + np.searchsorted(run_row, outcome_row, side="right")
        row_of = np.empty(len(run_row) + len(outcome_row), dtype=np.int64)
        row_of[run_seq] = run_row
        row_of[outcome_seq] = outcome_row
        runs = self.runs.take(slice(low, high)).numbered(run_seq.astype(np.int64))
        outcomes = self.outcomes.take(slice(start, stop)).numbered(outcome_seq.astype(np.int64))
        return Intake(runs, outcomes), row_of


class Passage:
    """Takes the blocks of a file, in order, through the door."""

    def __init__(self, rows: Blocks, filling: Filling, scorer: Scorer | None) -> None:
        self._rows = rows
        self._filling = filling
        self._scorer = scorer

    def block(self, low: int, high: int) -> Passed:
        """Return what passes of rows ``low <= row < high``."""
        n = high - low
        cells = self._read(low, high)
        refused = {
            row: Rejection(low + row, "body", reason)
            for row, reason in self._rows.broken(low, high).items()
        }
        is_run = _kinds(cells.pop(KIND, None), n, refused, low)
        scored = ~missing(cells["accuracy_score"]) if "accuracy_score" in cells else ~is_run
        readable = np.ones(n, dtype=np.bool_)
        readable[list(refused)] = False
        cells["timestamp"] = self._filling.times(cells.get("timestamp"), low, n)
        run_rows = np.flatnonzero(is_run & readable)
        outcome_rows = np.flatnonzero((~is_run | scored) & readable)
        numbers = self._rows.numbers(low, high)[run_rows]
        run_cells = _part(cells, RUN_FIELDS, run_rows, n)
        run_cells = self._filling.run_columns(run_cells, numbers)
        runs, bad_runs = run_columns(run_cells, START_US, clamp_future=False)
        outcome_cells = _part(cells, OUTCOME_FIELDS, outcome_rows, n)
        _settle(outcome_cells, is_run[outcome_rows], run_cells["run_id"], run_rows, outcome_rows)
        outcomes, bad_outcomes = outcome_columns(
            outcome_cells, START_US, clamp_future=False, scorer=self._scorer
        )
        for rows, found in ((run_rows, bad_runs), (outcome_rows, bad_outcomes)):
            for item in found:
                row = int(rows[item.index])
                refused.setdefault(row, Rejection(low + row, item.field, item.reason))
        run_rows = np.delete(run_rows, [item.index for item in bad_runs])
        outcome_rows = np.delete(outcome_rows, [item.index for item in bad_outcomes])
        if refused:  # of a row that is both, either half goes with the other
            sound = np.ones(n, dtype=np.bool_)
            sound[list(refused)] = False
            runs, run_rows = runs.take(sound[run_rows]), run_rows[sound[run_rows]]
            outcomes = outcomes.take(sound[outcome_rows])
            outcome_rows = outcome_rows[sound[outcome_rows]]
        return Passed(
            runs,
            run_rows + low,
            outcomes,
            outcome_rows + low,
            [refused[r] for r in sorted(refused)],
        )

    def _read(self, low: int, high: int) -> dict[str, Cells]:
        block = self._rows.block(low, high)
        cells = {
            field: cells_of.read(field, column, typed=self._rows.typed)
            for field, column in block.items()
        }
        for prefix in PREFIXES:
            _gather(cells, prefix)
        return cells


def _kinds(cells: Cells | None, rows: int, refused: dict[int, Rejection], low: int) -> Bools:
    """Return which rows are runs."""
    is_run = np.ones(rows, dtype=np.bool_)
    if cells is None:
        return is_run
    for row, kind in enumerate(cells):
        if kind is None:
            continue
        known = _KINDS.get(kind.strip().lower()) if isinstance(kind, str) else None
        if known is None:
            refused.setdefault(row, Rejection(low + row, KIND, "must be run or outcome"))
        else:
            is_run[row] = known
    return is_run


def _gather(cells: dict[str, Cells], prefix: str) -> None:
    """Put the columns ``prefix.*`` as mappings into the column of that name."""
    names = [name for name in cells if name.startswith(prefix)]
    if not names:
        return
    field = prefix.removesuffix(".")
    keys = [name.removeprefix(prefix) for name in names]
    columns = [_plain(cells.pop(name)) for name in names]
    parts: list[dict[str, object] | None] = [
        {key: value for key, value in zip(keys, values, strict=True) if value is not None} or None
        for values in zip(*columns, strict=True)
    ]
    given = cells.get(field)
    if given is not None:
        cells[field] = [_joined(whole, part) for whole, part in zip(given, parts, strict=True)]
    else:
        cells[field] = parts


def _joined(whole: object, parts: dict[str, object] | None) -> object:
    if parts is None or (whole is not None and not isinstance(whole, dict)):
        return whole  # what is no mapping is left for the door to refuse
    return {**(whole or {}), **parts}


def _plain(cells: Cells) -> list[object]:
    return cells if isinstance(cells, list) else cells.tolist()


def _part(
    cells: dict[str, Cells], fields: tuple[str, ...], rows: Ints, total: int
) -> dict[str, Cells]:
    """Return the columns of one kind of record, at the rows that are such."""
    return {
        field: column if len(rows) == total else picked(column, rows)
        for field in fields
        if (column := cells.get(field)) is not None
    }


def _settle(
    cells: dict[str, Cells], of_run: Bools, run_ids: Cells, run_rows: Ints, outcome_rows: Ints
) -> None:
    """Join the outcomes that came in the row of a run to that run, in place."""
    if of_run.all() and len(run_rows) == len(outcome_rows):
        cells["run_id"] = run_ids  # the usual file: every row is both
    elif of_run.any():
        place = np.searchsorted(run_rows, outcome_rows)
        own = cells.get("run_id", [None] * len(outcome_rows))
        cells["run_id"] = [
            run_ids[place[i]] if of_run[i] else own[i] for i in range(len(outcome_rows))
        ]
    if "metadata" in cells:  # where there is a run, it is the run's
        pairs = zip(cells["metadata"], of_run.tolist(), strict=True)
        cells["metadata"] = [None if joined else given for given, joined in pairs]
    if "feedback_source" in cells:
        cells["feedback_source"] = [
            "user" if source is None else source for source in cells["feedback_source"]
        ]

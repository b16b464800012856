"""The rows of a commit, one after the other, through the detectors.

The rules are evaluated after every decided run and every fresh outcome, never by a
timer, so that what they find does not depend on how the rows were batched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from selfright.detect.detection import SYSTEM, WatchedMetric
from selfright.events.batch import Q32
from selfright.events.status import DECIDED, ERRORS, RunStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfright.detect.detection import Detection
    from selfright.detect.watch import FleetWatch
    from selfright.events.batch import Commit, Ints, OutcomeBatch, RunBatch

    Codes = np.ndarray[tuple[int], np.dtype[np.int32]]

_IS_DECIDED: Final = np.array([status in DECIDED for status in RunStatus])
_IS_ERROR: Final = np.array([status in ERRORS for status in RunStatus])
_NOT_REPORTED: Final = -1.0


class Row:
    """One row that was judged: where it stands, whose it is, what the detectors said.

    Mutable and reused from row to row: a million rows make one object.
    """

    __slots__ = ("agent", "detections", "offset", "ts_us")

    def __init__(self) -> None:
        self.offset = -1
        self.agent = SYSTEM
        self.ts_us = 0
        self.detections: tuple[Detection, ...] = ()


def judge(watch: FleetWatch, commit: Commit, runs: Codes, outcomes: Codes) -> Iterator[Row]:
    """Feed the rows of ``commit`` to ``watch`` in the order of their offsets.

    ``runs`` and ``outcomes`` are the rows' agent codes. Yields after each judged row; the
    caller may stop at any of them, and the rows behind it were not fed. About 1 us a row
    besides what the detectors take.
    """
    run_at, outcome_at = _judged_runs(commit), np.flatnonzero(commit.outcomes.fresh)
    offset = np.concatenate([commit.runs.seq[run_at], commit.outcomes.seq[outcome_at]])
    order = np.argsort(offset, kind="stable")
    agent = np.concatenate([runs[run_at], outcomes[outcome_at]])
    ts_us = np.concatenate([commit.runs.ts_us[run_at], commit.outcomes.ts_us[outcome_at]])
    values = np.concatenate(
        [_of_runs(commit.runs, run_at), _of_outcomes(commit.outcomes, outcome_at)]
    )
    row, update = Row(), watch.update_run
    for row.offset, row.agent, row.ts_us, judged in zip(
        offset[order].tolist(),
        agent[order].tolist(),
        ts_us[order].tolist(),
        values[order].tolist(),
        strict=True,
    ):
        row.detections = update(row.agent, judged, row.ts_us, row.offset)
        yield row


def _judged_runs(commit: Commit) -> Ints:
    # A corrected run was judged when it first came, unless it was undecided then.
    decided = _IS_DECIDED[commit.runs.status]
    old = commit.retracted_runs
    spent = old.seq[_IS_DECIDED[old.status]]
    return np.flatnonzero(decided & ~np.isin(commit.runs.seq, spent))


def _of_runs(runs: RunBatch, at: Ints) -> np.ndarray:
    status = runs.status[at]
    values = np.full((len(at), len(WatchedMetric)), _NOT_REPORTED)
    values[:, WatchedMetric.SUCCESS_RATE] = status == RunStatus.SUCCESS
    values[:, WatchedMetric.ERROR_RATE] = _IS_ERROR[status]
    # Every amount stays below 2^53: exact as a float.
    values[:, WatchedMetric.LATENCY] = runs.duration_us[at]
    values[:, WatchedMetric.COST] = runs.cost_nano_usd[at]
    values[:, WatchedMetric.MEMORY] = runs.memory_kib[at]
    values[:, WatchedMetric.TOKEN_USAGE] = runs.tokens[at]
    return values


def _of_outcomes(outcomes: OutcomeBatch, at: Ints) -> np.ndarray:
    values = np.full((len(at), len(WatchedMetric)), _NOT_REPORTED)
    values[:, WatchedMetric.ACCURACY] = outcomes.score_q32[at] / Q32
    return values

"""The rows of a commit through the detectors, and those to be heard one after the other.

The rules are evaluated after every decided run and every fresh outcome, never by a timer, so that
what they find does not depend on how the rows were batched. They take a block at once; whoever
listens is called at the rows at which there is something to say or to ask.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from selfright.detect.certainty.budget import HOUR_US
from selfright.detect.certainty.fleet import Rows
from selfright.detect.certainty.said import detections_of
from selfright.detect.detection import SYSTEM, WatchedMetric
from selfright.detect.labels import Label
from selfright.events.batch import Q32, RUN_FIELD
from selfright.events.status import DECIDED, ERRORS, RunStatus

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterator, Mapping

    from selfright.detect.certainty.fleet import Certainty
    from selfright.detect.detection import Detection
    from selfright.detect.watch import FleetWatch
    from selfright.events.batch import Commit, Ints, OutcomeBatch, RunBatch

    Codes = np.ndarray[tuple[int], np.dtype[np.int32]]

_IS_DECIDED: Final = np.array([status in DECIDED for status in RunStatus])
_IS_ERROR: Final = np.array([status in ERRORS for status in RunStatus])
_NOT_REPORTED: Final = -1.0
_RUN_ID: Final = RUN_FIELD["run_id"]
_RUN_TS: Final = RUN_FIELD["ts_us"]


class Row:
    """A row to be heard: where it stands, whose it is, what the detectors said.

    Mutable and reused from row to row: a million rows make one object.
    """

    __slots__ = ("agent", "detections", "now_us", "offset")

    def __init__(self) -> None:
        self.offset = -1
        self.agent = SYSTEM
        self.now_us = 0
        self.detections: tuple[Detection, ...] = ()


class Judged(NamedTuple):
    """The rows of a commit that detectors judge, in the order of their offsets."""

    rows: Rows
    now_us: Ints  # log time at each

    def part(self, first: int, last: int) -> Judged:
        """Return the rows from ``first`` to before ``last``."""
        return Judged(self.rows.part(first, last), self.now_us[first:last])


def judged(
    commit: Commit,
    runs: Codes,
    outcomes: Codes,
    quiet: Mapping[int, int],
    now_us: int,
    *,
    by_event: bool,
) -> Judged:
    """Return the decided runs and fresh outcomes of ``commit``.

    Parameters
    ----------
    runs, outcomes
        Agent codes of the rows.
    quiet
        Agents of which nothing is judged before the offset given.
    now_us
        Log time; with ``by_event`` that of the newest event up to each row.
    """
    run_at, outcome_at = _judged_runs(commit), np.flatnonzero(commit.outcomes.fresh)
    offset = np.concatenate([commit.runs.seq[run_at], commit.outcomes.seq[outcome_at]])
    order = np.argsort(offset, kind="stable")
    agent = np.concatenate([runs[run_at], outcomes[outcome_at]])[order].astype(np.int64)
    ts_us = np.concatenate([commit.runs.ts_us[run_at], commit.outcomes.ts_us[outcome_at]])[order]
    values = np.concatenate(
        [_of_runs(commit.runs, run_at), _of_outcomes(commit.outcomes, outcome_at)]
    )[order]
    for code, until in quiet.items():
        values[(agent == code) & (offset[order] < until)] = _NOT_REPORTED
    now = np.full(len(order), now_us, dtype=np.int64)
    if by_event:
        np.maximum(np.maximum.accumulate(ts_us), now_us, out=now)
    return Judged(Rows(agent, values, offset[order], ts_us), now)


def first_due(commit: Commit, low: int, high: int, due_us: int | None) -> int:
    """Return the offset behind the first row from ``low`` on that a due time has come with.

    ``high`` where there is none before it. Log time is that of the events here.
    """
    if due_us is None:
        return high
    for batch in (commit.runs, commit.outcomes):
        come = batch.seq[(batch.ts_us >= due_us) & (batch.seq >= low)]
        if len(come):
            high = min(high, int(come[0]) + 1)
    return high


def judge(
    watch: FleetWatch,
    certainty: Certainty,
    found: Judged,
    urgent: Collection[int] | None = None,
) -> Generator[Row]:
    """Feed rows to the detectors; yield those after which something is to be heard or asked.

    These are the rows at which a detector speaks and, for a caller that asks for retrainings, those
    after which somebody may ask: something stands about the row's agent or about the fleet, or
    ``urgent`` is not empty. While a row is looked at, the watch answers as of that row.

    The caller may stop at any row, by closing the iterator: the rows behind it were not
    fed then. Rows that say nothing cost nothing besides what the detectors take.

    Parameters
    ----------
    urgent
        To whom an attempt is owed, as the caller keeps it from row to row; None: nobody asks.
    """
    for first, last in _hours(found.now_us):
        yield from _judge_hour(watch, certainty, found.part(first, last), urgent)


def _judge_hour(
    watch: FleetWatch, certainty: Certainty, found: Judged, urgent: Collection[int] | None
) -> Generator[Row]:
    rows, now_us = found
    said = watch.feed(rows)
    for stream, one in certainty.feed(rows, int(now_us[0])):
        said[one.row] = said.get(one.row, ()) + detections_of(stream, one, watch.policy)
    stands = () if urgent is None else watch.standing_rows().tolist()
    marked = sorted({*said, *stands})
    row, at, end = Row(), -1, len(now_us)
    try:
        while True:
            # What is said at a row may make it urgent to look at the next.
            following = bisect_right(marked, at)
            at = at + 1 if urgent else marked[following] if following < len(marked) else end
            if at >= end:
                break
            row.offset, row.agent = int(rows.offset[at]), int(rows.agent[at])
            row.now_us, row.detections = int(now_us[at]), said.get(at, ())
            watch.at(at)
            yield row
    finally:
        if at < end - 1:
            # Stopped: the detectors saw rows that have not come yet.
            watch.drop()
            certainty.drop()
            fed = rows.part(0, at + 1)
            watch.feed(fed)
            certainty.feed(fed, int(now_us[0]))
        watch.keep()
        certainty.keep()


def _hours(now_us: Ints) -> Iterator[tuple[int, int]]:
    """Yield the parts of rows within one hour of log time: at a new one the level changes."""
    if not len(now_us):
        return
    starts = np.flatnonzero(np.diff(now_us // HOUR_US, prepend=-1)).tolist()
    yield from zip(starts, [*starts[1:], len(now_us)], strict=True)


def labels_of(commit: Commit, outcomes: Codes, quiet: Mapping[int, int]) -> Iterator[Label]:
    """Yield the fresh outcomes of ``commit``; those of ``quiet`` agents are left out."""
    batch = commit.outcomes
    scores = (batch.score_q32 / Q32).tolist()
    times, offsets, codes = batch.ts_us.tolist(), batch.seq.tolist(), outcomes.tolist()
    for i in np.flatnonzero(batch.fresh).tolist():
        if offsets[i] < quiet.get(codes[i], -1):
            continue
        run = batch.run[i]
        yield Label(
            agent=codes[i],
            score=scores[i],
            source=batch.feedback_source[i],
            run_id=None if run is None else run[_RUN_ID],
            delay_us=None if run is None else times[i] - run[_RUN_TS],
            ts_us=times[i],
            offset=offsets[i],
        )


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

"""The columns as arrays for a checkpoint, and back, under another policy if need be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypedDict

import numpy as np
import numpy.typing as npt

from selfright.detect.columns.entries import METRICS, SHIFT, Bools, Ints, number, steps
from selfright.detect.columns.out_of_order import Outcomes
from selfright.detect.columns.standing import Since
from selfright.detect.columns.window import NEVER
from selfright.detect.detection import SYSTEM, WatchedMetric

if TYPE_CHECKING:
    from collections.abc import Collection

    from selfright.detect.columns.beta import BetaColumns
    from selfright.detect.columns.standing import Found
    from selfright.detect.columns.window import WindowColumns


class WatchState(TypedDict):
    """A watch as arrays, in the order of scope and metric.

    ``streams`` holds, for each metric of a scope: scope, metric, newest minute, whether the mean is
    beyond its threshold, outcomes ever, how many had come with the last late one, whether an
    episode is open, whether it stands, and how many of the following are its own: rows of
    ``buckets`` (minute, count, sum), ``outcomes`` that were right or wrong, graded ``scores``.
    ``ages`` are the minutes of the latter two, back from the newest. ``standing`` holds scope,
    metric, and the event time and offset since when.
    """

    streams: Ints
    buckets: Ints
    outcomes: npt.NDArray[np.int8]
    scores: Ints
    ages: npt.NDArray[np.int16]
    standing: Ints


_STREAM: Final = 11  # numbers in a row of `streams`
_BUCKET: Final = 3
_STANDING: Final = 4


def stored(windows: WindowColumns, beta: BetaColumns, found: Found) -> WatchState:
    """Return the exact state; it does not depend on how the rows were batched."""
    stream = np.flatnonzero(windows.newest != NEVER)
    of, minute, count, total = windows.buckets(stream)
    whose, outcome, when = beta.outcomes(stream)
    unit = np.left_shift(1, SHIFT[stream % METRICS])[whose]
    graded = np.zeros(len(stream), dtype=np.bool_)
    graded[whose[(outcome != 0) & (abs(outcome) != unit)]] = True
    is_score = graded[whose]
    held = np.bincount(whose, minlength=len(stream))
    streams = np.stack(
        [
            stream // METRICS - 1,
            stream % METRICS,
            windows.newest[stream],
            windows.beyond[stream],
            beta.seen[stream],
            beta.late[stream],
            beta.open[stream],
            beta.stands[stream],
            np.bincount(of, minlength=len(stream)),
            np.where(graded, 0, held),
            np.where(graded, held, 0),
        ],
        axis=1,
    )
    standing = [
        (scope, metric, *since)
        for scope, metrics in sorted(found.items())
        for metric, since in sorted(metrics.items())
    ]
    return {
        "streams": streams.astype(np.int64).ravel(),
        "buckets": np.stack([minute, count, total], axis=1).ravel(),
        "outcomes": (outcome // unit)[~is_score].astype(np.int8),
        "scores": outcome[is_score],
        "ages": (windows.newest[stream][whose] - when).astype(np.int16),
        "standing": np.array(standing, dtype=np.int64).ravel(),
    }


def most_scope(state: WatchState) -> int:
    """Return the largest scope in a state, ``SYSTEM`` if there is none."""
    return int(state["streams"].reshape(-1, _STREAM)[:, 0].max(initial=SYSTEM))


def restore(
    state: WatchState, watched: Collection[int], windows: WindowColumns, beta: BetaColumns
) -> Found:
    """Put a state into empty columns, which have room for it; return what stands.

    Metrics that are not ``watched`` any more are dropped.
    """
    table = state["streams"].reshape(-1, _STREAM)
    wanted = np.isin(table[:, 1], list(watched))
    stream = number(table[:, 0], table[:, 1])[wanted]
    newest, beyond, seen, late, is_open, stands = table[wanted, 2:8].T
    of, held = _own(table[:, 8], wanted)
    minute, count, total = state["buckets"].reshape(-1, _BUCKET)[held].T
    windows.restore(stream, newest, (of, minute, count, total))
    windows.beyond[stream] = beyond
    outcome = _outcomes(table, state)
    of, held = _own(table[:, 9] + table[:, 10], wanted)
    minute = newest[of] - state["ages"][held]
    beta.restore(stream, seen, Outcomes(of, outcome[held], minute))
    beta.late[stream] = late
    beta.open[stream], beta.stands[stream] = is_open, stands
    found: Found = {}
    for scope, metric, ts_us, offset in state["standing"].reshape(-1, _STANDING).tolist():
        if metric in watched:
            found.setdefault(scope, {})[WatchedMetric(metric)] = Since(ts_us, offset)
    return found


def _own(sizes: Ints, wanted: Bools) -> tuple[Ints, Bools]:
    """Return which of the rows below their streams are wanted, and whose they are among those."""
    of, _ = steps(sizes)
    held = wanted[of]
    return (np.cumsum(wanted) - 1)[of[held]], held


def _outcomes(table: Ints, state: WatchState) -> Ints:
    """Return all outcomes in the units of their streams."""
    right_or_wrong, graded = table[:, 9], table[:, 10]
    of, _ = steps(right_or_wrong + graded)
    is_score = graded[of] > 0
    outcome = np.zeros(len(of), dtype=np.int64)
    outcome[is_score] = state["scores"]
    outcome[~is_score] = state["outcomes"].astype(np.int64) << SHIFT[table[:, 1]][of[~is_score]]
    return outcome

"""What detections are worth: the scoring of the Numenta Anomaly Benchmark, standard profile.

A detection is a row whose score reaches the threshold. Of the detections in a window the earliest
counts, up to ``TRUE_POSITIVE`` at the window's first row and next to nothing at its last. A window
without any costs ``FALSE_NEGATIVE``. Each detection elsewhere costs up to ``FALSE_POSITIVE``,
less just behind a window. Rows in probation count nothing. One threshold holds for all series: that
which is best for their sum. 0 is who never says anything, 100 who hits every first row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from benchmarks.decisions.nab.corpus import Series

TRUE_POSITIVE: Final = 1.0
FALSE_POSITIVE: Final = 0.11
FALSE_NEGATIVE: Final = 1.0
# A true negative is worth 1 in the profile, but the benchmark never counts any.
_FAR: Final = 3.0  # widths behind the last window from which on a false positive costs all
_OUTSIDE: Final = -1


class Result(NamedTuple):
    """A score of 0..100, never below that of silence, and at which threshold it is reached."""

    score: float
    threshold: float
    found: int
    windows: int
    false_positives: int


def position_value(position: np.ndarray) -> np.ndarray:
    """Return 1 .. -1 for a position in widths of a window, 0 at its end."""
    value = 2.0 / (1.0 + np.exp(5.0 * np.minimum(position, _FAR))) - 1.0
    return np.where(position >= _FAR, -1.0, value)


def row_values(series: Series) -> tuple[np.ndarray, np.ndarray]:
    """Return what a detection at each row is worth by itself, and in which window the row lies."""
    rows = np.arange(len(series.values))
    inside = np.full(len(rows), _OUTSIDE)
    past = np.full(len(rows), _FAR)
    for number, (first, last) in enumerate(series.windows):
        inside[first : last + 1] = number
        past[last + 1 :] = (rows[last + 1 :] - last) / max(last - first, 1)
    worth = FALSE_POSITIVE * position_value(past)
    for first, last in series.windows:
        within = rows[first : last + 1]
        value = position_value((within - last - 1) / (last - first + 1.0))
        worth[within] = TRUE_POSITIVE * value / position_value(np.array(-1.0))
    return worth, inside


def best(corpus: Sequence[Series], scores: Sequence[np.ndarray]) -> Result:
    """Return the score at the threshold that is best for all series together."""
    columns: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    windows = 0
    for series, score in zip(corpus, scores, strict=True):
        worth, inside = row_values(series)
        at = slice(series.probation, None)
        columns.append((score[at], worth[at], np.where(inside < 0, _OUTSIDE, inside + windows)[at]))
        windows += len(series.windows)
    score, worth, window = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    order = np.argsort(-score, kind="stable")
    score, worth, window = score[order], worth[order], window[order]
    gain, first = _gains(worth, window, windows)
    last = np.flatnonzero(np.append(np.diff(score) != 0.0, True))  # of equal scores
    totals = np.cumsum(gain)[last]
    if not len(last) or totals.max() <= 0.0:
        return Result(0.0, np.inf, 0, windows, 0)
    top = int(np.argmax(totals))
    reached = slice(0, last[top] + 1)
    perfect = windows * (TRUE_POSITIVE + FALSE_NEGATIVE)
    return Result(
        100.0 * float(totals[top]) / perfect,
        float(score[last[top]]),
        int(first[reached].sum()),
        windows,
        int((window[reached] == _OUTSIDE).sum()),
    )


def _gains(worth: np.ndarray, window: np.ndarray, windows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return by how much each further row betters the sum, and which are the first of a window."""
    gain, first = worth.copy(), np.zeros(len(worth), dtype=bool)
    for number in range(windows):
        rows = np.flatnonzero(window == number)
        if len(rows):
            so_far = np.maximum.accumulate(np.append(-FALSE_NEGATIVE, worth[rows]))
            gain[rows] = np.diff(so_far)
            first[rows[0]] = True
    return gain, first

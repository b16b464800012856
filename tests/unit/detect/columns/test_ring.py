"""A ring gives back each outcome and its minute, in a byte where it was right or wrong."""

from __future__ import annotations

import numpy as np
import pytest

from selfright.detect.columns.entries import SHIFT
from selfright.detect.columns.ring import Ring
from selfright.detect.detection import WatchedMetric as M

WIDTH = 8


def written(metric, minute, value, minutes):
    """Return a ring of two streams to which the outcomes of the second have been written."""
    ring = Ring(WIDTH, minutes)
    ring.reach(2)
    ring.open(np.arange(2))
    stream, i = np.ones(len(value), dtype=np.int64), np.arange(len(value)) + 5
    ring.write(stream, i, (minute, value), SHIFT[[metric] * len(value)])
    return ring


def read(ring, metric, count):
    """Return minutes and values of the outcomes of the second stream."""
    stream, metrics = np.ones(count, dtype=np.int64), np.full(count, metric)
    minute, value = ring.read(stream, np.arange(count) + 5, metrics, SHIFT[metrics])
    return minute.tolist(), value.tolist()


def bytes_an_outcome(ring):
    """Return how wide the widest rows in use are."""
    return max(of.rows.itemsize for of in ring._lanes._tables if len(of.rows) > len(of.free))


@pytest.mark.parametrize(("minutes", "wide"), [(60, 1), (64, 1), (65, 2), (10_080, 2)])
@pytest.mark.parametrize(
    ("metric", "good"), [(M.SUCCESS_RATE, 1), (M.ERROR_RATE, -1), (M.ACCURACY, 1 << 32)]
)
def test_right_or_wrong_takes_a_byte(minutes, wide, metric, good):
    """Two where more than 64 minutes are told apart; minutes are those of the window."""
    minute = np.array([0, minutes - 1, minutes, 5 * minutes - 1])
    value = np.array([good, good, 0, 0])
    ring = written(metric, minute, value, minutes)
    found, values = read(ring, metric, 4)
    assert found == [0, minutes - 1, 0, minutes - 1]
    assert values == value.tolist()
    assert bytes_an_outcome(ring) == wide


def test_graded_scores_are_kept_to_the_last_bit():
    """Beside those that are right or wrong, and whichever came first."""
    scores = np.array([1 << 32, 0, 1, (1 << 32) - 1, 1 << 31])
    for order in (scores, scores[::-1].copy()):
        ring = written(M.ACCURACY, np.array([59, 58, 57, 0, 59]), order, 60)
        assert read(ring, M.ACCURACY, 5) == ([59, 58, 57, 0, 59], order.tolist())


def test_the_newest_take_the_place_of_the_oldest():
    """Outcome i lies where outcome i - width lay, and the others are as they were."""
    ring = written(M.SUCCESS_RATE, np.arange(WIDTH), np.ones(WIDTH, dtype=np.int64), 60)
    at, none = np.array([5 + WIDTH]), np.array([0])
    ring.write(np.array([1]), at, (np.array([33]), none), None)
    minute, value = ring.read(np.array([1, 1]), np.array([5, 6]), np.zeros(2, np.int64), None)
    assert (minute.tolist(), value.tolist()) == ([33, 1], [0, 1])

"""Lanes hold every number exactly and stay narrow as long as they can."""

from __future__ import annotations

import numpy as np

from selfright.detect.columns.lanes import Lanes, Pairs

SHIFT = np.array([32])


def lanes(streams=10, width=4):
    """Return lanes of bytes, open for all streams."""
    made = Lanes(width, np.int8)
    made.reach(streams)
    made.open(np.arange(streams))
    return made


def one(number):
    """Return one whole number as an array."""
    return np.array([number])


def test_small_numbers_and_large_ones_are_read_back():
    """Whatever is written is read; the other numbers of a lane that widens are the same."""
    table = lanes()
    table.write(one(3), one(0), one(-7))
    table.write(one(3), one(1), one(1 << 60))
    assert table.read(np.array([3, 3, 3]), np.array([0, 1, 2])).tolist() == [-7, 1 << 60, 0]
    assert table.read(np.array([2, 3]), np.array([1, 1])).tolist() == [0, 1 << 60]


def test_numbers_in_a_power_of_two_stay_narrow():
    """A score that is right or wrong needs a byte; a graded one makes its lane wide."""
    table = lanes()
    table.write(one(5), one(0), one(1 << 32), SHIFT)
    assert len(table._wide) == 0
    assert table.read(one(5), one(0), SHIFT).tolist() == [1 << 32]
    table.write(one(5), one(1), one(1 << 31), SHIFT)
    both = table.read(np.array([5, 5]), np.array([0, 1]), np.array([32, 32])).tolist()
    assert both == [1 << 32, 1 << 31]


def test_a_closed_lane_is_used_again_and_empty():
    """A stream that goes leaves room for one that comes; nothing of it is left."""
    table = lanes()
    table.write(np.array([1, 2]), np.array([0, 0]), np.array([5, 1 << 40]))
    size = len(table._narrow), len(table._wide)
    for _ in range(50):
        table.close(np.array([1, 2]))
        assert table.has(np.array([0, 1, 2])).tolist() == [True, False, False]
        table.open(np.array([1, 2]))
        assert table.read(np.array([1, 2]), np.array([0, 0])).tolist() == [0, 0]
        table.write(np.array([1, 2]), np.array([0, 0]), np.array([5, 1 << 40]))
    assert (len(table._narrow), len(table._wide)) == size


def test_pairs_are_two_lanes():
    """Only the second counts in a power of two."""
    pairs = Pairs(4, np.int8)
    pairs.reach(3)
    pairs.open(np.array([0, 2]))
    pairs.write(
        np.array([0, 2]),
        np.array([3, 3]),
        (one(1).repeat(2), one(1 << 32).repeat(2)),
        SHIFT.repeat(2),
    )
    first, second = pairs.read(np.array([2]), one(3), SHIFT)
    assert (first.tolist(), second.tolist()) == ([1], [1 << 32])
    assert pairs.second(np.array([0]), one(3), SHIFT).tolist() == [1 << 32]
    assert pairs.has(np.array([0, 1, 2])).tolist() == [True, False, True]

"""Lanes hold every number exactly, each in as few bytes as its numbers allow."""

from __future__ import annotations

import numpy as np
import pytest

from selfright.detect.columns.lanes import Lanes, Pairs

SHIFT = np.array([32])


def lanes(streams=10, width=4):
    """Return lanes, open for all streams."""
    made = Lanes(width)
    made.reach(streams)
    made.open(np.arange(streams))
    return made


def one(number):
    """Return one whole number as an array."""
    return np.array([number])


def rows(table):
    """Return how many rows of 1, 2, 4 and 8 bytes a number there are, and how many are free."""
    return [(len(of.rows), len(of.free)) for of in table._tables]


def in_use(table):
    """Return how many lanes have 1, 2, 4 and 8 bytes a number."""
    return [held - free for held, free in rows(table)]


def test_small_numbers_and_large_ones_are_read_back():
    """Whatever is written is read; the other numbers of a lane that widens are the same."""
    table = lanes()
    table.write(one(3), one(0), one(-7))
    table.write(one(3), one(1), one(1 << 60))
    assert table.read(np.array([3, 3, 3]), np.array([0, 1, 2])).tolist() == [-7, 1 << 60, 0]
    assert table.read(np.array([2, 3]), np.array([1, 1])).tolist() == [0, 1 << 60]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("largest", "lanes_of"),
    [
        (127, [1, 0, 0, 0]),
        (128, [0, 1, 0, 0]),
        ((1 << 15) - 1, [0, 1, 0, 0]),
        (1 << 15, [0, 0, 1, 0]),
        ((1 << 31) - 1, [0, 0, 1, 0]),
        (1 << 31, [0, 0, 0, 1]),
    ],
)
def test_a_lane_is_as_wide_as_its_largest_number_needs(sign, largest, lanes_of):
    """Whether that comes first or last; and what it held before is held on."""
    numbers = [3 * sign, 100 * sign, 127 * sign, largest * sign]
    for order in (numbers, numbers[::-1]):
        table = lanes(streams=1)
        for column, number in enumerate(order):
            table.write(one(0), one(column), one(number))
        assert in_use(table) == lanes_of
        assert table.read(np.zeros(4, dtype=np.int64), np.arange(4)).tolist() == order


def test_lanes_of_all_widths_are_written_and_read_in_one_pass():
    """Each of several numbers of a stream may be the one that widens its lane."""
    table = lanes(streams=4)
    stream, column = np.repeat(np.arange(4), 4), np.tile(np.arange(4), 4)
    numbers = np.array([1, 2, 3, 4, 5, 300, 6, 7, 70_000, 8, -300, 9, 10, 11, -70_000, 1 << 40])
    table.write(stream, column, numbers)
    assert in_use(table) == [1, 1, 1, 1]
    table.write(stream, column, numbers[::-1].copy())
    assert table.read(stream, column).tolist() == numbers[::-1].tolist()


def test_numbers_in_a_power_of_two_stay_narrow():
    """A score that is right or wrong needs a byte; a graded one makes its lane wide."""
    table = lanes()
    table.write(one(5), one(0), one(1 << 32), SHIFT)
    assert in_use(table) == [10, 0, 0, 0]
    table.write(one(5), one(2), one(300 << 32), SHIFT)
    assert in_use(table) == [9, 1, 0, 0]
    assert table.read(np.array([5, 5]), np.array([0, 2]), SHIFT.repeat(2)).tolist() == [
        1 << 32,
        300 << 32,
    ]
    table.write(one(5), one(1), one(1 << 31), SHIFT)
    assert in_use(table) == [9, 0, 0, 1]
    found = table.read(np.array([5, 5, 5]), np.array([0, 1, 2]), SHIFT.repeat(3)).tolist()
    assert found == [1 << 32, 1 << 31, 300 << 32]


def test_a_closed_lane_is_used_again_and_empty():
    """A stream that goes leaves room for one that comes; nothing of it is left."""
    table = lanes()
    table.write(np.array([1, 2]), np.array([0, 0]), np.array([5, 1 << 40]))
    size = rows(table)
    for _ in range(50):
        table.close(np.array([1, 2]))
        assert table.has(np.array([0, 1, 2])).tolist() == [True, False, False]
        table.open(np.array([1, 2]))
        assert table.read(np.array([1, 2]), np.array([0, 0])).tolist() == [0, 0]
        table.write(np.array([1, 2]), np.array([0, 0]), np.array([5, 1 << 40]))
    assert rows(table) == size


def test_rows_left_behind_are_given_back():
    """Of lanes that widened or were closed no more than an eighth stands idle; all is read."""
    table = lanes(streams=1000)
    every, zero = np.arange(1000), np.zeros(1000, dtype=np.int64)
    table.write(every, zero, every % 100)
    large = every[every % 3 == 0]
    table.write(large, zero[large], 1000 + large)
    table.close(every[every % 3 == 1])
    assert in_use(table) == [333, 334, 0, 0]
    assert all(free <= max(16, held // 8) for held, free in rows(table))
    left = every[every % 3 != 1]
    expected = np.where(left % 3 == 0, 1000 + left, left % 100)
    assert table.read(left, zero[left]).tolist() == expected.tolist()
    assert table.has(every).tolist() == (every % 3 != 1).tolist()


def test_a_stream_without_a_lane_is_not_read():
    """Rather an error than the numbers of another stream."""
    table = lanes()
    table.close(one(3))
    with pytest.raises(IndexError):
        table.read(one(3), one(0))


def test_pairs_are_two_lanes():
    """Only the second counts in a power of two."""
    pairs = Pairs(4)
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
    assert pairs.has(np.array([0, 1, 2])).tolist() == [True, False, True]

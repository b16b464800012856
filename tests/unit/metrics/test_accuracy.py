"""Scores of predictions that anybody would agree with, case by case."""

from __future__ import annotations

import time
from itertools import permutations
from typing import NamedTuple

import numpy as np
import pytest

from selfright.metrics.accuracy import _best_pairing, accuracy_score

NAN, INF = float("nan"), float("inf")


class Point(NamedTuple):
    """A tuple with names."""

    x: int
    y: int


@pytest.mark.parametrize(
    ("predicted", "actual", "score"),
    [
        (True, True, 1),
        (True, False, 0),
        (True, 1, 0),
        (False, 0, 0),
        (True, "true", 0),
        (None, None, 1),
        (None, 0, 0),
        (None, "", 0),
        (5, 5.0, 1),
        (0, -0.0, 1),
        (90, 100, 0.9),
        (-90, -100, 0.9),
        (0, 3, 0),
        (-1, 1, 0),
        (1e308, -1e308, 0),
        (5e-324, 1e-323, 0.5),
        (10**400, 10**400, 1),
        (10**400, 2 * 10**400, 0.5),
        (10**400, 1.5, 0),
        (INF, INF, 1),
        (INF, -INF, 0),
        (INF, 10**400, 0),
        (NAN, NAN, 0),
        (NAN, 1, 0),
        (42, "42", 0),
        ("", "", 1),
        ("", "a", 0),
        ("!", "?", 0),
        ("Paris", "paris", 1),
        ("the quick fox", "quick the fox", 1),
        ("a a b", "a b b", 2 / 3),
        ("refund approved", "Approved: full refund", 0.8),
        ("Straße", "STRASSE", 1),
        ("今日は", "今日", 0.8),
        ({}, {}, 1),
        ({}, {"a": 1}, 0),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, 1),
        ({"a": 1}, {"a": 1, "b": 2}, 0.5),
        ({"a": {"b": 90}}, {"a": {"b": 100}}, 0.9),
        ([], [], 1),
        ([], [1], 0),
        ([1, 2, 3], [3, 1, 2], 1),
        ((1, 2), [2, 1], 1),
        ([1, 1, 2], [1, 2, 2], 2.5 / 3),
        ([1, 2, 3], [3, 2], 2 / 3),
        ([90, 10], [10, 100], 0.95),
        ([[1, 2], [3]], [[3], [2, 1]], 1),
        ([NAN, 1], [1, NAN], 0.5),
        ([1], {"0": 1}, 0),
        ({"labels": ["a", "b"], "n": 2}, {"labels": ["b"], "n": 2}, 0.75),
    ],
)
def test_a_prediction_scores_as_anybody_would_say(predicted, actual, score):
    """And so does the truth against the prediction."""
    assert accuracy_score(predicted, actual) == pytest.approx(score)
    assert accuracy_score(actual, predicted) == pytest.approx(score)


def test_other_objects_are_equal_or_not():
    """What JSON has no word for is compared as a whole; an array's truth is no answer."""
    assert accuracy_score(b"x", b"x") == 1
    assert accuracy_score(b"x", b"y") == 0
    assert accuracy_score({1}, frozenset({1})) == 0
    assert accuracy_score(np.array([1, 2]), np.array([1, 2])) == 0
    assert accuracy_score(Point(1, 2), Point(2, 1)) == 1  # a sequence like any other


def test_nesting_without_end_is_no_error():
    """Below 32 levels values are equal or not; a value within itself is not."""
    deep, other = 1, 2
    for _ in range(500):
        deep, other = [deep], [other]
    assert accuracy_score(deep, deep) == 1
    assert accuracy_score(deep, other) == 0
    knot: list = []
    knot.append(knot)
    other_knot: list = []
    other_knot.append(other_knot)
    assert accuracy_score(knot, other_knot) == 0


def test_pairs_are_chosen_best_not_first():
    """Taking the nearest first would leave the second pair worse than need be."""
    assert _best_pairing([[0.9, 0.8], [0.8, 0.1]]) == pytest.approx(1.6)


def test_the_best_pairing_is_the_best_of_all():
    """Against every permutation, square or not."""
    rng = np.random.default_rng(6)
    for rows, columns in [(1, 4), (4, 4), (3, 5), (5, 3)]:
        for scores in rng.random((20, rows, columns)).round(1):
            wide = scores if rows <= columns else scores.T
            few, many = wide.shape
            best = max(
                sum(wide[i, chosen[i]] for i in range(few))
                for chosen in permutations(range(many), few)
            )
            assert _best_pairing(scores.tolist()) == pytest.approx(best)


def test_long_sequences_are_paired_in_order_and_equal_ones_stay_equal():
    """Beyond 1,024 pairs; kinds may be mixed."""
    mixed = [*range(40), *(f"word {i}" for i in range(40)), None, True, {"a": [1]}, [2, 1]]
    assert accuracy_score(mixed, mixed[::-1]) == 1
    near = [value * 1.1 if isinstance(value, int) else value for value in range(100)]
    assert accuracy_score(list(range(100)), near) == pytest.approx((99 / 1.1 + 1) / 100)


@pytest.mark.parametrize("shape", ["texts", "lists", "mapping"])
def test_a_hostile_value_cannot_stop_the_line(shape):
    """A tenth of the largest event, shaped to be expensive, is scored in seconds."""
    rng = np.random.default_rng(0)

    def made():
        if shape == "texts":
            return [" ".join(map(str, rng.integers(0, 999, 800))) for _ in range(32)]
        if shape == "lists":
            return [[[i, *rng.integers(0, 9, 4).tolist()]] * 2 for i in range(2000)]
        return {str(i): rng.integers(0, 9, 8).tolist() for i in range(4000)}

    begin = time.thread_time()
    assert 0 <= accuracy_score(made(), made()) <= 1
    assert time.thread_time() - begin < 5

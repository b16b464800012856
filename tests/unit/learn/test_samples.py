"""Columns of samples: what is refused, and how targets are rounded."""

from __future__ import annotations

import numpy as np
import pytest

from selfright.learn.samples import Samples


def columns(**changed):
    """Return two good samples as columns, some changed."""
    good = {
        "arm": ["a", "b"],
        "group": ["g", None],
        "y": np.array([0.5, 1.0]),
        "weight": np.ones(2),
        "ts_us": np.zeros(2, dtype=np.int64),
    }
    return good | changed


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"y": np.array([0.5, np.nan])}, "finite"),
        ({"y": np.array([np.inf, 0.5])}, "finite"),
        ({"y": np.array([1e9, 0.5])}, "within"),
        ({"y": np.array([0.5])}, "columns differ"),
        ({"group": [None]}, "columns differ"),
        ({"ts_us": np.zeros((2, 1), dtype=np.int64)}, "columns differ"),
        ({"weight": np.array([1.0, 0.5])}, "weight"),
        ({"weight": np.array([1.0, np.nan])}, "weight"),
    ],
)
def test_bad_columns_are_refused(changed, reason):
    """Nothing that cannot be summed gets in, and the message says what it was."""
    with pytest.raises(ValueError, match=reason):
        Samples(**columns(**changed))


def test_targets_are_rounded_so_that_sums_are_exact():
    """Sums of rounded targets are the same in any order; of plain ones they are not."""
    rng = np.random.default_rng(0)
    plain = rng.random(10_000)
    y = Samples.of(["a"] * 10_000, [None] * 10_000, plain).y
    assert np.abs(y - plain).max() <= 2.0**-21
    forwards, backwards = np.cumsum(y)[-1], np.cumsum(y[::-1])[-1]
    assert forwards == backwards
    assert np.cumsum(plain)[-1] != np.cumsum(plain[::-1])[-1]


def test_taking_and_joining_keep_rows_together():
    """Whatever is taken, a row's columns stay a row."""
    samples = Samples(**columns())
    joined = Samples.concat([samples, Samples.empty(), samples.take(slice(1, None))])
    assert joined.arm == ["a", "b", "b"]
    assert joined.for_arms({"b"}).group == [None, None]
    assert joined.for_groups([None]).arm == ["b", "b"]
    assert joined.take(np.array([2, 0])).y.tolist() == [1.0, 0.5]
    assert len(Samples.concat([])) == 0

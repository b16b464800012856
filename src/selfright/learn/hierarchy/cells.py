"""Evidence per arm and group as exact sums: the state of a learner that forgets nothing.

Targets are multiples of 2^-20 and so are the squares kept of them, so that all sums are
exact in float64. Adding in any order, in any batches, on any number of machines and
merging gives the same bytes, and taking a sample back leaves no trace.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from selfright.learn.hierarchy.histogram import Bins, Histogram

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
State: TypeAlias = dict[str, object]

_GRAIN: Final = 2.0**20
# Up to so many samples a loop over numbers beats the set-up of array operations.
FEW: Final = 6


class Cells(Protocol):
    """Evidence of one strategy, by index of arm (row) and of group (column).

    Arrays are a little larger than there are arms and groups: the last row and the last
    column are never written, so that the index -1, of what was never seen, reads zeros.
    """

    histogram: Histogram | None

    def grow(self, arms: int, groups: int) -> None:
        """Make room for so many arms and groups."""
        ...

    def add(self, rows: Ints, cols: Ints, y: Floats, weight: Floats) -> None:
        """Learn samples in their order; a weight of -1 takes one back."""
        ...

    def add_one(self, row: int, col: int, y: float, weight: float) -> None:
        """Learn one sample: the same as ``add``, without the set-up."""
        ...

    def clear(self, rows: Ints, cols: Ints) -> None:
        """Forget these arms and these groups wholly."""
        ...

    def remap(self, rows: Ints, cols: Ints, arms: int, groups: int) -> None:
        """Move each arm and group to its new index; -1 drops it, equal ones are pooled."""
        ...

    def take_in(self, later: Self, rows: Ints, cols: Ints) -> None:
        """Add the evidence of ``later``, whose arms and groups have these indices here."""
        ...

    def counts(self) -> Floats:
        """Return the samples learnt less those taken back, per arm and group."""
        ...

    def used(self) -> npt.NDArray[np.bool_]:
        """Return which cells hold anything, bool[arms, groups]."""
        ...

    def copy(self) -> Self:
        """Return cells that learn apart from these."""
        ...

    def to_state(self, rows: Ints, cols: Ints) -> State:
        """Return the evidence with arms and groups in this order."""
        ...

    def load(self, state: State, arms: int, groups: int) -> None:
        """Take over what ``to_state`` returned; raise ``ValueError`` where it cannot be."""
        ...


class SumCells:
    """Count, sum and sum of squares of all samples of a cell: ``bayesian``.

    Notes
    -----
    24 bytes per cell, and for predictors some 200 bytes of histogram. A microsecond per
    sample alone, .05 us in a batch.
    """

    # What each cell holds besides ``n``; subclasses add to it.
    FIELDS: ClassVar[tuple[str, ...]] = ("n", "s", "q")
    EXACT: ClassVar[bool] = True

    def __init__(self, bins: Bins | None) -> None:
        self.n = np.zeros((1, 1))
        self.s = np.zeros((1, 1))
        self.q = np.zeros((1, 1))
        self.histogram = None if bins is None else Histogram(bins, exact=self.EXACT)

    def grow(self, arms: int, groups: int) -> None:
        """See ``Cells``."""
        old_arms, old_groups = self.n.shape
        if arms < old_arms and groups < old_groups:
            return
        shape = (roomy(arms, old_arms), roomy(groups, old_groups))
        for name in self.FIELDS:
            old = getattr(self, name)
            new = np.zeros(shape)
            new[:old_arms, :old_groups] = old
            setattr(self, name, new)
        if self.histogram is not None:
            self.histogram.grow(*shape)

    def add(self, rows: Ints, cols: Ints, y: Floats, weight: Floats) -> None:
        """See ``Cells``."""
        if len(y) <= FEW:
            for one in zip(rows.tolist(), cols.tolist(), y.tolist(), weight.tolist(), strict=True):
                self.add_one(*one)
            return
        flat = rows * self.n.shape[1] + cols
        np.add.at(self.n.reshape(-1), flat, weight)
        np.add.at(self.s.reshape(-1), flat, y * weight)
        np.add.at(self.q.reshape(-1), flat, squared(y) * weight)
        if self.histogram is not None:
            self.histogram.add(rows, cols, y, weight)

    def add_one(self, row: int, col: int, y: float, weight: float) -> None:
        """See ``Cells``."""
        self.n[row, col] += weight
        self.s[row, col] += y * weight
        self.q[row, col] += round(y * y * _GRAIN) / _GRAIN * weight
        if self.histogram is not None:
            self.histogram.add_one(row, col, y, weight)

    def clear(self, rows: Ints, cols: Ints) -> None:
        """See ``Cells``."""
        for name in self.FIELDS:
            values = getattr(self, name)
            values[rows] = 0.0
            values[:, cols] = 0.0
        if self.histogram is not None:
            self.histogram.clear(rows, cols)

    def remap(self, rows: Ints, cols: Ints, arms: int, groups: int) -> None:
        """See ``Cells``."""
        at, moved = moves(rows, cols)
        for name in self.FIELDS:
            old = getattr(self, name)
            new = np.zeros((arms + 1, groups + 1))
            np.add.at(new, moved, old[at])
            setattr(self, name, new)
        if self.histogram is not None:
            self.histogram.remap(rows, cols, arms + 1, groups + 1)

    def take_in(self, later: Self, rows: Ints, cols: Ints) -> None:
        """See ``Cells``."""
        at, moved = moves(rows, cols)
        for name in self.FIELDS:
            np.add.at(getattr(self, name), moved, getattr(later, name)[at])
        if self.histogram is not None and later.histogram is not None:
            self.histogram.take_in(later.histogram, rows, cols)

    def swap(self, row: int, other: int) -> None:
        """Exchange what is known of two arms. Not for predictors, which keep histograms."""
        assert self.histogram is None
        for name in self.FIELDS:
            values = getattr(self, name)
            values[[row, other]] = values[[other, row]]

    def counts(self) -> Floats:
        """See ``Cells``."""
        return self.n

    def used(self) -> npt.NDArray[np.bool_]:
        """See ``Cells``."""
        found: npt.NDArray[np.bool_] = self.n != 0.0
        for name in self.FIELDS[1:]:
            found |= getattr(self, name) != 0.0
        if self.histogram is not None:
            found |= self.histogram.used()
        return found

    def copy(self) -> Self:
        """See ``Cells``."""
        other = type(self).__new__(type(self))
        for name in self.FIELDS:
            setattr(other, name, getattr(self, name).copy())
        other.histogram = None if self.histogram is None else self.histogram.copy()
        return other

    def to_state(self, rows: Ints, cols: Ints) -> State:
        """See ``Cells``."""
        at = np.ix_(rows, cols)
        arm, group = np.nonzero(self.used()[at])
        state: State = {"cell_arm": arm.astype(np.int32), "cell_group": group.astype(np.int32)}
        for name in self.FIELDS:
            state[f"cell_{name}"] = getattr(self, name)[at][arm, group]
        if self.histogram is not None:
            state |= self.histogram.to_state(rows, cols)
        return state

    def load(self, state: State, arms: int, groups: int) -> None:
        """See ``Cells``."""
        self.grow(arms, groups)
        arm = column(state, "cell_arm", np.int32, high=arms)
        group = column(state, "cell_group", np.int32, len(arm), high=groups)
        for name in self.FIELDS:
            getattr(self, name)[arm, group] = column(state, f"cell_{name}", np.float64, len(arm))
        if self.histogram is not None:
            self.histogram.load(state, arms, groups)


def squared(y: Floats) -> Floats:
    """Return the squares, rounded to multiples of 2^-20 so that their sums are exact."""
    squares: Floats = np.rint(y * y * _GRAIN) / _GRAIN
    return squares


def moves(rows: Ints, cols: Ints) -> tuple[tuple[Ints, Ints], tuple[Ints, Ints]]:
    """Return index pairs of the old and new places of all cells that are not dropped."""
    kept_rows, kept_cols = np.flatnonzero(rows >= 0), np.flatnonzero(cols >= 0)
    return (
        (kept_rows[:, None], kept_cols[None, :]),
        (rows[kept_rows][:, None], cols[kept_cols][None, :]),
    )


def column(
    state: State,
    name: str,
    dtype: npt.DTypeLike,
    length: int | None = None,
    *,
    high: int | None = None,
) -> npt.NDArray[Any]:
    """Return a checked column of a saved state.

    Parameters
    ----------
    length
        What it must have; None: any.
    high
        All its values must lie in 0..high-1; None: they must be finite.

    Raises
    ------
    ValueError
        If it is missing, of another type or length, or holds what it must not.
    """
    value = state.get(name)
    if not isinstance(value, np.ndarray) or value.dtype != np.dtype(dtype) or value.ndim != 1:
        raise ValueError(f"{name} must be a column of {np.dtype(dtype)}")
    if length is not None and len(value) != length:
        raise ValueError(f"{name} has {len(value)} values, expected {length}")
    if high is not None:
        if len(value) and not (value.min() >= 0 and value.max() < high):
            raise ValueError(f"{name} points beyond the {high} there are")
    elif not np.isfinite(value).all():
        raise ValueError(f"{name} is not finite")
    return value


def roomy(needed: int, had: int) -> int:
    """Return a size with room for ``needed`` and the empty last one, growing by half."""
    return had if needed < had else max(needed + 1, had + had // 2)

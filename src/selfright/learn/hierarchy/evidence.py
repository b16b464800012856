"""Names and cells together: samples in by name, belief out.

What is said of the bytes of a state holds here: for ``bayesian``, and below the caps,
they are a function of the multiset of the samples alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt

from selfright.learn.features import Features
from selfright.learn.hierarchy.belief import Belief, ShrunkBelief, SteppedBelief
from selfright.learn.hierarchy.cells import Cells, State, SumCells
from selfright.learn.hierarchy.discount import DiscountCells
from selfright.learn.hierarchy.gradient import GradientCells, steps
from selfright.learn.hierarchy.histogram import Bins
from selfright.learn.hierarchy.names import OTHER, Names
from selfright.learn.hierarchy.residuals import Residuals
from selfright.learn.hierarchy.shrinkage import Prior
from selfright.learn.hierarchy.slopes import Slopes
from selfright.learn.hierarchy.window import WindowCells
from selfright.learn.samples import Samples
from selfright.learn.settings import LearnSettings
from selfright.learn.strategy import UpdateStrategy

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

_FORMAT = 1
_MANY = 1_000  # samples from which on it pays to look up each of their names once


@dataclass(frozen=True, slots=True)
class Design:
    """What tells the evidence of one model from that of another.

    Attributes
    ----------
    low, high
        Range of the targets; None: any.
    bins
        Where targets are counted for intervals; None: no intervals.
    max_features
        Features of tasks that slopes are learnt for; 0: none are looked at.
    """

    prior: Prior
    max_arms: int
    max_groups: int
    low: float | None = None
    high: float | None = None
    bins: Bins | None = None
    max_features: int = 0


class Evidence:
    """All that one model has learnt and not forgotten."""

    def __init__(self, design: Design, strategy: UpdateStrategy, settings: LearnSettings) -> None:
        self.design, self.strategy, self.settings = design, strategy, settings
        self.arms = Names(design.max_arms)
        self.groups = Names(design.max_groups)
        self.cells = _cells(design, strategy, settings)
        # Only what forgets nothing can give samples back and be merged exactly.
        exact = strategy is UpdateStrategy.BAYESIAN
        self.slopes = Slopes(design.max_features) if exact and design.max_features else None
        # Some cell was told to give back more than it had: the samples are still to come.
        self.owing = False
        self._belief: Belief | None = None
        self._residuals: Residuals | None = None
        self._total: float | None = None
        # What a learner has derived from the belief; void with it.
        self.memo: dict[tuple[tuple[str, ...], str | None], Floats] = {}

    @property
    def update_count(self) -> int:
        """Samples the belief rests on: learnt, less taken back or pushed out of a window."""
        return int(self.total)

    @property
    def total(self) -> float:
        """The same, where samples may have faded in part."""
        if self._total is None:
            self._total = float(self.cells.counts().sum())
        return self._total

    def update(self, samples: Samples) -> None:
        """Learn samples in their order. Raises ``ValueError`` for a target out of range."""
        if not len(samples):
            return
        if len(samples) == 1 and self._learn_single(samples):
            return
        self.check(samples.y)
        self._changed()
        rows, cols = self._places(samples.arm, samples.group)
        self.cells.add(rows, cols, samples.y, samples.weight)
        if self.slopes is not None and samples.features is not None and any(samples.features):
            self._grow_slopes(self.slopes)
            self.slopes.add(rows, cols, samples.y, samples.weight, samples.features)
            if (samples.weight < 0).any():
                self._drop_unused_features(self.slopes)
        if self.owing or (samples.weight < 0).any():
            self._compact_after(rows, cols)

    def _learn_single(self, samples: Samples) -> bool:
        features = None if samples.features is None else samples.features[0]
        y, weight = float(samples.y[0]), float(samples.weight[0])
        return self.learn_one(samples.arm[0], samples.group[0], y, weight, features)

    def learn_one(
        self, arm: str, group: str | None, y: float, weight: float, features: Features | None
    ) -> bool:
        """Learn one sample without the set-up of arrays; return False if it needs them."""
        row, col = self.arms.index.get(arm, -1), self.groups.index.get(group, -1)
        design = self.design
        if row < 0 or col < 0 or weight < 0 or self.owing:
            return False
        if design.low is not None and y < design.low:
            return False
        if design.high is not None and y > design.high:
            return False
        self._changed()
        self.cells.add_one(row, col, y, weight)
        if self.slopes is not None and features:
            self._grow_slopes(self.slopes)
            self.slopes.add_one(row, col, y, weight, features)
        return True

    def swap(self, arm: str, other: str) -> None:
        """Exchange what is known of two arms; one that is unknown is taken up."""
        assert isinstance(self.cells, SumCells)
        self._changed()
        row, place = self._places([arm, other], [])[0].tolist()
        self.cells.swap(row, place)
        if self.slopes:
            self._grow_slopes(self.slopes)
            self.slopes.swap(row, place)
        self._compact()

    def _drop_unused_features(self, slopes: Slopes) -> None:
        slopes.drop_unused()
        if not slopes:
            # Nobody moves the rows of one without features: it begins anew.
            self.slopes = Slopes(self.design.max_features)

    def _grow_slopes(self, slopes: Slopes) -> None:
        """Keep room for the arms and groups there are; the last of each stays empty."""
        assert isinstance(self.cells, SumCells)
        if slopes.n.shape != self.cells.n.shape:
            slopes.grow(*self.cells.n.shape)

    def belief(self) -> Belief:
        """Return what is believed now; valid until the next update."""
        if self._belief is None:
            if isinstance(self.cells, SumCells):
                arms = self.arms.order()
                if OTHER in self.arms.index:
                    arms = arms[:-1]
                self._belief = ShrunkBelief(
                    self.cells,
                    arms,
                    self.groups.order(),
                    self.design.prior,
                    owing=self.owing,
                    slopes=self.slopes,
                )
            else:
                assert isinstance(self.cells, GradientCells)
                self._belief = SteppedBelief(self.cells)
        return self._belief

    def shrunk(self) -> ShrunkBelief:
        """Return the belief of a strategy that keeps sums."""
        belief = self.belief()
        assert isinstance(belief, ShrunkBelief)
        return belief

    def interval(self, row: int, col: int) -> tuple[float, float, float]:
        """Return mean and ends of the interval for an arm in a group; -1: never seen."""
        belief = self.belief()
        if isinstance(belief, SteppedBelief):
            return belief.interval(row, col)
        if self._residuals is None:
            assert isinstance(self.cells, SumCells)
            assert isinstance(belief, ShrunkBelief)
            assert self.cells.histogram is not None
            self._residuals = Residuals(
                self.cells.histogram,
                belief,
                self.arms.order(),
                self.groups.order(),
                self.settings.coverage,
            )
        return self._residuals.interval(row, col)

    def restart(self, arms: Iterable[str], groups: Iterable[str | None], samples: Samples) -> None:
        """Set aside all evidence of these arms and of these groups, then learn."""
        self.check(samples.y)
        rows = self.arms.find_all([name for name in arms if name in self.arms.index])
        cols = self.groups.find_all([name for name in groups if name in self.groups.index])
        self._changed()
        self.cells.clear(rows, cols)
        if self.slopes:
            self.slopes.clear(rows, cols)
            self._drop_unused_features(self.slopes)
        self.owing = bool(self.cells.counts().min() < 0.0)
        self.update(samples)
        self._compact()

    def take_in(self, later: Evidence) -> None:
        """Add the evidence of ``later``; ``ValueError`` if it was learnt in another way."""
        if (self.design, self.strategy, self.settings) != (
            later.design, later.strategy, later.settings,
        ):  # fmt: skip
            raise ValueError("only models of one type, strategy and settings can be merged")
        self._changed()
        rows, cols = self._places(later.arms.names, later.groups.names)
        # The merged cells were made by the same strategy, so they are of the same class.
        self.cells.take_in(later.cells, rows, cols)
        if self.slopes is not None and later.slopes:
            self._grow_slopes(self.slopes)
            self.slopes.take_in(later.slopes, rows, cols)
        self.owing = bool(self.cells.counts().min() < 0.0)
        self._compact()

    def copy(self) -> Self:
        """Return evidence that learns apart from this."""
        other = type(self)(self.design, self.strategy, self.settings)
        other.arms, other.groups = self.arms.copy(), self.groups.copy()
        other.cells, other.owing = self.cells.copy(), self.owing
        other.slopes = None if self.slopes is None else self.slopes.copy()
        return other

    def to_state(self) -> State:
        """Return everything as arrays and JSON-able values, in canonical order."""
        rows, cols = self.arms.order(), self.groups.order()
        return {
            "format": _FORMAT,
            "arms": [self.arms.names[i] for i in rows.tolist()],
            "groups": [self.groups.names[i] for i in cols.tolist()],
            **self.cells.to_state(rows, cols),
            **({} if not self.slopes else self._slopes_state(rows, cols)),
        }

    def _slopes_state(self, rows: Ints, cols: Ints) -> State:
        assert self.slopes is not None
        self._grow_slopes(self.slopes)
        return self.slopes.to_state(rows, cols)

    def load(self, state: State) -> None:
        """Take over what ``to_state`` returned; raise ``ValueError`` where it cannot be."""
        if state.get("format") != _FORMAT:
            raise ValueError(f"format {state.get('format')!r} is not {_FORMAT}")
        arms, groups = _names(state, "arms"), _names(state, "groups")
        if None in arms:
            raise ValueError("an arm has no name")
        if self.arms.admit(arms) is not None or self.groups.admit(groups) is not None:
            raise ValueError("there are more names than the settings allow")
        self.cells.load(state, len(arms), len(groups))
        if self.slopes is not None:
            self._grow_slopes(self.slopes)
            self.slopes.load(state, len(arms), len(groups))
        self.owing = bool(self.cells.counts().min() < 0.0)
        self._changed()

    def _changed(self) -> None:
        self._belief = self._residuals = self._total = None
        self.memo.clear()

    def check(self, y: Floats) -> None:
        """Raise ``ValueError`` for targets out of range."""
        low, high = self.design.low, self.design.high
        if not len(y) or low is None or high is None:
            return
        if not (y.min() >= low and y.max() <= high):
            raise ValueError(f"targets must lie in {low:g}..{high:g}")

    def _places(
        self, arms: Iterable[str | None], groups: Iterable[str | None]
    ) -> tuple[Ints, Ints]:
        """Return the indices of names, made where there were none."""
        arms, groups = [*arms], [*groups]
        if len(arms) > _MANY:
            return self._places_of_many(arms, groups)
        return self._places_of_few(arms, groups)

    def _places_of_many(
        self, arms: list[str | None], groups: list[str | None]
    ) -> tuple[Ints, Ints]:
        """Return the same as ``_places``, looking up each name once: a third of the time."""
        named, within = [*dict.fromkeys(arms)], [*dict.fromkeys(groups)]
        rows, cols = self._places_of_few(named, within)
        row_of = dict(zip(named, rows.tolist(), strict=True))
        col_of = dict(zip(within, cols.tolist(), strict=True))
        return (
            np.fromiter(map(row_of.__getitem__, arms), np.int64, len(arms)),
            np.fromiter(map(col_of.__getitem__, groups), np.int64, len(groups)),
        )

    def _places_of_few(self, arms: list[str | None], groups: list[str | None]) -> tuple[Ints, Ints]:
        rows, cols = self.arms.find_all(arms), self.groups.find_all(groups)
        if (len(rows) and rows.min() < 0) or (len(cols) and cols.min() < 0):
            self._admit(arms, groups)
            rows, cols = self.arms.find_all(arms), self.groups.find_all(groups)
        return rows, cols

    def _admit(self, arms: list[str | None], groups: list[str | None]) -> None:
        before = len(self.arms), len(self.groups)
        rows, cols = self.arms.admit(arms), self.groups.admit(groups)
        if rows is None and cols is None:
            self.cells.grow(len(self.arms), len(self.groups))
            return
        rows = np.arange(before[0]) if rows is None else rows
        cols = np.arange(before[1]) if cols is None else cols
        self._remap(rows, cols)

    def _compact_after(self, rows: Ints, cols: Ints) -> None:
        """Drop names that hold nothing after samples of these cells were taken back."""
        counts = self.cells.counts()
        touched = counts[rows, cols]
        if self.owing or touched.min() < 0.0:
            self.owing = bool(counts.min() < 0.0)
        if not (touched != 0.0).all():
            self._compact()

    def _compact(self) -> None:
        """Drop arms and groups that hold nothing.

        So a sample taken back leaves no trace, and sums over arms run over the same
        numbers in a model that was saved and loaded.
        """
        used = self.cells.used()[: len(self.arms), : len(self.groups)]
        of_arm, of_group = used.any(axis=1), used.any(axis=0)
        if of_arm.all() and of_group.all():
            return
        moved_rows = self.arms.keep(np.flatnonzero(of_arm))
        moved_cols = self.groups.keep(np.flatnonzero(of_group))
        self._remap(moved_rows, moved_cols)

    def _remap(self, rows: Ints, cols: Ints) -> None:
        if self.slopes:
            self._grow_slopes(self.slopes)
        self.cells.remap(rows, cols, len(self.arms), len(self.groups))
        if self.slopes:
            self.slopes.remap(rows, cols, len(self.arms) + 1, len(self.groups) + 1)


def _cells(design: Design, strategy: UpdateStrategy, settings: LearnSettings) -> Cells:
    match strategy:
        case UpdateStrategy.BAYESIAN:
            return SumCells(design.bins)
        case UpdateStrategy.MOVING_AVERAGE:
            return WindowCells(design.bins, settings.window)
        case UpdateStrategy.EXPONENTIAL:
            return DiscountCells(design.bins, settings.discount)
        case UpdateStrategy.GRADIENT:
            how = steps(design.prior, settings.step, settings.coverage)
            return GradientCells(design.prior, how)


def _names(state: State, key: str) -> list[str | None]:
    names = state.get(key)
    if not isinstance(names, list) or not all(n is None or isinstance(n, str) for n in names):
        raise ValueError(f"{key} must be a list of names")
    if len(set(names)) != len(names):
        raise ValueError(f"{key} holds a name twice")
    return names

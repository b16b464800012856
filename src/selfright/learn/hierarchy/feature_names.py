"""Features to columns: at most so many, and which ones stay is decided by their names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from selfright.learn.features import Features
from selfright.learn.hierarchy.names import rank_of

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

_REMEMBERED: Final = 10_000  # names without a column, so that they are not ranked again


class FeatureNames:
    """The columns of features. Beyond the limit those with the smallest hashes stay.

    What lies beyond is left out, and what is known of a feature that is pushed out is forgotten.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.names: list[str] = []
        self._index: dict[str, int] = {}
        self._turned_away: set[str] = set()
        self._order: Ints | None = None

    def __len__(self) -> int:
        return len(self.names)

    def vector(self, features: Features) -> Floats | None:
        """Return the features by column, 0 where one is missing; None if there is none."""
        found = np.zeros(len(self.names))
        index, some = self._index, False
        for name, value in features.items():
            at = index.get(name)
            if at is not None:
                found[at], some = value, True
        return found if some else None

    def find_all(self, names: Iterable[str]) -> Ints:
        """Return the columns of names, -1 where there is none."""
        return np.array([self._index.get(name, -1) for name in names], dtype=np.int64)

    def admit(self, names: Iterable[str]) -> Ints | None:
        """Take up names; return for each old column its new one, -1: pushed out. None: all stay."""
        fresh = [n for n in names if n not in self._index and n not in self._turned_away]
        if not fresh:
            return None
        every = [*self.names, *fresh]
        if len(every) > self.limit:
            stay = set(sorted(every, key=lambda name: (rank_of(name), name))[: self.limit])
            every = [name for name in every if name in stay]
            if len(self._turned_away) < _REMEMBERED:
                self._turned_away.update(name for name in fresh if name not in stay)
        before = self.names
        if every == before:
            return None
        self._set(every)
        return self.find_all(before)

    def keep(self, kept: Ints) -> Ints:
        """Drop all columns but these; return for each old column its new one or -1."""
        before = self.names
        self._turned_away.clear()  # there is room again
        self._set([before[at] for at in kept.tolist()])
        return self.find_all(before)

    def _set(self, names: list[str]) -> None:
        self.names, self._order = names, None
        self._index = {name: at for at, name in enumerate(names)}

    def order(self) -> Ints:
        """Return the columns sorted by name: the same for the same names."""
        if self._order is None:
            order = sorted(range(len(self.names)), key=self.names.__getitem__)
            self._order = np.array(order, dtype=np.int64)
        return self._order

    def copy(self) -> FeatureNames:
        """Return columns that can change apart from these."""
        other = FeatureNames(self.limit)
        other.names, other._index = self.names.copy(), self._index.copy()
        other._turned_away, other._order = self._turned_away.copy(), self._order
        return other

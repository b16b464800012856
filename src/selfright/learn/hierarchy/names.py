"""Names to dense indices, capped so that the outcome does not depend on who came first.

Beyond the cap the names with the smallest hashes stay and all others share one index,
``_other``. A name is kept or pooled by what it is, not by when it was seen, so two halves
of a stream, merged, pool the same names as the whole stream would. The price: a newcomer
with a small hash can push a known name into the pool. It is paid only above the cap.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]

OTHER: Final = "_other"
UNSEEN: Final = -1
# Names that begin so are ours; no name that comes through the door does.
HIDDEN: Final = "\0"
# Sort first and last whatever the hashes: no group at all is never pooled, the pool is last.
_NONE_RANK: Final = -1
_OTHER_RANK: Final = (1 << 63) - 1


class Names:
    """Dense indices of the names in use, and their canonical order.

    Indices follow the order of arrival; ``order`` lists them by hash, which is the same
    for the same set of names. O(1) to find a name, O(1) to add one below the cap.

    Parameters
    ----------
    limit
        Names beside ``_other`` and None that get an index of their own.
    """

    __slots__ = ("_order", "_ranks", "index", "limit", "names")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.names: list[str | None] = []
        self.index: dict[str | None, int] = {}
        # By index; longer than there are names.
        self._ranks = np.zeros(4, dtype=np.int64)
        self._order: Ints | None = None

    def __len__(self) -> int:
        return len(self.names)

    def find(self, name: str | None) -> int:
        """Return the index of ``name``: its own, its pool's, or ``UNSEEN``."""
        found = self.index.get(name)
        if found is not None:
            return found
        pool = self.index.get(OTHER)
        return UNSEEN if pool is None or self._fits(rank_of(name)) else pool

    def find_all(self, names: Iterable[str | None]) -> Ints:
        """Return the indices of ``names``, int64[n], ``UNSEEN`` where there is none."""
        listed = names if isinstance(names, list) else [*names]
        get = self.index.get
        found = [get(name, UNSEEN) for name in listed]
        if OTHER in self.index and UNSEEN in found:
            found = [self.find(name) for name in listed]
        return np.array(found, dtype=np.int64)

    def admit(self, names: Iterable[str | None]) -> Ints | None:
        """Take up those of ``names`` that have no index.

        Returns
        -------
        None if all known indices stay as they are, else for each old index the new one;
        several may fall together in the pool.
        """
        fresh = [name for name in dict.fromkeys(names) if name not in self.index]
        if sum(name is not None and name != OTHER for name in fresh) <= self._room():
            for name in fresh:
                self._append(name, rank_of(name))
            return None
        ranked = [(rank_of(name), name) for name in fresh]
        if OTHER in self.index:
            ranked = [(rank, name) for rank, name in ranked if self._fits(rank)]
        return self._rebuild(ranked) if ranked else None

    def keep(self, kept: Ints) -> Ints:
        """Drop all but the indices ``kept``; return the new index of each old one or -1."""
        moved = np.full(len(self.names), UNSEEN, dtype=np.int64)
        moved[kept] = np.arange(len(kept))
        self._reset([(int(self._ranks[i]), self.names[i]) for i in kept.tolist()])
        return moved

    def order(self) -> Ints:
        """Return the indices sorted by the hash of their names; ``_other`` is the last."""
        if self._order is None:
            self._order = np.argsort(self._ranks[: len(self.names)], kind="stable")
        return self._order

    def copy(self) -> Names:
        """Return names that can grow apart from these."""
        other = Names(self.limit)
        other.names, other.index = self.names.copy(), self.index.copy()
        other._ranks, other._order = self._ranks.copy(), self._order
        return other

    def _room(self) -> int:
        return self.limit - len(self.names) + (None in self.index) + (OTHER in self.index)

    def _fits(self, rank: int) -> bool:
        """Return whether a name stays out of the pool that there is."""
        return self._room() > 0 or rank < self._ranks[self.order()[-2]]

    def _append(self, name: str | None, rank: int) -> None:
        place = len(self.names)
        if place == len(self._ranks):
            self._ranks = np.concatenate([self._ranks, np.zeros_like(self._ranks)])
        self._ranks[place] = rank
        self.index[name] = place
        self.names.append(name)
        self._order = None

    def _reset(self, ranked: list[tuple[int, str | None]]) -> None:
        self.names, self.index, self._order = [], {}, None
        for rank, name in ranked:
            self._append(name, rank)

    def _rebuild(self, fresh: list[tuple[int, str | None]]) -> Ints:
        before = self.names
        every = [*zip(self._ranks[: len(before)].tolist(), before, strict=True), *fresh]
        named = [(rank, name) for rank, name in every if name != OTHER]
        free = self.limit + any(name is None for _, name in named)
        # Two names of one hash are told apart by their text.
        stay = {name for _, name in sorted(named, key=_by_rank)[:free]}
        self._reset([*((r, n) for r, n in named if n in stay), (_OTHER_RANK, OTHER)])
        pool = self.index[OTHER]
        return np.array([self.index.get(name, pool) for name in before], dtype=np.int64)


def _by_rank(ranked: tuple[int, str | None]) -> tuple[int, str]:
    return ranked[0], ranked[1] or ""


def rank_of(name: str | None) -> int:
    """Return where a name stands among others, by its hash alone."""
    if name is None:
        return _NONE_RANK
    if name == OTHER:
        return _OTHER_RANK
    digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2

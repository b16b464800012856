"""Counts per agent and slot, dense in small pages.

An agent's durations spread over a few octaves and its names over a few slots, so that
2,048 counts per agent would be zeros for the most part: 160 MB for 10,000 agents. Here a
page of 32 counts is made when its first count comes. Adding is one indexed addition,
quantiles of all agents one pass over the sums of pages.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from selfright.metrics.histogram import OCTAVES
from selfright.metrics.labels import SLOTS

Ints = npt.NDArray[np.int64]

PAGE: Final = 32
_PAGE_BITS: Final = 5
PAGES: Final = SLOTS // PAGE


class PagedCounts:
    """int64 counts by key ``agent << SLOT_BITS | slot``.

    Parameters
    ----------
    agents
        How many agents to make room for; ``reserve`` makes more.

    Notes
    -----
    256 bytes per agent and 256 per page in use.
    """

    __slots__ = ("_pages", "_table", "_used")

    def __init__(self, agents: int = 0) -> None:
        self._table = np.zeros(agents * PAGES, dtype=np.int32)  # page 0: none yet
        self._pages = np.zeros((16, PAGE), dtype=np.int64)
        self._used = 1

    def reserve(self, agents: int) -> None:
        """Make room for agents 0..``agents`` - 1."""
        missing = agents * PAGES - len(self._table)
        if missing > 0:
            self._table = np.concatenate((self._table, np.zeros(missing, dtype=np.int32)))

    def add(self, keys: Ints, counts: Ints) -> None:
        """Add counts to keys. No key may occur twice; about 15 ns each."""
        owner = keys >> _PAGE_BITS
        page = self._table[owner]
        if not page.all():
            self._allocate(np.unique(owner[page == 0]))
            page = self._table[owner]
        self._pages.reshape(-1)[(page.astype(np.int64) << _PAGE_BITS) | (keys & (PAGE - 1))] += (
            counts
        )

    def add_one(self, key: int) -> None:
        """Count a single key once."""
        owner = key >> _PAGE_BITS
        page = self._table.item(owner)
        if page == 0:
            self._allocate(np.array([owner]))
            page = self._table.item(owner)
        self._pages[page, key & (PAGE - 1)] += 1

    def clear(self, agent: int) -> None:
        """Set all counts of an agent to zero. Its pages stay, for they are small."""
        mine = self._table[agent * PAGES : (agent + 1) * PAGES]
        self._pages[mine[mine > 0]] = 0

    def pages_of(self, agent: int) -> tuple[Ints, Ints]:
        """Return the numbers of an agent's pages, ascending, and their counts."""
        mine = self._table[agent * PAGES : (agent + 1) * PAGES]
        numbers = np.flatnonzero(mine)
        return numbers, self._pages[mine[numbers]]

    def pages_of_all(self) -> tuple[Ints, Ints]:
        """Return the numbers of pages in use, ascending, and counts of all agents together."""
        owners = np.flatnonzero(self._table)
        if len(owners) == 0:
            return owners, self._pages[:0]
        columns = owners % PAGES
        order = np.argsort(columns.astype(np.int8), kind="stable")
        ordered = columns[order]
        starts = np.flatnonzero(np.diff(ordered, prepend=-1))
        pages = self._pages[self._table[owners[order]]]
        return ordered[starts], np.add.reduceat(pages, starts, axis=0)

    def quantile_buckets(self, agents: Ints, ranks: Ints) -> Ints:
        """Return the latency bucket at each rank (from 1) of each agent.

        ``ranks`` has a row per agent. A rank beyond the agent's count has no meaning.
        """
        table = self._table.reshape(-1, PAGES)[agents, :OCTAVES]
        octaves = self._pages[: self._used].sum(axis=1)[table]
        reached = np.cumsum(octaves, axis=1)
        octave = (reached[:, None, :] < ranks[:, :, None]).sum(axis=2)
        octave = np.minimum(octave, OCTAVES - 1)
        rows = np.arange(len(agents))[:, None]
        before = reached[rows, octave] - octaves[rows, octave]
        within = np.cumsum(self._pages[table[rows, octave]], axis=2)
        place = (within < (ranks - before)[:, :, None]).sum(axis=2)
        found: Ints = octave * PAGE + np.minimum(place, PAGE - 1)
        return found

    def entries(self, first_slot: int = 0) -> tuple[Ints, Ints]:
        """Return keys and counts that are not zero, ascending, of slots from ``first_slot``."""
        owners = np.flatnonzero(self._table)
        owners = owners[(owners % PAGES) >= first_slot >> _PAGE_BITS]
        counts = self._pages[self._table[owners]]
        row, column = np.nonzero(counts)
        return (owners[row] << _PAGE_BITS) | column, counts[row, column]

    def _allocate(self, owners: Ints) -> None:
        end = self._used + len(owners)
        if end > len(self._pages):
            grown = np.zeros((max(end, len(self._pages) * 3 // 2), PAGE), dtype=np.int64)
            grown[: self._used] = self._pages[: self._used]
            self._pages = grown
        self._table[owners] = np.arange(self._used, end, dtype=np.int32)
        self._used = end

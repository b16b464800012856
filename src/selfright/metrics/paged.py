"""Counts per agent and slot, dense in small pages.

An agent's durations spread over a few octaves and its names over a few slots, so that
2,048 counts per agent would be zeros for the most part: 160 MB for 10,000 agents. Here a
page of 32 counts is made when its first count comes. Adding is one indexed addition,
quantiles of many agents one pass over their pages. What all agents count together, which is
asked for most often, is added up as it comes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from selfright.metrics.columns import starts_of
from selfright.metrics.labels import SLOTS

Ints = npt.NDArray[np.int64]

PAGE: Final = 32
_PAGE_BITS: Final = 5
PAGES: Final = SLOTS // PAGE


class Pages(NamedTuple):
    """Pages taken out, ascending by row and number.

    Attributes
    ----------
    rows
        Whose each page is: a position among those asked for.
    numbers
        The place of each page in the layout: slot divided by ``PAGE``.
    counts
        int64[pages, PAGE].
    """

    rows: Ints
    numbers: Ints
    counts: Ints

    def slots_at(self, ranks: Ints) -> Ints:
        """Return the slot that holds the value at each rank, from 1, of each row.

        ``ranks`` has a line per row. A rank beyond what a row counts has no meaning. Uses
        the counts up.
        """
        if len(self.rows) == 0:
            return np.zeros_like(ranks)
        # In place: to get as much memory anew takes several times as long as the sums.
        reached = self.counts.reshape(-1)
        np.cumsum(reached, out=reached)
        first = np.searchsorted(self.rows, np.arange(len(ranks)))
        before = np.where(first > 0, reached[first * PAGE - 1], 0)
        place = np.searchsorted(reached, before[:, None] + ranks, side="left")
        place = np.minimum(place, len(reached) - 1)
        found: Ints = self.numbers[place // PAGE] * PAGE + place % PAGE
        return found

    def entries(self) -> tuple[Ints, Ints, Ints]:
        """Return row, slot and count of what is not zero, ascending."""
        page, column = np.nonzero(self.counts)
        return self.rows[page], self.numbers[page] * PAGE + column, self.counts[page, column]


class PagedCounts:
    """int64 counts by key ``agent << SLOT_BITS | slot``.

    Parameters
    ----------
    agents
        How many agents to make room for; ``reserve`` makes more.

    Notes
    -----
    256 bytes per agent, 256 per page in use, and 16 KB.
    """

    __slots__ = ("_everyone", "_pages", "_table", "_used")

    def __init__(self, agents: int = 0) -> None:
        self._table = np.zeros(agents * PAGES, dtype=np.int32)  # page 0: none yet
        self._pages = np.zeros((16, PAGE), dtype=np.int64)
        self._everyone = np.zeros((PAGES, PAGE), dtype=np.int64)  # by slot, of all agents
        self._used = 1

    def reserve(self, agents: int) -> None:
        """Make room for agents 0..``agents`` - 1."""
        missing = agents * PAGES - len(self._table)
        if missing > 0:
            self._table = np.concatenate((self._table, np.zeros(missing, dtype=np.int32)))

    def add(self, keys: Ints, counts: Ints) -> None:
        """Add counts to keys. No key may occur twice; about 20 ns each."""
        owner = keys >> _PAGE_BITS
        page = self._table[owner]
        if not page.all():
            missing = np.sort(owner[page == 0])
            self._allocate(missing[starts_of(missing)])
            page = self._table[owner]
        place = (page.astype(np.int64) << _PAGE_BITS) | (keys & (PAGE - 1))
        np.add.at(self._pages.reshape(-1), place, counts)
        np.add.at(self._everyone.reshape(-1), keys & (SLOTS - 1), counts)

    def add_one(self, key: int) -> None:
        """Count a single key once."""
        owner = key >> _PAGE_BITS
        page = self._table.item(owner)
        if page == 0:
            self._allocate(np.array([owner]))
            page = self._table.item(owner)
        self._pages[page, key & (PAGE - 1)] += 1
        self._everyone[owner % PAGES, key & (PAGE - 1)] += 1

    def clear(self, agent: int) -> None:
        """Set all counts of an agent to zero. Its pages stay, for they are small."""
        mine = self._table[agent * PAGES : (agent + 1) * PAGES]
        used = np.flatnonzero(mine)
        self._everyone[used] -= self._pages[mine[used]]
        self._pages[mine[used]] = 0

    def pages_of(self, agents: Ints, numbers: range) -> Pages:
        """Return the pages of many agents, of the kinds in ``numbers``.

        An agent beyond the room has none.
        """
        held = np.flatnonzero(agents < len(self._table) // PAGES)
        table = self._table.reshape(-1, PAGES)[agents[held], numbers.start : numbers.stop]
        row, column = np.divmod(np.flatnonzero(table > 0), len(numbers))
        counts = self._pages.take(table[row, column], axis=0)
        return Pages(held[row], column + numbers.start, counts)

    def pages_of_all(self, numbers: range) -> Pages:
        """Return the pages of all agents together, as if they were one."""
        counts = self._everyone[numbers.start : numbers.stop].copy()
        rows = np.zeros(len(numbers), dtype=np.int64)
        return Pages(rows, np.arange(numbers.start, numbers.stop), counts)

    def entries(self) -> tuple[Ints, Ints]:
        """Return keys and counts that are not zero, ascending."""
        owners = np.flatnonzero(self._table)
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

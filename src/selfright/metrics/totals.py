"""Sums over many minutes: one cell per agent, and its counts by slot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from selfright.metrics.columns import WIDTH, sum_cells, sum_keys, translated
from selfright.metrics.labels import SLOT_BITS
from selfright.metrics.paged import PagedCounts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from selfright.metrics.columns import Single
    from selfright.metrics.minute import Minute

Ints = npt.NDArray[np.int64]

_CHUNK: Final = 1 << 20  # integers added up at a time: bounds the memory of a long window


class Totals:
    """What every agent came to, dense by agent code.

    Notes
    -----
    264 bytes per agent, and what ``PagedCounts`` takes.
    """

    __slots__ = ("counts", "values")

    def __init__(self, agents: int = 0) -> None:
        self.values: Ints = np.zeros((agents, WIDTH), dtype=np.int64)
        self.counts = PagedCounts(agents)

    def reserve(self, agents: int) -> None:
        """Make room for agents 0..``agents`` - 1."""
        missing = agents - len(self.values)
        if missing > 0:
            self.values = np.concatenate((self.values, np.zeros((missing, WIDTH), np.int64)))
            self.counts.reserve(agents)

    def add(self, agents: Ints, values: Ints, keys: Ints, counts: Ints) -> None:
        """Add cells and marks, agents and keys ascending and none twice."""
        if len(agents) and agents[-1] - agents[0] == len(agents) - 1:
            self.values[agents[0] : agents[-1] + 1] += values  # no gap between them
        else:
            self.values[agents] += values
        if len(keys):
            self.counts.add(keys, counts)

    def add_one(self, single: Single, values: Ints) -> None:
        """Add one row, whose values are given as an array too."""
        self.values[single.agent] += values
        for slot in single.slots:
            self.counts.add_one(single.agent << SLOT_BITS | slot)

    def add_minutes(self, minutes: Iterable[Minute], sign: int = 1) -> None:
        """Add whole minutes, or take them away with ``sign`` -1."""
        parts: list[tuple[Ints, Ints, Ints, Ints]] = []
        waiting = 0
        for minute in minutes:
            part = (*minute.cells(), *minute.marks())
            parts.append(part)
            waiting += len(part[0]) * WIDTH + len(part[2])
            if waiting > _CHUNK:
                self._add_parts(parts, sign)
                parts, waiting = [], 0
        if parts:
            self._add_parts(parts, sign)

    def add_totals(self, other: Totals, translate: Ints | None = None) -> None:
        """Add what other totals hold, whose slots ``translate`` turns into ours."""
        used = np.flatnonzero(other.values.any(axis=1))
        keys, counts = other.counts.entries()
        if translate is not None:
            keys, counts = translated(keys, counts, translate)
        self.add(used, other.values[used], keys, counts)

    def clear(self, agent: int) -> None:
        """Forget one agent."""
        if agent < len(self.values):
            self.values[agent] = 0
            self.counts.clear(agent)

    def _add_parts(self, parts: list[tuple[Ints, Ints, Ints, Ints]], sign: int) -> None:
        agents, values, keys, counts = parts[0]
        if len(parts) > 1:
            joined = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
            agents, values = sum_cells(joined[0], joined[1])
            keys, counts = sum_keys(joined[2], joined[3])
        self.add(agents, values * sign, keys, counts * sign)

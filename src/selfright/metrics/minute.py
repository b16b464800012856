"""One minute of every agent: what happened in it, ready to be added up or taken away.

What comes in is kept as it comes and added up when it has doubled or when somebody
asks: an update costs an append, and however small the batches, each row is added up a
few times at most. A minute that is hardly written to any more can be *packed*: columns
that are all zero are dropped and the others take as few bytes as their numbers need,
about a quarter of the space. What comes late opens it again.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from selfright.metrics.columns import WIDTH, Single, sum_cells, sum_keys
from selfright.metrics.labels import SLOT_BITS

Ints = npt.NDArray[np.int64]

_LOOSE: Final = 8192  # rows that may wait at least before they are added up
_NO_KEYS: Final[Ints] = np.empty(0, dtype=np.int64)
_NO_CELLS: Final[Ints] = np.empty((0, WIDTH), dtype=np.int64)


class Minute:
    """The cells and marks of one minute.

    ``version`` grows with every change, so that whoever keeps a figure made of it can
    see whether it still holds.
    """

    __slots__ = (
        "_agents", "_counts", "_keys", "_loose", "_loose_cells", "_loose_marks",
        "_packed", "_singles", "_values", "version",
    )  # fmt: skip

    def __init__(self, agents: Ints = _NO_KEYS, values: Ints = _NO_CELLS) -> None:
        self.version = 0
        self._agents, self._values = agents, values
        self._keys, self._counts = _NO_KEYS, _NO_KEYS
        self._loose = 0
        self._loose_cells: list[tuple[Ints, Ints]] = []
        self._loose_marks: list[tuple[Ints, Ints]] = []
        self._singles: list[Single] = []
        self._packed: tuple[Ints, ...] | None = None

    def add(self, agents: Ints, values: Ints, keys: Ints, counts: Ints) -> None:
        """Add cells and marks, agents and keys ascending and none twice. Keeps the arrays."""
        self.version += 1
        if len(agents):
            loose = self._loose_cells
            if loose and np.array_equal(loose[-1][0], agents):
                # The same agents as the batch before, as of a fleet that reports as one.
                loose[-1] = agents, loose[-1][1] + values
            else:
                loose.append((agents, values))
                self._loose += len(agents)
        if len(keys):
            self._loose_marks.append((keys, counts))
        self._loose += len(keys) + 1
        if self._loose > max(_LOOSE, len(self._agents) + len(self._keys)):
            self._settle()

    def add_one(self, single: Single) -> None:
        """Add a single row."""
        self.version += 1
        self._singles.append(single)
        self._loose += 1
        if self._loose > max(_LOOSE, len(self._agents) + len(self._keys)):
            self._settle()

    def cells(self) -> tuple[Ints, Ints]:
        """Return agents, ascending, and their cells. No cell is all zero. Do not change."""
        self._settle()
        if self._packed is None:
            return self._agents, self._values
        return self._agents.astype(np.int64), self._unpacked()

    def marks(self) -> tuple[Ints, Ints]:
        """Return keys, ascending, and their counts, none zero. Do not change."""
        self._settle()
        return self._keys.astype(np.int64, copy=False), self._counts.astype(np.int64, copy=False)

    def weight(self) -> int:
        """Return how many cells and marks there are at most."""
        return len(self._agents) + len(self._keys) + self._loose

    def is_empty(self) -> bool:
        """Return whether everything that came in was taken away again."""
        self._settle()
        return len(self._agents) == 0 and len(self._keys) == 0

    def drop(self, agent: int) -> None:
        """Forget one agent."""
        self._unpack()
        keep = self._agents != agent
        self._agents, self._values = self._agents[keep], self._values[keep]
        keep = (self._keys >> SLOT_BITS) != agent
        self._keys, self._counts = self._keys[keep], self._counts[keep]
        self.version += 1

    def pack(self) -> int:
        """Take as little space as possible; return how many bytes that is."""
        self._settle()
        if self._packed is None:
            used = np.flatnonzero(self._values.any(axis=0))
            self._packed = (used, *(narrowed(self._values[:, column]) for column in used))
            self._values = _NO_CELLS
            self._agents, self._keys = narrowed(self._agents), narrowed(self._keys)
            self._counts = narrowed(self._counts)
        kept = (*self._packed, self._agents, self._keys, self._counts)
        return sum(array.nbytes for array in kept)

    def _unpacked(self) -> Ints:
        assert self._packed is not None  # callers ask first
        values = np.zeros((len(self._agents), WIDTH), dtype=np.int64)
        for column, numbers in zip(self._packed[0].tolist(), self._packed[1:], strict=True):
            values[:, column] = numbers
        return values

    def _unpack(self) -> None:
        self._agents, self._values = self.cells()
        self._keys, self._counts = self.marks()
        self._packed = None

    def _settle(self) -> None:
        """Add up what is loose. Zero rows go: what was taken away leaves no trace."""
        if not self._loose:
            return
        self._loose = 0
        if self._packed is not None:
            self._unpack()
        self._loosen_singles()
        if self._loose_cells:
            self._agents, self._values = self._summed_cells()
        if self._loose_marks:
            self._keys, self._counts = self._summed_marks()

    def _summed_cells(self) -> tuple[Ints, Ints]:
        parts, self._loose_cells = self._loose_cells, []
        if len(self._agents):
            parts.append((self._agents, self._values))
        agents, values = parts[0]
        if len(parts) > 1:
            agents, values = sum_cells(
                np.concatenate([agents for agents, _ in parts]),
                np.concatenate([values for _, values in parts]),
            )
        keep = values.any(axis=1)
        return (agents, values) if keep.all() else (agents[keep], values[keep])

    def _summed_marks(self) -> tuple[Ints, Ints]:
        parts, self._loose_marks = self._loose_marks, []
        if len(self._keys):
            parts.append((self._keys, self._counts))
        keys, counts = parts[0]
        if len(parts) > 1:
            keys, counts = sum_keys(
                np.concatenate([keys for keys, _ in parts]),
                np.concatenate([counts for _, counts in parts]),
            )
        keep = counts != 0
        return (keys, counts) if keep.all() else (keys[keep], counts[keep])

    def _loosen_singles(self) -> None:
        if not self._singles:
            return
        singles, self._singles = self._singles, []
        agents = np.array([row.agent for row in singles], dtype=np.int64)
        values = np.array([row.values for row in singles], dtype=np.int64)
        keys = [row.agent << SLOT_BITS | slot for row in singles for slot in row.slots]
        self._loose_cells.append(sum_cells(agents, values))
        if keys:
            marks = np.array(keys, dtype=np.int64)
            self._loose_marks.append(sum_keys(marks, np.ones_like(marks)))


def narrowed(numbers: Ints) -> Ints:
    """Return the same integers in the narrowest signed type that holds them all."""
    low, high = (int(numbers.min()), int(numbers.max())) if len(numbers) else (0, 0)
    for dtype in (np.int8, np.int16, np.int32):
        limits = np.iinfo(dtype)
        if limits.min <= low and high <= limits.max:
            return numbers.astype(dtype)
    return numbers.astype(np.int64)

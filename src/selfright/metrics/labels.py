"""Names that are counted per agent: sources of feedback, types of errors and of tasks.

Each kind owns a range of slots behind the latency buckets, so that names are counted,
expired and retracted by the machinery that counts durations. A sender may invent names
without end; those beyond a kind's share count under ``_other``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from selfright.events.intern import Interner
from selfright.metrics.histogram import BUCKETS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SLOTS: Final = 2048  # per agent; a power of two, so that agent and slot share an integer
SLOT_BITS: Final = 11


class Kind(IntEnum):
    """What a name is the name of. The value is the kind's place in the layout."""

    SOURCE = 0
    ERROR = 1
    TASK_TYPE = 2


# First slot and share of each kind; whole pages of 32.
FIRST: Final = (BUCKETS, BUCKETS + 64, BUCKETS + 64 + 256)
SHARE: Final = (64, 256, 256)
assert FIRST[-1] + SHARE[-1] == SLOTS


class Labels:
    """The names known so far, per kind.

    Parameters
    ----------
    names
        Names known already, per kind in the order of their codes.
    """

    __slots__ = ("_kinds", "_slots")

    def __init__(self, names: Mapping[Kind, Iterable[str]] | None = None) -> None:
        given = names or {}
        self._kinds = [Interner(given.get(kind, ()), limit=SHARE[kind]) for kind in Kind]
        # Slots by name, for speed; None is no name. Those beyond a kind's share stay out.
        self._slots: list[dict[str | None, int]] = [{None: -1} for _ in Kind]

    def slot(self, kind: Kind, name: str | None) -> int:
        """Return the slot of a name, -1 for None."""
        known = self._slots[kind]
        found = known.get(name)
        if found is None:
            assert name is not None  # None is known from the start
            found = FIRST[kind] + self._kinds[kind].code(name)
            if self._kinds[kind].names[found - FIRST[kind]] == name:
                known[name] = found
        return found

    def slots(self, kind: Kind, names: Sequence[str | None]) -> npt.NDArray[np.int64]:
        """Return the slots of names, -1 for None. About 50 ns a name once known."""
        known = self._slots[kind]
        try:
            listed = list(map(known.__getitem__, names))
        except KeyError:
            listed = [self.slot(kind, name) for name in names]
        return np.array(listed, dtype=np.int64)

    def find(self, slot: int) -> tuple[Kind, str]:
        """Return the kind and the name that own a slot."""
        kind = next(kind for kind in reversed(Kind) if slot >= FIRST[kind])
        return kind, self._kinds[kind].names[slot - FIRST[kind]]

    def names(self, kind: Kind) -> list[str]:
        """Return the names of a kind in the order of their codes."""
        return self._kinds[kind].names


def translation(theirs: Labels, ours: Labels) -> npt.NDArray[np.int64]:
    """Return for each slot of another store the slot of the same name here."""
    table = np.arange(SLOTS, dtype=np.int64)
    for kind in Kind:
        for place, name in enumerate(theirs.names(kind)):
            table[FIRST[kind] + place] = ours.slot(kind, name)
    return table

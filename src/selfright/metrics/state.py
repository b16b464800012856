"""A store as numpy arrays and plain values, and back.

The same content gives the same state, whatever the way it came in: everything is sorted,
zeros are left out, names are numbered alphabetically and every column is as narrow as
its numbers. ``from_state(to_state(store))`` answers every question as ``store`` does, and
has the same state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from selfright.metrics.columns import WIDTH
from selfright.metrics.labels import FIRST, SLOT_BITS, SLOTS, Kind, Labels
from selfright.metrics.minute import Minute, narrowed
from selfright.metrics.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Ints = npt.NDArray[np.int64]
State = dict[str, Any]

FORMAT: Final = 1
_NO_INTS: Final[Ints] = np.empty(0, dtype=np.int64)


class Renumbering:
    """Slots by the alphabet of the names in use, instead of by first appearance."""

    __slots__ = ("_slots", "names")

    def __init__(self, labels: Labels, used: Iterable[int]) -> None:
        self._slots: Ints = np.arange(SLOTS, dtype=np.int64)
        by_kind: dict[Kind, list[tuple[str, int]]] = {kind: [] for kind in Kind}
        for slot in used:
            if slot >= FIRST[0]:
                kind, name = labels.find(slot)
                by_kind[kind].append((name, slot))
        for kind, found in by_kind.items():
            for place, (_, slot) in enumerate(sorted(found)):
                self._slots[slot] = FIRST[kind] + place
        self.names = {kind: [name for name, _ in sorted(by_kind[kind])] for kind in Kind}

    def apply(self, keys: Ints, counts: Ints) -> tuple[Ints, Ints]:
        """Return renumbered keys, ascending, and their counts."""
        renumbered = (keys & ~np.int64(SLOTS - 1)) | self._slots[keys & (SLOTS - 1)]
        order = np.argsort(renumbered, kind="stable")
        return renumbered[order], counts[order]


def minutes_to_state(minutes: Mapping[int, Minute], labels: Labels, older: Totals) -> State:
    """Return the part of the state that minutes, names and older totals make up."""
    order = [m for m in sorted(minutes) if not minutes[m].is_empty()]
    cells = [minutes[m].cells() for m in order]
    marks = [minutes[m].marks() for m in order]
    keys, counts = older.counts.entries()
    nonzero = counts != 0
    keys, counts = keys[nonzero], counts[nonzero]
    used: set[int] = set(np.unique(keys & (SLOTS - 1)).tolist())
    for key, _ in marks:
        used.update(np.unique(key & (SLOTS - 1)).tolist())
    renumbering = Renumbering(labels, used)
    marks = [renumbering.apply(*pair) for pair in marks]
    keys, counts = renumbering.apply(keys, counts)
    agents = np.flatnonzero(older.values.any(axis=1))
    return {
        "names": {kind.name.lower(): renumbering.names[kind] for kind in Kind},
        "minutes": np.array(order, dtype=np.int64),
        "cells_per_minute": narrowed(np.array([len(a) for a, _ in cells], dtype=np.int64)),
        "cell_agents": narrowed(np.concatenate([_NO_INTS, *(a for a, _ in cells)])),
        "cell_values": _columns([values for _, values in cells]),
        "marks_per_minute": narrowed(np.array([len(k) for k, _ in marks], dtype=np.int64)),
        "mark_keys": narrowed(np.concatenate([_NO_INTS, *(k for k, _ in marks)])),
        "mark_counts": narrowed(np.concatenate([_NO_INTS, *(c for _, c in marks)])),
        "older_agents": narrowed(agents),
        "older_values": _columns([older.values[agents]]),
        "older_keys": narrowed(keys),
        "older_counts": narrowed(counts),
    }


def labels_from_state(state: State) -> Labels:
    """Return the names of a state."""
    return Labels({kind: state["names"][kind.name.lower()] for kind in Kind})


def minutes_from_state(state: State) -> dict[int, Minute]:
    """Return the minutes of a state."""
    agents = _wide(state["cell_agents"])
    values = _rows(state["cell_values"], len(agents))
    keys, counts = _wide(state["mark_keys"]), _wide(state["mark_counts"])
    cell_ends = np.cumsum(_wide(state["cells_per_minute"]))
    mark_ends = np.cumsum(_wide(state["marks_per_minute"]))
    minutes: dict[int, Minute] = {}
    cell = mark = 0
    ends = zip(cell_ends.tolist(), mark_ends.tolist(), strict=True)
    for number, (cell_end, mark_end) in zip(state["minutes"].tolist(), ends, strict=True):
        cells, marks = slice(cell, cell_end), slice(mark, mark_end)
        # Copies: a minute that stays would keep the arrays of all of them alive.
        minute = minutes[number] = Minute(agents[cells].copy(), values[cells].copy())
        minute.add(_NO_INTS, values[:0], keys[marks].copy(), counts[marks].copy())
        cell, mark = cell_end, mark_end
    return minutes


def older_from_state(state: State, agents: int) -> Totals:
    """Return the older totals of a state, with room for ``agents`` agents."""
    totals = Totals(agents)
    codes = _wide(state["older_agents"])
    values = _rows(state["older_values"], len(codes))
    totals.add(codes, values, _wide(state["older_keys"]), _wide(state["older_counts"]))
    return totals


def room_for(state: State) -> int:
    """Return how many agent codes a state needs room for."""
    used = [state["cell_agents"], state["older_agents"], state["seen_agents"]]
    used.append(state["older_keys"] >> SLOT_BITS)
    return max(int(codes.max(initial=-1)) for codes in used) + 1


def _columns(parts: list[Ints]) -> dict[str, Ints]:
    """Return the columns that are not all zero, by number, each as narrow as may be."""
    values = np.concatenate([np.empty((0, WIDTH), dtype=np.int64), *parts])
    return {
        str(column): narrowed(values[:, column])
        for column in np.flatnonzero(values.any(axis=0)).tolist()
    }


def _rows(columns: Mapping[str, Ints], rows: int) -> Ints:
    values = np.zeros((rows, WIDTH), dtype=np.int64)
    for column, numbers in columns.items():
        values[:, int(column)] = numbers
    return values


def _wide(numbers: Ints) -> Ints:
    return numbers.astype(np.int64)

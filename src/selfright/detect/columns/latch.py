"""State machines of many streams over a block, without a step for each entry."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

from selfright.detect.columns.entries import Bools, Entries


def latched(entries: Entries, on: Bools, off: Bools, kept: Bools) -> Bools:
    """Return per entry what its stream was switched to last, that entry included.

    ``kept`` is where each stream stood before the block.
    """
    place = np.arange(len(on))
    switched = np.maximum.accumulate(np.where(on | off, place, -1))
    here = switched >= entries.first[entries.of]
    return np.where(here, on[switched], kept[entries.of])


Kind = TypeVar("Kind", np.bool_, np.int64)


def before(
    entries: Entries, state: npt.NDArray[Kind], kept: npt.NDArray[Kind]
) -> npt.NDArray[Kind]:
    """Return per entry the state of its stream before it; ``kept`` is that before the block."""
    found = np.empty_like(state)
    found[1:] = state[:-1]
    found[entries.first] = kept
    return found

"""The spike detector alone, saying each thing once: what a few lines more make of it here.

The benchmark charges every row, also the hundredth of one disturbance. A score of which only new
heights count answers that, and a level that moves is better seen in its steps. What is here was
chosen on the series of even number, of more than a hundred combinations, and does not ship: an
agent's runs come one by one, and each that is far from usual is worth its note.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from benchmarks.decisions.nab.ours import quantity
from selfright.detect.certainty.rank import RankReferences, octaves
from selfright.detect.certainty.spike import LIMIT

HEIGHTS: Final = 400  # rows back from which a higher score is a new one


def once(score: np.ndarray, rows: int = HEIGHTS) -> np.ndarray:
    """Return the score where it is higher than at each of the rows before, else 0."""
    before = np.concatenate([np.zeros(rows), score])
    highest = sliding_window_view(before, rows)[: len(score)].max(axis=1)
    return np.where(score > highest, score, 0.0)


def spike(values: np.ndarray) -> np.ndarray:
    """Return what the spike detector says without a rank detector that silences it."""
    amounts = octaves(quantity(values))
    scores = np.zeros(len(values))
    references, one = RankReferences(), np.zeros(1, dtype=np.int64)
    references.add()
    start = 0
    while start < len(values):
        part = slice(start, min(len(values), start + int(references.left(one)[0])))
        of = np.zeros(part.stop - start, dtype=np.int64)
        if references.ready(one)[0]:
            z = np.abs(references.deviation(of, amounts[part]))
            scores[part] = z / (z + LIMIT)
        references.collect(of, amounts[part])
        due = references.due(one)
        if len(due):
            references.renew(due)
        start = part.stop
    return scores


def spike_or_step(values: np.ndarray) -> np.ndarray:
    """Return the mean of what it says of the values and of the steps between them."""
    return (spike(values) + spike(np.diff(values, prepend=values[0]))) / 2.0

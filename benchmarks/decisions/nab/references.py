"""What the scores are held against: silence, perfection, chance, a window under a normal law."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from benchmarks.decisions.nab.corpus import Series

# Published with the benchmark, standard profile.
BOARD: Final = {
    "ARTime": 74.9,
    "Numenta HTM": 70.5,
    "KNN-CAD": 58.0,
    "relative entropy": 54.6,
    "windowed Gaussian": 39.6,
    "random": 11.0,
    "null": 0.0,
}
_WIDTH, _STEP = 6400, 100


def silent(series: Series) -> np.ndarray:
    """Never say anything."""
    return np.full(len(series.values), 0.5)


def perfect(series: Series) -> np.ndarray:
    """Say it at the first row of every window, and nowhere else."""
    scores = np.zeros(len(series.values))
    scores[[first for first, _ in series.windows]] = 1.0
    return scores


def chance(series: Series, rng: np.random.Generator) -> np.ndarray:
    """Say anything."""
    return rng.random(len(series.values))


def windowed_gaussian(series: Series) -> np.ndarray:
    """Return 1 minus the tail probability under the normal distribution of the last 6,400 values.

    As the benchmark's own: until there are so many all of them count, then the window moves on
    by 100 at a time; scores have twelve digits, as in the files of its results.
    """
    x = series.values
    scores = np.zeros(len(x))
    mean = deviation = 0.0
    for i in range(1, len(x)):
        if i <= _WIDTH or (i - _WIDTH) % _STEP == 0:
            window = x[max(0, i - _WIDTH) : i]
            mean, deviation = float(window.mean()), float(window.std()) or 1e-6
        tail = 0.5 * math.erfc(abs(x[i] - mean) / deviation / math.sqrt(2.0))
        scores[i] = round(1.0 - tail, 12)
    return scores

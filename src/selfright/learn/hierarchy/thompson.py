"""Thompson sampling with its propensities: how probable each arm is to be drawn as best.

A draw from the posterior of each arm, and the largest wins: so an arm is chosen as often
as it is believed to be the best. That probability is integrated here, not sampled, and
the choice is then drawn from the very numbers that are logged. They are exact by
construction, however coarse the integral.
"""

from __future__ import annotations

from functools import cache
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from selfright.learn.hierarchy.normal import below

Floats: TypeAlias = npt.NDArray[np.float64]

# Beyond so many standard deviations an arm wins or loses less than once in 4,000 draws.
_REACH: Final = 3.5
_TINY: Final = 1e-12


def win_probabilities(mean: Floats, sd: Floats, points: int, share: Floats | None = None) -> Floats:
    """Return the probability of each arm that its draw is the largest, float64[k].

    Parameters
    ----------
    mean, sd
        Of independent normal posteriors; ``sd`` greater than 0.
    points
        Cells of the grid over which the largest draw is integrated. Draws that fall into
        the same cell share the win.
    share
        None, or the weights of several normals per arm: all three are float64[r, k] then, the
        weights of an arm sum to 1.

    Notes
    -----
    With F_i the distribution function of arm i, P_i is the integral of dF_i times the
    product of all other F_k. O(k * points): 25 us for 10 arms and 48 points. Arms that
    cannot win are left out, so that far fewer than k count in a large fleet.
    """
    if share is not None:
        return _of_mixtures(mean, sd, points, share)
    reach = _REACH * sd
    low = (mean - reach).max()
    ceiling = mean + reach
    alive = np.flatnonzero(ceiling >= low)
    won = np.zeros(len(mean))
    if len(alive) == 1:
        won[alive] = 1.0
        return won
    m, s = mean[alive, None], sd[alive, None]
    z = (low + (ceiling.max() - low) * _grid(points) - m) / s
    won[alive] = _integrated(below(z))
    return won


def _of_mixtures(mean: Floats, sd: Floats, points: int, share: Floats) -> Floats:
    reach, there = _REACH * sd, share > 0.0
    low = np.where(there, mean - reach, np.inf).min(axis=0).max()
    ceiling = np.where(there, mean + reach, -np.inf).max(axis=0)
    alive = np.flatnonzero(ceiling >= low)
    won = np.zeros(mean.shape[1])
    if len(alive) == 1:
        won[alive] = 1.0
        return won
    edges = low + (ceiling.max() - low) * _grid(points)
    m, s, w = mean[:, alive, None], sd[:, alive, None], share[:, alive, None]
    won[alive] = _integrated((w * below((edges - m) / s)).sum(axis=0))
    return won


def _integrated(edge: Floats) -> Floats:
    """Return who wins, given the distribution functions at the edges of the grid."""
    # What lies under the grid is lost to somebody on it; draws above it cannot be.
    edge[:, -1] = 1.0
    inside = edge[:, 1:] - edge[:, :-1]
    middle = np.maximum(edge[:, :-1] + inside / 2, _TINY)
    all_below = np.exp(np.log(middle).sum(axis=0))
    wins = (inside / middle * all_below).sum(axis=1)
    found: Floats = wins / wins.sum()
    return found


@cache
def _grid(points: int) -> Floats:
    return np.linspace(0.0, 1.0, points + 1)


def with_floor(probabilities: Floats, floor: float) -> Floats:
    """Return ``probabilities`` with ``floor`` of them spread evenly; they sum to 1."""
    mixed = probabilities * (1.0 - floor) + floor / len(probabilities)
    total: Floats = mixed / mixed.sum()
    return total


def draw(probabilities: Floats, rng: np.random.Generator) -> int:
    """Return an index drawn from exactly these probabilities."""
    edges = np.cumsum(probabilities)
    # Scaled by the last edge, so that rounding cannot leave a gap at the top.
    return int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))

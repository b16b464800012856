"""Spikes: single values far from all that is usual for their agent. They annotate, never alert.

How far is a robust z on log values: the distance from the median of the agent's own baseline over
the spread on that side, both read off its histogram. The spread is the widest that the shares of
16, 5 and 1 % would mean for a normal distribution, and half a bucket at least. One share alone
would call each heavy tail and each rare kind of task odd: with the usual 16 % an agent that takes
twenty times as long for one task in ten has 1,006 spikes among 10,000 runs, this way none.

On healthy streams of 400,000 values, spikes on either side among 10,000: lognormal 0, gamma of
shape 2 0.7, exponential 3.3, gamma of shape 1/2 9.8, Pareto of exponent 3 to 1.1 1 to 5, two kinds
of task of which the rare one is 2 % or more 0 to 3. Of a kind that is 1 % of the tasks half are
called odd. That is too many to alert by, and what a change of level is, the ranks say (``rank``).
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LIMIT: Final = 5.0  # at 4 a Pareto stream has 6 to 19 among 10,000, at 6 one of factor 12 is missed
NEWEST: Final = 1000
_SHARES: Final = np.array([0.01, 0.05, 0.158655, 0.5, 0.841345, 0.95, 0.99])
_DEVIATIONS: Final = np.array([2.326348, 1.644854, 1.0])  # where a normal one has these shares
_LEAST: Final = 0.5  # buckets: within one nothing is known of where a value lies


def spreads_of(histograms: Floats) -> Floats:
    """Return by histogram its median and its spreads below and above, all in buckets.

    Examples
    --------
    Of a quantity that never varies the least spread is supposed:

    >>> spreads_of(np.array([[0.0, 0.0, 200.0, 0.0]])).tolist()
    [[2.5, 0.5, 0.5]]
    """
    upto = np.cumsum(histograms, axis=1)
    wanted = _SHARES * upto[:, -1:]
    # The bucket in which each share is reached, and how far into it: a straight line.
    bucket = (upto[:, np.newaxis] < wanted[..., np.newaxis]).sum(axis=2)
    held = np.take_along_axis(histograms, bucket, axis=1)
    places = bucket + 1.0 - (np.take_along_axis(upto, bucket, axis=1) - wanted) / held
    median = places[:, 3]
    low = ((median[:, np.newaxis] - places[:, :3]) / _DEVIATIONS).max(axis=1)
    high = ((places[:, :3:-1] - median[:, np.newaxis]) / _DEVIATIONS).max(axis=1)
    return np.stack([median, np.maximum(low, _LEAST), np.maximum(high, _LEAST)], axis=1)


class Spike(NamedTuple):
    """One value that was far from usual.

    Attributes
    ----------
    offset, ts_us
        The run's place in the log and event time.
    of
        The baseline that it is far from.
    value, usual
        The value and the median of the baseline, in the log's exact units.
    z
        Spreads between them on the logarithmic scale; below 0 for a value that is too low.
    """

    offset: int
    ts_us: int
    of: int
    value: float
    usual: float
    z: float


class Spikes:
    """The newest spikes of a fleet, in the order of the log; what is noted waits for ``keep``."""

    def __init__(self) -> None:
        self._kept: deque[Spike] = deque(maxlen=NEWEST)
        self._noted: list[Spike] = []

    def note(self, spike: Spike) -> None:
        """Remember a spike, for the time being."""
        self._noted.append(spike)

    def keep(self) -> None:
        """Make what was noted part of the state for good."""
        if self._noted:
            self._kept.extend(sorted(self._noted))
            self._noted.clear()

    def drop(self) -> None:
        """Undo what was noted."""
        self._noted.clear()

    def newest(self) -> list[Spike]:
        """Return what is remembered, newest last."""
        return list(self._kept)

    def forget(self, of: int) -> None:
        """Drop the spikes of a baseline."""
        self._kept = deque((one for one in self._kept if one.of != of), maxlen=NEWEST)

    def to_state(self) -> dict[str, Any]:
        """Return the exact state as arrays."""
        return {
            "places": np.array([one[:3] for one in self._kept], dtype=np.int64).reshape(-1),
            "values": np.array([one[3:] for one in self._kept], dtype=np.float64).reshape(-1),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Spikes:
        """Return what ``to_state`` described."""
        made = cls()
        places = state["places"].reshape(-1, 3).tolist()
        values = state["values"].reshape(-1, 3).tolist()
        made._kept.extend(Spike(*at, *of) for at, of in zip(places, values, strict=True))
        return made

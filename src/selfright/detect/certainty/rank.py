"""Where a quantity lies among the agent's own: latency, cost, tokens, memory as ranks in [0, 1].

A rank is bounded whatever the tails of the quantity, and has mean 1/2 as long as nothing changes.
The baseline is a histogram of 64 buckets an eighth of an octave wide (9 %) around the agent's
median: 200 values at first, then every 250 the values before the latest 250, halved when
there are 4,000. Values that share a bucket share the middle of its ranks.

What one agent's values tell about another is nothing; a fleet has no ranks.
"""

from __future__ import annotations

from array import array
from math import sqrt
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from selfright.detect.certainty.spike import spread_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BUCKETS: Final = 64
FIRST: Final = 200
PERIOD: Final = 250
_MOST: Final = 4000
# One-sided 99.5 % for the mean rank under a baseline of so many values: that is learnt, too,
# and an error of it stays for all the outcomes that it is the baseline of.
_Z: Final = 2.5758
_ROOM: Final = 64
# Mantissas of 1/2 .. 1 at which an eighth of an octave begins. Compared, never computed:
# a logarithm may differ in its last bit with the length of the array that it is taken of.
_EIGHTHS: Final = np.array([2.0 ** (k / 8 - 1) for k in range(1, 8)])


def octaves(values: Floats) -> Ints:
    """Return in which eighth of an octave each value lies; all below 1 in that of 1."""
    mantissa, exponent = np.frexp(np.maximum(values, 1.0))
    eighths: Ints = np.searchsorted(_EIGHTHS, mantissa, side="right").astype(np.int64)
    return eighths + 8 * exponent.astype(np.int64)


RankPart = tuple[Ints, list[Any], dict[int, "array[int]"]]


class RankReferences:
    """The baselines of any number of streams of one quantity each.

    Notes
    -----
    700 bytes a stream. A renewal costs 30 us.
    """

    def __init__(self) -> None:
        self.seen: Ints = np.zeros(_ROOM, dtype=np.int64)
        self.first: Ints = np.zeros(_ROOM, dtype=np.int64)  # the octave of the first bucket
        self.tainted: npt.NDArray[np.bool_] = np.zeros(_ROOM, dtype=np.bool_)
        self.ranks = np.zeros((_ROOM, BUCKETS), dtype=np.float32)
        self._spread = np.ones((_ROOM, 3))  # see ``spread_of``
        self._base = np.zeros((_ROOM, BUCKETS), dtype=np.float32)
        self._waiting = np.zeros((_ROOM, 2, BUCKETS), dtype=np.uint8)
        self._young: dict[int, array[int]] = {}
        self._streams = 0

    def __len__(self) -> int:
        return self._streams

    def add(self) -> int:
        """Return the number of a new stream."""
        number = self._streams
        if number == len(self.seen):
            for name in _COLUMNS:
                column = getattr(self, name)
                setattr(self, name, np.concatenate([column, np.zeros_like(column)]))
        self._streams += 1
        self._young[number] = array("q")
        return number

    def left(self, streams: Ints) -> Ints:
        """Return how many values each stream takes until it is renewed."""
        seen = self.seen[streams]
        return np.where(seen < FIRST, FIRST - seen, PERIOD - (seen - FIRST) % PERIOD)

    def ready(self, streams: Ints) -> npt.NDArray[np.bool_]:
        """Return which streams have a baseline."""
        return self.seen[streams] >= FIRST

    def bucket(self, streams: Ints, octave: Ints) -> Ints:
        """Return in which bucket of its stream each value lies."""
        buckets: Ints = np.clip(octave - self.first[streams], 0, BUCKETS - 1)
        return buckets

    def deviation(self, streams: Ints, octave: Ints) -> Floats:
        """Return how many spreads above its stream's median each value lies, on the log scale."""
        spread = self._spread[streams]
        above = octave - self.first[streams] + 0.5 - spread[:, 0]
        deviation: Floats = above / np.where(above < 0.0, spread[:, 1], spread[:, 2])
        return deviation

    def collect(self, streams: Ints, octave: Ints) -> None:
        """Take values into account, at most as many per stream as are ``left``."""
        young = ~self.ready(streams)
        for stream, value in zip(streams[young].tolist(), octave[young].tolist(), strict=True):
            self._young[stream].append(value)
        old = streams[~young]
        keys = old * BUCKETS + self.bucket(old, octave[~young])
        keys, counts = np.unique(keys, return_counts=True)
        self._waiting[keys // BUCKETS, 0, keys % BUCKETS] += counts.astype(np.uint8)
        mine, counts = np.unique(streams, return_counts=True)
        self.seen[mine] += counts

    def due(self, streams: Ints) -> list[int]:
        """Return which of these streams are to be renewed now."""
        mine = np.unique(streams)
        seen = self.seen[mine]
        due: list[int] = mine[(seen >= FIRST) & ((seen - FIRST) % PERIOD == 0)].tolist()
        return due

    def renew(self, stream: int) -> float:
        """Renew a baseline; return the mean rank that its values must not fall below."""
        base, waiting = self._base[stream], self._waiting[stream]
        young = self._young.pop(stream, None)
        if young is not None:
            values = np.sort(np.array(young, dtype=np.int64))
            self.first[stream] = values[len(values) // 2] - BUCKETS // 2
            buckets = np.clip(values - self.first[stream], 0, BUCKETS - 1)
            base[:] = np.bincount(buckets, minlength=BUCKETS)
        else:
            if self.tainted[stream]:
                waiting[:] = 0  # what came under suspicion is no reference
            base += waiting[1]
            waiting[1], waiting[0] = waiting[0], 0
            if base.sum() > _MOST:
                base *= np.float32(0.5)
        self.tainted[stream] = False
        return self._rank(stream)

    def part(self, streams: Ints) -> RankPart:
        """Return a copy of some streams, for ``write``."""
        copies = [getattr(self, name)[streams] for name in _COLUMNS]
        young = {s: self._young[s][:] for s in streams.tolist() if s in self._young}
        return streams, copies, young

    def write(self, part: RankPart) -> None:
        """Put streams back to what they were when ``part`` was taken."""
        streams, copies, young = part
        for name, copied in zip(_COLUMNS, copies, strict=True):
            getattr(self, name)[streams] = copied
        self._young.update(young)

    def restart(self, stream: int) -> None:
        """Forget the baseline: the next values are a new one."""
        self.seen[stream] = 0
        self.tainted[stream] = False
        self._base[stream] = 0
        self._waiting[stream] = 0
        self._young[stream] = array("q")

    def median(self, stream: int) -> float | None:
        """Return the median of the baseline, to 5 %; None before there is one."""
        base = self._base[stream]
        if not base.any():
            return None
        bucket = int(np.searchsorted(np.cumsum(base), base.sum() / 2.0))
        octave = (int(self.first[stream]) + bucket + 0.5) / 8.0 - 1.0
        return float(2.0**octave)

    def _rank(self, stream: int) -> float:
        base = self._base[stream].astype(np.float64)
        n = float(base.sum())
        middle = (np.cumsum(base) - base / 2.0) / n
        self.ranks[stream] = middle
        self._spread[stream] = spread_of(base)
        variance = float((base * (middle - 0.5) ** 2).sum()) / n
        return 0.5 - _Z * sqrt(variance / n)

    def to_state(self) -> dict[str, Any]:
        """Return the exact state as arrays and plain values."""
        state: dict[str, Any] = {name: getattr(self, name)[: self._streams] for name in _COLUMNS}
        state["young"] = [[number, list(values)] for number, values in self._young.items()]
        return state

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> RankReferences:
        """Return what ``to_state`` described."""
        made = cls()
        while len(made) < len(state["seen"]):
            made.add()
        for name in _COLUMNS:
            getattr(made, name)[: len(made)] = state[name]
        made._young = {number: array("q", values) for number, values in state["young"]}
        return made


_COLUMNS: Final = ("seen", "first", "tainted", "ranks", "_spread", "_base", "_waiting")

"""Where a quantity lies among the agent's own: latency, cost, tokens, memory as ranks in [0, 1].

A rank is bounded whatever the tails of the quantity, and has mean 1/2 as long as nothing changes.
The baseline is a histogram of 64 buckets an eighth of an octave wide (9 %) around the agent's
median: 200 values at first, then every 250 the values before the latest 250, halved when
there are 4,000. Values that share a bucket share the middle of its ranks.

What one agent's values tell about another is nothing; a fleet has no ranks.
"""

from __future__ import annotations

from array import array
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from selfright.detect.certainty.spike import LIMIT, spreads_of

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
_RANK_GRID: Final = 1 << 16
_EIGHTHS_OF: Final = 8  # steps of a value in a baseline, which is halved now and then
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
    430 bytes a stream. A renewal costs 90 us, fifty at the same time 200 us.
    """

    def __init__(self) -> None:
        self.seen: Ints = np.zeros(_ROOM, dtype=np.int64)
        self.first: Ints = np.zeros(_ROOM, dtype=np.int64)  # the octave of the first bucket
        self.low: npt.NDArray[np.bool_] = np.zeros(_ROOM, dtype=np.bool_)  # is that side news?
        self.tainted: npt.NDArray[np.bool_] = np.zeros(_ROOM, dtype=np.bool_)
        self._ranks = np.zeros((_ROOM, BUCKETS), dtype=np.uint16)  # in steps of the grid
        self._spread = np.ones((_ROOM, 3))  # see ``spreads_of``
        self._near = np.zeros((_ROOM, 2), dtype=np.float32)  # buckets that are not far lie within
        self._base = np.zeros((_ROOM, BUCKETS), dtype=np.uint16)  # in eighths of a value
        self._waiting = np.zeros((_ROOM, 2, BUCKETS), dtype=np.uint8)
        self._young: dict[int, array[int]] = {}  # octaves, which 16 bits hold
        self._streams = 0

    def __len__(self) -> int:
        return self._streams

    def add(self, *, low: bool = False) -> int:
        """Return the number of a new stream; ``low``: values that fall are news, too."""
        number = self._streams
        if number == len(self.seen):
            for name in _COLUMNS:
                column = getattr(self, name)
                more = np.zeros_like(column[: max(_ROOM, len(column) // 16)])
                setattr(self, name, np.concatenate([column, more]))
        self._streams += 1
        self.low[number] = low
        self._young[number] = array("h")
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

    def rank(self, streams: Ints, bucket: Ints) -> Floats:
        """Return the rank of values in these buckets, a multiple of 2^-16."""
        ranks: Floats = self._ranks[streams, bucket] / float(_RANK_GRID)
        return ranks

    def is_far(self, streams: Ints, octave: Ints) -> npt.NDArray[np.bool_]:
        """Return which values lie at least ``LIMIT`` spreads away from their stream's median."""
        place = octave - self.first[streams]
        far: npt.NDArray[np.bool_] = place <= self._near[streams, 0]
        far |= place >= self._near[streams, 1]
        return far

    def deviation(self, streams: Ints, octave: Ints) -> Floats:
        """Return how many spreads above its stream's median each value lies, on the log scale."""
        spread = self._spread[streams]
        above = octave - self.first[streams] + 0.5 - spread[:, 0]
        deviation: Floats = above / np.where(above < 0.0, spread[:, 1], spread[:, 2])
        return deviation

    def collect(self, streams: Ints, octave: Ints) -> None:
        """Take values into account, at most as many per stream as are ``left``."""
        young = ~self.ready(streams)
        if young.any():
            for stream, value in zip(streams[young].tolist(), octave[young].tolist(), strict=True):
                self._young[stream].append(value)
            old, octave = streams[~young], octave[~young]
        else:
            old = streams
        flat = self._waiting.reshape(-1)  # a view: one index is added up much faster than three
        np.add.at(flat, old * (2 * BUCKETS) + self.bucket(old, octave), np.uint8(1))
        self.seen += np.bincount(streams, minlength=len(self.seen))

    def due(self, streams: Ints) -> Ints:
        """Return which of these streams are to be renewed now."""
        seen = self.seen[streams]
        found: Ints = np.unique(streams[(seen >= FIRST) & ((seen - FIRST) % PERIOD == 0)])
        return found

    def renew(self, streams: Ints) -> Floats:
        """Renew baselines; return the mean ranks that their values must not fall below."""
        for stream in streams.tolist():
            young = self._young.pop(stream, None)
            if young is not None:
                values = np.sort(np.array(young, dtype=np.int64))
                self.first[stream] = values[len(values) // 2] - BUCKETS // 2
                buckets = np.clip(values - self.first[stream], 0, BUCKETS - 1)
                self._base[stream] = _EIGHTHS_OF * np.bincount(buckets, minlength=BUCKETS)
        base, waiting = self._base[streams].astype(np.int64), self._waiting[streams]
        waiting[self.tainted[streams]] = 0  # what came under suspicion is no reference
        base += _EIGHTHS_OF * waiting[:, 1].astype(np.int64)
        waiting[:, 1], waiting[:, 0] = waiting[:, 0], 0
        full = base.sum(axis=1) > _EIGHTHS_OF * _MOST
        base[full] = (base[full] + 1) // 2
        self._base[streams], self._waiting[streams] = base, waiting
        self.tainted[streams] = False
        return self._rank(streams, base / float(_EIGHTHS_OF))

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
        self._young[stream] = array("h")

    def known(self, stream: int) -> float:
        """Return on how many values the baseline rests; old ones count by halves and quarters."""
        return int(self._base[stream].sum()) / _EIGHTHS_OF

    def median(self, stream: int) -> float | None:
        """Return the median of the baseline, to 5 %; None before there is one."""
        base = self._base[stream]
        if not base.any():
            return None
        bucket = int(np.searchsorted(np.cumsum(base), base.sum() / 2.0))
        octave = (int(self.first[stream]) + bucket + 0.5) / 8.0 - 1.0
        return float(2.0**octave)

    def _rank(self, streams: Ints, base: Floats) -> Floats:
        upto = np.cumsum(base, axis=1)
        n = upto[:, -1:]
        # On a grid, so that sums of ranks are exact in any order.
        steps = np.minimum(np.rint((upto - base / 2.0) / n * _RANK_GRID), _RANK_GRID - 1)
        self._ranks[streams] = steps
        middle = steps / _RANK_GRID
        spread = self._spread[streams] = spreads_of(base)
        self._near[streams, 0] = np.floor(spread[:, 0] - 0.5 - LIMIT * spread[:, 1])
        self._near[streams, 1] = np.ceil(spread[:, 0] - 0.5 + LIMIT * spread[:, 2])
        # Added up one after the other: the last bit must not depend on how many are renewed.
        variance = np.cumsum(base * (middle - 0.5) ** 2, axis=1)[:, -1] / n[:, 0]
        below: Floats = 0.5 - _Z * np.sqrt(variance / n[:, 0])
        return below

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
        made._young = {number: array("h", values) for number, values in state["young"]}
        return made


_COLUMNS: Final = (
    "seen",
    "first",
    "low",
    "tainted",
    "_ranks",
    "_spread",
    "_near",
    "_base",
    "_waiting",
)

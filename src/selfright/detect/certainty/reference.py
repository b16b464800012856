"""What an agent was, as far as its outcomes show: the references that a drop is held against.

*Baseline*: the 95 % lower bound of the latest 4,000 outcomes that are older than 250, renewed
every 50; from outcome 200 to 450, of the first 200. It follows what changes slowly. Outcomes
that come in bursts count as fewer.

*Anchor*: the 99 % lower bound of the best 2,000 consecutive outcomes accepted so far. It is
lowered by an operator alone, never by time: many small steps down are a large one.

Outcomes are kept as sums of ten, 0 to 10 in steps of 1/25, one byte each: exact for outcomes of
0 and 1, to 2 per mille of an outcome for graded ones.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from selfright.detect.certainty.bound import Z95, Z99, lower_bounds
from selfright.detect.certainty.lane import FIFTY, TEN

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_GRAIN: Final = 25  # steps in one outcome
_RENEWED: Final = FIFTY // TEN  # tens between two renewals
_FIRST: Final = 20  # tens that the first baseline consists of
_GAP: Final = 25  # tens: the youngest 250 outcomes are no reference, for they may be the drop
_SPAN: Final = 400  # tens of the baseline
_ANCHOR_SPAN: Final = 200  # tens of the anchor
ANCHORED: Final = TEN * _ANCHOR_SPAN
_ROOM: Final = _SPAN + _GAP + _RENEWED
_STEPS: Final = np.arange(_RENEWED)
_UNKNOWN: Final = -1
# Means of ten do not see all of how outcomes hang together: of failures of which every second
# follows another, four fifths. And some of what they show is chance, one standard deviation of
# which is left out.
_UNSEEN: Final = 2.0


class Levels(NamedTuple):
    """The references of streams and the means they bound; NaN where there are too few outcomes."""

    baseline: Floats
    anchor: Floats
    temper: Floats
    mean: Floats
    best: Floats


class Before(NamedTuple):
    """What ``back`` needs to undo an ``add``."""

    streams: Ints
    counts: Ints
    over: npt.NDArray[np.uint8]


class RateReferences:
    """Learns the references of rates from their accepted outcomes, for any number of streams.

    Parameters
    ----------
    tempering
        Whether bursts of failures are allowed for; see ``bets``.

    Notes
    -----
    470 bytes a stream. Fifty outcomes of one stream cost 160 us, of fifty streams at a time
    190 us.
    """

    def __init__(self, *, tempering: bool = True) -> None:
        self._tempering = tempering
        self._streams = 0
        # By stream: tens ever, largest sum of 200 tens in a row in grains, and sum, sum of
        # squares and sum over the anchor's span of the tens of the baseline.
        self._counts: Ints = np.zeros((5, 0), dtype=np.int64)
        self._ring = np.zeros((0, _ROOM), dtype=np.uint8)

    def __len__(self) -> int:
        return self._streams

    def add_stream(self) -> int:
        """Return the number of a new stream."""
        number = self._streams
        if number == len(self._ring):
            more = max(64, number // 16)
            self._counts = np.concatenate([self._counts, np.zeros((5, more), np.int64)], axis=1)
            self._ring = np.concatenate([self._ring, np.zeros((more, _ROOM), np.uint8)])
        self._streams += 1
        self._counts[:, number] = 0
        self._counts[1, number] = _UNKNOWN
        return number

    def add(self, streams: Ints, tens: Floats) -> Before:
        """Accept fifty outcomes of each stream as sums of ten, (5, streams)."""
        before = self._counts[:, streams]
        counts = before.copy()
        at = (counts[0] + _STEPS[:, np.newaxis]) % _ROOM
        over = self._ring[streams, at]
        self._ring[streams, at] = np.rint(tens * _GRAIN)
        counts[0] += _RENEWED
        since, until = _until(before[0]), _until(counts[0])
        first = np.flatnonzero((since == 0) & (until > 0))
        for stream in first.tolist():
            began = self._ring[streams[stream], :_FIRST].astype(np.int64)
            counts[2:, stream] = began.sum(), (began**2).sum(), began.sum()
        moved = np.flatnonzero((since > 0) & (until > since))
        if len(moved):
            self._move(counts, streams, moved, since[moved])
        best = until >= _ANCHOR_SPAN
        counts[1, best] = np.maximum(counts[1, best], counts[4, best])
        self._counts[:, streams] = counts
        return Before(streams, before, over)

    def back(self, before: Before) -> None:
        """Undo an ``add``, the latest first."""
        streams, counts, over = before
        self._counts[:, streams] = counts
        self._ring[streams, (counts[0] + _STEPS[:, np.newaxis]) % _ROOM] = over

    def levels(self, streams: Ints) -> Levels:
        """Return the references as they stand."""
        counts = self._counts[:, streams]
        known = self._known(counts[0]).astype(np.float64)
        temper = self._temper(counts, known)
        # Outcomes that hang together are worth fewer independent ones.
        baseline = lower_bounds(counts[2] / _GRAIN / temper, known / temper, Z95)
        baseline[known == 0] = np.nan
        anchored = counts[1] >= 0
        anchor, best = np.full(len(streams), np.nan), np.full(len(streams), np.nan)
        if anchored.any():
            sums = counts[1, anchored] / _GRAIN
            anchor[anchored] = lower_bounds(sums, np.full(len(sums), float(ANCHORED)), Z99)
            best[anchored] = sums / ANCHORED
        with np.errstate(invalid="ignore"):  # 0 / 0 where nothing is known
            mean = counts[2] / _GRAIN / known
        return Levels(baseline, anchor, temper, mean, best)

    def restart(self, stream: int, *, anchor: bool) -> None:
        """Forget the outcomes, and with ``anchor`` also how good the agent ever was."""
        best = _UNKNOWN if anchor else int(self._counts[1, stream])
        self._counts[:, stream] = 0, best, 0, 0, 0

    def known(self, stream: int) -> int:
        """Return on how many outcomes the baseline rests."""
        return int(self._known(self._counts[0, [stream]])[0])

    def mean(self, stream: int) -> float:
        """Return the mean of the outcomes that the baseline rests on; 0 while there is none."""
        known = self.known(stream)
        return int(self._counts[2, stream]) / (_GRAIN * known) if known else 0.0

    def anchor_mean(self, stream: int) -> float | None:
        """Return the mean of the best 2,000 consecutive outcomes, None before there were."""
        best = int(self._counts[1, stream])
        return None if best < 0 else best / (_GRAIN * ANCHORED)

    def latest(self, stream: int, most: int) -> list[float]:
        """Return the sums of the latest tens, at most so many, oldest first."""
        tens = int(self._counts[0, stream])
        at = np.arange(max(tens - most, tens - _ROOM, 0), tens) % _ROOM
        latest: list[float] = (self._ring[stream, at] / _GRAIN).tolist()
        return latest

    def to_state(self) -> dict[str, Any]:
        """Return the exact state as arrays."""
        counts = self._counts[:, : self._streams]
        # Of the ring what has been written: the rest may be anything.
        rings = [
            ring[: min(tens, _ROOM)]
            for ring, tens in zip(self._ring, counts[0].tolist(), strict=False)
        ]
        return {
            "counts": counts.reshape(-1).copy(),
            "rings": np.concatenate([np.zeros(0, np.uint8), *rings]),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``to_state`` returned."""
        self._counts = state["counts"].reshape(5, -1).copy()
        self._streams = self._counts.shape[1]
        self._ring, at = np.zeros((self._streams, _ROOM), dtype=np.uint8), 0
        for stream, tens in enumerate(self._counts[0].tolist()):
            length = min(tens, _ROOM)
            self._ring[stream, :length] = state["rings"][at : at + length]
            at += length

    def _move(self, counts: Ints, streams: Ints, moved: Ints, since: Ints) -> None:
        """Let the baselines of streams go on by fifty outcomes, from the ten ``since``."""
        came = self._tens(streams[moved], since)
        went = self._tens(streams[moved], since - _SPAN)
        left = self._tens(streams[moved], since - _ANCHOR_SPAN)
        counts[2, moved] += (came - went).sum(axis=0)
        counts[3, moved] += (came**2 - went**2).sum(axis=0)
        counts[4, moved] += (came - left).sum(axis=0)

    def _tens(self, streams: Ints, first: Ints) -> Ints:
        """Return fifty outcomes of each stream, from a ten on; 0 for what was before all."""
        at = first + _STEPS[:, np.newaxis]
        tens: Ints = np.where(at >= 0, self._ring[streams, at % _ROOM], 0).astype(np.int64)
        return tens

    @staticmethod
    def _known(tens: Ints) -> Ints:
        known: Ints = TEN * np.minimum(_until(tens), _SPAN)
        return known

    def _temper(self, counts: Ints, known: Floats) -> Floats:
        """Return by how much the means of ten vary more than those of independent outcomes."""
        if not self._tempering:
            return np.ones(len(known))
        tens, full = known / TEN, TEN * _GRAIN
        with np.errstate(all="ignore"):  # where nothing is known it is not taken
            mean = counts[2] / (tens * full)
            spread = mean * (1.0 - mean)
            variance = counts[3] / (tens * full * full) - mean * mean
            excess = TEN * variance / spread - 1.0 - np.sqrt(2.0 / tens)
            temper = 1.0 + _UNSEEN * np.maximum(0.0, excess)
        found: Floats = np.where((known > 0) & (spread > 0.0), temper, 1.0)
        return found


def _until(tens: Ints) -> Ints:
    """Return the number of the first ten that is too young for the baseline."""
    until: Ints = np.where(tens < _FIRST, 0, np.maximum(tens - _GAP, _FIRST))
    return until

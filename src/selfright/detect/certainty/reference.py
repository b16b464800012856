"""What an agent was, as far as its outcomes show: the references that a drop is held against.

*Baseline*: the 95 % lower bound of the latest 4,000 outcomes that are older than 250, renewed
every 50; from outcome 200 to 450, of the first 200. It follows what changes slowly.

*Anchor*: the 99 % lower bound of the best 2,000 consecutive outcomes accepted so far. It is
lowered by an operator alone, never by time: many small steps down are a large one.

Outcomes are kept as sums of ten, 0 to 10 in steps of 1/25, one byte each: exact for outcomes of
0 and 1, to 2 per mille of an outcome for graded ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from selfright.detect.certainty.bound import Z95, Z99, lower_bound
from selfright.detect.certainty.lane import FIFTY, TEN

_GRAIN: Final = 25  # steps in one outcome
_RENEWED: Final = FIFTY // TEN  # tens between two renewals
_FIRST: Final = 20  # tens that the first baseline consists of
_GAP: Final = 25  # tens: the youngest 250 outcomes are no reference, for they may be the drop
_SPAN: Final = 400  # tens of the baseline
_ANCHOR_SPAN: Final = 200  # tens of the anchor
ANCHORED: Final = TEN * _ANCHOR_SPAN
_ROOM: Final = _SPAN + _GAP + _RENEWED


Snapshot = tuple[int, int, int, int, int, bytes]


class Levels(NamedTuple):
    """The references after a renewal; None where there are too few outcomes."""

    baseline: float | None
    anchor: float | None
    temper: float


class RateReference:
    """Learns the references of one rate of one agent from its accepted outcomes.

    Parameters
    ----------
    tempering
        Whether bursts of failures are allowed for; see ``bets``.

    Notes
    -----
    About 0.2 us an outcome, 0.9 kB once 4,000 outcomes came.
    """

    __slots__ = ("_best", "_ring", "_span_sum", "_square", "_sum", "_tempering", "tens")

    def __init__(self, *, tempering: bool = True) -> None:
        self._tempering = tempering
        self._best = -1  # largest sum of 200 tens in a row, in grains; -1: none yet
        self._empty()

    @property
    def known(self) -> int:
        """Outcomes that the baseline rests on."""
        return TEN * (self._until() - self._since())

    @property
    def mean(self) -> float:
        """Mean of the outcomes that the baseline rests on; 0 while there is none."""
        return self._sum / (_GRAIN * self.known) if self.known else 0.0

    @property
    def anchor_mean(self) -> float | None:
        """Mean of the best 2,000 consecutive outcomes, None before there were as many."""
        return None if self._best < 0 else self._best / (_GRAIN * TEN * _ANCHOR_SPAN)

    def add(self, tens: Sequence[float]) -> Levels | None:
        """Accept fifty outcomes as sums of ten; return the references once there are any."""
        for total in tens:
            self._push(round(total * _GRAIN))
        if self.tens < _FIRST:
            return None
        until = self._until()
        before = max(until - _RENEWED, _FIRST) if self.tens > _FIRST else 0
        if until > before:
            self._take(before, until)
        return self.levels()

    def levels(self) -> Levels:
        """Return the references as they stand."""
        baseline = lower_bound(self._sum / _GRAIN, self.known, Z95) if self.known else None
        anchor = None
        if self._best >= 0:
            anchor = lower_bound(self._best / _GRAIN, TEN * _ANCHOR_SPAN, Z99)
        return Levels(baseline, anchor, self._temper())

    def restart(self, *, anchor: bool) -> None:
        """Forget the outcomes, and with ``anchor`` also how good the agent ever was."""
        if anchor:
            self._best = -1
        self._empty()

    def snapshot(self) -> Snapshot:
        """Return what ``back`` needs to undo the next ``add``."""
        at = self.tens % _ROOM
        over = bytes(self._ring[at : at + _RENEWED])
        return self.tens, self._best, self._sum, self._square, self._span_sum, over

    def back(self, before: Snapshot) -> None:
        """Undo an ``add``, given the snapshot taken before it."""
        self.tens, self._best, self._sum, self._square, self._span_sum, over = before
        at = self.tens % _ROOM
        self._ring[at : at + _RENEWED] = over

    def to_state(self) -> tuple[list[int], bytes]:
        """Return the exact state: counts and sums, and the tens."""
        counts = [self.tens, self._best, self._sum, self._square, self._span_sum]
        return counts, bytes(self._ring)

    def restore(self, state: tuple[list[int], bytes]) -> None:
        """Take over what ``to_state`` returned."""
        (self.tens, self._best, self._sum, self._square, self._span_sum), ring = state
        self._ring = bytearray(ring)

    def latest(self, most: int) -> list[float]:
        """Return the sums of the latest tens, at most so many, oldest first."""
        first = max(self.tens - most, self.tens - len(self._ring), 0)
        return [ten / _GRAIN for ten in self._part(first, self.tens)]

    def _empty(self) -> None:
        self.tens = 0
        self._ring = bytearray()
        self._sum = self._square = self._span_sum = 0

    def _push(self, ten: int) -> None:
        at = self.tens % _ROOM
        if at < len(self._ring):
            self._ring[at] = ten
        else:
            self._ring.append(ten)
        self.tens += 1

    def _until(self) -> int:
        """Return the number of the first ten that is too young for the baseline."""
        if self.tens < _FIRST:
            return 0
        return max(self.tens - _GAP, _FIRST)

    def _since(self) -> int:
        return max(self._until() - _SPAN, 0)

    def _part(self, first: int, last: int) -> bytes:
        start, end = first % _ROOM, last % _ROOM
        if first == last or start < end:
            return bytes(self._ring[start:end])
        return bytes(self._ring[start:] + self._ring[:end])

    def _take(self, before: int, until: int) -> None:
        came = self._part(before, until)
        went = self._part(max(before - _SPAN, 0), max(until - _SPAN, 0))
        self._sum += sum(came) - sum(went)
        self._square += _squares(came) - _squares(went)
        self._span_sum += sum(came) - sum(
            self._part(max(before - _ANCHOR_SPAN, 0), max(until - _ANCHOR_SPAN, 0))
        )
        if until >= _ANCHOR_SPAN:
            self._best = max(self._best, self._span_sum)

    def _temper(self) -> float:
        """Return by how much the means of ten vary more than those of independent outcomes."""
        tens = self.known // TEN
        if not self._tempering or not tens:
            return 1.0
        full = TEN * _GRAIN
        mean = self._sum / (tens * full)
        spread = mean * (1.0 - mean)
        variance = self._square / (tens * full * full) - mean * mean
        return max(1.0, TEN * variance / spread) if spread > 0.0 else 1.0


def _squares(part: bytes) -> int:
    return sum(value * value for value in part)

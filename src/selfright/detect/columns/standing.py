"""What is likely at this moment, about whom and since when, at any row of a block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from selfright.detect.columns.entries import Ints
from selfright.detect.detection import SYSTEM, WatchedMetric


class Since(NamedTuple):
    """Event time and offset of the outcome since which something has stood without a break."""

    ts_us: int
    offset: int


class Turned(NamedTuple):
    """Something stands from this row on, or (None) no longer does."""

    row: int
    scope: int
    metric: WatchedMetric
    since: Since | None


Found = dict[int, dict[WatchedMetric, Since]]


class Standing:
    """What stands, as of the state that was kept or of a row of the block that is fed.

    Notes
    -----
    A copy of what stands is carried from row to row; asked for an earlier row, it starts again.
    """

    def __init__(self) -> None:
        self.kept: Found = {}
        self._turned: list[Turned] = []
        self._now: Found = self.kept
        self._done = 0  # changes that are in `_now`

    @property
    def now(self) -> Mapping[int, Mapping[WatchedMetric, Since]]:
        """What stands by scope, nothing for scopes about which nothing does."""
        return self._now

    def feed(self, turned: list[Turned]) -> None:
        """Take the changes of a block, in the order of its rows, for the time being."""
        self._turned = turned
        self.at(None)

    def at(self, row: int | None) -> None:
        """Look at what stands after ``row`` of the block; None: in the state that was kept."""
        if row is None or not self._turned:
            self._now, self._done = self.kept, 0
            return
        if self._done and self._turned[self._done - 1].row > row:
            self._now, self._done = self.kept, 0
        while self._done < len(self._turned) and self._turned[self._done].row <= row:
            if self._now is self.kept:
                self._now = {scope: dict(found) for scope, found in self.kept.items()}
            _turn(self._now, self._turned[self._done])
            self._done += 1

    def keep(self) -> None:
        """Make the changes of the block part of the state."""
        for one in self._turned:
            _turn(self.kept, one)
        self.feed([])

    def forget(self, scope: int) -> None:
        """Nothing stands about ``scope`` any more."""
        self.kept.pop(scope, None)

    def rows(self, agent: Ints) -> Ints:
        """Return the rows of a block after which something stands about their agent or the fleet.

        ``agent`` is whose rows they are.
        """
        marked = np.zeros(len(agent), dtype=np.bool_)
        for scope, spans in self._spans(len(agent)).items():
            whose = marked if scope == SYSTEM else np.zeros(len(agent), dtype=np.bool_)
            for begin, end in spans:
                whose[begin:end] = True
            if scope != SYSTEM:
                marked |= whose & (agent == scope)
        return np.flatnonzero(marked)

    def _spans(self, rows: int) -> dict[int, list[tuple[int, int]]]:
        found = {scope: dict(metrics) for scope, metrics in self.kept.items()}
        began = dict.fromkeys(found, 0)
        spans: dict[int, list[tuple[int, int]]] = {}
        for one in self._turned:
            stood = one.scope in found
            _turn(found, one)
            if one.scope in found and not stood:
                began[one.scope] = one.row
            elif stood and one.scope not in found:
                spans.setdefault(one.scope, []).append((began.pop(one.scope), one.row))
        for scope, begin in began.items():
            spans.setdefault(scope, []).append((begin, rows))
        return spans


def _turn(found: Found, one: Turned) -> None:
    if one.since is not None:
        found.setdefault(one.scope, {})[one.metric] = one.since
    elif one.scope in found:
        found[one.scope].pop(one.metric, None)
        if not found[one.scope]:
            del found[one.scope]

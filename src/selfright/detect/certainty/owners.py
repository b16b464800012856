"""Whose stream is which: from agent and metric to the number of its stream, and back."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from selfright.detect.detection import WatchedMetric

Ints = npt.NDArray[np.int64]

_NONE: Final = -1
_FIRST: Final = 1  # place of agent 0 in a table; that of the fleet is before it


class Stream(NamedTuple):
    """Whose stream it is, of which metric, and whether its low side is meant (quantities)."""

    scope: int
    metric: WatchedMetric
    low: bool = False


class Owners:
    """The streams of a fleet that are numbered together.

    Parameters
    ----------
    metrics
        What they are streams of.

    Notes
    -----
    Numbers are never given twice. 4 bytes a metric and agent, and 5 a stream.
    """

    def __init__(self, metrics: tuple[WatchedMetric, ...]) -> None:
        self._metrics = metrics
        self._number = {metric: np.full(_FIRST, _NONE, dtype=np.int32) for metric in metrics}
        self._scopes, self._metric = array("i"), array("b")

    def __getitem__(self, number: int) -> Stream:
        return Stream(self._scopes[number], WatchedMetric(self._metric[number]))

    def __len__(self) -> int:
        return len(self._scopes)

    def number(self, scope: int, metric: WatchedMetric) -> int | None:
        """Return the number of a stream, None if there is none."""
        known = self._number[metric]
        number = int(known[scope + _FIRST]) if scope + _FIRST < len(known) else _NONE
        return None if number == _NONE else number

    def numbers(self, agents: Ints, metric: WatchedMetric) -> Ints:
        """Return the numbers of the streams of agents that all have one."""
        return self._number[metric][agents + _FIRST].astype(np.int64)

    def without(self, agents: Ints, metric: WatchedMetric) -> npt.NDArray[np.bool_]:
        """Return which of these agents have no such stream."""
        self._reach(metric, int(agents.max(initial=0)))
        missing: npt.NDArray[np.bool_] = self._number[metric][agents + _FIRST] == _NONE
        return missing

    def of(self, scope: int) -> Iterator[tuple[WatchedMetric, int]]:
        """Yield metric and number of each stream of ``scope``."""
        for metric in self._metrics:
            number = self.number(scope, metric)
            if number is not None:
                yield metric, number

    def open(self, scope: int, metric: WatchedMetric) -> int:
        """Return the number of a new stream."""
        self._reach(metric, scope)
        number = len(self._scopes)
        self._number[metric][scope + _FIRST] = number
        self._scopes.append(scope)
        self._metric.append(metric)
        return number

    def close(self, scope: int, metric: WatchedMetric) -> None:
        """Let a stream belong to nobody."""
        self._number[metric][scope + _FIRST] = _NONE

    def to_state(self) -> dict[str, Any]:
        """Return the exact state as arrays."""
        scopes = np.array(self._scopes, dtype=np.int64)
        metrics = np.array(self._metric, dtype=np.int64)
        closed = [n for n in range(len(self)) if self.number(*self[n][:2]) != n]
        return {
            "scopes": scopes,
            "metrics": metrics,
            "closed": np.array(closed, dtype=np.int64),
        }

    @classmethod
    def from_state(cls, metrics: tuple[WatchedMetric, ...], state: dict[str, Any]) -> Owners:
        """Return what ``to_state`` described."""
        made, closed = cls(metrics), set(state["closed"].tolist())
        pairs = zip(state["scopes"].tolist(), state["metrics"].tolist(), strict=True)
        for number, (scope, metric) in enumerate(pairs):
            before = made.number(scope, WatchedMetric(metric))
            made.open(scope, WatchedMetric(metric))
            if number in closed:  # one of before it may be open again, never the other way round
                made._number[WatchedMetric(metric)][scope + _FIRST] = (
                    _NONE if before is None else before
                )
        return made

    def _reach(self, metric: WatchedMetric, agent: int) -> None:
        known = self._number[metric]
        if agent + _FIRST >= len(known):
            wide = max(agent + _FIRST + 1, len(known) + len(known) // 4)
            room = np.full(wide, _NONE, dtype=np.int32)
            room[: len(known)] = known
            self._number[metric] = room

"""Fleet-wide figures per span of minutes: what series and trends are drawn from.

A span is ``width`` minutes long and begins at a multiple of that, so that the same span
serves every reader, and complete spans never move. They are made on demand and kept
until a minute in them changes.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from selfright.events.batch import KIB_PER_MB, NANO_PER_USD, Q32, US_PER_MS
from selfright.metrics.columns import WIDTH, Column, sum_cells, sum_keys
from selfright.metrics.histogram import BUCKETS, bucket_at, edges
from selfright.metrics.labels import SLOT_BITS, SLOTS
from selfright.metrics.metric_type import MetricType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from selfright.metrics.minute import Minute

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_KEPT_CELLS: Final = 150_000  # of all digests kept together: 40 MB

# Column of the count and, right behind it, of the sum; and how many units make one.
_MEANS: Final = {
    MetricType.TOKEN_USAGE: (Column.TOKENS, 1),
    MetricType.API_CALLS: (Column.API_CALLS, 1),
    MetricType.COST: (Column.COST_NANO_USD, NANO_PER_USD),
    MetricType.MEMORY: (Column.MEMORY_KIB, KIB_PER_MB),
    MetricType.CPU: (Column.CPU_US, US_PER_MS),
    MetricType.ACCURACY: (Column.ACCURACY_Q32, Q32),
    MetricType.QUALITY: (Column.QUALITY_Q32, Q32),
}


class Digest:
    """One span: the fleet in row 0, then every agent that did something in it.

    Attributes
    ----------
    agents
        Codes of the agents, ascending; row i + 1 is that of ``agents[i]``.
    values
        int64[1 + agents, WIDTH], sums by ``Column``.
    medians_ms
        Median duration of each row; NaN where nothing was timed.
    """

    __slots__ = ("agents", "medians_ms", "values")

    def __init__(self, minutes: list[Minute]) -> None:
        cells = [minute.cells() for minute in minutes]
        marks = [minute.marks() for minute in minutes]
        none = np.empty(0, dtype=np.int64)
        self.agents, values = sum_cells(
            np.concatenate([none, *(agents for agents, _ in cells)]),
            np.concatenate([np.empty((0, WIDTH), np.int64), *(values for _, values in cells)]),
        )
        self.values: Ints = np.concatenate((values.sum(axis=0, keepdims=True), values))
        keys = np.concatenate([none, *(keys for keys, _ in marks)])
        counts = np.concatenate([none, *(counts for _, counts in marks)])
        timed = (keys & (SLOTS - 1)) < BUCKETS
        self.medians_ms = self._medians(*sum_keys(keys[timed], counts[timed]))

    def rows(self, agents: Ints) -> Ints:
        """Return the row of each agent, -1 where it has none; agent -1 is the fleet."""
        place = np.searchsorted(self.agents, agents)
        found = np.concatenate((self.agents, [-1]))[place] == agents
        return np.where(agents < 0, 0, np.where(found, place + 1, -1))

    def measure(self, metric: MetricType) -> tuple[Floats, Ints]:
        """Return the metric of each row, NaN where unknown, and the events it rests on."""
        values = self.values
        if metric is MetricType.LATENCY:
            return self.medians_ms, values[:, Column.DURATION_US]
        if metric in _MEANS:
            column, unit = _MEANS[metric]
            return _ratio(values[:, column + 1], values[:, column], unit)
        decided = values[:, : Column.CANCELLED].sum(axis=1)
        if metric is MetricType.SUCCESS_RATE:
            return _ratio(values[:, Column.SUCCESS], decided, 1)
        return _ratio(values[:, Column.FAILURE] + values[:, Column.TIMEOUT], decided, 1)

    def _medians(self, keys: Ints, counts: Ints) -> Floats:
        medians = np.full(len(self.values), np.nan)
        if len(keys) == 0:
            return medians
        value = edges().value / US_PER_MS
        slots = keys & (SLOTS - 1)
        fleet = np.bincount(slots, weights=counts, minlength=BUCKETS).astype(np.int64)
        medians[0] = value[bucket_at(fleet, [-(-int(fleet.sum()) // 2)])[0]]
        bounds = np.searchsorted(keys, np.append(self.agents, 1 << 40) << SLOT_BITS)
        reached = np.concatenate(([0], np.cumsum(counts)))
        before, after = reached[bounds[:-1]], reached[bounds[1:]]
        middle = before + (after - before + 1) // 2
        place = np.searchsorted(reached, middle, side="left") - 1
        timed = after > before
        medians[1:][timed] = value[slots[place[timed]]]
        return medians


class Digests:
    """Makes digests and keeps those that still hold, the latest used first to stay."""

    __slots__ = ("_cells", "_kept")

    def __init__(self) -> None:
        self._cells = 0
        self._kept: OrderedDict[tuple[int, int], tuple[tuple[int, ...], Digest]] = OrderedDict()

    def get(self, minutes: Mapping[int, Minute], width: int, span: int) -> Digest:
        """Return the digest of minutes ``span * width`` to ``(span + 1) * width`` - 1."""
        present = [minutes.get(m) for m in range(span * width, (span + 1) * width)]
        versions = tuple(0 if minute is None else minute.version for minute in present)
        key = (width, span)
        kept = self._kept.get(key)
        if kept is not None and kept[0] == versions:
            self._kept.move_to_end(key)
            return kept[1]
        digest = Digest([minute for minute in present if minute is not None])
        self._forget(key)
        self._kept[key] = (versions, digest)
        self._cells += len(digest.values)
        while self._cells > _KEPT_CELLS and len(self._kept) > 1:
            self._forget(next(iter(self._kept)))
        return digest

    def _forget(self, key: tuple[int, int]) -> None:
        gone = self._kept.pop(key, None)
        if gone is not None:
            self._cells -= len(gone[1].values)


def _ratio(total: Ints, count: Ints, unit: int) -> tuple[Floats, Ints]:
    with np.errstate(divide="ignore", invalid="ignore"):
        value = total / count / unit
    value[count <= 0] = np.nan
    return value, count

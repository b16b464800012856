"""What totals hold of an agent: its sums, the quantiles of its durations, its names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from selfright.events.batch import US_PER_MS
from selfright.metrics.columns import WIDTH, Column
from selfright.metrics.histogram import OCTAVES, edges, rank
from selfright.metrics.interval import quantile_ranks
from selfright.metrics.labels import FIRST, SLOT_BITS, SLOTS, Kind
from selfright.metrics.paged import PAGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from selfright.metrics.labels import Labels
    from selfright.metrics.totals import Totals

Ints = npt.NDArray[np.int64]

_AT_A_TIME: Final = 1024  # agents whose quantiles are read together: bounds the memory


class Latencies(NamedTuple):
    """Quantiles of durations in ms, and the ends of the 95 % interval of p95."""

    p50: float | None
    p95: float | None
    p99: float | None
    greatest: float | None
    p95_low: float | None
    p95_high: float | None


class Figures(NamedTuple):
    """Sums by ``Column``, quantiles, and counts by name of each kind."""

    cell: Sequence[int]
    latencies: Latencies
    names: Mapping[Kind, dict[str, int]]


NO_LATENCIES: Final = Latencies(None, None, None, None, None, None)
NO_FIGURES: Final = Figures((0,) * WIDTH, NO_LATENCIES, {})


def figures_of(totals: Totals, labels: Labels, agent: int | None) -> Figures:
    """Return the figures of an agent, or with None those of all agents together."""
    if agent is not None and agent >= len(totals.values):
        return NO_FIGURES
    cell = (totals.values.sum(axis=0) if agent is None else totals.values[agent]).tolist()
    counts = totals.counts
    numbers, pages = counts.pages_of_all() if agent is None else counts.pages_of(agent)
    timed = int(np.searchsorted(numbers, OCTAVES))
    latencies = NO_LATENCIES
    if cell[Column.DURATION_US] > 0:
        ranks = _ranks(cell[Column.DURATION_US])
        reached = np.cumsum(pages[:timed].reshape(-1))
        place = np.searchsorted(reached, ranks, side="left")
        latencies = _latencies((numbers[place // PAGE] * PAGE + place % PAGE).tolist(), ranks)
    names: dict[Kind, dict[str, int]] = {}
    for row, column in zip(*np.nonzero(pages[timed:]), strict=True):
        kind, name = labels.find(int(numbers[timed + row]) * PAGE + int(column))
        names.setdefault(kind, {})[name] = pages[timed:].item(row, column)
    return Figures(cell, latencies, names)


def figures_of_all(totals: Totals, labels: Labels, agents: Ints) -> list[Figures]:
    """Return the figures of each of ``agents``; about 5 us each."""
    cells: list[list[int]] = totals.values[agents].tolist()
    names = _names(totals, labels)
    latencies = [NO_LATENCIES] * len(cells)
    counts = totals.values[agents, Column.DURATION_US]
    timed = np.flatnonzero(counts > 0)
    for start in range(0, len(timed), _AT_A_TIME):
        part = timed[start : start + _AT_A_TIME]
        for i, latency in zip(part.tolist(), _all(totals, agents[part], counts[part]), strict=True):
            latencies[i] = latency
    return [
        Figures(cell, latency, names.get(agent, {}))
        for agent, cell, latency in zip(agents.tolist(), cells, latencies, strict=True)
    ]


def _ranks(n: int) -> list[int]:
    """Return the ranks to look up among ``n`` values, in the order of ``Latencies``.

    Those of the interval are 0 where ``n`` is too small for one.
    """
    low, high = quantile_ranks(n, 0.95) or (0, 0)
    return [rank(n, 50, 100), rank(n, 95, 100), rank(n, 99, 100), n, low, high]


def _latencies(buckets: Sequence[int], ranks: Sequence[int]) -> Latencies:
    value = edges().value
    p50, p95, p99, greatest, low, high = [value.item(bucket) / US_PER_MS for bucket in buckets]
    if ranks[-1] == 0:
        return Latencies(p50, p95, p99, greatest, None, None)
    return Latencies(p50, p95, p99, greatest, low, high)


def _all(totals: Totals, agents: Ints, counts: Ints) -> list[Latencies]:
    """Return the latencies of many agents, the same as one by one."""
    known: dict[int, list[int]] = {n: _ranks(n) for n in np.unique(counts).tolist()}
    ranks = np.array([known[n] for n in counts.tolist()])
    values = edges().value[totals.counts.quantile_buckets(agents, ranks)] / US_PER_MS
    found = [Latencies(*row) for row in values.tolist()]
    for i in np.flatnonzero(ranks[:, -1] == 0).tolist():
        found[i] = found[i]._replace(p95_low=None, p95_high=None)
    return found


def _names(totals: Totals, labels: Labels) -> dict[int, dict[Kind, dict[str, int]]]:
    keys, counts = totals.counts.entries(FIRST[0])
    slots = keys & (SLOTS - 1)
    owners = {slot: labels.find(slot) for slot in np.unique(slots).tolist()}
    found: dict[int, dict[Kind, dict[str, int]]] = {}
    for key, slot, count in zip(keys.tolist(), slots.tolist(), counts.tolist(), strict=True):
        kind, name = owners[slot]
        found.setdefault(key >> SLOT_BITS, {}).setdefault(kind, {})[name] = count
    return found

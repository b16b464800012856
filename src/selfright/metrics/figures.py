"""What totals hold of many agents: their sums, the quantiles of their durations, their names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from selfright.events.batch import US_PER_MS
from selfright.metrics.columns import WIDTH, Column
from selfright.metrics.histogram import OCTAVES, edges, rank
from selfright.metrics.interval import quantile_ranks
from selfright.metrics.labels import FIRST, SHARE, Kind
from selfright.metrics.paged import PAGES

if TYPE_CHECKING:
    from selfright.metrics.labels import Labels
    from selfright.metrics.paged import Pages
    from selfright.metrics.totals import Totals

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# What follows from the sums: decided runs, failures with timeouts, and all runs.
DECIDED: Final = WIDTH
ERRORS: Final = WIDTH + 1
TOTAL: Final = WIDTH + 2

_PERCENTS: Final = np.array([50, 95, 99, 100])
_AT_A_TIME: Final = 1024  # agents whose pages are read together: bounds the memory
_DURATIONS: Final = range(OCTAVES)  # pages of latency buckets; behind them those of names
_NAMES: Final = range(OCTAVES, PAGES)


class Marks(NamedTuple):
    """How often each name was met, ascending by row and slot."""

    rows: Ints
    slots: Ints
    counts: Ints

    def of(self, kind: Kind) -> Marks:
        """Return those of one kind."""
        if len(self.rows) == 0:
            return self
        mine = (self.slots >= FIRST[kind]) & (self.slots < FIRST[kind] + SHARE[kind])
        return Marks(self.rows[mine], self.slots[mine], self.counts[mine])


class Figures(NamedTuple):
    """What several agents came to, a row for each; the fleet as a whole is a row too.

    Attributes
    ----------
    sums
        int64[WIDTH + 3, rows]: a line per ``Column``, and those that follow from them.
    latencies_ms
        float64[6, rows]: p50, p95, p99, the greatest, and the ends of the 95 % interval of
        p95; NaN where unknown.
    marks
        Counts of names.
    labels
        Whose slots the marks are.
    """

    sums: Ints
    latencies_ms: Floats
    marks: Marks
    labels: Labels

    def names(self, kind: Kind) -> list[dict[str, int]]:
        """Return the counts by name of each row, every one a dictionary of its own."""
        found: list[dict[str, int]] = [{} for _ in range(self.sums.shape[1])]
        rows, slots, counts = self.marks.of(kind)
        if len(rows):
            names = self.labels.names(kind)
            places = (slots - FIRST[kind]).tolist()
            for row, place, count in zip(rows.tolist(), places, counts.tolist(), strict=True):
                found[row][names[place]] = count
        return found


def figures_of(totals: Totals, labels: Labels, agents: Ints | None) -> Figures:
    """Return the figures of each of ``agents``, or with None those of all of them together.

    About 100 us, and 1 us per agent. An agent that the totals have no room for came to
    nothing.
    """
    if agents is None:
        cells = totals.values.sum(axis=0, keepdims=True)
        pages, named = (totals.counts.pages_of_all(part) for part in (_DURATIONS, _NAMES))
        marks = Marks(*named.entries())
        return Figures(_sums(cells), _latencies(pages, cells), marks, labels)
    cells = np.zeros((len(agents), WIDTH), dtype=np.int64)
    held = agents < len(totals.values)
    cells[held] = totals.values[agents[held]]
    latencies = np.empty((6, len(agents)))
    for start in range(0, len(agents), _AT_A_TIME):
        part = slice(start, start + _AT_A_TIME)
        pages = totals.counts.pages_of(agents[part], _DURATIONS)
        latencies[:, part] = _latencies(pages, cells[part])
    marks = Marks(*totals.counts.pages_of(agents, _NAMES).entries())
    return Figures(_sums(cells), latencies, marks, labels)


def _sums(cells: Ints) -> Ints:
    sums = np.empty((WIDTH + 3, len(cells)), dtype=np.int64)
    sums[:WIDTH] = cells.T
    sums[DECIDED] = sums[: Column.CANCELLED].sum(axis=0)
    sums[ERRORS] = sums[Column.FAILURE] + sums[Column.TIMEOUT]
    sums[TOTAL] = sums[: Column.RETRIED].sum(axis=0)
    return sums


def _latencies(pages: Pages, cells: Ints) -> Floats:
    n = cells[:, Column.DURATION_US]
    ranks = np.empty((len(n), 6), dtype=np.int64)
    ranks[:, :4] = rank(n[:, None], _PERCENTS, 100)
    ranks[:, 4], ranks[:, 5] = quantile_ranks(n, 0.95)
    found = edges().value[pages.slots_at(ranks)] / US_PER_MS
    found[n <= 0] = np.nan
    found[ranks == 0] = np.nan  # too few for an interval
    return found.T

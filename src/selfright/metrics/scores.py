"""One agent beside its fleet: three scores in 0..1.

Definitions
-----------
*reliability* is the lower end of the 95 % interval of the success rate: what one may
count on. It rises with the rate and with the number of decided runs.

*efficiency* compares what a success takes with the fleet's median agent, in three
respects: median latency, cost per success, tokens per success. Each gives
``median / (median + own)``, thus 0.5 for the median agent and more for a cheaper one; the
score is the mean of those known. An agent that decided runs without any success scores
0 in cost and tokens if it spent any.

*specialization* is 1 - H / log K, where H is the entropy of the task types of the
agent's decided runs and K the number of task types seen in the fleet: 1 for an agent with
a single type of task, 0 for one that is given all types equally.

A score is None where it would rest on nothing: no decided run; no other agent to compare
with; fewer than two task types in the fleet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from selfright.metrics.blanked import listed
from selfright.metrics.columns import Column
from selfright.metrics.figures import DECIDED
from selfright.metrics.labels import Kind

if TYPE_CHECKING:
    from selfright.metrics.figures import Figures

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Scores = list[float | None]

_SPENT: Final = [int(Column.COST_NANO_USD), int(Column.TOKENS)]


class FleetReference(NamedTuple):
    """What the median agent takes per success, and which task types there are.

    Attributes
    ----------
    medians
        Over the agents: latency, cost, tokens. NaN unless at least two agents have it.
    task_types
        How many types of tasks the fleet handled.
    """

    medians: Floats
    task_types: int


def fleet_reference(figures: Figures) -> FleetReference:
    """Return what the agents of a fleet are compared with, given the figures of each."""
    medians = [_median(own[~np.isnan(own)]) for own in _per_success(figures)]
    types = np.unique(figures.marks.of(Kind.TASK_TYPE).slots)
    return FleetReference(np.array(medians), len(types))


def scores_of(figures: Figures, fleet: FleetReference) -> tuple[Scores, Scores]:
    """Return the specialization and the efficiency of each row beside the fleet."""
    scores = np.array([_specializations(figures, fleet), _efficiencies(figures, fleet)])
    specialization, efficiency = listed(scores, ~np.isnan(scores))
    return specialization, efficiency


def _per_success(figures: Figures) -> Floats:
    """Return what a success takes, a line per resource; NaN where unknown.

    It is infinite where something was spent for none.
    """
    sums = figures.sums
    spent = sums[[column + 1 for column in _SPENT]]
    known = (sums[_SPENT] > 0) & (sums[DECIDED] > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(spent > 0, spent / sums[Column.SUCCESS], 0.0)
    return np.concatenate((figures.latencies_ms[:1], np.where(known, each, np.nan)))


def _median(known: Floats) -> float:
    # numpy's own is for large arrays: here it takes five times as long.
    if len(known) < 2:
        return float("nan")
    ordered = np.sort(known)
    return (ordered.item((len(known) - 1) // 2) + ordered.item(len(known) // 2)) / 2


def _efficiencies(figures: Figures, fleet: FleetReference) -> Floats:
    own, typical = _per_success(figures), fleet.medians[:, None]
    with np.errstate(invalid="ignore"):
        scores = np.where(np.isinf(typical), 1.0, typical / (typical + own))
        scores[own == typical] = 0.5  # also where both are 0 or both infinite
        scores[np.isnan(own + typical)] = np.nan
        known = ~np.isnan(scores)
        mean: Floats = np.where(known, scores, 0.0).sum(axis=0) / known.sum(axis=0)
    return mean


def _specializations(figures: Figures, fleet: FleetReference) -> Floats:
    n = figures.sums.shape[1]
    marks = figures.marks.of(Kind.TASK_TYPE)
    if fleet.task_types < 2 or len(marks.rows) == 0:
        return np.full(n, np.nan)
    runs = np.bincount(marks.rows, marks.counts, minlength=n)
    shares = marks.counts / runs[marks.rows]
    entropies = np.bincount(marks.rows, -shares * np.log(shares), minlength=n)
    scores = np.clip(1 - entropies / np.log(fleet.task_types), 0.0, 1.0)
    return np.where(runs > 0, scores, np.nan)

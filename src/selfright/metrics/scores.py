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

from dataclasses import dataclass
from math import log
from statistics import fmean, median
from typing import TYPE_CHECKING, Final

from selfright.events.timestamp import to_datetime
from selfright.metrics.snapshot import AgentPerformance

if TYPE_CHECKING:
    from collections.abc import Iterable

    from selfright.metrics.snapshot import AgentStatus, PerformanceMetrics

_RESOURCES: Final = ("latency_ms", "cost", "tokens")


@dataclass(frozen=True, slots=True)
class FleetReference:
    """What the median agent takes per success, and which task types there are.

    Attributes
    ----------
    latency_ms, cost, tokens
        Medians over the agents; None unless at least two agents have the figure.
    task_types
        How many types of tasks the fleet handled.
    """

    latency_ms: float | None
    cost: float | None
    tokens: float | None
    task_types: int


def fleet_reference(metrics: Iterable[PerformanceMetrics]) -> FleetReference:
    """Return what the agents of a fleet are compared with, given the metrics of each."""
    fleet = list(metrics)
    spent = [_per_success(own) for own in fleet]
    types = {name for own in fleet for name in own.task_types}
    found: list[float | None] = []
    for resource in _RESOURCES:
        known = [value for own in spent if (value := own[resource]) is not None]
        found.append(median(known) if len(known) > 1 else None)
    return FleetReference(found[0], found[1], found[2], len(types))


def agent_performance(
    agent_name: str,
    agent_type: str | None,
    metrics: PerformanceMetrics,
    last_run_us: int | None,
    fleet: FleetReference,
) -> AgentPerformance:
    """Return an agent's metrics with its scores beside the fleet.

    ``last_run_us`` is None for an agent that never ran.
    """
    status: AgentStatus = "active" if metrics.total_tasks else "idle"
    if last_run_us is None and not metrics.total_tasks and not metrics.accuracy_sample_size:
        status = "unknown"
    reliability = metrics.success_rate_interval
    return AgentPerformance(
        agent_name=agent_name,
        agent_type=agent_type,
        metrics=metrics,
        last_run=None if last_run_us is None else to_datetime(last_run_us),
        status=status,
        specialization_score=_specialization(metrics.task_types, fleet.task_types),
        reliability_score=None if reliability is None else reliability[0],
        efficiency_score=_efficiency(metrics, fleet),
    )


def _per_success(metrics: PerformanceMetrics) -> dict[str, float | None]:
    """Return what a success takes; infinite where much was spent for none."""
    return {
        "latency_ms": metrics.p50_latency_ms,
        "cost": _each(metrics.total_cost, metrics),
        "tokens": _each(metrics.total_tokens, metrics),
    }


def _each(spent: float | None, metrics: PerformanceMetrics) -> float | None:
    if spent is None or not metrics.decided_tasks:
        return None
    if metrics.successful_tasks:
        return spent / metrics.successful_tasks
    return float("inf") if spent else 0.0


def _efficiency(metrics: PerformanceMetrics, fleet: FleetReference) -> float | None:
    own = _per_success(metrics)
    scores = []
    for resource in _RESOURCES:
        typical, mine = getattr(fleet, resource), own[resource]
        if typical is None or mine is None:
            continue
        if mine == typical:  # also where both are 0 or both infinite
            scores.append(0.5)
        else:
            scores.append(1.0 if typical == float("inf") else typical / (typical + mine))
    return fmean(scores) if scores else None


def _specialization(task_types: dict[str, int], kinds: int) -> float | None:
    runs = sum(task_types.values())
    if kinds < 2 or not runs:
        return None
    shares = [count / runs for count in task_types.values()]
    entropy = -sum(share * log(share) for share in shares)
    return min(1.0, max(0.0, 1 - entropy / log(kinds)))

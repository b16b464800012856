"""Every agent beside its fleet: its metrics, its scores, whether it works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfright.metrics.scores import scores_of
from selfright.metrics.snapshot import AgentPerformance, datetimes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from selfright.metrics.figures import Figures
    from selfright.metrics.scores import FleetReference
    from selfright.metrics.snapshot import AgentStatus, PerformanceMetrics


def performances_of(
    names: Sequence[str],
    types: Sequence[str | None],
    metrics: Sequence[PerformanceMetrics],
    figures: Figures,
    last_us: npt.NDArray[np.int64],
    fleet: FleetReference,
) -> list[AgentPerformance]:
    """Return agents' metrics with their scores beside the fleet.

    Parameters
    ----------
    names, types
        Of each agent.
    metrics, figures
        What each came to, in full and as columns.
    last_us
        When its newest run ever began, -1 for an agent that never ran.
    fleet
        What they are compared with.
    """
    ran = last_us >= 0
    specialization, efficiency = scores_of(figures, fleet)
    return list(
        map(
            AgentPerformance,
            names,
            types,
            metrics,
            datetimes(last_us, ran),
            map(_status, metrics, ran.tolist()),
            specialization,
            map(_reliability, metrics),
            efficiency,
        )
    )


def _status(metrics: PerformanceMetrics, ran: bool) -> AgentStatus:
    if metrics.total_tasks:
        return "active"
    return "idle" if ran or metrics.accuracy_sample_size else "unknown"


def _reliability(metrics: PerformanceMetrics) -> float | None:
    known = metrics.success_rate_interval
    return None if known is None else known[0]

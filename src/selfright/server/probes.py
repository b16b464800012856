"""What machines ask: is it alive, can it work, and the figures for Prometheus."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from fastapi import APIRouter
from starlette.responses import Response

from selfright.alerts.life import AlertState
from selfright.loop.control import FOLDS
from selfright.metrics.histogram import edges
from selfright.server.answer import answer
from selfright.server.openapi import answers, named
from selfright.server.scope import Scope, needs
from selfright.server.shape import Readiness
from selfright.sinks import prometheus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from selfright.loop.fold import Fold
    from selfright.metrics.snapshot import PerformanceMetrics
    from selfright.server.service import Service

# The queue may fill up to here before the service says that it cannot keep up.
_FULL_RATIO: Final = 0.9


def router(service: Service) -> APIRouter:
    """Return the routes for probes and scrapes."""
    routes = APIRouter(tags=["service"], generate_unique_id_function=named)

    @routes.get("/healthz", summary="Liveness")
    @needs(Scope.PUBLIC)
    async def get_healthz() -> Response:
        """Return that the process answers; says nothing about its work."""
        return answer({"status": "alive"})

    @routes.get("/readyz", summary="Readiness", responses=answers(200, Readiness, 503))
    @needs(Scope.PUBLIC)
    def get_readyz() -> Response:
        """Return whether the service can do its work, and if not, why."""
        reasons = unready(service)
        word = "not ready" if reasons else "ready"
        return answer({"status": word, "reasons": reasons}, 503 if reasons else 200)

    @routes.get("/metrics", summary="Figures for Prometheus", responses={200: _TEXT})
    @needs(Scope.READ)
    def get_scrape() -> Response:
        """Return the figures in Prometheus' text format."""
        text = prometheus.render(figures(service))
        return Response(text.encode(), headers={"Content-Type": prometheus.CONTENT_TYPE})

    return routes


_TEXT: Final[dict[str, Any]] = {
    "description": "the figures",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}


def unready(service: Service) -> list[str]:
    """Return why the service cannot do its work; nothing if it can."""
    circle = service.circle
    reasons = []
    missing = circle.missing()
    if FOLDS in missing or not circle.running:
        reasons.append(f"the thread that {FOLDS} is not running: nothing is triggered")
    reasons += [f"the thread that {what} is not running" for what in missing if what != FOLDS]
    if service.keys.trouble is not None:
        reasons.append("the keys cannot be read: nobody is let in")
    if service.ingest.storage_failing:
        reasons.append("the disk refused the last write")
    waiting, room = len(circle.inbox), circle.inbox.limit
    if waiting >= _FULL_RATIO * room:
        reasons.append(f"the queue is nearly full: {waiting} of {room} events wait")
    return reasons


def figures(service: Service) -> prometheus.FleetFigures:
    """Return everything a scrape shows, as of now."""
    circle, monitor = service.circle, service.monitor
    health = monitor.get_health()["health_score"]
    stats = monitor.get_stats()
    with circle.reading() as fold:
        now_us = circle.clock.now_us()
        window = fold.rooms.metrics.snapshots(now_us, trends=False)
        past = fold.rooms.metrics.snapshots(now_us, math.inf, trends=False)
        agents = [
            _agent(fold.agents.names[code], metrics, window[code]) for code, metrics in past.items()
        ]
        durations = _durations(fold)
        firing = dict.fromkeys(("info", "warning", "critical"), 0)
        for alert in fold.rooms.book.active():
            firing[alert.level.value] += alert.state is AlertState.FIRING
        retrains: dict[tuple[str, str, str], int] = {}
        for result in fold.trials.retrainings.values():
            verdict = result.gate.verdict if result.gate is not None else result.state
            trigger = "automatic" if result.automatic else "manual"
            key = (
                result.retrain_type,
                trigger,
                verdict if result.state == "done" else result.state,
            )
            retrains[key] = retrains.get(key, 0) + 1
    age_s = max(0.0, (now_us - circle.log.last_log_time_us) / 1e6)
    return prometheus.FleetFigures(
        agents=agents,
        duration_counts=durations[0],
        duration_count=durations[1],
        duration_sum_s=durations[2],
        health_ratio=None if health is None else health / 100,
        firing=firing,
        retrains=retrains,
        ingest=_ingest(service, stats, age_s),
    )


def _ingest(service: Service, stats: Mapping[str, Any], age_s: float) -> dict[str, float]:
    found: dict[str, float] = {
        "selfright_ingest_accepted_total": stats["events_logged"],
        "selfright_ingest_duplicate_total": service.ingest.duplicates,
        "selfright_ingest_rejected_total": service.ingest.rejected,
        "selfright_ingest_late_total": stats["events_late"],
        "selfright_ingest_dead_lettered_total": stats["events_dropped"],
        "selfright_ingest_queue_depth": stats["events_buffered"],
    }
    if service.circle.log.last_log_time_us:
        found["selfright_ingest_last_commit_age_seconds"] = age_s
    return found


def _agent(
    name: str, ever: PerformanceMetrics, window: PerformanceMetrics
) -> prometheus.AgentFigures:
    tokens_in, tokens_out = ever.total_tokens_in or 0, ever.total_tokens_out or 0
    return prometheus.AgentFigures(
        name=name,
        runs={
            "success": ever.successful_tasks,
            "failure": ever.failed_tasks,
            "partial": ever.partial_tasks,
            "timeout": ever.timeout_tasks,
        },
        tokens={
            "input": tokens_in,
            "output": tokens_out,
            # Where only the total was reported, nobody knows which they were.
            "unspecified": max(0, (ever.total_tokens or 0) - tokens_in - tokens_out),
        },
        cost_usd=ever.total_cost or 0.0,
        successes=window.successful_tasks,
        decided=window.decided_tasks,
        accuracy_sum=(window.avg_accuracy or 0.0) * window.accuracy_sample_size,
        labelled=window.accuracy_sample_size,
    )


def _durations(fold: Fold) -> tuple[list[int], int, float]:
    """Return cumulative counts at the exported edges, the count and the sum in seconds.

    A duration counts where its bucket's value lies: within 1.1 % of itself.
    """
    counts, sum_us = fold.rooms.metrics.durations()
    below = np.concatenate(([0], np.cumsum(counts)))
    marks = np.searchsorted(edges().value, np.array(prometheus.DURATION_EDGES_S) * 1e6, "right")
    return below[marks].tolist(), int(below[-1]), sum_us / 1e6

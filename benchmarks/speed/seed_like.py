"""The design Selfright replaces, as the reference of the pipeline's speed.

A run becomes a dict with an ISO timestamp in a deque; every question scans the deque.
That is what most home-grown monitors do.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Any


class SeedLikeMonitor:
    """Runs as dicts in a deque; metrics by a pass over all of them."""

    def __init__(self, limit: int = 2_000_000) -> None:
        self.runs: deque[dict[str, Any]] = deque(maxlen=limit)

    def record_agent_run(  # noqa: PLR0917 - the signature that it is compared by
        self,
        run_id: str,
        agent_name: str,
        agent_type: str,
        status: str,
        duration_ms: float,
        tokens_used: int | None = None,
        cost: float | None = None,
        memory_mb: float | None = None,
        cpu_ms: float | None = None,
        quality_score: float | None = None,
        confidence: float | None = None,
        error_type: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Keep one run: the same fields, unchecked."""
        self.runs.append(
            {
                "run_id": run_id,
                "agent_name": agent_name,
                "agent_type": agent_type,
                "status": status,
                "duration_ms": duration_ms,
                "tokens_used": tokens_used,
                "cost": cost,
                "memory_mb": memory_mb,
                "cpu_ms": cpu_ms,
                "quality_score": quality_score,
                "confidence": confidence,
                "error_type": error_type,
                "metadata": metadata or {},
                "timestamp": datetime.now(UTC).isoformat(),
            }
        )

    def system_metrics(self, window_minutes: int = 60) -> dict[str, float]:
        """Return the metrics of the fleet over the window."""
        since = _since(window_minutes)
        return _of([run for run in self.runs if datetime.fromisoformat(run["timestamp"]) >= since])

    def agent_metrics(self, window_minutes: int = 60) -> dict[str, dict[str, float]]:
        """Return the metrics of every agent over the window, in one pass for all."""
        since = _since(window_minutes)
        by_agent: dict[str, list[dict[str, Any]]] = {}
        for run in self.runs:
            if datetime.fromisoformat(run["timestamp"]) >= since:
                by_agent.setdefault(run["agent_name"], []).append(run)
        return {agent: _of(runs) for agent, runs in by_agent.items()}


def _since(window_minutes: int) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=window_minutes)


def _of(runs: list[dict[str, Any]]) -> dict[str, float]:
    """Return about a third of the figures that a snapshot of ours has."""
    latencies = sorted(run["duration_ms"] for run in runs)
    n = len(runs)
    return {
        "success_rate": sum(run["status"] == "success" for run in runs) / n,
        "error_rate": sum(run["status"] == "failure" for run in runs) / n,
        "avg_latency_ms": sum(latencies) / n,
        "p50": latencies[n // 2],
        "p95": latencies[min(n - 1, int(n * 0.95))],
        "p99": latencies[min(n - 1, int(n * 0.99))],
        "tokens": sum(run["tokens_used"] or 0 for run in runs),
        "cost": sum(run["cost"] or 0.0 for run in runs),
    }

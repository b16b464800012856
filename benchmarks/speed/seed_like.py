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

    def record(
        self, run_id: str, agent: str, status: str, duration_ms: float, tokens: int, cost: float
    ) -> None:
        """Keep one run."""
        self.runs.append(
            {
                "run_id": run_id,
                "agent_name": agent,
                "agent_type": "agent",
                "status": status,
                "duration_ms": duration_ms,
                "tokens_used": tokens,
                "cost": cost,
                "timestamp": datetime.now(UTC).isoformat(),
            }
        )

    def metrics(self, window_minutes: int = 60) -> dict[str, dict[str, float]]:
        """Return the metrics of every agent over the window."""
        since = datetime.now(UTC) - timedelta(minutes=window_minutes)
        by_agent: dict[str, list[dict[str, Any]]] = {}
        for run in self.runs:
            if datetime.fromisoformat(run["timestamp"]) >= since:
                by_agent.setdefault(run["agent_name"], []).append(run)
        return {agent: _of(runs) for agent, runs in by_agent.items()}


def _of(runs: list[dict[str, Any]]) -> dict[str, float]:
    latencies = sorted(run["duration_ms"] for run in runs)
    n = len(runs)
    return {
        "success_rate": sum(run["status"] == "success" for run in runs) / n,
        "error_rate": sum(run["status"] == "failure" for run in runs) / n,
        "avg_latency_ms": sum(latencies) / n,
        "p50": latencies[n // 2],
        "p95": latencies[min(n - 1, int(n * 0.95))],
        "p99": latencies[min(n - 1, int(n * 0.99))],
        "tokens": sum(run["tokens_used"] for run in runs),
        "cost": sum(run["cost"] for run in runs),
    }

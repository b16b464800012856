"""The design Selfright replaces, as the reference of the pipeline's speed.

A run becomes a dict with an ISO timestamp in a deque; every question scans the deque.
That is what most home-grown monitors do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
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

    def system_metrics(self, window_minutes: int = 60) -> dict[str, float | None]:
        """Return the metrics of the fleet over the window."""
        since = _since(window_minutes)
        return _of([run for run in self.runs if datetime.fromisoformat(run["timestamp"]) >= since])

    def agent_metrics(self, window_minutes: int = 60) -> dict[str, dict[str, float | None]]:
        """Return the metrics of every agent over the window, in one pass for all."""
        since = _since(window_minutes)
        by_agent: dict[str, list[dict[str, Any]]] = {}
        for run in self.runs:
            if datetime.fromisoformat(run["timestamp"]) >= since:
                by_agent.setdefault(run["agent_name"], []).append(run)
        return {agent: _of(runs) for agent, runs in by_agent.items()}


def _since(window_minutes: int) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=window_minutes)


def _of(runs: list[dict[str, Any]]) -> dict[str, float | None]:
    """Return the figures of a monitor of this kind, each by a pass over the runs."""
    n = len(runs)
    latencies = sorted(run["duration_ms"] for run in runs)
    half = n // 2
    return {
        "total_tasks": n,
        "successful_tasks": sum(run["status"] == "success" for run in runs),
        "failed_tasks": sum(run["status"] == "failure" for run in runs),
        "partial_tasks": sum(run["status"] == "partial" for run in runs),
        "success_rate": sum(run["status"] == "success" for run in runs) / n,
        "error_rate": sum(run["status"] in {"failure", "timeout"} for run in runs) / n,
        "timeout_rate": sum(run["status"] == "timeout" for run in runs) / n,
        "avg_latency_ms": sum(latencies) / n,
        "p50_latency_ms": latencies[n // 2],
        "p95_latency_ms": latencies[min(n - 1, int(n * 0.95))],
        "p99_latency_ms": latencies[min(n - 1, int(n * 0.99))],
        "max_latency_ms": latencies[-1],
        "total_tokens": sum(run["tokens_used"] or 0 for run in runs),
        "total_cost": sum(run["cost"] or 0.0 for run in runs),
        "avg_memory_mb": _mean(runs, "memory_mb"),
        "avg_cpu_ms": _mean(runs, "cpu_ms"),
        "avg_quality_score": _mean(runs, "quality_score"),
        "avg_confidence": _mean(runs, "confidence"),
        # Trends as such monitors have them: the later half against the earlier.
        "success_rate_trend": _later(runs, half, lambda run: run["status"] == "success"),
        "latency_trend": _later(runs, half, lambda run: run["duration_ms"]),
        "cost_trend": _later(runs, half, lambda run: run["cost"] or 0.0),
    }


def _mean(runs: list[dict[str, Any]], field: str) -> float | None:
    known = [run[field] for run in runs if run[field] is not None]
    return sum(known) / len(known) if known else None


def _later(
    runs: list[dict[str, Any]], half: int, value: Callable[[dict[str, Any]], float]
) -> float | None:
    if not half:
        return None
    before, after = (sum(map(value, part)) for part in (runs[:half], runs[half:]))
    return after / (len(runs) - half) - before / half

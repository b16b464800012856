"""Record runs and real outcomes of a small fleet, read the figures, see an alert.

Run it: ``python examples/performance_monitor_example.py``
"""

from __future__ import annotations

import numpy as np

from selfright import PerformanceMonitor

AGENTS = {"planner": 0.95, "researcher": 0.90, "coder": 0.55}


def main() -> None:
    """Let three agents work, one of them badly."""
    rng = np.random.default_rng(7)
    with PerformanceMonitor(alert_thresholds={"accuracy_min": 0.75}) as monitor:
        monitor.on_alert(lambda alert: print(f"  ! {alert.level.value}: {alert.message}"))
        for number in range(120):
            for name, good in AGENTS.items():
                run_id = f"{name}-{number}"
                monitor.record_agent_run(
                    run_id, name, "llm", "success", float(rng.lognormal(6, 0.4)),
                    tokens_used=int(rng.integers(200, 900)), cost=0.002, task_type="demo",
                )  # fmt: skip
                right = rng.random() < good
                monitor.record_accuracy(name, None, right, True, run_id=run_id)
        monitor.flush()
        print(f"{'agent':12} {'runs':>5} {'accuracy':>9} {'p95 ms':>8}")
        for name, agent in monitor.get_all_agent_metrics().items():
            metrics = agent.metrics
            print(
                f"{name:12} {metrics.total_tasks:5} {metrics.avg_accuracy:9.3f} "
                f"{metrics.p95_latency_ms:8.0f}"
            )
        report = monitor.generate_report()
        print(f"health: {report['health_score']}")
        for line in report["recommendations"]:
            print(f"- {line}")


if __name__ == "__main__":
    main()

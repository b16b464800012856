"""Agents of any kind behind one orchestrator: picked by the model, recorded by the monitor.

Run it: ``python examples/orchestrator_with_monitoring.py``
"""

from __future__ import annotations

import asyncio
import tempfile

from selfright import MonitoredOrchestrator, PerformanceMonitor, RealTimeModelUpdater


def careful(task: str) -> str:
    """Answer every task."""
    return task.upper()


async def hasty(task: str) -> str:
    """Fail at long tasks."""
    await asyncio.sleep(0)
    if len(task) > 5:
        raise ValueError("too long for me")
    return task.upper()


class Slow:
    """An agent with a ``run`` method that takes too long."""

    async def run(self, task: str) -> str:
        """Answer, but late."""
        await asyncio.sleep(5)
        return task


def main() -> None:
    """Run some tasks in each of the three ways."""
    with tempfile.TemporaryDirectory() as folder:
        updater = RealTimeModelUpdater(model_storage_path=folder)
        with PerformanceMonitor(model_updater=updater) as monitor:
            fleet = MonitoredOrchestrator(
                {"careful": careful, "hasty": hasty}, monitor=monitor, updater=updater
            )
            for number in range(60):
                fleet.run(f"task number {number}", task_type="shout")
            best = fleet.run("a last long task", task_type="shout")
            print(f"select: {best.agent_name} answered {best.output!r}")
            first = fleet.run("short", strategy="sequential")
            print(f"sequential: {[result.agent_name for result in first.results]}")
            slow = MonitoredOrchestrator(
                {"careful": careful, "slow": Slow()}, monitor=monitor, timeout_s=0.1
            )
            both = slow.run("hello", strategy="parallel")
            print(f"parallel: {[(result.agent_name, result.status) for result in both.results]}")
            for name, agent in fleet.get_performance_summary()["agents"].items():
                print(f"{name}: success rate {agent['metrics']['success_rate']}")


if __name__ == "__main__":
    main()

"""An agent falls from 90 % to 65 %; the fleet retrains by itself and moves away from it.

Good phase, degradation, automatic retraining, then an incremental and a full retraining
by hand, and what came of each. Run it: ``python examples/autonomous_retraining_example.py``
"""

from __future__ import annotations

import tempfile
from collections import Counter

import numpy as np

from selfright import ModelType, PerformanceMonitor, RealTimeModelUpdater

GOOD = {"planner": 0.90, "researcher": 0.80, "coder": 0.75}
BAD = {**GOOD, "planner": 0.65}


class Fleet:
    """The world: agents that are right with some probability, and a learner that picks."""

    def __init__(self, monitor: PerformanceMonitor, updater: RealTimeModelUpdater) -> None:
        self.monitor = monitor
        self.updater = updater
        self.rng = np.random.default_rng(11)
        self.tasks = 0

    def work(self, tasks: int, quality: dict[str, float]) -> None:
        """Let the learner choose an agent for each task; report what really came of it."""
        chosen: Counter[str] = Counter()
        right = 0.0
        for _ in range(tasks):
            self.tasks += 1
            choice = self.updater.select_agent("ticket", candidates=list(GOOD))
            run_id = f"run-{self.tasks}"
            correct = bool(self.rng.random() < quality[choice.agent_name])
            self.monitor.record_agent_run(
                run_id, choice.agent_name, "llm", "success", 400.0, task_type="ticket",
                decision_id=choice.decision_id,
            )  # fmt: skip
            self.monitor.record_accuracy(choice.agent_name, None, correct, True, run_id=run_id)
            if self.tasks % 10 == 0:
                self.monitor.flush()
            chosen[choice.agent_name] += 1
            right += correct
        shares = ", ".join(f"{name} {chosen[name] / tasks:.0%}" for name in GOOD)
        print(f"  accuracy {right / tasks:.2f}; chosen: {shares}")


def main() -> None:
    """Tell the story."""
    with tempfile.TemporaryDirectory() as folder:
        updater = RealTimeModelUpdater(model_storage_path=folder)
        monitor = PerformanceMonitor(model_updater=updater, alert_thresholds={"accuracy_min": 0.72})
        with monitor:
            fleet = Fleet(monitor, updater)
            print("good: the planner is right 90 % of the time")
            fleet.work(1500, GOOD)
            print("degraded: the planner falls to 65 %")
            for _ in range(4):
                fleet.work(250, BAD)
            monitor.circle.settle()
            for result in monitor.get_retrainings():
                tell(result)
            print("by hand: incremental, then full")
            tell(monitor.trigger_retraining("by hand", model_type=ModelType.LATENCY_PREDICTION))
            tell(monitor.trigger_retraining("by hand"))
            fleet.work(600, BAD)
            tell(monitor.trigger_retraining("by hand, from scratch", force_full_retrain=True))
            fleet.work(600, BAD)
            print("what became of them:")
            for result in monitor.get_retrainings():
                tell(result)


def tell(result: object) -> None:
    """Print one retraining."""
    gate = getattr(result, "gate", None)
    verdict = gate["verdict"] if gate else "none"
    print(
        f"  {result.retrain_type} retraining of {result.model_type}: {result.state}, "  # type: ignore[attr-defined]
        f"gate {verdict}, promoted {result.promoted}"  # type: ignore[attr-defined]
        + (f" ({result.error})" if result.error else "")  # type: ignore[attr-defined]
    )


if __name__ == "__main__":
    main()

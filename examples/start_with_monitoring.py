"""A service that keeps everything: log and models on disk, alerts to a callback.

Starts, works, stops, starts again and is where it was.
Run it: ``python examples/start_with_monitoring.py``
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from selfright import PerformanceMonitor, RealTimeModelUpdater


def open_monitor(folder: Path) -> PerformanceMonitor:
    """Return a monitor that keeps its state in ``folder``."""
    updater = RealTimeModelUpdater(model_storage_path=str(folder / "models"))
    monitor = PerformanceMonitor(
        database_url=f"sqlite:///{folder / 'events.db'}", model_updater=updater
    )
    monitor.on_alert(lambda alert: print(f"  ! {alert.message}"))
    return monitor


def main() -> None:
    """Work twice over the same folder."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for start in (1, 2):
            monitor = open_monitor(folder).start()
            for number in range(100):
                with monitor.run("planner", task_type="demo", run_id=f"run-{start}-{number}"):
                    pass
            monitor.flush()
            runs = monitor.get_system_metrics().total_tasks
            print(f"start {start}: {runs} runs known")
            monitor.close()


if __name__ == "__main__":
    main()

"""Readiness tells of threads that died."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from selfright.performance_monitor import PerformanceMonitor
from selfright.server.probes import unready
from selfright.server.service import Service


class Poison(tuple[object, ...]):
    """A row that ends the thread which takes it, and comes back ``times`` times."""

    __slots__ = ()
    times = 3
    taken = threading.Event()
    put: Callable[[tuple[object, ...]], bool]

    def __len__(self) -> int:
        if Poison.times:
            Poison.times -= 1
            Poison.put(self)
        Poison.taken.set()
        raise SystemExit


def _until(holds: Callable[[], bool]) -> bool:
    tick = threading.Event()
    return any(holds() or tick.wait(0.01) for _ in range(3_000))


@pytest.mark.allow_errors
def test_a_service_whose_thread_died_is_not_ready_until_it_is_back() -> None:
    """With the reason, and all the while it dies again and again."""
    with PerformanceMonitor() as monitor:
        service = Service(monitor, None)
        assert unready(service) == []
        Poison.put = monitor.circle.inbox.put
        monitor.circle.inbox.put(Poison())
        assert Poison.taken.wait(30)
        assert _until(lambda: unready(service) != [])
        while Poison.times:
            (reason,) = unready(service)
            assert "folds the log" in reason
        assert _until(lambda: unready(service) == [])
        assert monitor.get_stats()["failures"] >= 4
        monitor.record_agent_run("r", "a", "llm", "success", 10.0)
        assert monitor.get_system_metrics().total_tasks == 1

"""Where the present comes from: the only module that reads the system's clocks."""

from __future__ import annotations

import time
from typing import Protocol

US_PER_S = 1_000_000
US_PER_MIN = 60 * US_PER_S


class Clock(Protocol):
    """A source of wall-clock time. Pure rooms are given its readings, never the clock."""

    def now_us(self) -> int:
        """Return microseconds since the Unix epoch, UTC. May step backwards."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_us(self) -> int:
        """Return microseconds since the Unix epoch, UTC."""
        return time.time_ns() // 1000


def monotonic_s() -> float:
    """Return seconds on a clock that never steps back; only differences mean anything."""
    return time.perf_counter()


def cpu_s() -> float:
    """Return CPU seconds that the calling thread has used; only differences mean anything."""
    return time.thread_time()

"""What the routes share: the two faces, and what the service itself has counted."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from selfright.server.access.ring import KeyRing
from selfright.server.problem import Problem

if TYPE_CHECKING:
    from selfright.loop.control import Circle
    from selfright.online_learning import RealTimeModelUpdater
    from selfright.performance_monitor import PerformanceMonitor


@dataclass(slots=True)
class IngestCounts:
    """What became of the records that arrived over HTTP since the service started."""

    duplicates: int = 0
    rejected: int = 0
    storage_failing: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, duplicates: int, rejected: int) -> None:
        """Count a request that was served: the disk took what it brought."""
        with self._lock:
            self.duplicates += duplicates
            self.rejected += rejected
            self.storage_failing = False


@dataclass(frozen=True, slots=True)
class Service:
    """The faces behind the routes. ``updater`` is None where nothing is learnt."""

    monitor: PerformanceMonitor
    updater: RealTimeModelUpdater | None
    keys: KeyRing = field(default_factory=KeyRing)
    ingest: IngestCounts = field(default_factory=IngestCounts)

    @property
    def circle(self) -> Circle:
        """The circle that the monitor turns."""
        return self.monitor.circle

    def learner(self) -> RealTimeModelUpdater:
        """Return the updater. Raises ``Problem`` 409 if there is none."""
        if self.updater is None:
            raise Problem(409, "no-updater", "this service was started without a model updater")
        return self.updater

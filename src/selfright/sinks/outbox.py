"""A bounded queue with a worker of its own: what is put in is delivered off the caller's path.

One outbox per target, so that a target that hangs holds up nobody else. When the queue is
full the oldest item goes, for the newest news is the most useful, and it is counted.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from selfright.clock import monotonic_s

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_log = logging.getLogger("selfright")
LIMIT: Final = 1_000


class Undelivered(Exception):  # noqa: N818 - a result of a delivery, not a fault of this program
    """A delivery failed for good; the message says why and holds no secret."""


class Outbox(Generic[T]):
    """Delivers items one after the other in a thread that starts with the first of them.

    Parameters
    ----------
    name
        What the target is called in logs and stats. Must not hold secrets.
    deliver
        Delivers one item; may take its time and may raise. Its second argument is set
        when there is no time left: waits should watch it.
    limit
        Items that may wait. The oldest is dropped for a newer one.
    """

    def __init__(
        self, name: str, deliver: Callable[[T, threading.Event], None], limit: int = LIMIT
    ) -> None:
        self.name = name
        self._deliver = deliver
        self._limit = limit
        self._fresh()
        self.delivered = 0
        self.failed = 0
        self.dropped = 0
        self.last_failure: str | None = None

    def _fresh(self) -> None:
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._worker: threading.Thread | None = None
        self._closing = False
        self._abandon = threading.Event()
        self._pid = os.getpid()

    def put(self, item: T) -> None:
        """Queue an item and return at once. Never raises for trouble of the target."""
        if self._pid != os.getpid():
            # A forked child has no worker, and what waits is the parent's to deliver.
            self._fresh()
        with self._changed:
            if len(self._items) >= self._limit:
                self._items.popleft()
                self.dropped += 1
            self._items.append(item)
            self._closing = False
            self._changed.notify()
            if self._worker is None or not self._worker.is_alive():
                self._start()

    def _start(self) -> None:
        self._abandon = threading.Event()
        worker = threading.Thread(
            target=self._run, args=(self._abandon,), name=f"selfright-{self.name}", daemon=True
        )
        try:
            worker.start()
        except RuntimeError as error:  # the interpreter is shutting down, or is out of threads
            self._items.pop()
            self._note(error)
        else:
            self._worker = worker

    def close(self, drain_s: float = 2.0) -> None:
        """Deliver what waits, for at most ``drain_s`` seconds, then drop and count the rest.

        Idempotent. An item put in later starts a new worker.
        """
        deadline_s = monotonic_s() + drain_s
        with self._changed:
            self._closing = True
            self._changed.notify()
            worker, abandon = self._worker, self._abandon
        if worker is None or worker is threading.current_thread():
            return
        worker.join(max(0.0, deadline_s - monotonic_s()))
        if not worker.is_alive():
            return
        with self._changed:
            abandon.set()
            self.dropped += len(self._items)
            self._items.clear()
            # It may hang in the target's code; as a daemon it does not hold up the exit.
            self._worker = None

    def stats(self) -> dict[str, Any]:
        """Return what became of the items so far."""
        return {
            "queued": len(self._items),
            "delivered": self.delivered,
            "failed": self.failed,
            "dropped": self.dropped,
            "last_failure": self.last_failure,
        }

    def _run(self, abandon: threading.Event) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._closing or abandon.is_set())
                if abandon.is_set():
                    return
                if not self._items:
                    self._worker = None
                    return
                item = self._items.popleft()
            try:
                self._deliver(item, abandon)
            except BaseException as error:  # noqa: BLE001 - the isolation point of this target
                self._note(error)
            else:
                self.delivered += 1

    def _note(self, error: BaseException) -> None:
        self.failed += 1
        known = isinstance(error, Undelivered)
        self.last_failure = str(error) if known else f"{type(error).__name__}: {error}"
        _log.warning(
            "%s was not told: %s", self.name, self.last_failure, exc_info=None if known else error
        )

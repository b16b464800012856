"""A thread that does one task after the other, may die, and may be left behind.

A daemon: a task that never ends must not keep the process from ending. For the same
reason it is none of the standard library's executors, whose threads are waited for.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Task = TypeVar("Task")


class Worker(Generic[Task]):
    """Does tasks in the order in which they were given.

    Parameters
    ----------
    do
        Does one task. What it raises ends the thread, which its owner may start anew:
        the task is not tried again, those behind it are done.
    died
        Is told why the thread ends before its time.
    """

    def __init__(
        self, name: str, do: Callable[[Task], None], died: Callable[[BaseException], None]
    ) -> None:
        self._name = name
        self._do = do
        self._died = died
        self._changed = threading.Condition()
        self._tasks: deque[Task] = deque()
        self._closed = False
        self._thread: threading.Thread | None = None
        # Set once nobody waits any more for what is under way.
        self.abandoned = threading.Event()

    @property
    def alive(self) -> bool:
        """Whether the thread is there."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def well(self) -> bool:
        """Whether the thread is there, or has nothing to do any more."""
        over = self._closed and (not self._tasks or self.abandoned.is_set())
        return self.alive or over

    @property
    def busy(self) -> bool:
        """Whether a task is under way or waits."""
        return bool(self._tasks)

    def start(self) -> None:
        """Start the thread unless it is there: for the first time, or after it died."""
        with self._changed:
            if not self.alive and not self.abandoned.is_set():
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def submit(self, task: Task) -> None:
        """Queue a task."""
        with self._changed:
            self._tasks.append(task)
            self._changed.notify_all()

    def settle(self, timeout_s: float | None = None) -> bool:
        """Return, once all tasks are done or the time is up, whether they are."""
        if threading.current_thread() is self._thread:
            return False  # a task would wait for itself
        with self._changed:
            return self._changed.wait_for(lambda: not self._tasks, timeout_s)

    def stop(self, timeout_s: float) -> bool:
        """Do what waits, end the thread; return whether that was done in time.

        What is under way after that is left behind, what waits is dropped.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        done = self.settle(timeout_s)
        if not done:
            self.abandoned.set()
        return done

    def _run(self) -> None:
        try:
            while self._wait():
                try:
                    self._do(self._tasks[0])
                finally:
                    with self._changed:
                        self._tasks.popleft()
                        self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001 - told to the owner, who starts it anew
            self._died(error)

    def _wait(self) -> bool:
        """Return whether there is something to do, once that is known."""
        with self._changed:
            self._changed.wait_for(lambda: self._tasks or self._closed)
            return bool(self._tasks) and not self.abandoned.is_set()

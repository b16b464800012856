"""The thread that turns the circle by itself, turn after turn, until it is told to stop."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

# How long it sleeps when nothing comes in: short enough that a dashboard seems live, long
# enough that an idle process uses next to no CPU.
_IDLE_S: Final = 0.05
_BUSY_S: Final = 0.005


class Drain:
    """Calls ``turn`` again and again in a thread of its own.

    Parameters
    ----------
    turn
        Does what there is to do; returns whether that was anything.
    waiting
        Tells whether more has come in already.
    failed
        Is told what a turn raised. The next turn comes all the same, except after what
        is no ``Exception``: that ends the thread, and its keeper starts it ``anew``.
    """

    def __init__(
        self,
        turn: Callable[[], int],
        waiting: Callable[[], bool],
        failed: Callable[[str, BaseException], None],
    ) -> None:
        self._turn = turn
        self._waiting = waiting
        self._failed = failed
        self._wake = threading.Event()
        self._stopping = threading.Event()
        # Not the circle's lock: it may be taken while the fold is busy.
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def started(self) -> bool:
        """Whether it was started and not stopped, be the thread there or not."""
        return self._thread is not None

    @property
    def alive(self) -> bool:
        """Whether the thread is there."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    @property
    def well(self) -> bool:
        """Whether the thread is there, or is not wanted."""
        thread = self._thread
        return thread is None or thread.is_alive()

    @property
    def is_current(self) -> bool:
        """Whether the caller is this thread."""
        return threading.current_thread() is self._thread

    def wake(self) -> None:
        """Let the next turn begin now."""
        self._wake.set()

    def start(self) -> None:
        """Start the thread."""
        with self._guard:
            self._stopping.clear()
            self._begin()

    def anew(self) -> None:
        """Start the thread anew after it died, unless it was stopped meanwhile."""
        with self._guard:
            if self._thread is not None and not self._thread.is_alive():
                self._begin()

    def stop(self, timeout_s: float) -> bool:
        """End the thread after its turn, or wait no longer; return whether it was started."""
        with self._guard:
            thread, self._thread = self._thread, None
            self._stopping.set()
        self._wake.set()
        if thread is None:
            return False
        thread.join(timeout_s)
        return True

    def _begin(self) -> None:
        self._thread = threading.Thread(target=self._run, name="selfright-drain", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._once()
        except BaseException as error:  # noqa: BLE001 - told, and the keeper starts it anew
            self._failed("drain", error)

    def _once(self) -> None:
        busy = 0
        try:
            busy = self._turn()
        except Exception as error:  # noqa: BLE001 - the isolation point of this thread
            self._failed("drain", error)
            self._stopping.wait(_IDLE_S)
        if not self._waiting():
            self._wake.wait(_BUSY_S if busy else _IDLE_S)
            self._wake.clear()

"""What an updater does by itself while started: its circle turns, and it saves now and then.

Whatever brings events in from outside belongs here, too: started when the circle turns
already, ended before the last save, so that nothing it brought is left out.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from selfright.online_learning.membership import Membership


class Lifecycle:
    """Starts and stops an updater. Safe to use from any thread.

    Parameters
    ----------
    auto_save_s
        Seconds between two saves; None: never by itself. Only a circle of the updater's
        own is saved: a monitor's log keeps what is learnt.
    save
        Saves all models.
    learnt
        Returns how many samples the models have learnt: saved is what is new.
    """

    def __init__(
        self,
        member: Membership,
        auto_save_s: float | None,
        save: Callable[[], object],
        learnt: Callable[[], int],
    ) -> None:
        self._member = member
        self._auto_save_s = auto_save_s
        self._save = save
        self._learnt = learnt
        self._guard = threading.Lock()
        self._saver: threading.Thread | None = None
        self._stopping = threading.Event()

    def start(self) -> None:
        """Turn the circle by itself from now on. Idempotent."""
        self._member.circle.start()
        with self._guard:
            wanted = self._auto_save_s is not None and self._member.is_alone
            if wanted and self._saver is None:
                self._stopping.clear()
                self._saver = threading.Thread(
                    target=self._save_now_and_then, name="selfright-save", daemon=True
                )
                self._saver.start()

    def stop(self) -> None:
        """Learn what came in, save, end the threads. Idempotent."""
        with self._guard:
            saver, self._saver = self._saver, None
        self._stopping.set()
        if saver is not None:
            saver.join()
            self._save()
        if self._member.joined is not None:
            self._member.joined.stop()

    def _save_now_and_then(self) -> None:
        assert self._auto_save_s is not None
        before = 0
        while not self._stopping.wait(self._auto_save_s):
            now = self._learnt()
            if now != before:
                self._save()
                before = now

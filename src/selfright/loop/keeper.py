"""Starts threads anew that died, and says meanwhile which are missing.

A thread can end in ways that no ``except Exception`` sees. Nobody would notice: the
others go on, and what it was there for just does not happen any more.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# A death goes unnoticed for so long at most; looking costs a few microseconds.
_LOOK_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Kept:
    """A thread to look after.

    Attributes
    ----------
    purpose
        What it does, as in "the thread that folds the log".
    alive, start
        Whether it is there, or not wanted; and how to start it anew.
    """

    purpose: str
    alive: Callable[[], bool]
    start: Callable[[], None]


class Keeper:
    """Looks after threads in a thread of its own.

    Parameters
    ----------
    died
        Is told the purpose of each thread that was found dead, before it is started anew.
    """

    def __init__(self, kept: Sequence[Kept], died: Callable[[str], None]) -> None:
        self._kept = tuple(kept)
        self._died = died
        self._revived: frozenset[str] = frozenset()
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, name="selfright-keeper", daemon=True)

    def missing(self) -> list[str]:
        """Return what no thread does at the moment.

        One that was started anew counts as missing until it was found alive a look
        later: one that dies again and again must not look sound in between.
        """
        return [k.purpose for k in self._kept if k.purpose in self._revived or not k.alive()]

    def look(self) -> None:
        """Start anew what is dead."""
        dead = [each for each in self._kept if not each.alive()]
        self._revived |= {each.purpose for each in dead}
        for each in dead:
            self._died(each.purpose)
            each.start()
        self._revived = frozenset(each.purpose for each in dead)

    def start(self) -> None:
        """Look now and then from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._enough.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._enough.wait(_LOOK_S):
            try:
                self.look()
            except BaseException as error:  # noqa: BLE001 - nobody looks after the keeper
                self._died(f"keeps the others ({error!r})")

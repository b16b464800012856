"""The keys that count now: what the book says, read anew every second somebody asks."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Final

import anyio
import anyio.to_thread

from selfright.clock import monotonic_s
from selfright.errors import SelfrightError
from selfright.server.access.key import Key, opens, prefix_of

if TYPE_CHECKING:
    from selfright.server.access.book import KeyBook

_log = logging.getLogger("selfright")

# How long a key that was revoked by another process may still open, and a new one not yet.
REFRESH_S: Final = 1.0


class KeyRing:
    """Finds the key that a request presents, and says whether one is needed at all.

    Parameters
    ----------
    book
        Where the keys are kept; None: there are none, and nobody can make any.
    owner
        A key besides those of the book, for the length of this process: of whoever may read
        the data directory, and so could write keys there.
    required
        Ask for keys even if the book never had one.

    Notes
    -----
    Once a key was seen, keys are asked for until the process ends, also when every key is
    revoked or the file gone: what closed a door must not open it for everybody.
    """

    def __init__(
        self, book: KeyBook | None = None, *, owner: Key | None = None, required: bool = False
    ) -> None:
        self.book = book
        self._owner = owner
        self._required = required
        self._keys: dict[str, Key] = {}
        self._read_s = -math.inf
        self._lock = anyio.Lock()
        # Made with the first request: it belongs to the event loop that serves.
        self._limiter: anyio.CapacityLimiter | None = None
        self.trouble: str | None = None

    @property
    def required(self) -> bool:
        """Whether a request needs a key."""
        return self._required

    def load(self) -> None:
        """Read the book now; blocks. Raises what ``KeyBook.read`` does."""
        if self.book is not None:
            self._take(self.book.read())

    async def refresh(self) -> None:
        """Read the book if the last look is a second old.

        Does not raise: ``trouble`` says why it could not be read, and then no key counts.
        """
        if self.book is None or not self._is_old():
            return
        async with self._lock:
            if self._is_old():  # nobody did it while we waited
                self._limiter = self._limiter or anyio.CapacityLimiter(1)
                await anyio.to_thread.run_sync(self._look, limiter=self._limiter)

    def forget(self) -> None:
        """Have the next request read the book: it was changed here."""
        self._read_s = -math.inf

    def find(self, text: str, now_us: int) -> Key | None:
        """Return the key that ``text`` is, if it counts now."""
        prefix = prefix_of(text)
        key = None if prefix is None else self.named(prefix, now_us)
        return key if opens(text, key) else None

    def named(self, prefix: str, now_us: int) -> Key | None:
        """Return the key of a prefix, if it counts now."""
        key = self._keys.get(prefix)
        if key is None and self._owner is not None and prefix == self._owner.prefix:
            key = self._owner
        return key if key is not None and key.state(now_us) == "active" else None

    def usable(self, now_us: int) -> int:
        """Return how many keys of the book count now."""
        return sum(key.state(now_us) == "active" for key in self._keys.values())

    def _is_old(self) -> bool:
        return monotonic_s() - self._read_s >= REFRESH_S

    def _look(self) -> None:
        try:
            self.load()
        except SelfrightError as error:
            if self.trouble is None:
                _log.error("nobody is let in, for the keys cannot be read: %s", error)
            self.trouble = str(error)
            self._read_s = monotonic_s()

    def _take(self, keys: tuple[Key, ...]) -> None:
        self._keys = {key.prefix: key for key in keys}
        self._required = self._required or bool(keys)
        self.trouble = None
        self._read_s = monotonic_s()

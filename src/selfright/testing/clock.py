"""A clock that stands still until it is told to move."""

from __future__ import annotations

from typing import Final

from selfright.clock import US_PER_S

# 2000-01-01T00:00:00Z, the time that files without timestamps start at too.
START_US: Final = 946_684_800 * US_PER_S


class ManualClock:
    """A ``Clock`` for tests, demos and simulations: nothing happens by itself.

    Reading it is safe from any thread; one thread should move it.

    Parameters
    ----------
    start_us
        First reading, microseconds since the epoch.

    Examples
    --------
    >>> clock = ManualClock(start_us=0)
    >>> clock.advance(1.5)
    1500000
    >>> clock.now_us()
    1500000
    """

    __slots__ = ("_now_us",)

    def __init__(self, start_us: int = START_US) -> None:
        self._now_us = start_us

    def now_us(self) -> int:
        """Return microseconds since the Unix epoch, UTC."""
        return self._now_us

    def advance(self, seconds: float) -> int:
        """Move by ``seconds``, back if negative, as real clocks do; return the new reading."""
        self._now_us += round(seconds * US_PER_S)
        return self._now_us

    def set(self, now_us: int) -> None:
        """Move to ``now_us``, forwards or back."""
        self._now_us = now_us

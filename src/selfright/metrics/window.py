"""Running totals over the latest minutes.

The window at ``now`` with W minutes consists of the minute that holds ``now`` and the W
minutes before it: everything of the last W minutes is in it, and nothing older than
W + 1. Where it stands is a matter of reading: it moves when somebody asks, and what left
it is gone without a new event. Moving costs the minutes that enter and leave.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfright.metrics.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from selfright.metrics.minute import Minute


class RollingTotals:
    """Totals over the minutes ``newest - width`` to ``newest``.

    Parameters
    ----------
    width
        Minutes of the window besides the one that holds now.
    """

    __slots__ = ("newest", "totals", "width")

    def __init__(self, width: int) -> None:
        self.width = width
        self.newest: int | None = None  # None: nowhere, to be built when asked for
        self.totals = Totals()

    def holds(self, minute: int) -> bool:
        """Return whether the window stands on this minute."""
        return self.newest is not None and self.newest - self.width <= minute <= self.newest

    def bounds(self) -> tuple[int, int]:
        """Return the oldest and the newest minute; an empty range while it is nowhere."""
        return (1, 0) if self.newest is None else (self.newest - self.width, self.newest)

    def forget(self) -> None:
        """Stand nowhere: what was summed up is no longer what the minutes say."""
        if self.newest is not None:
            self.newest = None
            self.totals = Totals()  # frees what it held

    def seek(self, newest: int, minutes: Mapping[int, Minute], agents: int) -> Totals:
        """Move to ``newest`` and return the totals there."""
        old = self.newest
        if old is None or abs(newest - old) > self.width // 2:
            self.totals = Totals(agents)
            self.totals.add_minutes(among(minutes, newest - self.width, newest))
        else:
            self.totals.reserve(agents)
            entering, leaving = (old + 1, newest), (old - self.width, newest - self.width - 1)
            if newest < old:
                entering, leaving = (newest - self.width, old - self.width - 1), (newest + 1, old)
            self.totals.add_minutes(among(minutes, *entering))
            self.totals.add_minutes(among(minutes, *leaving), -1)
        self.newest = newest
        return self.totals


def among(minutes: Mapping[int, Minute], first: int, last: int) -> list[Minute]:
    """Return the minutes that exist from ``first`` to ``last``, both included."""
    if last - first < len(minutes):
        return [minutes[m] for m in range(first, last + 1) if m in minutes]
    return [minutes[m] for m in sorted(minutes) if first <= m <= last]

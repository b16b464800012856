"""How much evidence makes an alarm, from the false alarms that an operator puts up with.

A detector that is updated N times alarms falsely N / A times at most, on average. So the fleet's
total is held by ``A = updates of all detectors in a week / false alarms per week``. The updates
of a week are those of the last seven days; a younger log is taken to go on as it began.
"""

from __future__ import annotations

from typing import Any, Final

HOUR_US: Final = 3_600_000_000
_WEEK: Final = 168  # hours
# A fleet of a few updates a week would alarm at a whim.
LEAST: Final = 1e4


class Budget:
    """The level A, renewed at each new hour of log time from the hours before it.

    Parameters
    ----------
    false_alarms_per_week
        For the whole fleet. Greater than 0.
    run_length
        A fixed level instead: updates of one detector between false alarms, on average.
    """

    __slots__ = ("_counts", "_false_alarms", "_fixed", "_hour", "level")

    def __init__(self, false_alarms_per_week: float, run_length: float | None = None) -> None:
        self._false_alarms, self._fixed = false_alarms_per_week, run_length
        self._counts: dict[int, int] = {}  # updates by hour
        self._hour = -1
        self.level = LEAST if run_length is None else float(run_length)

    def begin(self, now_us: int) -> None:
        """Renew the level if another hour has begun."""
        hour = now_us // HOUR_US
        if hour <= self._hour:
            return
        self._hour = hour
        self._counts = {h: n for h, n in self._counts.items() if h >= hour - _WEEK}
        if self._fixed is not None or not self._counts:
            return
        age = hour - min(self._counts)
        weekly = sum(self._counts.values()) * _WEEK / age
        self.level = max(LEAST, weekly / self._false_alarms)

    def count(self, updates: int) -> None:
        """Add updates of detectors to the hour."""
        self._counts[self._hour] = self._counts.get(self._hour, 0) + updates

    def to_state(self) -> dict[str, Any]:
        """Return the exact state as plain values."""
        return {"counts": sorted(self._counts.items()), "hour": self._hour, "level": self.level}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``to_state`` returned; a level that is fixed now stays."""
        self._counts, self._hour = dict(state["counts"]), state["hour"]
        if self._fixed is None:
            self.level = state["level"]

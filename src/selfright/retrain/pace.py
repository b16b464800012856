"""How fast one model may be retrained by itself: a daily budget and a circuit breaker."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from selfright.retrain.suppressed import Reason

US_PER_S: Final = 1_000_000
DAY_US: Final = 86_400 * US_PER_S

_NEVER: Final = -(1 << 62)  # long before any log began


class Pace:
    """Counts automatic attempts and rejections of one model in log time.

    Parameters
    ----------
    budget
        Attempts within any 24 hours.
    rejections
        So many rejections within 24 hours open the breaker: no attempt while it is open.
    breaker_us
        How long it stays open. It takes as many rejections again to open it anew.
    """

    def __init__(self, budget: int, rejections: int, breaker_us: int) -> None:
        self._budget = budget
        self._most_rejections = rejections
        self._breaker_us = breaker_us
        self._attempts: deque[int] = deque()
        self._rejections: deque[int] = deque()
        self._open_until_us = _NEVER

    def held(self, now_us: int) -> Reason | None:
        """Return why no attempt may be made now; None if one may."""
        if now_us < self._open_until_us:
            return Reason.BREAKER
        _drop_before(self._attempts, now_us - DAY_US)
        return Reason.BUDGET if len(self._attempts) >= self._budget else None

    def breaker_detail(self, now_us: int) -> str:
        """Return when the breaker closes."""
        return f"closes in {span(self._open_until_us - now_us)}"

    def budget_detail(self, now_us: int) -> str:
        """Return how much of the budget is spent, and until when."""
        left = self._attempts[-self._budget] + DAY_US - now_us
        return f"{len(self._attempts)} attempts in 24 h; next in {span(left)}"

    def attempt(self, now_us: int) -> None:
        """Count an attempt."""
        self._attempts.append(now_us)

    def reject(self, now_us: int) -> None:
        """Count a rejection."""
        self._rejections.append(now_us)
        _drop_before(self._rejections, now_us - DAY_US)
        if len(self._rejections) >= self._most_rejections:
            self._open_until_us = now_us + self._breaker_us
            self._rejections.clear()

    def close_breaker(self) -> None:
        """Let attempts be made again: what has just become certain is worth one."""
        self._open_until_us = _NEVER
        self._rejections.clear()

    def to_state(self) -> dict[str, Any]:
        """Return the exact state as plain values."""
        return {
            "attempts": list(self._attempts),
            "rejections": list(self._rejections),
            "open_until_us": self._open_until_us,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what ``to_state`` returned."""
        self._attempts.extend(state["attempts"])
        self._rejections.extend(state["rejections"])
        self._open_until_us = state["open_until_us"]


def _drop_before(times: deque[int], horizon_us: int) -> None:
    while times and times[0] <= horizon_us:
        times.popleft()


def span(us: int) -> str:
    """Return a duration as people say it, e.g. ``4 min 10 s``.

    Examples
    --------
    >>> [span(us) for us in (1, 250_000_000, 18_720_000_000)]
    ['1 s', '4 min 10 s', '5 h 12 min']
    """
    seconds = -(-us // US_PER_S)
    minutes, seconds = divmod(seconds, 60)
    if not minutes:
        return f"{seconds} s"
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    return f"{minutes // 60} h {minutes % 60} min"

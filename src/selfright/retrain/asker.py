"""What was tried about one agent, or the fleet, in its present episode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

_NEVER: Final = -(1 << 62)  # long before any log began


@dataclass(slots=True)
class Asker:
    """Keeps the pause between two attempts about one scope.

    Attributes
    ----------
    cooldown_us
        Its pause now: doubled by each rejection, back to normal with a new episode.
    last_us
        When the last attempt about it started or, once it did, ended.
    seen
        Outcomes by metric at the start of that attempt.
    settled
        Whether the episode that attempt belongs to is over.
    likely
        Metrics whose episode is open: likely once, not yet unlikely.
    certain
        By metric what was found with certainty, as plain values, until it has recovered.
    due
        What certainty asks for and has not got yet: an incremental attempt, a full one.
    full_done
        Whether there was a full attempt since the alarm.
    """

    cooldown_us: int
    last_us: int = _NEVER
    seen: dict[int, int] = field(default_factory=dict)
    settled: bool = False
    likely: list[int] = field(default_factory=list)
    certain: dict[int, dict[str, Any]] = field(default_factory=dict)
    due: Literal["incremental", "full"] | None = None
    full_done: bool = False

    def left_us(self, now_us: int) -> int:
        """Return what is left of the pause; 0 or less: nothing."""
        return self.last_us + self.cooldown_us - now_us

    def starts(self, seen: dict[int, int], now_us: int, *, full: bool) -> None:
        """Note an attempt."""
        self.last_us = now_us
        self.seen = seen
        self.settled = False
        if full or self.due == "incremental":
            self.due = None
        self.full_done = self.full_done or full

    def joins(self, seen: dict[int, int], now_us: int, *, full: bool) -> None:
        """Note an attempt about it that others asked for.

        Outside of an episode it only has to pause: what is counted is what was tried
        while it was in need.
        """
        in_need = bool(self.likely or self.certain)
        self.starts(seen, now_us, full=full and in_need)
        self.settled = not in_need

    def ends(self, now_us: int, most_us: int, *, rejected: bool) -> None:
        """Note the end of that attempt; its pause starts here."""
        self.last_us = now_us
        if rejected and not self.settled:
            self.cooldown_us = min(2 * self.cooldown_us, most_us)

    def becomes_likely(self, metric: int) -> None:
        """Begin, or widen, an episode."""
        if metric not in self.likely:
            self.likely.append(metric)

    def becomes_unlikely(self, metric: int, cooldown_us: int) -> bool:
        """Return whether this ends the episode: nothing else is likely."""
        self.likely = [other for other in self.likely if other != metric]
        if self.likely:
            return False
        self.cooldown_us = cooldown_us
        self.settled = True
        return True

    def becomes_certain(self, metric: int, found: dict[str, Any], *, lasts: bool) -> None:
        """Ask for an incremental attempt, or once the drop lasts for the one full attempt."""
        self.certain[metric] = found
        if lasts and not self.full_done:
            self.due = "full"
        elif not lasts and self.due is None:
            self.due = "incremental"

    def recovers(self, metric: int) -> None:
        """Ask for nothing any more on behalf of a metric that is well again."""
        self.certain.pop(metric, None)
        if not self.certain:
            self.all_recover()

    def all_recover(self) -> None:
        """Ask for nothing any more: the next drop is another one."""
        self.certain.clear()
        self.due = None
        self.full_done = False

    def owes_again(self) -> None:
        """Ask for the full attempt once more: it was cut short, and nothing was tried."""
        if self.certain and self.full_done:
            self.due, self.full_done = "full", False

    def to_state(self) -> dict[str, Any]:
        """Return the exact state as plain values."""
        return {
            **asdict(self),
            "seen": sorted(self.seen.items()),
            "certain": sorted(self.certain.items()),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Asker:
        """Return the asker that ``to_state`` described."""
        return cls(
            **{
                **state,
                "seen": dict(state["seen"]),
                "likely": list(state["likely"]),
                "certain": dict(state["certain"]),
            }
        )

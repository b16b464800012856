"""Retrainings that evidence asked for and a rule held back, with the reason."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import islice
from typing import Any, Final

from selfright.events.timestamp import iso

_KEPT: Final = 500


class Reason(StrEnum):
    """Why somebody who asked was held back."""

    IN_FLIGHT = "in_flight"
    BREAKER = "breaker"
    BUDGET = "budget"
    COOLDOWN = "cooldown"
    OUTCOMES = "outcomes"
    EXPLAINED = "explained"


@dataclass(slots=True)
class Suppressed:
    """Somebody asked and was held back: one record per agent, reason and episode.

    ``detail`` says how things stood the first time; ``count`` how many outcomes asked.
    """

    reason: Reason
    model_type: str
    scope: int
    agent_name: str | None
    detail: str
    first_us: int
    last_us: int
    count: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; times as RFC 3339."""
        return {
            "reason": self.reason.value,
            "model_type": self.model_type,
            "agent_name": self.agent_name,
            "detail": self.detail,
            "first": iso(self.first_us),
            "last": iso(self.last_us),
            "count": self.count,
        }


class SuppressedBook:
    """Keeps the newest 500 records, and counts instead of repeating itself.

    Iterates and slices from the oldest to the newest.
    """

    def __init__(self) -> None:
        self._kept: deque[Suppressed] = deque()
        # Those of episodes that last; a later episode makes new ones.
        self._current: dict[tuple[int, Reason], Suppressed] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Suppressed]:
        return iter(self._kept)

    def newest(self, limit: int) -> list[Suppressed]:
        """Return the newest ``limit`` records, newest last."""
        return list(islice(reversed(self._kept), limit))[::-1]

    def counted(self, scope: int, reason: Reason, now_us: int) -> bool:
        """Count another outcome if there is a record; False if there is none yet."""
        record = self._current.get((scope, reason))
        if record is None:
            return False
        record.count += 1
        record.last_us = now_us
        return True

    def add(self, record: Suppressed) -> None:
        """Keep a new record."""
        if len(self._kept) == _KEPT:
            oldest = self._kept.popleft()
            if self._current.get((oldest.scope, oldest.reason)) is oldest:
                del self._current[oldest.scope, oldest.reason]
        self._kept.append(record)
        self._current[record.scope, record.reason] = record

    def end_episode(self, scope: int) -> None:
        """Let what comes next about ``scope`` be told anew."""
        for reason in Reason:
            self._current.pop((scope, reason), None)

    def to_state(self) -> dict[str, Any]:
        """Return the exact state as plain values."""
        places = {id(record): place for place, record in enumerate(self._kept)}
        return {
            "kept": [{**asdict(record), "reason": record.reason.value} for record in self._kept],
            "current": [places[id(record)] for record in self._current.values()],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what ``to_state`` returned."""
        for record in state["kept"]:
            self._kept.append(Suppressed(**{**record, "reason": Reason(record["reason"])}))
        for place in state["current"]:
            record = self._kept[place]
            self._current[record.scope, record.reason] = record

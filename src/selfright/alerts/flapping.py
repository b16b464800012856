"""Which alerts keep coming and going."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

Key = tuple[str, str | None]  # rule and agent

_TIDY_ABOVE: Final = 1000


class Flapping:
    """Remembers when each alert opened lately, and says which one flaps.

    Parameters
    ----------
    openings
        An alert that opens for this many times within ``within_us`` flaps.
    within_us
        Microseconds of log time.

    Notes
    -----
    A few integers per rule and agent that alerted within ``within_us``.
    """

    def __init__(self, openings: int, within_us: int) -> None:
        self._openings = openings
        self._within_us = within_us
        self._times: dict[Key, list[int]] = {}

    def opens(self, key: Key, now_us: int) -> bool:
        """Take an opening into account; return whether the alert flaps."""
        horizon = now_us - self._within_us
        if len(self._times) > _TIDY_ABOVE:
            self._times = {k: at for k, at in self._times.items() if at[-1] > horizon}
        recent = [at for at in self._times.get(key, ()) if at > horizon]
        times = self._times[key] = [*recent, now_us][-self._openings :]
        return len(times) >= self._openings

    def to_state(self) -> list[list[Any]]:
        """Return the exact state as plain values."""
        return [[*key, *times] for key, times in self._times.items()]

    def restore(self, state: Sequence[Sequence[Any]]) -> None:
        """Take over what ``to_state`` returned."""
        self._times = {(rule, agent): list(times) for rule, agent, *times in state}

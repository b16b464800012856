"""Agents that an operator took out of the fleet: retired until they run again, or deleted.

*Retired*: the agent is no candidate any more, nothing is held against it and lists leave
it out; what is known of it stays. The first run that began after the act brings it back.
*Deleted*: besides, whatever happened before the act counts no more, however late it is
reported or corrected. An agent of that name that runs again begins anew.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from selfright.events.batch import RUN_FIELD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from selfright.events.batch import Bools, Commit, OutcomeBatch, RunBatch

_RUN_TS: Final = RUN_FIELD["ts_us"]


class Absent:
    """Who is retired and who was deleted, each with the time of the act (microseconds).

    Attributes
    ----------
    retired
        Those that have not run again since; deleted ones among them.
    deleted
        All that were ever deleted: what is older than the act stays out for ever.
    """

    __slots__ = ("deleted", "retired")

    def __init__(self) -> None:
        self.retired: dict[str, int] = {}
        self.deleted: dict[str, int] = {}

    def retire(self, name: str, ts_us: int) -> None:
        """Take an agent out until it runs again."""
        self.retired[name] = ts_us

    def delete(self, name: str, ts_us: int) -> None:
        """Take an agent out, and all that happened before."""
        self.retired[name] = self.deleted[name] = ts_us

    def returning(self, part: Commit) -> dict[str, int]:
        """Return the retired agents that run again in ``part``, and the offsets of those runs."""
        found: dict[str, int] = {}
        if not self.retired:
            return found
        runs = part.runs
        for name, ts_us, offset in zip(
            runs.agent_name, runs.ts_us.tolist(), runs.seq.tolist(), strict=True
        ):
            if ts_us > self.retired.get(name, ts_us):
                found.setdefault(name, offset)
        return found

    def welcome(self, name: str) -> None:
        """Take back an agent that has run again."""
        self.retired.pop(name, None)

    def to_state(self) -> dict[str, Any]:
        """Return plain values."""
        return {"retired": self.retired, "deleted": self.deleted}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Return what ``to_state`` described."""
        absent = cls()
        absent.retired.update(state["retired"])
        absent.deleted.update(state["deleted"])
        return absent


def without_deleted(part: Commit, deleted: Mapping[str, int]) -> Commit:
    """Return ``part`` without what happened to deleted agents before they were deleted.

    That of an outcome is when its run began, its own time while it has none. A retracted
    row is judged like the row it takes back, so both are in or both are out.
    """
    if not deleted:
        return part
    return replace(
        part,
        runs=_runs_after(part.runs, deleted),
        outcomes=_outcomes_after(part.outcomes, deleted),
        retracted_runs=_runs_after(part.retracted_runs, deleted),
        retracted_outcomes=_outcomes_after(part.retracted_outcomes, deleted),
    )


def _runs_after(runs: RunBatch, deleted: Mapping[str, int]) -> RunBatch:
    kept = _kept(runs.agent_name, runs.ts_us.tolist(), deleted)
    return runs if kept is None else runs.take(kept)


def _outcomes_after(outcomes: OutcomeBatch, deleted: Mapping[str, int]) -> OutcomeBatch:
    times = [
        own if run is None else run[_RUN_TS]
        for run, own in zip(outcomes.run, outcomes.ts_us.tolist(), strict=True)
    ]
    kept = _kept(outcomes.agent_name, times, deleted)
    return outcomes if kept is None else outcomes.take(kept)


def _kept(names: list[str], times: list[int], deleted: Mapping[str, int]) -> Bools | None:
    """Return which rows stay; None: all of them."""
    if deleted.keys().isdisjoint(names):
        return None
    return np.array(
        [ts_us > deleted.get(name, -1) for name, ts_us in zip(names, times, strict=True)],
        dtype=np.bool_,
    )

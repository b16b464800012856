"""A refitted copy on trial beside what serves, and the bets on which of two scores better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfright.events.record import GateRecord, RetrainFinished
    from selfright.loop.own.follower import Follower
    from selfright.retrain.gate import PredictiveGate

    Scores = Sequence[float | None]


@dataclass(slots=True)
class OwnTrial:
    """A challenger.

    Attributes
    ----------
    pending
        The record of the retraining that made it.
    low
        The worst score there is.
    record
        The verdict; None while there is none.
    """

    follower: Follower
    version: int
    gate: PredictiveGate
    pending: RetrainFinished
    low: float
    record: GateRecord | None = None

    def look(self, champion: Scores | None, challenger: Scores | None, now_us: int) -> None:
        """Compare the scores of both, where both could score. One that raises is rejected."""
        if self.follower.error is not None:
            self.record = self.gate.record("rejected")
            return
        if champion is not None and challenger is not None:
            self.record = bet(self.gate, champion, challenger, self.low)
        self.record = self.record or self.gate.expire(now_us)


def bet(
    gate: PredictiveGate, champion: Scores, challenger: Scores, low: float
) -> GateRecord | None:
    """Let a gate compare two models' scores of the same events; return its record once decided.

    What the champion does not judge tells nothing. What the challenger alone does not judge
    counts as ``low``, the worst there is: left out, it would flatter it.
    """
    for one, other in zip(champion, challenger, strict=True):
        if one is None:
            continue
        # Of scores the outcome plays no part: there is none to give.
        record = gate.update(0.0, one, low if other is None else other)
        if record is not None:
            return record
    return None

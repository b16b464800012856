"""A promoted version of the user's own model, watched: its parent in shadow scores the same.

The only evidence there is are the two models' own scores of the events that come after the
promotion. They choose nothing through us, so there are no decisions and no rewards of theirs
to compare, as there are of the five: a model whose ``score`` says little of its worth is
watched by little.

Simulated (scores 1 less a squared error, 200 events, level .01): where both score the same
on average, .5 % of the watches at most end with a rollback. A version that scores worse by
.16 of the range is taken back in 99 % of them, by .09 in 88 to 99 %, by .04 in 30 %, by .02
in 1 %: what a model gains by small steps it may lose by small steps unnoticed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from selfright.events.record import GateRecord
from selfright.loop.own.trial import bet
from selfright.loop.probation import proof_of_predictions
from selfright.retrain.gate import GatePolicy, PredictiveGate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfright.events.record import ModelAdopted, Proof, RetrainFinished
    from selfright.loop.own.follower import Follower
    from selfright.loop.probation import ProbationPolicy
    from selfright.retrain.loss import ScoreGap


@dataclass(slots=True)
class OwnWatch:
    """Compares a version that serves with the parent that it replaced.

    Attributes
    ----------
    parent
        Serves again after certain harm; learns on meanwhile.
    parent_version
        Its number.
    adopted
        The promotion that is watched.
    made
        The record of the retraining that made the version, if there is one.
    """

    parent: Follower
    parent_version: int
    adopted: ModelAdopted
    made: RetrainFinished | None
    gate: PredictiveGate
    low: float

    @classmethod
    def begin(
        cls,
        policy: ProbationPolicy,
        loss: ScoreGap,
        parent: Follower,
        adopted: ModelAdopted,
        made: RetrainFinished | None,
    ) -> OwnWatch:
        """Return the watch of a version that serves in place of ``adopted.parent_version``."""
        assert adopted.parent_version is not None  # else there is nothing to go back to
        gate = GatePolicy(policy.level, policy.runs, policy.max_us, promotes=False)
        return cls(
            parent,
            adopted.parent_version,
            adopted,
            made,
            PredictiveGate(gate, loss, adopted.ts_us),
            loss.low,
        )

    @property
    def since(self) -> int:
        """The offset from which on the two are compared."""
        return self.adopted.offset or 0

    @property
    def end_id(self) -> str:
        """The id of the act that says what the watch has shown."""
        about = self.adopted.act_id if self.made is None else self.made.retrain_id
        return f"{about}:proved"

    def look(
        self,
        before: Sequence[float | None] | None,
        now: Sequence[float | None] | None,
        now_us: int,
    ) -> None:
        """Compare the parent's scores with the version's, where both could score."""
        if before is not None and now is not None:
            bet(self.gate, before, now, self.low)
        self.gate.expire(now_us)

    @property
    def is_harm(self) -> bool:
        """Whether the version is certainly the worse one."""
        return self.gate.verdict == "rejected"

    @property
    def is_over(self) -> bool:
        """Whether so many events, or so much time, have passed, or the parent is of no use."""
        return self.gate.verdict != "pending" or self.parent.fails

    def proof(self, *, rolled_back: bool = False) -> Proof:
        """Return what the watch has shown so far."""
        found = proof_of_predictions(self.gate.record(), is_harm=self.is_harm or rolled_back)
        return msgspec.structs.replace(found, rolled_back=rolled_back)

    def verdict(self, reason: str | None) -> GateRecord:
        """Return the gate's record of the version, now that it is rolled back."""
        gate = None if self.made is None else self.made.gate
        gate = gate or GateRecord(verdict="forced", loss=self.gate.loss.name)
        return msgspec.structs.replace(gate, verdict="rolled_back", reason=reason)

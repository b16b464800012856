"""After a promotion: the version on probation, rolled back after harm, else proved.

::

    promotion --> probation --+--> harm is certain --> the parent serves again, an alert
                              +--> so many runs ----> the retraining's record has its proof
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from selfright.detect.detection import SYSTEM
from selfright.events.record import GateRecord
from selfright.loop.effects import Settle
from selfright.loop.probation import Probation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfright.events.record import RetrainFinished
    from selfright.learn.model import Model
    from selfright.loop.records import Records
    from selfright.loop.rooms import Moment, Rooms
    from selfright.loop.slot import ModelSlot
    from selfright.retrain.reward_watch import Earned


class Proving:
    """Begins, looks at and ends the probations of all models."""

    def __init__(self, rooms: Rooms, records: Records) -> None:
        self._rooms = rooms
        self._records = records

    def begin(
        self,
        slot: ModelSlot,
        parent: Model,
        parent_version: int | None,
        made: RetrainFinished | None,
        earned: Sequence[Earned],
        moment: Moment,
        unproved: Probation | None,
    ) -> None:
        """Put the version that serves now on probation.

        If what it replaced was on probation itself, ``unproved``, the one before that stays
        the parent: what has not proved itself is nothing to go back to. ``made`` is the
        retraining it came from, if it is remembered; ``earned`` what the parent's decisions
        earned since the affected agents are what they are.
        """
        policy = self._rooms.probation
        if policy.runs == 0:
            return
        if unproved is not None:
            parent, parent_version = unproved.parent, unproved.parent_version
        slot.watched = () if made is None else tuple(made.agents)
        slot.probation = Probation.begin(
            policy,
            parent,
            parent_version,
            None if made is None else made.retrain_id,
            earned,
            moment.now_us,
        )

    def look(self, slot: ModelSlot, moment: Moment) -> None:
        """End a probation that has shown harm, or that is over."""
        probation, trial = slot.probation, slot.challenger
        if probation is None:
            return
        if probation.harm is None:
            if probation.is_over(moment.now_us):
                self.conclude(slot, moment)
        elif trial is None or not trial.serves:
            # While an emergency's version serves, what is on probation does no harm.
            self._roll_back(slot, probation, moment)

    def conclude(self, slot: ModelSlot, moment: Moment) -> Probation | None:
        """End a probation without a rollback; its retraining gets what it has shown."""
        probation, slot.probation, slot.watched = slot.probation, None, ()
        if probation is not None:
            self._records.prove(probation.retrain_id, probation.proof(), moment)
        return probation

    def _roll_back(self, slot: ModelSlot, probation: Probation, moment: Moment) -> None:
        proof = msgspec.structs.replace(probation.proof(), rolled_back=True)
        kind, version, trial = slot.model_type.value, slot.version, slot.challenger
        if trial is not None:
            # Made of what is rolled back, it has the same fault.
            slot.close(promoted=False)
            record = trial.gate.record("inconclusive")
            self._records.close(trial.pending, record, promoted=False, moment=moment)
        slot.roll_back()
        made = self._records.prove(probation.retrain_id, proof, moment)
        self._records.adopt(slot, version, "rolled_back", probation.retrain_id, moment, proof=proof)
        gate = GateRecord(verdict="rolled_back") if made is None else made.gate
        if version is not None and gate is not None:
            moment.effects.append(Settle(kind, version, gate))
        if made is not None:
            self._records.set_aside(made)
            about = (SYSTEM, *self._records.about(made))
            self._rooms.trigger.note_rolled_back(about, moment.now_us, automatic=made.automatic)

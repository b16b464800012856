"""What is written down of retrainings and adoptions, and who is told of it."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from selfright.detect.detection import SYSTEM
from selfright.events.record import (
    GateRecord,
    ModelAdopted,
    RetrainFinished,
    RetrainRequested,
    decode_act,
    encode_act,
)
from selfright.loop.effects import Append, Serve, Settle

if TYPE_CHECKING:
    from selfright.events.record import Proof
    from selfright.learn.model_type import ModelType
    from selfright.loop.rooms import FoldPolicy, Moment, Rooms
    from selfright.loop.slot import ModelSlot

_KEPT: Final = 1_000  # retrainings and adoptions that are remembered
# Stands, as in decisions, for the model that learnt in place before there was a version.
NO_VERSION: Final = 0


class Records:
    """Keeps the records of what became of retrainings, and of what served when."""

    def __init__(self, rooms: Rooms, policy: FoldPolicy) -> None:
        self._rooms = rooms
        self._policy = policy
        self.retrainings: OrderedDict[str, RetrainFinished] = OrderedDict()
        self.adoptions: list[ModelAdopted] = []

    # ---- retrainings -----------------------------------------------------------------

    def remember(self, finished: RetrainFinished) -> None:
        """Keep the newest record of a retraining."""
        self.retrainings[finished.retrain_id] = finished
        while len(self.retrainings) > _KEPT:
            self.retrainings.popitem(last=False)

    def made(self, model_type: ModelType, version: int) -> RetrainFinished | None:
        """Return the retraining that made a version, if it is remembered."""
        found = (
            finished
            for finished in reversed(self.retrainings.values())
            if finished.model_type == model_type.value and finished.version == version
        )
        return next(found, None)

    def close(
        self, pending: RetrainFinished, record: GateRecord, *, promoted: bool, moment: Moment
    ) -> None:
        """Write down what the gate decided about a retraining."""
        done = msgspec.structs.replace(
            pending,
            act_id=f"{pending.retrain_id}:done",
            ts_us=moment.now_us,
            state="done",
            promoted=promoted,
            gate=record,
        )
        moment.effects.append(Append(done))
        self.conclude(done, moment)
        if not promoted and pending.version is not None:
            moment.effects.append(Settle(pending.model_type, pending.version, record))

    def note_canary(self, pending: RetrainFinished, record: GateRecord, moment: Moment) -> None:
        """Write down that a challenger decides a share of the tasks from here on."""
        canary = msgspec.structs.replace(
            pending,
            act_id=f"{pending.retrain_id}:canary",
            ts_us=moment.now_us,
            gate=msgspec.structs.replace(record, verdict="canary"),
        )
        moment.effects.append(Append(canary))
        self.remember(canary)
        # For the trigger it is over: evidence may ask for the next one, which ends this.
        ended = msgspec.structs.replace(canary, state="done", gate=record)
        self._rooms.trigger.note_finished(ended, moment.now_us)

    def lose(self, pending: RetrainFinished, moment: Moment) -> None:
        """Write down that a version on its way to trial could not be loaded."""
        lost = msgspec.structs.replace(
            pending,
            act_id=f"{pending.retrain_id}:failed",
            ts_us=moment.now_us,
            state="failed",
            error=f"version {pending.version} could not be loaded",
        )
        moment.effects.append(Append(lost))
        self.conclude(lost, moment)

    def conclude(self, finished: RetrainFinished, moment: Moment) -> None:
        """Keep a final result and tell everyone who waits for it."""
        self.remember(finished)
        self._rooms.trigger.note_finished(finished, moment.now_us)
        if finished.state != "done":
            self.set_aside(finished)
        if self._policy.alerts:
            moment.tell(self._rooms.book.note_retraining(finished, moment.now_us))

    def prove(self, retrain_id: str | None, proof: Proof, moment: Moment) -> RetrainFinished | None:
        """Write the proof into the record of a retraining; None if it is not remembered."""
        made = None if retrain_id is None else self.retrainings.get(retrain_id)
        if made is None:
            return None
        gate, promoted = made.gate or GateRecord(verdict="forced"), made.promoted
        if proof.rolled_back:
            gate, promoted = msgspec.structs.replace(gate, verdict="rolled_back"), False
        proved = msgspec.structs.replace(
            made,
            act_id=f"{made.retrain_id}:proved",
            ts_us=moment.now_us,
            promoted=promoted,
            gate=gate,
            proof=proof,
        )
        moment.effects.append(Append(proved))
        self.retrainings[made.retrain_id] = proved
        return proved

    def hear(self, finished: RetrainFinished, moment: Moment) -> None:
        """Keep what became of a retraining of the user's own model, which decides by itself."""
        self.remember(finished)
        if self._policy.alerts and finished.state != "pending" and finished.proof is None:
            moment.tell(self._rooms.book.note_retraining(finished, moment.now_us))

    def set_aside(self, about: RetrainFinished) -> None:
        """Start the evidence anew: a retraining is judged by what comes after it."""
        watch, certainty = self._rooms.watch, self._rooms.certainty
        full = about.retrain_type == "full" and about.state not in {"failed", "aborted"}
        for code in (SYSTEM, *self.about(about)):
            watch.note_retraining(code)
            if full:
                certainty.note_full(code)

    def about(self, act: RetrainRequested | RetrainFinished) -> list[int]:
        """Return the codes of the agents that a retraining is about; none named: of all."""
        agents = self._rooms.agents
        codes = map(agents.get, act.agents or agents.names)
        return [code for code in codes if code is not None]

    # ---- adoptions -------------------------------------------------------------------

    def adopt(
        self,
        slot: ModelSlot,
        before: int | None,
        verdict: str,
        retrain_id: str | None,
        moment: Moment,
        gate: GateRecord | None = None,
        proof: Proof | None = None,
    ) -> None:
        """Write down what serves from here on instead of ``before``, and point at it."""
        version, kind = slot.served_version, slot.model_type.value
        adopted = ModelAdopted(
            act_id=f"adopted:{kind}:{version or NO_VERSION}:{moment.offset}:{verdict}",
            ts_us=moment.now_us,
            model_type=kind,
            version=version or NO_VERSION,
            parent_version=before,
            verdict=verdict,
            retrain_id=retrain_id,
            proof=proof,
        )
        self.hear_adopted(adopted, moment)
        moment.effects.append(Append(adopted))
        moment.effects.append(Serve(kind, version, verdict, gate))

    def hear_adopted(self, adopted: ModelAdopted, moment: Moment) -> None:
        """Keep what serves from here on; tell of it where an earlier version serves again."""
        self.adoptions.append(adopted)
        del self.adoptions[:-_KEPT]
        if adopted.verdict in {"rollback", "rolled_back"} and self._policy.alerts:
            moment.tell(self._rooms.book.note_rollback(adopted, moment.now_us))

    # ---- state -----------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return the records as plain values."""
        return {
            "retrainings": [encode_act(act) for act in self.retrainings.values()],
            "adoptions": [encode_act(act) for act in self.adoptions],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``to_state`` returned."""
        finished = [act_of(RetrainFinished, data) for data in state["retrainings"]]
        self.retrainings = OrderedDict((act.retrain_id, act) for act in finished)
        self.adoptions = [act_of(ModelAdopted, data) for data in state["adoptions"]]


_Act = TypeVar("_Act")


def act_of(kind: type[_Act], data: bytes) -> _Act:
    """Return the act that was saved. Raises ``TypeError`` for one of another kind."""
    act = decode_act(data)
    if not isinstance(act, kind):
        raise TypeError(f"expected {kind.__name__}, found {type(act).__name__}")
    return act

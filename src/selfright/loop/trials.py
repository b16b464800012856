"""The life of a retraining: asked for, made, on trial, decided; and what serves.

::

    RetrainRequested --effect--> job --> RetrainFinished(pending) --> trial --> verdict
                                    +--> RetrainFinished(failed)

One retraining of a model at a time. What the trial decides is written to the log, too,
but takes effect here, at the very outcome that decided it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
import numpy as np

from selfright.detect.detection import SYSTEM
from selfright.events.record import (
    ModelAdopted,
    OperatorAct,
    RetrainFinished,
    RetrainRequested,
    decode_act,
    encode_act,
)
from selfright.learn.model_type import ModelType
from selfright.learn.samples import Samples
from selfright.loop.effects import Append, Retrain, Serve, Settle
from selfright.loop.endings import refused
from selfright.loop.slot import Challenger, ModelSlot
from selfright.retrain.gate import PredictiveGate
from selfright.retrain.loss import loss_of
from selfright.retrain.trigger import SCHEDULE

if TYPE_CHECKING:
    from selfright.events.batch import Commit
    from selfright.events.record import GateRecord
    from selfright.loop.ports import ModelSource
    from selfright.loop.rooms import FoldPolicy, Moment, Rooms

# An agent stands out if its newest samples, at least 20, lie 2.5 deviations below what is
# believed: of 100 sound agents fewer than one does.
_FEWEST: Final = 20
_DEVIATIONS: Final = 2.5
_AT_ONCE: Final = 16  # affected rows that a challenger predicts before it learns from them
_KEPT: Final = 1_000  # retrainings and adoptions that are remembered
# Stands, as in decisions, for the model that learnt in place before there was a version.
NO_VERSION: Final = 0
# The models that learn from rewards; what they need is remembered per agent.
REWARDED: Final = frozenset(
    {ModelType.AGENT_SELECTION, ModelType.ROUTING, ModelType.PARAMETER_OPTIMIZATION}
)


class Trials:
    """Keeps the models' slots and every retraining's record."""

    def __init__(self, rooms: Rooms, policy: FoldPolicy, models: ModelSource) -> None:
        self._rooms = rooms
        self._policy = policy
        self._models = models
        self._asked: dict[str, RetrainRequested] = {}
        self._requests: dict[str, RetrainRequested] = {}
        self.retrainings: OrderedDict[str, RetrainFinished] = OrderedDict()
        self.adoptions: list[ModelAdopted] = []

    # ---- reading ---------------------------------------------------------------------

    def running(self, model_type: ModelType) -> str | None:
        """Return the id of a retraining under way or on trial, None if there is none."""
        for requests in (self._requests, self._asked):
            for request in requests.values():
                if request.model_type == model_type.value:
                    return request.act_id
        slot = self._rooms.slots.get(model_type)
        if slot is not None and slot.challenger is not None:
            return slot.challenger.pending.retrain_id
        return None

    def asked(self) -> list[RetrainRequested]:
        """Return requests of our own that are not in the log yet."""
        return list(self._asked.values())

    def unfinished(self) -> list[RetrainRequested]:
        """Return requests without any result yet."""
        return list(self._requests.values())

    def boundary(self, commit: Commit, low: int, high: int) -> int:
        """Return where to stop so that a challenger learns soon from what it predicted.

        It predicts the rows up to there before it learns from them. One row at a time
        would be best and costs 0.3 ms a row; a few at a time lose nothing measurable.
        """
        judged: set[str] = set()
        everyone = False
        for slot in self._rooms.slots.values():
            if slot.challenger is not None:
                agents = slot.challenger.pending.agents
                everyone = everyone or not agents
                judged.update(agents)
        if not judged and not everyone:
            return high
        affected = sorted(
            seq
            for batch in (commit.runs, commit.outcomes)
            for seq, name in zip(batch.seq.tolist(), batch.agent_name, strict=True)
            if low <= seq < high and (everyone or name in judged)
        )
        return affected[_AT_ONCE - 1] + 1 if len(affected) >= _AT_ONCE else high

    # ---- learning --------------------------------------------------------------------

    def learn(self, part: Commit, moment: Moment) -> None:
        """Let champions and challengers learn from rows; conclude what the gate decides."""
        if not self._rooms.slots:
            return
        fed = self._rooms.feed.take(part)
        for model_type, slot in self._rooms.slots.items():
            if fed.restarted and model_type is ModelType.AGENT_SELECTION:
                slot.restart(fed.restarted, Samples.concat([]))
            samples = fed.samples[model_type]
            if len(samples):
                verdict = slot.learn(samples)
                if verdict is not None:
                    self._decide(slot, verdict, moment)

    def expire(self, moment: Moment) -> None:
        """End trials that have lasted too long."""
        for slot in self._rooms.slots.values():
            record = slot.expired(moment.now_us)
            if record is not None:
                self._decide(slot, record, moment)

    # ---- acts ------------------------------------------------------------------------

    def ask(self, request: RetrainRequested, moment: Moment) -> None:
        """Have a request of our own written down; it starts once it is in the log.

        Where the fleet as a whole asked, the retraining is about the agents that have
        fallen behind what is believed of them; about all, if none stands out.
        """
        if not request.agents and request.requested_by != SCHEDULE:
            request = msgspec.structs.replace(request, agents=self._fallen())
        self._asked[request.act_id] = request
        moment.effects.append(Append(request))

    def request(self, request: RetrainRequested, moment: Moment) -> None:
        """Start a retraining, unless one of that model is under way."""
        model_type = ModelType(request.model_type)
        slot = self._rooms.slots.get(model_type)
        self._asked.pop(request.act_id, None)
        running = self.running(model_type)
        if slot is None or running is not None:
            # Two asked at the same time: the later one is told so.
            moment.effects.append(Append(refused(request, running, moment.now_us)))
            return
        self._requests[request.act_id] = request
        self._rooms.trigger.note_started(
            request, moment.now_us, self._rooms.watch, self._about(request)
        )
        moment.effects.append(self.effect(request))

    def effect(self, request: RetrainRequested) -> Retrain:
        """Return what has to be done for a request that is under way."""
        model_type = ModelType(request.model_type)
        slot, recent = self._rooms.slots[model_type], None
        if request.mode == "incremental" and model_type in REWARDED:
            ring = self._rooms.feed.recent
            recent = ring.samples(model_type, request.agents or ring.newest_agents(ring.limit))
        champion, deleted = slot.champion.copy(), dict(self._rooms.absent.deleted)
        return Retrain(request, champion, slot.version, recent, deleted)

    def finish(self, finished: RetrainFinished, moment: Moment) -> None:
        """Take the result of a job: open the trial, or conclude."""
        if self._requests.pop(finished.retrain_id, None) is None:
            return  # the verdict that was decided here, come back through the log
        slot = self._rooms.slots.get(ModelType(finished.model_type))
        if finished.state == "pending" and slot is not None:
            self._open(slot, finished, moment)
        else:
            self._conclude(finished, moment)

    def serve(self, act: OperatorAct, moment: Moment) -> None:
        """Let a version serve because an operator said so."""
        model_type, version = ModelType(act.target), int(act.arguments["version"])
        slot = self._rooms.slots.get(model_type)
        if slot is not None and act.arguments.get("saved"):
            self._saved(slot, version, moment)
            return
        model = self._models.load(model_type, version)
        if slot is None or model is None:
            return  # checked before it was recorded; the version may have been lost since
        before = slot.served_version
        ended = slot.adopt(model, version)
        forced: GateRecord | None = None
        if ended is not None and ended.version == version:
            forced = ended.gate.record("forced")
            self._close(ended.pending, forced, promoted=True, moment=moment)
        elif ended is not None:
            record = ended.gate.record("inconclusive")
            self._close(ended.pending, record, promoted=False, moment=moment)
            moment.effects.append(Settle(model_type.value, ended.version, record))
        self._adopt(slot, before, act.verb, None, moment, forced)

    def _saved(self, slot: ModelSlot, version: int, moment: Moment) -> None:
        """Give the champion, which was saved and learns on, the number of what was saved."""
        before, slot.version = slot.version, version
        if slot.served_version == version:  # no emergency's version serves instead
            self._adopt(slot, before, "saved", None, moment)

    def dismiss(self, moment: Moment) -> None:
        """End trials about agents that are all gone: no outcome of theirs would decide them."""
        absent = self._rooms.absent.retired
        for slot in self._rooms.slots.values():
            trial = slot.challenger
            agents = () if trial is None else trial.pending.agents
            if trial is not None and agents and all(name in absent for name in agents):
                self._decide(slot, trial.gate.record("inconclusive"), moment)

    def forget(self, agent: str) -> None:
        """Drop what the models have learnt of an agent that was deleted."""
        self._rooms.feed.forget(agent)
        for slot in self._rooms.slots.values():
            slot.forget(agent, Samples.concat([]))

    # ---- inside ----------------------------------------------------------------------

    def _fallen(self) -> list[str]:
        slot = self._rooms.slots[ModelType.AGENT_SELECTION]
        names, n, seen = self._rooms.feed.recent.means()
        if not names:
            return []
        believed = np.clip(slot.champion.mean_of(names, [None] * len(names)), 0.01, 0.99)
        spread = np.sqrt(believed * (1.0 - believed) / np.maximum(n, 1))
        fallen = (n >= _FEWEST) & (believed - seen >= _DEVIATIONS * spread)
        absent = self._rooms.absent.retired
        return [names[i] for i in np.flatnonzero(fallen).tolist() if names[i] not in absent]

    def _open(self, slot: ModelSlot, pending: RetrainFinished, moment: Moment) -> None:
        assert pending.version is not None  # a pending record always has one
        model = self._models.load(slot.model_type, pending.version)
        if model is None:
            lost = msgspec.structs.replace(
                pending,
                act_id=f"{pending.retrain_id}:failed",
                ts_us=moment.now_us,
                state="failed",
                error=f"version {pending.version} could not be loaded",
            )
            moment.effects.append(Append(lost))
            self._conclude(lost, moment)
            return
        serves = (
            self._policy.emergency
            and pending.automatic
            and pending.retrain_type == "incremental"
            and slot.model_type is ModelType.AGENT_SELECTION
        )
        slot.open(
            Challenger(
                pending=pending,
                model=model,
                frozen=slot.champion.copy(),
                gate=PredictiveGate(
                    self._rooms.gate, loss_of(slot.model_type.value), moment.now_us
                ),
                serves=serves,
                opened_us=moment.now_us,
            )
        )
        self._remember(pending)
        self._set_aside(pending)
        if serves:
            self._adopt(slot, slot.version, "emergency", pending.retrain_id, moment)

    def _decide(self, slot: ModelSlot, record: GateRecord, moment: Moment) -> None:
        assert slot.challenger is not None
        if record.verdict == "inconclusive" and slot.challenger.serves and (record.gain or 0) > 0:
            # The emergency's decision stands: what has been seen speaks for it, and the
            # champion would send the tasks back to the agent that fell.
            record = msgspec.structs.replace(record, verdict="emergency")
        promoted = record.verdict in {"promoted", "emergency"}
        champion = slot.version
        trial = slot.close(promoted=promoted)
        self._close(trial.pending, record, promoted=promoted, moment=moment)
        retrain_id, kind = trial.pending.retrain_id, slot.model_type.value
        if promoted:
            self._adopt(slot, champion, "promoted", retrain_id, moment, record)
            return
        moment.effects.append(Settle(kind, trial.version, record))
        if trial.serves:
            self._adopt(slot, trial.version, "reverted", retrain_id, moment)

    def _close(
        self, pending: RetrainFinished, record: GateRecord, *, promoted: bool, moment: Moment
    ) -> None:
        done = msgspec.structs.replace(
            pending,
            act_id=f"{pending.retrain_id}:done",
            ts_us=moment.now_us,
            state="done",
            promoted=promoted,
            gate=record,
        )
        moment.effects.append(Append(done))
        self._conclude(done, moment)

    def _conclude(self, finished: RetrainFinished, moment: Moment) -> None:
        """Write down a final result and tell everyone who waits for it."""
        self._remember(finished)
        self._rooms.trigger.note_finished(finished, moment.now_us)
        if finished.state != "done":
            self._set_aside(finished)
        if self._policy.alerts:
            moment.tell(self._rooms.book.note_retraining(finished, moment.now_us))

    def _set_aside(self, about: RetrainFinished) -> None:
        """Start the evidence anew: a retraining is judged by what comes after it."""
        watch, certainty = self._rooms.watch, self._rooms.certainty
        full = about.retrain_type == "full" and about.state not in {"failed", "aborted"}
        for code in (SYSTEM, *self._about(about)):
            watch.note_retraining(code)
            if full:
                certainty.note_full(code)

    def _about(self, act: RetrainRequested | RetrainFinished) -> list[int]:
        """Return the codes of the agents that a retraining is about; none named: of all."""
        agents = self._rooms.agents
        codes = map(agents.get, act.agents or agents.names)
        return [code for code in codes if code is not None]

    def _adopt(
        self,
        slot: ModelSlot,
        before: int | None,
        verdict: str,
        retrain_id: str | None,
        moment: Moment,
        gate: GateRecord | None = None,
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
        )
        self.adoptions.append(adopted)
        del self.adoptions[:-_KEPT]
        if verdict == "rollback" and self._policy.alerts:
            moment.tell(self._rooms.book.note_rollback(adopted, moment.now_us))
        moment.effects.append(Append(adopted))
        moment.effects.append(Serve(kind, version, verdict, gate))

    def _remember(self, finished: RetrainFinished) -> None:
        self.retrainings[finished.retrain_id] = finished
        while len(self.retrainings) > _KEPT:
            self.retrainings.popitem(last=False)

    # ---- state -----------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return slots and records as plain values and numpy arrays."""
        return {
            "retrainings": [encode_act(act) for act in self.retrainings.values()],
            "adoptions": [encode_act(act) for act in self.adoptions],
            "asked": [encode_act(act) for act in self._asked.values()],
            "requests": [encode_act(act) for act in self._requests.values()],
            "slots": {kind.value: slot.to_state() for kind, slot in self._rooms.slots.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``to_state`` returned."""
        slots = self._rooms.slots
        for kind in slots:
            slots[kind] = ModelSlot.from_state(state["slots"][kind.value])
        finished = [_act(RetrainFinished, data) for data in state["retrainings"]]
        self.retrainings = OrderedDict((act.retrain_id, act) for act in finished)
        self.adoptions = [_act(ModelAdopted, data) for data in state["adoptions"]]
        for name, requests in (("asked", self._asked), ("requests", self._requests)):
            found = [_act(RetrainRequested, data) for data in state[name]]
            requests.update((act.act_id, act) for act in found)


_Act = TypeVar("_Act")


def _act(kind: type[_Act], data: bytes) -> _Act:
    act = decode_act(data)
    if not isinstance(act, kind):
        raise TypeError(f"expected {kind.__name__}, found {type(act).__name__}")
    return act

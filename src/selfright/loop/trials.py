"""The life of a retraining: asked for, made, on trial, decided; and what serves.

::

    RetrainRequested --effect--> job --> RetrainFinished(pending) --> trial --> verdict
                                    +--> RetrainFinished(failed)

One retraining of a model at a time. What the trial decides is written to the log, too,
but takes effect here, at the very outcome that decided it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from selfright.events.record import (
    GateRecord,
    ModelAdopted,
    OperatorAct,
    RetrainFinished,
    RetrainRequested,
    encode_act,
)
from selfright.learn.feed import decided_runs
from selfright.learn.model_type import ModelType
from selfright.learn.samples import Samples
from selfright.loop.canary import Canary
from selfright.loop.decided import comparable_since
from selfright.loop.effects import Append, Retrain
from selfright.loop.endings import refused
from selfright.loop.proving import Proving
from selfright.loop.records import Records, act_of
from selfright.loop.slot import Challenger, ModelSlot
from selfright.retrain.gate import PredictiveGate
from selfright.retrain.loss import loss_of
from selfright.retrain.trigger import SCHEDULE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from selfright.events.batch import Commit
    from selfright.events.record import Decision
    from selfright.learn.feed import DecidedRun, Rewarded
    from selfright.loop.ports import ModelSource
    from selfright.loop.rooms import FoldPolicy, Moment, Rooms

# An agent stands out if its newest samples, at least 20, lie 2.5 deviations below what is
# believed: of 100 sound agents fewer than one does.
_FEWEST: Final = 20
_DEVIATIONS: Final = 2.5
_AT_ONCE: Final = 16  # affected rows that a challenger predicts before it learns from them
# The models that learn from rewards; what they need is remembered per agent.
FIVE: Final = frozenset(map(str, ModelType))  # all others are the user's own
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
        self.records = Records(rooms, policy)
        self._proving = Proving(rooms, self.records)

    # ---- reading ---------------------------------------------------------------------

    @property
    def retrainings(self) -> OrderedDict[str, RetrainFinished]:
        """What became of retrainings, by their id, oldest first."""
        return self.records.retrainings

    @property
    def adoptions(self) -> list[ModelAdopted]:
        """What served when, oldest first."""
        return self.records.adoptions

    def running(self, model_type: ModelType) -> str | None:
        """Return the id of a retraining under way or on trial, None if there is none."""
        for requests in (self._requests, self._asked):
            for request in requests.values():
                if request.model_type == model_type.value:
                    return request.act_id
        slot = self._rooms.slots.get(model_type)
        trial = None if slot is None else slot.challenger
        # A canary stands in nobody's way: a new retraining ends it.
        return None if trial is None or trial.canary is not None else trial.pending.retrain_id

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
                agents: Collection[str] = slot.challenger.pending.agents
                everyone = everyone or not agents
                judged.update(agents)
            if slot.probation is not None:
                everyone = everyone or not slot.watched
                judged.update(slot.watched)
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
        fed, ran = self._rooms.feed.take(part), decided_runs(part.runs)
        for model_type, slot in self._rooms.slots.items():
            if fed.restarted and model_type is ModelType.AGENT_SELECTION:
                slot.restart(fed.restarted, Samples.concat([]))
            samples = fed.samples[model_type]
            if len(samples):
                verdict = slot.learn(samples)
                if verdict is not None:
                    self._decide(slot, verdict, moment)
            if model_type in REWARDED:
                self._earn(slot, ran, fed.rewarded, moment)
            self._proving.look(slot, moment)

    def _earn(
        self,
        slot: ModelSlot,
        ran: Sequence[DecidedRun],
        rewards: Sequence[Rewarded],
        moment: Moment,
    ) -> None:
        """Let a model that chooses hear what came of its decisions."""
        for run in ran:
            slot.ran(run)
        for rewarded in rewards:
            record = slot.earn(rewarded)
            if record is not None:
                self._decide(slot, record, moment)

    def note(self, decision: Decision) -> None:
        """Hear of a decision that a model made."""
        slot = self._rooms.slots.get(ModelType(decision.model_type))
        if slot is not None:
            slot.note(decision)

    def expire(self, moment: Moment) -> None:
        """End trials and probations that have lasted too long."""
        for slot in self._rooms.slots.values():
            record = slot.expired(moment.now_us)
            if record is not None:
                self._decide(slot, record, moment)
            self._proving.look(slot, moment)

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
        if slot.challenger is not None and slot.challenger.canary is not None:
            reason = f"{request.act_id} began"
            record = slot.challenger.canary.gate.record("inconclusive", reason)
            self._decide(slot, record, moment)
        self._requests[request.act_id] = request
        self._rooms.trigger.note_started(
            request, moment.now_us, self._rooms.watch, self.records.about(request)
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
        if finished.model_type not in FIVE:
            self.records.hear(finished, moment)
            return
        request = self._requests.pop(finished.retrain_id, None)
        if request is None:
            return  # the verdict that was decided here, come back through the log
        slot = self._rooms.slots.get(ModelType(finished.model_type))
        if finished.state == "pending" and slot is not None:
            self._open(slot, finished, comparable_since(request), moment)
        else:
            self.records.conclude(finished, moment)

    def adopted(self, act: ModelAdopted, moment: Moment) -> None:
        """Hear what serves; of the five it is what was decided here, come back."""
        if act.model_type not in FIVE:
            self.records.hear_adopted(act, moment)

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
        before, parent, own = slot.served_version, slot.champion, slot.version
        earned = slot.decided.since(None)
        unproved = self._proving.conclude(slot, moment)
        ended = slot.adopt(model, version)
        proven = {own} if unproved is None else {own, unproved.parent_version}
        if act.verb == "promote" and version not in proven:
            made = self.records.made(slot.model_type, version)
            self._proving.begin(slot, parent, own, made, earned, moment, unproved)
        forced: GateRecord | None = None
        if ended is not None and ended.version == version:
            forced = ended.gate.record("forced")
            self.records.close(ended.pending, forced, promoted=True, moment=moment)
        elif ended is not None:
            record = ended.gate.record("inconclusive")
            self.records.close(ended.pending, record, promoted=False, moment=moment)
        self.records.adopt(slot, before, act.verb, None, moment, forced)

    def _saved(self, slot: ModelSlot, version: int, moment: Moment) -> None:
        """Give the champion, which was saved and learns on, the number of what was saved."""
        before = slot.version
        slot.renumber(version)
        if slot.served_version == version:  # no emergency's version serves instead
            self.records.adopt(slot, before, "saved", None, moment)

    def dismiss(self, moment: Moment) -> None:
        """End trials about agents that are all gone: no outcome of theirs would decide them."""
        absent = self._rooms.absent.retired
        for slot in self._rooms.slots.values():
            trial = slot.challenger
            agents = () if trial is None else trial.pending.agents
            if trial is not None and agents and all(name in absent for name in agents):
                self._decide(slot, trial.gate.record("inconclusive"), moment, ended=True)

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

    def _open(
        self, slot: ModelSlot, pending: RetrainFinished, since_us: int | None, moment: Moment
    ) -> None:
        assert pending.version is not None  # a pending record always has one
        model = self._models.load(slot.model_type, pending.version)
        if model is None:
            self.records.lose(pending, moment)
            return
        if pending.parent_version in slot.rolled_back:
            # Made while its parent was still on probation: it has the same fault.
            record = GateRecord(verdict="inconclusive")
            self.records.close(pending, record, promoted=False, moment=moment)
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
                policy=None
                if serves or slot.model_type not in REWARDED
                else Canary(self._rooms.canary, 0.0, moment.now_us),
                since_us=since_us,
                before=tuple(slot.decided.since(since_us)) if serves else (),
            )
        )
        self.records.remember(pending)
        self.records.set_aside(pending)
        if serves:
            self.records.adopt(slot, slot.version, "emergency", pending.retrain_id, moment)

    def _decide(
        self, slot: ModelSlot, record: GateRecord, moment: Moment, *, ended: bool = False
    ) -> None:
        assert slot.challenger is not None
        if record.verdict == "inconclusive" and slot.challenger.serves and (record.gain or 0) > 0:
            # The emergency's decision stands: what has been seen speaks for it, and the
            # champion would send the tasks back to the agent that fell.
            record = msgspec.structs.replace(record, verdict="emergency")
        if record.verdict == "inconclusive" and slot.challenger.canary is None and not ended:
            concluded = self._by_decisions(slot, slot.challenger, record, moment)
            if concluded is None:
                return
            record = concluded
        promoted = record.verdict in {"promoted", "emergency"}
        champion, parent, trial = slot.version, slot.champion, slot.challenger
        earned = trial.before if trial.serves else slot.decided.since(trial.since_us)
        unproved = self._proving.conclude(slot, moment) if promoted else None
        slot.close(promoted=promoted)
        self.records.close(trial.pending, record, promoted=promoted, moment=moment)
        retrain_id = trial.pending.retrain_id
        if promoted:
            self._proving.begin(slot, parent, champion, trial.pending, earned, moment, unproved)
            self.records.adopt(slot, champion, "promoted", retrain_id, moment, record)
            return
        if trial.serves:
            self.records.adopt(slot, trial.version, "reverted", retrain_id, moment)

    def _by_decisions(
        self, slot: ModelSlot, trial: Challenger, record: GateRecord, moment: Moment
    ) -> GateRecord | None:
        """Return the verdict on what the gate left open; None if a canary is to find it."""
        policy = self._rooms.canary
        if trial.policy is None:
            return record
        concluded = trial.policy.conclusion()
        if concluded is not None:
            return concluded
        if not policy.share or (record.gain or 0.0) < 0.0 or not len(slot.decided):
            return record  # it has shown a loss, or nobody asks this model for decisions
        trial.policy = Canary(policy, policy.share, moment.now_us)
        self.records.note_canary(trial.pending, record, moment)
        return None

    # ---- state -----------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return slots and records as plain values and numpy arrays."""
        return {
            **self.records.to_state(),
            "asked": [encode_act(act) for act in self._asked.values()],
            "requests": [encode_act(act) for act in self._requests.values()],
            "slots": {kind.value: slot.to_state() for kind, slot in self._rooms.slots.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``to_state`` returned."""
        slots = self._rooms.slots
        for kind in slots:
            slots[kind] = ModelSlot.from_state(state["slots"][kind.value])
        self.records.restore(state)
        for name, requests in (("asked", self._asked), ("requests", self._requests)):
            found = [act_of(RetrainRequested, data) for data in state[name]]
            requests.update((act.act_id, act) for act in found)

"""How a registered model begins: where its versions, and the log, say that it was.

The registry is written first, then the log; a process may end between the two. So what the
log does not know of the last retraining is told now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfright.errors import ConfigError, CorruptLogError, UnknownNameError
from selfright.events.record import GateRecord, ModelAdopted, Proof, RetrainFinished
from selfright.loop.own.slot import OwnSlot
from selfright.loop.own.told import adopted, adopted_id, begun, decided, proved
from selfright.loop.own.watch import OwnWatch
from selfright.loop.retraining import new_id

if TYPE_CHECKING:
    from selfright.loop.own.protocol import OwnModel
    from selfright.loop.own.slot import Surroundings
    from selfright.loop.own.stored import Covered
    from selfright.retrain.manifest import Entry, ModelVersion

_PROMOTED = frozenset({"promoted", "promote"})  # the reasons of what is watched


def opened(name: str, model: OwnModel, around: Surroundings) -> OwnSlot:
    """Return a model with the version that serves, and a trial or a watch under way.

    Raises ``ConfigError`` if the version that serves cannot be loaded by ``model``.
    """
    slot = OwnSlot(name, model, around)
    current = slot.versions.intact()
    if current is not None:
        found, covered = slot.versions.load(model, current)
        slot.serving = slot.follower(found, slot.offset_of(covered))
        slot.learnt = slot.saved = covered.events
        slot.time_us = covered.time_us if covered.log_id == around.log.log_id else 0
    versions = slot.versions.all()
    if versions and versions[-1].state == "challenger":
        _resume_trial(slot, versions[-1])
    retrained = [one for one in versions if one.retrain_id is not None]
    if retrained and retrained[-1].state != "challenger":
        _make_up(slot, retrained[-1])
    _resume_watch(slot)
    return slot


def _resume_trial(slot: OwnSlot, version: ModelVersion) -> None:
    """Go on with a trial: both versions end at one event, and the log has the rest."""
    found = _loaded(slot, version.version, "challenger")
    if found is None:
        return
    model, covered = found
    if (covered.log_id, covered.events) != (slot.around.log.log_id, slot.learnt):
        record = GateRecord(verdict="inconclusive", loss=slot.loss.name)
        slot.versions.settle(version.version, record)
        return
    pending = _act(slot, f"{version.retrain_id}:pending") or _pending(slot, version)
    slot.open(model, version.version, covered.time_us, pending)


def _make_up(slot: OwnSlot, version: ModelVersion) -> None:
    """Tell the log of the last retraining what only the registry knows."""
    retrain_id, gate, now_us = version.retrain_id, version.gate, slot.around.clock.now_us()
    pending = _act(slot, f"{retrain_id}:pending")
    if pending is None or gate is None:
        return  # made from another log
    done = _act(slot, f"{retrain_id}:done")
    if done is None:
        promoted = gate.verdict in {"promoted", "forced", "rolled_back"}
        done = decided(pending, gate, now_us, promoted=promoted, error=None)
        slot.around.told.tell(done)
    if gate.verdict == "rolled_back" and _act(slot, f"{retrain_id}:proved") is None:
        proof = Proof(verdict="worse", measure=slot.loss.name, rolled_back=True)
        slot.around.told.tell(proved(done, proof, now_us, gate))
        entry = slot.versions.last_promotion()
        if entry is not None and entry.reason == "rolled_back":
            told = adopted(
                slot.name, entry, version.version, now_us, retrain_id=retrain_id, proof=proof
            )
            slot.around.told.tell(told)


def _resume_watch(slot: OwnSlot) -> None:
    """Go on with the watch of what serves, if it has not ended.

    Both learn again what came since they were saved; from where the promotion was, or
    where what serves was saved last, they are compared.
    """
    entry = slot.versions.last_promotion()
    if entry is None or entry.reason not in _PROMOTED or not slot.around.watch.runs:
        return
    made = _made(slot, entry.version)
    told = _adopted(slot, entry, made)
    if told is None or told.offset is None or told.parent_version is None:
        return
    parent = _loaded(slot, told.parent_version, "parent")
    if parent is None:
        return
    model, covered = parent
    called = f"parent {told.parent_version}: "
    follower = slot.follower(model, slot.offset_of(covered), called)
    watch = OwnWatch.begin(slot.around.watch, slot.loss, follower, told, made)
    if slot.around.log.find_act(watch.end_id) is None:
        slot.watch = watch


def _adopted(slot: OwnSlot, entry: Entry, made: RetrainFinished | None) -> ModelAdopted | None:
    """Return the act that a promotion is told by; None if this log knows nothing of it."""
    act = slot.around.log.find_act(adopted_id(slot.name, entry))
    if isinstance(act, ModelAdopted):
        return act
    if made is None:
        return None
    # The process ended before it was told: watched from here on.
    told = adopted(
        slot.name, entry, made.parent_version, slot.time_us,
        retrain_id=made.retrain_id, offset=slot.serving.offset,
    )  # fmt: skip
    slot.around.told.tell(told)
    return told


def _made(slot: OwnSlot, version: int) -> RetrainFinished | None:
    """Return the record of the retraining that made a version, if this log has it."""
    found = next((one for one in slot.versions.all() if one.version == version), None)
    if found is None or found.retrain_id is None:
        return None
    return _act(slot, f"{found.retrain_id}:done")


def _act(slot: OwnSlot, act_id: str) -> RetrainFinished | None:
    act = slot.around.log.find_act(act_id)
    return act if isinstance(act, RetrainFinished) else None


def _pending(slot: OwnSlot, version: ModelVersion) -> RetrainFinished:
    """Return the record of a retraining whose process ended before it was told."""
    retrain_id, now_us = version.retrain_id or new_id(), slot.around.clock.now_us()
    record = begun(
        retrain_id,
        now_us,
        model_type=slot.name,
        reason=version.reason or "",
        automatic=False,
        events_processed=version.samples,
        version=version.version,
        parent_version=version.parent,
    )
    slot.around.told.tell(record)
    return record


def _loaded(slot: OwnSlot, version: int, what: str) -> tuple[OwnModel, Covered] | None:
    try:
        return slot.versions.load(slot.model, version)
    except (ConfigError, CorruptLogError, UnknownNameError) as error:
        slot.note(f"{what} {version}", error)
        return None

"""What becomes of a model of the user's own: verdicts, promotions, the watch, rollbacks.

::

    refitted --> trial --+--> rejected, inconclusive
                         +--> promoted --> watch --+--> proved
                                                   +--> harm is certain: the parent serves
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from selfright.errors import SelfrightError
from selfright.events.record import RetrainFinished
from selfright.loop.own.slot import said
from selfright.loop.own.told import adopted, decided, ended, proved
from selfright.loop.own.watch import OwnWatch

if TYPE_CHECKING:
    from selfright.events.record import AnyAct, GateRecord, ModelAdopted
    from selfright.loop.own.follower import Follower
    from selfright.loop.own.slot import OwnSlot
    from selfright.loop.own.trial import OwnTrial
    from selfright.retrain.manifest import Entry

_log = logging.getLogger("selfright")


class OwnProving:
    """Decides what serves of one model. Not thread-safe; see ``models``."""

    def __init__(self, slot: OwnSlot) -> None:
        self._slot = slot
        self._around = slot.around

    def rule(self) -> None:
        """Do what the scores of the last batch say, and what was raised at it."""
        slot = self._slot
        if slot.watch is not None:
            if slot.watch.is_harm:
                self._roll_back(slot.watch)
            elif slot.watch.is_over:
                self._conclude()
        if slot.trial is not None and slot.trial.record is not None:
            self._decide(slot.trial, slot.trial.record)
        self.check()

    def check(self) -> None:
        """Switch off what goes on raising; while on watch, let its parent serve instead."""
        slot = self._slot
        if not slot.serving.fails or slot.disabled is not None:
            return
        often = f"after {slot.serving.in_a_row} failures in a row, the last: {slot.last_failure}"
        if slot.watch is not None and not slot.watch.parent.in_a_row:
            self._roll_back(slot.watch, f"taken back {often}")
            return
        slot.disabled = f"switched off {often}; mend the model and register it again"
        self._around.failed(f"model {slot.name}", RuntimeError(slot.disabled))

    # ---- verdicts --------------------------------------------------------------------

    def _decide(self, trial: OwnTrial, record: GateRecord) -> None:
        slot, entry, before = self._slot, None, self._slot.versions.current
        error = trial.follower.error
        try:
            if record.verdict == "promoted":
                entry = slot.versions.promote(trial.version, "promoted", record)
            else:
                slot.versions.settle(trial.version, record)
        except SelfrightError as refused:
            # What cannot be written down does not serve: a restart would not know of it.
            self._around.failed(f"model {slot.name}", refused)
            error = error or refused
        made = self._close(trial, record, promoted=entry is not None, error=error)
        if entry is not None:
            self._adopt(trial.follower, entry, before, made, watched=True)

    def _drop(self, trial: OwnTrial, *, forced: bool = False) -> RetrainFinished:
        """End a trial by something else than its gate; return the retraining's record."""
        record = trial.gate.record("forced" if forced else "inconclusive")
        try:
            self._slot.versions.settle(trial.version, record)
        except SelfrightError as refused:
            self._around.failed(f"model {self._slot.name}", refused)
        return self._close(trial, record, promoted=forced)

    def _close(
        self,
        trial: OwnTrial,
        record: GateRecord,
        *,
        promoted: bool,
        error: BaseException | None = None,
    ) -> RetrainFinished:
        self._slot.trial = None
        why = None if error is None else said(error)
        made = decided(trial.pending, record, self._now_us(), promoted=promoted, error=why)
        self._tell(made)
        _log.info("%s: version %d is %s", self._slot.name, trial.version, record.verdict)
        return made

    # ---- what serves -----------------------------------------------------------------

    def serve(self, version: int, verb: str) -> None:
        """Let an earlier version serve; it then learns what came since. Ends a trial.

        What is promoted by hand is watched like what the gate promotes, unless it has
        proved itself before; a rollback by hand is not.

        Raises ``UnknownNameError``, ``CorruptLogError``, and ``ConfigError`` if it cannot
        be loaded; then nothing has changed.
        """
        slot, watch, trial = self._slot, self._slot.watch, self._slot.trial
        model, covered = slot.versions.load(slot.model, version)
        before = slot.versions.current
        proven = {before} if watch is None else {before, watch.parent_version}
        entry = slot.versions.promote(version, verb)
        made = None if trial is None else self._drop(trial, forced=trial.version == version)
        if made is None or made.version != version:
            made = self._made(version)
        follower = slot.follower(model, slot.offset_of(covered))
        self._adopt(
            follower, entry, before, made, watched=verb == "promote" and version not in proven
        )
        slot.learnt = slot.saved = covered.events

    def _adopt(
        self,
        follower: Follower,
        entry: Entry,
        before: int | None,
        made: RetrainFinished | None,
        *,
        watched: bool,
    ) -> None:
        """Let a model serve of which the registry says so, and watch it beside its parent.

        If what it replaces was itself on watch, the one before that stays the parent: what
        has not proved itself is nothing to go back to.
        """
        slot, parent, unproved = self._slot, self._slot.serving, self._slot.watch
        self._conclude()
        if unproved is not None and watched:
            parent, before = unproved.parent, unproved.parent_version
        follower.called, parent.called = "", f"parent {before}: "
        slot.serving, slot.saved, slot.disabled = follower, -1, None
        watched = watched and before is not None and self._around.watch.runs > 0
        offset = max(follower.offset, parent.offset) if watched else None
        told = self._adopted(entry, before, made, offset=offset)
        if watched:
            slot.watch = OwnWatch.begin(self._around.watch, slot.loss, parent, told, made)

    def _conclude(self) -> None:
        """End the watch, if there is one, without a rollback; say what it has shown."""
        watch, self._slot.watch = self._slot.watch, None
        if watch is not None and watch.made is not None:
            self._tell(proved(watch.made, watch.proof(), self._now_us()))
        elif watch is not None:
            # Nothing was retrained; said all the same, for a restart to know that it is over.
            self._tell(ended(watch.adopted, watch.proof(), self._now_us()))

    def _roll_back(self, watch: OwnWatch, reason: str | None = None) -> None:
        slot, entry, before = self._slot, None, self._slot.versions.current
        proof, record = watch.proof(rolled_back=True), watch.verdict(reason)
        try:
            # In this order: cut short in between, a restart goes on with the watch.
            slot.versions.settle(watch.adopted.version, record)
            entry = slot.versions.promote(watch.parent_version, "rolled_back")
        except SelfrightError as refused:
            self._around.failed(f"model {slot.name}", refused)
        if slot.trial is not None:
            self._drop(slot.trial)  # made of what is rolled back, it has the same fault
        watch.parent.called = ""
        slot.serving, slot.watch, slot.saved = watch.parent, None, -1
        if watch.made is not None:
            self._tell(proved(watch.made, proof, self._now_us(), record))
        if entry is not None:
            self._adopted(entry, before, watch.made, proof=proof)
        _log.warning("%s: version %s is rolled back", slot.name, before)

    # ---- inside ----------------------------------------------------------------------

    def _adopted(
        self, entry: Entry, before: int | None, made: RetrainFinished | None, **about: Any
    ) -> ModelAdopted:
        retrain_id, slot = None if made is None else made.retrain_id, self._slot
        told = adopted(slot.name, entry, before, slot.time_us, retrain_id=retrain_id, **about)
        self._tell(told)
        return told

    def _made(self, version: int) -> RetrainFinished | None:
        """Return the record of the retraining that made a version, if this log has it."""
        found = next((one for one in self._slot.versions.all() if one.version == version), None)
        if found is None or found.retrain_id is None:
            return None
        act = self._around.log.find_act(f"{found.retrain_id}:done")
        return act if isinstance(act, RetrainFinished) else None

    def _tell(self, act: AnyAct) -> None:
        self._around.told.tell(act)

    def _now_us(self) -> int:
        return self._around.clock.now_us()

"""A retraining of a model of the user's own: a refitted copy, kept as a version, on trial."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import msgspec

from selfright.clock import monotonic_s
from selfright.loop.own.slot import said
from selfright.loop.own.told import begun
from selfright.loop.retraining import RetrainResult, new_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfright.loop.outcome_event import OutcomeEvent
    from selfright.loop.own.slot import OwnSlot


def retrain(
    slot: OwnSlot, events: Sequence[OutcomeEvent], reason: str, *, automatic: bool = False
) -> RetrainResult:
    """Refit a copy on ``events`` and put it on trial; what fails is a result, too.

    Both stand in the log; an attempt that cannot even begin is only returned.
    """
    started_s, now_us = monotonic_s(), slot.around.clock.now_us()
    refusal = _refusal(slot, events)
    if refusal is not None:
        return RetrainResult.refused(slot.name, True, reason, refusal, now_us)
    record = begun(
        new_id(),
        now_us,
        model_type=slot.name,
        reason=reason,
        automatic=automatic,
        events_processed=len(events),
        agents_tracked=len({event.agent_name for event in events}),
    )
    try:
        parent = slot.save()
        challenger = copy.deepcopy(slot.model)
        challenger.refit(list(events))
        version = slot.versions.keep(challenger, slot.covers(), parent, record)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code, or the disk
        slot.serving.stumble("refit", error)
        failed = msgspec.structs.replace(
            record,
            act_id=f"{record.retrain_id}:failed",
            state="failed",
            duration_ms=(monotonic_s() - started_s) * 1e3,
            error=said(error),
        )
        slot.around.told.tell(failed)
        return RetrainResult.of(failed)
    slot.serving.in_a_row = 0
    pending = msgspec.structs.replace(
        record,
        duration_ms=(monotonic_s() - started_s) * 1e3,
        version=version,
        parent_version=parent,
    )
    trial = slot.open(challenger, version, slot.time_us, pending)
    pending = trial.pending = msgspec.structs.replace(pending, gate=trial.gate.record())
    slot.around.told.tell(pending)
    return RetrainResult.of(pending)


def _refusal(slot: OwnSlot, events: Sequence[OutcomeEvent]) -> str | None:
    if slot.disabled is not None:
        return slot.disabled
    if slot.trial is not None:
        return f"retraining {slot.trial.pending.retrain_id} is on trial"
    return None if events else "no events to learn from yet"

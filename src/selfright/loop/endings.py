"""Records of retrainings that ended without a model: refused, failed, aborted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from selfright.events.record import RetrainFinished

if TYPE_CHECKING:
    from selfright.events.record import RetrainRequested


def refused(request: RetrainRequested, running: str | None, now_us: int) -> RetrainFinished:
    """Return the record of a request that cannot be carried out."""
    return ended(
        request,
        "failed",
        "no model updater is connected" if running is None else f"{running} is under way",
        now_us,
    )


def ended(
    request: RetrainRequested, state: Literal["failed", "aborted"], error: str, now_us: int
) -> RetrainFinished:
    """Return the record of a retraining without a model."""
    return RetrainFinished(
        act_id=f"{request.act_id}:{state}",
        ts_us=now_us,
        retrain_id=request.act_id,
        model_type=request.model_type,
        retrain_type=request.mode,
        state=state,
        reason=request.reason,
        automatic=request.automatic,
        agents=request.agents,
        error=error,
    )

"""Retrainings that ended without a model: refused, failed, aborted, or interrupted."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

from selfright.events.record import RetrainFinished

if TYPE_CHECKING:
    from collections.abc import Iterable

    from selfright.events.record import RetrainRequested

_log = logging.getLogger("selfright")


def interrupted(
    unfinished: Iterable[RetrainRequested], mode: Literal["incremental", "full"]
) -> list[RetrainRequested]:
    """Return those of a mode among requests without a result that nobody works on, and say so."""
    found = [request for request in unfinished if request.mode == mode]
    for request in found:
        then = "going on with it" if mode == "full" else "recorded as aborted"
        _log.warning("retraining %s was interrupted; %s", request.act_id, then)
    return found


def refused(request: RetrainRequested, running: str | None, now_us: int) -> RetrainFinished:
    """Return the record of a request that cannot be carried out."""
    return ended(
        request,
        "failed",
        "no model updater is connected" if running is None else f"{running} is under way",
        now_us,
    )


def ended(
    request: RetrainRequested,
    state: Literal["failed", "aborted"],
    error: str,
    now_us: int,
    *,
    cancelled: bool = False,
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
        cancelled=cancelled,
    )

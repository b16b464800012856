"""Retrainings as users see them: asking for one, and what became of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from selfright.errors import ConfigError, UnknownNameError
from selfright.events.record import RetrainFinished, RetrainRequested
from selfright.events.timestamp import iso
from selfright.learn.model_type import ModelType
from selfright.loop.endings import ended

if TYPE_CHECKING:
    from selfright.loop.control import Circle

# A retraining looks up several times a second whether it is still wanted.
_CANCEL_S: Final = 10.0
# The fields of a result, in the order in which they are shown.
FIELDS = (
    "success", "model_type", "retrain_type", "events_processed", "agents_tracked",
    "duration_ms", "reason", "timestamp", "retrain_id", "state", "version",
    "parent_version", "promoted", "gate", "error", "automatic", "agents", "before", "after",
    "progress",
    "proof",
)  # fmt: skip


class RetrainResult(Mapping[str, Any]):
    """What became of a retraining. A mapping whose keys are attributes too.

    ``success`` says that the attempt ran, ``promoted`` that its model serves for good.
    ``state`` is ``pending`` while the gate still watches, then ``done``; ``failed`` or
    ``aborted`` where there is no model to watch; ``running``, with the share in ``progress``
    that is done, until there is a result. ``events_processed`` counts outcomes.
    ``before`` and ``after`` say per agent what the parent and the new version expect,
    beside what was seen. ``proof`` says what a promotion was worth: ``improved``,
    ``no_change`` or ``worse`` with the means before and since, once the watch after it has
    ended; a version that was rolled back is not ``promoted`` any more.
    """

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = {name: values.get(name) for name in FIELDS}

    @classmethod
    def of(cls, finished: RetrainFinished) -> RetrainResult:
        """Return the result that a record in the log tells of."""
        values = msgspec.to_builtins(finished)
        values["success"] = finished.state in {"done", "pending"}
        values["timestamp"] = iso(finished.ts_us)
        return cls(values)

    @classmethod
    def running(cls, request: RetrainRequested, progress: float) -> RetrainResult:
        """Return what is known of a retraining before it has a result."""
        return cls(
            {
                "retrain_id": request.act_id,
                "model_type": request.model_type,
                "retrain_type": request.mode,
                "state": "running",
                "reason": request.reason,
                "timestamp": iso(request.ts_us),
                "automatic": request.automatic,
                "agents": request.agents,
                "progress": progress,
            }
        )

    @classmethod
    def refused(
        cls, model_type: str, full: bool, reason: str, error: str, now_us: int
    ) -> RetrainResult:
        """Return the result of an attempt that could not even start."""
        return cls(
            {
                "success": False,
                "model_type": str(model_type),
                "retrain_type": "full" if full else "incremental",
                "events_processed": 0,
                "agents_tracked": 0,
                "duration_ms": 0.0,
                "reason": reason,
                "timestamp": iso(now_us),
                "state": "failed",
                "promoted": False,
                "error": error,
                "automatic": False,
                "agents": [],
            }
        )

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __getattr__(self, name: str) -> Any:
        try:
            return object.__getattribute__(self, "_values")[name]
        except KeyError:
            raise AttributeError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        shown = ("success", "model_type", "retrain_type", "state", "promoted", "version", "error")
        return f"RetrainResult({', '.join(f'{name}={self._values[name]!r}' for name in shown)})"

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dict."""
        return dict(self._values)


def ask(
    circle: Circle,
    *,
    model_type: ModelType,
    reason: str,
    full: bool,
    by: str = "operator",
    retrain_id: str | None = None,
    timeout_s: float | None = None,
) -> RetrainResult | None:
    """Retrain by hand and return the result; None if ``timeout_s`` passed before it came.

    One retraining of a model at a time: while another one runs or is on trial the
    result says so and nothing is started.
    """
    now_us = circle.clock.now_us()
    circle.go_on()
    with circle.reading() as fold:
        if model_type not in fold.rooms.slots:
            return RetrainResult.refused(
                model_type, full, reason, "no model updater is connected", now_us
            )
        running = fold.trials.running(model_type)
    if running is not None:
        return RetrainResult.refused(
            model_type, full, reason, f"retraining {running} is under way or on trial", now_us
        )
    request = RetrainRequested(
        act_id=retrain_id or new_id(),
        ts_us=now_us,
        model_type=model_type.value,
        mode="full" if full else "incremental",
        reason=reason,
        automatic=False,
        agents=[],
        causes=[],
        requested_by=by,
    )
    finished = circle.retrain(request, timeout_s)
    return None if finished is None else RetrainResult.of(finished)


def find(circle: Circle, retrain_id: str) -> RetrainResult:
    """Return what became of a retraining so far. Raises ``UnknownNameError``."""
    circle.catch_up()
    with circle.reading() as fold:
        finished = fold.trials.retrainings.get(retrain_id)
    for state in ("proved", "done", "canary", "pending", "failed", "aborted"):
        if finished is not None:
            break
        act = circle.log.find_act(f"{retrain_id}:{state}")
        finished = act if isinstance(act, RetrainFinished) else None
    if finished is not None:
        return RetrainResult.of(finished)
    request = circle.log.find_act(retrain_id)
    if not isinstance(request, RetrainRequested):
        raise UnknownNameError(
            "retraining", retrain_id, "the list of retrainings has those that run"
        )
    return under_way(circle, request)


def under_way(circle: Circle, request: RetrainRequested) -> RetrainResult:
    """Return how far a retraining without a result is; 0 while nobody makes it."""
    attempt = circle.performer.attempt(request.act_id)
    return RetrainResult.running(request, 0.0 if attempt is None else attempt.share)


def cancel(
    circle: Circle, retrain_id: str, reason: str, timeout_s: float = _CANCEL_S
) -> RetrainResult:
    """End a retraining that has no result yet, and return what became of it.

    Waits up to ``timeout_s`` for the record; the result may be ``running`` after that.
    Raises ``UnknownNameError``, and ``ConfigError`` for one that has its result.
    """
    attempt = circle.performer.attempt(retrain_id)
    if attempt is not None:
        attempt.cancel(reason)
        attempt.ended.wait(timeout_s)
    elif not _abort(circle, retrain_id, reason):
        found = find(circle, retrain_id)
        if found["state"] == "pending":
            remedy = "has its model and is on trial: the gate decides, or `selfright rollback`"
        else:
            remedy = f"is {found['state']} already; only one that runs can be cancelled"
        raise ConfigError("retrain_id", retrain_id, remedy)
    circle.pump()
    return find(circle, retrain_id)


def _abort(circle: Circle, retrain_id: str, reason: str) -> bool:
    """Record one as aborted that the end of a process interrupted, if it is one."""
    with circle.reading() as fold:
        for request in fold.trials.unfinished():
            if request.act_id == retrain_id:
                now_us = circle.clock.now_us()
                circle.act(ended(request, "aborted", reason, now_us, cancelled=True))
                circle.job.forget(retrain_id)
                return True
    return False


def new_id() -> str:
    """Return a fresh retrain id."""
    return f"retrain-{uuid.uuid4().hex[:16]}"

"""Retrainings as users see them: asking for one, and what became of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from selfright.events.record import RetrainFinished, RetrainRequested
from selfright.events.timestamp import iso
from selfright.learn.model_type import ModelType

if TYPE_CHECKING:
    from selfright.loop.control import Circle

# The fields of a result, in the order in which they are shown.
FIELDS = (
    "success", "model_type", "retrain_type", "events_processed", "agents_tracked",
    "duration_ms", "reason", "timestamp", "retrain_id", "state", "version",
    "parent_version", "promoted", "gate", "error", "automatic", "agents", "before", "after",
    "proof",
)  # fmt: skip


class RetrainResult(Mapping[str, Any]):
    """What became of a retraining. A mapping whose keys are attributes too.

    ``success`` says that the attempt ran, ``promoted`` that its model serves for good.
    ``state`` is ``pending`` while the gate still watches, then ``done``; ``failed`` or
    ``aborted`` where there is no model to watch. ``events_processed`` counts outcomes.
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
    def refused(
        cls, model_type: ModelType, full: bool, reason: str, error: str, now_us: int
    ) -> RetrainResult:
        """Return the result of an attempt that could not even start."""
        return cls(
            {
                "success": False,
                "model_type": model_type.value,
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


def new_id() -> str:
    """Return a fresh retrain id."""
    return f"retrain-{uuid.uuid4().hex[:16]}"

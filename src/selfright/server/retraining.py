"""Routes that ask for a retraining and tell what became of it.

A request may say who it is (``Idempotency-Key``): repeated with the same key it is the
same retraining, also after the service was restarted, for the key makes the id and the
log remembers it.
"""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING, Annotated, Any, Final

import anyio
import anyio.to_thread
from fastapi import APIRouter, Header, Request
from starlette.responses import Response

from selfright.clock import monotonic_s
from selfright.errors import ConflictError, UnknownNameError
from selfright.events.check import text
from selfright.events.record import RetrainFinished, RetrainRequested
from selfright.events.timestamp import iso
from selfright.learn.model_type import ModelType
from selfright.loop.retraining import RetrainResult, ask, new_id
from selfright.server.answer import answer, before, page
from selfright.server.body import read_object
from selfright.server.openapi import answers, json_body, named, pages_of
from selfright.server.performance import Cursor, Limit
from selfright.server.problem import Problem
from selfright.server.scope import Scope, needs
from selfright.server.shape import RetrainAnswer, RetrainBody

if TYPE_CHECKING:
    from selfright.server.service import Service

_PATH: Final = "/api/performance"
_KEY_LIFE_US: Final = 24 * 3600 * 1_000_000
_POLL_S: Final = 0.05
_EVERYTHING: Final = 1_000_000


class Retrainings:
    """Starts retrainings one at a time per model, and finds what became of them.

    Parameters
    ----------
    service
        The faces.
    """

    def __init__(self, service: Service) -> None:
        self._circle = service.circle
        self._guard = threading.Lock()
        # What was let in and may not stand in the log yet, by model type.
        self._starting: dict[ModelType, str] = {}

    def start(self, body: RetrainBody, key: str | None) -> dict[str, Any]:
        """Start a retraining, or find that of the same key; return what became of it so far.

        Raises ``ConflictError`` if another retraining of that model is under way or on
        trial. Does not wait for the result.
        """
        model_type = ModelType(body.model_type)
        with self._guard:
            retrain_id, known = self._identify(body, key)
            if not known:
                running = self._starting.get(model_type) or self._running(model_type)
                if running is not None:
                    raise ConflictError("one retraining of a model at a time", running)
                self._starting[model_type] = retrain_id
        if known:
            return self.progress(retrain_id, body)
        try:
            result = ask(
                self._circle,
                model_type=model_type,
                reason=text("reason", body.reason),
                full=body.force_full_retrain,
                retrain_id=retrain_id,
                timeout_s=0.0,
            )
        finally:
            with self._guard:
                del self._starting[model_type]
        if result is None:
            return self.progress(retrain_id, body)
        if result["retrain_id"] is None and (running := self._running(model_type)) is not None:
            raise ConflictError("one retraining of a model at a time", running)
        return result.to_dict()

    def progress(self, retrain_id: str, body: RetrainBody) -> dict[str, Any]:
        """Return what became of a retraining that was let in, in the log or not yet."""
        try:
            return self.find(retrain_id)
        except UnknownNameError:
            mode = "full" if body.force_full_retrain else "incremental"
            now = iso(self._circle.clock.now_us())
            return _running_answer(retrain_id, body.model_type, mode, body.reason, now)

    def find(self, retrain_id: str) -> dict[str, Any]:
        """Return what became of a retraining so far. Raises ``UnknownNameError``."""
        with self._circle.reading() as fold:
            finished = fold.trials.retrainings.get(retrain_id)
        log = self._circle.log
        for state in ("proved", "done", "canary", "pending", "failed", "aborted"):
            if finished is not None:
                break
            act = log.find_act(f"{retrain_id}:{state}")
            finished = act if isinstance(act, RetrainFinished) else None
        if finished is not None:
            return RetrainResult.of(finished).to_dict()
        request = log.find_act(retrain_id)
        if not isinstance(request, RetrainRequested):
            raise UnknownNameError("retraining", retrain_id)
        return _running_answer(
            retrain_id, request.model_type, request.mode, request.reason, iso(request.ts_us)
        )

    def _identify(self, body: RetrainBody, key: str | None) -> tuple[str, bool]:
        """Return the id of the retraining and whether it was asked for before."""
        if key is None:
            return new_id(), False
        now_us = self._circle.clock.now_us()
        digest = hashlib.sha256(key.encode()).hexdigest()[:16]
        generation = 0
        while True:  # a key that is older than a day means something new
            retrain_id = f"retrain-{digest}" + (f"-{generation}" if generation else "")
            if retrain_id in self._starting.values():
                return retrain_id, True
            request = self._circle.log.find_act(retrain_id)
            if not isinstance(request, RetrainRequested):
                return retrain_id, False
            if now_us - request.ts_us < _KEY_LIFE_US:
                _require_same(request, body)
                return retrain_id, True
            generation += 1

    def _running(self, model_type: ModelType) -> str | None:
        with self._circle.reading() as fold:
            return fold.trials.running(model_type)


def _running_answer(
    retrain_id: str, model_type: str, mode: str, reason: str, timestamp: str
) -> dict[str, Any]:
    return RetrainResult(
        {
            "retrain_id": retrain_id,
            "model_type": model_type,
            "retrain_type": mode,
            "state": "running",
            "reason": reason,
            "timestamp": timestamp,
        }
    ).to_dict()


def _require_same(request: RetrainRequested, body: RetrainBody) -> None:
    mode = "full" if body.force_full_retrain else "incremental"
    if (request.model_type, request.mode) != (body.model_type, mode):
        raise Problem(
            422,
            "idempotency-key-reused",
            f"this key asked for a {request.mode} retraining of {request.model_type} before; "
            "use a new key for another one",
            "Idempotency-Key",
        )


def router(service: Service) -> APIRouter:
    """Return the routes about retrainings."""
    routes = APIRouter(prefix=_PATH, tags=["retraining"], generate_unique_id_function=named)
    retrainings = Retrainings(service)
    wait_s = service.monitor.settings.server.retrain_wait_s

    @routes.post(
        "/trigger-retraining",
        summary="Retrain a model",
        openapi_extra=json_body(RetrainBody, required=False),
        responses=answers(200, RetrainAnswer, 202),
    )
    @needs(Scope.OPERATE)
    async def post_retraining(
        request: Request,
        idempotency_key: Annotated[
            str | None,
            Header(
                alias="Idempotency-Key",
                min_length=1,
                max_length=200,
                pattern=r"^[\x21-\x7e]+$",
                description="repeated within a day it is the same retraining",
            ),
        ] = None,
    ) -> Response:
        """Retrain a model and return what became of it.

        200 with the result if the model was made in time (`state` is `pending` while the
        gate watches it), else 202 with `retrain_id`: ask `/retrainings/{retrain_id}`.
        409 with its `retrain_id` while another retraining of that model is under way.
        """
        body = await read_object(request, RetrainBody, optional=True)
        result = await anyio.to_thread.run_sync(retrainings.start, body, idempotency_key)
        deadline_s = monotonic_s() + wait_s
        # No thread is kept waiting: those are for requests that work.
        while result["state"] == "running" and monotonic_s() < deadline_s:
            await anyio.sleep(_POLL_S)
            result = await anyio.to_thread.run_sync(
                retrainings.progress, result["retrain_id"], body
            )
        if result["state"] != "running":
            return answer(result)
        return answer(result, 202, {"Location": f"{_PATH}/retrainings/{result['retrain_id']}"})

    @routes.get("/retrainings", summary="Retrainings", responses=pages_of(RetrainAnswer))
    @needs(Scope.READ)
    def get_retrainings(limit: Limit = 50, cursor: Cursor = None) -> Response:
        """Return retrainings with their verdicts, newest last; further pages reach back."""
        wanted = limit + 1 if cursor is None else _EVERYTHING
        found = service.monitor.get_retrainings(wanted)
        shown, following = before(found, cursor, limit, lambda item: str(item["retrain_id"]))
        return answer(page([item.to_dict() for item in shown], following))

    @routes.get(
        "/retrainings/{retrain_id}",
        summary="One retraining",
        responses=answers(200, RetrainAnswer),
    )
    @needs(Scope.READ)
    def get_retraining(retrain_id: str) -> Response:
        """Return what became of a retraining; `state` is `running` until it has a result."""
        return answer(retrainings.find(retrain_id))

    return routes

"""Which error becomes which HTTP status. Codes of HTTP exist nowhere below this room."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from selfright.errors import (
    BackpressureError,
    ConfigError,
    ConflictError,
    CorruptLogError,
    InvalidEventError,
    MissingExtraError,
    SelfrightError,
    StorageError,
    TransportError,
    UnknownNameError,
)
from selfright.retrain.shelf import QUARANTINED
from selfright.server.problem import Problem, of_status

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

_log = logging.getLogger("selfright")
# How long a client should wait when the disk is full: somebody has to free space first.
STORAGE_RETRY_S = 5


def problem_of(error: SelfrightError) -> Problem:  # noqa: PLR0911 - one line per error
    """Return what a client is told of one of our errors."""
    match error:
        case InvalidEventError(field=field, reason=reason):
            return Problem(422, "invalid-event", reason, field)
        case MissingExtraError():
            return Problem(501, "missing-extra", str(error), error.setting)
        case ConfigError(setting=setting, remedy=remedy):
            return Problem(422, "invalid-parameter", remedy, setting)
        case UnknownNameError():
            return Problem(404, "unknown-name", str(error))
        case ConflictError(running_id=running_id):
            return Problem(409, "conflict", str(error), retrain_id=running_id)
        case BackpressureError(retry_after_s=wait_s):
            return Problem(429, "queue-full", str(error), headers=_retry_after(wait_s))
        case StorageError():
            # The path is the operator's business: it stands in the log, not in the answer.
            detail = "the disk refused the write; nothing of the request was kept; repeat it later"
            return Problem(507, "storage-refused", detail, headers=_retry_after(STORAGE_RETRY_S))
        case TransportError(retryable=retryable):
            return Problem(503 if retryable else 502, "other-side-failed", str(error))
        case CorruptLogError(reason=reason) if reason.startswith(QUARANTINED):
            return Problem(409, "quarantined", str(error))
        case CorruptLogError():
            return Problem(500, "corrupt-log", "stored bytes are damaged; see the service's log")
        case _:
            return Problem(500, "internal-error", "an error of the service; see its log")


def _retry_after(wait_s: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, round(wait_s + 0.5)))}


def install(app: FastAPI) -> None:
    """Make every error of ``app`` answer as a problem document."""
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(SelfrightError, _answer_ours)
    app.add_exception_handler(RequestValidationError, _answer_parameter)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(ClientDisconnect, _answer_nobody)
    app.add_exception_handler(Exception, _answer_unforeseen)


async def _answer_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


async def _answer_ours(_request: Request, error: Exception) -> Response:
    assert isinstance(error, SelfrightError)
    problem = problem_of(error)
    if problem.status >= 500:
        _log.warning("answered %d: %s", problem.status, error)
    return problem.response()


async def _answer_parameter(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first: Any = error.errors()[0]
    field = str(first["loc"][-1])
    reason = f"{first['msg'][:1].lower()}{first['msg'][1:]}"
    return Problem(422, "invalid-parameter", reason, field).response()


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    details = {
        404: f"nothing is served at {path[:200]}; /docs lists what is",
        405: f"{request.method} is not served at {path[:200]}; the Allow header lists what is",
    }
    problem = of_status(error.status_code, details.get(error.status_code))
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_served(request))
    return Problem(problem.status, problem.kind, problem.detail, headers=headers).response()


def _served(request: Request) -> list[str]:
    """Return the methods of a path, which may be those of several routes."""
    fitting = (
        getattr(route, "methods", None) or ()
        for route in request.app.routes
        if route.matches(request.scope)[0] is not Match.NONE
    )
    return sorted({method for methods in fitting for method in methods})


async def _answer_nobody(_request: Request, _error: Exception) -> Response:
    return of_status(400, "the connection ended before the body did").response()


async def _answer_unforeseen(_request: Request, _error: Exception) -> Response:
    # The framework raises the error again behind this answer, so that it is logged.
    return Problem(500, "internal-error", "an error of the service; see its log").response()

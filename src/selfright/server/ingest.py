"""The fast way in: raw bytes to rows in the log, acknowledged once they are durable."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import APIRouter, Request
from starlette.responses import Response

from selfright.errors import BackpressureError, InvalidEventError, StorageError
from selfright.events.batch import Intake
from selfright.events.raw import outcome_batch, run_batch
from selfright.events.record import AgentRun, Outcome
from selfright.events.wire import decode_outcomes, decode_runs
from selfright.loop.submission import submit_checked
from selfright.server.answer import answer
from selfright.server.body import form_of, inflate, read
from selfright.server.openapi import answers, named, raw_body
from selfright.server.scope import Scope, needs
from selfright.server.shape import IngestAnswer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selfright.events.wire import Rejection
    from selfright.server.service import Service

# Each waits for its commit; commits are made in groups, so a few dozen fill the disk.
_THREADS: Final = 32
# Bodies on their way in or being worked on. Beyond it clients are told to come back: a
# queue of bodies would only grow memory and waiting times.
_MAX_BYTES: Final = 64 * 1024 * 1024
_MAX_REQUESTS: Final = 512
_RETRY_AFTER_S: Final = 1.0


class Admission:
    """Bounds what is in flight. Used by the event loop's thread alone, hence without a lock."""

    def __init__(self, max_bytes: int = _MAX_BYTES, max_requests: int = _MAX_REQUESTS) -> None:
        self._bytes_left = max_bytes
        self._requests_left = max_requests

    @contextmanager
    def admit(self, size: int) -> Iterator[None]:
        """Hold room for a request of ``size`` bytes. Raises ``BackpressureError``."""
        if size > self._bytes_left or not self._requests_left:
            raise BackpressureError(_RETRY_AFTER_S)
        self._bytes_left -= size
        self._requests_left -= 1
        try:
            yield
        finally:
            self._bytes_left += size
            self._requests_left += 1


def router(service: Service, admission: Admission | None = None) -> APIRouter:
    """Return the routes that take runs and outcomes."""
    routes = APIRouter(tags=["ingest"], generate_unique_id_function=named)
    gate = admission or Admission()
    limit = service.monitor.settings.server.max_batch_bytes
    # Made with the first request: it belongs to the event loop that serves.
    limiters: list[CapacityLimiter] = []

    async def take(request: Request, keep: Callable[[bytes, str], IngestAnswer]) -> Response:
        form = form_of(request.headers.get("content-type"))
        encoding = request.headers.get("content-encoding")
        declared = request.headers.get("content-length", "")
        with gate.admit(min(limit, int(declared)) if declared.isdigit() else limit):
            raw = await read(request, limit)
            if not limiters:
                limiters.append(CapacityLimiter(_THREADS))

            def work() -> IngestAnswer:
                return keep(inflate(raw, encoding, limit), form)

            result = await anyio.to_thread.run_sync(work, limiter=limiters[0])
        return answer(result, 202)

    @routes.post(
        "/api/performance/runs",
        summary="Record runs",
        openapi_extra=raw_body(AgentRun),
        responses=answers(202, IngestAnswer),
    )
    @needs(Scope.INGEST)
    async def post_runs(request: Request) -> Response:
        """Record one run, a JSON array of them, NDJSON or msgpack.

        Answered once everything accepted is durable. A bad record is refused by its
        index and the others are kept; a single bad object is refused with 422. A run
        whose `run_id` is known already is a duplicate and counts once.
        """
        return await take(request, lambda body, form: keep_runs(service, body, form))

    @routes.post(
        "/api/performance/accuracy",
        summary="Record real outcomes",
        openapi_extra=raw_body(Outcome),
        responses=answers(202, IngestAnswer),
    )
    @needs(Scope.INGEST)
    async def post_accuracy(request: Request) -> Response:
        """Record what really came of tasks, one outcome or many, as `/runs` takes runs.

        Give `accuracy_score` (0..1), or `predicted_outcome` and `actual_outcome` to be
        compared. Joined to the run named by `run_id`, else to the agent's latest run of
        that `task_id`.
        """
        return await take(request, lambda body, form: keep_outcomes(service, body, form))

    return routes


def keep_runs(service: Service, body: bytes, form: str) -> IngestAnswer:
    """Check and commit the runs of a body; blocks until they are durable."""
    circle = service.circle
    rows, rejected = decode_runs(
        circle.door, body, circle.clock.now_us(), form=form, max_event_bytes=_most_bytes(service)
    )
    return _keep(service, Intake.of(runs=run_batch(rows)), rejected, body, form)


def keep_outcomes(service: Service, body: bytes, form: str) -> IngestAnswer:
    """Check, score and commit the outcomes of a body; blocks until they are durable."""
    circle = service.circle
    rows, rejected = decode_outcomes(
        circle.door, body, circle.clock.now_us(), form=form, max_event_bytes=_most_bytes(service)
    )
    return _keep(service, Intake.of(outcomes=outcome_batch(rows)), rejected, body, form)


def _most_bytes(service: Service) -> int:
    return service.monitor.settings.server.max_event_bytes


def _keep(
    service: Service, intake: Intake, rejected: list[Rejection], body: bytes, form: str
) -> IngestAnswer:
    if rejected and _is_single(body, form):
        service.ingest.note(0, 1)
        raise InvalidEventError(rejected[0].field, "...", rejected[0].reason)
    try:
        report = submit_checked(service.circle, intake, tuple(rejected))
    except StorageError:
        service.ingest.storage_failing = True
        raise
    service.ingest.note(report.duplicates, len(rejected))
    return IngestAnswer(report.accepted, report.duplicates, rejected)


def _is_single(body: bytes, form: str) -> bool:
    """Return whether a body is one object, not a batch (which may hold only one)."""
    if form == "json":
        return body.lstrip()[:1] != b"["
    # A msgpack array starts with 0x90..0x9f, 0xdc or 0xdd.
    is_array = bool(body) and (0x90 <= body[0] <= 0x9F or body[0] in {0xDC, 0xDD})
    return form == "msgpack" and not is_array

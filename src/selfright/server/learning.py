"""Routes under ``/api/learning``: choosing, predicting, outcomes of decisions, versions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Final

import anyio.to_thread
import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from selfright.errors import InvalidEventError, SelfrightError
from selfright.events.wire import Rejection
from selfright.learn.model_type import ModelType
from selfright.retrain.manifest import ModelVersion
from selfright.server.answer import answer, close_cursor, offset_of, page
from selfright.server.body import decode, form_of, inflate, read, read_object
from selfright.server.error_map import problem_of
from selfright.server.openapi import answers, json_body, named, pages_of, ref
from selfright.server.performance import Cursor, Limit
from selfright.server.problem import Problem
from selfright.server.scope import Scope, needs
from selfright.server.shape import (
    DecisionAnswer,
    DecisionOutcome,
    IngestAnswer,
    Page,
    PredictBody,
    RetrainByNameBody,
    RollbackBody,
    SelectBody,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from selfright.server.service import Service

Version = Annotated[int, Query(ge=1, le=2**53)]

_PREFIX: Final = "/api/learning"
_MAX_OUTCOMES: Final = 10_000
_ONE_OR_MANY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "oneOf": [
                        ref("DecisionOutcome"),
                        {"type": "array", "items": ref("DecisionOutcome")},
                    ]
                }
            }
        },
    }
}


def router(service: Service) -> APIRouter:
    """Return the routes of the models."""
    routes = APIRouter(prefix=_PREFIX, tags=["learning"], generate_unique_id_function=named)
    _reading(routes, service)
    _choosing(routes, service)
    _versions(routes, service)
    return routes


def _reading(routes: APIRouter, service: Service) -> None:
    @routes.get("/status", summary="Whether and what is learnt")
    @needs(Scope.READ)
    def get_learning_status() -> Response:
        """Return whether there is an updater, whether it runs, and what its models serve."""
        if service.updater is None:
            return answer({"connected": False, "running": False, "models": []})
        status = {"connected": True, "running": service.circle.running}
        return answer({**status, "models": service.updater.models()})

    @routes.get("/metrics", summary="Counts of the models")
    @needs(Scope.READ)
    def get_learning_metrics() -> Response:
        """Return how much was learnt, retrained, promoted and rejected."""
        return answer(service.learner().get_metrics().to_dict())

    @routes.get("/models", summary="Models", responses=answers(200, Page))
    @needs(Scope.READ)
    def get_models(at: str | None = None) -> Response:
        """Return one row per model: what serves, what is on trial, what it has learnt.

        With `at`, a time: what served then, since when and why.
        """
        updater = service.learner()
        if at is None:
            return answer(page(updater.models(), None))
        return answer(page([served.to_dict() for served in updater.serving_at(at)], None))


def _choosing(routes: APIRouter, service: Service) -> None:
    async def choose(request: Request) -> Response:
        body = await read_object(request, SelectBody, optional=True)
        updater = service.learner()
        chosen = await anyio.to_thread.run_sync(
            updater.select,
            ModelType(body.model_type),
            body.candidates,
            body.task_type,
            body.context,
        )
        return answer(
            DecisionAnswer(
                chosen.decision_id,
                chosen.agent_name,
                chosen.probability,
                chosen.probabilities,
                chosen.model_version,
                chosen.mode,
            )
        )

    @routes.post(
        "/select",
        summary="Choose an agent, a route or parameters",
        openapi_extra=json_body(SelectBody, required=False),
        responses=answers(200, DecisionAnswer),
    )
    @needs(Scope.INGEST)
    async def post_select(request: Request) -> Response:
        """Choose for a task; the decision is recorded with its exact probability.

        Say later what came of it: record the run with this `decision_id`, or post to
        `/outcomes`.
        """
        return await choose(request)

    @routes.post(
        "/predict/agent-selection",
        summary="Choose an agent (another name of /select)",
        openapi_extra=json_body(SelectBody, required=False),
        responses=answers(200, DecisionAnswer),
    )
    @needs(Scope.INGEST)
    async def post_agent_selection(request: Request) -> Response:
        """Do the same as `/select`."""
        return await choose(request)

    @routes.post(
        "/predict/{model_type}",
        summary="Predict",
        openapi_extra=json_body(PredictBody, required=False),
    )
    @needs(Scope.READ)
    async def post_predict(request: Request, model_type: ModelType) -> Response:
        """Return what a model expects, without deciding anything.

        `agent_selection`: the best agents with their scores; `routing`: a route;
        `parameter_optimization`: parameters for `agent_name`; `quality_prediction` and
        `latency_prediction` (ms): a value with an interval for `agent_name`.
        """
        body = await read_object(request, PredictBody, optional=True)
        updater = service.learner()
        about = {name: value for name, value in msgspec.structs.asdict(body).items() if value}
        found = await anyio.to_thread.run_sync(lambda: updater.predict(model_type, **about))
        return answer({"model_type": model_type.value, "prediction": _as_records(found)})

    @routes.post(
        "/outcomes",
        summary="Say what came of decisions",
        openapi_extra=_ONE_OR_MANY,
        responses=answers(202, IngestAnswer),
    )
    @needs(Scope.INGEST)
    async def post_outcomes(request: Request) -> Response:
        """Say what came of one decision, or of many: in any order, late, or never.

        Answered once everything accepted is durable. A bad one is refused by its index.
        """
        limit = service.monitor.settings.server.max_batch_bytes
        raw = await read(request, limit)
        if form_of(request.headers.get("content-type")) != "json":
            raise Problem(415, "unsupported-media-type", "send application/json", "Content-Type")
        encoding = request.headers.get("content-encoding")
        result = await anyio.to_thread.run_sync(
            lambda: keep_outcomes(service, inflate(raw, encoding, limit))
        )
        return answer(result, 202)


def keep_outcomes(service: Service, body: bytes) -> IngestAnswer:
    """Record what came of decisions; blocks until it is durable."""
    updater = service.learner()
    single = body.lstrip()[:1] != b"["
    items = [body] if single else _items(body)
    if len(items) > _MAX_OUTCOMES:
        raise InvalidEventError("body", "...", f"may hold {_MAX_OUTCOMES} outcomes")
    rejected: list[Rejection] = []
    for index, item in enumerate(items):
        try:
            outcome = decode(bytes(item), DecisionOutcome)
            updater.record_outcome(**msgspec.structs.asdict(outcome))
        except SelfrightError as error:
            if single:
                raise
            problem = problem_of(error)
            rejected.append(Rejection(index, problem.field or "decision_id", problem.detail))
    service.circle.flush()
    return IngestAnswer(len(items) - len(rejected), 0, rejected)


def _items(body: bytes) -> Sequence[bytes | msgspec.Raw]:
    """Return the elements of an array; one that holds a NaN shall not spoil its neighbours."""
    try:
        return decode(body, list[msgspec.Raw])
    except InvalidEventError:
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, list):
            raise
        return [json.dumps(item).encode() for item in found]


def _versions(routes: APIRouter, service: Service) -> None:
    @routes.get("/models/{model_type}", summary="One model")
    @needs(Scope.READ)
    def get_model(model_type: str) -> Response:
        """Return what serves, what is on trial, and the version's record."""
        updater = service.learner()
        known = {version.version: version for version in updater.versions(model_type)}
        row = next(row for row in updater.models() if row["model_type"] == model_type)
        return answer({**row, "versions": len(known), "served": known.get(row["version"])})

    @routes.get(
        "/models/{model_type}/versions", summary="Versions", responses=pages_of(ModelVersion)
    )
    @needs(Scope.READ)
    def get_versions(model_type: str, limit: Limit = 100, cursor: Cursor = None) -> Response:
        """Return the versions of a model with their lineage, oldest first.

        Damaged ones are `quarantined`; their `reason` says what is wrong with them.
        """
        after = -1 if cursor is None else offset_of(cursor)
        found = [item for item in service.learner().versions(model_type) if item.version > after]
        shown = found[:limit]
        following = close_cursor(str(shown[-1].version)) if len(found) > limit else None
        return answer(page(shown, following))

    @routes.get("/models/{model_type}/promotions", summary="What served when, and why")
    @needs(Scope.READ)
    def get_promotions(model_type: str, limit: Limit = 100, cursor: Cursor = None) -> Response:
        """Return the promotion log of a model, oldest first, with the gate's records."""
        start = 0 if cursor is None else offset_of(cursor)
        found = service.learner().promotions(model_type)[start:]
        shown = [entry.to_dict() for entry in found[:limit]]
        following = close_cursor(str(start + limit)) if len(found) > limit else None
        return answer(page(shown, following))

    @routes.get("/models/{model_type}/diff", summary="What two versions believe differently")
    @needs(Scope.READ)
    def get_diff(model_type: str, before: Version, after: Version) -> Response:
        """Return what is expected per arm and group, before and after, largest change first.

        And the hyperparameters that differ, the samples and the gate's records.
        """
        return answer(service.learner().compare(model_type, before, after).to_dict())

    @routes.post(
        "/models/save",
        summary="Save the models",
    )
    @needs(Scope.OPERATE)
    def post_save() -> Response:
        """Save what the models have learnt; return the version of each."""
        return answer(service.learner().save())

    @routes.post(
        "/models/{model_type}/retrain",
        summary="Retrain a model by its name",
        openapi_extra=json_body(RetrainByNameBody, required=False),
    )
    @needs(Scope.OPERATE)
    async def post_retrain(request: Request, model_type: str) -> Response:
        """Retrain a model, also one of the user's own; answered once it was made.

        `/api/performance/trigger-retraining` does not wait for long, but knows the five
        models only.
        """
        body = await read_object(request, RetrainByNameBody, optional=True)
        updater = service.learner()
        result = await anyio.to_thread.run_sync(
            updater.trigger_retraining, model_type, body.reason, body.force_full_retrain
        )
        return answer(result.to_dict())

    @routes.post(
        "/models/{model_type}/rollback",
        summary="Roll back a model",
        openapi_extra=json_body(RollbackBody, required=False),
        responses=answers(200, ModelVersion),
    )
    @needs(Scope.OPERATE)
    async def post_rollback(request: Request, model_type: str) -> Response:
        """Let the parent of the served version serve again, or `version`."""
        body = await read_object(request, RollbackBody, optional=True)
        updater = service.learner()
        served = await anyio.to_thread.run_sync(updater.rollback, model_type, body.version)
        return answer(served)


def _as_records(found: Any) -> Any:  # noqa: ANN401 - each model predicts something else
    if isinstance(found, list):
        return [{"agent_name": name, "score": score} for name, score in found]
    plain: Mapping[str, Any] | None = found
    return plain

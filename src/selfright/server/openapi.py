"""The description of the service: what FastAPI knows of parameters, and msgspec of bodies."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

import msgspec
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from selfright.alerts.alert import PerformanceAlert
from selfright.events.record import AgentRun, Outcome
from selfright.loop.run_spike import RunSpike
from selfright.metrics.snapshot import AgentPerformance, PerformanceMetrics
from selfright.retrain.manifest import ModelVersion
from selfright.server import shape
from selfright.server.problem import MEDIA_TYPE, ProblemDocument
from selfright.server.scope import Scope, scope_of

if TYPE_CHECKING:
    from fastapi import FastAPI

_REF: Final = "#/components/schemas/{name}"
SHAPES: Final[tuple[type, ...]] = (
    AgentRun,
    Outcome,
    AgentPerformance,
    PerformanceMetrics,
    PerformanceAlert,
    RunSpike,
    ModelVersion,
    ProblemDocument,
    shape.IngestAnswer,
    shape.AgentRetired,
    shape.AgentDeleted,
    shape.RetrainBody,
    shape.RetrainByNameBody,
    shape.CancelBody,
    shape.RetrainAnswer,
    shape.MuteBody,
    shape.SelectBody,
    shape.PredictBody,
    shape.DecisionOutcome,
    shape.DecisionAnswer,
    shape.RollbackBody,
    shape.Page,
    shape.Health,
    shape.SyncAnswer,
    shape.LoginBody,
    shape.KeyBody,
    shape.KeyShown,
    shape.MadeKey,
    shape.Session,
    shape.AccessAnswer,
    shape.Readiness,
)
# Asked for once there is a key; `x-scope` of an operation says which.
_SCHEMES: Final[dict[str, Any]] = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "a key as `selfright keys create` shows it",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "selfright",
        "description": "what /login sets; the port of the service is part of its name",
    },
}
_ABOUT: Final = (
    "Selfright watches a fleet of AI agents, notices when one tips over, retrains by itself and "
    "proves that the new model is better before it serves. Refusals are problem documents "
    "(RFC 9457) that name the offending field."
)


def named(route: APIRoute) -> str:
    """Return the operation id of a route: the name of its function, unique by a test."""
    return route.name


def ref(name: str) -> dict[str, str]:
    """Return a reference to the schema of a record."""
    return {"$ref": _REF.format(name=name)}


def answers(status: int, record: type, *more: int) -> dict[int | str, Any]:
    """Return what a route declares of its answers: the same record for every status."""
    return _answers(ref(record.__name__), _first_line(record), status, *more)


def pages_of(record: type) -> dict[int | str, Any]:
    """Return what a route declares of a list of records in pages."""
    cursor = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    schema = {
        "type": "object",
        "required": ["items", "next_cursor"],
        "properties": {
            "items": {"type": "array", "items": ref(record.__name__)},
            "next_cursor": {**cursor, "description": "leads to the next page; null: the end"},
        },
    }
    return _answers(schema, f"A page: {_first_line(record)}", 200)


def _answers(schema: dict[str, Any], text: str, *statuses: int) -> dict[int | str, Any]:
    content = {"application/json": {"schema": schema}}
    return {code: {"description": text, "content": content} for code in statuses}


def _first_line(record: type) -> str:
    return (record.__doc__ or "").partition("\n")[0]


def json_body(record: type[msgspec.Struct], *, required: bool = True) -> dict[str, Any]:
    """Return what a route declares of a small JSON body that it decodes itself."""
    content = {"application/json": {"schema": ref(record.__name__)}}
    return {"requestBody": {"required": required, "content": content}}


def raw_body(record: type[msgspec.Struct]) -> dict[str, Any]:
    """Return what an ingest route declares: one record or many, in four forms."""
    one = ref(record.__name__)
    either = {"oneOf": [one, {"type": "array", "items": one}]}
    lines = {"type": "string", "description": f"one {record.__name__} as JSON per line"}
    packed = {"type": "string", "format": "binary", "description": "the same as JSON, packed"}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": either},
                "application/x-ndjson": {"schema": lines},
                "application/msgpack": {"schema": packed},
            },
        }
    }


def install(app: FastAPI) -> None:
    """Make ``app`` describe itself; the description is made at the first request for it."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = describe(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the documented way to replace it


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of ``app``."""
    document = get_openapi(
        title="Selfright",
        version=_version(),
        description=_ABOUT,
        routes=app.routes,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    _, components = msgspec.json.schema_components(SHAPES, ref_template=_REF)
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    schemas.update(components)
    document["components"]["securitySchemes"] = _SCHEMES
    for route in app.routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods or ():
                _finish(document["paths"][route.path_format][method.lower()], route)
    return document


def _finish(operation: dict[str, Any], route: APIRoute) -> None:
    scope = scope_of(route)
    operation["x-scope"] = scope.value
    operation["security"] = [] if scope is Scope.PUBLIC else [{name: []} for name in _SCHEMES]
    operation["responses"].pop("422", None)
    operation["responses"]["default"] = {
        "description": "A refusal.",
        "content": {MEDIA_TYPE: {"schema": ref("ProblemDocument")}},
    }


def _version() -> str:
    try:
        return version("selfright")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"

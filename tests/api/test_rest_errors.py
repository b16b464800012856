"""Every error has one status and one form; what nobody foresaw tells nothing of the inside."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from selfright import errors
from selfright.server import error_map
from selfright.server.error_map import problem_of
from selfright.server.scope import Scope, classified, needs, scope_of

EXAMPLES: dict[type[errors.SelfrightError], tuple[errors.SelfrightError, int]] = {
    errors.InvalidEventError: (errors.InvalidEventError("cost", -1, "must not be negative"), 422),
    errors.ConfigError: (errors.ConfigError("limit", 0, "must be at least 1"), 422),
    errors.MissingExtraError: (errors.MissingExtraError("Parquet", "analytics"), 501),
    errors.DataDirectoryLockedError: (errors.DataDirectoryLockedError("/x", 5), 422),
    errors.UnknownNameError: (errors.UnknownNameError("agent", "x"), 404),
    errors.ConflictError: (errors.ConflictError("retraining", "retrain-1"), 409),
    errors.BackpressureError: (errors.BackpressureError(2.0), 429),
    errors.TransportError: (errors.TransportError("kafka", "is away", retryable=True), 503),
    errors.StorageError: (errors.StorageError("/secret", "disk full"), 507),
    errors.CorruptLogError: (errors.CorruptLogError("/secret", 5, "bad checksum"), 500),
    errors.SelfrightError: (errors.SelfrightError("anything"), 500),
}


def _tree(root: type) -> set[type]:
    return {root}.union(*(_tree(child) for child in root.__subclasses__()))


def test_every_error_of_the_tree_is_mapped() -> None:
    """A new kind of error must be given a status here."""
    ours = {kind for kind in _tree(errors.SelfrightError) if kind.__module__ == errors.__name__}
    assert ours == set(EXAMPLES)


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_an_error_becomes_a_problem(kind: type[errors.SelfrightError]) -> None:
    """With its status and its field, and without paths of the operator's disk."""
    error, status = EXAMPLES[kind]
    problem = problem_of(error)
    assert problem.status == status
    assert problem.detail
    assert "/secret" not in problem.detail
    assert problem.document().type.startswith("urn:selfright:problem:")
    if status in {429, 507}:
        assert int(problem.headers["Retry-After"]) >= 1
    if isinstance(error, errors.ConflictError):
        assert problem.document().retrain_id == "retrain-1"


def _ask(path: str) -> httpx.Response:
    app = FastAPI()
    error_map.install(app)

    @app.get("/broken")
    def broken() -> None:
        raise KeyError("the password is hunter2")

    @app.get("/odd/{number}")
    def odd(number: int) -> None: ...

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.get(path)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [("/broken", 500, None), ("/nowhere", 404, None), ("/odd/x", 422, "number")],
)
def test_whatever_happens_the_answer_is_a_problem_document(
    path: str, status: int, field: str | None
) -> None:
    """An unforeseen error is said to be one, and what it held stays inside."""
    answer = _ask(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json().get("field") == field
    assert "hunter2" not in answer.text


def test_a_route_that_nobody_classified_is_not_served() -> None:
    """Forgetting the scope is an error when the service is made, not a hole later."""
    app = FastAPI(openapi_url=None)

    @app.get("/forgotten")
    def forgotten() -> None: ...

    with pytest.raises(TypeError, match="/forgotten"):
        classified(app.routes)

    needs(Scope.READ)(forgotten)
    assert classified(app.routes) == {("GET", "/forgotten"): Scope.READ}
    unknown: Any = object()
    with pytest.raises(TypeError):
        scope_of(unknown)

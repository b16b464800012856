"""Puts the service together from the two faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI

from selfright.server import (
    agents,
    error_map,
    ingest,
    learning,
    openapi,
    pages,
    performance,
    probes,
    retraining,
)
from selfright.server.guard import Guard
from selfright.server.scope import classified
from selfright.server.service import Service

if TYPE_CHECKING:
    from selfright.online_learning import RealTimeModelUpdater
    from selfright.performance_monitor import PerformanceMonitor


def create_app(monitor: PerformanceMonitor, updater: RealTimeModelUpdater | None = None) -> FastAPI:
    """Return the service over a monitor and, where something is learnt, its updater.

    Starting and stopping them stays with the caller: without ``monitor.start()`` runs are
    taken and figures shown, and nothing is triggered. ``serve`` does all of it.

    Any ASGI server runs the result; the guard against strangers is part of it, keys are
    not: let nobody but this machine reach it.
    """
    service = Service(monitor, updater)
    # The pages of the framework load scripts from elsewhere; ours stand in `pages`.
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    for room in (ingest, performance, agents, retraining, learning, probes, pages):
        # Not `include_router`: which routes there are must be plain to see, for `classified`.
        app.router.routes.extend(room.router(service).routes)
    error_map.install(app)
    openapi.install(app)
    app.add_middleware(Guard, allowed_hosts=monitor.settings.server.allowed_hosts)
    classified(app.routes)  # a route nobody classified must not be served
    return app

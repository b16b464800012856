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
from selfright.server.access import routes as access_routes
from selfright.server.access.desk import Desk
from selfright.server.access.door import Door
from selfright.server.access.ring import KeyRing
from selfright.server.guard import Guard
from selfright.server.scope import classified
from selfright.server.service import Service

if TYPE_CHECKING:
    from selfright.online_learning import RealTimeModelUpdater
    from selfright.performance_monitor import PerformanceMonitor


def create_app(
    monitor: PerformanceMonitor,
    updater: RealTimeModelUpdater | None = None,
    *,
    keys: KeyRing | None = None,
) -> FastAPI:
    """Return the service over a monitor and, where something is learnt, its updater.

    Starting and stopping them stays with the caller: without ``monitor.start()`` runs are
    taken and figures shown, and nothing is triggered. ``serve`` does all of it.

    Any ASGI server runs the result; the guard against strangers is part of it. Without
    ``keys``, or as long as there is no key, only requests from this machine are served.
    Raises what ``KeyRing.load`` does if the keys cannot be read.
    """
    keys = KeyRing() if keys is None else keys
    keys.load()
    service = Service(monitor, updater, keys)
    limits = monitor.settings.server
    desk = Desk(
        keys,
        monitor.circle.clock,
        session_s=limits.session_hours * 3600,
        failed_keys_per_min=limits.failed_keys_per_min,
    )
    # The pages of the framework load scripts from elsewhere; ours stand in `pages`.
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    for room in (ingest, performance, agents, retraining, learning, probes, pages):
        # Not `include_router`: which routes there are must be plain to see, for `classified`.
        app.router.routes.extend(room.router(service).routes)
    app.router.routes.extend(access_routes.router(desk).routes)
    error_map.install(app)
    openapi.install(app)
    app.add_middleware(Door, desk=desk, routes=app.router.routes)
    app.add_middleware(Guard, allowed_hosts=limits.allowed_hosts)  # the outermost
    classified(app.routes)  # a route nobody classified must not be served
    return app

"""Routes under ``/api/performance`` that read figures, alerts and runs, or act on alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import anyio.to_thread
from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, Response

from selfright.alerts.alert import AlertLevel, PerformanceAlert
from selfright.alerts.life import AlertState
from selfright.alerts.report_html.style import POLICY
from selfright.errors import UnknownNameError, did_you_mean
from selfright.events import timestamp
from selfright.events.check import status_code
from selfright.events.shown import runs_as_records
from selfright.log.protocol import RunFilter
from selfright.loop.run_spike import RunSpike
from selfright.metrics.snapshot import AgentPerformance, PerformanceMetrics
from selfright.server.answer import answer, before, close_cursor, offset_of, open_cursor, page
from selfright.server.body import read_object
from selfright.server.openapi import answers, json_body, named, pages_of
from selfright.server.scope import Scope, needs
from selfright.server.shape import Health, MuteBody, Page, SyncAnswer

if TYPE_CHECKING:
    from selfright.server.service import Service

_PREFIX: Final = "/api/performance"
_MAX_LIMIT: Final = 1000
_EVERYTHING: Final = 1_000_000
# What the page in the report says of itself, and that no other page may frame it.
REPORT_POLICY: Final = f"{POLICY}; frame-ancestors 'none'"
_AS_PAGE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "the report",
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "text/html": {"schema": {"type": "string"}},
        },
    }
}

Window = Annotated[
    float | None,
    Query(
        gt=0,
        le=44_640,
        allow_inf_nan=False,
        description="minutes back from now; default: the configured window",
    ),
]
Limit = Annotated[int, Query(ge=1, le=_MAX_LIMIT, description="items per page")]
Cursor = Annotated[str | None, Query(max_length=1000, description="next_cursor of the page before")]
AgentName = Annotated[str | None, Query(min_length=1, max_length=200)]


def router(service: Service) -> APIRouter:
    """Return the routes that read, and those that act on alerts."""
    routes = APIRouter(prefix=_PREFIX, generate_unique_id_function=named)
    _figures(routes, service)
    _alerts(routes, service)
    _runs(routes, service)
    return routes


def _figures(routes: APIRouter, service: Service) -> None:
    monitor = service.monitor

    @routes.get("/health", tags=["figures"], summary="Health", responses=answers(200, Health))
    @needs(Scope.READ)
    def get_health() -> Response:
        """Return the health of the fleet, 0 to 100, with the parts that make it."""
        return answer(monitor.get_health())

    @routes.get(
        "/system-metrics",
        tags=["figures"],
        summary="Figures of the fleet",
        responses=answers(200, PerformanceMetrics),
    )
    @needs(Scope.READ)
    def get_system_metrics(time_window_minutes: Window = None) -> Response:
        """Return the figures of the whole fleet. What nobody reported is null."""
        return answer(monitor.get_system_metrics(time_window_minutes).to_dict())

    @routes.get(
        "/agent-metrics/{agent_name:path}",
        tags=["figures"],
        summary="Figures of one agent",
        responses=answers(200, AgentPerformance),
    )
    @needs(Scope.READ)
    def get_agent_metrics(agent_name: str, time_window_minutes: Window = None) -> Response:
        """Return the figures and scores of an agent; 404 if it was never seen."""
        found = monitor.get_agent_metrics(agent_name, time_window_minutes)
        if found.status == "unknown":
            known = list(monitor.get_all_agent_metrics())
            hint = did_you_mean(agent_name, known).removeprefix("; ")
            raise UnknownNameError("agent", agent_name, hint)
        return answer(found.to_dict())

    @routes.get(
        "/agents/metrics",
        tags=["figures"],
        summary="Figures of all agents",
        responses=pages_of(AgentPerformance),
    )
    @needs(Scope.READ)
    def get_agents_metrics(
        time_window_minutes: Window = None,
        include_retired: bool = False,
        limit: Limit = 200,
        cursor: Cursor = None,
    ) -> Response:
        """Return the figures of every agent, by name, in pages; retired ones when asked."""
        after = None if cursor is None else open_cursor(cursor)
        found = monitor.get_all_agent_metrics(time_window_minutes)
        hidden = set() if include_retired else set(monitor.retired_agents())
        names = sorted(
            name for name in found if name not in hidden and (after is None or name > after)
        )
        shown = names[:limit]
        following = close_cursor(shown[-1]) if len(names) > limit else None
        return answer(page([found[name].to_dict() for name in shown], following))

    @routes.get("/trends", tags=["figures"], summary="Trends")
    @needs(Scope.READ)
    def get_trends() -> Response:
        """Return where each metric of the fleet is heading."""
        return answer(monitor.get_trends())

    @routes.get("/stats", tags=["service"], summary="Counts of the monitor itself")
    @needs(Scope.READ)
    def get_stats() -> Response:
        """Return buffers, drops, late events, failures, and what became of notifications."""
        told = {"notifications": service.circle.notifier.stats()}
        return answer(monitor.get_stats() | told)

    @routes.get("/report", tags=["figures"], summary="Report", responses=_AS_PAGE)
    @needs(Scope.READ)
    def get_report(
        format: Literal["json", "html"] = "json",
        time_window_minutes: Window = None,
        include_agents: bool = True,
    ) -> Response:
        """Return everything at once: as JSON, or as one page that can be kept and sent."""
        if format == "html":
            made = monitor.generate_report(include_agents, time_window_minutes, format="html")
            return HTMLResponse(made, headers={"Content-Security-Policy": REPORT_POLICY})
        return answer(monitor.generate_report(include_agents, time_window_minutes))

    @routes.post(
        "/sync",
        tags=["ingest"],
        summary="Import what others wrote",
        responses=answers(200, SyncAnswer),
    )
    @needs(Scope.OPERATE)
    def post_sync(
        lookback_hours: Annotated[float, Query(gt=0, le=24 * 366 * 10, allow_inf_nan=False)] = 24.0,
    ) -> Response:
        """Import runs and outcomes from the database in the settings; twice counts once."""
        return answer(monitor.sync_with_database(lookback_hours))


def _alerts(routes: APIRouter, service: Service) -> None:
    monitor = service.monitor

    @routes.get("/alerts", tags=["alerts"], summary="Alerts", responses=pages_of(PerformanceAlert))
    @needs(Scope.READ)
    def get_alerts(
        level: AlertLevel | None = None,
        agent_name: AgentName = None,
        state: AlertState | None = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Response:
        """Return the alerts that match, newest last; further pages reach further back."""
        # One more than asked tells whether there is another page; a cursor needs them all.
        wanted = limit + 1 if cursor is None else _EVERYTHING
        word = None if state is None else state.value
        found = monitor.get_alerts(level, agent_name, wanted, word)
        shown, following = before(found, cursor, limit, lambda alert: alert.alert_id)
        return answer(page([alert.to_dict() for alert in shown], following))

    @routes.post(
        "/alerts/{alert_id}/acknowledge",
        tags=["alerts"],
        summary="Acknowledge an alert",
        responses=answers(200, PerformanceAlert),
    )
    @needs(Scope.OPERATE)
    def post_acknowledge(alert_id: str) -> Response:
        """Say that somebody is on it; return the alert."""
        return answer(monitor.acknowledge_alert(alert_id).to_dict())

    @routes.post(
        "/alerts/{alert_id}/mute",
        tags=["alerts"],
        summary="Mute an alert",
        openapi_extra=json_body(MuteBody, required=False),
        responses=answers(200, PerformanceAlert),
    )
    @needs(Scope.OPERATE)
    async def post_mute(request: Request, alert_id: str) -> Response:
        """Silence an alert for `for_s` seconds, an hour by default; return the alert."""
        body = await read_object(request, MuteBody, optional=True)
        alert = await anyio.to_thread.run_sync(monitor.mute_alert, alert_id, body.for_s)
        return answer(alert.to_dict())

    @routes.get("/alerts/{alert_id}/explain", tags=["alerts"], summary="Why an alert was raised")
    @needs(Scope.READ)
    def get_explain(alert_id: str) -> Response:
        """Return the alert with the rule, its exact inputs and its course since."""
        return answer(monitor.explain_alert(alert_id))


def _runs(routes: APIRouter, service: Service) -> None:
    @routes.get("/runs", tags=["figures"], summary="Runs", responses=answers(200, Page))
    @needs(Scope.READ)
    def get_runs(
        agent_name: AgentName = None,
        status: Annotated[str | None, Query(max_length=40)] = None,
        since: Annotated[
            str | None, Query(max_length=40, description="RFC 3339 or seconds, inclusive")
        ] = None,
        until: Annotated[
            str | None, Query(max_length=40, description="RFC 3339 or seconds, exclusive")
        ] = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Response:
        """Return single runs as they stand now, newest first.

        A page may hold fewer runs than asked for and yet have a next one: the work for a
        page is bounded, however rare the runs that match.
        """
        where = RunFilter(
            agent_name,
            None if status is None else status_code(status),
            _time("since", since),
            _time("until", until),
        )
        circle = service.circle
        before_offset = None if cursor is None else offset_of(cursor)
        circle.pump()
        found = circle.log.runs(where, before_offset=before_offset, limit=limit)
        following = None if found.next_before is None else close_cursor(str(found.next_before))
        return answer(page(runs_as_records(found.runs), following))

    @routes.get(
        "/spikes", tags=["figures"], summary="Runs far from usual", responses=pages_of(RunSpike)
    )
    @needs(Scope.READ)
    def get_spikes(
        agent_name: AgentName = None, limit: Limit = 50, cursor: Cursor = None
    ) -> Response:
        """Return single runs far from all that is usual for their agent, newest last.

        In latency, cost, memory or tokens. They are worth a look and never an alert. The fleet's
        newest 1,000 are remembered; `offset` is that of the run in `/runs`.
        """
        wanted = limit + 1 if cursor is None else _EVERYTHING
        found = service.monitor.get_spikes(agent_name, wanted)
        shown, following = before(found, cursor, limit, lambda spike: spike.key)
        return answer(page([spike.to_dict() for spike in shown], following))


def _time(field: str, text: str | None) -> int | None:
    return None if text is None else timestamp.parse_text(text, field)

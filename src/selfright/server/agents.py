"""Routes under ``/api/performance/agents`` that take an agent out of the fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.responses import Response

from selfright.server.answer import answer
from selfright.server.openapi import answers, named
from selfright.server.scope import Scope, needs
from selfright.server.shape import AgentDeleted, AgentRetired

if TYPE_CHECKING:
    from selfright.server.service import Service


def router(service: Service) -> APIRouter:
    """Return the routes that retire and delete agents."""
    routes = APIRouter(
        prefix="/api/performance/agents", tags=["agents"], generate_unique_id_function=named
    )
    monitor = service.monitor

    @routes.post(
        "/{agent_name:path}/retire",
        summary="Retire an agent",
        responses=answers(200, AgentRetired),
    )
    @needs(Scope.OPERATE)
    def post_retire(agent_name: str) -> Response:
        """Take an agent that is gone out of the fleet until it runs again.

        It is no candidate any more, its alerts are resolved, lists leave it out; its
        figures stay.
        """
        monitor.retire_agent(agent_name)
        return answer(AgentRetired(agent_name))

    @routes.delete(
        "/{agent_name:path}", summary="Delete an agent", responses=answers(200, AgentDeleted)
    )
    @needs(Scope.ADMIN)
    def delete_agent(agent_name: str) -> Response:
        """Drop what figures, detectors and models know of an agent, as if never seen.

        Its runs stay in the log, where they count no more.
        """
        monitor.delete_agent(agent_name)
        return answer(AgentDeleted(agent_name))

    return routes

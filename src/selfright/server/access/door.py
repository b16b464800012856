"""The door: every request shows a key that may do what it asks, or is refused here.

Deny by default. The route that will answer says which scope it asks for, found by the very
look-up that will call it, so that no spelling of a path can mean one thing here and another
there. What no route answers, any key may ask, and learn that there is nothing; a route that
says nothing is closed to everybody.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, unquote_plus

import anyio
from starlette.datastructures import Headers
from starlette.routing import Match

from selfright.server.access import refusals
from selfright.server.access.desk import Caller, address_of
from selfright.server.access.key import FORM
from selfright.server.access.login_page import login_page
from selfright.server.guard import SAFE, is_loopback
from selfright.server.problem import Problem
from selfright.server.scope import Scope, scope_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Message, Receive, Send
    from starlette.types import Scope as Asgi

    from selfright.server.access.desk import Desk

# Names under which clients of other services put a key into the address.
_KEY_PARAMETERS: Final = frozenset(
    {"key", "api_key", "api-key", "apikey", "token", "access_token", "authorization"}
)
# How often an answer that goes on for long looks whether its key still counts.
_WATCH_S: Final = 1.0


class Door:
    """Lets requests in by their keys. Without keys only this machine is served.

    Pure ASGI. Stands behind ``Guard``, which has refused strange hosts and origins.

    Parameters
    ----------
    app
        What is behind the door.
    desk
        Who recognises callers.
    routes
        The routes of ``app``, in the order in which it tries them.
    watch_s
        Seconds between two looks at the key of an answer that is under way.
    """

    def __init__(
        self, app: ASGIApp, *, desk: Desk, routes: Sequence[BaseRoute], watch_s: float = _WATCH_S
    ) -> None:
        self._app = app
        self._desk = desk
        self._routes = routes
        self._watch_s = watch_s

    async def __call__(self, scope: Asgi, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it with 400, 401, 403, 429 or 503."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            caller = await self._admit(scope, headers)
        except Problem as problem:
            response = problem.response()
            if problem.status == 401 and scope["method"] == "GET" and _reads_pages(headers):
                # A person sees where to log in; the status is the same.
                response = login_page(problem)
            await response(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        await self._serve_while_admitted(headers, scope, receive, send)

    async def _admit(self, scope: Asgi, headers: Headers) -> Caller | None:
        """Return who asks; None where nobody needs to be known. Raises ``Problem``."""
        if _holds_key(scope):
            raise refusals.key_in_address()
        needed = self._needed(scope)
        if needed is Scope.PUBLIC:
            return None
        ring, address = self._desk.ring, address_of(scope)
        await ring.refresh()
        if ring.trouble is not None:
            raise refusals.keys_unreadable()
        if not ring.required:
            if is_loopback(address):
                return None
            raise refusals.local_only()
        caller, tried = self._desk.recognise(headers)
        if caller is None:
            raise self._desk.refusal(address) if tried else refusals.key_needed(needed)
        # `Guard` saw that an Origin is ours; that there is one, only a session needs.
        if caller.cookie is not None and scope["method"] not in SAFE and "origin" not in headers:
            raise refusals.origin_needed()
        if not caller.key.allows(needed):
            raise refusals.scope_needed(needed, caller.key.scopes)
        return caller

    def _needed(self, scope: Asgi) -> Scope:
        for route in self._routes:
            match, _ = route.matches(scope)
            if match is Match.FULL:
                try:
                    return scope_of(route)
                except TypeError:
                    raise refusals.unclassified() from None
        return Scope.ANY

    async def _serve_while_admitted(
        self, headers: Headers, scope: Asgi, receive: Receive, send: Send
    ) -> None:
        """Serve; end an answer that goes on when its request would not be let in any more."""
        watches: list[asyncio.Task[None]] = []
        asked = dict(scope)  # as it was: routing writes into it
        with anyio.CancelScope() as serving:

            async def send_watched(message: Message) -> None:
                # The first of several parts. Most answers have one, and need no watch.
                goes_on = message["type"] == "http.response.body" and message.get("more_body")
                if goes_on and not watches:
                    watches.append(asyncio.create_task(self._watch(asked, headers, serving)))
                await send(message)

            try:
                await self._app(scope, receive, send_watched)
            finally:
                for watch in watches:
                    watch.cancel()
        if serving.cancelled_caught:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _watch(self, scope: Asgi, headers: Headers, serving: anyio.CancelScope) -> None:
        try:
            while True:
                await asyncio.sleep(self._watch_s)
                await self._admit(scope, headers)
        except Problem:
            serving.cancel()


def _holds_key(scope: Asgi) -> bool:
    """Return whether the address holds a key, or a parameter that is meant to be one."""
    path, query = str(scope["path"]), bytes(scope.get("query_string") or b"").decode("latin-1")
    if FORM.search(path) or FORM.search(unquote_plus(query)):
        return True
    return any(name.lower() in _KEY_PARAMETERS for name, _ in parse_qsl(query, True))


def _reads_pages(headers: Headers) -> bool:
    return "text/html" in headers.get("accept", "")

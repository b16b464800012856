"""Routes of access: log in and out, who am I, and the keys themselves."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs

import anyio.to_thread
from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from selfright.server.access.desk import address_of, caller_of, cookie_name
from selfright.server.access.key import mint
from selfright.server.access.login_page import login_page
from selfright.server.answer import answer, page
from selfright.server.body import decode, form_of, read, read_object
from selfright.server.guard import JSON, is_form
from selfright.server.openapi import answers, json_body, named, pages_of
from selfright.server.problem import Problem
from selfright.server.scope import Scope, needs
from selfright.server.shape import (
    AccessAnswer,
    KeyBody,
    KeyShown,
    LoginBody,
    MadeKey,
    Session,
)

if TYPE_CHECKING:
    from selfright.server.access.book import KeyBook
    from selfright.server.access.desk import Desk

_log = logging.getLogger("selfright")

_PATH: Final = "/api/access"
# Anybody may send one: the only body that is read before a key was seen.
_LOGIN_BYTES: Final = 4096


def router(desk: Desk) -> APIRouter:
    """Return the routes of access."""
    routes = APIRouter(tags=["access"], generate_unique_id_function=named)
    _sessions(routes, desk)
    _keys(routes, desk)
    return routes


def _sessions(routes: APIRouter, desk: Desk) -> None:
    @routes.get("/login", include_in_schema=False)
    @needs(Scope.PUBLIC)
    async def get_login() -> Response:
        """Return the page on which a person logs in."""
        await desk.ring.refresh()
        return login_page(keyed=desk.ring.required)

    @routes.post(
        "/login",
        summary="Log in",
        openapi_extra=json_body(LoginBody),
        responses=answers(200, Session),
    )
    @needs(Scope.PUBLIC)
    async def post_login(request: Request) -> Response:
        """Exchange a key for a session cookie, which a browser sends with every request.

        The cookie is no key: it ends with `server.session_hours`, when the service restarts,
        at `/logout` and with its key. A form in place of JSON is answered as a page.
        """
        await desk.ring.refresh()
        if not desk.ring.required:
            raise Problem(409, "no-keys", "there are no keys, so there is nothing to log in with")
        by_form = is_form(request.headers)
        try:
            text = await _given_key(request, by_form=by_form)
            caller, cookie = desk.log_in(text, address_of(request.scope))
        except Problem as problem:
            if by_form and problem.status in {401, 429}:
                return login_page(problem)
            raise
        response: Response
        if by_form:
            response = RedirectResponse("/", 303)
        else:
            shown = caller.key.shown(desk.now_us())
            response = answer(Session(KeyShown(**shown), desk.session_s))
        response.set_cookie(
            cookie_name(request.headers),
            cookie,
            max_age=desk.session_s,
            httponly=True,
            samesite="strict",
            secure=_is_secure(request),
        )
        return response

    @routes.post("/logout", summary="Log out", status_code=204)
    @needs(Scope.ANY)
    async def post_logout(request: Request) -> Response:
        """End the session that the request came with. Its key goes on counting."""
        desk.log_out(caller_of(request))
        by_page = "text/html" in request.headers.get("accept", "")
        response = RedirectResponse("/login", 303) if by_page else Response(status_code=204)
        response.delete_cookie(cookie_name(request.headers), httponly=True, samesite="strict")
        return response

    @routes.get(_PATH, summary="Who am I", responses=answers(200, AccessAnswer))
    @needs(Scope.ANY)
    async def get_access(request: Request) -> Response:
        """Return whether keys are asked for, and whose this one is."""
        caller = caller_of(request)
        shown = None if caller is None else KeyShown(**caller.key.shown(desk.now_us()))
        return answer(AccessAnswer(desk.ring.required, shown))


def _keys(routes: APIRouter, desk: Desk) -> None:
    @routes.get(f"{_PATH}/keys", summary="Keys", responses=pages_of(KeyShown))
    @needs(Scope.ADMIN)
    def get_keys() -> Response:
        """Return every key there ever was, oldest first. Of none the key itself is known."""
        keys, now_us = _book(desk).read(), desk.now_us()
        return answer(page([key.shown(now_us) for key in keys], None))

    @routes.post(
        f"{_PATH}/keys",
        summary="Make a key",
        openapi_extra=json_body(KeyBody),
        responses=answers(201, MadeKey),
    )
    @needs(Scope.ADMIN)
    async def post_key(request: Request) -> Response:
        """Make a key. `key` in the answer is shown this once; only its hash is kept.

        The first key closes the service to all that have none, on this machine as well.
        """
        body = await read_object(request, KeyBody)
        book = _book(desk)
        key, text = mint(body.name, body.scopes, desk.now_us(), body.expires_days)
        await anyio.to_thread.run_sync(book.add, key)
        desk.ring.forget()
        scopes = ", ".join(key.scopes)
        _log.info("%s made the key %s (%s): %s", _who(request), key.prefix, key.name, scopes)
        return answer(MadeKey(text, KeyShown(**key.shown(desk.now_us()))), 201)

    @routes.delete(
        f"{_PATH}/keys/{{prefix}}", summary="Revoke a key", responses=answers(200, KeyShown)
    )
    @needs(Scope.ADMIN)
    async def delete_key(request: Request, prefix: str) -> Response:
        """Let a key count no more, from this moment; return it. Its sessions end, too."""
        key = await anyio.to_thread.run_sync(_book(desk).revoke, prefix, desk.now_us())
        desk.ring.forget()
        _log.info("%s revoked the key %s (%s)", _who(request), key.prefix, key.name)
        return answer(key.shown(desk.now_us()))


def _who(request: Request) -> str:
    return str(caller_of(request) or "somebody on this machine")


def _book(desk: Desk) -> KeyBook:
    if desk.ring.book is None:
        raise Problem(409, "no-key-book", "this service was started without a place for keys")
    return desk.ring.book


async def _given_key(request: Request, *, by_form: bool) -> str:
    raw = await read(request, _LOGIN_BYTES)
    if not by_form:
        if form_of(request.headers.get("content-type")) != "json":
            raise Problem(415, "unsupported-media-type", f"send {JSON}", "Content-Type")
        return decode(raw, LoginBody).key
    fields = parse_qs(raw.decode("latin-1"), max_num_fields=10)
    return fields.get("key", [""])[0].strip()


def _is_secure(request: Request) -> bool:
    """Return whether the browser reached us over TLS, which a proxy may have ended.

    `Guard` has seen that the origin is ours. Whoever forges the other header has a cookie
    that is sent less often.
    """
    return "https" in {
        request.url.scheme,
        request.headers.get("origin", "").partition(":")[0],
        request.headers.get("x-forwarded-proto", ""),
    }

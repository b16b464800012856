"""What a browser is given: the status page, the documentation, and the files they need."""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, Response

from selfright.server.access.desk import caller_of
from selfright.server.openapi import named
from selfright.server.scope import Scope, needs
from selfright.server.status_page import render

if TYPE_CHECKING:
    from selfright.server.service import Service

_SAME_SITE: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
_WITH_SCRIPT: Final = (
    f"{_SAME_SITE}; script-src 'self'; connect-src 'self'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
# Each file has a route of its own: no path of a request ever reaches the disk, and what is
# public is public by its exact path. Style and icon are: the page that asks for a key has them.
_FILES: Final = {
    "style.css": ("text/css", Scope.PUBLIC),
    "docs.js": ("text/javascript", Scope.READ),
    "icon.svg": ("image/svg+xml", Scope.PUBLIC),
}
REFRESH_S: Final = 5


def router(service: Service) -> APIRouter:
    """Return the routes of the pages."""
    routes = APIRouter(include_in_schema=False, generate_unique_id_function=named)
    files: dict[str, tuple[bytes, str]] = {}

    @routes.get("/")
    @needs(Scope.READ)
    def get_status_page(
        request: Request, refresh: Annotated[int, Query(ge=0, le=3600)] = REFRESH_S
    ) -> Response:
        """Return the fleet at a glance. ``refresh=0`` keeps it as it is."""
        address = f"{request.url.scheme}://{request.headers.get('host', '')}"
        caller = caller_of(request)
        by_session = caller is not None and caller.cookie is not None
        page = render(service, address, refresh, by_session=by_session)
        # With `no-referrer`, as elsewhere, browsers send `Origin: null` with a form.
        headers = {"Content-Security-Policy": _SAME_SITE, "Referrer-Policy": "same-origin"}
        return HTMLResponse(page, headers=headers)

    @routes.get("/docs")
    @needs(Scope.READ)
    def get_docs() -> Response:
        """Return the page that shows ``openapi.json`` and tries requests."""
        content, _ = _file(files, "docs.html")
        return HTMLResponse(content, headers={"Content-Security-Policy": _WITH_SCRIPT})

    @routes.get("/openapi.json")
    @needs(Scope.READ)
    def get_openapi(request: Request) -> Response:
        """Return the description of every route."""
        from selfright.server.answer import answer

        return answer(request.app.openapi())

    def add_file(name: str, media_type: str, scope: Scope) -> None:
        @routes.get(f"/static/{name}", name=f"get_{name}")
        @needs(scope)
        def get_static(request: Request) -> Response:
            """Return a file that the pages need."""
            content, tag = _file(files, name)
            headers = {"ETag": tag, "Cache-Control": "no-cache"}
            if request.headers.get("if-none-match") == tag:
                return Response(status_code=304, headers=headers)
            return Response(content, media_type=media_type, headers=headers)

    for name, (media_type, scope) in _FILES.items():
        add_file(name, media_type, scope)
    return routes


def _file(files: dict[str, tuple[bytes, str]], name: str) -> tuple[bytes, str]:
    if name not in files:
        content = resources.files("selfright.server").joinpath("static", name).read_bytes()
        files[name] = content, f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    return files[name]

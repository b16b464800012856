"""Who may talk to the service at all: checked before any route sees the request.

Three attacks come through the browser of somebody who runs the service on this machine: a
page whose name is rebound to 127.0.0.1 (the Host header betrays it), a page that posts to
127.0.0.1 from elsewhere (Origin), and a plain form, which needs no permission to be sent
across sites but cannot have a JSON content type. Keys are asked for behind it, by
``access.door``.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders

from selfright.server.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
JSON: Final = "application/json"
FORM: Final = "application/x-www-form-urlencoded"
NDJSON: Final = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
MSGPACK: Final = frozenset({"application/msgpack", "application/x-msgpack"})
# Whatever the Host: a prober asks by address, and they tell nothing. Exact matches only: an
# agent that is called `healthz` opens nothing.
PROBES: Final = frozenset({"/healthz", "/readyz"})
# What a plain form of our own may send, if the browser says that it is our own.
FORM_PATHS: Final = frozenset({"/login"})
_PORTS: Final = {"http": 80, "https": 443}
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}


class Guard:
    """Refuses requests of strangers and adds the headers that confine a page.

    Pure ASGI: it reads no body and costs some microseconds.

    Parameters
    ----------
    app
        What it guards.
    allowed_hosts
        Names under which the service is reached besides the loopback ones.
    """

    def __init__(self, app: ASGIApp, allowed_hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._allowed = frozenset(name.lower().rstrip(".") for name in allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it with 403 or 415."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_confined(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        problem = self._refusal(scope)
        if problem is not None:
            await problem.response()(scope, receive, send_confined)
            return
        await self._app(scope, receive, send_confined)

    def _refusal(self, scope: Scope) -> Problem | None:
        """Return why the request is not served; None if it is."""
        if scope["type"] != "http":
            return Problem(403, "forbidden", "only HTTP is served")
        headers = Headers(scope=scope)
        if scope["path"] in PROBES and scope["method"] in SAFE:
            return None
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_known(hosts[0], scope):
            return Problem(
                403,
                "unknown-host",
                "the Host header must be a loopback name, the address of this machine that was "
                "reached, or listed in server.allowed_hosts",
                "Host",
            )
        if scope["method"] in SAFE:
            return None
        if not self._is_same_site(headers, hosts[0]):
            return Problem(
                403, "cross-site", "requests of pages from elsewhere are not served", "Origin"
            )
        if scope["path"] in FORM_PATHS and is_form(headers) and "origin" in headers:
            return None
        if _has_body(headers) and not is_data(headers.get("content-type", "")):
            return Problem(
                415,
                "unsupported-media-type",
                f"send Content-Type: {JSON} (with curl: -H 'Content-Type: {JSON}')",
                "Content-Type",
            )
        return None

    def _is_known(self, host_header: str, scope: Scope) -> bool:
        host, _ = split_host(host_header)
        if is_loopback(host) or host in self._allowed or host_header.lower() in self._allowed:
            return True
        # The very address the connection reached: what is rebound is a name, never an address.
        reached = _address(str((scope.get("server") or ("",))[0]))
        return reached is not None and reached == _address(host)

    def _is_same_site(self, headers: Headers, host_header: str) -> bool:
        origins = headers.getlist("origin")
        if not origins:
            # A browser that sends no Origin still says where the request comes from.
            return headers.get("sec-fetch-site", "none") in {"none", "same-origin"}
        if len(origins) > 1:
            return False
        try:
            origin = urlsplit(origins[0])
            default = _PORTS[origin.scheme]
            origin_host, origin_port = (origin.hostname or "").lower(), origin.port or default
        except (KeyError, ValueError):  # `null`, an extension, nonsense
            return False
        host, port = split_host(host_header)
        # Behind a proxy that rewrites Host, the public name is listed.
        return (origin_host, origin_port) == (host, port or default) or origin_host in self._allowed


def split_host(header: str) -> tuple[str, int | None]:
    """Return host and port of a Host header; an empty host if it is none."""
    try:
        parts = urlsplit(f"//{header}")
        port = parts.port
    except ValueError:
        return "", None
    if parts.path or parts.query or parts.fragment or parts.username is not None:
        return "", None
    return (parts.hostname or "").lower().rstrip("."), port


def is_loopback(host: str) -> bool:
    """Return whether a host name or address always means this machine."""
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def is_form(headers: Headers) -> bool:
    """Return whether a body is that of a plain form."""
    return headers.get("content-type", "").partition(";")[0].strip().lower() == FORM


def is_data(content_type: str) -> bool:
    """Return whether a content type is one that no plain form can send."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type == JSON or media_type in NDJSON or media_type in MSGPACK


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address; one of IPv4 that a socket for both shows as IPv6 is IPv4."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0").strip() != "0" or "transfer-encoding" in headers

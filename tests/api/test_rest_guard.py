"""Strangers are refused before any route sees them; a page cannot be made to work for others."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from selfright.server.guard import Guard, is_loopback, split_host


async def _inner(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"served"})


def _ask(method: str = "GET", path: str = "/api", **request: Any) -> httpx.Response:
    guard = Guard(_inner, ["Fleet.Example", "other.example:8443"])

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(guard)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1:8000"
        ) as client:
            return await client.request(method, path, **request)

    return asyncio.run(ask())


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:8000", "127.9.9.9", "localhost", "LOCALHOST:1", "[::1]:8000", "fleet.example",
     "FLEET.example.:443", "other.example:8443"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_this_machine_and_the_listed_names_are_served(method: str, host: str) -> None:
    """Every spelling of loopback, and what the operator lists."""
    assert _ask(method, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "0.0.0.0",
     "fleet.example.evil", "", "127.0.0.1@evil.example", "evil.example/127.0.0.1", "[::2]",
     "other.example", "localhost:x"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_name_rebound_to_this_machine_is_refused(method: str, host: str) -> None:
    """DNS rebinding shows in the Host header, whatever the method."""
    answer = _ask(method, headers={"Host": host})
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["field"] == "Host"


@pytest.mark.parametrize(
    ("reached", "host", "status"),
    [("10.0.0.5", "10.0.0.5:8000", 200), ("10.0.0.5", "10.0.0.6", 403),
     ("::ffff:10.0.0.5", "10.0.0.5", 200), ("2001:db8::1", "[2001:DB8:0::1]:8000", 200),
     ("2001:db8::1", "[2001:db8::2]", 403), ("10.0.0.5", "fleet.other", 403),
     ("a.sock", "a.sock", 403), (None, "10.0.0.5", 403)],
)  # fmt: skip
def test_the_address_that_was_reached_need_not_be_listed(
    reached: str | None, host: str, status: int
) -> None:
    """What is rebound is a name; no page can make a browser put an address of ours there."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "GET", "path": "/", "headers": [(b"host", host.encode())],
        "server": None if reached is None else (reached, 8000),
    }  # fmt: skip
    asyncio.run(Guard(_inner)(scope, None, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == status


def test_two_host_headers_are_refused() -> None:
    """What one layer reads the other might not."""
    answer = _ask(headers=[("Host", "127.0.0.1"), ("Host", "evil.example")])
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("host", "origin"),
    [("127.0.0.1:8000", "http://127.0.0.1:8000"), ("fleet.example", "https://fleet.example"),
     ("127.0.0.1:8000", "https://fleet.example"), ("localhost", "http://localhost:80")],
)  # fmt: skip
def test_a_page_of_ours_may_post(host: str, origin: str) -> None:
    """Also behind a proxy that ends TLS or rewrites Host, if its name is listed."""
    headers = {"Host": host, "Origin": origin, **JSON}
    assert _ask("POST", headers=headers, content=b"{}").status_code == 200


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "http://127.0.0.1:9000", "http://localhost:8000", "null",
     "http://127.0.0.1:8000.evil.example", "chrome-extension://abc", "http://127.0.0.1:x", ""],
)  # fmt: skip
def test_a_page_from_elsewhere_may_not_post(origin: str) -> None:
    """Neither another site nor another port of this machine."""
    answer = _ask("POST", headers={"Origin": origin, **JSON}, content=b"{}")
    assert answer.status_code == 403
    assert answer.json()["field"] == "Origin"


def test_two_origins_are_refused() -> None:
    """One of them would be a lie."""
    headers = [("Origin", "http://127.0.0.1:8000"), ("Origin", "http://evil.example")]
    assert _ask("POST", headers=headers).status_code == 403


@pytest.mark.parametrize(
    ("site", "status"),
    [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)],
)
def test_without_an_origin_the_browser_still_says_where_from(site: str, status: int) -> None:
    """Fetch metadata decides where Origin is absent."""
    assert _ask("POST", headers={"Sec-Fetch-Site": site}).status_code == status


@pytest.mark.parametrize(
    "kind",
    ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", "",
     "text/plain; application/json", "application/jsonp"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_what_a_plain_form_can_send_is_refused(method: str, kind: str) -> None:
    """A cross-site form needs nobody's permission, but cannot have these content types."""
    answer = _ask(method, headers={"Content-Type": kind}, content=b"a=1")
    assert answer.status_code == 415
    assert "application/json" in answer.json()["detail"]


@pytest.mark.parametrize(
    "kind",
    ["application/json", "application/JSON; charset=utf-8", "application/x-ndjson",
     "application/msgpack", "application/x-msgpack"],
)  # fmt: skip
def test_data_is_let_through(kind: str) -> None:
    """Every form that an ingest route reads."""
    assert _ask("POST", headers={"Content-Type": kind}, content=b"x").status_code == 200


def test_a_post_without_a_body_needs_no_content_type() -> None:
    """As curl does with -X POST and no data."""
    assert _ask("POST").status_code == 200


def test_probes_are_answered_whatever_they_call_us() -> None:
    """A prober asks by address; an agent of that name opens nothing else."""
    strange = {"Host": "10.1.2.3"}
    assert _ask(path="/healthz", headers=strange).status_code == 200
    assert _ask(path="/readyz", headers=strange).status_code == 200
    for path in ("/healthz/", "/healthz/x", "/api/performance/agent-metrics/healthz", "//healthz"):
        assert _ask(path=path, headers=strange).status_code == 403
    assert _ask("POST", "/healthz", headers=strange).status_code == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "evil.example"])
def test_every_answer_confines_what_a_browser_may_do_with_it(host: str) -> None:
    """No sniffing, no framing, no script, no cache; refusals included."""
    headers = _ask(headers={"Host": host}).headers
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"


def test_a_websocket_is_refused() -> None:
    """There is none, and an unknown protocol is not let through by mistake."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/", "headers": [(b"host", b"127.0.0.1")]}
    asyncio.run(Guard(_inner)(scope, None, send))  # type: ignore[arg-type]
    assert sent[0]["status"] == 403


@pytest.mark.parametrize(
    ("header", "host"),
    [("a.example:80", ("a.example", 80)), ("[::1]", ("::1", None)), ("a/b", ("", None)),
     ("a?b", ("", None)), ("a:99999", ("", None)), ("a#b", ("", None)), (":80", ("", 80))],
)  # fmt: skip
def test_a_host_header_is_read_strictly(header: str, host: tuple[str, int | None]) -> None:
    """What is no host and port is nobody."""
    assert split_host(header) == host


@pytest.mark.parametrize("host", ["127.1", "0", "2130706433", "localhost.", "::ffff:1.2.3.4", ""])
def test_odd_spellings_are_not_taken_for_loopback(host: str) -> None:
    """A browser normalises them before it asks; whoever sends them raw is no browser."""
    assert not is_loopback(host)

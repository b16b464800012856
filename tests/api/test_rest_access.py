"""Logging in and out, keys over REST, and what a service with and without keys refuses."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import Response, StreamingResponse

from selfright.clock import SystemClock, monotonic_s
from selfright.config import Settings, with_values
from selfright.performance_monitor import PerformanceMonitor
from selfright.server.access.book import MemoryKeyBook
from selfright.server.access.key import mint
from selfright.server.access.key_file import KeyFile
from selfright.server.access.ring import KeyRing
from selfright.server.app import create_app
from selfright.server.scope import Scope, needs

Check = Callable[..., dict[str, Any]]
Serve = Callable[..., httpx.Client]
HEALTH, RUNS, ACCESS = "/api/performance/health", "/api/performance/runs", "/api/access"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SEEN_WITHIN_S = 5.0


class Keyed:
    """A service that asks for keys, and the file it has them from."""

    def __init__(self, client: httpx.Client, book: KeyFile, ring: KeyRing) -> None:
        self.client, self.book, self.ring = client, book, ring

    def key(self, *scopes: str) -> str:
        """Make a key that the service sees at once."""
        key, text = mint("test", scopes, SystemClock().now_us())
        self.book.add(key)
        self.ring.forget()
        return text

    def until(self, text: str, status: int) -> None:
        """Wait until the service answers a key like this."""
        deadline_s = monotonic_s() + SEEN_WITHIN_S
        while self.client.get(ACCESS, headers=bearer(text)).status_code != status:
            assert monotonic_s() < deadline_s, "the service did not notice"
            threading.Event().wait(0.1)

    @property
    def origin(self) -> dict[str, str]:
        """The header that a page of ours is sent with."""
        return {"Origin": str(self.client.base_url).rstrip("/")}


def bearer(text: str) -> dict[str, str]:
    """Return the header that a program sends."""
    return {"Authorization": f"Bearer {text}"}


def cookie_of(answer: httpx.Response) -> dict[str, str]:
    """Return the header in which a browser sends back what a log in set."""
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


@pytest.fixture
def keyed(serve_new: Serve, tmp_path: Path) -> Keyed:
    """Serve a new fleet that asks for keys. Nobody has one yet."""
    book = KeyFile(tmp_path / "keys")
    ring = KeyRing(book, required=True)
    return Keyed(serve_new(keys=ring, server__failed_keys_per_min=10_000), book, ring)


# ---- keys -----------------------------------------------------------------------------


def test_a_key_made_or_revoked_elsewhere_is_noticed_within_seconds(keyed: Keyed) -> None:
    """Without a restart, and a session that it began ends with it."""
    key, text = mint("elsewhere", ["read"], SystemClock().now_us())
    keyed.book.add(key)
    keyed.until(text, 200)
    session = cookie_of(keyed.client.post("/login", json={"key": text}))
    keyed.client.cookies.clear()
    assert keyed.client.get(HEALTH, headers=session).status_code == 200
    keyed.book.revoke(text, SystemClock().now_us())
    keyed.until(text, 401)
    assert keyed.client.get(HEALTH, headers=session).status_code == 401


def test_who_has_no_key_or_too_small_a_one_is_told_what_it_takes(
    keyed: Keyed, problem: Check
) -> None:
    """401 and 403 name the scope; the header says how."""
    said = keyed.client.get(HEALTH)
    assert said.headers["www-authenticate"] == 'Bearer realm="selfright"'
    assert problem(said, 401, "Authorization")["scope"] == "read"
    said = keyed.client.get(HEALTH, headers=bearer("x"))
    assert 'error="invalid_token"' in said.headers["www-authenticate"]
    assert "unknown, revoked or has expired" in problem(said, 401, "Authorization")["detail"]
    said = keyed.client.get(HEALTH, headers=bearer(keyed.key("ingest")))
    assert 'error="insufficient_scope", scope="read"' in said.headers["www-authenticate"]
    found = problem(said, 403)
    assert found["scope"] == "read"
    assert "read or operate or admin" in found["detail"]
    assert "this key has ingest" in found["detail"]


def test_several_scopes_are_the_sum_of_them(keyed: Keyed) -> None:
    """And no more."""
    has = bearer(keyed.key("ingest", "read"))
    run = {"run_id": "r1", "agent_name": "planner"}
    assert keyed.client.post(RUNS, json=run, headers=has).status_code == 202
    assert keyed.client.get(RUNS, headers=has).status_code == 200
    saved = keyed.client.post("/api/learning/models/save", headers=has)
    assert saved.status_code == 403


def test_an_admin_makes_lists_and_revokes_keys(keyed: Keyed, problem: Check) -> None:
    """A new one counts at once, is shown once, and a revoked one counts no more, at once."""
    admin = bearer(keyed.key("admin"))
    body = {"name": "scraper", "scopes": ["read"], "expires_days": 90}
    made = keyed.client.post(f"{ACCESS}/keys", json=body, headers=admin)
    assert made.status_code == 201
    text, about = made.json()["key"], made.json()["about"]
    assert about["state"] == "active"
    assert about["expires_at"] > about["created_at"]
    mine = keyed.client.get(ACCESS, headers=bearer(text)).json()
    assert mine == {"keys_required": True, "about": about}
    listed = keyed.client.get(f"{ACCESS}/keys", headers=admin)
    assert [key["prefix"] for key in listed.json()["items"]][1:] == [about["prefix"]]
    for answer in (listed, keyed.client.get(ACCESS, headers=bearer(text))):
        assert text.rpartition("_")[2] not in answer.text
        assert "digest" not in answer.text
    gone = keyed.client.delete(f"{ACCESS}/keys/{about['prefix']}", headers=admin)
    assert gone.json()["state"] == "revoked"
    problem(keyed.client.get(ACCESS, headers=bearer(text)), 401, "Authorization")
    unknown = keyed.client.delete(f"{ACCESS}/keys/selfright_00000000", headers=admin)
    problem(unknown, 404)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": ["read"]}, "name"),
        ({"name": "x"}, "scopes"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["root"]}, "scopes[0]"),
        ({"name": "a\nb", "scopes": ["read"]}, "name"),
        ({"name": "x", "scopes": ["read"], "expires_days": 0}, "expires_days"),
        ({"name": "x", "scopes": ["read"], "digest": "0"}, "digest"),
    ],
)
def test_what_makes_no_key_is_refused_by_its_field(
    keyed: Keyed, problem: Check, body: dict[str, Any], field: str
) -> None:
    """And none is made."""
    admin = bearer(keyed.key("admin"))
    problem(keyed.client.post(f"{ACCESS}/keys", json=body, headers=admin), 422, field)
    assert len(keyed.book.read()) == 1


# ---- sessions -------------------------------------------------------------------------


def test_a_person_logs_in_by_a_form_and_out_again(keyed: Keyed) -> None:
    """Neither needs a script. After that the cookie counts no more, wherever it lies."""
    text = keyed.key("read")
    page = keyed.client.get("/", headers={"Accept": "text/html,*/*"})
    assert page.status_code == 401
    assert '<form class="try" method="post" action="/login">' in page.text
    assert "form-action 'self'" in page.headers["content-security-policy"]
    assert page.headers["referrer-policy"] == "same-origin"
    done = keyed.client.post("/login", data={"key": f" {text} "}, headers=keyed.origin)
    assert (done.status_code, done.headers["location"]) == (303, "/")
    status = keyed.client.get("/")
    assert "Log out" in status.text
    assert "$SELFRIGHT_KEY" in status.text, "the commands of an empty fleet ask for a key"
    copied = cookie_of(done)
    browser = {**keyed.origin, "Accept": "text/html"}
    left = keyed.client.post("/logout", headers=browser)
    assert (left.status_code, left.headers["location"]) == (303, "/login")
    assert not keyed.client.cookies
    assert keyed.client.get("/", headers=copied).status_code == 401
    assert keyed.client.get("/", headers=bearer(text)).status_code == 200


def test_the_cookie_is_confined_and_holds_no_key(keyed: Keyed) -> None:
    """HttpOnly and SameSite=Strict always; Secure where the browser came by TLS."""
    text = keyed.key("read")
    port = keyed.client.base_url.port

    def set_by(headers: dict[str, str]) -> str:
        done = keyed.client.post("/login", json={"key": text}, headers=headers)
        assert done.json()["ends_in_s"] == 12 * 3600
        return done.headers["set-cookie"]

    plain = set_by({})
    assert re.match(rf"selfright-{port}=selfright_[0-9a-f]{{8}}\.", plain)
    assert text.rpartition("_")[2] not in plain
    flags = {part.strip().lower() for part in plain.split(";")[1:]}
    assert flags == {"httponly", "max-age=43200", "path=/", "samesite=strict"}
    for by_tls in ({"X-Forwarded-Proto": "https"}, {"Origin": f"https://127.0.0.1:{port}"}):
        assert set_by(by_tls).lower().endswith("secure")


def test_a_wrong_key_is_no_login(keyed: Keyed, problem: Check) -> None:
    """A program gets a problem, a person the page again."""
    problem(keyed.client.post("/login", json={"key": "x"}), 401, "Authorization")
    problem(keyed.client.post("/login", json={}), 422, "key")
    packed = {"Content-Type": "application/msgpack"}
    problem(keyed.client.post("/login", content=b"x", headers=packed), 415, "Content-Type")
    # The only body that is read before a key was seen: it cannot fill the memory.
    problem(keyed.client.post("/login", json={"key": "x" * 5000}), 413, "body")
    page = keyed.client.post("/login", data={"key": "x"}, headers=keyed.origin)
    assert page.status_code == 401
    assert 'role="alert"' in page.text
    assert "set-cookie" not in page.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 415),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 415),
    ],
)
def test_only_a_form_of_our_own_logs_in(keyed: Keyed, headers: dict[str, str], status: int) -> None:
    """A strange page shall not even be able to log somebody in."""
    done = keyed.client.post("/login", data={"key": keyed.key("read")}, headers=headers)
    assert done.status_code == status


def test_a_form_opens_no_other_route(keyed: Keyed) -> None:
    """Only `/login` takes one, by its exact path."""
    has = {**bearer(keyed.key("admin")), **keyed.origin}
    for path in ("/login/", "/loginx", RUNS, f"{ACCESS}/keys"):
        assert keyed.client.post(path, data={"key": "x"}, headers=has).status_code == 415, path


def test_a_session_that_has_ended_is_no_attempt_at_a_key(serve_new: Serve, tmp_path: Path) -> None:
    """A page that asks every 5 seconds is shown where to log in, not told to wait."""
    ring = KeyRing(KeyFile(tmp_path), required=True)
    client = serve_new(keys=ring, server__failed_keys_per_min=1)
    cookie = f"selfright-{client.base_url.port}=selfright_00000000.9999999999.00.00"
    assert {client.get("/", headers={"Cookie": cookie}).status_code for _ in range(20)} == {401}


# ---- refusals -------------------------------------------------------------------------


def test_too_many_wrong_keys_have_to_wait_and_a_right_one_has_not(
    serve_new: Serve, tmp_path: Path, problem: Check, caplog: pytest.LogCaptureFixture
) -> None:
    """429 with Retry-After; by header and by login; told in the log once, without the key."""
    key, text = mint("good", ["read"], SystemClock().now_us())
    book = KeyFile(tmp_path)
    book.add(key)
    client = serve_new(keys=KeyRing(book), server__failed_keys_per_min=1)
    wrong = text[:-4] + "ffff"
    with caplog.at_level(logging.WARNING, "selfright"):
        found = [client.get(HEALTH, headers=bearer(wrong)).status_code for _ in range(8)]
        assert found == [401] + [429] * 7
        waiting = client.post("/login", json={"key": wrong})
        wait_s = waiting.headers["retry-after"]
        assert 30 < int(wait_s) <= 60
        assert f"in {wait_s} s" in problem(waiting, 429, "Authorization")["detail"]
        assert client.get(HEALTH, headers=bearer(text)).status_code == 200
        assert client.post("/login", json={"key": text}).status_code == 200
        assert client.get("/healthz").status_code == 200
    told = [record.getMessage() for record in caplog.records]
    assert told == ["too many wrong keys come from 127.0.0.1; it is told to wait"]


@pytest.mark.parametrize(
    "place",
    ["/healthz?key={}", "/readyz?x={}", f"{HEALTH}?api_key={{}}", f"{HEALTH}?ACCESS_TOKEN=x",
     f"{HEALTH}?token=", "/login?key={}", f"{ACCESS}/keys/{{}}", "/nowhere/{}?x=1"],
)  # fmt: skip
def test_a_key_in_an_address_is_refused(keyed: Keyed, problem: Check, place: str) -> None:
    """Before anything else, so that whoever tries it learns it at once; not repeated."""
    text = keyed.key("admin")
    said = keyed.client.get(place.format(text), headers=bearer(text))
    assert "revoke" in problem(said, 400, "query")["detail"]
    assert text not in said.text


@pytest.mark.allow_errors
def test_keys_that_cannot_be_read_let_nobody_in(keyed: Keyed, problem: Check) -> None:
    """The service says so where probes look, and recovers by itself."""
    text = keyed.key("admin")
    good = keyed.book.path.read_bytes()
    keyed.book.path.write_bytes(b"{")
    keyed.until(text, 503)
    problem(keyed.client.get(HEALTH, headers=bearer(text)), 503)
    ready = keyed.client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json()["reasons"] == ["the keys cannot be read: nobody is let in"]
    keyed.book.path.write_bytes(good)
    keyed.until(text, 200)
    assert keyed.client.get("/readyz").status_code == 200


# ---- without keys ----------------------------------------------------------------------


def test_without_keys_this_machine_may_do_everything_until_there_is_one(
    serve_new: Serve, tmp_path: Path, problem: Check
) -> None:
    """The first key, made over REST, closes the service to all that have none."""
    client = serve_new(keys=KeyRing(KeyFile(tmp_path / "keys")))
    assert client.get(HEALTH, headers=bearer("whatever")).status_code == 200
    assert client.get(ACCESS).json() == {"keys_required": False, "about": None}
    assert "No key is needed" in client.get("/login").text
    problem(client.post("/login", json={"key": "x"}), 409)
    assert "$SELFRIGHT_KEY" not in client.get("/").text
    body = {"name": "first", "scopes": ["admin"]}
    text = client.post(f"{ACCESS}/keys", json=body).json()["key"]
    problem(client.get(HEALTH), 401, "Authorization")
    assert client.get(HEALTH, headers=bearer(text)).status_code == 200


def test_a_service_without_a_place_for_keys_says_so(empty: httpx.Client, problem: Check) -> None:
    """Rather than to make one that is gone with the process."""
    body = {"name": "first", "scopes": ["admin"]}
    problem(empty.post(f"{ACCESS}/keys", json=body), 409)
    problem(empty.get(f"{ACCESS}/keys"), 409)


@pytest.mark.parametrize(
    ("peer", "status"),
    [("127.0.0.1", 200), ("127.9.9.9", 200), ("::1", 200), ("::ffff:127.0.0.1", 200),
     ("10.0.0.9", 403), ("::ffff:10.0.0.9", 403), ("2001:db8::1", 403), ("testclient", 403),
     ("", 403)],
)  # fmt: skip
def test_without_keys_only_requests_of_this_machine_are_served(peer: str, status: int) -> None:
    """Whichever server runs the application, and whatever address it is told to bind."""
    with PerformanceMonitor() as monitor:
        app = create_app(monitor)
        found = asyncio.run(_ask(app, HEALTH, (peer, 1)))
        assert found.status_code == status
        assert asyncio.run(_ask(app, "/healthz", (peer, 1))).status_code == 200
    if status == 403:
        assert "selfright keys create" in found.json()["detail"]


async def _ask(app: Any, path: str, peer: tuple[str, int]) -> httpx.Response:
    transport = httpx.ASGITransport(app, client=peer)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        return await client.get(path)


# ---- streams --------------------------------------------------------------------------


@pytest.fixture
def streaming() -> Iterator[tuple[Any, KeyRing, list[str]]]:
    """Return an application with an endless stream, its keys, and who left the stream."""
    left: list[str] = []

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"data: x\n\n"
                await asyncio.sleep(0.02)
        finally:
            left.append("the stream")

    @needs(Scope.READ)
    async def get_stream() -> Response:
        return StreamingResponse(endless(), media_type="text/event-stream")

    ring = KeyRing(MemoryKeyBook())
    settings = with_values(Settings(), {"server.session_hours": 1 / 1200})
    with PerformanceMonitor(settings=settings) as monitor:
        app = create_app(monitor, keys=ring)
        app.add_api_route("/api/stream", get_stream, methods=["GET"])
        yield app, ring, left


async def _until_it_ends(app: Any, headers: list[tuple[bytes, bytes]]) -> tuple[int, bool]:
    """Return how many pieces came, and whether the answer was ended properly."""
    pieces, ended = 0, False

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        nonlocal pieces, ended
        pieces += bool(message.get("body"))
        ended = message["type"] == "http.response.body" and not message.get("more_body")

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "method": "GET",
        "path": "/api/stream", "raw_path": b"/api/stream", "query_string": b"", "root_path": "",
        "headers": [(b"host", b"127.0.0.1"), *headers], "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000), "scheme": "http", "http_version": "1.1",
    }  # fmt: skip
    async with asyncio.timeout(SEEN_WITHIN_S):
        await app(scope, receive, send)
    return pieces, ended


def test_a_stream_ends_when_its_key_is_revoked(
    streaming: tuple[Any, KeyRing, list[str]],
) -> None:
    """Within seconds, though nobody asks again; whoever feeds it is told."""
    app, ring, left = streaming
    book = ring.book
    key, text = mint("watcher", ["read"], SystemClock().now_us())
    book.add(key)
    ring.load()

    async def story() -> tuple[int, bool]:
        header = (b"authorization", f"Bearer {text}".encode())
        watching = asyncio.create_task(_until_it_ends(app, [header]))
        await asyncio.sleep(1.5)
        assert not watching.done(), "a key that counts keeps it open"
        book.revoke(key.prefix, SystemClock().now_us())
        return await watching

    pieces, ended = asyncio.run(story())
    assert pieces > 10
    assert ended
    assert left == ["the stream"]


def test_a_stream_of_before_the_first_key_ends_with_it(
    streaming: tuple[Any, KeyRing, list[str]],
) -> None:
    """The door closes to who came in without a key, too."""
    app, ring, left = streaming

    async def story() -> tuple[int, bool]:
        watching = asyncio.create_task(_until_it_ends(app, []))
        await asyncio.sleep(0.2)
        ring.book.add(mint("first", ["admin"], SystemClock().now_us())[0])
        return await watching

    pieces, ended = asyncio.run(story())
    assert pieces > 10
    assert ended
    assert left == ["the stream"]


def test_a_stream_ends_with_its_session(streaming: tuple[Any, KeyRing, list[str]]) -> None:
    """A page that was left open does not go on for ever."""
    app, ring, left = streaming
    book = ring.book
    key, text = mint("watcher", ["read"], SystemClock().now_us())
    book.add(key)
    ring.load()

    async def story() -> tuple[int, bool]:
        transport = httpx.ASGITransport(app)
        base = "http://127.0.0.1"
        async with httpx.AsyncClient(transport=transport, base_url=base) as client:
            done = await client.post("/login", json={"key": text})
        cookie = done.headers["set-cookie"].partition(";")[0].encode()
        return await _until_it_ends(app, [(b"cookie", cookie)])

    pieces, ended = asyncio.run(story())
    assert pieces > 10
    assert ended
    assert left == ["the stream"]


# ---- nothing tells a key ----------------------------------------------------------------


def test_no_log_line_and_no_answer_holds_a_key(
    keyed: Keyed, caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG, of every logger there is, whatever is asked; but for the one that was made."""
    with caplog.at_level(logging.DEBUG):
        admin = keyed.key("admin")
        told = []
        wrong = admin[:-4] + "ffff"
        for text in (admin, wrong):
            has = bearer(text)
            told += [
                keyed.client.get(HEALTH, headers=has),
                keyed.client.get("/", headers=has),
                keyed.client.get("/openapi.json", headers=has),
                keyed.client.get("/nowhere", headers=has),
                keyed.client.get(f"{HEALTH}?key={text}", headers=has),
                keyed.client.post(RUNS, content=text, headers={**has, "Content-Type": "x/y"}),
                keyed.client.post(RUNS, json={"run_id": 1}, headers=has),
                keyed.client.post("/login", json={"key": text}),
                keyed.client.post("/login", json={"key": [text]}),
                keyed.client.post("/login", data={"key": text}, headers=keyed.origin),
                keyed.client.request("BREW", HEALTH, headers=has),
                keyed.client.get(HEALTH, headers={"Authorization": text}),
                keyed.client.get(HEALTH, headers=[("Authorization", text)] * 2),
            ]
        body = {"name": "made", "scopes": ["read"]}
        made = keyed.client.post(f"{ACCESS}/keys", json=body, headers=bearer(admin)).json()
        keyed.client.delete(f"{ACCESS}/keys/{made['about']['prefix']}", headers=bearer(admin))
    for answer in told:
        for secret in (admin, wrong):
            assert secret.rpartition("_")[2] not in answer.text
            assert secret.rpartition("_")[2] not in str(answer.headers)
    log = "\n".join(
        line
        for record in caplog.records
        # The client's own; and a log of addresses that is off, but pytest listens to.
        if not record.name.startswith(("httpcore", "httpx", "uvicorn.access"))
        for line in (record.getMessage(), repr(record.args))
    )
    assert not logging.getLogger("uvicorn.access").propagate
    for secret in (admin, wrong, made["key"]):
        assert secret.rpartition("_")[2] not in log
    assert f"made the key {made['about']['prefix']} (made): read" in log
    assert f"revoked the key {made['about']['prefix']}" in log

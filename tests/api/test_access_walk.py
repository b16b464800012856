"""Every route of the description, asked by everybody: who has no key, each kind, and impostors.

The table below is written by hand, and the walk takes the routes from OpenAPI: a route that
is in one and not in the other fails it. Each fault planted at the end is seen by the walk.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.responses import Response, StreamingResponse
from starlette.routing import Match

from selfright.online_learning import RealTimeModelUpdater
from selfright.performance_monitor import PerformanceMonitor
from selfright.server.access.book import MemoryKeyBook
from selfright.server.access.desk import Caller, Desk
from selfright.server.access.door import Door
from selfright.server.access.key import Key, mint
from selfright.server.access.ring import KeyRing
from selfright.server.access.session import Sessions
from selfright.server.app import create_app
from selfright.server.guard import SAFE, Guard
from selfright.server.scope import Scope, needs, scope_of

P, L, A = "/api/performance", "/api/learning", "/api/access"
TABLE = {
    "public": ["GET /healthz", "GET /readyz", "GET /login", "POST /login",
               "GET /static/style.css", "GET /static/icon.svg"],
    "any": ["POST /logout", f"GET {A}"],
    "ingest": [f"POST {P}/runs", f"POST {P}/accuracy", f"POST {L}/select",
               f"POST {L}/predict/agent-selection", f"POST {L}/outcomes"],
    "read": ["GET /", "GET /docs", "GET /openapi.json", "GET /static/docs.js", "GET /metrics",
             f"GET {P}/health", f"GET {P}/system-metrics", f"GET {P}/agent-metrics/{{agent_name}}",
             f"GET {P}/agents/metrics", f"GET {P}/trends", f"GET {P}/stats", f"GET {P}/report",
             f"GET {P}/alerts", f"GET {P}/alerts/{{alert_id}}/explain", f"GET {P}/runs",
             f"GET {P}/spikes", f"GET {P}/retrainings", f"GET {P}/retrainings/{{retrain_id}}",
             f"GET {L}/status", f"GET {L}/metrics", f"GET {L}/models",
             f"GET {L}/models/{{model_type}}", f"GET {L}/models/{{model_type}}/versions",
             f"GET {L}/models/{{model_type}}/promotions", f"GET {L}/models/{{model_type}}/diff",
             f"POST {L}/predict/{{model_type}}"],
    "operate": [f"POST {P}/alerts/{{alert_id}}/acknowledge", f"POST {P}/alerts/{{alert_id}}/mute",
                f"POST {P}/sync", f"POST {P}/trigger-retraining",
                f"POST {P}/retrainings/{{retrain_id}}/cancel",
                f"POST {P}/agents/{{agent_name}}/retire", f"POST {L}/models/save",
                f"POST {L}/models/{{model_type}}/retrain",
                f"POST {L}/models/{{model_type}}/rollback"],
    "admin": [f"DELETE {P}/agents/{{agent_name}}", f"GET {A}/keys", f"POST {A}/keys",
              f"DELETE {A}/keys/{{prefix}}"],
}  # fmt: skip
SCOPES = {tuple(route.split(" ")): scope for scope, routes in TABLE.items() for route in routes}
# Who may, written out once more and not taken from the code.
MAY = {
    "ingest": {"any", "ingest"},
    "read": {"any", "read"},
    "operate": {"any", "read", "operate"},
    "admin": {"any", "ingest", "read", "operate", "admin"},
}
# Names that a careless look at a path takes for something public.
NAMES = {"agent_name": "team/healthz", "alert_id": "login", "retrain_id": "healthz",
         "model_type": "routing", "prefix": "selfright_00000000"}  # fmt: skip
PROBES = {"/healthz", "/readyz"}
HOST = ("host", "127.0.0.1:8000")
OWN = ("origin", "http://127.0.0.1:8000")
FOREIGN = ("origin", "http://evil.example")
DAY_US = 86_400_000_000
Headers = list[tuple[str, str]]


@dataclass
class Answer:
    """What came back; of a stream, its beginning."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def problem(self) -> dict[str, Any]:
        """The problem document, empty where it is none."""
        is_problem = self.headers.get("content-type") == "application/problem+json"
        found: dict[str, Any] = json.loads(self.body) if is_problem else {}
        return found


_peers = (f"10.{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}" for i in itertools.count())


async def ask(app: Any, method: str, path: str, headers: Headers, body: bytes = b"") -> Answer:
    """Ask the service without a socket; leave as soon as an answer goes on for long.

    Each time from another machine, so that nobody is told to wait.
    """
    raw_path, _, query = path.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
        "method": method, "scheme": "http", "path": raw_path, "raw_path": raw_path.encode(),
        "query_string": query.encode(), "root_path": "", "client": (next(_peers), 1),
        "server": ("127.0.0.1", 8000),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
    }  # fmt: skip
    answer, enough, sent = Answer(), asyncio.Event(), False

    async def receive() -> dict[str, Any]:
        nonlocal sent
        if sent:
            await asyncio.Event().wait()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")
            enough.set()

    serving = asyncio.create_task(app(scope, receive, send))
    leaving = asyncio.create_task(enough.wait())
    await asyncio.wait({serving, leaving}, return_when=asyncio.FIRST_COMPLETED)
    for task in (serving, leaving):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    return answer


@dataclass
class House:
    """A service that asks for keys, and one key of each kind."""

    app: FastAPI
    book: MemoryKeyBook
    texts: dict[str, str]

    def bearer(self, kind: str) -> Headers:
        """Return the header that a program sends."""
        return [("authorization", f"Bearer {self.texts[kind]}")]

    async def cookie(self, kind: str) -> Headers:
        """Return the header that a browser sends after a log in."""
        body = json.dumps({"key": self.texts[kind]}).encode()
        json_type = ("content-type", "application/json")
        done = await ask(self.app, "POST", "/login", [HOST, json_type], body)
        assert done.status == 200, done
        return [("cookie", done.headers["set-cookie"].partition(";")[0])]


Build = Callable[..., House]


@pytest.fixture(scope="module")
def faces(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[PerformanceMonitor, RealTimeModelUpdater]]:
    """Return the faces of an empty fleet."""
    updater = RealTimeModelUpdater(model_storage_path=str(tmp_path_factory.mktemp("models")))
    monitor = PerformanceMonitor(model_updater=updater)
    yield monitor, updater
    monitor.close()


@pytest.fixture
def build(faces: tuple[PerformanceMonitor, RealTimeModelUpdater]) -> Build:
    """Return a function that puts a service together, sound or with a fault."""

    def make(ring: type[KeyRing] = KeyRing) -> House:
        now_us = faces[0].circle.clock.now_us()
        made = {kind: mint(kind, [kind], now_us) for kind in MAY}
        gone, gone_text = mint("gone", ["admin"], now_us)
        old, old_text = mint("old", ["admin"], now_us - 2 * DAY_US, 1)
        book = MemoryKeyBook([*(key for key, _ in made.values()), gone, old])
        book.revoke(gone.prefix, now_us)
        texts = {kind: text for kind, (_, text) in made.items()}
        app = create_app(*faces, keys=ring(book))
        return House(app, book, {**texts, "revoked": gone_text, "expired": old_text})

    return make


# ---- the walk ------------------------------------------------------------------------


async def _routes(house: House) -> dict[tuple[str, str], str]:
    """Return what the description lists, and the pages, which it does not."""
    found = await ask(house.app, "GET", "/openapi.json", [HOST, *house.bearer("admin")])
    listed = {
        (method.upper(), path): operation["x-scope"]
        for path, operations in json.loads(found.body)["paths"].items()
        for method, operation in operations.items()
    }
    for route in house.app.routes:
        if not getattr(route, "include_in_schema", True):
            for method in getattr(route, "methods", ()):
                listed[method, route.path] = str(scope_of(route))
    return listed


async def _people(house: House) -> AsyncIterator[tuple[str, Headers, str | None]]:
    """Yield who may ask: a label, headers, and the kind of key that counts, if one does."""
    wrong = house.texts["admin"][:-4] + "0000"
    yield "nobody", [], None
    yield "a wrong key", [("authorization", f"Bearer {wrong}")], None
    yield "a prefix", [("authorization", f"Bearer {wrong.rpartition('_')[0]}")], None
    yield "no key at all", [("authorization", "Bearer x")], None
    yield "a key as a password", [("authorization", f"Basic {house.texts['admin']}")], None
    yield "two keys", house.bearer("admin") * 2, None
    yield "a revoked key", house.bearer("revoked"), None
    yield "an expired key", house.bearer("expired"), None
    yield "a key in a cookie", [("cookie", f"selfright-8000={house.texts['admin']}")], None
    forged = (await house.cookie("admin"))[0][1][:-4] + "0000"
    yield "a forged session", [("cookie", forged)], None
    for kind in MAY:
        yield f"a key to {kind}", house.bearer(kind), kind
        yield f"a session to {kind}", [*(await house.cookie(kind)), OWN], kind


def _expected(scope: str, kind: str | None) -> int | None:
    if scope == "public":
        return None
    if kind is None:
        return 401
    return None if scope in MAY[kind] else 403


async def walk(house: House) -> AsyncIterator[str]:
    """Yield what is not as it must be."""
    listed = await _routes(house)
    for route in sorted(set(listed) ^ set(SCOPES)):
        yield f"{route} stands in only one of the table and the description"
    for route in set(listed) & set(SCOPES):
        if listed[route] != SCOPES[route]:
            yield f"{route} says it asks for {listed[route]}, not {SCOPES[route]}"
    for method, path in listed:
        scope = SCOPES.get((method, path), "admin")
        place, unsafe = path.format(**NAMES), method not in SAFE
        # What is let in gets no further than the body, which is none.
        base: Headers = [HOST, ("content-type", "application/json"), ("content-length", "1")]
        cases = [(who, [*base, *more], _expected(scope, kind)) async for who, more, kind in
                 _people(house)]  # fmt: skip
        session = await house.cookie("admin")
        refused = 403 if unsafe and scope != "public" else None
        cases += [
            ("a session without an Origin", [*base, *session], refused),
            ("a session of a strange page", [*base, *session, FOREIGN], 403 if unsafe else None),
            ("a strange page with a key", [*base, *house.bearer("admin"), FOREIGN],
             403 if unsafe else None),
            ("a rebound name", [("host", "evil.example"), *base[1:], *house.bearer("admin")],
             None if path in PROBES and not unsafe else 403),
        ]  # fmt: skip
        for who, headers, expected in cases:
            # A session can be ended but once.
            ends = path == "/logout" and "session" in who and expected is None
            fresh = [*base, *(await house.cookie("admin")), OWN] if ends else headers
            found = await ask(house.app, method, place, fresh, b"{")
            served = found.status not in {401, 403, 429}
            if served != (expected is None) or (not served and found.status != expected):
                yield f"{method} {place}: {who} got {found.status}, expected {expected}"
            elif found.problem.get("scope", scope) != scope:
                yield f"{method} {place}: {found.problem}"
    for place in _impostors():
        found = await ask(house.app, "GET", place, [HOST])
        if found.status != 401:
            yield f"GET {place} without a key got {found.status}"


def _impostors() -> Iterator[str]:
    """Yield paths that look public and are not."""
    for path in sorted({route.split(" ")[1] for route in TABLE["public"]}):
        yield from (f"{path}/", f"{path}x", f"{path}/x", f"/{path}", f"{path}/../openapi.json")
        yield from (path.upper(), f"{path};x", f"{path}%2f", f"{P}/agent-metrics{path}")
    yield from ("/nowhere", "/static/", "/static/{name}", "/healthz\x00", f"{P}/agent-metrics/x")


def _complaints(house: House, most: int = 20) -> list[str]:
    async def collect() -> list[str]:
        found = []
        async for complaint in walk(house):
            found.append(complaint)
            if len(found) >= most:
                break
        return found

    return asyncio.run(collect())


def test_every_route_asks_for_its_scope_and_nobody_gets_past(build: Build) -> None:
    """Each route x each caller, strange pages and rebound names; and paths that look public."""
    assert _complaints(build()) == []


def test_the_table_leaves_nothing_out(build: Build) -> None:
    """As many routes as are served, each once."""
    served = {
        (method, route.path_format) for route in build().app.routes for method in route.methods
    }  # fmt: skip
    assert {(method, path) for method, path in SCOPES} == served
    assert sum(map(len, TABLE.values())) == len(SCOPES)


def test_a_stream_is_asked_for_like_all_else(build: Build) -> None:
    """The walk does not wait for its end: it complains of the listing and nothing more."""
    house = build()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"data: x\n\n"
            await asyncio.sleep(0.01)

    @needs(Scope.ADMIN)
    async def get_stream() -> Response:
        return StreamingResponse(endless(), media_type="text/event-stream")

    house.app.add_api_route(f"{P}/stream", get_stream, methods=["GET"])
    assert _complaints(house) == [
        f"('GET', '{P}/stream') stands in only one of the table and the description"
    ]


# ---- each fault is seen ----------------------------------------------------------------


def _swap(house: House, old: type, new: type) -> House:
    """Put a faulty middleware in the place of the sound one."""
    stack = house.app.user_middleware
    place = next(i for i, item in enumerate(stack) if item.cls is old)
    stack[place] = Middleware(new, *stack[place].args, **stack[place].kwargs)
    return house


def _desk(house: House) -> dict[str, Any]:
    """Return the arguments of the door, of which the desk is one."""
    return next(item.kwargs for item in house.app.user_middleware if item.cls is Door)


class PrefixDoor(Door):
    def _needed(self, scope: Any) -> Scope:
        public = tuple(route.split(" ")[1] for route in TABLE["public"])
        return Scope.PUBLIC if scope["path"].startswith(public) else super()._needed(scope)


class SuffixDoor(Door):
    def _needed(self, scope: Any) -> Scope:
        return Scope.PUBLIC if scope["path"].endswith("healthz") else super()._needed(scope)


class NowhereIsOpenDoor(Door):
    def _needed(self, scope: Any) -> Scope:
        needed = super()._needed(scope)
        return Scope.PUBLIC if needed is Scope.ANY else needed


class AnyMethodDoor(Door):
    def _needed(self, scope: Any) -> Scope:
        fitting = (r for r in self._routes if r.matches(scope)[0] is not Match.NONE)
        return next(map(scope_of, fitting), Scope.ANY)


class WideOpenDoor(Door):
    async def _admit(self, scope: Any, headers: Any) -> Caller | None:
        return None


@pytest.mark.parametrize(
    "fault", [PrefixDoor, SuffixDoor, NowhereIsOpenDoor, AnyMethodDoor, WideOpenDoor]
)
def test_a_door_that_is_careless_about_paths_is_seen(build: Build, fault: type[Door]) -> None:
    """Prefix, suffix, what is not there, the other method of a path, everything."""
    assert _complaints(_swap(build(), Door, fault), 1)


class AnyHostGuard(Guard):
    def _is_known(self, host_header: str, scope: Any) -> bool:
        return True


class AnyOriginGuard(Guard):
    def _is_same_site(self, headers: Any, host_header: str) -> bool:
        return True


@pytest.mark.parametrize("fault", [AnyHostGuard, AnyOriginGuard])
def test_a_guard_that_looks_away_is_seen(build: Build, fault: type[Guard]) -> None:
    """Neither rebound names nor strange pages go unnoticed."""
    assert _complaints(_swap(build(), Guard, fault), 1)


class RevokedCountsRing(KeyRing):
    def named(self, prefix: str, now_us: int) -> Key | None:
        key = self._keys.get(prefix)
        return super().named(prefix, now_us) if key is None or key.revoked_us is None else key


class ExpiredCountsRing(KeyRing):
    def named(self, prefix: str, now_us: int) -> Key | None:
        key = self._keys.get(prefix)
        return super().named(prefix, now_us) if key is None or key.expires_us is None else key


class PrefixOpensRing(KeyRing):
    def find(self, text: str, now_us: int) -> Key | None:
        return self.named(text[:18], now_us)


@pytest.mark.parametrize("fault", [RevokedCountsRing, ExpiredCountsRing, PrefixOpensRing])
def test_a_ring_that_takes_what_does_not_count_is_seen(build: Build, fault: type[KeyRing]) -> None:
    """Revoked, expired, and the half of a key that is no secret."""
    assert _complaints(build(fault), 1)


class EverybodyIsAdmin(Desk):
    def recognise(self, headers: Any) -> tuple[Caller | None, bool]:
        caller, tried = super().recognise(headers)
        if caller is None:
            return None, tried
        key = msgspec.structs.replace(caller.key, scopes=(Scope.ADMIN,))
        return Caller(key, caller.cookie), tried


class SessionsAreKeys(Desk):
    def recognise(self, headers: Any) -> tuple[Caller | None, bool]:
        caller, tried = super().recognise(headers)
        return (None if caller is None else Caller(caller.key)), tried


@pytest.mark.parametrize("fault", [EverybodyIsAdmin, SessionsAreKeys])
def test_a_desk_that_takes_one_for_another_is_seen(build: Build, fault: type[Desk]) -> None:
    """Scopes that are not looked at, and sessions that need no Origin."""
    house = build()
    _desk(house)["desk"].__class__ = fault
    assert _complaints(house, 1)


class UnsignedSessions(Sessions):
    def _signature(self, key: Key, end_s: int, nonce: str) -> str:
        return "0" * 60 + "0000"


def test_a_session_that_anybody_can_sign_is_seen(build: Build) -> None:
    """A forged cookie is tried on every route."""
    house = build()
    _desk(house)["desk"]._sessions.__class__ = UnsignedSessions
    assert _complaints(house, 1)


def test_a_scope_that_was_loosened_is_seen(build: Build) -> None:
    """Though the description follows: the table does not."""
    house = build()
    path = f"{P}/trigger-retraining"
    route = next(route for route in house.app.routes if route.path == path)
    needs(Scope.READ)(route.endpoint)
    (complaint, *_) = _complaints(house)
    assert complaint == f"('POST', '{path}') says it asks for read, not operate"


def test_a_route_that_nobody_listed_is_seen(build: Build) -> None:
    """However it is protected."""
    house = build()

    @needs(Scope.ADMIN)
    async def get_new() -> Response:
        return Response()

    house.app.add_api_route("/api/new", get_new, methods=["GET"])
    assert _complaints(house) == [
        "('GET', '/api/new') stands in only one of the table and the description"
    ]


def test_a_route_that_says_nothing_is_closed_to_everybody(build: Build) -> None:
    """Also to who may do everything, and where no key is asked for."""
    house = build()

    async def get_new() -> Response:
        return Response()

    house.app.add_api_route("/api/new", get_new, methods=["GET"])
    found = asyncio.run(ask(house.app, "GET", "/api/new", [HOST, *house.bearer("admin")]))
    assert found.status == 403
    assert found.problem["type"].endswith("unclassified-route")


def test_a_route_without_a_scope_is_not_even_put_together(tmp_path: Path) -> None:
    """The service refuses to start."""
    from selfright.server.scope import classified

    with PerformanceMonitor() as monitor:
        app = create_app(monitor)
        route = next(route for route in app.routes if route.path == f"{P}/health")
        mark = route.endpoint.__dict__
        mark.clear()
        with pytest.raises(TypeError, match="no scope is declared"):
            classified(app.routes)

"""Who asks: finds the key behind a request, by the key itself or by a session."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.requests import cookie_parser

from selfright.clock import monotonic_s
from selfright.server.access import refusals
from selfright.server.access.failures import Failures
from selfright.server.access.session import Sessions
from selfright.server.guard import split_host

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.datastructures import Headers
    from starlette.requests import Request
    from starlette.types import Scope as Asgi

    from selfright.clock import Clock
    from selfright.server.access.key import Key
    from selfright.server.access.ring import KeyRing
    from selfright.server.problem import Problem

_log = logging.getLogger("selfright")


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose key a request came with; ``cookie`` is its session, if it came by one."""

    key: Key
    cookie: str | None = None

    def __str__(self) -> str:
        return f"{self.key.prefix} ({self.key.name})"


class Desk:
    """Recognises callers, begins and ends their sessions, counts who fails.

    Used by the event loop's thread alone.

    Parameters
    ----------
    ring
        The keys that count.
    clock
        When keys and sessions end.
    session_s, failed_keys_per_min
        See ``Sessions`` and ``Failures``.
    now_s
        A clock that never steps back.
    """

    def __init__(
        self,
        ring: KeyRing,
        clock: Clock,
        *,
        session_s: float,
        failed_keys_per_min: int,
        now_s: Callable[[], float] = monotonic_s,
    ) -> None:
        self.ring = ring
        self._clock = clock
        self._sessions = Sessions(session_s)
        self._failures = Failures(failed_keys_per_min)
        self._now_s = now_s

    def now_us(self) -> int:
        """Return the present."""
        return self._clock.now_us()

    def recognise(self, headers: Headers) -> tuple[Caller | None, bool]:
        """Return who asks, and whether a key was presented at all, right or wrong.

        A session that has ended presents nothing: the page behind it asks again and again,
        and is no attempt at a key. A key beside a session counts alone.
        """
        given = headers.getlist("authorization")
        if given:
            scheme, _, text = given[0].partition(" ")
            key = None
            if len(given) == 1 and scheme.lower() == "bearer":
                key = self.ring.find(text.strip(), self.now_us())
            return (None if key is None else Caller(key)), True
        cookie = cookie_parser(headers.get("cookie", "")).get(cookie_name(headers))
        if cookie is None:
            return None, False
        key = self._sessions.holder(cookie, self.ring.named, self.now_us())
        return (None if key is None else Caller(key, cookie)), False

    def log_in(self, text: str, address: str) -> tuple[Caller, str]:
        """Return who a key belongs to and the cookie of a new session. Raises ``Problem``."""
        key = self.ring.find(text, self.now_us())
        if key is None:
            raise self.refusal(address)
        return Caller(key), self._sessions.begin(key, self.now_us())

    def log_out(self, caller: Caller | None) -> None:
        """End the session that a request came by, if it did."""
        if caller is not None and caller.cookie is not None:
            self._sessions.end(caller.cookie, self.now_us())

    @property
    def session_s(self) -> int:
        """How long a session lasts, whole seconds."""
        return int(self._sessions.life_s)

    def refusal(self, address: str) -> Problem:
        """Return what somebody is told who presented a wrong key: 401, or 429 after many."""
        too_many = self._failures.note(address, self._now_s())
        if too_many is None:
            return refusals.key_refused()
        if too_many.is_news:
            _log.warning("too many wrong keys come from %s; it is told to wait", address)
        return refusals.too_many_failures(too_many.wait_s)


def cookie_name(headers: Headers) -> str:
    """Return the name of the session's cookie.

    Browsers keep one jar for all ports of a host; with the port in the name, two services on
    a machine do not log each other out.
    """
    _, port = split_host(headers.get("host", ""))
    return "selfright" if port is None else f"selfright-{port}"


def caller_of(request: Request) -> Caller | None:
    """Return who asks, as the door found out; None where no key is asked for."""
    caller = getattr(request.state, "caller", None)
    return caller if isinstance(caller, Caller) else None


def address_of(asgi: Asgi) -> str:
    """Return the address that a request came from; empty if that is not known."""
    client = asgi.get("client")
    return str(client[0]) if client else ""

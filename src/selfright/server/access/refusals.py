"""What somebody is told who is not let in: 401 who are you, 403 not you, and the remedy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from selfright.server.problem import Problem
from selfright.server.scope import INCLUDED, Scope

if TYPE_CHECKING:
    from collections.abc import Iterable

_REALM: Final = 'Bearer realm="selfright"'
_HOW: Final = "send it as `Authorization: Bearer selfright_...`, or log in at /login"


def key_needed(scope: Scope) -> Problem:
    """Nobody said who they are."""
    return Problem(
        401,
        "key-needed",
        f"this asks for a key{_with(scope)}; {_HOW}",
        "Authorization",
        scope=_word(scope),
        headers={"WWW-Authenticate": _REALM},
    )


def key_refused() -> Problem:
    """What was presented is no key that counts: never was, is revoked or has expired."""
    return Problem(
        401,
        "key-refused",
        "this is no key that counts: it is unknown, revoked or has expired; ask an operator "
        "for another (`selfright keys create`)",
        "Authorization",
        headers={"WWW-Authenticate": f'{_REALM}, error="invalid_token"'},
    )


def too_many_failures(wait_s: float) -> Problem:
    """Too many wrong keys came from this address."""
    seconds = max(1, math.ceil(wait_s))
    return Problem(
        429,
        "too-many-failures",
        f"too many wrong keys came from this address; try this one again in {seconds} s. "
        "A right key is served at once",
        "Authorization",
        headers={"Retry-After": str(seconds)},
    )


def scope_needed(scope: Scope, held: Iterable[Scope]) -> Problem:
    """The key is good, and not for this."""
    fitting = [str(wide) for wide, included in INCLUDED.items() if scope in included]
    return Problem(
        403,
        "scope-needed",
        f"this asks for a key with the scope {' or '.join(fitting)}; "
        f"this key has {', '.join(held)}",
        scope=_word(scope),
        headers={
            "WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{scope.value}"'
        },
    )


def origin_needed() -> Problem:
    """A cookie is sent by a browser, and a browser says which page asks."""
    return Problem(
        403,
        "cross-site",
        "with a session a request that changes something needs an Origin header, as browsers "
        "send it; programs send a key",
        "Origin",
    )


def key_in_address() -> Problem:
    """A key stands where logs, histories and referrers keep it."""
    return Problem(
        400,
        "key-in-address",
        "a key does not belong into an address, which ends in logs and histories; "
        f"{_HOW}, and revoke this one if it was right",
        "query",
    )


def local_only() -> Problem:
    """There are no keys, so whoever is not on this machine is a stranger."""
    return Problem(
        403,
        "local-only",
        "without keys only requests of the machine itself are served; make a key there with "
        "`selfright keys create`",
    )


def keys_unreadable() -> Problem:
    """Nobody can be told from anybody."""
    return Problem(
        503,
        "keys-unreadable",
        "the keys cannot be read, so nobody is let in; see the service's log",
    )


def unclassified() -> Problem:
    """Nobody decided who may use this route."""
    return Problem(
        403,
        "unclassified-route",
        "nobody said which scope this route asks for: mark it with selfright.server.scope.needs",
    )


def _with(scope: Scope) -> str:
    return "" if _word(scope) is None else f" with the scope {scope.value}"


def _word(scope: Scope) -> str | None:
    return None if scope in {Scope.ANY, Scope.PUBLIC} else scope.value

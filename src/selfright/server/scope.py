"""Which kind of key a route asks for. Every route must say; one that does not is not served.

A key holds a set of scopes, which are no ladder: an agent that sends its runs need not be
able to read anybody's figures, and a scraper need not be able to send. Two scopes bring
others with them, because they are of no use without: see ``INCLUDED``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.routing import BaseRoute

F = TypeVar("F", bound="Callable[..., object]")

_MARK: Final = "__selfright_scope__"


class Scope(StrEnum):
    """What a route asks for."""

    PUBLIC = "public"  # no key
    ANY = "any"  # any key, whatever it allows
    INGEST = "ingest"  # send runs and outcomes, have agents chosen
    READ = "read"  # figures, alerts, models
    OPERATE = "operate"  # acknowledge, retrain, roll back
    ADMIN = "admin"  # delete agents, manage keys


# What a key can be given. The order is that of the documentation.
GRANTABLE: Final = (Scope.INGEST, Scope.READ, Scope.OPERATE, Scope.ADMIN)
# Who acts on an alert sees it in the answer, so `operate` may read; `admin` may do everything.
INCLUDED: Final[dict[Scope, frozenset[Scope]]] = {
    Scope.INGEST: frozenset({Scope.INGEST}),
    Scope.READ: frozenset({Scope.READ}),
    Scope.OPERATE: frozenset({Scope.OPERATE, Scope.READ}),
    Scope.ADMIN: frozenset(GRANTABLE),
}


def allows(held: Iterable[Scope], wanted: Scope) -> bool:
    """Return whether a key that holds these scopes may use a route that asks for ``wanted``."""
    if wanted in {Scope.PUBLIC, Scope.ANY}:
        return True
    return any(wanted in INCLUDED[scope] for scope in held)


def needs(scope: Scope) -> Callable[[F], F]:
    """Mark an endpoint with the scope it asks for."""

    def mark(endpoint: F) -> F:
        setattr(endpoint, _MARK, scope)
        return endpoint

    return mark


def scope_of(route: object) -> Scope:
    """Return what a route asks for.

    Raises ``TypeError`` if nobody decided, and for a public route with a parameter in its
    path: public paths are matched exactly, so that no name a client chose can become one.
    Both are our mistake.
    """
    endpoint = getattr(route, "endpoint", None)
    path = getattr(route, "path", route)
    scope = getattr(endpoint, _MARK, None)
    if not isinstance(scope, Scope):
        raise TypeError(f"no scope is declared for {path}")
    if scope is Scope.PUBLIC and "{" in str(path):
        raise TypeError(f"{path} has a parameter, so it cannot be public")
    return scope


def classified(routes: Iterable[BaseRoute]) -> dict[tuple[str, str], Scope]:
    """Return the scope of every (method, path). Raises ``TypeError`` as ``scope_of`` does."""
    return {
        (method, str(getattr(route, "path", ""))): scope_of(route)
        for route in routes
        for method in sorted(getattr(route, "methods", None) or ("ANY",))
    }

"""Which kind of key a route asks for. Every route must say; one that does not is not served.

There are no keys yet: only loopback is served, and whoever reaches it may do everything.
The table stands already, so that keys will find each route classified.
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
    """What a key allows."""

    PUBLIC = "public"  # needs no key
    INGEST = "ingest"
    READ = "read"
    OPERATE = "operate"  # acknowledge, retrain, roll back
    ADMIN = "admin"


def needs(scope: Scope) -> Callable[[F], F]:
    """Mark an endpoint with the scope it asks for."""

    def mark(endpoint: F) -> F:
        setattr(endpoint, _MARK, scope)
        return endpoint

    return mark


def scope_of(route: object) -> Scope:
    """Return what a route asks for. Raises ``TypeError`` if nobody decided: our mistake."""
    endpoint = getattr(route, "endpoint", None)
    scope = getattr(endpoint, _MARK, None)
    if not isinstance(scope, Scope):
        raise TypeError(f"no scope is declared for {getattr(route, 'path', route)}")
    return scope


def classified(routes: Iterable[BaseRoute]) -> dict[tuple[str, str], Scope]:
    """Return the scope of every (method, path). Raises ``TypeError`` for one without."""
    return {
        (method, str(getattr(route, "path", ""))): scope_of(route)
        for route in routes
        for method in sorted(getattr(route, "methods", None) or ("ANY",))
    }

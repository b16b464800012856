"""Answers: JSON by msgspec, and lists in pages of ``{items, next_cursor}``."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

from selfright.errors import InvalidEventError
from selfright.server.problem import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

JSON: Final = "application/json"


def answer(
    value: Any,  # noqa: ANN401 - any value JSON has a form for
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return ``value`` as JSON. NaN and infinity become null."""
    return Response(encode(value), status_code=status, media_type=JSON, headers=headers)


def page(items: Sequence[Any], next_cursor: str | None) -> dict[str, Any]:
    """Return a page; ``next_cursor`` is null behind the last item."""
    return {"items": items, "next_cursor": next_cursor}


def before(
    items: Sequence[Any], cursor: str | None, limit: int, key: Callable[[Any], str]
) -> tuple[Sequence[Any], str | None]:
    """Return the last ``limit`` items that stand before ``cursor``, and the next cursor.

    For lists that end with the newest: each further page reaches further back. A cursor
    whose item has gone in the meantime raises ``InvalidEventError``.
    """
    end = len(items)
    if cursor is not None:
        wanted = open_cursor(cursor)
        end = next((i for i, item in enumerate(items) if key(item) == wanted), -1)
        if end < 0:
            raise InvalidEventError("cursor", cursor, "is not known any more; start again")
    start = max(0, end - limit)
    shown = items[start:end]
    return shown, close_cursor(key(items[start])) if start > 0 else None


def close_cursor(place: str) -> str:
    """Return a place in a list as an opaque word that fits into a URL."""
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def open_cursor(cursor: str) -> str:
    """Return the place that ``close_cursor`` closed. Raises ``InvalidEventError``."""
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (UnicodeError, binascii.Error):
        raise InvalidEventError(
            "cursor", cursor, "must be the next_cursor of an earlier page"
        ) from None


def offset_of(cursor: str) -> int:
    """Return a place that is a number. Raises ``InvalidEventError``."""
    place = open_cursor(cursor)
    if not (place.isascii() and place.isdigit() and len(place) <= 18):
        raise InvalidEventError("cursor", cursor, "must be the next_cursor of an earlier page")
    return int(place)

"""What the service answers when it refuses: ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

MEDIA_TYPE: Final = "application/problem+json"


class ProblemDocument(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A refusal: what is wrong, with which field, and what to do about it.

    ``field`` names the offending field or parameter where there is one; ``retrain_id``
    the retraining that stands in the way; ``scope`` what a key would have to allow.
    """

    type: str
    title: str
    status: int
    detail: str
    field: str | None = None
    retrain_id: str | None = None
    scope: str | None = None


class Problem(Exception):  # noqa: N818 - named after what RFC 9457 calls it
    """Raised where a request cannot be served; ``error_map`` makes the answer of it.

    Attributes
    ----------
    status
        The HTTP status.
    kind
        Last part of ``type``: what clients may switch on. It never changes.
    detail
        What happened this time and how to put it right.
    field
        The offending field or parameter.
    retrain_id
        The retraining that stands in the way.
    scope
        What a key would have to allow.
    headers
        Further headers of the answer.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        field: str | None = None,
        *,
        retrain_id: str | None = None,
        scope: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status
        self.kind = kind
        self.detail = detail
        self.field = field
        self.retrain_id = retrain_id
        self.scope = scope
        self.headers = dict(headers or {})
        super().__init__(f"{status} {kind}: {detail}")

    def document(self) -> ProblemDocument:
        """Return the body of the answer."""
        return ProblemDocument(
            type=f"urn:selfright:problem:{self.kind}",
            title=self.kind.replace("-", " ").capitalize(),
            status=self.status,
            detail=self.detail,
            field=self.field,
            retrain_id=self.retrain_id,
            scope=self.scope,
        )

    def response(self) -> Response:
        """Return the whole answer."""
        return Response(
            encode(self.document()),
            status_code=self.status,
            media_type=MEDIA_TYPE,
            headers=self.headers,
        )


def of_status(status: int, detail: str | None = None) -> Problem:
    """Return the problem that a bare HTTP status stands for."""
    phrase = HTTPStatus(status).phrase
    return Problem(status, phrase.lower().replace(" ", "-"), detail or phrase)


_encoder: Final = msgspec.json.Encoder()


def encode(value: Any) -> bytes:  # noqa: ANN401 - any value JSON has a form for
    """Return JSON; NaN and infinity become null."""
    return _encoder.encode(value)

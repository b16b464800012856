"""Bodies of requests: read with a limit, inflated with a limit, decoded strictly.

pydantic takes NaN and Infinity, so it never sees a body: everything goes through msgspec.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
import zlib
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from selfright.errors import InvalidEventError
from selfright.server.guard import JSON, MSGPACK, NDJSON
from selfright.server.problem import Problem

if TYPE_CHECKING:
    from starlette.requests import Request

T = TypeVar("T")

# A client that sends slower than this occupies a connection, and nothing else.
READ_TIMEOUT_S: Final = 30.0
# JSON of real runs shrinks 10 to 60 times. Up to a small size anything may.
MAX_RATIO: Final = 200
_RATIO_FREE_BYTES: Final = 256 * 1024
_CHUNK_BYTES: Final = 256 * 1024
SMALL_BODY_BYTES: Final = 1024 * 1024


async def read(request: Request, limit: int) -> bytes:
    """Return the raw body. Raises ``Problem`` 413 above ``limit`` bytes, 408 if it stalls."""
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
    except TimeoutError:
        raise Problem(
            408, "request-timeout", f"the body did not arrive within {READ_TIMEOUT_S:g} s"
        ) from None
    return b"".join(parts)


def inflate(body: bytes, encoding: str | None, limit: int) -> bytes:
    """Return the body without its content encoding, never holding more than ``limit`` bytes.

    Raises ``Problem``: 415 for an encoding that is neither gzip nor none, 413 above the
    limit or where a body swells suspiciously, 422 if it is no whole gzip stream.
    """
    word = (encoding or "identity").strip().lower()
    if word == "identity":
        return body
    if word not in {"gzip", "x-gzip"}:
        raise Problem(
            415,
            "unsupported-encoding",
            "send the body as it is or with Content-Encoding: gzip",
            "Content-Encoding",
            headers={"Accept-Encoding": "gzip, identity"},
        )
    parts: list[bytes] = []
    size, rest = 0, body
    while rest:  # a gzip file may hold several streams
        stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        while not stream.eof:
            try:
                part = stream.decompress(rest, _CHUNK_BYTES)
            except zlib.error:
                raise _no_gzip() from None
            rest = stream.unconsumed_tail
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            if size > max(_RATIO_FREE_BYTES, len(body) * MAX_RATIO):
                raise Problem(
                    413, "suspicious-compression", f"inflates more than {MAX_RATIO} times", "body"
                )
            parts.append(part)
            if not part and not rest and not stream.eof:
                raise _no_gzip()
        rest = stream.unused_data
    return b"".join(parts)


def form_of(content_type: str | None) -> str:
    """Return ``json``, ``ndjson`` or ``msgpack``. Raises ``Problem`` 415."""
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type == JSON:
        return "json"
    if media_type in NDJSON:
        return "ndjson"
    if media_type in MSGPACK:
        return "msgpack"
    raise Problem(
        415,
        "unsupported-media-type",
        f"send {JSON}, application/x-ndjson or application/msgpack",
        "Content-Type",
    )


async def read_object(request: Request, shape: type[T], *, optional: bool = False) -> T:
    """Return a small JSON body as a checked record.

    An absent body is an empty object where ``optional``. Raises ``InvalidEventError``
    naming the field, ``Problem`` as ``read`` does, and 415 if the body is no JSON.
    """
    raw = await read(request, SMALL_BODY_BYTES)
    if not raw and optional:
        return msgspec.convert({}, shape)
    if form_of(request.headers.get("content-type")) != "json":
        raise Problem(415, "unsupported-media-type", f"send {JSON}", "Content-Type")
    return decode(inflate(raw, request.headers.get("content-encoding"), SMALL_BODY_BYTES), shape)


def decode(raw: bytes, shape: type[T]) -> T:
    """Return JSON as a checked record. Raises ``InvalidEventError`` naming the field."""
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError as error:
        raise InvalidEventError(*_explained(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        place = _not_finite(raw)
        if place is not None:
            raise InvalidEventError(place, "...", "must be a finite number") from None
        raise InvalidEventError("body", "...", f"malformed JSON: {error}") from None


def _not_finite(raw: bytes) -> str | None:
    """Return where a NaN or an Infinity stands, if that is all that is wrong with the JSON.

    It is no JSON, yet the commonest client writes it, and shall be told which field.
    """
    try:
        parsed = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    waiting = [("", parsed)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, float) and not math.isfinite(value):
            return place or "body"
        if isinstance(value, dict):
            waiting += [(f"{place}.{name}".lstrip("."), item) for name, item in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{place}[{index}]", item) for index, item in enumerate(value)]
    return None


_AT: Final = re.compile(r"^(?P<reason>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_NAMED: Final = re.compile(r"(?:unknown|missing required) field `(?P<field>[^`]*)`")


def _explained(message: str) -> tuple[str, str, str]:
    """Turn msgspec's message into (field, value, reason)."""
    match = _AT.match(message)
    assert match is not None  # it matches everything
    reason, path = match["reason"], match["path"]
    named = _NAMED.search(reason)
    return path or (named["field"] if named else "body"), "...", f"{reason[:1].lower()}{reason[1:]}"


def _too_large(limit: int) -> Problem:
    return Problem(
        413, "body-too-large", f"the body may have {limit} bytes; send smaller batches", "body"
    )


def _no_gzip() -> Problem:
    return Problem(422, "invalid-event", "is no whole gzip stream", "body")

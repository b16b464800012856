"""Bytes from the wire to checked rows: a bad record is refused by its index, alone."""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from selfright.errors import InvalidEventError
from selfright.events.record import AgentRun, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from selfright.events.door import Door
    from selfright.events.raw import RawOutcome, RawRun

NO_EVIDENCE: Final = "give accuracy_score, or predicted_outcome and actual_outcome"
MAX_EVENT_BYTES: Final = 1024 * 1024
# What outlines the structure of JSON, a flat object at once (possessive, so that no body
# makes it try twice), and how many of those are looked at to rescue a broken body: they
# take 0.1 s, while a hostile body of 8 MiB could hold eight million.
_TEXT: Final = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_FLAT: Final = rb'\{[^{}\[\]"]*+(?:' + _TEXT + rb'[^{}\[\]"]*+)*+\}'
_STRUCTURE: Final = re.compile(_FLAT + rb"|" + _TEXT + rb"|[\[\]{},]", re.DOTALL)
_MAX_TOKENS: Final = 250_000


class Rejection(msgspec.Struct, frozen=True):
    """One record of a batch that did not pass, and why."""

    index: int
    field: str
    reason: str


def decode_runs(
    door: Door,
    body: bytes,
    now_us: int,
    *,
    form: str = "json",
    max_event_bytes: int = MAX_EVENT_BYTES,
) -> tuple[list[RawRun], list[Rejection]]:
    """Return the runs of a body and the refused records.

    ``form`` is ``json`` (one object or an array), ``ndjson`` or ``msgpack``. A body that
    is no such thing at all raises ``InvalidEventError`` with field ``body``; a record of
    more than ``max_event_bytes`` is refused alone.
    """

    def check(run: AgentRun) -> RawRun:
        return door.run(*_fields(run, now_us))

    return _decode(body, form, AgentRun, check, max_event_bytes)


def decode_outcomes(
    door: Door,
    body: bytes,
    now_us: int,
    *,
    form: str = "json",
    max_event_bytes: int = MAX_EVENT_BYTES,
) -> tuple[list[RawOutcome], list[Rejection]]:
    """Return the outcomes of a body and the refused records; see ``decode_runs``."""

    def check(outcome: Outcome) -> RawOutcome:
        require_evidence(outcome.accuracy_score, outcome.predicted_outcome, outcome.actual_outcome)
        return door.outcome(*_fields(outcome, now_us))

    return _decode(body, form, Outcome, check, max_event_bytes)


def require_evidence(score: float | None, predicted: object, actual: object) -> None:
    """Refuse an outcome that says nothing: neither a score nor anything to score."""
    if score is None and predicted is None and actual is None:
        raise InvalidEventError("accuracy_score", None, NO_EVIDENCE)


def _decode(
    body: bytes,
    form: str,
    record: type[Any],
    check: Callable[[Any], tuple[Any, ...]],
    most_bytes: int,
) -> tuple[list[tuple[Any, ...]], list[Rejection]]:
    rows: list[tuple[Any, ...]] = []
    rejected: list[Rejection] = []
    decode = _DECODERS[record, form == "msgpack"]
    may_exceed = len(body) > most_bytes
    for index, item in enumerate(_items(body, form)):
        try:
            if may_exceed:
                _check_size(item, most_bytes)
            if isinstance(item, (bytes, msgspec.Raw)):
                rows.append(check(_record(item, form, record, decode)))
            else:
                rows.append(check(msgspec.convert(item, record)))
        except InvalidEventError as error:
            rejected.append(Rejection(index, error.field, error.reason))
        except msgspec.ValidationError as error:
            rejected.append(Rejection(index, *_explained(str(error))))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            rejected.append(Rejection(index, "body", f"malformed: {error}"))
    return rows, rejected


def _record(
    item: bytes | msgspec.Raw, form: str, record: type[Any], decode: Callable[[Any], Any]
) -> Any:  # noqa: ANN401 - a ``record``
    try:
        return decode(item)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        if form == "msgpack":
            raise
        try:
            parsed = json.loads(bytes(item))
        except (ValueError, RecursionError):
            parsed = None
        if parsed is None:
            raise
        return msgspec.convert(parsed, record)


def _items(body: bytes, form: str) -> Iterable[Any]:
    """Split a body into its records without decoding them."""
    codec: Any = msgspec.msgpack if form == "msgpack" else msgspec.json
    try:
        if form == "ndjson":
            return [line for line in body.split(b"\n") if line.strip()]
        if _is_array(body, form):
            return cast("list[Any]", codec.decode(body, type=list[msgspec.Raw]))
        return [codec.decode(body, type=msgspec.Raw)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        rescued = (_lenient(body) or _split(body)) if form == "json" else None
        if not rescued:
            raise InvalidEventError("body", body[:40], f"malformed {form}: {error}") from None
        return rescued


def _is_array(body: bytes, form: str) -> bool:
    if form == "json":
        return body.lstrip()[:1] == b"["
    # A msgpack array starts with 0x90..0x9f, 0xdc or 0xdd.
    return bool(body) and (0x90 <= body[0] <= 0x9F or body[0] in {0xDC, 0xDD})


def _lenient(body: bytes) -> list[Any] | None:
    """Read what Python's json wrote with NaN or Infinity in it.

    That is no JSON, yet the commonest client writes it: the records that hold such a
    value shall be refused one by one, and their neighbours pass.
    """
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, list) else [parsed]


def _split(body: bytes) -> list[bytes] | None:
    """Cut an array at its outer commas, so that a malformed element spoils no other.

    None if the body is no array of balanced brackets and closed strings.
    """
    if not _is_array(body, "json"):
        return None
    pieces: list[bytes] = []
    depth = start = 0
    for token in islice(_STRUCTURE.finditer(body), _MAX_TOKENS):
        mark = token[0] if len(token[0]) == 1 else b""
        if depth == 1 and mark in {b",", b"]"}:
            pieces.append(body[start : token.start()])
        if (depth == 1 and mark in {b",", b"]"}) or depth == 0:
            start = token.end()
        depth += (mark in {b"[", b"{"}) - (mark in {b"]", b"}"})
        if depth == 0:
            break
    return pieces if depth == 0 and not body[start:].strip() else None


def _check_size(item: Any, most_bytes: int) -> None:  # noqa: ANN401 - a record in any form
    if isinstance(item, (bytes, msgspec.Raw)):
        size = len(memoryview(item))
    else:  # parsed already, for the sake of a NaN: its shortest form tells
        text = json.dumps(item, ensure_ascii=False, separators=(",", ":"))
        size = len(text.encode(errors="surrogatepass"))
    if size > most_bytes:
        raise InvalidEventError("body", "...", f"is larger than {most_bytes} bytes")


def _decoder(record: type[Any], *, packed: bool) -> Callable[[Any], Any]:
    codec = msgspec.msgpack.Decoder if packed else msgspec.json.Decoder
    return codec(record).decode


_DECODERS: Final = {
    (record, packed): _decoder(record, packed=packed)
    for record in (AgentRun, Outcome)
    for packed in (False, True)
}


def _fields(record: msgspec.Struct, now_us: int) -> tuple[Any, ...]:
    # Field order of the records is the parameter order of the door.
    return (*msgspec.structs.astuple(record), now_us)


_AT: Final = re.compile(r"^(?P<reason>.*?)(?: - at `\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_NAMED: Final = re.compile(r"(?:unknown|missing required) field `(?P<field>[^`]*)`")


def _explained(message: str) -> tuple[str, str]:
    """Turn msgspec's message into (field, reason)."""
    match = _AT.match(message)
    reason, path = (match["reason"], match["path"]) if match else (message, None)
    named = _NAMED.search(reason)
    field = path or (named["field"] if named else "body")
    return field, f"{reason[:1].lower()}{reason[1:]}"

"""The checks of single fields: each answers with the value to keep or raises.

Strict and finite: no NaN, no infinity, no negative quantity, no control character in a
name, nothing nested deeper than 64. What is kept is plain Python, so that every store
and codec behind the door takes it. All raise ``InvalidEventError`` with field, value and
what would be accepted, and cost well under a microsecond for what callers usually give.
"""
# ruff: noqa: ANN401 - a value from outside can be anything; finding out is what is done here

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any, Final

import msgspec
import numpy as np

from selfright.errors import InvalidEventError
from selfright.events.record import MAX_NAME, MAX_TEXT
from selfright.events.status import ACCEPTED, ALIASES, UNKNOWN, RunStatus

MAX_ATTRIBUTE_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 64
MAX_COUNT: Final = 10**9
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode
_pack: Final = msgspec.msgpack.Encoder().encode
_WHOLES: Final[tuple[type[Any], ...]] = (int, np.integer)
_NUMBERS: Final[tuple[type[Any], ...]] = (*_WHOLES, float, np.floating)
STATUS: Final = f"must be one of {ACCEPTED}"
TEXT: Final = f"must be text of at most {MAX_TEXT} characters"
NAME: Final = f"must be text of 1..{MAX_NAME} printable characters"


def number(field: str, value: Any, most: float) -> float:
    """Return a quantity of 0..``most``. bool and text are no numbers; numpy scalars are."""
    cls = value.__class__
    quantity: float | None = (
        value if cls is float or cls is int else _python_number(value, _NUMBERS)
    )
    if quantity is not None and 0 <= quantity <= most:  # False for NaN
        return quantity
    raise InvalidEventError(field, value, number_reason(most))


def whole(field: str, value: Any, most: int) -> int:
    """Return a count of 0..``most``. A float is none, even if it has no fraction."""
    count: int | None = value if value.__class__ is int else _python_number(value, _WHOLES)
    if count is not None and 0 <= count <= most:
        return count
    raise InvalidEventError(field, value, whole_reason(most))


def _python_number(value: Any, welcome: tuple[type[Any], ...]) -> Any:
    # Before it is compared: numpy would compare within its own narrower type.
    if isinstance(value, bool) or not isinstance(value, welcome):
        return None
    return int(value) if isinstance(value, _WHOLES) else float(value)


def number_reason(most: float) -> str:
    """Return what ``number`` accepts, in words."""
    return f"must be a finite number between 0 and {most:g}"


def whole_reason(most: int) -> str:
    """Return what ``whole`` accepts, in words."""
    return f"must be a whole number between 0 and {most:g}"


def name(field: str, value: Any) -> str:
    """Return a name. An enum member or numpy text that is a name becomes plain text."""
    if isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable():
        return str.__str__(value)
    raise InvalidEventError(field, value, NAME)


def text(field: str, value: Any) -> str:
    """Return text of at most ``MAX_TEXT`` characters, each unprintable one as a space."""
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise InvalidEventError(field, value, TEXT)
    if value.isprintable():
        return str.__str__(value)
    # Lone surrogates cannot be stored; line breaks and escapes would forge log lines.
    return "".join(char if char.isprintable() else " " for char in value)


def status_code(status: Any) -> int:
    """Return the code of a status word, an alias of one, or an enum member for one."""
    if isinstance(status, RunStatus):
        return int(status)
    word = getattr(status, "value", status)
    code = ALIASES.get(word.strip().lower(), UNKNOWN) if isinstance(word, str) else UNKNOWN
    if code < 0:
        raise InvalidEventError("status", status, STATUS)
    return code


def attributes(field: str, value: Any) -> dict[str, Any]:
    """Return a copy of a mapping, made of plain JSON values; see ``plain``."""
    if not isinstance(value, dict):
        raise InvalidEventError(field, value, "must be a mapping")
    copied: dict[str, Any] = plain(field, value)
    return copied


def plain(field: str, value: Any) -> Any:
    """Return a copy made of plain JSON values: what the caller changes later is not ours.

    numpy values become Python's; whatever else JSON has no word for but msgspec has a
    text (a datetime, a UUID, an enum member, a dataclass) becomes that. bytes do not.
    """
    copied, packed = None, b""
    try:
        encoded = _encode(value)
        copied = _decode(encoded)
        # What comes back equal held no NaN, no key but text and nothing but plain values,
        # and so few brackets cannot nest too deep. It is all done in C, 4 times faster
        # than the walk that otherwise finds out what is wrong.
        packed = _pack(copied)  # refuses integers beyond 64 bits, which stores cannot hold
        settled = copied == value and encoded.count(b"[") + encoded.count(b"{") <= MAX_DEPTH
    except (TypeError, ValueError, OverflowError, RecursionError):
        settled = False
    if not settled:
        copied = _copied(field, value, 0)
        try:
            packed = _pack(copied)
        except UnicodeEncodeError:
            raise InvalidEventError(field, value, "holds a lone surrogate") from None
    if len(packed) > MAX_ATTRIBUTE_BYTES:
        raise InvalidEventError(field, "...", f"is larger than {MAX_ATTRIBUTE_BYTES} bytes")
    return copied


def _copied(field: str, value: Any, depth: int) -> Any:
    cls = value.__class__
    if value is None or cls is str or cls is bool:
        return value
    if cls is int:
        if -(2**63) <= value < 2**64:
            return value
        raise InvalidEventError(field, value, "must fit into 64 bits")
    if cls is float:
        if math.isfinite(value):
            return value
        raise InvalidEventError(field, value, "must be finite")
    if depth > MAX_DEPTH:
        raise InvalidEventError(field, "...", f"is nested deeper than {MAX_DEPTH}")
    if cls is dict:
        return {_key(field, key): _copied(field, item, depth + 1) for key, item in value.items()}
    if cls is list:
        return [_copied(field, item, depth + 1) for item in value]
    return _copied(field, _plainer(field, value), depth)


def _key(field: str, key: Any) -> str:
    if isinstance(key, str):
        return str.__str__(key)
    raise InvalidEventError(field, key, "keys must be text")


def _plainer(field: str, value: Any) -> Any:
    """Return the next plainer thing that ``value`` stands for; ``_copied`` goes on from it."""
    plainer: Any = value
    if isinstance(value, (bytes, bytearray, memoryview)):
        pass  # msgspec would make base64 of it; nobody asked for that
    elif isinstance(value, str):
        plainer = str.__str__(value)
    elif isinstance(value, (float, np.floating)):
        plainer = float(value)
    elif isinstance(value, int):
        plainer = int(value)
    elif isinstance(value, (np.generic, np.ndarray)):
        plainer = value.tolist()
    elif isinstance(value, dict):
        plainer = dict(value)
    elif isinstance(value, (list, tuple)):
        plainer = list(value)
    else:
        with suppress(TypeError, ValueError, OverflowError, RecursionError):
            plainer = msgspec.to_builtins(value)
    if plainer.__class__ is value.__class__:
        raise InvalidEventError(field, value, "must be made of plain JSON values")
    return plainer

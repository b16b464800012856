"""The checks of single fields: each passes in silence or raises ``InvalidEventError``.

Strict and finite: no NaN, no infinity, no negative quantity, no control character in a
name, nothing nested deeper than 64.
"""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec
import numpy as np

from selfright.errors import InvalidEventError
from selfright.events.record import MAX_NAME, MAX_TEXT
from selfright.events.status import ACCEPTED, ALIASES, UNKNOWN

MAX_ATTRIBUTE_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 64
MAX_COUNT: Final = 10**9
_NUMBER: Final = "must be a finite number between 0 and {:g}"
_NAME: Final = f"must be 1..{MAX_NAME} printable characters"


def number(field: str, value: Any, most: float) -> None:
    cls = value.__class__
    if (cls is float or cls is int) and 0 <= value <= most:  # False for NaN
        return
    # numpy scalars are welcome; bool and text are not numbers.
    if cls is not bool and isinstance(value, (int, float, np.integer, np.floating)) and 0 <= value <= most:
        return
    raise InvalidEventError(field, value, _NUMBER.format(most))


def whole(field: str, value: Any, most: int) -> None:
    cls = value.__class__
    if cls is int and 0 <= value <= most:
        return
    if isinstance(value, np.integer) and 0 <= value <= most:
        return
    raise InvalidEventError(field, value, f"must be a whole number between 0 and {most:g}")


def name(field: str, value: Any) -> None:
    if value.__class__ is not str or not 0 < len(value) <= MAX_NAME or not value.isprintable():
        refuse_name(field, value)


def refuse_name(field: str, value: Any) -> None:
    # A subclass of str (an enum member, numpy text) is a name too.
    if isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable():
        return
    raise InvalidEventError(field, value, _NAME)


def text(field: str, value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise InvalidEventError(field, value, f"must be text of at most {MAX_TEXT} characters")
    # Lone surrogates cannot be stored; line breaks and escapes would forge log lines.
    return "".join(char if char.isprintable() else " " for char in value)


def status_code(status: Any) -> int:
    text = getattr(status, "value", status)
    code = ALIASES.get(text.strip().lower(), UNKNOWN) if isinstance(text, str) else UNKNOWN
    if code < 0:
        raise InvalidEventError("status", status, f"must be one of {ACCEPTED}")
    return code


def attributes(field: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidEventError(field, value, "must be a mapping")
    copied: dict[str, Any] = plain(field, value)
    return copied


def plain(field: str, value: Any) -> Any:
    """Return a copy made of plain JSON values: what the caller changes later is not ours."""
    if value is None or value.__class__ in {str, int, bool}:
        return _scalar(field, value)
    try:
        _check_finite(field, value, 0)
        encoded = msgspec.msgpack.encode(value)
    except (TypeError, OverflowError, RecursionError, UnicodeEncodeError) as error:
        raise InvalidEventError(field, value, f"must be made of plain JSON values: {error}") from None
    if len(encoded) > MAX_ATTRIBUTE_BYTES:
        raise InvalidEventError(field, value, f"is larger than {MAX_ATTRIBUTE_BYTES} bytes")
    return msgspec.msgpack.decode(encoded)


def _scalar(field: str, value: Any) -> Any:
    if value.__class__ is int and not -(2**63) <= value < 2**64:
        raise InvalidEventError(field, value, "must fit into 64 bits")
    if value.__class__ is str:
        if len(value) > MAX_ATTRIBUTE_BYTES:
            raise InvalidEventError(field, value, f"is longer than {MAX_ATTRIBUTE_BYTES} characters")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidEventError(field, value, "holds a lone surrogate") from None
    return value


def _check_finite(field: str, value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise InvalidEventError(field, "...", f"is nested deeper than {MAX_DEPTH}")
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidEventError(field, value, "must be finite")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidEventError(field, key, "keys must be text")
            _check_finite(field, item, depth + 1)
    elif isinstance(value, (list, tuple, set)):
        for item in value:
            _check_finite(field, item, depth + 1)

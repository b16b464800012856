"""Lines of JSON that carry their own checksum, so that a flipped bit cannot pass for data.

A line is a JSON object on one line whose last member, ``sha256``, is the hash of every
byte before it. Reading compares bytes, not parsed values: whatever was changed, even
white space or the order of members, is noticed. Any JSON tool reads the lines.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

_BEFORE_SEAL: Final = b',"sha256":"'
_AFTER_SEAL: Final = b'"}'
_SEAL_BYTES: Final = len(_BEFORE_SEAL) + 64 + len(_AFTER_SEAL)


def seal(values: dict[str, Any]) -> bytes:
    """Return ``values`` as a sealed line without its end of line.

    Raises ``ValueError`` for NaN or infinity and ``TypeError`` for what JSON cannot hold.
    """
    text = json.dumps(values, separators=(",", ":"), sort_keys=True, allow_nan=False)
    body = text.encode("ascii")[:-1]
    return body + _seal_of(body)


def unseal(line: bytes) -> dict[str, Any]:
    """Return what ``seal`` was given. Raises ``ValueError`` unless every byte is as written."""
    body, found = line[:-_SEAL_BYTES], line[-_SEAL_BYTES:]
    if found != _seal_of(body):
        raise ValueError("its checksum is wrong")
    values: dict[str, Any] = json.loads(body + b"}")
    return values


def _seal_of(body: bytes) -> bytes:
    return _BEFORE_SEAL + hashlib.sha256(body).hexdigest().encode("ascii") + _AFTER_SEAL

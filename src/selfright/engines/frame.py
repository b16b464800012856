"""Messages over a pipe: their length, then their bytes."""

from __future__ import annotations

from contextlib import suppress
from typing import IO, Final

DONE: Final = b"+"  # an answer begins with it, or with FAILED
FAILED: Final = b"-"
_LENGTH_BYTES: Final = 8


def send(pipe: IO[bytes], message: bytes) -> None:
    """Write a message. Raises ``OSError`` if nobody reads any more."""
    pipe.write(len(message).to_bytes(_LENGTH_BYTES, "big"))
    pipe.write(message)
    pipe.flush()


def receive(pipe: IO[bytes]) -> bytes | None:
    """Return the next message; None if nobody writes any more."""
    head = pipe.read(_LENGTH_BYTES)
    if len(head) < _LENGTH_BYTES:
        return None
    length = int.from_bytes(head, "big")
    message = pipe.read(length)
    return message if len(message) == length else None


def close(pipe: IO[bytes]) -> None:
    """Close a pipe whose other end may be gone."""
    with suppress(OSError):
        pipe.close()

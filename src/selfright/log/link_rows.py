"""What the log knows of the past, as rows of the table ``links``, each with its checksum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zlib import crc32

import msgspec

from selfright.log.identity import DIGEST_BYTES
from selfright.log.link import Card, Entry
from selfright.log.stored import decode_outcome, encode_row

if TYPE_CHECKING:
    from collections.abc import Sequence

# What the first byte of ``item`` says.
PLACE: Final = b""  # where a run or an act stands
CARD: Final = b"C"
TASK_RUN: Final = b"R"
ENTRY: Final = b"E"
LOST: Final = b"L"
WIDE: Final = b"W"  # the rest is elsewhere; see ``wide_link``
PINNED: Final = b"P"

_CRC_BYTES: Final = 4

_encode = msgspec.msgpack.Encoder().encode
_decode_entry = msgspec.msgpack.Decoder(tuple[int, int, bool, bool, bytes | None]).decode
_decode_card = msgspec.msgpack.Decoder(tuple[str, bytes, int, bool, list[bytes]]).decode


def sealed(key: str, item: bytes, value: bytes) -> bytes:
    """Return ``value`` with a checksum over it and what it is stored under."""
    checksum = crc32(value, crc32(item, crc32(key.encode())))
    return value + checksum.to_bytes(_CRC_BYTES, "big")


def unsealed(key: object, item: object, stored: object) -> bytes:
    """Return what ``sealed`` was given; raise ``ValueError`` if it was something else."""
    # In a damaged file a column may be of another type than was declared.
    if isinstance(key, str) and isinstance(item, bytes) and isinstance(stored, bytes):
        value = stored[:-_CRC_BYTES]
        if sealed(key, item, value) == stored:
            return value
    raise ValueError("a checksum does not fit")


def encode_number(value: int) -> bytes:
    """Return an offset or a timestamp as bytes."""
    return value.to_bytes(8, "big", signed=True)


def decode_number(data: bytes) -> int:
    """Return what ``encode_number`` was given."""
    return int.from_bytes(data, "big", signed=True)


def encode_entry(entry: Entry, *, is_own: bool) -> bytes:
    """Return an outcome as bytes, without its row if that is the event at its offset."""
    row = None if is_own else encode_row(entry.as_shown())
    return _encode((entry.ts_us, entry.at, entry.shown, entry.has_id, row))


def decode_entry(data: bytes, digest: bytes) -> Entry:
    """Return the outcome of that digest, perhaps without its row."""
    ts_us, at, shown, has_id, row = _decode_entry(data)
    entry = Entry(ts_us, None, at, shown, has_id=has_id, digest=digest)
    if row is not None:
        entry.set_shown(decode_outcome(row))
    return entry


def encode_card(card: Card) -> bytes:
    """Return a card as bytes."""
    return _encode((card.home, card.held, card.ts_us, card.given, card.lost))


def decode_card(key: str, data: bytes) -> Card:
    """Return the card stored under ``key``."""
    return Card(key, *_decode_card(data))


def encode_digests(digests: Sequence[bytes]) -> bytes:
    """Return digests as bytes."""
    return b"".join(digests)


def decode_digests(data: bytes) -> list[bytes]:
    """Return what ``encode_digests`` was given."""
    return [data[at : at + DIGEST_BYTES] for at in range(0, len(data), DIGEST_BYTES)]

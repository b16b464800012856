"""Where keys are kept: the port, what it promises, and one that keeps them in memory."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

import msgspec

from selfright.errors import ConfigError, UnknownNameError, did_you_mean
from selfright.server.access.key import Key, prefix_of

if TYPE_CHECKING:
    from collections.abc import Iterable


class KeyBook(Protocol):
    """All keys there ever were, oldest first. Nothing of the log: any store can be one.

    Several processes may use the same keys at once, and each call may block for as long as
    a disk or a database takes. A key that was revoked stays, so that a list says what
    became of it and nobody takes the book for one that never had a key. Each method raises
    ``StorageError`` if the store refuses, ``CorruptLogError`` if what it holds is damaged.
    """

    def read(self) -> tuple[Key, ...]:
        """Return every key as it stands now, whoever wrote it."""
        ...

    def add(self, key: Key) -> None:
        """Keep a new key; durable on return.

        Raises ``ConfigError`` if another one has its prefix, by which it would be revoked.
        """
        ...

    def revoke(self, prefix: str, now_us: int) -> Key:
        """Let a key count no more; durable on return. One that is revoked stays as it is.

        Raises ``UnknownNameError`` if there is none.
        """
        ...


class MemoryKeyBook:
    """Keys that are gone with the process: for tests, and programs that hand out their own."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._keys = tuple(keys)
        self._lock = threading.Lock()

    def read(self) -> tuple[Key, ...]:
        """See ``KeyBook``."""
        return self._keys

    def add(self, key: Key) -> None:
        """See ``KeyBook``."""
        with self._lock:
            self._keys = added(self._keys, key)

    def revoke(self, prefix: str, now_us: int) -> Key:
        """See ``KeyBook``."""
        with self._lock:
            self._keys, key = revoked(self._keys, prefix, now_us)
            return key


def added(keys: tuple[Key, ...], key: Key) -> tuple[Key, ...]:
    """Return the keys with one more. Raises ``ConfigError`` if its prefix is taken."""
    if any(known.prefix == key.prefix for known in keys):
        raise ConfigError("prefix", key.prefix, "is taken, by a chance of one in millions; repeat")
    return (*keys, key)


def revoked(keys: tuple[Key, ...], prefix: str, now_us: int) -> tuple[tuple[Key, ...], Key]:
    """Return the keys with one of them revoked, and that one. Raises ``UnknownNameError``.

    A whole key will do for a prefix: who finds one where it should not be has just that.
    """
    wanted = prefix_of(prefix) or prefix
    place = next((i for i, key in enumerate(keys) if key.prefix == wanted), None)
    if place is None:
        hint = did_you_mean(wanted, [key.prefix for key in keys]).removeprefix("; ")
        raise UnknownNameError("key", wanted, hint)
    old = keys[place]
    key = old if old.revoked_us is not None else msgspec.structs.replace(old, revoked_us=now_us)
    return (*keys[:place], key, *keys[place + 1 :]), key

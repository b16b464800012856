"""The keys of a data directory: one small file, replaced whole.

A file of its own and no table of the log: commands change it while a service owns the log,
and a fleet in PostgreSQL will keep its keys there by the same port. Readers take no lock
and never see half a change. Writers take turns by a lock file.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import msgspec

from selfright.errors import ConfigError, CorruptLogError, DataDirectoryLockedError, StorageError
from selfright.log.lock import OwnerLock
from selfright.retrain.fs import DiskFs
from selfright.server.access.book import added, revoked
from selfright.server.access.key import Key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selfright.retrain.fs import Fs

KEY_FILE: Final = "keys.json"
_NEW: Final = "keys.json.new"
_LOCK: Final = "keys.lock"
FORMAT: Final = 1
# Whoever holds the lock writes some hundred bytes; only a disk that stalls takes longer.
_LOCK_WAIT_S: Final = 5.0
_LOCK_POLL_S: Final = 0.02


class _Format(msgspec.Struct):
    """What is read first: a later format may have changed all the rest."""

    format: int


class _Contents(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    keys: tuple[Key, ...]


class KeyFile:
    """A ``KeyBook`` in ``keys.json`` of a folder, readable by its owner alone.

    Parameters
    ----------
    folder
        The data directory; is made with the first key.
    fs
        The disk. The lock is always taken on the machine's own.
    lock_wait_s
        How long to wait for another writer.

    Notes
    -----
    ``docs/format/keys.md`` has the format. A change writes the whole file beside the old one
    and renames it: whenever the power fails, one of the two is there.
    """

    def __init__(
        self, folder: Path, fs: Fs | None = None, lock_wait_s: float = _LOCK_WAIT_S
    ) -> None:
        self._folder = folder
        self._lock_wait_s = lock_wait_s
        self._fs = DiskFs() if fs is None else fs
        self.path = folder / KEY_FILE

    def read(self) -> tuple[Key, ...]:
        """See ``KeyBook``. A file that does not exist holds no keys."""
        try:
            raw = self._fs.read(self.path)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise StorageError(str(self.path), f"cannot be read: {error.strerror}") from error
        return self._decoded(raw)

    def add(self, key: Key) -> None:
        """See ``KeyBook``."""
        with self._turn():
            self._write(added(self.read(), key))

    def revoke(self, prefix: str, now_us: int) -> Key:
        """See ``KeyBook``."""
        with self._turn():
            keys, key = revoked(self.read(), prefix, now_us)
            self._write(keys)
        return key

    def _decoded(self, raw: bytes) -> tuple[Key, ...]:
        try:
            found = msgspec.json.decode(raw, type=_Format).format
            if found > FORMAT:
                remedy = f"was written by a newer Selfright; this one reads format {FORMAT}"
                raise ConfigError(str(self.path), found, f"{remedy}: upgrade it")
            return msgspec.json.decode(raw, type=_Contents).keys
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            # Nobody is let in by what cannot be read, and nobody overwrites it.
            reason = f"{error}; restore it from a backup, or remove it and make new keys"
            raise CorruptLogError(str(self.path), None, reason) from error

    def _write(self, keys: tuple[Key, ...]) -> None:
        lines = b",\n".join(msgspec.json.encode(key) for key in keys)
        new = self._folder / _NEW
        try:
            self._fs.write(new, b'{"format":%d,"keys":[\n%s\n]}\n' % (FORMAT, lines))
            self._fs.replace(new, self.path)
            self._fs.sync_dir(self._folder)
        except OSError as error:
            raise StorageError(str(self.path), error.strerror or str(error)) from error

    @contextmanager
    def _turn(self) -> Iterator[None]:
        try:
            self._fs.make_dir(self._folder)
        except OSError as error:
            raise StorageError(str(self._folder), error.strerror or str(error)) from error
        lock = self._locked()
        try:
            yield
        finally:
            lock.release()

    def _locked(self) -> OwnerLock:
        waiting = threading.Event()
        for _ in range(round(self._lock_wait_s / _LOCK_POLL_S)):
            try:
                return OwnerLock(self._folder / _LOCK, self.path)
            except DataDirectoryLockedError:
                waiting.wait(_LOCK_POLL_S)
        reason = f"another process has been changing it for {self._lock_wait_s:g} s; try again"
        raise StorageError(str(self.path), reason)

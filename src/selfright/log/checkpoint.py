"""Snapshots of the folded state beside the log, checksummed.

They are files rather than rows, so that writing a large one does not hold up appends. A
checkpoint only saves time: one that is damaged, or not of this log, is passed over for the
one before, and without any the log is folded from its start.
"""

from __future__ import annotations

import logging
import os
import threading
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from selfright.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path

_log = logging.getLogger("selfright.log")

KEPT: Final = 2
_MAGIC: Final = b"SRCKPT01"
_HEAD: Final = len(_MAGIC) + 32 + 8 + 32  # magic, log id, offset, checksum


class Fs:
    """What checkpoints ask of the file system, so that tests can let any of it fail."""

    def create(self, path: Path) -> int:
        """Return a descriptor of a new file that only its owner may read."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        """Write some of ``data``; return how much."""
        return os.write(fd, data)

    def sync(self, fd: int) -> None:
        """Return when the file is on the disk."""
        os.fsync(fd)

    def replace(self, old: Path, new: Path) -> None:
        """Give ``old`` the name ``new``, in one step."""
        old.replace(new)

    def sync_directory(self, path: Path) -> None:
        """Return when the names in the directory are on the disk."""
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def read(self, path: Path) -> bytes:
        """Return the whole file."""
        return path.read_bytes()

    def remove(self, path: Path) -> None:
        """Delete the file, if it is there."""
        path.unlink(missing_ok=True)


class Checkpoints:
    """The checkpoints of the log at ``path``: files beside it.

    Parameters
    ----------
    path
        The log's file; checkpoints are ``<name>.checkpoint-<offset>``.
    log_id
        Of the log that they belong to, 32 hexadecimal digits.
    """

    def __init__(self, path: Path, log_id: str, fs: Fs | None = None) -> None:
        self._path = path
        self._log_id = log_id
        self._fs = fs or Fs()
        self._saving = threading.Lock()

    def after_fork_in_child(self) -> None:
        """Get a lock that no thread of the parent holds."""
        self._saving = threading.Lock()

    def save(self, offset: int, data: bytes) -> None:
        """Keep ``data`` for ``offset``, and the newest before it; see ``EventLog``."""
        checked = self._log_id.encode() + offset.to_bytes(8, "big")
        checksum = sha256(checked + data).digest()
        with self._saving:
            try:
                self._write(self._file(offset), b"".join((_MAGIC, checked, checksum, data)))
                for _, path in self._files()[KEPT:]:
                    self._fs.remove(path)
            except OSError as error:
                raise StorageError(str(self._path), f"checkpoint: {error}") from error

    def latest(self, next_offset: int) -> tuple[int, bytes] | None:
        """Return the newest sound checkpoint that is not ahead of the log."""
        for offset, path in self._files():
            try:
                data = self._checked(offset, self._fs.read(path))
            except OSError as error:
                _log.warning("checkpoint %s cannot be read: %s", path.name, error)
                continue
            if data is None:
                _log.warning("checkpoint %s is damaged or of another log", path.name)
            elif offset > next_offset:
                # The log was restored from an older copy; what is ahead of it never was.
                _log.warning("checkpoint %s is ahead of the log", path.name)
            else:
                return offset, data
        return None

    def _checked(self, offset: int, stored: bytes) -> bytes | None:
        data = stored[_HEAD:]
        checked = self._log_id.encode() + offset.to_bytes(8, "big")
        head = b"".join((_MAGIC, checked, sha256(checked + data).digest()))
        return data if stored[:_HEAD] == head else None

    def _write(self, path: Path, data: bytes) -> None:
        fs = self._fs
        draft = path.with_name(f"{path.name}.tmp")
        fd = fs.create(draft)
        try:
            left = memoryview(data)
            while left:
                left = left[fs.write(fd, left) :]
            fs.sync(fd)
        finally:
            os.close(fd)
        fs.replace(draft, path)
        fs.sync_directory(path.parent)

    def _file(self, offset: int) -> Path:
        return self._path.with_name(f"{self._path.name}.checkpoint-{offset:020d}")

    def _files(self) -> list[tuple[int, Path]]:
        """Return offsets and files, newest first."""
        start = f"{self._path.name}.checkpoint-"
        found = [
            (int(path.name.removeprefix(start)), path)
            for path in self._path.parent.iterdir()
            if path.name.startswith(start) and path.name.removeprefix(start).isdecimal()
        ]
        return sorted(found, reverse=True)

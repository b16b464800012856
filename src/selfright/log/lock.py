"""One owner per log on disk: a lock that ends with its process, and says whose it is."""

from __future__ import annotations

import os
import sys
import weakref
from typing import TYPE_CHECKING

from selfright.errors import DataDirectoryLockedError, StorageError

if TYPE_CHECKING:
    from pathlib import Path

_WINDOWS_BYTE = 1 << 30  # far behind the pid, which others must be able to read


class OwnerLock:
    """An exclusive lock on ``path``, held until ``release`` or the end of the process.

    The file holds the owner's pid and stays where it is: deleting a lock file would let
    two processes lock two files of one name.

    Raises
    ------
    DataDirectoryLockedError
        Another process, or another log in this one, holds it.
    StorageError
        The file cannot be made.
    """

    def __init__(self, path: Path, what: Path) -> None:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StorageError(str(path), error.strerror or str(error)) from error
        try:
            _lock(fd)
        except OSError:
            owner = _read_pid(fd)
            os.close(fd)
            raise DataDirectoryLockedError(str(what), owner) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, b"%d\n" % os.getpid(), 0)
        # Also when nobody calls ``release``: a log that is dropped may be opened again.
        self._close = weakref.finalize(self, os.close, fd)

    def release(self) -> None:
        """Let another own it. Idempotent.

        In a forked child the lock stays with the parent. But both hold the same open
        file, so the child must release it, or the parent's successor would find the log
        locked by a process that is gone.
        """
        self._close()


def _read_pid(fd: int) -> int | None:
    try:
        return int(os.pread(fd, 32, 0))
    except (OSError, ValueError):
        return None


if sys.platform == "win32":
    import msvcrt

    def _lock(fd: int) -> None:
        os.lseek(fd, _WINDOWS_BYTE, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(fd: int) -> None:
        # Not lockf: those locks end when any descriptor of the file is closed.
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

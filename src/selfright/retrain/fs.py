"""The few things the registry asks of a disk, behind a seam where tests can fail each one.

A file's bytes are durable once ``write`` or ``append`` returned; that a name exists, or
now means another file, is durable only after ``sync_dir`` of its folder. Forgetting the
second half is the classic way to lose a file that was "synced".
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final, Protocol

_FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700


class Fs(Protocol):
    """Files and folders that only their owner may read. Every call may raise ``OSError``."""

    def make_dir(self, path: Path) -> None:
        """Make a folder and those above it; one that exists is left as it is."""
        ...

    def list_dir(self, path: Path) -> list[str]:
        """Return the names in a folder, sorted; none if there is no such folder."""
        ...

    def read(self, path: Path) -> bytes:
        """Return a file's bytes."""
        ...

    def write(self, path: Path, data: bytes) -> None:
        """Make or replace a file's bytes; they are durable on return, its name is not."""
        ...

    def append(self, path: Path, data: bytes) -> None:
        """Add bytes at the end; durable on return. A failure may leave a part of them."""
        ...

    def truncate(self, path: Path, size: int) -> None:
        """Cut a file to ``size`` bytes; durable on return."""
        ...

    def replace(self, source: Path, target: Path) -> None:
        """Rename, at once and wholly; a file in the way is replaced, a folder refuses."""
        ...

    def remove(self, path: Path) -> None:
        """Remove a file or an empty folder."""
        ...

    def sync_dir(self, path: Path) -> None:
        """Make the names in a folder durable."""
        ...


class DiskFs:
    """The machine's disk."""

    def make_dir(self, path: Path) -> None:
        """See ``Fs``."""
        if not path.parent.exists():
            self.make_dir(path.parent)  # mkdir's own ``parents`` would give them other rights
        path.mkdir(mode=_FOLDER_MODE, exist_ok=True)

    def list_dir(self, path: Path) -> list[str]:
        """See ``Fs``."""
        try:
            return sorted(child.name for child in path.iterdir())
        except FileNotFoundError:
            return []

    def read(self, path: Path) -> bytes:
        """See ``Fs``."""
        return path.read_bytes()

    def write(self, path: Path, data: bytes) -> None:
        """See ``Fs``."""
        self._put(path, data, os.O_TRUNC)

    def append(self, path: Path, data: bytes) -> None:
        """See ``Fs``."""
        self._put(path, data, os.O_APPEND)

    def truncate(self, path: Path, size: int) -> None:
        """See ``Fs``."""
        descriptor = os.open(path, os.O_WRONLY)
        try:
            os.ftruncate(descriptor, size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        """See ``Fs``."""
        source.replace(target)

    def remove(self, path: Path) -> None:
        """See ``Fs``."""
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()

    def sync_dir(self, path: Path) -> None:
        """See ``Fs``."""
        if os.name == "nt":
            return  # Windows has no handle for it; names are durable with the journal
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _put(self, path: Path, data: bytes, how: int) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | how, _FILE_MODE)
        try:
            rest = memoryview(data)
            while rest:  # a nearly full disk writes in part
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# A folder in memory: its names, each a file's bytes or another folder.
_Folder = dict[str, "bytes | _Folder"]


class MemoryFs:
    """Files in memory, gone with the process."""

    def __init__(self) -> None:
        self._top: _Folder = {}

    def make_dir(self, path: Path) -> None:
        """See ``Fs``."""
        folder = self._top
        for name in path.parts:
            inner = folder.setdefault(name, {})
            if isinstance(inner, bytes):
                raise FileExistsError(errno.EEXIST, "not a folder", str(path))
            folder = inner

    def list_dir(self, path: Path) -> list[str]:
        """See ``Fs``."""
        try:
            return sorted(self._folder(path))
        except FileNotFoundError:
            return []

    def read(self, path: Path) -> bytes:
        """See ``Fs``."""
        found = self._folder(path.parent).get(path.name)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        if not isinstance(found, bytes):
            raise IsADirectoryError(errno.EISDIR, "a folder", str(path))
        return found

    def write(self, path: Path, data: bytes) -> None:
        """See ``Fs``."""
        self._folder(path.parent)[path.name] = bytes(data)

    def append(self, path: Path, data: bytes) -> None:
        """See ``Fs``."""
        before = self.read(path) if path.name in self._folder(path.parent) else b""
        self.write(path, before + data)

    def truncate(self, path: Path, size: int) -> None:
        """See ``Fs``."""
        self.write(path, self.read(path)[:size])

    def replace(self, source: Path, target: Path) -> None:
        """See ``Fs``."""
        folder = self._folder(source.parent)
        if source.name not in folder:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(source))
        if self.list_dir(target) if isinstance(folder[source.name], dict) else False:
            raise OSError(errno.ENOTEMPTY, "not empty", str(target))
        self._folder(target.parent)[target.name] = folder.pop(source.name)

    def remove(self, path: Path) -> None:
        """See ``Fs``."""
        folder = self._folder(path.parent)
        if path.name not in folder:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        if isinstance(folder[path.name], dict) and folder[path.name]:
            raise OSError(errno.ENOTEMPTY, "not empty", str(path))
        del folder[path.name]

    def sync_dir(self, path: Path) -> None:
        """See ``Fs``."""

    def _folder(self, path: Path) -> _Folder:
        folder = self._top
        for name in path.parts:
            inner = folder.get(name)
            if not isinstance(inner, dict):
                raise FileNotFoundError(errno.ENOENT, "no such folder", str(path))
            folder = inner
        return folder

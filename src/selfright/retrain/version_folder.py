"""One version on disk: there wholly or not at all, read only if every byte is as written."""

from __future__ import annotations

import errno
import hashlib
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from selfright.clock import Clock
from selfright.errors import ConfigError
from selfright.events.timestamp import iso
from selfright.retrain.fs import Fs
from selfright.retrain.manifest import (
    FORMAT,
    Manifest,
    StoredFile,
    VersionMeta,
    checked_format,
    libraries,
)
from selfright.retrain.model_state import State, decode_state, encode_state
from selfright.retrain.sealed import seal, unseal

_MODEL: Final = "model.npz"
_MANIFEST: Final = "manifest.json"
# What says something about a file; all else (no rights, no descriptors) is about us.
_UNREADABLE: Final = {errno.EIO, errno.ENOENT, errno.ENOTDIR, errno.EISDIR}


class NewVersion:
    """A version about to be written: everything that can be refused has been checked.

    Raises
    ------
    ConfigError
        For a state or a meta that cannot be kept exactly.
    """

    def __init__(
        self,
        model_type: str,
        version: int,
        parent: int | None,
        state: State,
        meta: VersionMeta,
        clock: Clock,
    ) -> None:
        self._data, arrays = encode_state(state)
        now_us = clock.now_us()
        self.manifest = Manifest(
            format=FORMAT,
            model_type=model_type,
            version=version,
            parent=parent,
            created_us=now_us,
            created_at=iso(now_us),
            files={_MODEL: StoredFile(hashlib.sha256(self._data).hexdigest(), len(self._data))},
            arrays=arrays,
            meta=meta,
            libraries=libraries(),
        )
        try:
            self._line = seal(msgspec.to_builtins(self.manifest)) + b"\n"
        except (TypeError, ValueError) as error:
            raise ConfigError("meta", meta, f"must be JSON and finite: {error}") from error

    def write(self, fs: Fs, unfinished: Path, final: Path) -> None:
        """Write to ``unfinished``, then rename to ``final``, all of it durable on return."""
        fs.make_dir(unfinished)
        fs.write(unfinished / _MODEL, self._data)
        fs.write(unfinished / _MANIFEST, self._line)
        fs.sync_dir(unfinished)
        fs.replace(unfinished, final)
        fs.sync_dir(final.parent)


def read_manifest(fs: Fs, folder: Path, model_type: str, version: int) -> Manifest:
    """Return a version's manifest. ``ValueError`` if it is damaged or another one's."""
    line = read_file(fs, folder / _MANIFEST).removesuffix(b"\n")
    manifest = msgspec.convert(checked_format(unseal(line)), Manifest)
    if (manifest.model_type, manifest.version) != (model_type, version):
        raise ValueError(f"it is version {manifest.version} of {manifest.model_type}")
    return manifest


def read_state(fs: Fs, folder: Path, manifest: Manifest) -> State:
    """Return a version's state. ``ValueError`` if any byte is not as it was written."""
    stored = manifest.files.get(_MODEL)
    if stored is None:
        raise ValueError(f"its manifest does not list {_MODEL}")
    data = read_file(fs, folder / _MODEL)
    if len(data) != stored.bytes:
        raise ValueError(f"{_MODEL} has {len(data)} bytes instead of {stored.bytes}")
    if hashlib.sha256(data).hexdigest() != stored.sha256:
        raise ValueError(f"the checksum of {_MODEL} is wrong")
    return decode_state(data, manifest.arrays)


def read_file(fs: Fs, path: Path) -> bytes:
    """Return a file's bytes. ``ValueError`` where the disk holds none to return."""
    with suppress(OSError):
        return fs.read(path)
    try:
        return fs.read(path)  # the failure may have been a passing one
    except OSError as error:
        if error.errno not in _UNREADABLE:
            raise
        raise ValueError(f"{path.name} cannot be read: {error.strerror}") from error


def empty(fs: Fs, folder: Path) -> None:
    """Remove the files of a version."""
    for name in fs.list_dir(folder):
        fs.remove(folder / name)

"""Where the versions of all models are kept: saved, loaded, promoted, rolled back.

``FileRegistry`` keeps them in a folder that only its owner may read (files 0600, folders
0700) and survives kills and power cuts at any moment; ``MemoryRegistry`` does the very
same without a disk. See ``shelf`` for what is where, and ``docs/format/model.md`` for
every byte.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from selfright.clock import Clock
from selfright.errors import ConfigError, StorageError
from selfright.events.record import GateRecord
from selfright.retrain.fs import DiskFs, Fs, MemoryFs
from selfright.retrain.manifest import Entry, Loaded, ModelVersion, StoredModel, VersionMeta
from selfright.retrain.model_state import State
from selfright.retrain.shelf import Shelf
from selfright.retrain.spool import Spool

# A model type names a folder: nothing in it may mean anything to a file system.
_MODEL_TYPE: Final = re.compile(r"[a-z_]{1,64}")


class ModelRegistry(Protocol):
    """Versions of models with their lineage. Safe to use from several threads.

    Every method raises ``ConfigError`` for a model type that is not lower-case letters
    and underscores, and ``StorageError`` if the disk refuses; then nothing was
    acknowledged.
    """

    def save(
        self,
        model_type: str,
        state: State,
        *,
        parent: int | None = None,
        meta: VersionMeta | Mapping[str, Any] | None = None,
    ) -> int:
        """Keep a state as a new version; return its number once it is durable.

        Raises ``ConfigError`` for a state that cannot be kept exactly or holds NaN, and
        ``UnknownNameError`` for a parent that never was.
        """
        ...

    def load(self, model_type: str, version: int) -> StoredModel:
        """Return a version exactly as it was saved.

        Raises ``UnknownNameError`` if there is none, and ``CorruptLogError`` if it is
        damaged: then it has been quarantined, and if it served, its parent serves now.
        """
        ...

    def load_current(self, model_type: str) -> Loaded:
        """Return the model that serves, if any, and what was found damaged on the way."""
        ...

    def current(self, model_type: str) -> int | None:
        """Return the version that serves."""
        ...

    def promote(
        self,
        model_type: str,
        version: int,
        reason: str,
        now_us: int,
        gate: GateRecord | None = None,
    ) -> None:
        """Let a version serve from log time ``now_us`` on; durable on return."""
        ...

    def withdraw(self, model_type: str, reason: str, now_us: int) -> None:
        """Let no version serve from ``now_us`` on; durable on return. Idempotent."""
        ...

    def settle(self, model_type: str, version: int, gate: GateRecord, now_us: int) -> None:
        """Record a verdict about a version that does not change what serves."""
        ...

    def rollback(
        self,
        model_type: str,
        now_us: int,
        *,
        version: int | None = None,
        reason: str = "rollback",
    ) -> int:
        """Go back to ``version``, by default the parent of what serves; return its number.

        Raises ``UnknownNameError`` if there is nothing to go back to.
        """
        ...

    def model_types(self) -> list[str]:
        """Return the model types of which anything was ever kept, sorted."""
        ...

    def versions(self, model_type: str) -> list[ModelVersion]:
        """Return all versions, oldest first; none for an unknown model type."""
        ...

    def serving_at(self, model_type: str, ts_us: int) -> int | None:
        """Return which version served at that log time; None: none did."""
        ...

    def promotions(self, model_type: str) -> list[Entry]:
        """Return the promotion log, oldest first."""
        ...

    def prune(self, model_type: str, keep: int) -> list[int]:
        """Delete all but the newest ``keep`` versions, what serves and its ancestors.

        Returns the numbers deleted. Damaged versions are never deleted.
        """
        ...

    def spool(self) -> Spool:
        """Return where full retrainings keep what they have done so far."""
        ...


class FileRegistry:
    """A ``ModelRegistry`` in a folder.

    Parameters
    ----------
    path
        The folder; made if missing. One process at a time may own it.
    clock
        For the creation times of versions.
    fs
        The disk.

    Raises
    ------
    StorageError
        If the folder cannot be made or read.
    ConfigError
        If a newer Selfright wrote it.
    """

    def __init__(self, path: str | Path, clock: Clock, fs: Fs | None = None) -> None:
        self._root = Path(path)
        self._clock = clock
        self._fs: Fs = DiskFs() if fs is None else fs
        self._shelves: dict[str, Shelf] = {}
        self._lock = threading.Lock()
        with self._disk():
            self._fs.make_dir(self._root)
            self._fs.sync_dir(self._root.parent)
            for name in self._fs.list_dir(self._root):
                if _MODEL_TYPE.fullmatch(name):
                    self._shelf(name)

    def save(
        self,
        model_type: str,
        state: State,
        *,
        parent: int | None = None,
        meta: VersionMeta | Mapping[str, Any] | None = None,
    ) -> int:
        """See ``ModelRegistry``."""
        known = _meta(meta)
        with self._disk():
            return self._shelf(model_type).save(state, parent, known)

    def load(self, model_type: str, version: int) -> StoredModel:
        """See ``ModelRegistry``."""
        with self._disk():
            return self._shelf(model_type).load(version)

    def load_current(self, model_type: str) -> Loaded:
        """See ``ModelRegistry``."""
        with self._disk():
            return self._shelf(model_type).load_current()

    def current(self, model_type: str) -> int | None:
        """See ``ModelRegistry``."""
        with self._disk():
            return self._shelf(model_type).current

    def promote(
        self,
        model_type: str,
        version: int,
        reason: str,
        now_us: int,
        gate: GateRecord | None = None,
    ) -> None:
        """See ``ModelRegistry``."""
        with self._disk():
            self._shelf(model_type).promote(version, reason, now_us, gate)

    def withdraw(self, model_type: str, reason: str, now_us: int) -> None:
        """See ``ModelRegistry``."""
        with self._disk():
            self._shelf(model_type).withdraw(reason, now_us)

    def settle(self, model_type: str, version: int, gate: GateRecord, now_us: int) -> None:
        """See ``ModelRegistry``."""
        with self._disk():
            self._shelf(model_type).settle(version, gate, now_us)

    def rollback(
        self,
        model_type: str,
        now_us: int,
        *,
        version: int | None = None,
        reason: str = "rollback",
    ) -> int:
        """See ``ModelRegistry``."""
        with self._disk():
            return self._shelf(model_type).rollback(version, reason, now_us)

    def model_types(self) -> list[str]:
        """See ``ModelRegistry``."""
        with self._disk():
            return sorted(name for name, shelf in self._shelves.items() if shelf.versions())

    def versions(self, model_type: str) -> list[ModelVersion]:
        """See ``ModelRegistry``."""
        with self._disk():
            return self._shelf(model_type).versions()

    def serving_at(self, model_type: str, ts_us: int) -> int | None:
        """See ``ModelRegistry``."""
        with self._disk():
            return self._shelf(model_type).serving_at(ts_us)

    def promotions(self, model_type: str) -> list[Entry]:
        """See ``ModelRegistry``."""
        with self._disk():
            return self._shelf(model_type).entries

    def prune(self, model_type: str, keep: int) -> list[int]:
        """See ``ModelRegistry``."""
        with self._disk():
            return self._shelf(model_type).prune(keep)

    def spool(self) -> Spool:
        """See ``ModelRegistry``. In the folder ``.retraining``, which names no model type."""
        return Spool(self._fs, self._root / ".retraining")

    def _shelf(self, model_type: str) -> Shelf:
        # An enum whose members are text may format as something else than its text.
        name = str.__str__(model_type)
        if not _MODEL_TYPE.fullmatch(name):
            raise ConfigError("model_type", name, "must be lower-case letters and underscores")
        if name not in self._shelves:
            self._shelves[name] = Shelf(self._fs, self._root / name, self._clock)
        return self._shelves[name]

    @contextmanager
    def _disk(self) -> Iterator[None]:
        """Take turns, and say whose fault it is when the disk refuses."""
        with self._lock:
            try:
                yield
            except OSError as error:
                if isinstance(error, StorageError):
                    raise
                path = error.filename or str(self._root)
                raise StorageError(str(path), error.strerror or str(error)) from error


class MemoryRegistry(FileRegistry):
    """A ``ModelRegistry`` that is gone with the process; for replays, demos and tests."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(Path("/"), clock, MemoryFs())


def _meta(meta: VersionMeta | Mapping[str, Any] | None) -> VersionMeta:
    if isinstance(meta, VersionMeta):
        return meta
    try:
        return msgspec.convert(dict(meta or {}), VersionMeta)
    except msgspec.ValidationError as error:
        raise ConfigError("meta", meta, str(error)) from error

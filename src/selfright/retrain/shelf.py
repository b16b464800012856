"""All versions of one model type in one folder, and which of them serves.

::

    <type>/3/model.npz          the state
    <type>/3/manifest.json      how it was made, with its checksums; sealed
    <type>/promotions.jsonl     what served when, one sealed line each, only appended
    <type>/CURRENT              the last promotion's line again
    <type>/quarantine/2/        a version found damaged, as it was found

A version is written to a temporary folder, synced, and renamed into place: it is there
wholly or not at all. A damaged one is never deleted and never served; the nearest intact
ancestor serves instead.

Version numbers only rise. One that was taken by a save that never finished, or by a
version found damaged, is not given again.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from selfright.clock import Clock
from selfright.errors import ConfigError, CorruptLogError, UnknownNameError
from selfright.events.record import GateRecord
from selfright.events.timestamp import iso
from selfright.retrain.fs import Fs
from selfright.retrain.manifest import (
    SERVING,
    Entry,
    EntryEvent,
    Loaded,
    Manifest,
    ModelVersion,
    Skipped,
    StoredModel,
    VersionMeta,
    VersionState,
)
from selfright.retrain.model_state import State
from selfright.retrain.promotion_log import PromotionLog
from selfright.retrain.version_folder import NewVersion, empty, read_manifest, read_state

_log = logging.getLogger("selfright")

QUARANTINED: Final = "quarantined: "  # begins the reason of every refusal of a damaged version
_QUARANTINE: Final = "quarantine"
_UNFINISHED: Final = ".unfinished-"  # a version that is being written
_GOING: Final = ".going-"  # a version that is being deleted
_VERSION: Final = re.compile(r"[1-9][0-9]{0,17}")
_NUMBERED: Final = re.compile(rf"(?:\.unfinished-|\.going-)?({_VERSION.pattern})(?:\.unfinished)?")


class Shelf:
    """The versions of one model type. Not thread-safe; see ``registry``.

    Opening it finishes what a crash left half done.

    Notes
    -----
    Manifests (a kB each) and the promotion log are held in memory. A save costs four
    syncs, a promotion three; the very first of each one more.

    Methods raise ``OSError`` where the disk does; nothing is acknowledged then.
    """

    def __init__(self, fs: Fs, folder: Path, clock: Clock) -> None:
        self._fs = fs
        self._folder = folder
        self._type = folder.name
        self._clock = clock
        self._log = PromotionLog(fs, folder)
        self._manifests: dict[int, Manifest] = {}
        self._damaged: dict[int, str] = {}
        self._skipped: list[Skipped] = []
        self._current: int | None = None
        self._next = 1
        self._open()

    # ---- reading ---------------------------------------------------------------------

    @property
    def current(self) -> int | None:
        """The version that serves."""
        return self._current

    @property
    def entries(self) -> list[Entry]:
        """The promotion log, oldest first."""
        return list(self._log.entries)

    def load(self, version: int) -> StoredModel:
        """Return a version of which every byte is as it was saved.

        Raises
        ------
        UnknownNameError
            If there is no such version.
        CorruptLogError
            If it is damaged. It has been moved to quarantine; if it served, the nearest
            intact ancestor serves now.
        """
        manifest = self._known(version)
        try:
            state = read_state(self._fs, self._folder / str(version), manifest)
        except ValueError as error:
            self._quarantine(version, str(error))
            raise self._corrupt(version) from error
        return StoredModel(state, manifest)

    def load_current(self) -> Loaded:
        """Return what serves, and what was found damaged since this was last asked."""
        found: StoredModel | None = None
        while found is None and self._current is not None:
            with suppress(CorruptLogError):
                found = self.load(self._current)
        skipped, self._skipped = tuple(self._skipped), []
        return Loaded(found, skipped)

    def versions(self) -> list[ModelVersion]:
        """Return all versions, damaged ones too, oldest first."""
        entries = self._log.entries
        gates = {e.version: e.gate for e in entries if e.gate is not None}
        promoted = {e.version: iso(e.ts_us) for e in entries if e.event == "promoted"}
        states = self._states()
        found = []
        for version in sorted({*self._manifests, *self._damaged}):
            manifest = self._manifests.get(version)
            meta = VersionMeta() if manifest is None else manifest.meta
            found.append(
                ModelVersion(
                    version=version,
                    model_type=self._type,
                    parent=self._parent_of(version),
                    created_at=None if manifest is None else manifest.created_at,
                    state=states[version],
                    samples=meta.samples,
                    agents=tuple(meta.agents),
                    gate=gates.get(version),
                    promoted_at=promoted.get(version),
                    reason=self._damaged.get(version, meta.reason),
                    retrain_id=meta.retrain_id,
                    retrain_type=meta.retrain_type,
                    scores=dict(meta.scores),
                )
            )
        return found

    def serving_at(self, ts_us: int) -> int | None:
        """Return which version served at that log time."""
        return _serves([e for e in self._log.entries if e.event in SERVING and e.ts_us <= ts_us])

    # ---- writing ---------------------------------------------------------------------

    def save(self, state: State, parent: int | None, meta: VersionMeta) -> int:
        """Write a version; return its number once it is durable."""
        if parent is not None and not 1 <= parent < self._next:
            raise UnknownNameError("version", parent, self._known_numbers())
        new = NewVersion(self._type, self._next, parent, state, meta, self._clock)
        if not self._manifests:
            self._fs.make_dir(self._folder)
            self._fs.sync_dir(self._folder.parent)
        version, self._next = self._next, self._next + 1
        unfinished = self._folder / f"{_UNFINISHED}{version}"
        try:
            new.write(self._fs, unfinished, self._folder / str(version))
        except OSError:
            with suppress(OSError):
                self._give_up(unfinished)
            raise
        self._manifests[version] = new.manifest
        return version

    def promote(self, version: int, reason: str, now_us: int, gate: GateRecord | None) -> None:
        """Let ``version`` serve; durable on return. Raises as ``load`` for a missing one."""
        parent = self._known(version).parent
        self._note("promoted", version, parent, reason, now_us, gate)
        self._current = version

    def withdraw(self, reason: str, now_us: int) -> None:
        """Let no version serve any more; durable on return. Nothing to do if none does."""
        version = self._current
        if version is not None:
            self._note("withdrawn", version, self._parent_of(version), reason, now_us)
            self._current = None

    def settle(self, version: int, gate: GateRecord, now_us: int) -> None:
        """Record the gate's verdict about ``version``."""
        parent = self._known(version).parent
        self._note("settled", version, parent, gate.verdict, now_us, gate)

    def rollback(self, version: int | None, reason: str, now_us: int) -> int:
        """Promote ``version``, by default the nearest intact ancestor of what serves."""
        if version is None:
            version = next(self._ancestors(self._current), None)
            if version is None:
                raise UnknownNameError("ancestor of version", self._current)
        self.promote(version, reason, now_us, None)
        return version

    def prune(self, keep: int) -> list[int]:
        """Delete all but the newest ``keep``, what serves, its ancestors, and damaged ones."""
        kept = {self._current, *self._ancestors(self._current)}
        states = self._states()
        # The newest stays whatever ``keep`` says: its number must not be given again.
        older = sorted(self._manifests, reverse=True)[max(1, keep) :]
        gone = sorted(v for v in older if v not in kept and states[v] == "archived")
        for version in gone:
            going = self._folder / f"{_GOING}{version}"
            self._fs.replace(self._folder / str(version), going)
            del self._manifests[version]
            self._delete(going)
        if gone:
            self._fs.sync_dir(self._folder)
        return gone

    # ---- opening ---------------------------------------------------------------------

    def _open(self) -> None:
        names = self._fs.list_dir(self._folder)
        if not names:
            return
        self._log.open()
        entries = self._log.entries
        quarantined = self._fs.list_dir(self._folder / _QUARANTINE)
        numbers = [int(m[1]) for n in (*names, *quarantined) if (m := _NUMBERED.fullmatch(n))]
        self._next = 1 + max([*numbers, *(e.version for e in entries)], default=0)
        reasons = {e.version: e.reason for e in entries if e.event == "quarantined"}
        for number in map(int, filter(_VERSION.fullmatch, quarantined)):
            self._damaged[number] = reasons.get(number, "found damaged")
        self._current = _serves([e for e in entries if e.event in SERVING])
        self._clear(names)
        self._read_manifests({int(name) for name in names if _VERSION.fullmatch(name)})

    def _read_manifests(self, versions: set[int]) -> None:
        broken: dict[int, str] = {}
        for version in sorted(versions):
            try:
                folder = self._folder / str(version)
                self._manifests[version] = read_manifest(self._fs, folder, self._type, version)
            except ConfigError:
                raise
            except ValueError as error:
                broken[version] = str(error)
        # Only now, for what takes over from a damaged one has to be known.
        for version, reason in broken.items():
            self._quarantine(version, reason)
        current = self._current
        if current is not None and current not in self._manifests:
            reason = self._damaged.setdefault(current, "its folder is missing")
            self._skipped.append(Skipped(current, reason))
            self._fall_back(current)

    def _clear(self, names: list[str]) -> None:
        for name in names:
            with suppress(OSError):  # in nobody's way; tried again at the next opening
                if name.startswith(_UNFINISHED):
                    self._give_up(self._folder / name)
                elif name.startswith(_GOING):
                    self._delete(self._folder / name)

    # ---- inside ----------------------------------------------------------------------

    def _known(self, version: int) -> Manifest:
        if version in self._damaged:
            raise self._corrupt(version)
        if version not in self._manifests:
            raise UnknownNameError("version", version, self._known_numbers())
        return self._manifests[version]

    def _corrupt(self, version: int) -> CorruptLogError:
        reason = f"{QUARANTINED}{self._damaged[version]}"
        return CorruptLogError(f"{self._type} version {version}", None, reason)

    def _known_numbers(self) -> str:
        numbers = ", ".join(map(str, sorted(self._manifests)[-10:]))
        return f"{self._type} has {numbers or 'none yet'}"

    def _states(self) -> dict[int, VersionState]:
        states: dict[int, VersionState] = dict.fromkeys(self._manifests, "archived")
        decided = {entry.version for entry in self._log.entries}
        newest = max(self._manifests, default=None)
        if newest is not None and newest not in decided:
            states[newest] = "challenger"
        if self._current is not None:
            states[self._current] = "champion"
        return states | dict.fromkeys(self._damaged, "quarantined")

    def _parent_of(self, version: int | None) -> int | None:
        if version in self._manifests:
            return self._manifests[version].parent
        return next((e.parent for e in self._log.entries if e.version == version), None)

    def _ancestors(self, version: int | None) -> Iterator[int]:
        """Yield the intact ancestors of ``version``, the nearest first."""
        parent = self._parent_of(version)
        while parent is not None:
            if parent in self._manifests:
                yield parent
            parent = self._parent_of(parent)

    def _note(
        self,
        event: EntryEvent,
        version: int,
        parent: int | None,
        reason: str,
        ts_us: int,
        gate: GateRecord | None = None,
    ) -> None:
        self._log.append(
            Entry(
                event=event,
                version=version,
                parent=parent,
                previous=self._current,
                reason=reason,
                ts_us=ts_us,
                gate=gate,
            )
        )

    def _quarantine(self, version: int, reason: str) -> None:
        _log.warning("%s: version %d is damaged, quarantined: %s", self._type, version, reason)
        parent = self._parent_of(version)
        self._manifests.pop(version, None)
        self._damaged[version] = reason
        self._skipped.append(Skipped(version, reason))
        with suppress(OSError):  # kept where it is, known as damaged until the next opening
            quarantine = self._folder / _QUARANTINE
            self._fs.make_dir(quarantine)
            self._fs.replace(self._folder / str(version), quarantine / str(version))
            self._fs.sync_dir(quarantine)
            self._fs.sync_dir(self._folder)
        with suppress(OSError):
            self._note("quarantined", version, parent, reason, self._clock.now_us())
        if version == self._current:
            self._fall_back(version)

    def _fall_back(self, damaged: int) -> None:
        """Let the nearest intact ancestor serve."""
        successor = next(self._ancestors(damaged), None)
        if successor is None:
            self._current = None
            _log.warning("%s: no intact ancestor of version %d", self._type, damaged)
            return
        _log.warning("%s: version %d serves instead of %d", self._type, successor, damaged)
        with suppress(OSError):  # a disk that refuses writes must not stop the service
            reason, parent = f"version {damaged} is damaged", self._parent_of(successor)
            self._note("promoted", successor, parent, reason, self._clock.now_us())
        self._current = successor

    def _give_up(self, unfinished: Path) -> None:
        """Clear away an unfinished version; what is left keeps its number taken."""
        empty(self._fs, unfinished)
        self._fs.make_dir(self._folder / _QUARANTINE)
        number = unfinished.name.removeprefix(_UNFINISHED)
        self._fs.replace(unfinished, self._folder / _QUARANTINE / f"{number}.unfinished")

    def _delete(self, folder: Path) -> None:
        empty(self._fs, folder)
        self._fs.remove(folder)


def _serves(entries: list[Entry]) -> int | None:
    """Return the version that serves after those entries."""
    return entries[-1].version if entries and entries[-1].event == "promoted" else None

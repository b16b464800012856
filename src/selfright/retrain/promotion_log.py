"""What served when: a log that is only appended to, and a pointer to its last promotion.

A promotion, or the withdrawal of what serves, is done once its line in
``promotions.jsonl`` is synced. ``CURRENT`` then repeats that line, so that what serves can
be read at a glance and either file can be lost: whichever has the line with the higher
``seq`` is right, and the other one is mended when they are opened.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from selfright.errors import ConfigError
from selfright.retrain.fs import Fs
from selfright.retrain.manifest import SERVING, Entry, checked_format
from selfright.retrain.sealed import seal, unseal
from selfright.retrain.version_folder import read_file

_log = logging.getLogger("selfright")

LOG: Final = "promotions.jsonl"
CURRENT: Final = "CURRENT"
CURRENT_NEW: Final = "CURRENT.new"


class PromotionLog:
    """The entries of one model type, oldest first.

    Parameters
    ----------
    folder
        Where the two files are; need not exist yet.

    Notes
    -----
    Opening cuts off a torn last line, which was never acknowledged, and passes over
    damaged ones. After an ``OSError`` from ``append`` the entry does not count here, yet
    if the disk then fails for good it may turn up at the next opening.
    """

    def __init__(self, fs: Fs, folder: Path) -> None:
        self._fs = fs
        self._folder = folder
        self._bytes = 0
        # Set while the file's end may hold part of a line that was refused.
        self._is_torn = False
        self._seq = 0
        self.entries: list[Entry] = []

    @property
    def last_promotion(self) -> Entry | None:
        """The entry that says what serves, or that nothing does any more."""
        return next((e for e in reversed(self.entries) if e.event in SERVING), None)

    def open(self) -> None:
        """Read both files, agree on what serves, mend the one that was behind."""
        names = self._fs.list_dir(self._folder)
        if CURRENT_NEW in names:
            with suppress(OSError):  # in nobody's way
                self._fs.remove(self._folder / CURRENT_NEW)
        if LOG in names:
            self._read_lines()
        pointer = self._read_pointer() if CURRENT in names else None
        newest = self.last_promotion
        if pointer is not None and (newest is None or pointer.seq > newest.seq):
            # The pointer is written after the line, so the line was lost.
            self._take([pointer])
            with suppress(OSError):
                self._write(pointer)
        elif newest is not None and pointer != newest:
            self._point(newest)

    def append(self, entry: Entry) -> None:
        """Make an entry durable. It is given the next ``seq``."""
        # Counted up even if the line is refused: the disk may hold it all the same.
        self._seq += 1
        entry = msgspec.structs.replace(entry, seq=self._seq)
        self._write(entry)
        self.entries.append(entry)
        if entry.event in SERVING:
            self._point(entry)

    def _take(self, entries: list[Entry]) -> None:
        self.entries = sorted([*self.entries, *entries], key=lambda entry: entry.seq)
        self._seq = max((entry.seq for entry in self.entries), default=0)

    def _read_lines(self) -> None:
        data = self._fs.read(self._folder / LOG)
        self._bytes = data.rfind(b"\n") + 1
        if self._bytes < len(data):
            _log.warning("%s: cutting off a torn last line of %s", self._folder.name, LOG)
            self._is_torn = True
            with suppress(OSError):  # tried again before the next line is written
                self._cut()
        found = []
        for line in data[: self._bytes].split(b"\n")[:-1]:
            try:
                found.append(_entry(line))
            except ConfigError:
                raise
            except ValueError as error:
                _log.warning("%s: a line of %s is damaged: %s", self._folder.name, LOG, error)
        self._take(found)

    def _read_pointer(self) -> Entry | None:
        try:
            return _entry(read_file(self._fs, self._folder / CURRENT).removesuffix(b"\n"))
        except ConfigError:
            raise
        except ValueError as error:
            _log.warning("%s: %s is damaged: %s", self._folder.name, CURRENT, error)
            return None

    def _write(self, entry: Entry) -> None:
        if self._is_torn:
            self._cut()
        line = seal(msgspec.to_builtins(entry)) + b"\n"
        self._is_torn = True
        try:
            self._fs.append(self._folder / LOG, line)
            if not self._bytes:
                self._fs.sync_dir(self._folder)  # the file is new
        except OSError:
            with suppress(OSError):
                self._cut()
            raise
        self._bytes += len(line)
        self._is_torn = False

    def _cut(self) -> None:
        self._fs.truncate(self._folder / LOG, self._bytes)
        self._is_torn = False

    def _point(self, entry: Entry) -> None:
        new = self._folder / CURRENT_NEW
        try:
            self._fs.write(new, seal(msgspec.to_builtins(entry)) + b"\n")
            self._fs.replace(new, self._folder / CURRENT)
            self._fs.sync_dir(self._folder)
        except OSError as error:
            # The promotion stands in the log; the next promotion or opening mends this.
            _log.warning("%s: %s could not be written: %s", self._folder.name, CURRENT, error)


def _entry(line: bytes) -> Entry:
    return msgspec.convert(checked_format(unseal(line)), Entry)

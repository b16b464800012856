"""What a full retraining has done so far, on disk, so that after a crash it need not begin anew.

::

    .retraining/<hash of the id>/plan.json    what is to be read; sealed, written first
    .retraining/<hash of the id>/0-65536      one condensed segment of the log, with checksum

The plan says where the log ended when the retraining began: resumed, it learns from the very
same rows. Whatever is missing or damaged is done again. A disk that refuses costs the
retraining nothing but the chance to be resumed.
"""

from __future__ import annotations

import hashlib
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from selfright.learn.parts.extract import Extract
from selfright.retrain.sealed import seal, unseal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from selfright.retrain.fs import Fs

_log = logging.getLogger("selfright")
_PLAN: Final = "plan.json"
_UNFINISHED: Final = ".unfinished"


class Spool:
    """One folder for each full retraining under way. One thread at a time.

    Notes
    -----
    39 bytes a row of the log, and three syncs of the disk for the plan and each segment.
    """

    def __init__(self, fs: Fs, folder: Path) -> None:
        self._fs = fs
        self._folder = folder

    def begin(self, retrain_id: str, plan: dict[str, Any]) -> Kept:
        """Return what is kept of a retraining, and note that it is begun once more.

        What is kept of another plan than ``plan``, but for where the log ended, is of no use
        and removed.
        """
        folder = self._folder / _name(retrain_id)
        known = self._plan(folder)
        attempts, end = int(known.pop("attempts", 0)), known.pop("end", None)
        if known != {name: value for name, value in plan.items() if name != "end"}:
            self.discard(retrain_id)
        elif isinstance(end, int):
            plan = {**plan, "end": end}
        kept = Kept(self._fs, folder, attempts + 1, int(plan["end"]))
        kept.write(_PLAN, seal({**plan, "attempts": attempts + 1}) + b"\n")
        return kept

    def discard(self, retrain_id: str) -> None:
        """Remove what is kept of a retraining."""
        self._empty(_name(retrain_id))

    def keep_only(self, retrain_ids: Iterable[str]) -> None:
        """Remove what is kept of all others."""
        wanted = {_name(retrain_id) for retrain_id in retrain_ids}
        with suppress(OSError):
            for name in self._fs.list_dir(self._folder):
                if name not in wanted:
                    self._empty(name)

    def _empty(self, name: str) -> None:
        with suppress(OSError):  # in nobody's way; tried again at the next start
            # The plan last: without it nobody would know what the rest is of.
            files = self._fs.list_dir(self._folder / name)
            for file in sorted(files, key=_PLAN.__eq__):
                self._fs.remove(self._folder / name / file)
            if files:
                self._fs.remove(self._folder / name)

    def _plan(self, folder: Path) -> dict[str, Any]:
        with suppress(OSError, ValueError):
            return unseal(self._fs.read(folder / _PLAN).removesuffix(b"\n"))
        return {}


class Kept:
    """What is kept of one retraining.

    Attributes
    ----------
    attempts
        How often it was begun, this time included.
    end
        Where the log ended when it was first begun.
    """

    def __init__(self, fs: Fs, folder: Path, attempts: int, end: int) -> None:
        self._fs = fs
        self._folder = folder
        self.attempts = attempts
        self.end = end

    def load(self, start: int, end: int) -> Extract | None:
        """Return a segment if it is kept, every byte as it was written."""
        with suppress(OSError, ValueError):
            return Extract.decode(self._fs.read(self._folder / f"{start}-{end}"))
        return None

    def save(self, start: int, end: int, found: Extract) -> None:
        """Keep a segment."""
        self.write(f"{start}-{end}", found.encode())

    def write(self, name: str, data: bytes) -> None:
        """Write a file wholly or not at all."""
        unfinished = self._folder / f"{name}{_UNFINISHED}"
        try:
            self._fs.make_dir(self._folder)
            self._fs.write(unfinished, data)
            self._fs.replace(unfinished, self._folder / name)
            self._fs.sync_dir(self._folder)
        except OSError as error:
            _log.warning("a retraining could not be resumed from here: %s", error)


def _name(retrain_id: str) -> str:
    # An id is any text; this is a name on every file system.
    return hashlib.blake2b(retrain_id.encode("utf-8", "replace"), digest_size=16).hexdigest()

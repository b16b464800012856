"""Saves the fold's state now and then, so that a restart folds only what came later."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from selfright.clock import monotonic_s
from selfright.errors import StorageError
from selfright.loop.saved import decode_state, encode_state

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from selfright.config import Log
    from selfright.log.protocol import EventLog
    from selfright.loop.fold import Fold

_log = logging.getLogger("selfright")


class Saver:
    """Keeps the checkpoints of one fold.

    Parameters
    ----------
    lock
        Guards the fold.
    complete
        Tells whether everything that the fold decided is written down. A checkpoint
        vouches for that: a restart would not find again what is missing.
    failed
        Is told when the disk refuses. Without the checkpoint a restart takes longer.
    """

    def __init__(
        self,
        log: EventLog,
        fold: Fold,
        policy: Log,
        lock: threading.RLock,
        complete: Callable[[], bool],
        failed: Callable[[str, BaseException], None],
    ) -> None:
        self._log = log
        self._fold = fold
        self._policy = policy
        self._lock = lock
        self._complete = complete
        self._failed = failed
        self._last = (fold.applied, monotonic_s())

    def is_due(self) -> bool:
        """Tell whether so much has come, or so much time has passed."""
        offset, at_s = self._last
        behind = self._fold.applied - offset
        late = behind > 0 and monotonic_s() - at_s >= self._policy.checkpoint_s
        return behind >= self._policy.checkpoint_events or late

    def save(self) -> None:
        """Save a checkpoint. Raises ``StorageError``."""
        with self._lock:
            # Whatever comes of it: not again at every turn while the disk is full.
            self._last = (self._fold.applied, monotonic_s())
            self._log.save_checkpoint(self._fold.applied, encode_state(self._fold.to_state()))

    def try_to_save(self) -> bool:
        """Save a checkpoint if it may vouch for what the fold decided, and if it can."""
        with self._lock:
            if not self._complete():
                return False
            try:
                self.save()
            except StorageError as error:
                self._failed("checkpoint", error)
                return False
            return True

    def restore(self) -> bool:
        """Take over the newest checkpoint of this log, if there is one that fits."""
        found = self._log.latest_checkpoint()
        if found is None:
            return False
        offset, data = found
        try:
            self._fold.restore(decode_state(data))
        except (KeyError, TypeError, ValueError) as error:
            # Folding the log again gives the same state, only later.
            _log.warning("checkpoint at offset %d is not usable (%s); folding anew", offset, error)
            return False
        self._last = (self._fold.applied, monotonic_s())
        return True

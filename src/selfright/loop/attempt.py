"""One retraining while it is made: how far it is, and whether somebody wants it to end."""

from __future__ import annotations

import threading

from selfright.retrain.job import RetrainCancelled


class Attempt:
    """What is known of a retraining between its request and its result. Safe for all threads.

    Attributes
    ----------
    share
        What is done of it, 0..1; 0 while it waits for its turn.
    ended
        Set once its result stands in the log, or it was left behind.
    """

    def __init__(self) -> None:
        self.share = 0.0
        self.ended = threading.Event()
        self._unwanted: str | None = None

    def cancel(self, reason: str) -> None:
        """Have it end at the next look, as aborted for this reason."""
        self._unwanted = reason

    def reached(self, share: float) -> None:
        """Note what is done; raise ``RetrainCancelled`` if it is to end."""
        self.share = share
        if self._unwanted is not None:
            raise RetrainCancelled(self._unwanted)

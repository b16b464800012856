"""Connections for reading, lent to whichever thread asks."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from selfright.log import schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selfright.log.schema import Connect, Connection

_IDLE: Final = 4  # connections kept open; more are opened as long as they are needed


class Readers:
    """Lends reading connections, each to one thread at a time."""

    def __init__(self, path: Path, connect: Connect) -> None:
        self._path = path
        self._connect = connect
        self._idle: list[Connection] = []
        self._lent = 0
        self._changed = threading.Condition()

    @contextmanager
    def lend(self) -> Iterator[Connection]:
        """Lend a connection that sees the log as it is now, and stays at that.

        Errors of SQLite come out as they are.
        """
        with self._changed:
            connection = self._idle.pop() if self._idle else None
            self._lent += 1
        try:
            if connection is None:
                connection = schema.open_reader(self._path, self._connect)
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            self._give_back(connection, sound=False)
            raise
        self._give_back(connection, sound=True)

    def _give_back(self, connection: Connection | None, *, sound: bool) -> None:
        with self._changed:
            self._lent -= 1
            if sound and connection is not None and len(self._idle) < _IDLE:
                self._idle.append(connection)
                connection = None
            self._changed.notify_all()
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Close what is not lent."""
        with self._changed:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def rest(self, timeout_s: float) -> bool:
        """Wait until nothing is lent, and lend nothing until ``go_on``; False if in vain."""
        if not self._changed.acquire(timeout=timeout_s):
            return False
        if self._changed.wait_for(lambda: self._lent == 0, timeout_s):
            return True
        self._changed.release()
        return False

    def go_on(self) -> None:
        """Lend again."""
        self._changed.release()

    def surrender(self) -> list[Connection]:
        """Return, in a forked child, the parent's connections, which it must not touch."""
        idle, self._idle = self._idle, []
        self._changed = threading.Condition()
        return idle

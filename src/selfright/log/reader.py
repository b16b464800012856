"""A log in SQLite, read by a process that does not own it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Self

from selfright.log import schema
from selfright.log.commit_rows import read_commits

if TYPE_CHECKING:
    from selfright.events.batch import Commit


class ReadOnlyLog:
    """Commits of the log at ``path``, while its owner goes on appending. For one thread.

    Raises ``StorageError`` if there is no such file.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        try:
            self._connection = schema.open_reader(self._path, schema.connect)
        except sqlite3.Error as error:
            raise schema.translated(error, self._path) from error

    def read(self, after: int, limit: int) -> list[Commit]:
        """Return commits from offset ``after`` on; see ``EventLog.read``."""
        try:
            return read_commits(self._connection, self._path, after, limit)
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise schema.translated(error, self._path) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

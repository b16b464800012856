"""The tables of a log in SQLite; ``docs/format/log.md`` explains them.

A file is ours by its application id, and readable by its version: a newer one was written
by a newer Selfright, which alone knows what it means.
"""

from __future__ import annotations

import os
import sqlite3
import uuid
from typing import TYPE_CHECKING, Final, Protocol
from zlib import crc32

from selfright.errors import ConfigError, CorruptLogError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from selfright.errors import SelfrightError

    Connect = Callable[[str], "Connection"]

VERSION: Final = 1
APPLICATION_ID: Final = 0x53465254  # "SFRT"
RUN, OUTCOME, ACT = 0, 1, 2  # kinds of events; never renumber
_LOG_ID_CHARS: Final = 32

# Our statements are right, and offsets new: where SQLite says otherwise, the file is damaged.
_DAMAGE: Final = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
    }
)

_TABLES: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE commits (
    first_offset INTEGER PRIMARY KEY,
    next_offset INTEGER NOT NULL,
    log_time_us INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    derived BLOB
);
CREATE TABLE events (
    offset INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    crc INTEGER NOT NULL,
    payload BLOB NOT NULL
);
CREATE TABLE links (
    key TEXT NOT NULL,
    item BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (key, item)
) WITHOUT ROWID;
"""

# FULL: a commit is on the disk before it is acknowledged. At 500 rows a commit this costs
# 5 %; NORMAL would acknowledge nearly everything before it is safe from a power cut.
_WRITER: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA wal_autocheckpoint = 4000",  # 16 MB: fewer and larger moves into the main file
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA cache_size = -16384",
    "PRAGMA temp_store = MEMORY",
)


class Connection(Protocol):
    """What a log asks of ``sqlite3.Connection``, so that tests can let any of it fail."""

    def execute(self, sql: str, parameters: Sequence[object] = ..., /) -> sqlite3.Cursor:
        """Run one statement."""
        ...

    def executemany(self, sql: str, parameters: Iterable[Sequence[object]], /) -> sqlite3.Cursor:
        """Run one statement for each row."""
        ...

    def close(self) -> None:
        """Close it; what was not committed is gone."""
        ...


def connect(target: str) -> Connection:
    """Return a connection to a file or a ``file:`` URI, without implicit transactions."""
    return sqlite3.connect(
        target, timeout=5.0, isolation_level=None, check_same_thread=False, uri=True
    )


def make_file(path: Path) -> None:
    """Make an empty file that only its owner may read, before SQLite makes one for all."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise StorageError(str(path), error.strerror or str(error)) from error


def open_writer(path: Path, connect: Connect) -> Connection:
    """Return the writing connection to the log at ``path``; its tables are made if empty.

    The file must be there: one that was deleted under an open log is no empty log.
    """
    connection = connect(uri(path, "rw"))
    try:
        _check(connection, path)
        for pragma in _WRITER:
            connection.execute(pragma)
        _check_wal(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path, connect: Connect) -> Connection:
    """Return a connection that cannot write."""
    connection = connect(uri(path, "rw"))  # a reader of a WAL must be able to write its index
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA cache_size = -4096")
    return connection


def uri(path: Path, mode: str) -> str:
    """Return the ``file:`` URI that SQLite opens without making a file."""
    return f"{path.absolute().as_uri()}?mode={mode}"


def log_id(connection: Connection, path: Path) -> str:
    """Return the id that the log was made with."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'log_id'").fetchone()
    if row is None or not isinstance(row[0], str) or len(row[0]) != _LOG_ID_CHARS:
        raise CorruptLogError(str(path), None, "has lost its id")
    return row[0]


def set_bounds(connection: Connection, first: int, following: int) -> None:
    """Note what range of offsets the commits cover, so that none can get lost unnoticed."""
    connection.execute(
        "UPDATE meta SET value = ? WHERE key = 'bounds'", (_bounds(first, following),)
    )


def check_bounds(connection: Connection, path: Path, first: int, following: int) -> None:
    """Raise ``CorruptLogError`` unless the commits should cover that range."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'bounds'").fetchone()
    if row is None or row[0] != _bounds(first, following):
        raise CorruptLogError(str(path), following, "commits have got lost")


def _bounds(first: int, following: int) -> str:
    bounds = f"{first} {following}"
    return f"{bounds} {crc32(bounds.encode()):08x}"


def translated(error: sqlite3.Error | UnicodeDecodeError, path: Path) -> SelfrightError:
    """Return what an error of SQLite means to us."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    # Python itself finds text that is no UTF-8 any more.
    garbled = isinstance(error, UnicodeDecodeError) or str(error).startswith("Could not decode")
    if garbled or code in _DAMAGE:
        return CorruptLogError(str(path), None, str(error))
    return StorageError(str(path), str(error))


def _check_wal(connection: Connection, path: Path) -> None:
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        raise ConfigError(
            "log", str(path), "lies on a file system without shared memory; use a local one"
        )


def _check(connection: Connection, path: Path) -> None:
    """Make the tables in an empty file; refuse a file that is not ours to write."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and (application or tables):
        raise ConfigError("log", str(path), "is another program's database; choose another file")
    if version > VERSION:
        raise ConfigError(
            "log",
            str(path),
            f"was written by a newer Selfright (schema {version}, this one knows {VERSION}); "
            "upgrade Selfright",
        )
    if version == 0:
        # One transaction: a crash leaves an empty file or a whole log.
        connection.execute("BEGIN IMMEDIATE")
        for statement in _TABLES.split(";"):
            if statement.strip():
                connection.execute(statement)
        connection.execute("INSERT INTO meta VALUES ('log_id', ?)", (uuid.uuid4().hex,))
        connection.execute("INSERT INTO meta VALUES ('bounds', '')")
        set_bounds(connection, 0, 0)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")

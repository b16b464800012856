"""A durable log in one SQLite file: what it acknowledges has reached the disk."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from selfright.errors import DataDirectoryLockedError, StorageError
from selfright.events.record import decode_act
from selfright.log import fork, schema
from selfright.log.assembly import commit_of, receipt_of
from selfright.log.checkpoint import Checkpoints
from selfright.log.commit_rows import checked_payload, head, read_commits, to_rows
from selfright.log.expiry import forget
from selfright.log.join import settle
from selfright.log.link import act_key, run_key
from selfright.log.lock import OwnerLock
from selfright.log.page import matching
from selfright.log.protocol import READ_LIMIT, RunFilter, RunPage
from selfright.log.readers import Readers
from selfright.log.stored import as_stored, decode_run, runs_of
from selfright.log.table_book import TableBook, place
from selfright.log.tail import Tail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from selfright.events.batch import Commit, Intake, RunBatch
    from selfright.events.record import AnyAct
    from selfright.log.checkpoint import Fs
    from selfright.log.protocol import Receipt
    from selfright.log.schema import Connect, Connection

# Rows that stay decoded for whoever follows the log closely.
_TAIL_ROWS: Final = 16_384
# Rows that one transaction of a retention deletes: appends wait that long, about 50 ms.
_RETAINED_ROWS: Final = 2_048
_SCAN_ROWS: Final = 1_000
_EVERYTHING: Final = RunFilter()


class SqliteLog:
    """A log in the SQLite file at ``path``.

    One process owns it; within it any thread may append and read. A process forked from
    the owner keeps what the log had decoded, and is refused everything else. See
    ``docs/format/log.md`` for the file.

    Parameters
    ----------
    path
        Made if it is not there, with the directories above it, for its owner's eyes only.
    connect
        Opens connections. Tests give one that fails.
    fs
        Where checkpoints are written. Ditto.

    Raises
    ------
    DataDirectoryLockedError
        Another process owns the log.
    ConfigError
        The file is another program's, or a newer Selfright's.
    CorruptLogError, StorageError
        The file is damaged, or cannot be opened.
    """

    def __init__(
        self, path: Path | str, *, connect: Connect = schema.connect, fs: Fs | None = None
    ) -> None:
        self._path = Path(path)
        self._connect = connect
        self._owner_pid = os.getpid()
        self._is_mine = True  # False in a forked child
        self._closed = False
        self._writing = threading.RLock()
        self._changed = threading.Condition()
        self._readers = Readers(self._path, connect)
        self._writer: Connection | None = None
        schema.make_file(self._path)
        self._lock = OwnerLock(self._path.with_name(self._path.name + ".lock"), self._path)
        try:
            with self._translating():
                self._writer = schema.open_writer(self._path, connect)
                self._log_id = schema.log_id(self._writer, self._path)
                self._first, self._next, self._time_us = head(self._writer, self._path)
        except BaseException:
            if self._writer is not None:
                self._writer.close()
            self._lock.release()
            raise
        self._tail = Tail(self._next)
        self._checkpoints = Checkpoints(self._path, self._log_id, fs)
        fork.watch(self)

    @property
    def log_id(self) -> str:
        """Random, made with the log and kept."""
        return self._log_id

    @property
    def path(self) -> Path:
        """The file, for a ``ReadOnlyLog`` in another process."""
        return self._path

    @property
    def first_offset(self) -> int:
        """The oldest offset that retention has left."""
        return self._first

    @property
    def next_offset(self) -> int:
        """The offset that the next row will get."""
        return self._next

    @property
    def last_log_time_us(self) -> int:
        """The time of the newest commit; 0 before the first."""
        return self._time_us

    # Writing

    def append(self, intake: Intake, now_us: int) -> Receipt:
        """Keep what is new in ``intake`` as one commit; see ``EventLog``.

        One sync of the disk, and 10 to 30 us a row.
        """
        intake = as_stored(intake)
        with self._writing, self._transaction() as connection:
            first_offset, time_us = self._next, max(self._time_us, now_us)
            book = TableBook(connection, self._path)
            book.prefetch_for(intake)
            settled = settle(book, intake, first_offset)
            is_new = settled.next_offset > first_offset
            if is_new:
                row, events = to_rows(intake, settled, first_offset, time_us)
                connection.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", events)
                connection.execute("INSERT INTO commits VALUES (?, ?, ?, ?, ?)", row)
                schema.set_bounds(connection, self._first, settled.next_offset)
            book.save()
            connection.execute("COMMIT")
            if is_new:
                self._publish(commit_of(intake, settled, first_offset, time_us))
            return receipt_of(settled, first_offset, self._time_us)

    def retain(self, max_events: int | None = None, min_log_time_us: int | None = None) -> int:
        """Delete whole commits, oldest first; return how many rows went.

        A few thousand rows at a time, between which others may append. The file does
        not shrink: its free pages are used again.
        """
        first, reached = self._first, -1
        while reached < self._first:
            reached = self._first
            with self._writing:
                self._retain_some(max_events, min_log_time_us)
        return self._first - first

    def _retain_some(self, max_events: int | None, min_log_time_us: int | None) -> None:
        beyond = 0 if max_events is None else self._next - max_events
        oldest = self._oldest_time() if min_log_time_us is not None else 0
        if beyond <= self._first and (min_log_time_us is None or oldest >= min_log_time_us):
            return
        with self._transaction() as connection:
            going = []
            for commit in read_commits(connection, self._path, self._first, _RETAINED_ROWS):
                too_old = min_log_time_us is not None and commit.log_time_us < min_log_time_us
                is_newest = commit.next_offset == self._next
                if is_newest or not (too_old or commit.first_offset < beyond):
                    break
                going.append(commit)
            if not going:
                connection.execute("COMMIT")
                return
            cut = going[-1].next_offset
            book = TableBook(connection, self._path)
            for commit in going:
                book.prefetch_for(commit)
                forget(book, commit, cut)
            connection.execute("DELETE FROM events WHERE offset < ?", (cut,))
            connection.execute("DELETE FROM commits WHERE first_offset < ?", (cut,))
            schema.set_bounds(connection, cut, self._next)
            book.save()
            connection.execute("COMMIT")
        with self._changed:
            self._first = cut
            while len(self._tail) and self._tail.first_offset < cut:
                self._tail.drop_oldest()

    def _oldest_time(self) -> int:
        with self._reading() as connection:
            row = connection.execute(
                "SELECT log_time_us FROM commits ORDER BY first_offset LIMIT 1"
            ).fetchone()
        return 0 if row is None else int(row[0])

    def _publish(self, commit: Commit) -> None:
        with self._changed:
            self._next, self._time_us = commit.next_offset, commit.log_time_us
            self._tail.add(commit)
            while self._next - self._tail.first_offset > _TAIL_ROWS and len(self._tail) > 1:
                self._tail.drop_oldest()
            self._changed.notify_all()

    # Reading

    def read(self, after: int, limit: int = READ_LIMIT) -> list[Commit]:
        """Return commits from offset ``after`` on; see ``EventLog``."""
        with self._changed:
            if after >= self._tail.first_offset:
                return self._tail.read(after, limit)
        with self._reading() as connection:
            return read_commits(connection, self._path, after, limit)

    def wait(self, after: int, timeout_s: float) -> bool:
        """Return whether there is anything from ``after`` on; see ``EventLog``."""
        with self._changed:
            if self._next <= after and not self._closed:
                self._changed.wait(timeout_s)
            return self._next > after

    def wake(self) -> None:
        """Make every ``wait`` under way return now."""
        with self._changed:
            self._changed.notify_all()

    def find_run(self, run_id: str) -> RunBatch | None:
        """Return the run as it stands, a batch of one row, or None."""
        found = self._find(run_key(run_id))
        return None if found is None else runs_of([(found[0], decode_run(found[1]))])

    def find_act(self, act_id: str) -> AnyAct | None:
        """Return the act of that id or None."""
        found = self._find(act_key(act_id))
        return None if found is None else decode_act(found[1])

    def runs(
        self, where: RunFilter | None = None, *, before_offset: int | None = None, limit: int = 100
    ) -> RunPage:
        """Return runs as they stand now, newest first; see ``EventLog``."""
        before = self._next if before_offset is None else before_offset
        with self._reading() as connection:

            def stands_at(run_id: str) -> int | None:
                return place(connection, self._path, run_key(run_id))

            scan = _newest_runs(connection, self._path, before)
            return matching(scan, where or _EVERYTHING, stands_at, before, limit)

    def _find(self, key: str) -> tuple[int, bytes] | None:
        with self._reading() as connection:
            offset = place(connection, self._path, key)
            event = connection.execute(
                "SELECT offset, kind, crc, payload FROM events WHERE offset = ?", (offset,)
            ).fetchone()
        # A run that only its outcomes still hold has no row any more.
        return None if event is None else (event[0], checked_payload(event, self._path))

    # Checkpoints

    def save_checkpoint(self, offset: int, data: bytes) -> None:
        """Keep ``data`` as the state at ``offset``; the newest two are kept."""
        self._check()
        self._checkpoints.save(offset, data)

    def latest_checkpoint(self) -> tuple[int, bytes] | None:
        """Return the newest sound checkpoint and its offset."""
        return self._checkpoints.latest(self._next)

    # Life

    def close(self) -> None:
        """Close the file and let another process own it. Idempotent."""
        if not self._is_mine:
            return
        with self._writing:
            with self._changed:
                self._closed = True
                self._changed.notify_all()
            self._readers.close()
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.close()
            self._lock.release()

    def before_fork(self) -> bool:
        """Finish what is under way, so that the child inherits no lock of SQLite."""
        if not self._writing.acquire(timeout=fork.REST_S):
            return False
        if self._readers.rest(fork.REST_S):
            return True
        self._writing.release()
        return False

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._readers.go_on()
        self._writing.release()

    def after_fork_in_child(self) -> None:
        """Leave the file to the parent."""
        self._is_mine = False
        self._writing = threading.RLock()
        self._changed = threading.Condition()
        self._checkpoints.after_fork_in_child()
        writer, self._writer = self._writer, None
        fork.abandon(*self._readers.surrender(), *([] if writer is None else [writer]))
        self._lock.release()

    # Inside

    def _check(self) -> None:
        if not self._is_mine:
            raise DataDirectoryLockedError(str(self._path), self._owner_pid)
        if self._closed:
            raise StorageError(str(self._path), "the log is closed")

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """Lend the writing connection within a transaction that the borrower commits.

        Whatever goes wrong, the transaction is undone and the connection given up: what
        SQLite thinks after a failed write is not to be trusted. The next append opens a
        new one, which reads from the disk what really stands there.
        """
        self._check()
        connection = self._connected()
        try:
            with self._translating():
                connection.execute("BEGIN IMMEDIATE")
                yield connection
        except BaseException:
            self._writer = None
            with suppress(sqlite3.Error):
                connection.close()
            raise

    def _connected(self) -> Connection:
        if self._writer is None:
            with self._translating():
                writer = schema.open_writer(self._path, self._connect)
                first, following, time_us = head(writer, self._path)
            self._writer = writer
            with self._changed:
                if following != self._next:  # the commit that failed stands after all
                    self._first, self._next, self._time_us = first, following, time_us
                    self._tail.clear(following)
                    self._changed.notify_all()
        return self._writer

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        self._check()
        with self._translating(), self._readers.lend() as connection:
            yield connection

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise schema.translated(error, self._path) from error


def _newest_runs(connection: Connection, path: Path, before: int) -> Iterator[RunBatch]:
    while True:
        events = connection.execute(
            "SELECT offset, kind, crc, payload FROM events WHERE kind = 0 AND offset < ? "
            "ORDER BY offset DESC LIMIT ?",
            (before, _SCAN_ROWS),
        ).fetchall()
        if not events:
            return
        events.reverse()
        yield runs_of([(event[0], decode_run(checked_payload(event, path))) for event in events])
        before = events[0][0]

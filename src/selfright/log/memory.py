"""A bounded log without files: the library's default, and the log of every simulation."""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING, Final

import numpy as np

from selfright.errors import StorageError
from selfright.events.batch import RunBatch
from selfright.log import fork
from selfright.log.assembly import commit_of, receipt_of
from selfright.log.expiry import forget
from selfright.log.join import settle
from selfright.log.memory_book import MemoryBook
from selfright.log.page import matching
from selfright.log.protocol import READ_LIMIT, RunFilter, RunPage
from selfright.log.stored import as_stored
from selfright.log.tail import Tail

if TYPE_CHECKING:
    from selfright.events.batch import Commit, Intake
    from selfright.events.record import AnyAct
    from selfright.log.protocol import Receipt

CAPACITY: Final = 100_000
_KEPT_CHECKPOINTS: Final = 2
_SLACK: Final = 32  # the share of the capacity that is freed at a time
_PATIENCE_S: Final = 20.0 * fork.REST_S
_EVERYTHING: Final = RunFilter()


class MemoryLog:
    """A log that keeps its newest rows in memory and loses all with the process.

    Appending a batch of 1,024 runs costs about 0.3 us a run, 5 us for a run with a task
    and its outcome; holding them about 400 bytes and 1.9 KB.

    Parameters
    ----------
    capacity
        Rows to keep; whole commits are dropped, oldest first, and the newest always
        stays. None: all of them, for a replay.
    log_id
        The log's identity; a random one by default.
    """

    def __init__(self, capacity: int | None = CAPACITY, *, log_id: str | None = None) -> None:
        self._capacity = capacity
        self._log_id = log_id or uuid.uuid4().hex
        self._tail = Tail()
        self._book = MemoryBook(self._tail.run_rows)
        self._time_us = 0
        self._checkpoints: list[tuple[int, bytes]] = []
        self._closed = False
        self._changed = threading.Condition()
        fork.watch(self)

    @property
    def log_id(self) -> str:
        """Random, made with the log and kept."""
        return self._log_id

    @property
    def path(self) -> None:
        """No other process can read it."""
        return

    @property
    def first_offset(self) -> int:
        """The oldest offset kept."""
        return self._tail.first_offset

    @property
    def next_offset(self) -> int:
        """The offset that the next row will get."""
        return self._tail.next_offset

    @property
    def last_log_time_us(self) -> int:
        """The time of the newest commit; 0 before the first."""
        return self._time_us

    def append(self, intake: Intake, now_us: int) -> Receipt:
        """Keep what is new in ``intake`` as one commit; see ``EventLog``."""
        intake = as_stored(intake)
        with self._changed:
            if self._closed:
                raise StorageError("log in memory", "is closed")
            first_offset = self._tail.next_offset
            settled = settle(self._book, intake, first_offset)
            if settled.next_offset > first_offset:
                self._time_us = max(self._time_us, now_us)
                self._tail.add(commit_of(intake, settled, first_offset, self._time_us))
                self._make_room()
                self._changed.notify_all()
            return receipt_of(settled, first_offset, self._time_us)

    def read(self, after: int, limit: int = READ_LIMIT) -> list[Commit]:
        """Return commits from offset ``after`` on; see ``EventLog``."""
        with self._changed:
            return self._tail.read(after, limit)

    def wait(self, after: int, timeout_s: float) -> bool:
        """Return whether there is anything from ``after`` on; see ``EventLog``."""
        with self._changed:
            if self._tail.next_offset <= after and not self._closed:
                self._changed.wait(timeout_s)
            return self._tail.next_offset > after

    def wake(self) -> None:
        """Make every ``wait`` under way return now."""
        with self._changed:
            self._changed.notify_all()

    def find_run(self, run_id: str) -> RunBatch | None:
        """Return the run as it stands, a batch of one row, or None."""
        with self._changed:
            offset = self._book.run(run_id)
            if offset is None or offset < self._tail.first_offset:
                return None
            seq = np.array([offset], dtype=np.int64)
            return RunBatch.from_rows(self._tail.run_rows([offset]), seq)

    def find_act(self, act_id: str) -> AnyAct | None:
        """Return the act of that id or None."""
        with self._changed:
            offset = self._book.act(act_id)
            if offset is None:
                return None
            return dict(self._tail.read(offset, 1)[0].acts)[offset]

    def runs(
        self, where: RunFilter | None = None, *, before_offset: int | None = None, limit: int = 100
    ) -> RunPage:
        """Return runs as they stand now, newest first; see ``EventLog``."""
        with self._changed:
            before = self._tail.next_offset if before_offset is None else before_offset
            commits = self._tail.newest_first(before)
            return matching(
                (commit.runs for commit in commits),
                where or _EVERYTHING,
                self._book.run,
                before,
                limit,
            )

    def save_checkpoint(self, offset: int, data: bytes) -> None:
        """Keep ``data`` as the state at ``offset``; the newest two are kept."""
        with self._changed:
            kept = [pair for pair in self._checkpoints if pair[0] != offset]
            self._checkpoints = sorted([*kept, (offset, data)])[-_KEPT_CHECKPOINTS:]

    def latest_checkpoint(self) -> tuple[int, bytes] | None:
        """Return the newest checkpoint and its offset."""
        with self._changed:
            return self._checkpoints[-1] if self._checkpoints else None

    def retain(self, max_events: int | None = None, min_log_time_us: int | None = None) -> int:
        """Delete whole commits, oldest first; return how many rows went."""
        with self._changed:
            return self._drop(max_events, min_log_time_us)

    def close(self) -> None:
        """Refuse further appends; what is here can still be read."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def before_fork(self) -> bool:
        """Finish the append under way."""
        # Nobody who holds it waits for a disk. But a thread that appends without a pause takes it
        # again before this one wakes, many times over on a busy machine.
        return self._changed.acquire(timeout=_PATIENCE_S)

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._changed.release()

    def after_fork_in_child(self) -> None:
        """Go on as a log of its own: a copy that the parent knows nothing of."""
        self._changed = threading.Condition()

    def _make_room(self) -> None:
        capacity = self._capacity
        if capacity is not None and self._tail.next_offset - self._tail.first_offset > capacity:
            # A little more than needed: a run and its outcome go together that way, which
            # costs a third of parting them.
            self._drop(capacity - capacity // _SLACK, None)

    def _drop(self, max_events: int | None, min_log_time_us: int | None) -> int:
        tail, first = self._tail, self._tail.first_offset
        going: list[Commit] = []
        for commit in tail.oldest_first():
            left = tail.next_offset - commit.first_offset
            too_many = max_events is not None and left > max_events
            too_old = min_log_time_us is not None and commit.log_time_us < min_log_time_us
            if not (too_many or too_old) or commit.next_offset == tail.next_offset:
                break
            going.append(commit)
        for commit in going:
            forget(self._book, commit, going[-1].next_offset)
            tail.drop_oldest()
        return tail.first_offset - first

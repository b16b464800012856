"""The one thread that writes a log: many submitters, few syncs of the disk.

A sync costs about the same for one row as for five hundred. So the writer takes what is
queued, waits a moment for more unless enough is there, and commits it all at once. Each
submitter gets a future of its own receipt, and nobody is told before the rows are safe.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from selfright.clock import monotonic_s
from selfright.errors import BackpressureError, SelfrightError, StorageError
from selfright.events.batch import Intake, OutcomeBatch, RunBatch
from selfright.log import fork

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfright.clock import Clock
    from selfright.log.protocol import EventLog, Receipt

_log = logging.getLogger("selfright.log")

# Told to submitters when the queue is full, as long as no commit shows how fast it drains.
_RETRY_AFTER_S: Final = 1.0
_MAX_RETRY_AFTER_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class GroupCommitPolicy:
    """How long the writer waits for company.

    Attributes
    ----------
    flush_rows
        Rows that end the wait. More than about 500 make a commit hardly cheaper a row.
    flush_ms
        Longest wait after the first row, milliseconds. 0: never wait.
    queue_rows
        Rows that may wait before submitters are refused. Bounds memory and delay.
    """

    flush_rows: int = 500
    flush_ms: float = 10.0
    queue_rows: int = 100_000

    def wait_s(self, rows: int, submitters: int, last: Group, waited_s: float) -> float:
        """Return how much longer to wait for company.

        Whoever submitted to the last group is waiting for its receipt and will submit
        again: once as many are here, there is nobody to wait for. Otherwise waiting as
        long as a commit takes at most halves the pace of a few submitters, and spares
        the disk most of the syncs of many.
        """
        if rows >= self.flush_rows or submitters >= last.submitters:
            return 0.0
        return max(min(self.flush_ms / 1000.0, last.commit_s) - waited_s, 0.0)


@dataclass(frozen=True, slots=True)
class Group:
    """What was committed together, and how long that took."""

    rows: int = 0
    submitters: int = 1
    commit_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Submission:
    intake: Intake
    future: Future[Receipt]
    at_s: float


class GroupCommitWriter:
    """Appends to ``log`` in a thread of its own, which starts with the first submission.

    Whoever owns the writer should look at ``alive`` now and then, and ``start`` it anew
    if its thread has died: what is queued is still there.

    Parameters
    ----------
    clock
        Gives the time of each commit.

    Notes
    -----
    A single submitter waits for one commit, about 2 ms. Memory is bounded by
    ``policy.queue_rows``. In a forked child the queue is empty and the thread its own.
    """

    def __init__(
        self, log: EventLog, clock: Clock, policy: GroupCommitPolicy | None = None
    ) -> None:
        self._log = log
        self._clock = clock
        self._policy = policy or GroupCommitPolicy()
        self._changed = threading.Condition()
        self._queue: deque[_Submission] = deque()
        self._queued_rows = 0
        self._thread: threading.Thread | None = None
        self._closed = False
        self._last = Group()
        self._committed_s: float | None = None
        fork.watch(self)

    # Submitters

    def submit(self, intake: Intake) -> Future[Receipt]:
        """Queue ``intake``; its future gives the receipt once the rows are durable.

        The future fails with what ``EventLog.append`` raised, if nothing of the intake
        was kept. A submission may be cancelled as long as it is queued.

        Raises
        ------
        BackpressureError
            The queue is full.
        StorageError
            The writer is closed.
        """
        submission = _Submission(intake, Future(), monotonic_s())
        with self._changed:
            if self._closed:
                raise StorageError("log", "the writer is closed")
            # An intake longer than the whole queue must pass when its turn comes.
            full = self._queued_rows + len(intake) > self._policy.queue_rows
            if full and self._queued_rows:
                raise BackpressureError(self._retry_after_s())
            self._queue.append(submission)
            self._queued_rows += len(intake)
            if self._thread is None:
                self._start()
            self._changed.notify_all()
        return submission.future

    # Owner

    @property
    def alive(self) -> bool:
        """Whether the thread is there to take what is queued."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    @property
    def queued_rows(self) -> int:
        """Rows that wait, or are being committed."""
        return self._queued_rows

    @property
    def waiting_s(self) -> float:
        """How long the oldest submission has been waiting; 0 if none is."""
        with self._changed:
            return monotonic_s() - self._queue[0].at_s if self._queue else 0.0

    @property
    def last_commit_age_s(self) -> float | None:
        """Seconds since the last commit that succeeded; None before the first."""
        committed_s = self._committed_s
        return None if committed_s is None else monotonic_s() - committed_s

    def start(self) -> None:
        """Start the thread unless it is there: for the first time, or after it died."""
        with self._changed:
            if not self._closed and not self.alive:
                self._start()

    def close(self, drain_s: float = 10.0) -> bool:
        """Take no more, commit what is queued, end the thread. Idempotent.

        Returns whether everything was committed within ``drain_s`` seconds; what was not
        fails with a ``StorageError``.
        """
        deadline_s = monotonic_s() + drain_s
        with self._changed:
            self._closed = True
            if self._queue and not self.alive:
                self._start()
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(max(deadline_s - monotonic_s(), 0.0))
        with self._changed:
            left = self._take(len(self._queue))
        _fail(left, StorageError("log", "closed before this was committed"))
        return not left and not (thread is not None and thread.is_alive())

    # The thread

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="selfright-writer", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while group := self._next_group():
            try:
                self._commit(group)
            except BaseException:
                # The thread dies; those who wait for it must not.
                _fail(group, StorageError("log", "the writer died; submit again"))
                raise
            finally:
                with self._changed:
                    self._queued_rows -= sum(len(submission.intake) for submission in group)

    def _next_group(self) -> list[_Submission]:
        """Return what to commit next; nothing once the writer is closed and all is done."""
        policy = self._policy
        with self._changed:
            while not self._queue and not self._closed:
                self._changed.wait()
            since_s = monotonic_s()
            while not self._closed:
                wait_s = policy.wait_s(
                    self._queued_rows, len(self._queue), self._last, monotonic_s() - since_s
                )
                if wait_s <= 0.0:
                    break
                self._changed.wait(wait_s)
            rows = submissions = 0
            for submission in self._queue:
                rows += len(submission.intake)
                submissions += 1
                if rows >= policy.flush_rows:
                    break
            return self._take(submissions)

    def _take(self, submissions: int) -> list[_Submission]:
        return [self._queue.popleft() for _ in range(submissions)]

    def _commit(self, group: Sequence[_Submission]) -> None:
        wanted = [each for each in group if each.future.set_running_or_notify_cancel()]
        if not wanted:
            return
        intakes = [submission.intake for submission in wanted]
        began_s = monotonic_s()
        try:
            receipt = self._log.append(merged(intakes), self._clock.now_us())
        except Exception as error:  # noqa: BLE001 - the isolation point of this thread
            if not isinstance(error, SelfrightError):
                _log.exception("a commit failed for a reason that it should not have")
            _fail(wanted, error)
            return
        ended_s = monotonic_s()
        self._committed_s = ended_s
        self._last = Group(sum(map(len, intakes)), len(wanted), ended_s - began_s)
        for submission, share in zip(wanted, receipt.share(intakes), strict=True):
            submission.future.set_result(share)

    def _retry_after_s(self) -> float:
        last = self._last
        if not last.rows:
            return _RETRY_AFTER_S
        drained_s = self._queued_rows * last.commit_s / last.rows
        return round(min(max(drained_s, 0.1), _MAX_RETRY_AFTER_S), 1)

    # Fork

    def before_fork(self) -> bool:
        """Let no submission be half queued."""
        return self._changed.acquire(timeout=fork.REST_S)

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._changed.release()

    def after_fork_in_child(self) -> None:
        """Start with an empty queue: what was queued, the parent will commit."""
        self._changed = threading.Condition()
        self._queue = deque()
        self._queued_rows = 0
        self._thread = None


def merged(intakes: Sequence[Intake]) -> Intake:
    """Return one intake of all rows, each intake's behind those of the one before."""
    if len(intakes) == 1:
        return intakes[0]
    runs, outcomes, acts, base = [], [], [], 0
    for intake in intakes:
        runs.append(intake.runs.numbered(intake.runs.seq + base))
        outcomes.append(intake.outcomes.numbered(intake.outcomes.seq + base))
        acts += [(seq + base, act) for seq, act in intake.acts]
        last = (int(batch.seq.max()) for batch in (intake.runs, intake.outcomes) if len(batch))
        base += max([*last, *(seq for seq, _ in intake.acts)], default=-1) + 1
    return Intake(RunBatch.concat(runs), OutcomeBatch.concat(outcomes), tuple(acts))


def _fail(submissions: Sequence[_Submission], error: Exception) -> None:
    for submission in submissions:
        if not submission.future.done():
            submission.future.set_exception(error)

"""Turns the circle: moves what came in to the log, folds the log, runs the effects.

Not started, everything happens in the caller's thread, at the latest when something is
read. Started, one thread drains: it hands what came in to the log's writer, folds what
the writer committed, and gives the effects to an executor. Either way one lock guards
the fold, and what a thread recorded is folded before that thread reads.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from selfright.clock import monotonic_s
from selfright.errors import SelfrightError
from selfright.events.batch import Intake
from selfright.events.record import SettingsApplied
from selfright.loop.drain import Drain
from selfright.loop.effects import Append
from selfright.loop.endings import ended, interrupted
from selfright.loop.hand_over import hand_over
from selfright.loop.inbox import Inbox
from selfright.loop.keeper import Keeper, Kept
from selfright.loop.perform import CUT_SHORT, Performer
from selfright.loop.saver import Saver
from selfright.loop.serving import make_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selfright.clock import Clock
    from selfright.config import Settings
    from selfright.events.door import Door
    from selfright.events.record import AnyAct, RetrainFinished, RetrainRequested
    from selfright.log.protocol import EventLog, Receipt
    from selfright.log.writer import GroupCommitWriter
    from selfright.loop.effects import Effect
    from selfright.loop.fold import Fold
    from selfright.loop.ports import Companion
    from selfright.retrain.job import Job
    from selfright.sinks.notifier import Notifier

    WriterFactory = Callable[[], GroupCommitWriter]

_log = logging.getLogger("selfright")
_ROWS_PER_READ: Final = 8192


FOLDS: Final = "folds the log"


class Circle:
    """Owns a log and its fold, and keeps them in step.

    Parameters
    ----------
    log, fold
        The fold's state must be that of the log at ``fold.applied``.
    job
        Makes challengers.
    make_writer
        Builds the thread that commits in groups, once ``start`` needs it.
    notifier
        Is told of every alert transition; must not block.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        log: EventLog,
        fold: Fold,
        job: Job,
        door: Door,
        inbox: Inbox,
        clock: Clock,
        make_writer: WriterFactory,
        notifier: Notifier,
    ) -> None:
        self.settings = settings
        self.log = log
        self.fold = fold
        self.clock = clock
        self.door = door
        self.inbox = inbox
        self.notifier = notifier
        self._make_writer = make_writer
        self._writer: GroupCommitWriter | None = None
        # Reentrant, for a callback that an inline effect runs may read metrics.
        self.lock = threading.RLock()
        self._drain = Drain(self._turn, lambda: len(inbox) > 0, self._failed)
        self._keeper: Keeper | None = None
        self.performer = Performer(
            job=job, notifier=notifier, log=log, clock=clock, act=self.act, failed=self._failed
        )
        self._pending: deque[Effect] = deque()
        self._saver = Saver(
            log, fold, settings.log, self.lock, lambda: self.performer.complete, self._failed
        )
        self.failures = 0
        self.last_failure: str | None = None
        # What learns from the log beside the fold, in a thread of its own.
        self.companion: Companion | None = None

    # ---- recording -------------------------------------------------------------------

    def submit(self, intake: Intake) -> Receipt:
        """Commit an intake and return the log's receipt; blocks until it is durable.

        Raises ``BackpressureError`` if the writer's queue is full and ``StorageError`` if
        the disk refused; in both cases nothing was kept.
        """
        writer = self._writer
        if writer is not None:
            receipt = writer.submit(intake).result()
            self._drain.wake()
            return receipt
        with self.lock:
            return self.log.append(intake, self.clock.now_us())

    def act(self, *acts: AnyAct) -> Receipt:
        """Commit acts; see ``submit``."""
        return self.submit(Intake.of(acts=acts))

    # ---- reading ---------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[Fold]:
        """Give the fold's state with everything folded that this thread recorded.

        Hold it briefly: the fold does not go on meanwhile.
        """
        with self.lock:
            self.pump()
            yield self.fold

    def flush(self) -> None:
        """Return when everything recorded so far is durable and folded."""
        self.pump()

    def settle(self, *, retrainings: bool = True) -> None:
        """Return when the effects of what was folded so far have run, and are folded.

        ``retrainings``: whether to wait for those, too, however long they take.
        """
        if not self._drain.is_current:
            self.performer.settle(retrainings=retrainings)
        self.pump()

    def catch_up(self) -> None:
        """Let what follows the log beside the fold hear all of it, unless a thread does."""
        if self.companion is not None and not self.running:
            self.pump()
            self.companion.catch_up()

    def pump(self) -> int:
        """Move what came in to the log, fold what is new in it; return rows folded."""
        with self.lock:
            hand_over(self.inbox, self.log, self._writer, self.clock, self._failed)
            return self._fold_new()

    # ---- life ------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether the drain thread turns the circle by itself."""
        return self._drain.alive

    @property
    def job(self) -> Job:
        """What makes challengers."""
        return self.performer.job

    def missing(self) -> list[str]:
        """Return what no thread does though it should; nothing where none was started."""
        keeper = self._keeper
        return [] if keeper is None else keeper.missing()

    def start(self) -> None:
        """Turn the circle by itself from now on. Idempotent."""
        with self.lock:
            if self._drain.started:
                return
            self.pump()
            self._abort_unfinished()  # what an earlier stop left behind
            self._fold_new()
            resumed = self._unfinished()
            writer = self._writer = self._make_writer()
            writer.start()
            kept = self.performer.start()
            self._automatic(on=True)
            for effect in resumed:
                self.performer.perform(effect)
            self._drain.start()
            self._keeper = Keeper(
                [
                    Kept("writes the log", lambda: writer.alive, writer.start),
                    Kept(FOLDS, lambda: self._drain.well, self._drain.anew),
                    *kept,
                ],
                self._died,
            )
            self._keeper.start()
            if self.companion is not None:
                self.companion.start()

    def stop(self, within_s: float | None = None) -> None:
        """Fold what came in, save a checkpoint, end the threads. Idempotent.

        Takes ``within_s`` seconds at most, by default the setting ``log.stop_s``. A
        retraining that runs longer is left behind: the next start goes on with a full one and
        records another as aborted.
        """
        until_s = monotonic_s() + (self.settings.log.stop_s if within_s is None else within_s)
        if self.companion is not None:
            self.companion.stop(_left(until_s) / 2)
        if not self._drain.stop(_left(until_s)):
            return
        self.performer.stop(_left(until_s))
        keeper, self._keeper = self._keeper, None
        # Until here, for the drain may wait for a writer that has to be started anew.
        reached = self.lock.acquire(timeout=_left(until_s))
        if keeper is not None:
            keeper.stop()
        if not reached:
            self._failed("stop", TimeoutError("the fold was busy; the next start does the rest"))
            return
        try:
            self._finish(until_s)
        finally:
            self.lock.release()

    def _finish(self, until_s: float) -> None:
        try:
            self._automatic(on=False)
        except SelfrightError as error:
            self._failed("log", error)  # the next start makes up for it
        self.pump()
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close(_left(until_s))
        self._fold_new()
        self.performer.stopped()
        self._saver.try_to_save()

    def close(self) -> None:
        """Stop, then give the log back. Takes no longer than ``stop`` twice."""
        self.stop()
        if not self.lock.acquire(timeout=self.settings.log.stop_s):
            return  # it would wait for ever; the log's lock ends with the process
        try:
            self.pump()
            self._saver.try_to_save()
            self.log.close()
            self.notifier.close()
        finally:
            self.lock.release()

    def _automatic(self, *, on: bool) -> None:
        # In the log, because what the fold triggers depends on it: a later fold of the
        # same log must do the same.
        if self.fold.automatic == on:
            return
        now_us = self.clock.now_us()
        name = f"automatic:{'on' if on else 'off'}:{self.log.next_offset}"
        self.act(SettingsApplied(act_id=name, ts_us=now_us, settings={"automatic": on}))
        self._fold_new()

    # ---- retraining ------------------------------------------------------------------

    def retrain(
        self, request: RetrainRequested, timeout_s: float | None = None
    ) -> RetrainFinished | None:
        """Ask for a retraining; return its first result, None if ``timeout_s`` passed.

        The result may be ``pending``: the challenger exists and the gate is watching it.
        """
        future = self.performer.expect(request)
        try:
            self.act(request)
            if not self._drain.started:
                self.pump()
            else:
                self._drain.wake()
            return future.result(timeout_s)
        except TimeoutError:
            return None
        finally:
            self.performer.forget(request)

    def go_on(self) -> None:
        """Go on here and now with what the end of a process interrupted, if not started."""
        with self.lock:
            if not self._drain.started:
                self.pump()
                for effect in self._unfinished():
                    self.performer.perform(effect)
                self._fold_new()

    # ---- recovery --------------------------------------------------------------------

    def recover(self) -> int:
        """Fold what the log holds beyond the checkpoint; nothing is retrained or sent.

        Retrainings that were under way when the process ended are recorded as aborted, but
        for full ones: ``start`` goes on with those. The registry makes up for what it
        missed. Returns the number of rows folded.
        """
        with self.lock:
            before = self.fold.applied
            found = self._refold()
            for request in self.fold.trials.asked():
                # The process ended between the decision and the log: write it down now,
                # so that it can be recorded as aborted and the next one is free to start.
                self.act(request)
            found += self._refold()
            self._abort_unfinished()
            found += self._refold()
            # A process that was killed had no time to say that it triggers no more.
            self._automatic(on=False)
            make_up(self.job.registry, self.fold, found, self.clock.now_us())
            self.job.spool.keep_only(act.act_id for act in self.fold.trials.unfinished())
            return self.fold.applied - before

    def _refold(self) -> list[Effect]:
        """Fold what the log holds without its effects; return them.

        Most of what is to be appended is in the log already, by its id; only what the
        end of the process kept out of it is written now.
        """
        found: list[Effect] = []
        for effects in self._unfolded():
            found += effects
            self._pending.extend(effect for effect in effects if isinstance(effect, Append))
        self._dispatch()
        return found

    def _abort_unfinished(self) -> None:
        """Record incremental retrainings that nobody runs any more as aborted."""
        for request in interrupted(self.fold.trials.unfinished(), "incremental"):
            self.act(ended(request, "aborted", CUT_SHORT, self.clock.now_us()))

    def _unfinished(self) -> list[Effect]:
        """Return what goes on with full retrainings that nobody makes."""
        trials, attempt = self.fold.trials, self.performer.attempt
        requests = interrupted(trials.unfinished(), "full")
        return [trials.effect(one) for one in requests if attempt(one.act_id) is None]

    def checkpoint(self) -> None:
        """Save the fold's state, so that a restart folds only what came later."""
        self._saver.save()

    def restore(self) -> bool:
        """Take over the newest checkpoint of this log, if there is one that fits."""
        return self._saver.restore()

    # ---- inside ----------------------------------------------------------------------

    def _turn(self) -> int:
        folded = self.pump()
        if self._saver.is_due() and self._saver.try_to_save():
            policy = self.settings.log
            oldest_us = self.clock.now_us() - int(policy.retention_days * 86_400_000_000)
            self.log.retain(policy.retention_events, oldest_us)
        return folded

    def _fold_new(self) -> int:
        before = self.fold.applied
        for effects in self._unfolded():
            self._pending.extend(effects)
        self._dispatch()
        return self.fold.applied - before

    def _unfolded(self) -> Iterator[list[Effect]]:
        """Fold what is new in the log; yield the effects of each step."""
        while commits := self.log.read(self.fold.applied, _ROWS_PER_READ):
            for commit in commits:
                at = max(commit.first_offset, self.fold.applied)
                while at < commit.next_offset:
                    effects, at = self.fold.apply(commit, at)
                    yield effects
            self._dispatch()

    def _dispatch(self) -> None:
        while self._pending:
            self.performer.perform(self._pending.popleft())

    def failed(self, where: str, error: BaseException) -> None:
        """Count a failure of somebody beside the circle, log it, show it in health."""
        self._failed(where, error)

    def _failed(self, where: str, error: BaseException) -> None:
        self.failures += 1
        self.last_failure = f"{where}: {str(error) or type(error).__name__}"
        _log.error("%s failed", where, exc_info=error)

    def _died(self, purpose: str) -> None:
        self.failures += 1
        self.last_failure = f"the thread that {purpose} died"
        _log.error("the thread that %s died; it is started anew", purpose)


def _left(until_s: float) -> float:
    return max(until_s - monotonic_s(), 0.0)

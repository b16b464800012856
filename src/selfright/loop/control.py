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
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from selfright.clock import monotonic_s
from selfright.errors import BackpressureError, SelfrightError
from selfright.events.batch import Intake
from selfright.events.record import RetrainFinished, RetrainRequested, SettingsApplied
from selfright.loop.effects import Append, Notify, Retrain, Serve, Settle
from selfright.loop.endings import ended
from selfright.loop.inbox import Inbox
from selfright.loop.saved import decode_state, encode_state
from selfright.loop.serving import follow, make_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from selfright.clock import Clock
    from selfright.config import Settings
    from selfright.events.door import Door
    from selfright.events.record import AnyAct
    from selfright.log.protocol import EventLog, Receipt
    from selfright.log.writer import GroupCommitWriter
    from selfright.loop.effects import Effect
    from selfright.loop.fold import Fold
    from selfright.retrain.job import Job
    from selfright.sinks.notifier import Notifier

    WriterFactory = Callable[[], GroupCommitWriter]

_log = logging.getLogger("selfright")
# How long the drain thread sleeps when nothing comes in: short enough that a dashboard
# seems live, long enough that an idle process uses next to no CPU.
_IDLE_S: Final = 0.05
_BUSY_S: Final = 0.005
_ROWS_PER_READ: Final = 8192
_CUT_SHORT: Final = "the process ended before the retraining did"


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
        self.job = job
        self.notifier = notifier
        self._make_writer = make_writer
        self._writer: GroupCommitWriter | None = None
        # Reentrant, for a callback that an inline effect runs may read metrics.
        self.lock = threading.RLock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._drain: threading.Thread | None = None
        self._executor: ThreadPoolExecutor | None = None
        self._finished: dict[str, Future[RetrainFinished]] = {}
        self._effects: deque[Effect] = deque()
        self._checkpoint_at = (fold.applied, monotonic_s())
        self.failures = 0
        self.last_failure: str | None = None

    # ---- recording -------------------------------------------------------------------

    def submit(self, intake: Intake) -> Receipt:
        """Commit an intake and return the log's receipt; blocks until it is durable.

        Raises ``BackpressureError`` if the writer's queue is full and ``StorageError`` if
        the disk refused; in both cases nothing was kept.
        """
        writer = self._writer
        if writer is not None:
            receipt = writer.submit(intake).result()
            self._wake.set()
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

    def settle(self) -> None:
        """Return when the effects of what was folded so far have run, and are folded."""
        executor = self._executor
        if executor is not None and threading.current_thread() is not self._drain:
            executor.submit(_nothing).result()
        self.pump()

    def pump(self) -> int:
        """Move what came in to the log, fold what is new in it; return rows folded."""
        with self.lock:
            self._move()
            return self._fold_new()

    # ---- life ------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether the drain thread turns the circle by itself."""
        return self._drain is not None and self._drain.is_alive()

    def start(self) -> None:
        """Turn the circle by itself from now on. Idempotent."""
        with self.lock:
            if self._drain is not None:
                return
            self.pump()
            self._stopping.clear()
            self._writer = self._make_writer()
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="selfright-effects")
            self._automatic(on=True)
            self._drain = threading.Thread(target=self._run, name="selfright-drain", daemon=True)
            self._drain.start()

    def stop(self, drain_s: float = 10.0) -> None:
        """Fold what came in, save a checkpoint, end the threads. Idempotent."""
        with self.lock:
            drain, self._drain = self._drain, None
        if drain is None:
            return
        self._stopping.set()
        self._wake.set()
        drain.join(drain_s)
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=True)
        with self.lock:
            self._automatic(on=False)
            self.pump()
            writer, self._writer = self._writer, None
            if writer is not None:
                writer.close(drain_s)
            self._fold_new()
            self.checkpoint()

    def close(self) -> None:
        """Stop, then give the log back."""
        self.stop()
        with self.lock:
            self.pump()
            self.checkpoint()
            self.log.close()
            self.notifier.close()

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
        future: Future[RetrainFinished] = Future()
        self._finished[request.act_id] = future
        try:
            self.act(request)
            if self._drain is None:
                self.pump()
            else:
                self._wake.set()
            return future.result(timeout_s)
        except TimeoutError:
            return None
        finally:
            self._finished.pop(request.act_id, None)

    # ---- recovery --------------------------------------------------------------------

    def recover(self) -> int:
        """Fold what the log holds beyond the checkpoint; nothing is retrained or sent.

        Retrainings that were under way when the process ended are recorded as aborted,
        and the registry makes up for what it missed. Returns the number of rows folded.
        """
        with self.lock:
            found: list[Effect] = []
            folded = self._fold_new(found)
            for request in self.fold.trials.asked():
                # The process ended between the decision and the log: write it down now,
                # so that it can be recorded as aborted and the next one is free to start.
                self.act(request)
            folded += self._fold_new(found)
            for request in self.fold.trials.unfinished():
                _log.warning("retraining %s was interrupted; recorded as aborted", request.act_id)
                self.act(ended(request, "aborted", _CUT_SHORT, self.clock.now_us()))
            folded += self._fold_new(found)
            # A process that was killed had no time to say that it triggers no more.
            self._automatic(on=False)
            make_up(self.job.registry, self.fold, found, self.clock.now_us())
            return folded

    def checkpoint(self) -> None:
        """Save the fold's state, so that a restart folds only what came later."""
        with self.lock:
            self.log.save_checkpoint(self.fold.applied, encode_state(self.fold.to_state()))
            self._checkpoint_at = (self.fold.applied, monotonic_s())

    def restore(self) -> bool:
        """Take over the newest checkpoint of this log, if there is one that fits."""
        found = self.log.latest_checkpoint()
        if found is None:
            return False
        offset, data = found
        try:
            self.fold.restore(decode_state(data))
        except (KeyError, TypeError, ValueError) as error:
            # Folding the log again gives the same state, only later.
            _log.warning("checkpoint at offset %d is not usable (%s); folding anew", offset, error)
            return False
        self._checkpoint_at = (self.fold.applied, monotonic_s())
        return True

    # ---- inside ----------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                busy = self.pump()
                self._checkpoint_when_due()
            except Exception as error:  # noqa: BLE001 - the isolation point of this thread
                self._failed("drain", error)
                busy = 0
                self._stopping.wait(_IDLE_S)
            if not len(self.inbox):
                self._wake.wait(_BUSY_S if busy else _IDLE_S)
                self._wake.clear()

    def _move(self) -> None:
        """Hand what came in to the log, and wait until it is durable."""
        waiting: list[Future[Receipt]] = []
        while True:
            intake = self.inbox.take()
            if intake is None:
                break
            try:
                if self._writer is None:
                    self.log.append(intake, self.clock.now_us())
                else:
                    waiting.append(self._writer.submit(intake))
            except BackpressureError:
                self.inbox.dropped += len(intake)
            except SelfrightError as error:
                self.inbox.dropped += len(intake)
                self._failed("log", error)
        for future in waiting:
            try:
                future.result()
            except SelfrightError as error:
                self._failed("log", error)

    def _fold_new(self, found: list[Effect] | None = None) -> int:
        folded = 0
        while commits := self.log.read(self.fold.applied, _ROWS_PER_READ):
            for commit in commits:
                at = max(commit.first_offset, self.fold.applied)
                while at < commit.next_offset:
                    effects, reached = self.fold.apply(commit, at)
                    folded += reached - at
                    at = reached
                    # What a recovery finds again is in the log already, by its id; only
                    # what the end of the process kept out of it is written now.
                    self._effects.extend(
                        effect for effect in effects if found is None or isinstance(effect, Append)
                    )
                    if found is not None:
                        found += effects
            self._dispatch()
        return folded

    def _dispatch(self) -> None:
        while self._effects:
            effect = self._effects.popleft()
            if self._executor is None:
                self._perform(effect)
            else:
                self._executor.submit(self._perform, effect)

    def _perform(self, effect: Effect) -> None:
        try:
            match effect:
                case Append(act):
                    _tell(act)
                    self.act(act)
                    self._resolve(act)
                case Retrain():
                    finished = self.job.run(
                        effect.request,
                        effect.champion,
                        effect.parent_version,
                        effect.recent,
                        self.log,
                        self.clock,
                    )
                    _tell(finished)
                    self.act(finished)
                    self._resolve(finished)
                case Serve() | Settle():
                    follow(self.job.registry, effect, self.clock.now_us())
                case Notify(alert):
                    self.notifier.notify(alert)
        except Exception as error:  # noqa: BLE001 - the isolation point of the effects
            self._failed(type(effect).__name__.lower(), error)

    def _resolve(self, act: AnyAct) -> None:
        if isinstance(act, RetrainFinished):
            future = self._finished.get(act.retrain_id)
            if future is not None and not future.done():
                future.set_result(act)

    def _checkpoint_when_due(self) -> None:
        offset, at_s = self._checkpoint_at
        behind = self.fold.applied - offset
        policy = self.settings.log
        if behind >= policy.checkpoint_events or (
            behind and monotonic_s() - at_s >= policy.checkpoint_s
        ):
            self.checkpoint()
            self.log.retain(
                policy.retention_events,
                self.clock.now_us() - int(policy.retention_days * 86_400_000_000),
            )

    def _failed(self, where: str, error: Exception) -> None:
        self.failures += 1
        self.last_failure = f"{where}: {error}"
        _log.exception("%s failed", where)


def _nothing() -> None:
    """Be behind everything that was submitted earlier."""


def _tell(act: AnyAct) -> None:
    """Log what an operator wants to read later: triggers, verdicts, promotions."""
    if isinstance(act, RetrainRequested):
        _log.info("%s retraining of %s: %s", act.mode, act.model_type, act.reason)
    elif isinstance(act, RetrainFinished):
        verdict = act.gate.verdict if act.gate is not None else "none"
        _log.info(
            "retraining %s of %s is %s, gate %s, version %s, promoted %s",
            act.retrain_id, act.model_type, act.state, verdict, act.version, act.promoted,
        )  # fmt: skip

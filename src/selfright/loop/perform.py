"""Runs the effects that a fold asks for: retrainings beside the rest, the rest in order.

Not started, each runs at once in the caller's thread. Started, one worker retrains, which
may take long, and another does everything else, so that no alert and no verdict waits
for a retraining.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final

from selfright.errors import BackpressureError, StorageError
from selfright.events.record import RetrainFinished, RetrainRequested
from selfright.loop.attempt import Attempt
from selfright.loop.effects import Append, Notify, Retrain, Serve, Settle
from selfright.loop.endings import ended
from selfright.loop.keeper import Kept
from selfright.loop.serving import follow
from selfright.loop.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from selfright.clock import Clock
    from selfright.events.record import AnyAct
    from selfright.log.protocol import EventLog
    from selfright.loop.effects import Effect
    from selfright.retrain.job import Job
    from selfright.sinks.notifier import Notifier

_log = logging.getLogger("selfright")
# A record that the log refused, because its disk is full, is offered again so often.
_AGAIN_S: Final = 1.0
# Of the time a stop may take: what a retraining under way may have of it.
_RETRAINING_SHARE: Final = 0.75
CUT_SHORT: Final = "the process ended before the retraining did"


class Performer:
    """Performs effects, and tells those who wait for a retraining.

    Parameters
    ----------
    act
        Commits an act to the log.
    failed
        Is told where something failed, and why.
    """

    def __init__(
        self,
        *,
        job: Job,
        notifier: Notifier,
        log: EventLog,
        clock: Clock,
        act: Callable[[AnyAct], object],
        failed: Callable[[str, BaseException], None],
    ) -> None:
        self.job = job
        self.notifier = notifier
        self._log = log
        self._clock = clock
        self._act = act
        self._failed = failed
        self._jobs: Worker[Retrain] | None = None
        self._others: Worker[Effect] | None = None
        self._expected: dict[str, tuple[RetrainRequested, Future[RetrainFinished]]] = {}
        self._attempts: dict[str, Attempt] = {}
        # Is told of each retraining how far it is; it must not block.
        self.watch: Callable[[str, float], None] | None = None
        self._ending = False
        # Records that did not get into the log. The next start finds them again, as long
        # as no checkpoint says that they are there.
        self.lost = 0

    # ---- effects ---------------------------------------------------------------------

    def perform(self, effect: Effect) -> None:
        """Perform an effect now, or have it performed in its turn."""
        jobs, others = self._jobs, self._others
        if isinstance(effect, Retrain):
            if jobs is None and self._ending:
                return  # the next start goes on with it, or records it as aborted
            self._attempts[effect.request.act_id] = Attempt()
            if jobs is not None:
                jobs.submit(effect)
            else:
                self._retrain(effect)
        elif others is None:
            self._do(effect)
        else:
            others.submit(effect)

    @property
    def complete(self) -> bool:
        """Whether all that was asked for stands in the log and in the registry."""
        return not self.lost and (self._others is None or not self._others.busy)

    def _do(self, effect: Effect) -> None:
        try:
            match effect:
                case Append(act):
                    _tell(act)
                    self._record(act, self._others)
                    self._resolve(act)
                case Serve() | Settle():
                    follow(self.job.registry, effect, self._clock.now_us())
                case Notify(alert):
                    self.notifier.notify(alert)
        except Exception as error:  # noqa: BLE001 - the isolation point of the effects
            self.lost += isinstance(effect, Append)
            self._failed(type(effect).__name__.lower(), error)

    def _retrain(self, effect: Retrain) -> None:
        worker, request = self._jobs, effect.request
        attempt = self._attempts[request.act_id]

        def goes_on(share: float) -> None:
            if self.watch is not None:
                self.watch(request.act_id, share)
            attempt.reached(share)
            if worker is not None and worker.abandoned.is_set():
                raise TimeoutError(CUT_SHORT)

        try:
            finished = self.job.run(
                request,
                effect.champion,
                effect.parent_version,
                effect.recent,
                self._log,
                self._clock,
                goes_on,
                deleted=effect.deleted,
            )
            if worker is not None and worker.abandoned.is_set():
                return  # the next start goes on with it, or records it as aborted
            _tell(finished)
            self._record(finished, worker)
            self.job.forget(request.act_id)
            self._resolve(finished)
        except Exception as error:  # noqa: BLE001 - the isolation point of the retrainings
            self._failed("retrain", error)
        finally:
            if self._attempts.get(request.act_id) is attempt:
                del self._attempts[request.act_id]
            attempt.ended.set()

    def _record(self, act: AnyAct, worker: Worker[Retrain] | Worker[Effect] | None) -> None:
        """Commit an act; a worker does not give up while the disk refuses.

        A request, result or verdict that is missing in the log would keep the model from
        being retrained ever again.
        """
        while True:
            try:
                self._act(act)
            except (BackpressureError, StorageError) as error:
                if worker is None or worker.abandoned.wait(_AGAIN_S):
                    raise
                self._failed("log", error)
            else:
                return

    # ---- a retraining under way ------------------------------------------------------

    def attempt(self, retrain_id: str) -> Attempt | None:
        """Return a retraining that is being made, or waits for its turn."""
        return self._attempts.get(retrain_id)

    # ---- waiting for a retraining ----------------------------------------------------

    def expect(self, request: RetrainRequested) -> Future[RetrainFinished]:
        """Return a future of the request's first result."""
        future: Future[RetrainFinished] = Future()
        self._expected[request.act_id] = request, future
        return future

    def forget(self, request: RetrainRequested) -> None:
        """Expect it no more."""
        self._expected.pop(request.act_id, None)

    def _resolve(self, act: AnyAct) -> None:
        if isinstance(act, RetrainFinished):
            _, future = self._expected.get(act.retrain_id, (None, None))
            if future is not None and not future.done():
                future.set_result(act)

    # ---- life ------------------------------------------------------------------------

    def start(self) -> list[Kept]:
        """Perform in threads from now on; return them, to be looked after."""
        jobs = self._jobs = Worker(
            "selfright-retrain", self._retrain, lambda error: self._failed("retrain", error)
        )
        others = self._others = Worker(
            "selfright-effects", self._do, lambda error: self._failed("effects", error)
        )
        jobs.start()
        others.start()
        return [
            Kept("retrains models", lambda: jobs.well, jobs.start),
            Kept("records and tells what was decided", lambda: others.well, others.start),
        ]

    def settle(self, *, retrainings: bool = True) -> None:
        """Return when the effects asked for so far have been performed."""
        others, jobs = self._others, self._jobs
        if others is not None:
            others.settle()
        if jobs is not None and retrainings:
            jobs.settle()

    def stop(self, timeout_s: float) -> None:
        """Perform what waits and end the threads, in time; then in the caller's thread.

        A retraining that does not end in time is left behind, its result is dropped, and
        who waits for it is told that it was aborted.
        """
        jobs, others = self._jobs, self._others
        if jobs is None or others is None:
            return
        self._ending = True
        share_s = timeout_s * _RETRAINING_SHARE
        if not jobs.stop(share_s):
            _log.warning("a retraining did not end within %.1f s of the stop", share_s)
        self.lost += not others.stop(timeout_s - share_s)
        self._jobs = self._others = None
        self._attempts.clear()  # what was left behind is nobody's any more
        for request, future in list(self._expected.values()):
            if not future.done():
                now_us = self._clock.now_us()
                future.set_result(ended(request, "aborted", CUT_SHORT, now_us))

    def stopped(self) -> None:
        """Perform retrainings in the caller's thread, too, from now on."""
        self._ending = False


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

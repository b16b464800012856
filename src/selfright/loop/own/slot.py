"""One model of the user's own: what serves, what is on trial, what is on watch, as they learn.

All of them read the log in step. On each batch of events each that is judged scores them,
then learns them; the gates compare the scores. What comes of that ``proving`` decides.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from selfright.loop.own.follower import Follower
from selfright.loop.own.protocol import score_range
from selfright.loop.own.stored import Covered
from selfright.loop.own.trial import OwnTrial
from selfright.loop.own.versions import OwnVersions
from selfright.retrain.gate import PredictiveGate
from selfright.retrain.loss import ScoreGap

if TYPE_CHECKING:
    from collections.abc import Callable

    from selfright.clock import Clock
    from selfright.events.record import RetrainFinished
    from selfright.log.protocol import EventLog
    from selfright.loop.own.events import Batch
    from selfright.loop.own.protocol import OwnModel
    from selfright.loop.own.told import Told
    from selfright.loop.own.watch import OwnWatch
    from selfright.loop.probation import ProbationPolicy
    from selfright.retrain.gate import GatePolicy
    from selfright.retrain.registry import ModelRegistry

_log = logging.getLogger("selfright")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What models of the user's own live by.

    Attributes
    ----------
    log
        What they learn; a version that learnt another one starts this one anew.
    failed
        Is told where something failed, and why.
    """

    log: EventLog
    registry: ModelRegistry
    gate: GatePolicy
    watch: ProbationPolicy
    clock: Clock
    told: Told
    failed: Callable[[str, BaseException], None]


class OwnSlot:
    """Holds one model of the user's own. Not thread-safe; see ``models``.

    Attributes
    ----------
    serving, trial, watch
        What serves; a refitted copy beside it; the parent it replaced, in shadow.
    learnt
        Events that what serves has learnt.
    saved
        Events that its newest version has.
    time_us
        Log time of what was learnt last.
    """

    def __init__(self, name: str, model: OwnModel, around: Surroundings) -> None:
        self.name = name
        self.around = around
        self.versions = OwnVersions(name, around.registry, around.clock)
        self.serving = self.follower(model, 0)
        self.trial: OwnTrial | None = None
        self.watch: OwnWatch | None = None
        self.learnt = 0
        self.saved = -1
        self.time_us = 0
        self.failures = 0
        self.last_failure: str | None = None
        self.disabled: str | None = None

    # ---- reading ---------------------------------------------------------------------

    @property
    def model(self) -> OwnModel:
        """What serves."""
        return self.serving.model

    @property
    def loss(self) -> ScoreGap:
        """By what two of its models are compared."""
        return ScoreGap(*score_range(self.model))

    @property
    def is_judged(self) -> bool:
        """Whether scores decide something now, so that batches have to be small."""
        return self.trial is not None or self.watch is not None

    @property
    def covered(self) -> int:
        """The log's offset before which all of its models have learnt everything."""
        return min(one.offset for one in self._followers())

    @property
    def is_news(self) -> bool:
        """Whether what it reads next is new to what serves, and not read again for a watch."""
        at, watch = self.covered, self.watch
        return self.serving.offset == at and (watch is None or at >= watch.since)

    def until(self, end: int) -> int:
        """Return how far to read on at once: to ``end``, or to where another model joins in."""
        joins = [one.offset for one in self._followers()]
        if self.watch is not None:
            joins.append(self.watch.since)
        covered = self.covered
        return min([end, *(offset for offset in joins if offset > covered)])

    def covers(self) -> Covered:
        """Return what that which serves has learnt."""
        return Covered(self.around.log.log_id, self.serving.offset, self.learnt, self.time_us)

    def offset_of(self, covered: Covered) -> int:
        """Return up to where a version has learnt this log: nothing of it, if it was another."""
        return covered.offset if covered.log_id == self.around.log.log_id else 0

    def row(self) -> dict[str, Any]:
        """Return what is shown of it in the list of models."""
        return {
            "model_type": self.name,
            "version": self.versions.current,
            "on_trial": self.trial is not None,
            "updates": self.learnt,
            "failures": self.failures,
            "last_failure": self.last_failure,
            "disabled": self.disabled,
        }

    # ---- learning --------------------------------------------------------------------

    def learn(self, batch: Batch) -> None:
        """Score, then learn, then compare the scores of what is on trial and on watch."""
        start, trial, watch = self.covered, self.trial, self.watch
        self.time_us = max(self.time_us, batch.log_time_us)
        taking = [one for one in self._followers() if one.offset == start]
        if self.serving not in taking:
            for one in taking:  # the parent alone, which is behind after a restart
                one.take(batch, judged=False)
            return
        watched = watch is not None and start >= watch.since
        scored = {one: one.take(batch, judged=trial is not None or watched) for one in taking}
        self.learnt += len(batch.events)
        now = scored[self.serving]
        if watch is not None and watched:
            watch.look(scored.get(watch.parent), now, self.time_us)
        if trial is not None:
            trial.look(now, scored.get(trial.follower), self.time_us)

    def open(
        self, model: OwnModel, version: int, opened_us: int, pending: RetrainFinished
    ) -> OwnTrial:
        """Put a refitted copy on trial; it has learnt of the log what ``serving`` has."""
        loss = self.loss
        follower = self.follower(model, self.serving.offset, f"challenger {version}: ")
        gate = PredictiveGate(self.around.gate, loss, opened_us)
        self.trial = OwnTrial(follower, version, gate, pending, loss.low)
        return self.trial

    # ---- keeping ---------------------------------------------------------------------

    def save(self) -> int | None:
        """Save what it has learnt since its version; return the version that serves.

        Not while a challenger is on trial: the two have to begin at the same event, or a
        restart could not go on with the trial. Raises what the model or the disk raises.
        """
        if self.trial is None and self.saved != self.learnt:
            current = self.versions.current
            version = self.versions.keep(self.model, self.covers(), current, None)
            self.versions.promote(version, "saved")
            self.saved = self.learnt
        return self.versions.current

    # ---- failures --------------------------------------------------------------------

    def follower(self, model: OwnModel, offset: int, called: str = "") -> Follower:
        """Return a model as one that follows the log; what it raises is counted here."""
        return Follower(model, offset, self.note, called)

    def note(self, what: str, error: BaseException) -> None:
        """Count a failure, and show it."""
        self.failures += 1
        self.last_failure = f"{what}: {said(error)}"
        _log.warning("model %s: %s failed", self.name, what, exc_info=error)

    def _followers(self) -> list[Follower]:
        trial = [] if self.trial is None else [self.trial.follower]
        parent = [] if self.watch is None else [self.watch.parent]
        return [self.serving, *trial, *parent]


def said(error: BaseException) -> str:
    """Return an error in words, with its type."""
    return f"{type(error).__name__}: {error}"

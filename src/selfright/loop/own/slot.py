"""The life of one model of the user's own: it learns, is retrained, proves itself, serves.

A challenger is a copy that was refitted. On each batch of events both score, then both
learn; the betting gate compares their scores event by event. What a model raises is
counted and never raised further; one that goes on raising is switched off.
"""

from __future__ import annotations

import copy
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from selfright.clock import monotonic_s
from selfright.errors import ConfigError, CorruptLogError, SelfrightError, UnknownNameError
from selfright.events.timestamp import iso
from selfright.loop.own.protocol import score_range, scores
from selfright.loop.own.stored import Covered, packed, unpacked
from selfright.loop.retraining import RetrainResult, new_id
from selfright.retrain.gate import PredictiveGate
from selfright.retrain.loss import ScoreGap

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from selfright.clock import Clock
    from selfright.events.record import GateRecord
    from selfright.loop.outcome_event import OutcomeEvent
    from selfright.loop.own.events import Batch
    from selfright.loop.own.protocol import OwnModel
    from selfright.retrain.gate import GatePolicy, Verdict
    from selfright.retrain.registry import ModelRegistry

_log = logging.getLogger("selfright")
# What fails as often as this in a row will fail again.
_MOST_FAILURES: Final = 5
_KEPT: Final = 100  # retrainings that are remembered
_Answer = TypeVar("_Answer")


@dataclass(slots=True)
class OwnTrial:
    """A refitted copy on trial."""

    model: OwnModel
    version: int
    gate: PredictiveGate
    result: dict[str, Any]


class OwnSlot:
    """Holds one model of the user's own. Not thread-safe; see ``models``.

    Parameters
    ----------
    log_id
        The log it learns from; a version that learnt another one starts this one anew.
    failed
        Is told where something failed, and why.

    Raises
    ------
    ConfigError
        If the version that serves cannot be loaded by ``model``.
    """

    def __init__(
        self,
        name: str,
        model: OwnModel,
        *,
        registry: ModelRegistry,
        log_id: str,
        gate: GatePolicy,
        clock: Clock,
        failed: Callable[[str, BaseException], None],
    ) -> None:
        self.name = name
        self.model = model
        self.covered = 0
        self.learnt = 0
        self.failures = 0
        self.last_failure: str | None = None
        self.disabled: str | None = None
        self.trial: OwnTrial | None = None
        self.retrainings: deque[RetrainResult] = deque(maxlen=_KEPT)
        self._registry = registry
        self._log_id = log_id
        self._gate = gate
        self._clock = clock
        self._failed = failed
        self._in_a_row = 0
        self._saved = -1  # events that its version has learnt
        self._time_us = 0
        self._begin()

    @property
    def version(self) -> int | None:
        """The version it was last saved as, and that it learns on from."""
        return self._registry.current(self.name)

    def row(self) -> dict[str, Any]:
        """Return what is shown of it in the list of models."""
        return {
            "model_type": self.name,
            "version": self.version,
            "on_trial": self.trial is not None,
            "updates": self.learnt,
            "failures": self.failures,
            "last_failure": self.last_failure,
            "disabled": self.disabled,
        }

    # ---- learning --------------------------------------------------------------------

    def learn(self, batch: Batch) -> None:
        """Score, compare, then learn; what was raised costs this batch and no more."""
        self._time_us = max(self._time_us, batch.log_time_us)
        trial, events = self.trial, batch.events
        if events:
            if trial is not None:
                self._compare(trial, batch)
            self._try("update", self.model.update, events)
            self.learnt += len(events)
        self.covered = batch.next_offset
        if self.trial is not None:
            record = self.trial.gate.expire(self._time_us)
            if record is not None:
                self._decide(self.trial, record)

    def _compare(self, trial: OwnTrial, batch: Batch) -> None:
        fresh = [e for e, is_fresh in zip(batch.events, batch.fresh, strict=True) if is_fresh]
        ours = self._try("score", scores, self.model, fresh)
        try:
            theirs = scores(trial.model, fresh)
            trial.model.update(batch.events)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code
            self._note(f"challenger {trial.version}", error)
            self._decide(trial, trial.gate.record("rejected"), error)
            return
        low = score_range(self.model)[0]
        for champion, challenger in zip(ours or (), theirs, strict=False):
            if champion is None:
                continue
            # What the champion judges and the challenger does not would flatter it.
            record = trial.gate.update(0.0, champion, low if challenger is None else challenger)
            if record is not None:
                self._decide(trial, record)
                return

    # ---- retraining ------------------------------------------------------------------

    def retrain(
        self,
        events: Sequence[OutcomeEvent],
        reason: str,
        *,
        automatic: bool = False,
        retrain_id: str | None = None,
    ) -> RetrainResult:
        """Refit a copy on ``events`` and put it on trial; what fails is a result, too."""
        started_s = monotonic_s()
        result: dict[str, Any] = {
            "success": False,
            "model_type": self.name,
            "retrain_type": "full",
            "events_processed": len(events),
            "agents_tracked": len({event.agent_name for event in events}),
            "reason": reason,
            "retrain_id": retrain_id or new_id(),
            "state": "failed",
            "promoted": False,
            "automatic": automatic,
            "agents": [],
            "parent_version": None,
        }
        refused = self._refusal(events)
        if refused is not None:
            return self._result({**result, "error": refused}, started_s)
        try:
            parent = self.save()
            challenger = copy.deepcopy(self.model)
            challenger.refit(list(events))
            version = self._keep(challenger, parent, reason, result)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code, or the disk
            self._note("refit", error)
            return self._result({**result, "error": _said(error)}, started_s)
        self._in_a_row = 0
        result |= {
            "success": True, "state": "pending", "version": version, "parent_version": parent,
        }  # fmt: skip
        self._open(challenger, version, self._time_us, result)
        assert self.trial is not None  # opened just now
        self.trial.result["duration_ms"] = (monotonic_s() - started_s) * 1e3
        return self._result(self.trial.result, started_s)

    def _refusal(self, events: Sequence[OutcomeEvent]) -> str | None:
        if self.disabled is not None:
            return self.disabled
        if self.trial is not None:
            return f"retraining {self.trial.result['retrain_id']} is on trial"
        return None if events else "no events to learn from yet"

    def _open(self, model: OwnModel, version: int, opened_us: int, result: dict[str, Any]) -> None:
        loss = ScoreGap(*score_range(self.model))
        self.trial = OwnTrial(model, version, PredictiveGate(self._gate, loss, opened_us), result)

    def _decide(
        self, trial: OwnTrial, record: GateRecord, error: BaseException | None = None
    ) -> None:
        promoted = record.verdict == "promoted"
        now_us = self._clock.now_us()
        self.trial = None
        if promoted:
            self.model = trial.model
            self._saved = -1
        try:
            if promoted:
                self._registry.promote(self.name, trial.version, "promoted", now_us, record)
            else:
                self._registry.settle(self.name, trial.version, record, now_us)
        except SelfrightError as refused:
            self._failed(f"model {self.name}", refused)
        done = {**trial.result, "state": "done", "promoted": promoted, "gate": record}
        self._result({**done, "error": None if error is None else _said(error)}, monotonic_s())
        _log.info("%s: version %d is %s", self.name, trial.version, record.verdict)

    def _result(self, values: dict[str, Any], started_s: float) -> RetrainResult:
        shown = {"duration_ms": (monotonic_s() - started_s) * 1e3, **values}
        gate = shown.get("gate")
        if gate is None and shown["state"] == "pending" and self.trial is not None:
            gate = self.trial.gate.record()
        shown["gate"] = msgspec.to_builtins(gate)
        found = RetrainResult({**shown, "timestamp": iso(self._clock.now_us())})
        for i, before in enumerate(self.retrainings):
            if before.retrain_id == found.retrain_id:
                self.retrainings[i] = found
                return found
        self.retrainings.append(found)
        return found

    # ---- versions --------------------------------------------------------------------

    def save(self) -> int | None:
        """Save what it has learnt since its version; return the version that serves.

        Not while a challenger is on trial: the two have to begin at the same event, or a
        restart could not go on with the trial. Raises what the model or the disk raises.
        """
        if self.trial is None and self._saved != self.learnt:
            version = self._keep(self.model, self.version, "saved", None)
            self._registry.promote(self.name, version, "saved", self._clock.now_us())
            self._saved = self.learnt
        return self.version

    def try_to_save(self) -> int | None:
        """Save; what stands in the way is counted, and the version before is returned."""
        return self.version if self.disabled else self._try("save", self.save) or self.version

    def serve(self, version: int, reason: str) -> None:
        """Let an earlier version serve; it then learns what came since. Ends a trial.

        Raises ``UnknownNameError``, ``CorruptLogError``, and ``ConfigError`` if it cannot
        be loaded; then nothing has changed.
        """
        model, covered = self._loaded(version)
        if self.trial is not None:
            verdict: Verdict = "forced" if self.trial.version == version else "inconclusive"
            self._decide(self.trial, self.trial.gate.record(verdict))
        self._registry.promote(self.name, version, reason, self._clock.now_us())
        self.model, self.disabled, self._in_a_row = model, None, 0
        self._take_over(covered)

    def _loaded(self, version: int) -> tuple[OwnModel, Covered]:
        stored = self._registry.load(self.name, version)
        model = copy.deepcopy(self.model)
        try:
            return model, unpacked(model, stored.state)
        except (Exception, SystemExit) as error:
            raise ConfigError(
                f"model {self.name!r}",
                version,
                f"this version could not be loaded ({_said(error)}); "
                "register a model that reads it, or another name",
            ) from error

    def _keep(
        self, model: OwnModel, parent: int | None, reason: str, result: dict[str, Any] | None
    ) -> int:
        covered = Covered(self._log_id, self.covered, self.learnt, self._time_us)
        meta: dict[str, Any] = {
            "reason": reason,
            "samples": self.learnt if result is None else result["events_processed"],
            "retrain_type": "snapshot" if result is None else "full",
            "retrain_id": None if result is None else result["retrain_id"],
            "offsets": [0, self.covered],
        }
        return self._registry.save(self.name, packed(model, covered), parent=parent, meta=meta)

    # ---- beginning -------------------------------------------------------------------

    def _begin(self) -> None:
        """Take over the version that serves, and a trial that was under way."""
        current = self._registry.load_current(self.name).version
        if current is not None:
            self.model, covered = self._loaded(current)
            self._take_over(covered)
        versions = self._registry.versions(self.name)
        if versions and versions[-1].state == "challenger":
            self._resume(versions[-1].version, versions[-1].parent, versions[-1].retrain_id)

    def _take_over(self, covered: Covered) -> None:
        same = covered.log_id == self._log_id
        # Another log: nothing of it was learnt yet.
        self.covered = covered.offset if same else 0
        self.learnt, self._time_us = covered.events, covered.time_us if same else 0
        self._saved = self.learnt

    def _resume(self, version: int, parent: int | None, retrain_id: str | None) -> None:
        """Go on with a trial: both versions end at one event, and the log has the rest."""
        try:
            model, covered = self._loaded(version)
        except (ConfigError, CorruptLogError, UnknownNameError) as error:
            self._note(f"challenger {version}", error)
            return
        if (covered.log_id, covered.events) != (self._log_id, self.learnt):
            gate = PredictiveGate(self._gate, ScoreGap(*score_range(self.model)), 0)
            record = gate.record("inconclusive")
            self._registry.settle(self.name, version, record, self._clock.now_us())
            return
        result = {
            "success": True, "model_type": self.name, "retrain_type": "full", "state": "pending",
            "retrain_id": retrain_id or new_id(), "version": version, "parent_version": parent,
            "promoted": False, "agents": [],
        }  # fmt: skip
        self.covered = covered.offset
        self._open(model, version, covered.time_us, result)

    # ---- failures --------------------------------------------------------------------

    def _try(self, what: str, call: Callable[..., _Answer], *given: Any) -> _Answer | None:
        try:
            found = call(*given)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code
            self._note(what, error)
            return None
        self._in_a_row = 0
        return found

    def _note(self, what: str, error: BaseException) -> None:
        self.failures += 1
        self._in_a_row += 1
        self.last_failure = f"{what}: {_said(error)}"
        _log.warning("model %s: %s failed", self.name, what, exc_info=error)
        if self._in_a_row >= _MOST_FAILURES and self.disabled is None:
            self.disabled = (
                f"switched off after {self._in_a_row} failures in a row, the last: "
                f"{self.last_failure}; mend the model and register it again"
            )
            self._failed(f"model {self.name}", RuntimeError(self.disabled))


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"

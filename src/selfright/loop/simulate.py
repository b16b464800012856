"""Run the same circle without threads, over a file, to see what settings would have done.

The clock is the file's own, and every effect runs at the very row that caused it.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from selfright.events.batch import Intake
from selfright.events.record import (
    AlertTransition,
    RetrainFinished,
    RetrainRequested,
    SettingsApplied,
)
from selfright.events.timestamp import iso
from selfright.loop.effects import Append, Retrain, Serve, Settle
from selfright.loop.serving import follow

if TYPE_CHECKING:
    from selfright.events.batch import Commit, Ints
    from selfright.events.record import AnyAct
    from selfright.loop.control import Circle
    from selfright.loop.effects import Effect


class Simulation:
    """Feeds intakes to a circle that was opened with ``file_clock`` and never started.

    Parameters
    ----------
    circle
        Over a log in memory and a registry in memory.
    """

    def __init__(self, circle: Circle) -> None:
        self._circle = circle
        self._row = 0
        self.runs = 0
        self.outcomes = 0
        self.duplicates = 0
        self.alerts: dict[str, dict[str, Any]] = {}
        self.requests: dict[str, tuple[int, RetrainRequested]] = {}
        self.results: dict[str, RetrainFinished] = {}
        self._rows = np.zeros(0, dtype=np.int64)
        self._first = 0
        self._fed: list[tuple[int, Ints]] = []  # every first offset, and the rows from there
        self._keep(SettingsApplied(act_id="automatic", ts_us=0, settings={"automatic": True}))

    def feed(self, intake: Intake, rows: Ints) -> None:
        """Take an intake into account; ``rows[seq]`` is the file's row of each seq."""
        log = self._circle.log
        at_us = max(
            (int(batch.ts_us.max()) for batch in (intake.runs, intake.outcomes) if len(batch)),
            default=0,
        )
        receipt = log.append(intake, at_us)
        kept = np.concatenate(
            [
                intake.runs.seq[~receipt.duplicate_runs],
                intake.outcomes.seq[~receipt.duplicate_outcomes],
            ]
        )
        self.runs += int((~receipt.duplicate_runs).sum())
        self.outcomes += int((~receipt.duplicate_outcomes).sum())
        self.duplicates += receipt.duplicates
        if receipt.next_offset == receipt.first_offset:
            return
        # Kept rows got consecutive offsets in the order of their seq.
        self._first, self._rows = receipt.first_offset, rows[np.sort(kept)]
        self._fed.append((self._first, self._rows))
        self._fold(self._circle.log.read(receipt.first_offset, 1)[0])

    def _fold(self, commit: Commit) -> None:
        at, fold = commit.first_offset, self._circle.fold
        while at < commit.next_offset:
            effects, at = fold.apply(commit, at)
            if self._first < at <= self._first + len(self._rows):
                self._row = int(self._rows[at - 1 - self._first])
            for effect in effects:
                self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Append(act):
                self._keep(act)
            case Retrain():
                self._keep(
                    self._circle.job.run(
                        effect.request,
                        effect.champion,
                        effect.parent_version,
                        effect.recent,
                        self._circle.log,
                        _FoldClock(self._circle),
                        deleted=effect.deleted,
                    )
                )
                self._circle.job.forget(effect.request.act_id)
            case Serve() | Settle():
                follow(self._circle.job.registry, effect, self._circle.fold.now_us)
            case _:
                pass  # nobody is told: the alerts are in the result

    def _keep(self, act: AnyAct) -> None:
        """Write an act down and take it into account at once, at this very row."""
        match act:
            case RetrainRequested():
                self.requests[act.act_id] = (self._row, act)
            case RetrainFinished():
                self.results[act.retrain_id] = act
            case AlertTransition():
                self._note(act)
            case _:
                pass
        log = self._circle.log
        receipt = log.append(Intake.of(acts=[act]), self._circle.fold.now_us)
        if receipt.accepted:
            first, rows = self._first, self._rows
            self._first, self._rows = receipt.first_offset, rows[:0]
            self._fold(log.read(receipt.first_offset, 1)[0])
            self._first, self._rows = first, rows

    def _note(self, act: AlertTransition) -> None:
        at = self._row_of(act.details.get("offset"), self._row)
        known = self.alerts.get(act.alert_id)
        if known is None:
            known = self.alerts[act.alert_id] = {
                "alert_id": act.alert_id,
                "rule": act.rule,
                "metric_type": act.details["metric_type"],
                "agent_name": act.agent_name,
                "level": act.level,
                "certain": False,
                "at_event": at,
                "opened_at_event": at,
                "at": iso(act.ts_us),
                "value": act.details["current_value"],
                "threshold": act.details["threshold"],
                "change_point_event": None,
                "resolved_at_event": None,
            }
        known["level"] = act.level
        if not known["certain"] and "run_length" in act.details.get("inputs", {}):
            # A warning that became certain is told as what it became, at the event it did.
            known.update(
                certain=True,
                at_event=at,
                at=iso(act.ts_us),
                value=act.details["current_value"],
                threshold=act.details["threshold"],
                change_point_event=self._row_of(act.details["inputs"]["changed_offset"], -1) + 1,
            )
        if act.state == "resolved" and act.details["event"] == "cleared":
            known["resolved_at_event"] = at

    def _row_of(self, offset: object, otherwise: int) -> int:
        """Return the row of the file that got an offset."""
        if not isinstance(offset, int) or offset < 0 or not self._fed:
            return otherwise
        first, rows = self._fed[bisect_right(self._fed, offset, key=itemgetter(0)) - 1]
        place = offset - first
        return int(rows[place]) if 0 <= place < len(rows) else otherwise

    def result(self) -> dict[str, Any]:
        """Return the alerts, retrainings and figures, as ``selfright replay --json`` prints."""
        from selfright.loop.view import FleetView

        view = FleetView(self._circle)
        suppressed = view.suppressed(1_000_000)
        return {
            "events": self.runs + self.outcomes,
            "runs": self.runs,
            "outcomes": self.outcomes,
            "agents": len(self._circle.fold.agents),
            "alerts": list(self.alerts.values()),
            "retrainings": [self._retraining(*found) for found in self.requests.values()],
            "suppressed": suppressed,
            "system_metrics": view.system(float("inf")).to_dict(),
            "agent_metrics": {
                name: agent.metrics.to_dict() for name, agent in view.agents(float("inf")).items()
            },
            "health_score": view.health()["health_score"],
        }

    def _retraining(self, at_event: int, request: RetrainRequested) -> dict[str, Any]:
        result = self.results.get(request.act_id)
        return {
            "at_event": at_event,
            "at": iso(request.ts_us),
            "model_type": request.model_type,
            "retrain_type": request.mode,
            "trigger": request.causes,
            "reason": request.reason,
            "agents": request.agents,
            "events_processed": 0 if result is None else result.events_processed,
            "state": None if result is None else result.state,
            "gate": None
            if result is None or result.gate is None
            else msgspec.to_builtins(result.gate),
            "promoted": result is not None and result.promoted,
            "version": None if result is None else result.version,
        }


class _FoldClock:
    """The file's time for records that a job writes."""

    def __init__(self, circle: Circle) -> None:
        self._circle = circle

    def now_us(self) -> int:
        return self._circle.fold.now_us

"""The state of everything, as a function of the log: ``apply(commit) -> effects``.

Pure: no clock, no thread, no file. What the world has to do is returned as effects, and
what comes of them arrives as further commits. Folding the same log again gives the same
state, the same alerts and the same decisions, byte for byte.

One commit passes these stages: the detectors judge its rows (``evidence``), the alerts and
the trigger hear row after row what they found; up to the row at which something was
triggered, the rows then enter the metrics and the models; the gate compares a
challenger with its champion on the way (``trials``). ``apply`` stops behind a row that
triggered something, so that a simulation can run the effect at that very offset.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from selfright.detect.certainty.budget import HOUR_US
from selfright.detect.certainty.said import DETECTOR, detections_of
from selfright.detect.detection import SYSTEM, Kind, WatchedMetric
from selfright.detect.labels import Labels
from selfright.events.absent import Absent, without_deleted
from selfright.events.intern import Interner
from selfright.events.record import (
    AlertTransition,
    Decision,
    ModelAdopted,
    OperatorAct,
    RetrainFinished,
    RetrainRequested,
    SettingsApplied,
    decode_act,
    encode_act,
)
from selfright.learn.feed import Feed
from selfright.loop.evidence import first_due, judge, judged, labels_of
from selfright.loop.rooms import Moment, Rooms
from selfright.loop.trials import Trials
from selfright.loop.versions import Versions
from selfright.retrain.trigger import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from selfright.detect.detection import Detection
    from selfright.events.batch import Commit
    from selfright.events.record import AnyAct
    from selfright.loop.effects import Effect
    from selfright.loop.evidence import Row
    from selfright.loop.ports import ModelSource
    from selfright.loop.rooms import FoldPolicy

if TYPE_CHECKING:
    Codes = np.ndarray[tuple[int], np.dtype[Any]]  # of agents, int32, one a row

# Decisions remembered so that an outcome reported by decision finds its agent.
_DECISIONS: Final = 10_000
_NEVER: Final = 1 << 62
# Of the saved state; another one is not read, and the log is folded anew. To be raised with
# each change of what any room saves.
_LAYOUT: Final = 6


class Fold:
    """The folded state. ``apply`` is the only way to change it.

    Parameters
    ----------
    log_id
        The log it is folded from; a state of another log is refused.
    models
        Where the versions that retrainings made are found.
    """

    def __init__(self, log_id: str, rooms: Rooms, policy: FoldPolicy, models: ModelSource) -> None:
        self.log_id = log_id
        self.rooms = rooms
        self.policy = policy
        self._models = models
        self.trials = Trials(rooms, policy, models)
        self.agent_types: dict[str, str] = {}
        self.agent_versions: dict[str, str] = {}
        self.versions = Versions()
        self.decisions: OrderedDict[str, Decision] = OrderedDict()
        self.applied = 0
        self.automatic = False
        self._looked_hour = -1
        self._moment = Moment()

    @property
    def now_us(self) -> int:
        """The log's time, up to which everything is folded."""
        return self._moment.now_us

    @property
    def agents(self) -> Interner:
        """Names and codes of all agents ever seen."""
        return self.rooms.agents

    # ---- the verb --------------------------------------------------------------------

    def apply(self, commit: Commit, start: int | None = None) -> tuple[list[Effect], int]:
        """Take rows from offset ``start`` on into account.

        Returns the effects and the offset up to which the commit was taken: it stops
        behind a row that triggered something; call again until ``commit.next_offset``.
        """
        low = commit.first_offset if start is None else start
        moment = self._moment = Moment(self._moment.now_us, low)
        next_act = next((seq for seq, _ in commit.acts if seq >= low), _NEVER)
        act = next(act for seq, act in commit.acts if seq == low) if next_act == low else None
        if not self.policy.file_clock:
            moment.now_us = max(moment.now_us, commit.log_time_us)
        elif act is not None:
            # Not the commit's time: that of a batch of rows is the time of its last row.
            moment.now_us = max(moment.now_us, act.ts_us)
        if act is not None:
            self._take_act(act, moment)
            reached = low + 1
        else:
            high = min(next_act, commit.next_offset)
            high = self.trials.boundary(commit, low, high)
            if self.policy.file_clock:
                high = first_due(commit, low, high, self.rooms.trigger.due_us())
            reached = self._take_rows(commit, low, high, moment)
        self.trials.expire(moment)
        self._keep_to_schedule(moment)
        self._contain(moment)
        moment.tell(self.rooms.book.tick(moment.now_us))
        self.applied = reached
        return moment.effects, reached

    # ---- rows ------------------------------------------------------------------------

    def _take_rows(self, commit: Commit, low: int, high: int, moment: Moment) -> int:
        absent = self.rooms.absent
        part = without_deleted(commit.between(low, high), absent.deleted)
        returning = absent.returning(part)
        runs = self.agents.codes(part.runs.agent_name)
        outcomes = self.agents.codes(part.outcomes.agent_name)
        self.versions.note(part.runs)
        quiet = self._quiet(returning)
        asked = self._judge(part, runs, outcomes, quiet, moment)
        reached = high if asked is None else moment.offset + 1
        if reached < high:
            part = part.between(low, reached)
            runs, outcomes = runs[: len(part.runs)], outcomes[: len(part.outcomes)]
        if self.policy.alerts:
            self._trust(part, outcomes, quiet, moment)
        self._measure(part, runs, outcomes)
        for name, offset in returning.items():
            if offset < reached:
                absent.welcome(name)
        moment.offset = reached - 1
        self.trials.learn(part, moment)
        if asked is not None:
            self.trials.ask(asked.act, moment)
        return reached

    def _quiet(self, returning: Mapping[str, int]) -> dict[int, int]:
        """Return the codes of retired agents and the offsets from which they count again."""
        codes = ((self.agents.get(name), name) for name in self.rooms.absent.retired)
        return {code: returning.get(name, _NEVER) for code, name in codes if code is not None}

    def _judge(
        self, part: Commit, runs: Codes, outcomes: Codes, quiet: Mapping[int, int], moment: Moment
    ) -> Request | None:
        """Judge rows; stop at, and return, the first request for a retraining.

        Of the agents in ``quiet`` nothing is held against them before the offset given.
        """
        if not (self.policy.alerts or self.policy.retraining):
            return None
        rows = judged(part, runs, outcomes, quiet, moment.now_us, by_event=self.policy.file_clock)
        asking = self.automatic and self.policy.retraining
        rooms, urgent = self.rooms, self.rooms.trigger.urgent if asking else None
        with closing(judge(rooms.watch, rooms.certainty, rows, urgent)) as found:
            for row in found:
                moment.offset, moment.now_us = row.offset, row.now_us
                asked = self._hear(row, moment, asking=asking)
                if asked is not None:
                    return asked
        if len(rows.now_us):
            moment.offset, moment.now_us = int(rows.rows.offset[-1]), int(rows.now_us[-1])
        return None

    def _hear(self, row: Row, moment: Moment, *, asking: bool) -> Request | None:
        """Take what the detectors said of a row; return a request if it starts a retraining."""
        watch, book, trigger = self.rooms.watch, self.rooms.book, self.rooms.trigger
        for said in row.detections:
            name = self._name(said.scope)
            detection = self.versions.marked(said, name)
            trigger.observe(detection, name)
            if self.policy.alerts:
                measured = self._measured(detection)
                moment.tell(book.observe(detection, name, moment.now_us, measured))
        if not asking:
            return None
        asked = trigger.decide(watch, row.agent, moment.now_us, row.offset, self._name)
        return asked if isinstance(asked, Request) else None

    def _trust(
        self, part: Commit, outcomes: Codes, quiet: Mapping[int, int], moment: Moment
    ) -> None:
        """Warn where the outcomes themselves cannot be trusted."""
        for label in labels_of(part, outcomes, quiet):
            for detection in self.rooms.labels.update(label):
                name = self._name(detection.scope)
                moment.tell(self.rooms.book.observe(detection, name, moment.now_us))

    def _contain(self, moment: Moment) -> None:
        """Once an hour look for drops that hardly any outcomes come of."""
        hour = moment.now_us // HOUR_US
        if hour == self._looked_hour:
            return
        self._looked_hour = hour
        for stream, found in self.rooms.certainty.contained(moment.now_us):
            for detection in detections_of(stream, found, self.rooms.watch.policy):
                if self.policy.alerts:
                    name = self._name(detection.scope)
                    moment.tell(self.rooms.book.observe(detection, name, moment.now_us))

    def _keep_to_schedule(self, moment: Moment) -> None:
        """Ask for a full retraining whose time has come; at 0 no time is known yet."""
        if self.automatic and self.policy.retraining and moment.now_us > 0:
            asked = self.rooms.trigger.scheduled(moment.now_us, moment.offset)
            if asked is not None:
                self.trials.ask(asked.act, moment)

    def _measure(self, part: Commit, runs: Codes, outcomes: Codes) -> None:
        metrics, codes = self.rooms.metrics, self.agents.codes
        gone_runs, gone_outcomes = part.retracted_runs, part.retracted_outcomes
        if len(gone_runs):
            metrics.retract_runs(codes(gone_runs.agent_name), gone_runs)
        if len(gone_outcomes):
            metrics.retract_outcomes(codes(gone_outcomes.agent_name), gone_outcomes)
        if len(part.runs):
            metrics.update_runs(runs, part.runs)
            names, versions = part.runs.agent_name, part.runs.agent_version
            self.agent_types.update(zip(names, part.runs.agent_type, strict=True))
            if versions.count(None) < len(versions):
                self.agent_versions.update(
                    (name, version)
                    for name, version in zip(names, versions, strict=True)
                    if version is not None
                )
        if len(part.outcomes):
            metrics.update_outcomes(outcomes, part.outcomes)

    def _measured(self, detection: Detection) -> float | None:
        """Return p95 in ms where the detector followed the share of runs above the limit.

        None where the metrics, which are a few rows behind, do not show it yet.
        """
        if detection.metric is not WatchedMetric.LATENCY or "limit_ms" not in detection.inputs:
            return None
        agent = None if detection.scope < 0 else detection.scope
        found = self.rooms.metrics.snapshot(agent, self.now_us, trends=False).p95_latency_ms
        limit = detection.inputs.get("limit_ms")
        beyond = found is not None and isinstance(limit, float) and found > limit
        return found if beyond == (detection.kind is Kind.BEYOND) else None

    def _name(self, scope: int) -> str | None:
        return None if scope < 0 else self.agents.names[scope]

    # ---- acts ------------------------------------------------------------------------

    def _take_act(self, act: AnyAct, moment: Moment) -> None:
        match act:
            case Decision():
                self.decisions[act.act_id] = act
                if len(self.decisions) > _DECISIONS:
                    self.decisions.popitem(last=False)
                self.trials.note(act)
            case RetrainRequested():
                self.trials.request(act, moment)
            case RetrainFinished():
                self.trials.finish(act, moment)
            case OperatorAct():
                self._operate(act, moment)
            case SettingsApplied():
                self.automatic = bool(act.settings.get("automatic", self.automatic))
            case ModelAdopted():
                self.trials.adopted(act, moment)
            case AlertTransition():
                pass  # what the fold itself did, written down for readers of the log

    def _operate(self, act: OperatorAct, moment: Moment) -> None:
        if act.verb in {"rollback", "promote"}:
            self.trials.serve(act, moment)
            return
        code = self.agents.get(act.target)
        if act.verb == "accept_as_normal" and code is not None:
            self.rooms.watch.note_retraining(code)
            self.rooms.certainty.accept(code)
            self.rooms.trigger.forget(code)
            self._begin_fleet_anew(moment)
        elif act.verb in {"retire", "delete"} and code is not None:
            self._take_out(act, code, moment)
        moment.tell(self.rooms.book.operator(act, moment.now_us))

    def _take_out(self, act: OperatorAct, code: int, moment: Moment) -> None:
        rooms, name = self.rooms, act.target
        rooms.watch.forget(code)
        rooms.certainty.forget(code)
        rooms.labels.forget(code)
        rooms.trigger.forget(code)
        if act.verb == "delete":
            rooms.absent.delete(name, act.ts_us)
            rooms.metrics.evict(code)
            self.agent_types.pop(name, None)
            self.agent_versions.pop(name, None)
            self.versions.forget(name)
            self.trials.forget(name)
        else:
            rooms.absent.retire(name, act.ts_us)
        self._begin_fleet_anew(moment)
        self.trials.dismiss(moment)

    def _begin_fleet_anew(self, moment: Moment) -> None:
        """Learn what is normal for the fleet anew: one of its agents is another, or gone.

        Held against what it was with that agent, it would never be well again.
        """
        self.rooms.certainty.accept(SYSTEM)
        self.rooms.trigger.let_be(SYSTEM)
        moment.tell(self.rooms.book.withdraw(None, DETECTOR, moment.now_us))

    # ---- state -----------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return everything as plain values and numpy arrays; see ``saved``."""
        rooms = self.rooms
        return {
            "layout": _LAYOUT,
            "log_id": self.log_id,
            "applied": self.applied,
            "now_us": self.now_us,
            "automatic": self.automatic,
            "looked_hour": self._looked_hour,
            "agents": list(self.agents.names),
            "agent_types": self.agent_types,
            "agent_versions": self.agent_versions,
            "versions": self.versions.to_state(),
            "decisions": [encode_act(act) for act in self.decisions.values()],
            "metrics": rooms.metrics.to_state(),
            "watch": rooms.watch.to_state(),
            "certainty": rooms.certainty.to_state(),
            "labels": rooms.labels.to_state(),
            "book": rooms.book.to_state(),
            "trigger": rooms.trigger.to_state(),
            "feed": rooms.feed.to_state(),
            "absent": rooms.absent.to_state(),
            "trials": self.trials.to_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a state of the same log. Raises ``ValueError`` for one of another.

        Thresholds and policies are those of now: the state holds what happened. All of it
        is taken over or nothing: what is folded anew must not meet half of it, or it would
        count twice.
        """
        if state.get("layout") != _LAYOUT:
            raise ValueError("written by another version of Selfright")
        if state["log_id"] != self.log_id:
            raise ValueError(f"belongs to log {state['log_id']}, this is {self.log_id}")
        before = self.rooms
        rooms = Rooms(
            metrics=type(before.metrics).from_state(before.metrics.policy, state["metrics"]),
            watch=type(before.watch).from_state(before.watch.policy, state["watch"]),
            book=type(before.book).from_state(state["book"]),
            trigger=type(before.trigger).from_state(before.trigger.policy, state["trigger"]),
            feed=Feed.from_state(before.feed.policy, state["feed"]),
            certainty=before.certainty.restored(state["certainty"]),
            labels=Labels.from_state(state["labels"]),
            slots=dict(before.slots),
            gate=before.gate,
            absent=Absent.from_state(state["absent"]),
            probation=before.probation,
            canary=before.canary,
            agents=Interner(state["agents"], limit=before.metrics.policy.max_agents),
        )
        trials = Trials(rooms, self.policy, self._models)
        trials.restore(state["trials"])
        moment = Moment(state["now_us"], state["applied"])
        types, versions = dict(state["agent_types"]), dict(state["agent_versions"])
        changes = Versions.from_state(state["versions"])
        decided = [decode_act(data) for data in state["decisions"]]
        automatic, looked_hour = state["automatic"], state["looked_hour"]
        # Nothing below can fail.
        self.rooms, self.trials, self._moment = rooms, trials, moment
        self.applied, self.automatic = moment.offset, automatic
        self._looked_hour = looked_hour
        self.agent_types, self.agent_versions = types, versions
        self.versions = changes
        self.decisions = OrderedDict(
            (act.act_id, act) for act in decided if isinstance(act, Decision)
        )

"""When a retraining starts by itself. Pure: evidence and log time in, a request out.

===========================================================  ===============================
evidence                                                     action
===========================================================  ===============================
windowed mean beyond its threshold                           none (the alert warns)
success rate, error rate or accuracy of an agent *stands*    **incremental**, about all agents
(P(beyond the threshold) >= .95 at this outcome)             that may ask at this moment
the same of the fleet, and what is left of the fleet         **incremental**, about the whole
without those agents is beyond the threshold, too            fleet
a drop of a rate is *certain*, and beyond its threshold      **incremental** at once, about
                                                             the agent's data since the change
a certain drop *lasts*: fresh outcomes confirm it            **full**, once until it recovers
a certain drop within the threshold; limits on and changes   none
of latency, cost, tokens, memory
===========================================================  ===============================

An episode lasts from *likely* to *unlikely*, or from an alarm to its certain end. Who asks is
held back, and the reason is recorded once per episode and counted, while

- ``in_flight``: a retraining of the model is under way, or its challenger is on trial;
- ``breaker``: three automatic attempts in 24 h were rejected or failed; closes after 6 h, or
  when a drop becomes certain;
- ``budget``: 24 automatic attempts were made within 24 h;
- ``cooldown``: the last attempt about the agent, be it that the fleet asked for it, ended
  less than 5 min ago; doubles with each rejection up to 1 h, back to 5 min at the end of
  the episode;
- ``outcomes``: fewer than 100 new outcomes came since the last attempt about the agent;
- ``explained``: the fleet stands, or fell, only because of agents that stand or fell themselves.

What is certain waits for neither ``cooldown`` nor ``outcomes``, once an episode.

A *schedule* asks for a full retraining of the model about all agents, whatever the evidence. It
waits while one is in flight; neither ``breaker`` nor ``budget`` nor any pause hold it back, nor do
its attempts count there. Times that passed meanwhile, or while nobody was there, are one.

A cheap reversible act may be quick, but a signal that oscillates at its threshold must
not make a storm of them: everything above is counted in log time and outcomes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from selfright.alerts.message import cause, detection_says
from selfright.detect.detection import SYSTEM, Detection, Kind
from selfright.events.record import RetrainFinished, RetrainRequested
from selfright.events.timestamp import iso
from selfright.retrain.asker import Asker
from selfright.retrain.pace import Pace, span
from selfright.retrain.schedule import Schedule, Timetable
from selfright.retrain.standing import (
    Standing,
    asks,
    is_explained,
    new_outcomes,
    rates_of,
    seen_of,
)
from selfright.retrain.suppressed import Reason, Suppressed, SuppressedBook
from selfright.retrain.trigger_policy import TriggerPolicy

_CAUSES_TOLD: Final = 3
SCHEDULE: Final = "schedule"  # who asked, and by which rule

NameOf = Callable[[int], str | None]


@dataclass(frozen=True, slots=True)
class Request:
    """A retraining is to start. ``act`` is its record for the log; ``scopes`` who caused it."""

    act: RetrainRequested
    scopes: tuple[int, ...]


class Trigger:
    """Turns evidence that stands into requests, at most one retraining at a time.

    Every decision is a function of what it was told and of log time.

    Parameters
    ----------
    policy
        Pauses, counts and budgets.

    Notes
    -----
    ``decide`` costs 0.2 us while nothing stands, about 4 us while something does and is
    held back. State: some 300 bytes per scope that ever stood, or that
    an attempt was about, until ``forget``.
    """

    def __init__(self, policy: TriggerPolicy) -> None:
        self.policy = policy
        self.in_flight: str | None = None
        self.suppressed = SuppressedBook()
        self.urgent: set[int] = set()  # scopes to which certainty owes an attempt
        self._held_back: set[int] = set()  # those of them that were recorded as such
        self._flight_scopes: tuple[int, ...] = ()
        self._flight_automatic = False
        self._askers: dict[int, Asker] = {}
        self._pace = Pace(policy.daily_budget, policy.breaker_rejections, policy.breaker_us)
        self._now_us = 0
        text = policy.schedule.strip()
        self._timetable = Timetable(Schedule.parse(text) if text else None)

    # ---- the verb --------------------------------------------------------------------

    def decide(
        self, evidence: Standing, scope: int, now_us: int, offset: int, name_of: NameOf
    ) -> Request | Suppressed | None:
        """Say whether the outcome just judged starts a retraining.

        Parameters
        ----------
        evidence
            Where the evidence stands after that outcome.
        scope
            Whose outcome it was: only that agent, the fleet and whoever is ``urgent`` can ask.
            If nothing stands about the first two and nobody is, nothing changes.
        now_us, offset
            Log time, and the outcome's offset, which names the request.
        name_of
            Gives an agent's name for its scope, None for the fleet.

        Returns
        -------
        A request, which counts as under way from now on; a new record of somebody held
        back; or None, if nobody asks or the record exists.
        """
        if not (self.urgent or asks(evidence, scope) or asks(evidence, SYSTEM)):
            return None
        self._now_us = now_us = max(now_us, self._now_us)
        held: list[tuple[int, Reason]] = []
        if SYSTEM in self.urgent and self._is_explained(evidence):
            # Each of those agents is owed its own attempt; the fleet is owed none beside it.
            self._asker(SYSTEM).due = None
            self._note_due(SYSTEM)
            held.append((SYSTEM, Reason.EXPLAINED))
        for who in dict.fromkeys((scope, *self._waiting(now_us), SYSTEM)):
            if self._is_about(who) or not self._asks(evidence, who):
                continue
            why = self._held(evidence, who, now_us)
            if why is None:
                return self._request(evidence, now_us, offset, name_of)
            held.append((who, why))
        record: Suppressed | None = None
        for who, why in held:
            record = self._suppress(evidence, who, why, now_us, name_of) or record
        return record

    def due_us(self) -> int | None:
        """Return when the schedule asks next; None while it cannot or there is none."""
        return None if self.in_flight is not None else self._timetable.due_us

    def scheduled(self, now_us: int, offset: int) -> Request | None:
        """Return the request that the schedule makes now, if a due time has come."""
        if not self._timetable.is_due(now_us) or self.in_flight is not None:
            return None
        due_us, schedule = self._timetable.due_us, self.policy.schedule.strip()
        self._now_us = max(now_us, self._now_us)
        self._timetable.ran(now_us)
        assert due_us is not None  # it has come
        act = RetrainRequested(
            act_id=self._name(offset),
            ts_us=now_us,
            model_type=self.policy.model_type,
            mode="full",
            reason=f"schedule {schedule}, due {iso(due_us)}",
            automatic=True,
            agents=[],
            causes=[{"rule": SCHEDULE, "schedule": schedule, "due_us": due_us}],
            requested_by=SCHEDULE,
        )
        self.in_flight, self._flight_scopes, self._flight_automatic = act.act_id, (), False
        return Request(act, ())

    # ---- what is told ----------------------------------------------------------------

    def observe(self, detection: Detection, agent_name: str | None) -> None:
        """Begin and end episodes: hear every detection, whatever comes of it."""
        scope, metric = detection.scope, int(detection.metric)
        match detection.kind:
            case Kind.LIKELY:
                self._asker(scope).becomes_likely(metric)
            case Kind.CERTAIN | Kind.CONFIRMED:
                lasts = detection.kind is Kind.CONFIRMED
                found = cause(detection, agent_name)
                self._asker(scope).becomes_certain(metric, found, lasts=lasts)
                if not lasts:
                    self._pace.close_breaker()
                self._note_due(scope)
            case Kind.UNLIKELY if scope in self._askers:
                if self._askers[scope].becomes_unlikely(metric, self.policy.cooldown_us):
                    self.suppressed.end_episode(scope)
            case Kind.RECOVERED if scope in self._askers:
                self._askers[scope].recovers(metric)
                self._note_due(scope)
            case _:
                pass

    def note_started(
        self,
        request: RetrainRequested,
        now_us: int,
        evidence: Standing | None = None,
        about: Sequence[int] = (),
    ) -> None:
        """A retraining started, one of ours or one that an operator asked for.

        ``about`` are the agents that one of ours is about, whoever asked for it: each of
        them has its pause after it, counted by the outcomes in ``evidence``.
        """
        if request.model_type != self.policy.model_type:
            return
        self._now_us = max(now_us, self._now_us)
        by_evidence = request.automatic and request.requested_by != SCHEDULE
        if self.in_flight != request.act_id:
            self.in_flight, self._flight_scopes = request.act_id, ()
            self._flight_automatic = by_evidence
            if by_evidence:
                self._pace.attempt(self._now_us)
        if by_evidence and evidence is not None:
            joining = tuple(scope for scope in about if scope not in self._flight_scopes)
            for scope in joining:
                seen = seen_of(evidence, scope)
                self._asker(scope).joins(seen, self._now_us, full=request.mode == "full")
                self._note_due(scope)
            self._flight_scopes += joining

    def note_finished(self, finished: RetrainFinished, now_us: int) -> None:
        """A retraining has its final result: promoted, rejected, inconclusive, failed, aborted.

        A result of another retraining than the one under way changes nothing.
        """
        if finished.retrain_id != self.in_flight or finished.state == "pending":
            return
        self._now_us = now_us = max(now_us, self._now_us)
        verdict = "none" if finished.gate is None else finished.gate.verdict
        rejected = finished.state == "failed" or verdict == "rejected"
        for scope in self._flight_scopes:
            asker = self._askers.get(scope)
            if asker is None:
                continue  # the agent was retired meanwhile
            asker.ends(now_us, self.policy.cooldown_max_us, rejected=rejected)
            cut_short = finished.state == "aborted" and not finished.cancelled
            if cut_short and finished.retrain_type == "full":
                asker.owes_again()
                self._note_due(scope)
        if rejected and self._flight_automatic:
            self._pace.reject(now_us)
        self.in_flight, self._flight_scopes = None, ()

    def note_rolled_back(self, scopes: Iterable[int], now_us: int, *, automatic: bool) -> None:
        """A promotion about ``scopes`` turned out harmful: as after a rejection, wait longer."""
        for scope in scopes:
            asker = self._askers.get(scope)
            if asker is not None:
                asker.ends(now_us, self.policy.cooldown_max_us, rejected=True)
        if automatic:
            self._pace.reject(now_us)

    def let_be(self, scope: int) -> None:
        """Owe ``scope`` nothing any more: what was certain about it is taken for normal."""
        if scope in self._askers:
            self._askers[scope].all_recover()
            self._note_due(scope)

    def forget(self, scope: int) -> None:
        """Drop everything about ``scope``."""
        self._askers.pop(scope, None)
        self.urgent.discard(scope)
        self.suppressed.end_episode(scope)

    # ---- checkpoint ------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return the exact state as plain values."""
        return {
            "now_us": self._now_us,
            "in_flight": self.in_flight,
            "flight_scopes": list(self._flight_scopes),
            "flight_automatic": self._flight_automatic,
            "pace": self._pace.to_state(),
            "askers": [[scope, asker.to_state()] for scope, asker in self._askers.items()],
            "suppressed": self.suppressed.to_state(),
            "held_back": sorted(self._held_back),
            "timetable": self._timetable.to_state(),
        }

    @classmethod
    def from_state(cls, policy: TriggerPolicy, state: Mapping[str, Any]) -> Trigger:
        """Return the trigger that ``to_state`` described, under ``policy``."""
        trigger = cls(policy)
        trigger._now_us = state["now_us"]
        trigger.in_flight = state["in_flight"]
        trigger._flight_scopes = tuple(state["flight_scopes"])
        trigger._flight_automatic = state["flight_automatic"]
        trigger._pace.restore(state["pace"])
        for scope, asker in state["askers"]:
            trigger._askers[scope] = Asker.from_state(asker)
            trigger._note_due(scope)
        trigger.suppressed.restore(state["suppressed"])
        trigger._held_back = set(state["held_back"])
        trigger._timetable.restore(state["timetable"])
        return trigger

    # ---- inside ----------------------------------------------------------------------

    def _asker(self, scope: int) -> Asker:
        asker = self._askers.get(scope)
        if asker is None:
            asker = self._askers[scope] = Asker(self.policy.cooldown_us)
        return asker

    def _waiting(self, now_us: int) -> list[int]:
        """Return who asks because of certainty, whoever's outcome it is.

        An agent that is avoided has few of its own. While nobody may be retrained each of
        them is looked at, and recorded, once.
        """
        if not self.urgent:
            return []
        nobody = self.in_flight is not None or self._pace.held(now_us) is not None
        waiting = sorted(self.urgent - self._held_back if nobody else self.urgent)
        self._held_back = set(self.urgent) if nobody else set()
        return waiting

    def _note_due(self, scope: int) -> None:
        if self._askers[scope].due is None:
            self.urgent.discard(scope)
        else:
            self.urgent.add(scope)

    def _asks(self, evidence: Standing, scope: int) -> bool:
        return scope in self.urgent or asks(evidence, scope)

    def _is_about(self, scope: int) -> bool:
        """Tell whether what is under way is about ``scope``; ours are about the fleet, too."""
        if self.in_flight is None:
            return False
        return scope in self._flight_scopes or (scope == SYSTEM and self._flight_automatic)

    def _held(self, evidence: Standing, scope: int, now_us: int) -> Reason | None:
        """Return why ``scope`` may not ask now; None if it may."""
        if self.in_flight is not None:
            return Reason.IN_FLIGHT
        held = self._pace.held(now_us)
        if held is not None:
            return held
        if scope in self.urgent:
            return None
        asker = self._asker(scope)
        if asker.left_us(now_us) > 0:
            return Reason.COOLDOWN
        if asker.seen and new_outcomes(evidence, scope, asker.seen) < self.policy.new_outcomes:
            return Reason.OUTCOMES
        if scope == SYSTEM and self._is_explained(evidence):
            # Looked at again after as many outcomes as an attempt would need.
            asker.seen = seen_of(evidence, scope)
            return Reason.EXPLAINED
        return None

    def _is_explained(self, evidence: Standing) -> bool:
        """Tell whether the agents that stand or fell with certainty explain the fleet."""
        fallen = {scope for scope, asker in self._askers.items() if asker.certain}
        agents = {*evidence.standing_scopes, *fallen} - {SYSTEM}
        return is_explained(evidence, agents, self._asker(SYSTEM).certain)

    def _suppress(
        self, evidence: Standing, scope: int, reason: Reason, now_us: int, name_of: NameOf
    ) -> Suppressed | None:
        if self.suppressed.counted(scope, reason, now_us):
            return None
        detail = self._detail(evidence, scope, reason, now_us)
        record = Suppressed(
            reason, self.policy.model_type, scope, name_of(scope), detail, now_us, now_us
        )
        self.suppressed.add(record)
        return record

    def _detail(self, evidence: Standing, scope: int, reason: Reason, now_us: int) -> str:
        asker = self._asker(scope)
        match reason:
            case Reason.IN_FLIGHT:
                return f"{self.in_flight} is under way or on trial"
            case Reason.BREAKER:
                return self._pace.breaker_detail(now_us)
            case Reason.BUDGET:
                return self._pace.budget_detail(now_us)
            case Reason.COOLDOWN:
                return f"{span(asker.left_us(now_us))} left"
            case Reason.OUTCOMES:
                new = new_outcomes(evidence, scope, asker.seen)
                return f"{new} of {self.policy.new_outcomes} new outcomes so far"
            case Reason.EXPLAINED:
                return "the fleet without the agents that stand is fine"

    def _request(self, evidence: Standing, now_us: int, offset: int, name_of: NameOf) -> Request:
        # Everybody who may ask at this moment is named, so that overlapping causes make
        # one attempt; an agent in its cooldown is not, so that it keeps its pause.
        asking = sorted(
            scope
            for scope in {*evidence.standing_scopes, *self.urgent}
            if self._asks(evidence, scope)
        )
        named = tuple(scope for scope in asking if self._held(evidence, scope, now_us) is None)
        full = any(self._asker(scope).due == "full" for scope in named)
        causes = [scope for scope in asking if scope in named or scope == SYSTEM]
        certain = [found for scope in named for found in self._asker(scope).certain.values()]
        standing = [(scope, one) for scope in causes for one in rates_of(evidence, scope)]
        for scope in {*named, SYSTEM}:  # each attempt is one about the fleet, too
            self._asker(scope).starts(
                seen_of(evidence, scope), now_us, full=full and scope in named
            )
            self._note_due(scope)
        agents = [] if SYSTEM in named else [name for s in named if (name := name_of(s))]
        act = RetrainRequested(
            act_id=self._name(offset),
            ts_us=now_us,
            model_type=self.policy.model_type,
            mode="full" if full else "incremental",
            reason=_reason(certain, standing, name_of),
            automatic=True,
            agents=agents,
            causes=[*certain, *(cause(one, name_of(scope)) for scope, one in standing)],
            since_us=_since(certain),
        )
        self.in_flight, self._flight_scopes, self._flight_automatic = act.act_id, named, True
        self._pace.attempt(now_us)
        return Request(act, named)

    def _name(self, offset: int) -> str:
        # A function of the log, so that folding it again asks for the same retraining.
        text = f"{self.policy.model_type}:{offset}"
        return f"retrain-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"


def _reason(
    certain: list[dict[str, Any]], standing: list[tuple[int, Detection]], name_of: NameOf
) -> str:
    told = [str(found["says"]) for found in certain]
    told += [detection_says(one, name_of(scope)) for scope, one in standing]
    if len(told) > _CAUSES_TOLD:
        told[_CAUSES_TOLD:] = [f"and {len(told) - _CAUSES_TOLD} more"]
    return "; ".join(told)


def _since(certain: list[dict[str, Any]]) -> dict[str, int]:
    """Return by agent the time of its change point, the latest of its metrics."""
    since: dict[str, int] = {}
    for found in certain:
        name, changed_us = found["agent_name"], found["inputs"].get("changed_ts_us")
        if name is not None and changed_us is not None:
            since[name] = max(changed_us, since.get(name, 0))
    return since

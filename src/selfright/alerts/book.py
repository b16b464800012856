"""Every alert there is: one per rule and agent, opened, counted, closed.

Detectors speak when they change their mind, and several of them may speak for one rule:
the windowed mean and the Beta rule both watch ``accuracy_min``. The alert opens with the
first of them and is resolved when the last one has taken it back. In between it counts
what they find and shows the latest; listeners hear of changes of its state alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import msgspec

from selfright.alerts.alert import AlertLevel, PerformanceAlert
from selfright.alerts.entry import Entry, Evaluation, Turn, open_entry
from selfright.alerts.finding import of_detection, of_retraining, of_rollback, raises
from selfright.alerts.flapping import Flapping
from selfright.alerts.life import STEPS, AlertEvent, AlertState
from selfright.alerts.recommend import RUNBOOK
from selfright.errors import ConfigError
from selfright.events.record import AlertTransition, ModelAdopted, OperatorAct
from selfright.events.timestamp import iso
from selfright.metrics.metric_type import MetricType

if TYPE_CHECKING:
    from selfright.detect.detection import Detection
    from selfright.events.record import RetrainFinished

US_PER_MIN: Final = 60_000_000
US_PER_S: Final = 1_000_000

_OPERATOR: Final = {"acknowledge": AlertEvent.ACKNOWLEDGED, "mute": AlertEvent.MUTED}
# How long a mute without a length lasts: until the alert is resolved.
_FOR_EVER_S: Final = 100 * 365 * 86_400.0


@dataclass(frozen=True, slots=True)
class BookPolicy:
    """How the book treats alerts that come and go, and how many it keeps.

    Parameters
    ----------
    history
        Resolved alerts kept, the newest. At least 1.
    flap_openings, flap_us
        An alert that opens for the third time within the hour flaps: it is pending at first.
    hold_us
        How long it must then hold before anybody is told.
    """

    history: int = 1000
    flap_openings: int = 3
    flap_us: int = 60 * US_PER_MIN
    hold_us: int = 10 * US_PER_MIN

    def __post_init__(self) -> None:
        for name in ("history", "flap_openings"):
            if getattr(self, name) < 1:
                raise ConfigError(name, getattr(self, name), "must be at least 1")


@dataclass(frozen=True, slots=True)
class Transition:
    """An alert changed its state.

    Attributes
    ----------
    alert
        The alert after it.
    act
        The record for the log.
    told
        Whether listeners are to hear of it: not what is pending or muted.
    """

    alert: PerformanceAlert
    act: AlertTransition
    told: bool


_NONE: Final[tuple[Transition, ...]] = ()


class AlertBook:
    """Opens, counts and closes alerts; a function of what it was told and the log time.

    Parameters
    ----------
    policy
        Flapping and history.

    Notes
    -----
    ``observe`` is called on transitions of detectors only; about 50 us. ``tick`` costs
    one comparison while nothing is due. Open alerts are bounded by rules x agents.
    """

    def __init__(self, policy: BookPolicy | None = None) -> None:
        self.policy = policy or BookPolicy()
        self._entries: dict[str, Entry] = {}  # all that are kept, in order of opening
        self._open: dict[tuple[str, str | None], Entry] = {}
        self._resolved: deque[str] = deque()
        self._flapping = Flapping(self.policy.flap_openings, self.policy.flap_us)
        self._next_due_us = -1

    # ---- what comes in ---------------------------------------------------------------

    def observe(
        self,
        detection: Detection,
        agent_name: str | None,
        now_us: int,
        measured: float | None = None,
    ) -> tuple[Transition, ...]:
        """Take a detection into account; return what changed for listeners, often nothing.

        ``measured`` is the quantity itself where the detector followed a share of it: p95
        in milliseconds for latency.
        """
        found = of_detection(detection, agent_name, measured)
        return self.raise_(found, now_us) if raises(detection) else self.clear(found, now_us)

    def raise_(self, found: Evaluation, now_us: int) -> tuple[Transition, ...]:
        """Raise the alert of a rule and an agent, or count the finding if it is open."""
        key = (found.rule, found.agent_name)
        entry = self._open.get(key)
        if entry is None:
            entry = self._open[key] = open_entry(found, now_us)
            self._entries[entry.alert_id] = entry
            flaps = self._flapping.opens(key, now_us)
            return self._step(entry, AlertEvent.DOUBTED if flaps else AlertEvent.RAISED, now_us)
        if found.finder not in entry.finders:
            entry.finders.append(found.finder)
        entry.count += 1
        entry.last_us = now_us
        if found.level.rank >= entry.level.rank:
            # What is certain is not talked over by what is not.
            entry.latest = found
        if found.level.rank > entry.level.rank:
            entry.level = found.level
            return self._step(entry, AlertEvent.ESCALATED, now_us)
        return _NONE

    def clear(self, found: Evaluation, now_us: int) -> tuple[Transition, ...]:
        """Take back what ``found.finder`` found; the last one resolves the alert."""
        entry = self._open.get((found.rule, found.agent_name))
        if entry is None or found.finder not in entry.finders:
            return _NONE
        entry.finders.remove(found.finder)
        if entry.finders:
            return _NONE
        entry.latest = found
        return self._step(entry, AlertEvent.CLEARED, now_us)

    def report(self, found: Evaluation, now_us: int) -> tuple[Transition, ...]:
        """Tell something that needs no end: it is resolved from the start."""
        entry = open_entry(found, now_us)
        if entry.alert_id in self._entries:
            return _NONE  # told already
        self._entries[entry.alert_id] = entry
        return self._step(entry, AlertEvent.REPORTED, now_us)

    def note_retraining(
        self,
        finished: RetrainFinished,
        now_us: int,
        *,
        metric: MetricType = MetricType.ACCURACY,
        rolled_back: bool = False,
    ) -> tuple[Transition, ...]:
        """Tell of a finished retraining: info, but critical when it failed or is rolled back.

        What is critical fires until it is acknowledged and the next retraining of that
        model ends well. ``metric`` is what the retraining was asked for by.
        """
        found = of_retraining(finished, metric, rolled_back=rolled_back)
        if found.level is not AlertLevel.INFO:
            return self.raise_(found, now_us)
        resolved = [
            entry
            for entry in list(self._open.values())
            if entry.opened.rule == "retraining" and found.finder in entry.finders
        ]
        said = self.report(found, now_us)
        for entry in resolved:
            said += self.clear(
                msgspec.structs.replace(found, agent_name=entry.opened.agent_name), now_us
            )
        return said

    def note_rollback(
        self, adopted: ModelAdopted, now_us: int, *, metric: MetricType = MetricType.ACCURACY
    ) -> tuple[Transition, ...]:
        """Tell, as critical, that an earlier version serves again."""
        return self.report(of_rollback(adopted, metric), now_us)

    def operator(self, act: OperatorAct, now_us: int) -> tuple[Transition, ...]:
        """Do what somebody decided: acknowledge or mute an alert, close an agent's alerts.

        What names no open alert changes nothing: by the time a decision is folded the
        alert may have been resolved.
        """
        if act.verb in {"accept_as_normal", "retire", "delete"}:
            mine = [e for e in list(self._open.values()) if e.opened.agent_name == act.target]
            said = _NONE
            for entry in mine:
                said += self._step(entry, AlertEvent.CLEARED, now_us)
            return said
        named, event = self._entries.get(act.target), _OPERATOR.get(act.verb)
        if named is None or event is None:
            return _NONE
        said = self._step(named, event, now_us)
        if event is AlertEvent.MUTED and named.state is AlertState.MUTED:
            named.due_us = now_us + _length_us(act.arguments.get("for_s"))
            self._find_next_due()
        return said

    def withdraw(self, agent_name: str | None, finder: str, now_us: int) -> tuple[Transition, ...]:
        """Take back all that ``finder`` found of an agent, or of the fleet: it is void."""
        said = _NONE
        for entry in list(self._open.values()):
            if entry.opened.agent_name == agent_name and finder in entry.finders:
                found = msgspec.structs.replace(entry.latest, finder=finder)
                said += self.clear(found, now_us)
        return said

    def tick(self, now_us: int) -> tuple[Transition, ...]:
        """Do what is due by log time: end mutes, tell of flapping alerts that held."""
        if not 0 <= self._next_due_us <= now_us:
            return _NONE
        due = [entry for entry in self._open.values() if 0 <= entry.due_us <= now_us]
        said = _NONE
        for entry in sorted(due, key=lambda entry: entry.due_us):
            held = entry.state is AlertState.PENDING
            said += self._step(entry, AlertEvent.HELD if held else AlertEvent.UNMUTED, now_us)
        return said

    # ---- what is asked ---------------------------------------------------------------

    def get(self, alert_id: str) -> PerformanceAlert | None:
        """Return an alert, None if it is unknown or was forgotten."""
        entry = self._entries.get(alert_id)
        return None if entry is None else entry.shown()

    def active(self) -> list[PerformanceAlert]:
        """Return the alerts that are open and not pending, in order of opening."""
        return [
            entry.shown() for entry in self._open.values() if entry.state is not AlertState.PENDING
        ]

    def query(
        self,
        level: AlertLevel | None = None,
        agent_name: str | None = None,
        limit: int = 50,
        state: str | None = None,
    ) -> list[PerformanceAlert]:
        """Return the newest ``limit`` alerts that match, newest last; None matches all.

        Pending alerts are told to those who ask for that state. Raises ``ConfigError`` for
        a state that does not exist.
        """
        wanted = None if state is None else _state(state)
        matching = (
            entry.shown()
            for entry in reversed(self._entries.values())
            if (level is None or entry.level is level)
            and (agent_name is None or entry.opened.agent_name == agent_name)
            and (entry.state is wanted if wanted else entry.state is not AlertState.PENDING)
        )
        return list(islice(matching, limit))[::-1]

    def explain(self, alert_id: str) -> dict[str, Any] | None:
        """Return why an alert is there: how it opened, the latest finding, its course."""
        entry = self._entries.get(alert_id)
        if entry is None:
            return None
        return {
            "rule": entry.opened.rule,
            "held_by": list(entry.finders),
            "opened_by": _why(entry.opened),
            "latest": _why(entry.latest),
            "course": [
                {"at": iso(turn.at_us), "event": turn.event.value, "state": turn.state.value}
                for turn in entry.course
            ],
            "state_changes_at": None if entry.due_us < 0 else iso(entry.due_us),
            "flapping": any(turn.event is AlertEvent.DOUBTED for turn in entry.course),
            "runbook": RUNBOOK,
        }

    # ---- checkpoint ------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return the exact state as plain values."""
        return {
            "entries": [msgspec.to_builtins(entry) for entry in self._entries.values()],
            "resolved": list(self._resolved),
            "openings": self._flapping.to_state(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any], policy: BookPolicy | None = None) -> AlertBook:
        """Return the book that ``to_state`` described."""
        book = cls(policy)
        for entry in msgspec.convert(state["entries"], list[Entry]):
            book._entries[entry.alert_id] = entry
            if entry.is_open:
                book._open[entry.key] = entry
        book._resolved.extend(state["resolved"])
        book._flapping.restore(state["openings"])
        book._find_next_due()
        return book

    # ---- inside ----------------------------------------------------------------------

    def _step(self, entry: Entry, event: AlertEvent, now_us: int) -> tuple[Transition, ...]:
        step = STEPS.get((entry.state, event))
        if step is None:
            return _NONE
        unheard = entry.state is AlertState.PENDING
        entry.note(Turn(now_us, event, step.state))
        entry.last_us = now_us
        entry.due_us = -1
        if event is AlertEvent.HELD:
            entry.raised_us = now_us
        elif event is AlertEvent.DOUBTED:
            entry.due_us = now_us + self.policy.hold_us
        elif event is AlertEvent.CLEARED:
            entry.finders.clear()
            del self._open[entry.key]
        if step.state is AlertState.RESOLVED and unheard:
            del self._entries[entry.alert_id]  # it came and went, and nobody was told
        elif step.state is AlertState.RESOLVED:
            self._retire(entry)
        self._find_next_due()
        return (_transition(entry, event, now_us, told=step.told),)

    def _retire(self, entry: Entry) -> None:
        self._resolved.append(entry.alert_id)
        while len(self._resolved) > self.policy.history:
            self._entries.pop(self._resolved.popleft(), None)

    def _find_next_due(self) -> None:
        self._next_due_us = min(
            (entry.due_us for entry in self._open.values() if entry.due_us >= 0), default=-1
        )


def _transition(entry: Entry, event: AlertEvent, now_us: int, *, told: bool) -> Transition:
    alert = entry.shown()
    act = AlertTransition(
        act_id=f"{entry.alert_id}:{entry.turns}",
        ts_us=now_us,
        alert_id=entry.alert_id,
        rule=alert.rule,
        agent_name=alert.agent_name,
        state=alert.state.value,
        level=alert.level.value,
        message=alert.message,
        details={
            "event": event.value,
            "metric_type": alert.metric_type.value,
            "current_value": alert.current_value,
            "threshold": alert.threshold,
            "count": alert.count,
            **alert.details,
        },
    )
    return Transition(alert, act, told)


def _why(found: Evaluation) -> dict[str, Any]:
    return {
        "level": found.level.value,
        "message": found.message,
        "value": found.current_value,
        "threshold": found.threshold,
        **found.details,
    }


def _length_us(for_s: object) -> int:
    """Return how long a mute of ``for_s`` seconds lasts."""
    if isinstance(for_s, int | float) and 0 <= for_s < _FOR_EVER_S:
        return int(for_s * US_PER_S)
    return int(_FOR_EVER_S) * US_PER_S


def _state(state: str) -> AlertState:
    try:
        return AlertState(state)
    except ValueError:
        words = ", ".join(item.value for item in AlertState)
        raise ConfigError("state", state, f"must be one of {words}") from None

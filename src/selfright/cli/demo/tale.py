"""What the system did about it: read from the system, told with numbers.

Whatever is said here of alerts, retrainings and versions is what the monitor and the
updater answer when asked; only what is *true* (when the agent tipped over, how often the
fleet was right) comes from the simulation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from selfright.cli.demo.cast import SICK, SICK_ACCURACY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from selfright.cli.demo.play import Play, Sent
    from selfright.loop.retraining import RetrainResult
    from selfright.performance_monitor import PerformanceMonitor

# Tasks over which "before" and "after" are measured, and those in between: once the sick
# agent is avoided, the others have to be told apart anew.
_SPELL: Final = 500
_SETTLING: Final = 500
# Of what the drift would have cost, had every task gone where it went before, and the best
# choices can avoid, so much must be avoided.
_WON_BACK: Final = 0.75


@dataclass(frozen=True, slots=True)
class Spell:
    """How the fleet did over some tasks.

    Attributes
    ----------
    right
        Share of tasks that come out right, by the agents' true quality.
    possible
        The same had each task gone to the agent best at it.
    sick_share
        Share of the routed tasks that went to the sick agent.
    tasks
        How many tasks these were.
    """

    right: float
    possible: float
    sick_share: float
    tasks: int

    @classmethod
    def over(cls, sent: Sequence[Sent]) -> Spell:
        """Return the figures of ``sent``, at least one task."""
        routed = [task for task in sent if task.version is not None]
        return cls(
            sum(task.quality for task in sent) / len(sent),
            sum(task.possible for task in sent) / len(sent),
            sum(task.agent == SICK for task in routed) / max(1, len(routed)),
            len(sent),
        )


class Tale:
    """Follows the system and writes down, task by task, what it did.

    Parameters
    ----------
    monitor
        Is asked for alerts and retrainings.
    play
        Knows the truth.
    drift
        The task with which the agent tipped over.
    tell
        Is told each event once, as it is found.

    Attributes
    ----------
    noticed_at, retrained_at, served_at, decided_at
        Tasks sent when the first alert about the sick agent stood, a retraining about it
        had run, its version first picked an agent, the gate had decided; None before.
    """

    def __init__(
        self,
        monitor: PerformanceMonitor,
        play: Play,
        drift: int,
        tell: Callable[[int, str], None],
    ) -> None:
        self._monitor = monitor
        self._play = play
        self._tell = tell
        self.drift = drift
        self.noticed_at: int | None = None
        self.retrained_at: int | None = None
        self.served_at: int | None = None
        self.decided_at: int | None = None
        self.alert: dict[str, Any] | None = None
        self.retraining: RetrainResult | None = None
        self._has_drifted = False

    # ---- following -------------------------------------------------------------------

    def look(self) -> None:
        """See what is new, and tell it. Cheap; call it after every round."""
        at = len(self._play.sent)
        if at <= self.drift:
            return
        if not self._has_drifted:
            self._has_drifted = True
            self._tell(
                self.drift,
                f"{SICK} tips over: right in {SICK_ACCURACY:.0%} of its tasks from here on. "
                "Nobody tells the system.",
            )
        self._look_for_alert(at)
        self._look_for_retraining(at)
        self._look_for_service(at)

    def _look_for_alert(self, at: int) -> None:
        if self.alert is not None:
            return
        for alert in self._monitor.get_alerts(agent_name=SICK):
            if alert.rule != "retraining":
                self.alert, self.noticed_at = alert.to_dict(), at
                since = sum(task.agent == SICK for task in self._play.sent[self.drift :])
                self._tell(at, f"noticed, {since} of its runs later. {alert.message}")
                return

    def _look_for_retraining(self, at: int) -> None:
        if self.decided_at is not None:
            return
        for result in self._monitor.get_retrainings():
            if not result.automatic or (result.agents and SICK not in result.agents):
                continue
            if self.retraining is None:
                self.retrained_at = at
                self._tell(at, _about_retraining(result))
            elif result.retrain_id != self.retraining.retrain_id:
                continue
            self.retraining = result
            if result.state != "pending":
                self.decided_at = at
                self._tell(at, _about_verdict(result))
            return

    def _look_for_service(self, at: int) -> None:
        if self.retraining is None or self.served_at is not None:
            return
        for number in range(self.retrained_at or at, at):
            if self._play.sent[number].version == self.retraining.version:
                self.served_at = number
                self._tell(number, f"version {self.retraining.version} serves while on trial")
                return

    # ---- judging ---------------------------------------------------------------------

    @property
    def is_decided(self) -> bool:
        """Whether the gate has decided and enough tasks came since to see the effect."""
        enough = _SETTLING + _SPELL
        return self.decided_at is not None and len(self._play.sent) >= self.decided_at + enough

    def result(self) -> dict[str, Any]:
        """Return the whole story as plain values, ``closed`` among them."""
        sent = self._play.sent
        safe = self.served_at if self.served_at is not None else len(sent)
        before = Spell.over(sent[max(0, self.drift - _SPELL) : self.drift])
        during = Spell.over(sent[self.drift : max(safe, self.drift + 1)])
        after = Spell.over(sent[-_SPELL:])
        gate = None if self.retraining is None else self.retraining.gate
        unaided = self._unaided(sent)
        lost = after.possible - unaided
        won_back = (after.right - unaided) / lost if lost > 0 else None
        steps = {
            "noticed": self.noticed_at is not None,
            "retrained": self.retrained_at is not None,
            "promoted": self.retraining is not None and bool(self.retraining.promoted),
            "recovered": won_back is not None and won_back >= _WON_BACK,
        }
        return {
            "closed": all(steps.values()),
            "steps": steps,
            "sick_agent": SICK,
            "tasks": len(sent),
            "drift_at_task": self.drift,
            "noticed_at_task": self.noticed_at,
            "retrained_at_task": self.retrained_at,
            "served_at_task": self.served_at,
            "decided_at_task": self.decided_at,
            "alert": self.alert,
            "retraining": None if self.retraining is None else self.retraining.to_dict(),
            "gate": gate,
            "fleet_right": {
                **_spells(before, during, after, "right"),
                "had_nothing_been_done": round(unaided, 4),
            },
            "best_possible": _spells(before, during, after, "possible"),
            "sick_agent_share": _spells(before, during, after, "sick_share"),
            "won_back": None if won_back is None else round(won_back, 4),
            "retrainings": len(self._monitor.get_retrainings(1_000)),
        }

    def _unaided(self, sent: Sequence[Sent]) -> float:
        """Return how often the fleet would be right, placed as before the drift."""
        spell = sent[max(0, self.drift - _SPELL) : self.drift]
        return sum(SICK_ACCURACY if task.agent == SICK else task.quality for task in spell) / len(
            spell
        )


def _spells(before: Spell, during: Spell, after: Spell, figure: str) -> dict[str, float]:
    named = {"before": before, "during": during, "after": after}
    return {name: round(getattr(spell, figure), 4) for name, spell in named.items()}


def _about_retraining(result: RetrainResult) -> str:
    said = (
        f"retrained by itself: {result.retrain_type}, on {result.events_processed} outcomes, "
        f"in {result.duration_ms:.0f} ms; version {result.version}"
    )
    before, after = (result.before or {}).get(SICK), (result.after or {}).get(SICK)
    if before and after:
        said += f" expects {after['expected']:.2f} of {SICK}, not {before['expected']:.2f}"
    return said


def _about_verdict(result: RetrainResult) -> str:
    gate = result.gate or {}
    said = f"the gate: {gate.get('verdict', result.state)}"
    if gate.get("gain") is not None:
        said += (
            f" after {gate['n']} outcomes: the {gate['loss'].replace('_', ' ')} of the new version "
            f"is lower by {gate['gain']:.2f}; evidence {gate['evidence_better']:.0f}, "
            f"{1 / gate['level']:.0f} promotes"
        )
    if result.error:
        said += f" ({result.error})"
    return said

"""Champion and challenger compared by what decisions earn: from the log, then as a canary.

While the predictive gate watches, the champion's own decisions already tell something of
the challenger: how much likelier it would have made each (``off_policy``). That seldom
suffices. Where the gate ends inconclusive and the challenger has shown no loss, it becomes a
*canary*: each decision is drawn from a mixture, a tenth the challenger's, whose exact
probabilities are logged, so that every decision tells of both.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from selfright.errors import ConfigError
from selfright.retrain.guards import GuardedRun, Guards
from selfright.retrain.off_policy import OffPolicyPolicy, PolicyGate

if TYPE_CHECKING:
    from selfright.events.record import GateRecord

# Decisions that wait for a reward.
_WAITING: Final = 10_000
# Guards are looked at once in so many rewards: a look goes through all runs.
_GUARD_EVERY: Final = 50
# Before anything came, a reward is expected to be this, as the models do.
_EXPECTED, _EXPECTED_WEIGHT = 0.5, 2.0


@dataclass(frozen=True, slots=True)
class CanaryPolicy:
    """How much a canary decides, and for how long.

    Parameters
    ----------
    level
        The chance that a challenger which earns no more is promoted.
    share
        Of the decisions, 0..0.5; 0: there are no canaries.
    outcomes
        Rewards of its time after which it ends inconclusive.
    max_us
        Log time after which it does, microseconds.

    Raises
    ------
    ConfigError
        If a value is beyond its range.
    """

    level: float = 0.01
    share: float = 0.1
    outcomes: int = 2_000
    max_us: int = 86_400_000_000

    def __post_init__(self) -> None:
        if not 0.0 < self.level < 0.5:
            raise ConfigError("gate.level", self.level, "must lie between 0 and 0.5")
        if not 0.0 <= self.share <= 0.5:
            raise ConfigError("gate.canary_share", self.share, "must lie between 0 and 0.5")
        if self.outcomes < 1:
            raise ConfigError("gate.canary_outcomes", self.outcomes, "must be at least 1")
        if self.max_us < 1:
            raise ConfigError("gate.canary_hours", self.max_us, "must be above 0")


class Drawn(NamedTuple):
    """The probability of what a decision chose: as drawn, and under either policy."""

    logged: float
    champion: float
    challenger: float


class Canary:
    """Compares two policies by their decisions; decides a share of them or only looks on.

    Parameters
    ----------
    share
        0 while the champion alone decides.
    """

    def __init__(self, policy: CanaryPolicy, share: float, opened_us: int) -> None:
        self.policy = policy
        self.share = share
        self.opened_us = opened_us
        self.gate = PolicyGate(OffPolicyPolicy(level=policy.level))
        self.guards = Guards()
        self._waiting: OrderedDict[str, Drawn] = OrderedDict()
        self._earned, self._n = _EXPECTED * _EXPECTED_WEIGHT, _EXPECTED_WEIGHT

    def note(self, decision_id: str, drawn: Drawn) -> None:
        """Expect a reward of a decision."""
        self._waiting[decision_id] = drawn
        if len(self._waiting) > _WAITING:
            self._waiting.popitem(last=False)

    def ran(
        self, decision_id: str, duration_us: int, cost_nano_usd: int, *, is_error: bool
    ) -> None:
        """Hear how the run went that a decision led to; before its reward."""
        drawn = self._waiting.get(decision_id)
        if drawn is not None:
            now = drawn.challenger / drawn.logged
            before = drawn.champion / drawn.logged
            self.guards.add(GuardedRun(before, now, is_error, duration_us, cost_nano_usd))

    def earn(self, decision_id: str, reward: float) -> GateRecord | None:
        """Take a reward into account; return the verdict's record once there is one."""
        drawn = self._waiting.pop(decision_id, None)
        if drawn is None:
            return None
        self.gate.update(reward, *drawn, self._earned / self._n)
        self._earned, self._n = self._earned + reward, self._n + 1.0
        return self._decided() if self.share else None

    def _decided(self) -> GateRecord | None:
        gate, verdict = self.gate, self.gate.verdict()
        if verdict == "promoted" or gate.n % _GUARD_EVERY == 0:
            worse = self.guards.worse(certainly=verdict != "promoted")
            if worse is not None:
                return gate.record("rejected", worse)
        if verdict in {"promoted", "rejected"}:
            return gate.record(verdict)
        return gate.record("inconclusive") if gate.n >= self.policy.outcomes else None

    def conclusion(self) -> GateRecord | None:
        """Return what the champion's decisions alone have made certain; mostly nothing."""
        verdict = self.gate.verdict()
        if verdict == "promoted" and self.guards.worse(certainly=False) is not None:
            return None
        return self.gate.record(verdict) if verdict in {"promoted", "rejected"} else None

    def expire(self, now_us: int) -> GateRecord | None:
        """Return the record, inconclusive, if the time of the canary is over."""
        over = self.share and now_us - self.opened_us >= self.policy.max_us
        return self.gate.record("inconclusive") if over else None

    def to_state(self) -> dict[str, Any]:
        """Return everything as plain values."""
        policy = self.policy
        return {
            "policy": [policy.level, policy.share, policy.outcomes, policy.max_us],
            "share": self.share,
            "opened_us": self.opened_us,
            "gate": self.gate.to_state(),
            "guards": self.guards.to_state(),
            "waiting": [[name, *drawn] for name, drawn in self._waiting.items()],
            "earned": [self._earned, self._n],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Canary:
        """Return the canary that ``to_state`` described."""
        canary = cls(CanaryPolicy(*state["policy"]), state["share"], state["opened_us"])
        canary.gate = PolicyGate.from_state(state["gate"])
        canary.guards = Guards.from_state(state["guards"])
        canary._waiting.update((name, Drawn(*drawn)) for name, *drawn in state["waiting"])
        canary._earned, canary._n = state["earned"]
        return canary

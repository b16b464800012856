"""What a policy would have earned, from decisions that another policy made and logged.

Each decision was drawn with a known probability, so that a reward can be weighed by how
much likelier the policy in question would have made that choice. Two estimates [1]_:

- **SNIPS**, the weighted mean of the rewards, weights divided by their sum;
- **doubly robust** (DR), what a model expects of the policy, corrected by the weighted
  errors of the model where choices were logged: right if either the probabilities or the
  model are, and less noisy than SNIPS where the model is any good.

Weights are clipped, for one rare choice must not outweigh a thousand others; what clipping
may have cut off widens the interval. The *effective sample size* says how many decisions of
the policy itself would have told as much; the gate decides on a hundred of them and more.

References
----------
.. [1] Dudik, Langford and Li, "Doubly robust policy evaluation and learning", ICML 2011;
   Swaminathan and Joachims, "The self-normalized estimator for counterfactual learning",
   NIPS 2015.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any, Final

from selfright.errors import ConfigError
from selfright.events.record import GateRecord
from selfright.retrain.betting import half_width

if TYPE_CHECKING:
    from typing import Self

# As the gate's: each bound of an interval errs with at most 5 %, ever.
_INTERVAL_ERROR: Final = 0.1
# Logged events at which an interval is to be tightest.
_USUAL_EVENTS: Final = 1_000
# Fewer effective events are a guess.
LEAST_EFFECTIVE: Final = 100.0


@dataclass(frozen=True, slots=True)
class OffPolicyPolicy:
    """How certain the gate has to be, and how far one decision may count.

    Parameters
    ----------
    level
        The chance that a policy which earns no more is promoted, and that one which earns
        no less is rejected.
    clip
        Largest weight of one decision.
    least_effective
        Effective events from which on it decides.

    Raises
    ------
    ConfigError
        If ``level`` is not between 0 and .5, ``clip`` below 1 or ``least_effective`` below 1.
    """

    level: float = 0.01
    clip: float = 100.0
    least_effective: float = LEAST_EFFECTIVE

    def __post_init__(self) -> None:
        if not 0.0 < self.level < 0.5:
            raise ConfigError("gate.level", self.level, "must lie between 0 and 0.5")
        for name in ("clip", "least_effective"):
            if not getattr(self, name) >= 1.0:
                raise ConfigError(name, getattr(self, name), "must be at least 1")


@dataclass(slots=True)
class Weights:
    """Sums over the weights that the decisions have under one policy."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0
    rewards: float = 0.0

    def add(self, weight: float, reward: float) -> None:
        """Count a decision with its clipped weight."""
        self.n += 1
        self.total += weight
        self.squares += weight * weight
        self.rewards += weight * reward

    @property
    def effective(self) -> float:
        """Effective sample size: squared sum over sum of squares; 0 without events."""
        return self.total * self.total / self.squares if self.squares else 0.0

    @property
    def mean(self) -> float | None:
        """The weighted mean reward, SNIPS; None where no weight is above 0."""
        return self.rewards / self.total if self.total else None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a policy would have earned per decision.

    Attributes
    ----------
    snips, dr
        The two estimates; None where there is nothing to estimate from.
    low, high
        Around ``dr``, within 0..1; each errs with at most 5 %, whenever one looks.
    effective
        Effective sample size.
    n, clipped
        Logged events, and how many of their weights were clipped.
    """

    snips: float | None
    dr: float | None
    low: float
    high: float
    effective: float
    n: int
    clipped: int


@dataclass(slots=True)
class ValueEstimate:
    """Estimates the value of one policy from logged decisions, one by one.

    Parameters
    ----------
    clip
        Largest weight of one decision.

    Notes
    -----
    O(1) per decision. The interval is an asymptotic confidence sequence.

    Examples
    --------
    The log chose one of two arms evenly; the policy would always take the first.

    >>> value = ValueEstimate()
    >>> for i in range(4000):
    ...     arm, reward = i % 2, float(i % 10 < 8 and i % 2 == 0)
    ...     value.update(reward, 0.5, 1.0 if arm == 0 else 0.0)
    >>> found = value.estimate()
    >>> found.snips, found.effective, found.low < 0.8 < found.high
    (0.8, 2000.0, True)
    """

    clip: float = 100.0
    clipped: int = 0
    weights: Weights = field(default_factory=Weights)
    _total: float = 0.0
    _squares: float = 0.0
    _largest: float = 0.0
    _cut: float = 0.0

    def update(
        self,
        reward: float,
        logged: float,
        target: float,
        expected: float = 0.0,
        expected_of_policy: float = 0.0,
    ) -> None:
        """Take one decision into account.

        Parameters
        ----------
        reward
            What came of it, 0..1.
        logged, target
            The probability of what was chosen: as it was drawn, and under the policy.
        expected, expected_of_policy
            What a model expected of what was chosen, and of the policy's choice on average,
            made without knowledge of this reward. 0: no model.

        Raises
        ------
        ValueError
            If ``logged`` is not above 0, or a number is not within 0..1.
        """
        _check(reward, logged, target)
        ratio = target / logged
        weight = min(ratio, self.clip)
        self.clipped += ratio > self.clip
        self._cut += ratio - weight
        self.weights.add(weight, reward)
        term = expected_of_policy + weight * (reward - expected)
        self._total += term
        self._squares += term * term
        self._largest = max(self._largest, abs(term))

    def estimate(self) -> Estimate:
        """Return the estimates as of now."""
        n = self.weights.n
        if not n:
            return Estimate(None, None, 0.0, 1.0, 0.0, 0, 0)
        mean = self._total / n
        variance = max(0.0, self._squares - n * mean * mean)
        usual = _USUAL_EVENTS * max(variance / n, 1e-6)
        wide = half_width(variance, self._largest, usual, _INTERVAL_ERROR) / n
        return Estimate(
            snips=self.weights.mean,
            dr=mean,
            low=max(0.0, mean - wide),
            # What was cut off could have earned up to 1 each time.
            high=min(1.0, mean + wide + self._cut / n),
            effective=self.weights.effective,
            n=n,
            clipped=self.clipped,
        )


class PolicyGate:
    """Whether a challenger's choices earn more than the champion's, from logged decisions.

    Each decision may have been drawn from either policy or from a mixture of both; what
    counts is how probable it was, and would have been. ``verdict`` is one of

    ================ ============================================================
    ``promoted``     the challenger earns certainly more
    ``rejected``     it earns certainly less
    ``pending``      neither is certain yet
    ``canary``       fewer than ``least_effective`` effective events: never a guess
    ================ ============================================================

    Notes
    -----
    O(1) per decision. What both policies would have chosen as often adds nothing, so that
    a copy of the champion is never promoted.
    """

    def __init__(self, policy: OffPolicyPolicy) -> None:
        self.policy = policy
        self.champion = Weights()
        self.challenger = Weights()
        self._gain = 0.0
        self._squares = 0.0
        self._largest = 0.0

    @property
    def n(self) -> int:
        """Decisions seen."""
        return self.challenger.n

    @property
    def effective(self) -> float:
        """The smaller effective sample size of the two."""
        return min(self.champion.effective, self.challenger.effective)

    def update(
        self, reward: float, logged: float, champion: float, challenger: float, expected: float
    ) -> None:
        """Take one decision into account.

        Parameters
        ----------
        reward
            What came of it, 0..1.
        logged, champion, challenger
            The probability of what was chosen: as it was drawn, and under either policy.
        expected
            What is earned on average, known before: it takes the noise out that both
            policies share.

        Raises
        ------
        ValueError
            If ``logged`` is not above 0, or a number is not within 0..1.
        """
        _check(reward, logged, champion)
        _check(reward, logged, challenger)
        clip = self.policy.clip
        before, now = min(champion / logged, clip), min(challenger / logged, clip)
        self.champion.add(before, reward)
        self.challenger.add(now, reward)
        term = (now - before) * (reward - expected)
        self._gain += term
        self._squares += term * term
        self._largest = max(self._largest, abs(term))

    def verdict(self) -> str:
        """Return what the decisions so far say."""
        if self.effective < self.policy.least_effective:
            return "canary"
        low, high = self.bounds(2 * self.policy.level)
        return "promoted" if low > 0 else "rejected" if high < 0 else "pending"

    def bounds(self, error: float) -> tuple[float, float]:
        """Return bounds of the gain per decision that err with ``error`` together, ever."""
        n = self.n
        if not n:
            return -inf, inf
        mean = self._gain / n
        variance = max(0.0, self._squares - n * mean * mean)
        usual = _USUAL_EVENTS * max(variance / n, 1e-6)
        wide = half_width(variance, self._largest, usual, error) / n
        return mean - wide, mean + wide

    def record(self, verdict: str, reason: str | None = None) -> GateRecord:
        """Return the numbers so far under a verdict; losses are rewards that were missed."""
        n = self.n
        low, high = self.bounds(_INTERVAL_ERROR) if n else (None, None)
        before, now = self.champion.mean, self.challenger.mean
        return GateRecord(
            verdict=verdict,  # type: ignore[arg-type]  # one of the words of GateRecord
            n=n,
            gain=self._gain / n if n else None,
            gain_low=low,
            gain_high=high,
            champion_loss=None if before is None else 1.0 - before,
            challenger_loss=None if now is None else 1.0 - now,
            loss="missed_reward",
            level=self.policy.level,
            effective=self.effective,
            reason=reason,
        )

    def to_state(self) -> dict[str, Any]:
        """Return everything as plain values, for ``from_state``."""
        policy, sums = self.policy, (self.champion, self.challenger)
        return {
            "policy": [policy.level, policy.clip, policy.least_effective],
            "weights": [[one.n, one.total, one.squares, one.rewards] for one in sums],
            "sums": [self._gain, self._squares, self._largest],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """Return the gate that ``to_state`` described."""
        gate = cls(OffPolicyPolicy(*state["policy"]))
        gate.champion, gate.challenger = (Weights(*row) for row in state["weights"])
        gate._gain, gate._squares, gate._largest = state["sums"]
        return gate


def _check(reward: float, logged: float, target: float) -> None:
    if not 0.0 < logged <= 1.0 + 1e-9:
        raise ValueError(f"logged probability {logged!r} must be above 0 and at most 1")
    if not (0.0 <= reward <= 1.0 and 0.0 <= target <= 1.0 + 1e-9):
        raise ValueError(f"reward {reward!r} and probability {target!r} must lie within 0..1")

"""When an arm has changed, and which of two ways of behaving it is in now.

What is believed of an arm rests on all its samples, so an arm that breaks would be believed in
long after. A *regime* is a stretch in which an arm behaves alike. Each sample is held against what
was expected of it, and four bets that the arm has become worse, and four that it has become
better, collect evidence (the e-detector of ``detect.certainty`` without its references: here the
reference is a belief, which is learnt on the way, so that there is no guarantee, and none is
needed: a restart in vain costs a few choices). At the alarm the arm starts anew from the samples
since the change point; what was believed before is *parked*.

The parked regime stays a hypothesis: each sample moves the odds between the two, and the odds
of a parked regime that would be better never fall below those of a probe. So a choice is drawn
from both, an arm that recovered is back after a few successes, and one that breaks the same way
again is recognised after a few failures.

Expectations are frozen, and renewed at counts of samples, not at calls: what becomes of a stream
does not depend on how it is batched.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from math import exp, log
from typing import Any, Final, NamedTuple

from selfright.learn.features import Features

# Drops (or rises) that are bet on.
_DROPS: Final = (0.08, 0.18, 0.35, 0.7)
_BETS: Final = len(_DROPS)
_LOWEST, _HIGHEST = 0.03, 0.97
_LEAST_LEFT: Final = 0.02
_MOST_OF_ALL: Final = 0.9  # of what may be bet without ruin
# Standard deviations of the belief that are left out: it may be wrong by so much without a change.
_DOUBTED: Final = 2.0
# What is left out besides: where a belief is a straight line and the world is not, an agent is a
# few points off in some tasks without any change, and the more is known the surer that shows.
_MARGIN: Final = 0.05
# Samples kept since the oldest change point that may still be chosen.
_KEPT: Final = 200
# Old samples from which on a regime is worth parking although another is parked already.
_SETTLED: Final = 300


class Act(Enum):
    """What is to be done about an arm."""

    RESTART = "restart"
    SWAP = "swap"


class Sample(NamedTuple):
    """One sample of an arm."""

    group: str | None
    y: float
    features: Features | None


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is expected of an arm, frozen.

    Attributes
    ----------
    groups
        By group: mean and standard deviation of the belief.
    slopes
        By feature: what a unit adds, and the value at which it adds nothing.
    noise
        Variance of the samples over that of successes and failures of the same mean.
    """

    groups: dict[str | None, tuple[float, float]]
    slopes: dict[str, tuple[float, float]]
    noise: float

    def of(self, sample: Sample) -> tuple[float, float] | None:
        """Return mean and standard deviation for a sample; None in a group not known yet."""
        known = self.groups.get(sample.group)
        if known is None:
            return None
        mean, sd = known
        if self.slopes and sample.features:
            get = sample.features.get
            mean += sum(
                slope * (get(name, 0.0) - centre) for name, (slope, centre) in self.slopes.items()
            )
        return min(max(mean, _LOWEST), _HIGHEST), sd


@dataclass(frozen=True, slots=True)
class RegimePolicy:
    """How sure a change has to be, and how much is risked on what was.

    Parameters
    ----------
    level
        Evidence at which an arm starts anew; see ``LearnSettings``.
    probe, parked
        Least probabilities of a parked regime that would be better, and of one that would not.
    doubt
        Probability of the old regime at an alarm.
    """

    level: float
    probe: float
    parked: float
    doubt: float

    @property
    def switch(self) -> float:
        """Return the log odds at which the parked regime takes over."""
        return log(9.0)


class Arm:
    """One arm's regime: its evidence of a change, and the odds of the one that is parked."""

    __slots__ = (
        "evidence", "expected", "kept", "look", "marks", "n", "odds", "parked", "parked_n",
        "running",
    )  # fmt: skip

    def __init__(self) -> None:
        self.n = 0
        self.look = 4  # samples at which the expectation is renewed
        self.expected: Expectation | None = None
        self.parked: Expectation | None = None
        self.parked_n = 0
        self.odds = 0.0  # logarithm: parked against present
        self.fresh()

    def fresh(self) -> None:
        """Forget the evidence of a change."""
        self.evidence = [0.0] * (2 * _BETS)
        self.running = [1.0] * (2 * _BETS)
        self.marks = [0] * (2 * _BETS)
        self.kept: list[Sample] = []

    def copy(self) -> Arm:
        """Return an arm that goes its own way."""
        other = Arm.__new__(Arm)
        for name in Arm.__slots__:
            value = getattr(self, name)
            setattr(other, name, value.copy() if isinstance(value, list) else value)
        return other

    def judge(self, sample: Sample, policy: RegimePolicy) -> Act | None:
        """Take a sample into account; return what is to be done once it is learnt."""
        self.kept.append(sample)
        self.n += 1
        now = None if self.expected is None else self.expected.of(sample)
        if now is None or self.expected is None:
            self._trim()
            return None
        if self.parked is not None and self._weigh(sample, now, policy):
            return Act.SWAP
        return self._detect(sample, now, self.expected.noise, policy)

    def _weigh(self, sample: Sample, now: tuple[float, float], policy: RegimePolicy) -> bool:
        """Move the odds of the parked regime; return whether it takes over."""
        assert self.parked is not None
        assert self.expected is not None
        then = self.parked.of(sample)
        if then is None:
            return False
        (p, _), (q, _) = now, then
        gain = sample.y * log(q / p) + (1.0 - sample.y) * log((1.0 - q) / (1.0 - p))
        least = policy.probe if q > p else policy.parked
        self.odds = max(self.odds + gain / self.expected.noise, log(least / (1.0 - least)))
        return self.odds > policy.switch

    def _detect(
        self, sample: Sample, now: tuple[float, float], noise: float, policy: RegimePolicy
    ) -> Act | None:
        mean, sd = now
        evidence, running, marks, place = self.evidence, self.running, self.marks, len(self.kept)
        for side, (p, y) in enumerate(((mean, sample.y), (1.0 - mean, 1.0 - sample.y))):
            p0 = min(max(p - _DOUBTED * sd - _MARGIN, _LEAST_LEFT), _HIGHEST)
            spread, most = p0 * (1.0 - p0) * noise, _MOST_OF_ALL / (1.0 - p0)
            for bet, drop in enumerate(_DROPS, side * _BETS):
                stake = min((p0 - max(p0 - drop, _LEAST_LEFT * p0)) / spread, most)
                worth = 1.0 + stake * (p0 - y)
                evidence[bet] = (evidence[bet] + 1.0) * worth
                running[bet] = max(running[bet], 1.0) * worth
                if running[bet] <= 1.0:
                    marks[bet] = place
            if sum(evidence[side * _BETS : (side + 1) * _BETS]) >= _BETS * policy.level:
                self._keep_since(side)
                return Act.RESTART
        self._trim()
        return None

    def _keep_since(self, side: int) -> None:
        """Keep the samples since the change point that the evidence believes in."""
        bets = range(side * _BETS, (side + 1) * _BETS)
        best = max(bets, key=self.evidence.__getitem__)
        self.kept = self.kept[self.marks[best] :]

    def _trim(self) -> None:
        gone = max(min(self.marks), len(self.kept) - _KEPT)
        if self.expected is None:
            gone = max(0, len(self.kept) - _KEPT)
        if gone > 0:
            del self.kept[:gone]
            self.marks = [max(0, mark - gone) for mark in self.marks]

    def to_state(self) -> list[Any]:
        """Return the exact state as plain values."""
        return [
            self.n, self.look, _plain(self.expected), _plain(self.parked), self.parked_n,
            self.odds, self.evidence, self.running, self.marks,
            [[s.group, s.y, None if s.features is None else dict(s.features)] for s in self.kept],
        ]  # fmt: skip

    @classmethod
    def from_state(cls, state: list[Any]) -> Arm:
        """Return the arm that ``to_state`` described. Raises ``ValueError`` if it cannot be."""
        arm = cls()
        try:
            arm.n, arm.look, expected, parked, arm.parked_n, arm.odds = state[:6]
            arm.evidence, arm.running, arm.marks = (
                list(map(kind, part))
                for kind, part in zip((float, float, int), state[6:9], strict=True)
            )
            arm.expected, arm.parked = _expectation(expected), _expectation(parked)
            arm.kept = [Sample(group, float(y), features) for group, y, features in state[9]]
        except (TypeError, ValueError, IndexError) as error:
            raise ValueError(f"regimes: {error}") from error
        if not len(arm.evidence) == len(arm.running) == len(arm.marks) == 2 * _BETS:
            raise ValueError("regimes: evidence of another number of bets")
        return arm


class Regimes:
    """The regimes of all arms of a model.

    Parameters
    ----------
    policy
        How sure a change has to be.

    Notes
    -----
    About 1 kB an arm, 6 us a sample.
    """

    def __init__(self, policy: RegimePolicy) -> None:
        self.policy = policy
        self.seen = 0
        self.look = 16  # samples at which all expectations are renewed
        self._arms: dict[str, Arm] = {}
        self._own: set[str] = set()  # not shared with a copy

    def of(self, name: str) -> Arm:
        """Return an arm, to be changed."""
        arm = self._arms.get(name)
        if arm is None:
            arm = self._arms[name] = Arm()
            self._own.add(name)
        elif name not in self._own:
            arm = self._arms[name] = arm.copy()
            self._own.add(name)
        return arm

    def parked(self, name: str) -> Arm | None:
        """Return an arm that has a parked regime, to be read; None: it has none."""
        arm = self._arms.get(name)
        return arm if arm is not None and arm.parked is not None else None

    def names(self) -> Iterable[str]:
        """Return the arms that there are."""
        return list(self._arms)

    def forget(self, name: str) -> None:
        """Drop an arm with all its regimes."""
        self._arms.pop(name, None)
        self._own.discard(name)

    def copy(self) -> Regimes:
        """Return regimes that go their own way; arms are copied when they change."""
        other = Regimes(self.policy)
        other.seen, other.look, other._arms = self.seen, self.look, self._arms.copy()
        self._own.clear()
        return other

    def to_state(self) -> list[Any]:
        """Return the exact state as plain values."""
        arms = [[name, arm.to_state()] for name, arm in sorted(self._arms.items())]
        return [self.seen, self.look, arms]

    def load(self, state: object) -> None:
        """Take over what ``to_state`` returned; raise ``ValueError`` where it cannot be."""
        if not isinstance(state, list) or len(state) != 3:
            raise ValueError("regimes must be a list of three")
        self.seen, self.look = int(state[0]), int(state[1])
        self._arms = {str(name): Arm.from_state(arm) for name, arm in state[2]}
        self._own = set(self._arms)


def share(odds: float) -> float:
    """Return the probability of log odds."""
    return 1.0 / (1.0 + exp(-min(max(odds, -700.0), 700.0)))


def worth_parking(before: int, parked: int) -> bool:
    """Say whether a regime of so many samples takes the place of one that is parked."""
    return before >= parked or before >= _SETTLED


def _plain(of: Expectation | None) -> list[Any] | None:
    if of is None:
        return None
    return [
        [[group, mean, sd] for group, (mean, sd) in of.groups.items()],
        [[name, slope, centre] for name, (slope, centre) in of.slopes.items()],
        of.noise,
    ]


def _expectation(state: list[Any] | None) -> Expectation | None:
    if state is None:
        return None
    groups, slopes, noise = state
    return Expectation(
        {group: (float(mean), float(sd)) for group, mean, sd in groups},
        {str(name): (float(slope), float(centre)) for name, slope, centre in slopes},
        float(noise),
    )

"""Whether rewards are certainly lower since a promotion than they were before it.

What came of the decisions before is known by then and stays as it is; what comes after
arrives one by one, at most ``horizon`` of it. Because the end is known, the test need not
hold for ever: each look compares the difference with O'Brien and Fleming's boundary [1]_,
which asks much of the first outcomes and of the last hardly more than a single look would.

Three things besides a worse choice make rewards fall, and are not to be taken for it:

- harder tasks: rewards are compared within task types (post-stratified);
- arms that fell before the promotion, often the reason for it: of what came before only the
  newest part counts, back to the last clear change (``comparable``);
- arms that fall after it: where the arms themselves earn less than they did, and their
  falling explains the loss, it is the world's (``_is_chosen``).

References
----------
.. [1] O'Brien and Fleming, "A multiple testing procedure for clinical trials", Biometrics
   35(3), 1979; continuous looks by the reflection principle of Brownian motion.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Fewer rewards before the promotion say too little of what it was.
FEWEST_BEFORE: Final = 50
# Before so many after it a normal approximation of 0s and 1s means nothing.
_FEWEST_AFTER: Final = 20
# Rewards that are compared at once to find the last change, and how many standard errors
# make one: by chance 39 comparisons of 40 blocks find one in a tenth of the cases, which
# costs some of the reference and nothing else.
_BLOCK: Final = 50
_CHANGE: Final = 3.0
# An arm that was hardly chosen before is taken to have been what it is now: as many rewards.
_ARM_WEIGHT: Final = 20
# Of the loss, what the choice of arms has to explain.
_LEAST_CHOSEN: Final = 0.25
# Each bound of the interval errs with at most 5 %, as those of the gate do.
_BOUND_ERROR: Final = 0.05


class Earned(NamedTuple):
    """What a decision earned: for which task type, by which arm, and its reward in 0..1."""

    group: str | None
    arm: str
    reward: float


class Difference(NamedTuple):
    """By how much the mean reward rose, with bounds that hold at every look at once."""

    value: float
    low: float
    high: float


@dataclass(slots=True)
class Sums:
    """Count, sum and sum of squares of the rewards of one task type."""

    n: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, reward: float) -> None:
        """Count a reward."""
        self.n += 1
        self.total += reward
        self.squares += reward * reward

    @property
    def mean(self) -> float:
        """The mean reward; there is at least one."""
        return self.total / self.n

    @property
    def scatter(self) -> float:
        """Sum of the squared deviations from the mean."""
        return max(0.0, self.squares - self.total**2 / self.n) if self.n else 0.0


class RewardWatch:
    """Compares the rewards after a promotion with those before it.

    Parameters
    ----------
    before
        What was earned before, as far as it is ``comparable``.
    level
        The chance that rewards which are no lower are taken for harm, over all looks.
    horizon
        Rewards after which the watch ends.

    Notes
    -----
    O(task types) per reward. Simulated (rates .3 to .97, 2,000 rewards before, level
    .008): no harm is taken for harm in .2 to .8 % of the watches; 15 points of harm are
    found in 94 % (.60 to .45) to 99.9 % (.90 to .75) of them.

    Examples
    --------
    >>> before = [Earned(None, "good", float(i % 10 < 9)) for i in range(1000)]
    >>> watch = RewardWatch(before, 0.01, 200)
    >>> since = [Earned(None, "poor", float(i % 10 < 6)) for i in range(200)]
    >>> harm = next(i for i, earned in enumerate(since) if watch.update(earned))
    >>> harm, round(watch.difference().value, 2)
    (49, -0.3)
    """

    def __init__(self, before: Iterable[Earned], level: float, horizon: int) -> None:
        self.level = level
        self.horizon = horizon
        self._before: dict[str | None, Sums] = {}
        self._after: dict[str | None, Sums] = {}
        self._arms_before: dict[str, Sums] = {}
        self._arms_after: dict[str, Sums] = {}
        for group, arm, reward in before:
            self._before.setdefault(group, Sums()).add(reward)
            self._arms_before.setdefault(arm, Sums()).add(reward)
        self.is_harm = False

    @property
    def n_before(self) -> int:
        """Rewards from before the promotion."""
        return sum(sums.n for sums in self._before.values())

    @property
    def n(self) -> int:
        """Rewards since the promotion, of task types that there were before."""
        return sum(sums.n for sums in self._after.values())

    @property
    def means(self) -> tuple[float, float]:
        """Mean reward before, weighed as task types came after, and since."""
        n = self.n
        before = sum(sums.n * self._before[group].mean for group, sums in self._after.items()) / n
        return before, sum(sums.total for sums in self._after.values()) / n

    def update(self, earned: Earned) -> bool:
        """Take a reward into account; return whether harm is certain.

        What was certain once stays so; a task type that did not exist before is left out.
        """
        group, arm, reward = earned
        if group in self._before and self.n < self.horizon:
            self._after.setdefault(group, Sums()).add(reward)
            self._arms_after.setdefault(arm, Sums()).add(reward)
            if self.n >= _FEWEST_AFTER and self.n_before >= FEWEST_BEFORE:
                found = self._bounds(self.level)
                self.is_harm = self.is_harm or (found.high < 0 and self._is_chosen(found.value))
        return self.is_harm

    def difference(self) -> Difference:
        """Return how much the mean reward rose; each bound errs with at most 5 %."""
        if self.n < _FEWEST_AFTER or self.n_before < FEWEST_BEFORE:
            return Difference(0.0, -inf, inf)
        return self._bounds(_BOUND_ERROR)

    def _is_chosen(self, lost: float) -> bool:
        """Return whether the choice of arms explains a loss, not only what became of them."""
        fell = 0.0
        for arm, since in self._arms_after.items():
            known = self._arms_before.get(arm, Sums())
            trust = known.n / (known.n + _ARM_WEIGHT)
            if known.n:
                fell += since.n / self.n * trust * (since.mean - known.mean)
        return lost - fell <= _LEAST_CHOSEN * lost

    def _bounds(self, error: float) -> Difference:
        """Return the difference and bounds, each of which errs with ``error`` over all looks."""
        n, n_before = self.n, self.n_before
        value = before_part = 0.0
        for group, sums in self._after.items():
            known, share = self._before[group], sums.n / n
            value += share * (sums.mean - known.mean)
            before_part += share * share / known.n
        scatter_before = sum(sums.scatter for sums in self._before.values())
        scatter = sum(sums.scatter for sums in self._after.values())
        pooled = (scatter_before + scatter) / (n_before + n)
        # The mean of both where rewards scatter more since: the pooled one alone is too
        # small for rare failures, that since the promotion alone is zero at first.
        spread = max(pooled, (pooled + scatter / n) / 2)
        deviation = sqrt(spread / n + scatter_before / n_before * before_part)
        progress = (1 / self.horizon + 1 / n_before) / (1 / n + before_part)
        wide = NormalDist().inv_cdf(1 - error / 2) / sqrt(min(1.0, progress)) * deviation
        return Difference(value, value - wide, value + wide)

    def to_state(self) -> dict[str, Any]:
        """Return everything as plain values, for ``from_state``."""
        return {
            "level": self.level,
            "horizon": self.horizon,
            "is_harm": self.is_harm,
            **{name: _rows(sums) for name, sums in self._parts().items()},
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> RewardWatch:
        """Return the watch that ``to_state`` described."""
        watch = cls([], state["level"], state["horizon"])
        watch.is_harm = state["is_harm"]
        for name, sums in watch._parts().items():
            sums.update((key, Sums(n, total, squares)) for key, n, total, squares in state[name])
        return watch

    def _parts(self) -> dict[str, dict[Any, Sums]]:
        return {
            "before": self._before,
            "after": self._after,
            "arms_before": self._arms_before,
            "arms_after": self._arms_after,
        }


def comparable(earned: Sequence[Earned]) -> Sequence[Earned]:
    """Return the newest part of what was earned, oldest first, back to the last clear change.

    Examples
    --------
    >>> fell = [Earned(None, "a", 1.0)] * 500 + [Earned(None, "a", 0.5)] * 120
    >>> len(comparable(fell))  # in blocks of 50
    100
    """
    rewards = [one.reward for one in earned]
    newer, start = Sums(), len(rewards)
    while start > 0:
        block = Sums()
        for reward in rewards[max(0, start - _BLOCK) : start]:
            block.add(reward)
        # Never less than a tenth of what 0s and 1s would scatter: equal rewards prove little.
        pooled = max(0.025, (newer.scatter + block.scatter) / (newer.n + block.n))
        if newer.n and abs(block.mean - newer.mean) > _CHANGE * sqrt(
            pooled * (1 / newer.n + 1 / block.n)
        ):
            break
        for reward in rewards[start - block.n : start]:
            newer.add(reward)
        start -= block.n
    return earned[start:]


def _rows(sums: dict[Any, Sums]) -> list[list[Any]]:
    return [[key, one.n, one.total, one.squares] for key, one in sums.items()]

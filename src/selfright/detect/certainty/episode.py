"""What follows an alarm: whether it is beyond the threshold, whether it lasts, when it is over.

An alarm says with the stated certainty that an agent has become worse than a reference. Whether
that is *beyond the threshold* is read from the mean since the change point once 20 outcomes
are there. Whether it *lasts* is asked anew: 45 outcomes are skipped, then fresh evidence against
the same reference has to reach 30 and the mean since then, of 30 at least, has to be beyond the
threshold. If the agent is back at its reference by then, that happens one time in 30 at most
(Ville).
It is *over* when the mirrored detector is certain that the mean is above half of the way back.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

from selfright.detect.certainty.bets import RATE_BETS, Grade, grade, values
from selfright.detect.certainty.bets import REFERENCE_GRID as GRID
from selfright.detect.certainty.lane import BETS, MOST, Mark
from selfright.detect.detection import Kind

SETTLE: Final = 45
ENOUGH: Final = 20  # outcomes below which a mean is not read
FRESH: Final = 30  # the same behind the settling, where a mistake costs a full retraining
_LASTS: Final = 30.0
_PATIENCE_US: Final = 24 * 3_600_000_000
# A recovery that was none costs another alarm and no more.
_OVER: Final = 1e4


class Finds(IntEnum):
    """What an episode finds at an outcome."""

    BEYOND = 1
    LASTS = 2
    OVER = 3


class Episode:
    """One stream under suspicion, from its alarm to its certain recovery.

    Parameters
    ----------
    reference
        Which reference raised the alarm.
    against
        Its grade then: what the drop is confirmed against.
    threshold
        The mean below which the agent is worse than wanted; None if there is no such mean.
    at, changed
        Places of the alarm and of the change point.
    """

    __slots__ = (
        "_lasting",
        "_reached",
        "_recovery",
        "_returning",
        "_settled",
        "_values",
        "against",
        "alarms",
        "at",
        "began",
        "beyond",
        "changed",
        "contained",
        "lasts",
        "reference",
        "said",
        "target",
        "threshold",
    )

    def __init__(
        self, reference: int, against: Grade, threshold: float | None, at: Mark, changed: Mark
    ) -> None:
        self.reference, self.against, self.threshold = reference, against, threshold
        self.at, self.changed = at, changed
        self.alarms = 1
        self.said: Kind | None = None  # what was said of it last
        self.began: tuple[int, int] | None = None  # see ``Found``
        self.contained = False
        self.beyond = self.lasts = False
        self._values = values(against, RATE_BETS)
        self._lasting = [1.0] * BETS
        self._reached = False
        self._settled: Mark | None = None
        self.target = self._half_way_back()
        self._returning = values(grade(1.0 - self.target, 1.0), RATE_BETS)
        self._recovery = [0.0] * BETS

    def outcome(self, x: float, here: Mark) -> Finds | None:
        """Take one outcome behind the alarm into account."""
        if self._returns(1.0 - x):
            return Finds.OVER
        found = self.judge(here)
        if found is None and not self.lasts and self._goes_on(x, here):
            self.lasts = True
            return Finds.LASTS
        return found

    def alarm(
        self, reference: int, here: Mark, changed: Mark, *, deeper: bool = False
    ) -> Finds | None:
        """Take another alarm of the stream; ``deeper``: of the reference that is the threshold.

        A drop goes on alarming, each time with the change point that makes it look worst: only
        an alarm against the threshold itself shows that there was a later and deeper one.
        """
        self.alarms += 1
        if deeper and not self.beyond and _below(self.threshold, changed, here):
            self.reference, self.changed = reference, changed
        return self.judge(here)

    def judge(self, here: Mark) -> Finds | None:
        """Say, once, that the mean since the change point is beyond the threshold."""
        if self.beyond or not _below(self.threshold, self.changed, here):
            return None
        self.beyond = True
        return Finds.BEYOND

    def contain(self, here: Mark, now_us: int) -> bool:
        """Say, once, that too few outcomes come to tell whether the drop lasts.

        A fleet that avoids the agent has done what was to be done: nothing costly follows, and
        its recovery is judged by the probes that it still gets.
        """
        few = here.n - self.at.n < SETTLE and now_us - self.at.ts_us >= _PATIENCE_US
        if not few or not self.beyond or self.lasts or self.contained:
            return False
        self.contained = True
        return True

    def since(self, here: Mark) -> tuple[int, float]:
        """Return number and mean of the outcomes since the change point."""
        n = here.n - self.changed.n
        return n, (here.total - self.changed.total) / n if n else 0.0

    def copy(self) -> Episode:
        """Return an episode that can go its own way."""
        return Episode.from_state(self.to_state())

    def to_state(self) -> dict[str, Any]:
        """Return the exact state as plain values."""
        return {
            "reference": self.reference,
            "against": list(self.against),
            "threshold": self.threshold,
            "at": list(self.at),
            "changed": list(self.changed),
            "alarms": self.alarms,
            "said": self.said,
            "began": None if self.began is None else list(self.began),
            "contained": self.contained,
            "beyond": self.beyond,
            "lasts": self.lasts,
            "lasting": list(self._lasting),
            "reached": self._reached,
            "settled": None if self._settled is None else list(self._settled),
            "target": self.target,
            "recovery": list(self._recovery),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Episode:
        """Return the episode that ``to_state`` described."""
        first, second = state["against"]
        episode = cls(
            state["reference"], (first, second), state["threshold"], Mark(*state["at"]),
            Mark(*state["changed"]),
        )  # fmt: skip
        episode.began = None if state["began"] is None else tuple(state["began"])
        episode.contained = state["contained"]
        episode.said = None if state["said"] is None else Kind(state["said"])
        episode.alarms, episode.beyond = state["alarms"], state["beyond"]
        episode.lasts, episode._reached = state["lasts"], state["reached"]
        episode._lasting = list(state["lasting"])
        episode._settled = None if state["settled"] is None else Mark(*state["settled"])
        episode.target = state["target"]
        episode._returning = values(grade(1.0 - episode.target, 1.0), RATE_BETS)
        episode._recovery = list(state["recovery"])
        return episode

    def _half_way_back(self) -> float:
        n, mean = self.since(self.at)
        reference = self.against[0] / GRID
        middle = (reference + mean) / 2.0 if n else reference
        return middle if self.threshold is None else max(middle, min(self.threshold, reference))

    def _returns(self, turned: float) -> bool:
        """Take an outcome, turned round, as evidence against half of the way back; see ``lane``."""
        at_zero, slope, _, _ = self._returning
        # Unrolled: an agent that stays bad pays for this at each of its outcomes.
        a, b, c, d = self._recovery
        a = (a + 1.0) * (at_zero[0] + slope[0] * turned)
        b = (b + 1.0) * (at_zero[1] + slope[1] * turned)
        c = (c + 1.0) * (at_zero[2] + slope[2] * turned)
        d = (d + 1.0) * (at_zero[3] + slope[3] * turned)
        self._recovery = [a, b, c, d]
        return a + b + c + d >= BETS * _OVER

    def _goes_on(self, x: float, here: Mark) -> bool:
        """Say whether the drop outlasted the time given to it to pass by itself."""
        if self.threshold is None or self.contained:
            return False
        if here.n <= self.at.n + SETTLE:
            if here.n == self.at.n + SETTLE:
                self._settled = here
            return False
        at_zero, slope, _, _ = self._values
        self._lasting = [
            min(e * (zero + up * x), MOST)
            for e, zero, up in zip(self._lasting, at_zero, slope, strict=True)
        ]
        self._reached = self._reached or sum(self._lasting) >= BETS * _LASTS
        return (
            self._reached
            and self.beyond  # twenty fresh outcomes of an agent within it may be below by chance
            and self._settled is not None
            and here.n - self._settled.n >= FRESH
            and _below(self.threshold, self._settled, here)
        )


def _below(threshold: float | None, since: Mark, here: Mark) -> bool:
    n = here.n - since.n
    return threshold is not None and n >= ENOUGH and here.total - since.total < threshold * n

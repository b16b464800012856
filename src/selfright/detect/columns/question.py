"""What the Beta rule asks of a rate, and its answers for every count of outcomes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import inf

from selfright.detect.detection import RETRAINING, Finding, WatchedMetric
from selfright.detect.incomplete_beta import critical_sums, incomplete_beta
from selfright.detect.policy import BOUNDS, WatchPolicy


@dataclass(frozen=True, slots=True)
class BetaQuestion:
    """What the rule asks, and its answers for every count, worked out once.

    Parameters
    ----------
    threshold
        The rate that must not be undercut (``sign`` 1) or exceeded (``sign`` -1).
    sign
        The sign that the outcomes carry: the rule sums ``sign * x``.
    confidence, normal
        Probabilities at which "beyond" becomes likely, and unlikely again.
    recent
        Most outcomes to look back on.
    min_n
        With fewer outcomes there is no answer.
    minutes
        Length of the window in minutes of event time.
    """

    threshold: float
    sign: int
    confidence: float
    normal: float
    recent: int
    min_n: int
    minutes: int

    def answers(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return per count the sum at or below which it is likely, at or above unlikely."""
        return _answers(self)

    def probability(self, n: int, total: float) -> float:
        """Return P(true rate beyond the threshold) for ``total``, a sum of ``sign * x``."""
        if self.sign > 0:
            return incomplete_beta(1.0 + total, 1.0 + n - total, self.threshold)
        return incomplete_beta(1.0 + n + total, 1.0 - total, 1.0 - self.threshold)

    def finding(self, n: int, total: float) -> Finding:
        """Return what is judged from ``n`` outcomes, and why. About 5 us."""
        critical = self.answers()[0][n]
        inputs: dict[str, float | int | str | None] = {
            "window_minutes": self.minutes,
            "min_n": self.min_n,
            "recent": self.recent,
            "confidence": self.confidence,
            "prior": "Beta(1, 1)",
            "sum": self.sign * total,
            "critical_sum": None if critical == -inf else self.sign * critical,
        }
        return Finding(n, total, self.probability(n, total), inputs)


@lru_cache(maxsize=64)
def _answers(question: BetaQuestion) -> tuple[tuple[float, ...], tuple[float, ...]]:
    # A rate that must not exceed t is one of the contrary outcomes that must not undercut
    # 1 - t, and its sum s = n - contrary; the rule holds -s.
    q = question
    rate = q.threshold if q.sign > 0 else 1.0 - q.threshold
    likely = list(critical_sums(rate, q.confidence, q.recent))
    unlikely = [inf if s == -inf else s for s in critical_sums(rate, q.normal, q.recent)]
    for n in range(q.recent + 1):
        if n < q.min_n:
            likely[n], unlikely[n] = -inf, inf
        elif q.sign < 0:
            likely[n] -= n
            unlikely[n] -= n
    return tuple(likely), tuple(unlikely)


def questions_of(policy: WatchPolicy) -> dict[WatchedMetric, BetaQuestion]:
    """Return what is asked of each rate that has a threshold."""
    return {
        metric: BetaQuestion(
            policy.judged(metric),
            BOUNDS[metric].sign,
            policy.confidence,
            policy.normal,
            policy.recent,
            policy.min_n,
            policy.window_minutes,
        )
        for metric in RETRAINING
        if policy.threshold(metric) is not None
    }

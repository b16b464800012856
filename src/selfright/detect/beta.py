"""How probable it is, by the latest outcomes, that an agent's true rate is beyond a threshold.

With s successes and f failures among the latest outcomes and nothing known before, the
true rate is Beta(1 + s, 1 + f). When at least 95 % of that lies beyond the threshold, a
cheap and reversible act (an incremental retraining behind its gate) is worth it. It is
no certainty over time: asked after every outcome for weeks, it will err now and then.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from functools import lru_cache
from math import inf

from selfright.detect.detection import Finding, Signal, State
from selfright.detect.incomplete_beta import critical_sums, incomplete_beta

_NEVER = -(1 << 62)  # a minute before all others


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


class BetaRule:
    """Says ``LIKELY`` at P(beyond) >= .95 over the latest outcomes, ``UNLIKELY`` at <= .5.

    It looks at the last min(n, 200) outcomes of those in the window that came since the
    last retraining (``cut``). In between it says ``FADES`` and ``STANDS`` as the
    probability leaves and reaches the level again: the episode lasts until ``UNLIKELY``.

    Parameters
    ----------
    question
        Threshold, levels and lengths.

    Notes
    -----
    O(1) an update, 0.3 us: the probability falls with the sum, so that it is compared
    with a level by comparing the sum with the critical sum of that count. 8 bytes an
    outcome kept. Expiry is by whole minutes of event time, as in ``WindowRule``.

    The latest outcomes stand in a ring; ``_runs`` says from which position on they bear
    which minute, one entry each time the minute changes, so that the update itself need
    not store it. Only a window that expires out of order (late outcomes) is rebuilt.
    """

    __slots__ = (
        "_at",
        "_likely",
        "_minute",
        "_mixed",
        "_newest",
        "_question",
        "_ring",
        "_runs",
        "_size",
        "_unlikely",
        "n",
        "open",
        "seen",
        "stands",
        "total",
    )

    n: int
    total: float
    _at: int
    _minute: int
    _mixed: bool
    _runs: list[tuple[int, int]]

    def __init__(self, question: BetaQuestion) -> None:
        self._question = question
        self._size = question.recent
        self._likely, self._unlikely = question.answers()
        self._newest = _NEVER
        self.open = False  # an episode: likely once, not yet unlikely
        self.stands = False  # likely at this moment
        self.seen = 0  # outcomes ever
        self._empty()

    def update(self, x: float, minute: int, offset: int) -> Signal | None:
        """Take one outcome into account; low is bad."""
        if minute != self._minute and not self._enter(minute):
            return None
        self.seen += 1
        at = self._at
        n = self.n
        if n == self._size:
            ring = self._ring
            self.total = total = self.total - ring[at] + x
            ring[at] = x
        else:
            self.n = n = n + 1
            self.total = total = self.total + x
            if at < len(self._ring):
                self._ring[at] = x
            else:
                self._ring.append(x)
        at += 1
        self._at = at if at < self._size else 0
        if self.open or total <= self._likely[n]:
            return self._judge()
        return None

    def finding(self) -> Finding:
        """Return count, sum and probability at this moment."""
        q, n = self._question, self.n
        critical = self._likely[n]
        inputs: dict[str, float | int | str | None] = {
            "window_minutes": q.minutes,
            "min_n": q.min_n,
            "recent": q.recent,
            "confidence": q.confidence,
            "prior": "Beta(1, 1)",
            "sum": q.sign * self.total,
            "critical_sum": None if critical == -inf else q.sign * critical,
        }
        return Finding(n, self.total, q.probability(n, self.total), inputs)

    def cut(self) -> None:
        """Forget the outcomes: they are about what served before the retraining."""
        self.stands = False
        self._empty()

    def to_state(self) -> State:
        """Return flags, counts and runs, and the outcomes from the oldest to the newest."""
        self._prune()
        start = self.seen - self.n
        numbers = array("q", (self._newest, self.seen, self.open, self.stands))
        for minute, at in self._runs:
            numbers.append(minute)
            numbers.append(max(at, start))
        return numbers, self._kept()

    def restore(self, state: State) -> None:
        """Take over what ``to_state`` returned; of a longer memory, the latest outcomes."""
        numbers, kept = state
        self._newest, self.seen = numbers[:2]
        self.open, self.stands = bool(numbers[2]), bool(numbers[3])
        self._empty()
        self._runs = list(zip(numbers[4::2], numbers[5::2], strict=True))
        self._hold(kept[-self._size :])
        self._prune()
        self._mixed = self._out_of_order()

    def _judge(self) -> Signal | None:
        if self.total <= self._likely[self.n]:
            if self.stands:
                return None
            self.stands = True
            if self.open:
                return Signal.STANDS
            self.open = True
            return Signal.LIKELY
        if self.total >= self._unlikely[self.n]:
            self.open = self.stands = False
            return Signal.UNLIKELY
        if self.stands:
            self.stands = False
            return Signal.FADES
        return None

    def _empty(self) -> None:
        self._ring = array("d")
        self._runs = []
        self._at = 0
        self.n = 0
        self.total = 0.0
        self._minute = _NEVER
        self._mixed = False

    def _hold(self, kept: array[float]) -> None:
        self._ring = kept
        self.n = len(kept)
        self._at = self.n % self._size
        self.total = sum(kept, 0.0)

    def _kept(self) -> array[float]:
        """Return the outcomes that count, in order of arrival."""
        start = self._at - self.n
        ring = self._ring
        if start >= 0:
            return ring[start : self._at]
        return ring[start % self._size :] + ring[: self._at]

    def _enter(self, minute: int) -> bool:
        """Make ``minute`` the current one; False if it lies before the window."""
        if minute <= self._newest - self._question.minutes:
            return False
        self._prune()
        if minute > self._newest:
            self._newest = minute
            self._expire(minute - self._question.minutes)
        elif minute < self._newest:
            self._mixed = True
        if not self._runs or self._runs[-1][0] != minute:
            self._runs.append((minute, self.seen))
        self._minute = minute
        return True

    def _prune(self) -> None:
        """Drop runs of which no outcome is left in the ring."""
        runs, start = self._runs, self.seen - self.n
        while len(runs) > 1 and runs[1][1] <= start:
            del runs[0]
        if runs and not self.n:
            runs.clear()

    def _expire(self, horizon: int) -> None:
        """Drop the outcomes of minutes up to ``horizon``."""
        runs = self._runs
        if not self._mixed:
            while runs and runs[0][0] <= horizon:
                del runs[0]
                end = runs[0][1] if runs else self.seen
                self._drop_oldest(end - (self.seen - self.n))
            return
        if all(minute > horizon for minute, _ in runs):
            return
        self._rebuild(horizon)

    def _drop_oldest(self, count: int) -> None:
        for position in range(self._at - self.n, self._at - self.n + count):
            self.total -= self._ring[position % self._size]
        self.n -= count
        if not self.n:
            self.total = 0.0

    def _rebuild(self, horizon: int) -> None:
        kept, left = self._kept(), array("d")
        start = self.seen - self.n
        bounds = [max(at, start) for _, at in self._runs] + [self.seen]
        spans = [
            (minute, kept[begin - start : end - start])
            for (minute, _), begin, end in zip(self._runs, bounds, bounds[1:], strict=False)
            if minute > horizon
        ]
        self._runs.clear()
        at = self.seen - sum(len(values) for _, values in spans)
        for minute, values in spans:
            self._runs.append((minute, at))
            at += len(values)
            left += values
        self._hold(left)
        self._mixed = self._out_of_order()

    def _out_of_order(self) -> bool:
        minutes = [minute for minute, _ in self._runs]
        return minutes != sorted(minutes)

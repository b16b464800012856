"""The mean of all outcomes in the window against a threshold: quick to say, never certain."""

from __future__ import annotations

from array import array

from selfright.detect.detection import Finding, Signal, State

_NEVER = -(1 << 62)  # a minute before all others


class WindowRule:
    """Says ``BEYOND`` when the windowed mean falls below its threshold, ``CLEARED`` after it.

    It states a fact about what was seen, not yet about the agent: a healthy agent's mean is
    below its threshold now and then. So it warns and never acts; see ``BetaRule``. Of a
    rate it speaks only once the mean is further below than chance explains nine times in
    ten: of 1,000 outcomes of a healthy agent of rate .84 the bare mean of at least 20 was
    below .70 at some time in 7.6 % of 4,000 simulated streams, with this in 0.4 %.

    Parameters
    ----------
    threshold
        The mean below which it speaks.
    clear
        The mean at or above which it takes that back. At least ``threshold``.
    minutes
        Length of the window in minutes of event time, back from the newest outcome.
    min_n
        With fewer outcomes in the window it changes nothing.
    noise
        Square of the distance, in outcomes, by which the total has to fall short, per
        outcome in the window: ``z^2 * variance`` of one outcome. 0 for amounts.

    Notes
    -----
    O(1) an update, 0.3 us; 16 bytes a minute of the window. Expiry is by whole minutes:
    the window covers the newest outcome's minute and the ``minutes - 1`` before it. A
    late outcome goes to its own minute, one from before the window is ignored.

    The totals of the current minute are kept in the window's own totals, as the growth
    since the minute was entered; a bucket is written when another minute is entered.
    Sums of multiples of 2^-32, or of whole numbers, are exact below 2^21 outcomes or
    2^53, so that nothing is left of an outcome that went.
    """

    __slots__ = (
        "_base_n",
        "_base_total",
        "_clear",
        "_counts",
        "_min_n",
        "_minute",
        "_minutes",
        "_newest",
        "_noise",
        "_threshold",
        "_totals",
        "beyond",
        "n",
        "total",
    )

    n: int
    total: float
    _minute: int
    _base_n: int
    _base_total: float

    def __init__(
        self, threshold: float, clear: float, minutes: int, min_n: int, noise: float = 0.0
    ) -> None:
        self._threshold = threshold
        self._noise = noise
        self._clear = clear
        self._minutes = minutes
        self._min_n = min_n
        self._newest = _NEVER
        self.beyond = False
        self._empty()

    def update(self, x: float, minute: int, offset: int) -> Signal | None:
        """Take one outcome into account; low is bad."""
        if minute != self._minute and not self._enter(minute):
            return None
        self.n = n = self.n + 1
        self.total = total = self.total + x
        # Divided, not multiplied: a mean that equals the threshold in exact arithmetic
        # then does so here too, for division rounds correctly.
        if self.beyond:
            if total / n >= self._clear and n >= self._min_n:
                self.beyond = False
                return Signal.CLEARED
        elif total / n < self._threshold and n >= self._min_n:
            short = self._threshold * n - total
            if short * short >= self._noise * n:
                self.beyond = True
                return Signal.BEYOND
        return None

    def finding(self) -> Finding:
        """Return the window's count and total."""
        inputs = {"window_minutes": self._minutes, "min_n": self._min_n}
        return Finding(self.n, self.total, None, inputs)

    def cut(self) -> None:
        """Do nothing: what was seen in the window was seen, whoever has been retrained."""

    def to_state(self) -> State:
        """Return length, newest minute and flag, then counts and totals by slot."""
        self._leave()
        flags = array("q", (self._minutes, self._newest, self.beyond))
        return flags + self._counts, self._totals[:]

    def restore(self, state: State) -> None:
        """Take over what ``to_state`` returned, as far as this window reaches back."""
        numbers, totals = state
        minutes, newest, beyond = numbers[:3]
        self._newest = newest
        self.beyond = bool(beyond)
        self._empty()
        if totals:
            self._allocate()
        for slot, (count, total) in enumerate(zip(numbers[3:], totals, strict=True)):
            minute = newest - (newest - slot) % minutes
            if count and minute > newest - self._minutes:
                self._counts[minute % self._minutes] = count
                self._totals[minute % self._minutes] = total
                self.n += count
                self.total += total
        self._base_n, self._base_total = self.n, self.total

    def _empty(self) -> None:
        self._counts = array("q")
        self._totals = array("d")
        self._minute = _NEVER
        self.n = 0
        self.total = 0.0
        self._base_n = 0
        self._base_total = 0.0

    def _allocate(self) -> None:
        # Not before the first outcome: most agents never report some of the metrics.
        self._counts = array("q", bytes(8 * self._minutes))
        self._totals = array("d", bytes(8 * self._minutes))

    def _enter(self, minute: int) -> bool:
        """Make ``minute`` the current one; False if it lies before the window."""
        if minute <= self._newest - self._minutes:
            return False
        self._leave()
        if minute > self._newest:
            self._expire(minute)
            self._newest = minute
        self._minute = minute
        self._base_n, self._base_total = self.n, self.total
        return True

    def _leave(self) -> None:
        if self._minute != _NEVER:
            slot = self._minute % self._minutes
            self._counts[slot] += self.n - self._base_n
            self._totals[slot] += self.total - self._base_total
            self._base_n, self._base_total = self.n, self.total

    def _expire(self, minute: int) -> None:
        if minute - self._newest >= self._minutes:
            self._empty()
            self._allocate()
            return
        counts, totals = self._counts, self._totals
        # The slot of a minute that begins still holds the minute that ends.
        for ending in range(self._newest + 1, minute + 1):
            slot = ending % self._minutes
            if counts[slot]:
                self.n -= counts[slot]
                self.total -= totals[slot]
                counts[slot] = 0
                totals[slot] = 0.0
        if not self.n:
            self.total = 0.0

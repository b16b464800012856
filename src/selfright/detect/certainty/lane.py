"""The mixture Shiryaev-Roberts e-detector of one stream of outcomes, one outcome at a time.

Each reference has four bets (``bets``). Per bet the evidence is ``M <- (M + 1) E``; their mean
reaching the level A is the alarm, which sets M to 0. While the mean of the outcomes stays at or
above the reference, the expected number of alarms among any N outcomes is at most N / A,
whatever the dependence between outcomes or between agents. M stays near A at most, so plain
floating point numbers hold it.

The **change point** of a bet is where its running total, ``C <- max(C, 1) E``, was last at 1 or
below: what came before speaks for the reference, what came after against it. A small bet is
blurred by a large drop and a large one loses sight of a small drop, so three are followed, and at
an alarm that with the most evidence is believed.

``Lane`` is the scalar form, ``bank.Bank`` the same for many streams at once; they agree exactly,
for both do the same operations in the same order.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from selfright.detect.certainty.bets import MARKING, NO_VALUES, Values

BETS: Final = 4
TEN: Final = 10
FIFTY: Final = 50
# A running total need not grow any further: it would take 1,000 outcomes to come back.
MOST: Final = 1e150


class Mark(NamedTuple):
    """A place in a stream, just behind an outcome: how many there were, their sum, and where."""

    n: int
    total: float
    offset: int
    ts_us: int


Place = tuple[int, float, int, int]  # what a ``Mark`` is made of
START: Final = Mark(0, 0.0, -1, 0)


class Lane:
    """One stream: outcomes in [0, 1], low is bad, against one or more references.

    Parameters
    ----------
    references
        How many references there are. A reference without values collects no evidence.

    Notes
    -----
    0.6 us an outcome and reference.

    Examples
    --------
    >>> from selfright.detect.certainty.bets import RATE_BETS, grade, values
    >>> lane = Lane(1)
    >>> lane.use(0, values(grade(0.9, 1.0), RATE_BETS))
    >>> outcomes = enumerate([1.0] * 90 + [0.0] * 10)
    >>> next(i for i, x in outcomes if lane.update(x, 1e4, offset=i, ts_us=0))
    96
    >>> lane.changed(0).n
    90
    """

    __slots__ = ("evidence", "marks", "n", "places", "tens", "total", "values")

    def __init__(self, references: int) -> None:
        self.n = 0
        self.total = 0.0
        self.tens = [0.0] * (FIFTY // TEN)  # sums of ten since the last full fifty
        self.values: list[Values] = [NO_VALUES] * references
        self.evidence: list[list[float]] = [[0.0] * BETS for _ in range(references)]
        self.marks = [[1.0] * len(MARKING) for _ in range(references)]
        # As plain tuples: while nothing changes one is made at nearly every outcome.
        self.places: list[list[Place]] = [[START] * len(MARKING) for _ in range(references)]

    def use(self, reference: int, worth: Values) -> None:
        """Hold the outcomes from now on against other values; the evidence so far stays."""
        self.values[reference] = worth

    def update(self, x: float, level: float, offset: int, ts_us: int) -> int:
        """Take an outcome into account; return 2^r summed over the references r that alarm.

        Whoever hears an alarm reads what he needs and has it ``forget``.
        """
        self.tens[self.n // TEN % len(self.tens)] += x
        self.n += 1
        self.total += x
        alarms, enough = 0, BETS * level
        for r, (at_zero, slope, at_one) in enumerate(self.values):
            if x == 1.0:
                worth = at_one
            elif x == 0.0:
                worth = at_zero
            else:
                worth = tuple([zero + up * x for zero, up in zip(at_zero, slope, strict=True)])
            # Unrolled: this is the whole cost of a busy agent.
            a, b, c, d = self.evidence[r]
            p, q, s, t = worth
            a = (a + 1.0) * p
            b = (b + 1.0) * q
            c = (c + 1.0) * s
            d = (d + 1.0) * t
            self.evidence[r] = [a, b, c, d]
            if a + b + c + d >= enough:
                alarms |= 1 << r
            i, j, k = self.marks[r]
            i = q if i < 1.0 else i * q
            j = s if j < 1.0 else j * s
            k = t if k < 1.0 else k * t
            if i <= 1.0 or j <= 1.0 or k <= 1.0:
                here = (self.n, self.total, offset, ts_us)
                places = self.places[r]
                if i <= 1.0:
                    places[0] = here
                if j <= 1.0:
                    places[1] = here
                if k <= 1.0:
                    places[2] = here
            if i > MOST or j > MOST or k > MOST:
                i, j, k = min(i, MOST), min(j, MOST), min(k, MOST)
            self.marks[r] = [i, j, k]
        return alarms

    def changed(self, reference: int) -> Mark:
        """Return the change point: that of the marking bet with the most evidence."""
        evidence = [self.evidence[reference][k] for k in MARKING]
        return Mark(*self.places[reference][evidence.index(max(evidence))])

    def forget(self, alarms: int) -> None:
        """Begin anew after an alarm: the evidence of the references that alarmed is 0."""
        for r in range(len(self.evidence)):
            if alarms >> r & 1:
                self.evidence[r] = [0.0] * BETS

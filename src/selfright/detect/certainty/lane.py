"""The mixture Shiryaev-Roberts e-detector of one stream of outcomes, one outcome at a time.

Each reference has four bets (``bets``). Per bet the evidence is ``M <- (M + 1) E``; their weighted
mean reaching the level A is the alarm, which sets M to 0. While the mean of the outcomes stays at
or above the reference, the expected number of alarms among any N outcomes is at most N / A,
whatever the dependence between outcomes or between agents.

The **change point** of a bet is where its running total, ``C <- max(C, 1) E``, was last at 1 or
below: what came before speaks for the reference, what came after against it. A small bet is
blurred by a large drop and a large one loses sight of a small drop, so three are followed, and at
an alarm that with the most evidence is believed.

Both are kept as a product P of the values since an anchor, and what it is to be multiplied by:
``M = P S`` with ``S <- S + 1 / P``, and ``C = P H`` with ``H <- max(H, 1 / P)``, each by the P
before the outcome. So many outcomes of one stream can be taken in one pass of numpy, and the
result does not depend, to the last bit, on how they are cut into passes. Every 50 outcomes, and
at an alarm, the anchor is set anew (P = 1): between two anchors P stays within 1e-85 .. 1e175.

``Lane`` is the scalar form, ``bank.Bank`` the same for many streams at once; they agree exactly,
for both do the same operations in the same order.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from selfright.detect.certainty.bets import MARKING, NO_VALUES, Values

BETS: Final = 4
TEN: Final = 10
FIFTY: Final = 50
# A running total need not grow any further: it would take hundreds of outcomes to come back.
MOST: Final = 1e100


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
    1.2 to 1.6 us an outcome and reference.

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

    __slots__ = ("edges", "heights", "n", "places", "products", "sums", "total", "values")

    def __init__(self, references: int) -> None:
        self.n = 0
        self.total = 0.0
        self.edges = [0.0] * (FIFTY // TEN)  # the total where each ten of the fifty began
        self.values: list[Values] = [NO_VALUES] * references
        self.products = [[1.0] * BETS for _ in range(references)]
        self.sums = [[0.0] * BETS for _ in range(references)]
        self.heights = [[1.0] * len(MARKING) for _ in range(references)]
        # As plain tuples: while nothing changes one is made at nearly every outcome.
        self.places: list[list[Place]] = [[START] * len(MARKING) for _ in range(references)]

    def use(self, reference: int, worth: Values) -> None:
        """Hold the outcomes from now on against other values; the evidence so far stays."""
        self.values[reference] = worth

    def update(self, x: float, level: float, offset: int, ts_us: int) -> int:
        """Take an outcome into account; return 2^r summed over the references r that alarm.

        Whoever hears an alarm reads what he needs and has it ``forget``.
        """
        if self.n % TEN == 0:
            self.edges[self.n // TEN % len(self.edges)] = self.total
        self.n = n = self.n + 1
        self.total += x
        alarms = 0
        for r, (at_zero, slope, at_one, (e, f, g, h)) in enumerate(self.values):
            if x == 1.0:
                worth = at_one
            elif x == 0.0:
                worth = at_zero
            else:
                worth = tuple([zero + up * x for zero, up in zip(at_zero, slope, strict=True)])
            # Unrolled: this is the whole cost of a stream.
            a, b, c, d = self.products[r]
            p, q, s, t = self.sums[r]
            k, m, o = self.heights[r]
            of_b, of_c, of_d = 1.0 / b, 1.0 / c, 1.0 / d
            p += 1.0 / a
            q += of_b
            s += of_c
            t += of_d
            a *= worth[0]
            b *= worth[1]
            c *= worth[2]
            d *= worth[3]
            if a * p * e + b * q * f + c * s * g + d * t * h >= level:
                alarms |= 1 << r
            k = max(k, of_b)
            m = max(m, of_c)
            o = max(o, of_d)
            first, second, third = b * k <= 1.0, c * m <= 1.0, d * o <= 1.0
            if first or second or third:
                here, places = (n, self.total, offset, ts_us), self.places[r]
                if first:
                    places[0] = here
                if second:
                    places[1] = here
                if third:
                    places[2] = here
            self.products[r], self.sums[r], self.heights[r] = [a, b, c, d], [p, q, s, t], [k, m, o]
        if n % FIFTY == 0:
            for r in range(len(self.values)):
                self._anchor(r)
        return alarms

    def evidence(self, reference: int) -> list[float]:
        """Return M by bet."""
        pairs = zip(self.products[reference], self.sums[reference], strict=True)
        return [product * total for product, total in pairs]

    def weighed(self, reference: int) -> float:
        """Return M, that which makes an alarm at the level A."""
        pairs = zip(self.evidence(reference), self.values[reference].weights, strict=True)
        return sum(evidence * weight for evidence, weight in pairs)

    def changed(self, reference: int) -> Mark:
        """Return the change point: that of the marking bet with the most evidence."""
        evidence = self.evidence(reference)
        marking = [evidence[k] for k in MARKING]
        return Mark(*self.places[reference][marking.index(max(marking))])

    def since_fifty(self) -> int:
        """Return the outcomes since the last full fifty, 50 where one is full just now."""
        return (self.n - 1) % FIFTY + 1 if self.n else 0

    def tens(self) -> list[float]:
        """Return the sums of ten since the last full fifty, of a fifty that is full just now too.

        What is under way of the last of them is its sum so far.
        """
        begun = -(-self.since_fifty() // TEN)
        if not begun:
            return []
        ends = [*self.edges[1:begun], self.total]
        return [end - edge for edge, end in zip(self.edges[:begun], ends, strict=True)]

    def forget(self, alarms: int) -> None:
        """Begin anew after an alarm: the evidence of the references that alarmed is 0."""
        for r in range(len(self.values)):
            if alarms >> r & 1:
                self._anchor(r)
                self.sums[r] = [0.0] * BETS

    def _anchor(self, r: int) -> None:
        products = self.products[r]
        self.sums[r] = self.evidence(r)
        self.heights[r] = [
            min(products[k] * height, MOST)
            for k, height in zip(MARKING, self.heights[r], strict=True)
        ]
        self.products[r] = [1.0] * BETS

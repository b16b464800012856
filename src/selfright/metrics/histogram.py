"""Quantiles of durations from counts in logarithmic buckets.

A bucket reaches from ``lower`` (exclusive) to ``lower * gamma`` (inclusive) with
gamma = 2^(2^-5), OpenTelemetry's exponential scale 5 (Prometheus' native schema 5) in
seconds; zero has its own bucket. Histograms of any two sources merge by addition,
whatever they hold, which no summary of quantiles can do.

The value returned for a bucket is the one whose greatest relative error is least,
2 a b / (a + b) of its smallest and greatest whole microsecond a, b. So a quantile errs
by at most (gamma - 1) / (gamma + 1) = 1.083 % of the order statistic that
``numpy.quantile(..., method="inverted_cdf")`` would return, and not at all below 46 us,
where no bucket holds two values.

Bucket numbers here start at 0 (the zero bucket); OpenTelemetry's index is
``bucket - OTEL_OFFSET``. The edges are whole microseconds found by integer roots, thus
the same on every machine; a floating logarithm would not be.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import cache
from math import isqrt
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from selfright.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

PER_OCTAVE: Final = 32  # 2^5 buckets per doubling
OTEL_OFFSET: Final = 672  # whole octaves, so that a page of 32 buckets is an octave
OCTAVES: Final = 46  # 2^-21 s .. 2^25 s, over a year; longer durations count in the last
BUCKETS: Final = OCTAVES * PER_OCTAVE
MAX_ERROR: Final = (2 ** (1 / 32) - 1) / (2 ** (1 / 32) + 1)

_MANTISSA_BITS: Final = 7  # 128 slots per octave: at most one edge falls into a slot
_SHIFT: Final = 52 - _MANTISSA_BITS
_ONE: Final = (1023 << _MANTISSA_BITS) - 1  # the slot of 1 us is 1, that of 0 is 0


class Edges(NamedTuple):
    """The buckets as numbers: made once, on first use.

    Attributes
    ----------
    upper
        Greatest whole microsecond of each bucket; the last has no end.
    value
        What a quantile in the bucket is reported as, microseconds.
    slot
        Bucket of the smallest integer of each slot of the float's leading bits.
    listed
        ``upper`` as a list, for one value at a time.
    """

    upper: Ints
    value: Floats
    slot: Ints
    listed: list[int]


@cache
def edges() -> Edges:
    """Return the edges of the buckets. The first call takes about 5 ms."""
    # floor(10^6 * 2^(j/32) * 2^64) for each j; taking a root floor by floor is exact.
    fine = []
    for j in range(1, PER_OCTAVE + 1):
        root = (1_000_000 << 64) ** 32 << j
        for _ in range(5):
            root = isqrt(root)
        fine.append(root)
    octave = OTEL_OFFSET // PER_OCTAVE
    listed = [fine[b % PER_OCTAVE] >> (64 + octave - b // PER_OCTAVE) for b in range(BUCKETS)]
    listed[-1] = 1 << 62
    upper = np.array(listed, dtype=np.int64)
    low = np.concatenate(([0], upper[:-1] + 1)).astype(np.float64)
    high = upper.astype(np.float64)
    high[-1] = low[-1] * 2 ** (1 / 32)
    with np.errstate(invalid="ignore"):
        value = np.where(high > 0, 2 * low * high / (low + high), 0.0)
    firsts = np.arange((OCTAVES + 1) << _MANTISSA_BITS, dtype=np.int64)
    starts = np.ceil((firsts + _ONE << _SHIFT).view(np.float64)).astype(np.int64)
    slot = np.searchsorted(upper, starts, side="left").astype(np.int64)
    slot[0] = 0
    return Edges(upper, value, np.minimum(slot, BUCKETS - 1), listed)


def bucket_of(durations_us: Ints) -> Ints:
    """Return the bucket of each duration (0 or more). About 10 ns a value."""
    table = edges()
    slots = (durations_us.astype(np.float64).view(np.int64) >> _SHIFT) - _ONE
    found = table.slot.take(slots, mode="clip")
    return found + (durations_us > table.upper[found])


def bucket_of_one(duration_us: int) -> int:
    """Return the bucket of a single duration."""
    return bisect_left(edges().listed, duration_us) if duration_us else 0


def rank(count: Ints, part: int | Ints, whole: int) -> Ints:
    """Return which of ``count`` ordered values is the ``part / whole`` quantile, from 1."""
    place: Ints = -(-count * part // whole)
    return np.maximum(1, place)


def bucket_at(counts: Ints, ranks: Sequence[int]) -> list[int]:
    """Return the buckets that hold the values of these ranks, which must exist."""
    found: list[int] = np.searchsorted(np.cumsum(counts), ranks, side="left").tolist()
    return found


class Histogram:
    """Counts of durations, from which quantiles are read within 1.1 %.

    One dense vector, for a fleet or an export. ``paged`` keeps those of many agents.

    Parameters
    ----------
    counts
        int64, one per bucket; none for an empty histogram.

    Raises
    ------
    ConfigError
        If ``counts`` has not one number per bucket.

    Notes
    -----
    12 kB. An update costs about 15 ns a value, a quantile 4 us.

    Examples
    --------
    >>> histogram = Histogram()
    >>> histogram.update(np.array([100_000, 200_000, 900_000]))
    >>> round(histogram.quantile(0.5) / 1000)
    199
    """

    __slots__ = ("counts",)

    def __init__(self, counts: Ints | None = None) -> None:
        if counts is not None and len(counts) != BUCKETS:
            raise ConfigError("counts", len(counts), f"must have {BUCKETS} buckets")
        self.counts: Ints = np.zeros(BUCKETS, dtype=np.int64) if counts is None else counts

    def update(self, durations_us: Ints) -> None:
        """Count durations, each 0 or more microseconds."""
        self.counts += np.bincount(bucket_of(durations_us), minlength=BUCKETS)

    def merge(self, other: Histogram) -> None:
        """Add what another histogram counted."""
        self.counts += other.counts

    def count(self) -> int:
        """Return how many durations were counted."""
        return int(self.counts.sum())

    def quantile(self, q: float) -> float:
        """Return the ``q`` quantile in microseconds, NaN if nothing was counted."""
        if not 0 <= q <= 1:
            raise ConfigError("q", q, "must be between 0 and 1")
        n = self.count()
        if n == 0:
            return float("nan")
        place = min(n, max(1, int(np.ceil(q * n))))
        return float(edges().value[bucket_at(self.counts, [place])[0]])

    def sparse(self) -> tuple[Ints, Ints]:
        """Return the numbers of the buckets in use and their counts, ascending."""
        used = np.flatnonzero(self.counts)
        return used, self.counts[used]

    @classmethod
    def from_sparse(cls, buckets: Ints, counts: Ints) -> Self:
        """Return what ``sparse`` took apart; equal buckets are added up."""
        dense = np.zeros(BUCKETS, dtype=np.int64)
        order = np.argsort(buckets, kind="stable")
        if len(order):
            ordered = buckets[order]
            starts = np.flatnonzero(np.diff(ordered, prepend=ordered[0] - 1))
            dense[ordered[starts]] = np.add.reduceat(counts[order], starts)
        return cls(dense)

"""The incomplete beta function is right to 1e-10, and so are the sums derived from it."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import pytest

from selfright.detect.incomplete_beta import critical_sums, incomplete_beta


def exact(s: int, n: int, threshold: Fraction) -> Fraction:
    """P(Beta(1 + s, 1 + n - s) <= threshold): that of at least s + 1 of n + 1 coins."""
    heads, sides = threshold.numerator, threshold.denominator
    tails = sides - heads
    ways = (math.comb(n + 1, k) * heads**k * tails ** (n + 1 - k) for k in range(s + 1, n + 2))
    return Fraction(sum(ways), sides ** (n + 1))


@pytest.mark.parametrize(
    ("a", "b", "x", "expected"),
    [
        (1, 1, 0.3, 0.3),
        (2, 3, 0.5, 0.6875),
        (0.5, 0.5, 0.5, 0.5),
        (0.5, 0.5, 0.25, 1 / 3),  # (2 / pi) asin(sqrt x)
        (3, 1, 0.2, 0.008),  # x^a
        (1, 4, 0.1, 1 - 0.9**4),
    ],
)
def test_known_values(a, b, x, expected):
    """Values that have a closed form come out."""
    assert incomplete_beta(a, b, x) == pytest.approx(expected, rel=1e-12)


def test_ends():
    """No probability lies below 0, all of it below 1."""
    assert incomplete_beta(3.5, 2.5, 0.0) == 0.0
    assert incomplete_beta(3.5, 2.5, 1.0) == 1.0


@pytest.mark.parametrize(
    ("a", "b"), list(product([1.0, 4.75, 14.25, 60.5, 201.0, 4000.0], repeat=2))
)
def test_equals_numerical_integration(a, b):
    """For real parameters it equals the integral of the density."""
    mean = a / (a + b)
    spread = math.sqrt(mean * (1 - mean) / (a + b + 1))
    # Gauss-Legendre on pieces between the points asked for and far outside the mass.
    edges = np.unique(np.clip(mean + spread * np.linspace(-12, 12, 49), 1e-300, 1 - 1e-16))
    nodes, weights = np.polynomial.legendre.leggauss(40)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    below = incomplete_beta(a, b, float(edges[0]))
    for low, high in pairwise(edges):
        at = (high + low) / 2 + (high - low) / 2 * nodes
        density = np.exp(front + (a - 1) * np.log(at) + (b - 1) * np.log1p(-at))
        below += float(weights @ density) * (high - low) / 2
        assert incomplete_beta(a, b, float(high)) == pytest.approx(below, rel=1e-9, abs=1e-11)


def test_equals_the_coins_exactly():
    """For whole numbers of outcomes it equals the binomial tail in exact arithmetic."""
    for n, s in [(0, 0), (1, 0), (20, 10), (87, 53), (200, 129), (200, 200)]:
        for threshold in (Fraction(7, 10), Fraction(3, 20), Fraction(99, 100)):
            got = incomplete_beta(1 + s, 1 + n - s, float(threshold))
            assert got == pytest.approx(float(exact(s, n, threshold)), rel=1e-11, abs=1e-300)


@pytest.mark.parametrize("threshold", ["1/2", "7/10", "4/5", "17/20", "99/100", "1/50"])
@pytest.mark.parametrize("level", ["1/2", "19/20"])
def test_critical_sums_decide_whole_outcomes_exactly(threshold, level):
    """Comparing with the critical sum is asking exact arithmetic, for every count to 200."""
    rate, asked = Fraction(threshold), Fraction(level)
    sums = critical_sums(float(rate), float(asked), 200)
    for n in range(201):
        middle = 0 if sums[n] == -math.inf else math.floor(sums[n])
        for s in range(middle, min(n, middle + 1) + 1):
            # 0.95 and 0.7 as floats are not quite the fractions: leave out the knife's edge.
            probability = exact(s, n, rate)
            if abs(probability - asked) > Fraction(1, 10**12):
                assert (s <= sums[n]) == (probability >= asked), (n, s)
            else:
                assert s <= sums[n] + 1e-9


def test_critical_sums_are_roots_for_graded_outcomes():
    """At a critical sum between 0 and n the probability is the level."""
    for threshold, level in [(0.7, 0.95), (0.8, 0.5), (0.85, 0.999)]:
        for n, s in enumerate(critical_sums(threshold, level, 200)):
            if 0.0 < s < n:
                at = incomplete_beta(1.0 + s, 1.0 + n - s, threshold)
                assert at == pytest.approx(level, abs=1e-10)

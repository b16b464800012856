"""The lower bound lies below the mean as often as it says, by the exact binomial tail."""

from __future__ import annotations

from math import exp, lgamma, log

import pytest

from selfright.detect.certainty.bound import Z95, Z99, lower_bound
from selfright.detect.incomplete_beta import incomplete_beta

NUMBERS = [200, 450, 1000, 2000, 4000]


def tail(n: int, s: int, p: float) -> float:
    """Return P(Bin(n, p) >= s): what Clopper and Pearson make equal to one minus the level."""
    return 1.0 if s <= 0 else incomplete_beta(s, n - s + 1, p)


def coverage(n: int, p: float, z: float, *, lower: float = 0.0) -> float:
    """Return P(the bound is at most p), for outcomes of 0 and 1 of mean p."""
    return sum(
        exp(lgamma(n + 1) - lgamma(s + 1) - lgamma(n - s + 1) + s * log(p) + (n - s) * log(1 - p))
        for s in range(n + 1)
        if lower_bound(float(s), n, z) - lower <= p
    )


@pytest.mark.parametrize(("z", "level"), [(Z95, 0.95), (Z99, 0.99)])
@pytest.mark.parametrize("n", [200, 1000])
@pytest.mark.parametrize("p", [0.6, 0.75, 0.9, 0.97, 0.995])
def test_it_covers_as_often_as_it_says(n: int, p: float, z: float, level: float) -> None:
    """Over all numbers of successes; a thousandth is put up with."""
    assert coverage(n, p, z) >= level - 0.001


def test_a_bound_that_is_too_high_is_noticed() -> None:
    """The check bites: raised by a third of a standard deviation it covers too rarely."""
    assert coverage(1000, 0.9, Z95, lower=-0.003) < 0.949


@pytest.mark.parametrize(("z", "level"), [(Z95, 0.05), (Z99, 0.01)])
@pytest.mark.parametrize("n", NUMBERS)
def test_it_is_the_exact_bound_or_a_little_less(n: int, z: float, level: float) -> None:
    """The exact tail at the bound is the level; a tenth of the level is given away at most."""
    for missed in (1, 2, 5, n // 20, n // 5, n // 2):
        found = tail(n, n - missed, lower_bound(float(n - missed), n, z))
        assert 0.83 * level <= found <= 1.001 * level


@pytest.mark.parametrize("n", NUMBERS)
def test_without_a_failure_it_is_exact_and_between_it_is_in_order(n: int) -> None:
    """From no failure to two, in steps of a tenth: it falls all along."""
    assert lower_bound(float(n), n, Z95) == pytest.approx(0.05 ** (1 / n), abs=1e-12)
    found = [lower_bound(n - tenth / 10, n, Z95) for tenth in range(21)]
    assert found == sorted(found, reverse=True)


def test_of_failures_alone_it_is_nothing() -> None:
    """There is no mean to fall from."""
    assert lower_bound(0.0, 200, Z95) == lower_bound(1.0, 200, Z99) == 0.0

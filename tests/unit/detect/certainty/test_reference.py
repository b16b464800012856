"""What an agent was equals what its raw outcomes say, and its best is never forgotten."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfright.detect.certainty.bank import Block
from selfright.detect.certainty.bets import REFERENCE_GRID
from selfright.detect.certainty.bound import Z95, Z99, lower_bound
from selfright.detect.certainty.rates import Rates
from selfright.detect.certainty.reference import Levels, RateReference


def sums(outcomes: np.ndarray) -> list[list[float]]:
    """Return the sums of ten, fifty outcomes at a time."""
    by_fifty: list[list[float]] = outcomes.reshape(-1, 5, 10).sum(axis=2).tolist()
    return by_fifty


def recomputed(outcomes: np.ndarray) -> Levels | None:
    """Return the references from raw outcomes, as the module says they are."""
    n = len(outcomes)
    if n < 200:
        return None
    until = max(n - 250, 200)
    learnt = outcomes[max(until - 4000, 0) : until]
    best = None
    if until >= 2000:
        totals = np.concatenate([[0.0], np.cumsum(outcomes[:until])])
        # Looked at every fifty outcomes, when the baseline is renewed.
        best = max(totals[end] - totals[end - 2000] for end in range(2000, until + 1, 50))
    mean = learnt.mean()
    tens = learnt.reshape(-1, 10).mean(axis=1)
    spread = mean * (1 - mean)
    temper = max(1.0, 10 * tens.var() / spread) if spread > 0 else 1.0
    return Levels(
        lower_bound(learnt.sum(), len(learnt), Z95),
        None if best is None else lower_bound(best, 2000, Z99),
        temper,
    )


def same(found: Levels | None, wanted: Levels | None) -> bool:
    """Compare to rounding."""
    if found is None or wanted is None:
        return found is wanted
    pairs = zip(found, wanted, strict=True)
    return all(a == b if b is None else a == pytest.approx(b, abs=1e-9) for a, b in pairs)


def bursts(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return outcomes whose failures hang together."""
    good, out = True, []
    for _ in range(n):
        good = rng.random() < (0.95 if good else 0.5)
        out.append(float(good))
    return np.array(out)


@pytest.mark.parametrize("seed", [1, 2])
def test_it_equals_a_recomputation_from_raw_outcomes(seed: int) -> None:
    """At every fifty of 7,000 outcomes that rise, fall and come in bursts."""
    rng = np.random.default_rng(seed)
    parts = rng.random(2500) < 0.8, rng.random(1500) < 0.95, rng.random(1000) < 0.6
    outcomes = np.concatenate([part.astype(float) for part in parts] + [bursts(rng, 2000)])
    reference = RateReference()
    for count, tens in enumerate(sums(outcomes), 1):
        found, wanted = reference.add(tens), recomputed(outcomes[: 50 * count])
        assert same(found, wanted), count
    assert reference.mean == pytest.approx(outcomes[2750:6750].mean())


def test_an_outcome_too_many_is_noticed() -> None:
    """The comparison bites: one ten of another sum, and they differ."""
    outcomes = np.ones(500)
    reference = RateReference()
    found = None
    for count, tens in enumerate(sums(outcomes)):
        found = reference.add([tens[0] - (count == 2), *tens[1:]])
    assert not same(found, recomputed(outcomes))


def test_graded_outcomes_are_kept_closely() -> None:
    """To 2 per mille of an outcome: the bound moves by less."""
    rng = np.random.default_rng(5)
    outcomes = rng.random(3000) ** 0.3
    reference = RateReference(tempering=False)
    found = [reference.add(tens) for tens in sums(outcomes)][-1]
    wanted = recomputed(outcomes)
    assert found is not None
    assert wanted is not None
    assert found.temper == 1.0
    assert found.baseline == pytest.approx(wanted.baseline, abs=0.002)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.lists(st.floats(0.3, 1), min_size=3, max_size=6))
def test_the_anchor_never_falls_with_time(seed: int, rates: list[float]) -> None:
    """Whatever comes: only an operator lowers it."""
    rng, reference, highest = np.random.default_rng(seed), RateReference(), 0.0
    for rate in rates:
        for tens in sums((rng.random(1500) < rate).astype(float)):
            levels = reference.add(tens)
            if levels is not None and levels.anchor is not None:
                assert levels.anchor >= highest
                highest = levels.anchor
    reference.restart(anchor=False)
    assert reference.anchor_mean is not None
    reference.restart(anchor=True)
    assert reference.anchor_mean is None


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(0, 120))
def test_back_undoes_one_addition(seed: int, at: int) -> None:
    """To the byte, also where the ring is full and begins anew."""
    rng = np.random.default_rng(seed)
    fifties = sums((rng.random(50 * 121) < 0.8).astype(float))
    reference = RateReference()
    for tens in fifties[:at]:
        reference.add(tens)
    before, levels = reference.snapshot(), reference.levels()
    straight = RateReference()
    straight.restore(reference.to_state())
    reference.add([10.0] * 5)
    reference.back(before)
    assert reference.levels() == levels
    assert reference.to_state() == straight.to_state()
    for tens in fifties[at:]:
        assert reference.add(tens) == straight.add(tens)


def test_what_begins_anew_in_the_middle_of_fifty_learns_no_failures() -> None:
    """The sums of those fifty are incomplete: they are left out, not taken for failures."""
    rates = Rates(min_drop=0.0, tempering=False)
    slot = rates.add(0.7)

    def feed(count: int) -> None:
        columns = np.full(count, slot), np.ones(count), np.arange(count), np.arange(count)
        rates.feed(Block(*columns), 1e4)
        rates.keep()

    feed(1023)
    rates.restart(slot, anchor=True)
    feed(1000)
    baseline = rates.bank.grades(slot)[0][0] / REFERENCE_GRID
    assert baseline == pytest.approx(lower_bound(700.0, 700, Z95), abs=2e-3)

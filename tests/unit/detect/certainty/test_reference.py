"""What an agent was equals what its raw outcomes say, and its best is never forgotten."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfright.detect.certainty.bank import Block
from selfright.detect.certainty.bets import REFERENCE_GRID
from selfright.detect.certainty.bound import Z95, Z99, lower_bound, lower_bounds
from selfright.detect.certainty.rates import Rates
from selfright.detect.certainty.reference import RateReferences

ONE = np.zeros(1, dtype=np.int64)
Found = tuple[float | None, float | None, float]  # baseline, anchor, temper


class One:
    """The references of one stream."""

    def __init__(self, *, tempering: bool = True) -> None:
        self.of = RateReferences(tempering=tempering)
        self.of.add_stream()

    def add(self, tens: list[float]) -> Found | None:
        """Accept fifty outcomes; return the references once there are any."""
        self.of.add(ONE, np.array(tens)[:, np.newaxis])
        return self.levels()

    def levels(self) -> Found | None:
        """Return the references as they stand."""
        baseline, anchor, temper, *_ = (float(of[0]) for of in self.of.levels(ONE))
        if np.isnan(baseline):
            return None
        return baseline, None if np.isnan(anchor) else anchor, temper


def sums(outcomes: np.ndarray) -> list[list[float]]:
    """Return the sums of ten, fifty outcomes at a time."""
    by_fifty: list[list[float]] = outcomes.reshape(-1, 5, 10).sum(axis=2).tolist()
    return by_fifty


def recomputed(outcomes: np.ndarray) -> Found | None:
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
    chance = (2.0 / len(tens)) ** 0.5
    temper = 1.0 + 2.0 * max(0.0, 10 * tens.var() / spread - 1.0 - chance) if spread > 0 else 1.0
    return (
        lower_bound(learnt.sum() / temper, len(learnt) / temper, Z95),
        None if best is None else lower_bound(best, 2000, Z99),
        temper,
    )


def same(found: Found | None, wanted: Found | None) -> bool:
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
    reference = One()
    for count, tens in enumerate(sums(outcomes), 1):
        found, wanted = reference.add(tens), recomputed(outcomes[: 50 * count])
        assert same(found, wanted), count
    assert reference.of.mean(0) == pytest.approx(outcomes[2750:6750].mean())


def test_an_outcome_too_many_is_noticed() -> None:
    """The comparison bites: one ten of another sum, and they differ."""
    outcomes = np.ones(500)
    reference = One()
    found = None
    for count, tens in enumerate(sums(outcomes)):
        found = reference.add([tens[0] - (count == 2), *tens[1:]])
    assert not same(found, recomputed(outcomes))


def test_graded_outcomes_are_kept_closely() -> None:
    """To 2 per mille of an outcome: the bound moves by less."""
    rng = np.random.default_rng(5)
    outcomes = rng.random(3000) ** 0.3
    reference = One(tempering=False)
    found = [reference.add(tens) for tens in sums(outcomes)][-1]
    wanted = recomputed(outcomes)
    assert found is not None
    assert wanted is not None
    assert found[2] == 1.0
    assert found[0] == pytest.approx(wanted[0], abs=0.002)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.lists(st.floats(0.3, 1), min_size=3, max_size=6))
def test_the_anchor_never_falls_with_time(seed: int, rates: list[float]) -> None:
    """Whatever comes: only an operator lowers it."""
    rng, reference, highest = np.random.default_rng(seed), One(), 0.0
    for rate in rates:
        for tens in sums((rng.random(1500) < rate).astype(float)):
            levels = reference.add(tens)
            if levels is not None and levels[1] is not None:
                assert levels[1] >= highest
                highest = levels[1]
    reference.of.restart(0, anchor=False)
    assert reference.of.anchor_mean(0) is not None
    reference.of.restart(0, anchor=True)
    assert reference.of.anchor_mean(0) is None


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(0, 120))
def test_back_undoes_one_addition(seed: int, at: int) -> None:
    """To the byte, also where the ring is full and begins anew."""
    rng = np.random.default_rng(seed)
    fifties = sums((rng.random(50 * 121) < 0.8).astype(float))
    reference = One()
    for tens in fifties[:at]:
        reference.add(tens)
    levels, straight = reference.levels(), One()
    straight.of.restore(reference.of.to_state())
    reference.of.back(reference.of.add(ONE, np.full((5, 1), 10.0)))
    assert reference.levels() == levels
    left, right = reference.of.to_state(), straight.of.to_state()
    assert all(left[name].tobytes() == right[name].tobytes() for name in left)
    for tens in fifties[at:]:
        assert reference.add(tens) == straight.add(tens)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.floats(0.0, 1.0))
def test_many_streams_are_as_one_each(seed: int, rate: float) -> None:
    """To the last bit, graded outcomes and streams of different ages."""
    rng = np.random.default_rng(seed)
    many, each = RateReferences(), [One() for _ in range(9)]
    for _ in each:
        many.add_stream()
    for _ in range(60):
        streams = np.flatnonzero(rng.random(len(each)) < 0.7)
        tens = np.clip(rng.normal(10 * rate, 0.6, (5, len(streams))), 0.0, 10.0)
        tens = np.where(rng.random(tens.shape) < 0.3, 10.0, tens)
        many.add(streams, tens)
        levels = many.levels(streams)
        for at, stream in enumerate(streams.tolist()):
            each[stream].add(tens[:, at].tolist())
            alone = each[stream].of.levels(ONE)
            assert all(
                a[at].tobytes() == b[0].tobytes() for a, b in zip(levels, alone, strict=True)
            )


@given(st.lists(st.tuples(st.integers(200, 4000), st.floats(0.0, 1.0)), min_size=1, max_size=40))
def test_bounds_of_many_are_those_of_each(pairs: list[tuple[int, float]]) -> None:
    """To the last bit, however many are asked for at a time."""
    n = np.array([float(n) for n, _ in pairs])
    total = np.array([n * share for n, share in pairs])
    found = lower_bounds(total, n, Z95)
    for got, of, all_ in zip(found.tolist(), total.tolist(), n.tolist(), strict=True):
        assert got == lower_bound(of, int(all_), Z95)


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


@pytest.mark.parametrize(("outcomes", "known"), [(200, 200), (4250, 4000)])
def test_the_margin_is_taken_off_the_mean(outcomes: int, known: int) -> None:
    """Of few outcomes the bound lies lower than the margin, of many the margin lies lower."""
    rates = Rates(min_drop=0.02, tempering=False)
    slot = rates.add(0.5)
    x = (np.arange(outcomes) % 10 > 0).astype(float)  # .9, to the last ten
    columns = np.full(outcomes, slot), x, np.arange(outcomes), np.arange(outcomes)
    rates.feed(Block(*columns), 1e9)
    rates.keep()
    held = rates.bank.grades(slot)[0][0] / REFERENCE_GRID
    bound = lower_bound(0.9 * known, known, Z95)
    assert (bound < 0.88) == (outcomes == 200)
    assert held == pytest.approx(min(bound, 0.88), abs=2.0 / REFERENCE_GRID)

"""Only sides that are followed have a stream, and each stream knows whose it is."""

from __future__ import annotations

import numpy as np

from selfright.detect.certainty.bank import Bank
from selfright.detect.certainty.bets import RANK_BETS, RATE_BETS
from selfright.detect.certainty.fleet import Certainty, CertaintyPolicy, Rows
from selfright.detect.certainty.quantities import Quantities
from selfright.detect.certainty.sides import SIDES, Sides
from selfright.detect.detection import WatchedMetric
from selfright.loop.saved import decode_state, encode_state

FOLLOWED = [False, True, True, False, True]
W = WatchedMetric


def test_streams_are_numbered_without_gaps() -> None:
    """The high side of each baseline, and behind it the low one where that is followed."""
    sides = Sides()
    streams = [list(sides.add(low=low)) for low in FOLLOWED]
    assert streams == [[0], [1, 2], [3, 4], [5], [6, 7]]
    assert [list(sides.streams(of)) for of in range(5)] == streams
    assert [sides.baseline(stream) for stream in range(8)] == [0, 1, 1, 2, 2, 3, 4, 4]
    assert [stream for stream in range(8) if sides.is_low(stream)] == [2, 4, 7]
    assert sides.high(np.array([4, 0, 2, 2])).tolist() == [6, 0, 3, 3]


def test_a_side_that_nobody_follows_has_no_evidence() -> None:
    """One stream for a baseline of which only rises are news, two for the others."""
    quantities = Quantities()
    for low in FOLLOWED:
        quantities.add(low=low)
    assert len(quantities.bank) == len(quantities.sides) == 8


def _alarms(low: list[bool], change: list[float]) -> tuple[set[tuple[int, bool]], Quantities]:
    """Return which sides alarm when baselines change by a factor, and the quantities."""
    rng, n, quantities = np.random.default_rng(3), 900, Quantities()
    for one in low:
        quantities.add(low=one)
    of = np.tile(np.arange(len(low)), n)
    values = 1e5 * rng.lognormal(0.0, 0.3, len(of))
    values[len(of) // 2 :] *= np.array(change)[of[len(of) // 2 :]]
    at = np.arange(len(of))
    found = quantities.feed(of, values, np.zeros_like(of), at, at, 1e4, np.zeros((SIDES, 1)))
    quantities.keep()
    sides = quantities.sides
    return {(sides.baseline(one.slot), sides.is_low(one.slot)) for one in found}, quantities


def test_each_side_is_held_against_its_own_values() -> None:
    """Rises alarm on the high side; falls on the low one, and where none is followed nowhere."""
    alarmed, _ = _alarms(FOLLOWED, [3.0, 0.3, 3.0, 0.3, 1.0])
    assert alarmed == {(0, False), (1, True), (2, False)}


def test_a_baseline_that_begins_anew_ends_the_episodes_of_both_sides() -> None:
    """Those of its neighbours go on."""
    _, quantities = _alarms([True, True, True], [0.3, 0.3, 3.0])
    assert sorted(quantities.episodes) == [1, 3, 4]
    quantities.restart(1)
    assert sorted(quantities.episodes) == [1, 4]


def test_a_neighbour_under_suspicion_hides_no_spike() -> None:
    """Of a baseline without a low side no stream is meant by the number behind its high one."""
    rng, n, quantities = np.random.default_rng(3), 900, Quantities()
    for low in (False, False):
        quantities.add(low=low)
    of, at = np.tile(np.arange(2), n), np.arange(2 * n)
    values = 1e5 * rng.lognormal(0.0, 0.3, 2 * n)
    values[n:][of[n:] == 1] *= 3.0
    values[-2] = 1e8
    for part in np.split(at, [2 * n - 10]):
        columns = of[part], values[part], np.zeros_like(part), part, part
        quantities.feed(*columns, 1e4, np.zeros((SIDES, 1)))
        quantities.keep()
    assert list(quantities.episodes) == [1]
    assert [(spike.of, spike.value) for spike in quantities.spikes.newest()][-1] == (0, 1e8)


def test_who_is_under_suspicion_survives_a_checkpoint() -> None:
    """Tokens that fall: the low side of tokens, though others have none."""
    rng, n = np.random.default_rng(5), 900
    values = np.full((n, len(W)), -1.0)
    for metric in (W.LATENCY, W.MEMORY, W.TOKEN_USAGE):
        values[:, metric] = np.rint(1e5 * rng.lognormal(0.0, 0.3, n))
    values[n // 2 :, W.TOKEN_USAGE] *= 0.3
    certainty = Certainty(CertaintyPolicy(run_length=1e4), {})
    certainty.feed(Rows(np.zeros(n, dtype=np.int64), values, np.arange(n), np.arange(n)), 0)
    certainty.keep()
    (suspect,) = certainty.suspects()
    assert suspect == (0, W.TOKEN_USAGE, True)
    state = decode_state(encode_state(certainty.to_state()))
    assert list(certainty.restored(state).suspects()) == [suspect]


def test_sums_of_ten_are_kept_for_those_who_ask() -> None:
    """Ranks have no fifties: their banks are five numbers a stream lighter."""
    ranks, rates = Bank(1, RANK_BETS, fifties=False), Bank(1, RATE_BETS)
    for bank in (ranks, rates):
        bank.add([(0, 16)])
    assert len(rates._kept.reals) - len(ranks._kept.reals) == len(rates._kept.edges) == 5
    assert np.isnan(ranks.lane(0).edges).all()

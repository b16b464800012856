"""A quantity's rank among the agent's own: middles, halving, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest

from selfright.detect.certainty.bank import Ints
from selfright.detect.certainty.quantities import Quantities
from selfright.detect.certainty.rank import BUCKETS, FIRST, PERIOD, RankReferences, octaves
from selfright.detect.certainty.sides import SIDES

ONE = np.zeros(1, dtype=np.int64)


def collect(references: RankReferences, values: np.ndarray) -> list[float]:
    """Let one stream take values, renewing it whenever it is due; return the promised ranks."""
    bounds: list[float] = []
    at = 0
    while at < len(values):
        left = int(references.left(ONE)[0])
        part = octaves(values[at : at + left])
        streams: Ints = np.zeros(len(part), dtype=np.int64)
        references.collect(streams, part)
        bounds += references.renew(references.due(ONE)).tolist()
        at += left
    return bounds


def made() -> RankReferences:
    """Return references with one stream."""
    references = RankReferences()
    references.add()
    return references


def test_values_that_share_a_bucket_share_the_middle_of_its_ranks() -> None:
    """Half of 1,000, a quarter of 2,000 and a quarter of 8,000: ranks 1/4, 5/8 and 7/8."""
    references = made()
    collect(references, np.array([1000.0] * 100 + [2000.0] * 50 + [8000.0] * 50))
    buckets = references.bucket(ONE.repeat(3), octaves(np.array([1000.0, 2000.0, 8000.0])))
    assert references.rank(ONE.repeat(3), buckets).tolist() == [0.25, 0.625, 0.875]
    assert references.median(0) == pytest.approx(1000.0, rel=0.06)


@pytest.mark.parametrize("tail", ["lognormal", "pareto", "constant"])
def test_the_mean_rank_is_one_half_whatever_the_tails(tail: str) -> None:
    """Of the values that the baseline was learnt from; and what is promised lies below."""
    rng = np.random.default_rng(4)
    drawn = {
        "lognormal": 1e5 * rng.lognormal(0, 1, FIRST),
        "pareto": 1e5 * (1 + rng.pareto(0.7, FIRST)),
        "constant": np.full(FIRST, 1e5),
    }[tail]
    references = made()
    (bound,) = collect(references, drawn)
    ranks = references.rank(ONE.repeat(FIRST), references.bucket(ONE.repeat(FIRST), octaves(drawn)))
    assert ranks.mean() == pytest.approx(0.5, abs=0.02)
    assert 0.4 < bound < 0.5 or tail == "constant"


def test_the_latest_values_wait_a_period() -> None:
    """What came last is no reference yet: it may be the change itself."""
    references = made()
    collect(references, np.full(FIRST, 1000.0))
    collect(references, np.full(PERIOD, 4000.0))
    assert references.median(0) == pytest.approx(1000.0, rel=0.06)
    collect(references, np.full(PERIOD, 4000.0))
    assert references.median(0) == pytest.approx(4000.0, rel=0.06)


def test_old_values_are_halved_away() -> None:
    """Never more than 4,000 count, and what is new outweighs the old in time."""
    references = made()
    collect(references, np.full(FIRST + 20 * PERIOD, 1000.0))
    assert references.known(0) <= 4000.0
    collect(references, np.full(12 * PERIOD, 2000.0))
    assert references.known(0) <= 4000.0
    assert references.median(0) == pytest.approx(2000.0, rel=0.06)


def test_what_came_under_suspicion_is_no_reference() -> None:
    """A tainted period is thrown away; the one after it counts."""
    references = made()
    collect(references, np.full(FIRST, 1000.0))
    references.tainted[0] = True
    collect(references, np.full(PERIOD, 9000.0))
    collect(references, np.full(2 * PERIOD, 1000.0))
    assert not references.tainted[0]
    nine = references.bucket(ONE, octaves(np.array([9000.0])))
    assert references._base[0, nine[0]] == 0


def test_values_far_away_lie_in_the_outermost_buckets() -> None:
    """A thousand times as much as ever, or as little."""
    references = made()
    collect(references, np.full(FIRST, 1e6))
    found = references.bucket(ONE.repeat(3), octaves(np.array([0.0, 1e6, 1e15])))
    assert found.tolist() == [0, BUCKETS // 2, BUCKETS - 1]


def test_the_largest_values_have_a_baseline() -> None:
    """Whatever a float holds; the first values wait in 16 bits each."""
    references = made()
    collect(references, np.full(FIRST, np.finfo(np.float64).max))
    assert references.median(0) == pytest.approx(np.finfo(np.float64).max, rel=0.06)


def test_a_stream_that_begins_anew_knows_nothing() -> None:
    """The next 200 values are its baseline."""
    references = made()
    collect(references, np.full(FIRST, 1000.0))
    references.restart(0)
    assert not references.ready(ONE)[0]
    assert references.median(0) is None
    collect(references, np.full(FIRST, 5000.0))
    assert references.median(0) == pytest.approx(5000.0, rel=0.06)


def alarms(values: np.ndarray, level: float = 1e4) -> list[int]:
    """Return at which values an episode of the high side began."""
    quantities = Quantities()
    quantities.add(low=False)
    n = len(values)
    of: Ints = np.zeros(n, dtype=np.int64)
    no_season = np.zeros((SIDES, 1))
    found = quantities.feed(of, values, of, np.arange(n), np.arange(n), level, no_season)
    return [one.row for one in found if one.said is None]


def test_a_rise_is_found_and_heavy_tails_alone_are_none() -> None:
    """Half as long again: within 40 values in the middle of 30 streams; 3 false alarms at most."""
    rng = np.random.default_rng(6)
    delays, early = [], 0
    for _ in range(30):
        values = 2e5 * rng.lognormal(0, 0.4, 3000)
        values[2000:] *= 1.5
        found = alarms(values)
        early += bool(found and found[0] < 2000)
        delays.append(next((at - 1999 for at in found if at >= 2000), 1000))
    assert early <= 3
    assert np.median(delays) <= 40

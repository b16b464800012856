"""Single values far from usual are noted, few on healthy streams, none where an alarm says more."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from selfright.detect.certainty.fleet import Certainty, CertaintyPolicy, Rows
from selfright.detect.certainty.spike import LIMIT, NEWEST, Spike, Spikes, spreads_of
from selfright.detect.detection import WatchedMetric

Draw = Callable[[np.random.Generator, int], np.ndarray]
HEALTHY: dict[str, tuple[Draw, float]] = {
    "lognormal": (lambda rng, n: rng.lognormal(0.0, 0.5, n), 0.5),
    "gamma": (lambda rng, n: rng.gamma(2.0, 1.0, n), 3.0),
    "pareto": (lambda rng, n: 1.0 + rng.pareto(1.5, n), 5.0),
    "one task in ten is twenty times as long": (
        lambda rng, n: rng.lognormal(0.0, 0.3, n) * np.where(rng.random(n) < 0.1, 20.0, 1.0),
        0.5,
    ),
    "constant": (lambda rng, n: np.ones(n), 0.0),
}


def _fed(metric: WatchedMetric, values: np.ndarray, agents: int = 1) -> Certainty:
    """Return what is known after these values of one metric, one agent after the other."""
    n = len(values)
    columns = np.full((n, len(WatchedMetric)), -1.0)
    columns[:, metric] = np.rint(values)
    certainty = Certainty(CertaintyPolicy(run_length=1e6), {})
    certainty.feed(Rows(np.arange(n) % agents, columns, np.arange(n), np.arange(n) * 1000), 0)
    certainty.keep()
    return certainty


@pytest.mark.parametrize("kind", HEALTHY)
def test_healthy_streams_have_few(kind: str) -> None:
    """However heavy their tails: a few among 10,000 at most."""
    draw, most = HEALTHY[kind]
    values = 1e6 * draw(np.random.default_rng(7), 60_000)
    assert len(_fed(WatchedMetric.TOKEN_USAGE, values, agents=3).spikes()) <= 6 * most


def test_a_far_value_is_noted_with_what_is_usual() -> None:
    """Where it stands, whose it is, how far from the median it lies."""
    values = 2e6 * np.random.default_rng(1).lognormal(0.0, 0.3, 500)
    values[400] = 90e6
    ((stream, spike),) = _fed(WatchedMetric.LATENCY, values).spikes()
    assert (stream.scope, stream.metric, stream.low) == (0, WatchedMetric.LATENCY, False)
    assert (spike.offset, spike.ts_us, spike.value) == (400, 400_000, 90e6)
    assert spike.usual == pytest.approx(2e6, rel=0.08)
    assert spike.z == pytest.approx(np.log(45.0) / 0.3, rel=0.15)


@pytest.mark.parametrize(("metric", "noted"), [(WatchedMetric.LATENCY, 0), (WatchedMetric.COST, 1)])
def test_too_little_is_odd_only_where_little_is_news(metric: WatchedMetric, noted: int) -> None:
    """An answer that cost nothing is odd, one that came at once is welcome."""
    values = 2e6 * np.random.default_rng(1).lognormal(0.0, 0.3, 500)
    values[400] = 0.0
    spikes = _fed(metric, values).spikes()
    assert [(stream.low, spike.z < -LIMIT) for stream, spike in spikes] == [(True, True)] * noted


def test_nothing_is_odd_before_there_is_a_baseline() -> None:
    """The first 200 values are what later ones are held against."""
    values = np.full(200, 1e6)
    values[150] = 1e9
    assert _fed(WatchedMetric.LATENCY, values).spikes() == []


def test_after_a_certain_change_nothing_is_noted() -> None:
    """The alarm says it: only the values before it are spikes."""
    values = 1e6 * np.random.default_rng(3).lognormal(0.0, 0.3, 3_000)
    values[1_000:] *= 20.0
    noted = [spike.offset for _, spike in _fed(WatchedMetric.LATENCY, values).spikes()]
    assert noted
    assert 1_000 <= min(noted) <= max(noted) < 1_040


def test_an_agent_that_is_forgotten_leaves_no_spike() -> None:
    """Those of others stay."""
    values = 2e6 * np.random.default_rng(1).lognormal(0.0, 0.3, 1_000)
    values[[900, 901]] = 900e6
    certainty = _fed(WatchedMetric.LATENCY, values, agents=2)
    assert [stream.scope for stream, _ in certainty.spikes()] == [0, 1]
    certainty.forget(0)
    assert [stream.scope for stream, _ in certainty.spikes()] == [1]
    assert [s.scope for s, _ in certainty.restored(certainty.to_state()).spikes()] == [1]


def test_only_the_newest_are_remembered() -> None:
    """A fleet of any size holds a bounded number, in the order of the log."""
    spikes = Spikes()
    for offset in reversed(range(NEWEST + 10)):
        spikes.note(Spike(offset, 0, 0, 1.0, 1.0, 9.0))
    spikes.keep()
    assert [one.offset for one in spikes.newest()] == list(range(10, NEWEST + 10))
    assert Spikes.from_state(spikes.to_state()).newest() == spikes.newest()


def test_a_spread_is_the_widest_that_a_tail_means() -> None:
    """One value in twenty far above counts, one in two hundred does not."""
    histogram = np.zeros(64)
    histogram[30], histogram[60] = 940.0, 60.0
    assert spreads_of(histogram[np.newaxis])[0, 2] > 10.0
    histogram[30], histogram[60] = 995.0, 5.0
    assert spreads_of(histogram[np.newaxis])[0, 2] == 0.5

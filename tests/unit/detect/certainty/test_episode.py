"""After an alarm: certain beyond the threshold, confirmed if it lasts, over when it is over."""

from __future__ import annotations

import numpy as np
import pytest

from selfright.detect.certainty.bank import Block
from selfright.detect.certainty.bets import grade
from selfright.detect.certainty.episode import FRESH, SETTLE, Episode, Finds
from selfright.detect.certainty.lane import Mark
from selfright.detect.certainty.rates import Rates
from selfright.detect.detection import Kind


def follow(outcomes: np.ndarray, threshold: float | None = 0.7) -> list[tuple[int, Finds]]:
    """Return what an episode finds: .90 was kept, then 30 outcomes of .50 made an alarm."""
    changed, at = Mark(1000, 900.0, 999, 999), Mark(1030, 915.0, 1029, 1029)
    episode = Episode(0, grade(0.9, 1.0), threshold, at, changed)
    found, n, total = [], at.n, at.total
    first = episode.judge(at)
    if first is not None:
        found.append((0, first))
    for i, x in enumerate(outcomes.tolist(), 1):
        n, total = n + 1, total + x
        finds = episode.outcome(x, Mark(n, total, n - 1, n - 1))
        if finds is not None:
            found.append((i, finds))
        if finds is Finds.OVER:
            break
    return found


def test_it_is_beyond_at_once_and_confirmed_after_it_has_settled() -> None:
    """Outcomes of .40: 45 to settle, 30 at least to confirm, each said once."""
    outcomes = np.tile([1.0, 0.0, 0.0, 1.0, 0.0], 100)
    (beyond, confirmed) = follow(outcomes)
    assert beyond == (0, Finds.BEYOND)
    assert confirmed[1] is Finds.LASTS
    assert (SETTLE, FRESH) == (45, 30)  # what the documentation says
    assert 75 <= confirmed[0] <= 80


def test_it_is_over_once_it_is_certainly_half_way_back() -> None:
    """At .95 soon; at .72, below the middle of .90 and .50 but above it by chance, not for long."""
    rng = np.random.default_rng(1)
    over = [follow(rng.random(600) < 0.95)[-1] for _ in range(30)]
    assert all(finds is Finds.OVER for _, finds in over)
    assert np.median([at for at, _ in over]) <= 90
    still = [follow(rng.random(600) < 0.66)[-1] for _ in range(60)]
    assert sum(finds is Finds.OVER for _, finds in still) <= 2


def test_without_a_threshold_nothing_is_beyond_or_lasts() -> None:
    """A quantity only recovers."""
    assert follow(np.zeros(300), None) == []
    assert {finds for _, finds in follow(np.ones(300), None)} == {Finds.OVER}


def test_back_within_fifty_outcomes_it_is_not_confirmed() -> None:
    """One time in twenty at most, by Ville: here 600 agents that are back when it has settled."""
    rng = np.random.default_rng(2)
    confirmed = 0
    for _ in range(600):
        outcomes = np.concatenate([rng.random(SETTLE) < 0.5, rng.random(500) < 0.9])
        confirmed += Finds.LASTS in {finds for _, finds in follow(outcomes)}
    assert confirmed <= 30


def test_confirming_what_is_back_is_noticed() -> None:
    """The check bites: a dip of a hundred outcomes is confirmed in most."""
    rng = np.random.default_rng(3)
    confirmed = 0
    for _ in range(50):
        outcomes = np.concatenate([rng.random(100) < 0.5, rng.random(500) < 0.9])
        confirmed += Finds.LASTS in {finds for _, finds in follow(outcomes)}
    assert confirmed > 25


def test_a_drift_is_not_confirmed_by_a_few_unlucky_outcomes() -> None:
    """What never was beyond the threshold is none of a full retraining's business."""
    changed, at = Mark(1000, 900.0, 999, 999), Mark(1200, 1060.0, 1199, 1199)
    episode = Episode(0, grade(0.9, 1.0), 0.7, at, changed)
    n, total = at.n, at.total
    for x in [1.0, 1.0, 1.0, 1.0, 0.0] * 10 + [0.0] * 12 + [1.0] * 13:
        n, total = n + 1, total + x
        assert episode.outcome(x, Mark(n, total, n, n)) is None


@pytest.mark.parametrize("deeper", [False, True])
def test_only_an_alarm_against_the_threshold_shows_a_deeper_drop(deeper: bool) -> None:
    """Others choose the change point that makes the same drop look worst."""
    changed, at = Mark(1000, 900.0, 999, 999), Mark(1300, 1140.0, 1299, 1299)
    episode = Episode(0, grade(0.9, 1.0), 0.7, at, changed)
    here, later = Mark(1400, 1219.0, 1399, 1399), Mark(1375, 1204.0, 1374, 1374)
    found = episode.alarm(2, here, later, deeper=deeper)
    assert found is (Finds.BEYOND if deeper else None)
    assert episode.changed == (later if deeper else changed)


def test_a_copy_goes_its_own_way() -> None:
    """And a state that was written and read goes on as the episode itself."""
    changed, at = Mark(1000, 900.0, 999, 999), Mark(1030, 915.0, 1029, 1029)
    first = Episode(0, grade(0.9, 1.0), 0.7, at, changed)
    first.said = Kind.DRIFT
    second = first.copy()
    for n in range(1031, 1131):
        first.outcome(0.0, Mark(n, 915.0, n, n))
    assert second.to_state() != first.to_state()
    for n in range(1031, 1131):
        second.outcome(0.0, Mark(n, 915.0, n, n))
    assert second.to_state() == first.to_state()
    assert Episode.from_state(first.to_state()).to_state() == first.to_state()


def test_an_agent_within_its_threshold_is_seldom_called_beyond_it() -> None:
    """From .90 to .80, 2,000 outcomes of it: in a third of 60 agents, however often it alarms."""
    rng, beyond = np.random.default_rng(5), 0
    for _ in range(60):
        rates = Rates(min_drop=0.0, tempering=True)
        rates.add(0.7)
        outcomes = np.concatenate([rng.random(2000) < 0.9, rng.random(2000) < 0.8]).astype(float)
        n = len(outcomes)
        columns = np.zeros(n, dtype=np.int64), outcomes, np.arange(n), np.arange(n)
        beyond += Kind.CERTAIN in {one.kind for one in rates.feed(Block(*columns), 1e4)}
    assert beyond <= 20

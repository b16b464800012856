"""Hours that are bad every week: credited once two weeks are there, never before, never more."""

from __future__ import annotations

import numpy as np
import pytest

from selfright.detect.certainty.fleet import Certainty, CertaintyPolicy, Rows
from selfright.detect.certainty.season import WEEK, Season
from selfright.detect.detection import WatchedMetric
from selfright.loop.saved import decode_state, encode_state

HOUR_US = 3_600_000_000
AGENTS, AN_HOUR = 20, 15


def _weeks(season: Season, weeks: int, bad: float, first: int = 0) -> None:
    """Let the fleet be right in 90 %, but in ``bad`` at hour 9 of every day."""
    for hour in range(first, first + weeks * WEEK):
        season.begin(hour)
        season.note(0, 200, 200 * (bad if hour % 24 == 9 else 0.9))


def test_nothing_is_credited_before_two_weeks():
    """One bad Monday is no season."""
    season = Season(1)
    _weeks(season, 2, 0.6)
    assert season.credit[0] == 0.0


def test_a_bad_hour_is_lifted_to_the_rest_and_others_are_left_alone():
    """With the credit the mean of the bad hour is that of the others."""
    season = Season(1)
    _weeks(season, 3, 0.6)
    season.begin(3 * WEEK + 8)
    assert season.credit[0] == 0.0
    season.begin(3 * WEEK + 9)
    credit = season.credit[0]
    assert 0.6 + credit * 0.4 == pytest.approx(0.9, abs=0.015)


def test_a_good_hour_is_never_held_against_anybody():
    """A credit lowers what is expected, nothing else."""
    season = Season(1)
    _weeks(season, 3, 1.0)
    season.begin(3 * WEEK + 9)
    assert season.credit[0] == 0.0


def test_a_difference_that_chance_explains_is_none():
    """Hours of 200 outcomes differ by chance; among 168 of them hardly one is credited."""
    rng, credited = np.random.default_rng(1), 0
    for _ in range(20):
        season = Season(1)
        for hour in range(4 * WEEK):
            season.begin(hour)
            credited += season.credit[0] > 0
            season.note(0, 50, float(rng.binomial(50, 0.9)))
    assert credited <= 20 * 2 * WEEK * 0.005


def test_a_checkpoint_and_the_rest_is_the_whole():
    """State out, through bytes and in again changes nothing."""
    whole, first, second = Season(1), Season(1), Season(1)
    _weeks(whole, 3, 0.6)
    _weeks(first, 1, 0.6)
    second.restore(decode_state(encode_state(first.to_state())))
    _weeks(second, 2, 0.6, first=WEEK)
    assert encode_state(second.to_state()) == encode_state(whole.to_state())


def _alarms_by_week(weeks: int, drop_in: int | None) -> dict[tuple[int, str], int]:
    """Return episodes by week and metric of a fleet that is slow from 9 to 12 each day."""
    rng = np.random.default_rng(1)
    certainty = Certainty(CertaintyPolicy(run_length=1e5), {WatchedMetric.SUCCESS_RATE: 0.7})
    rows, found = AGENTS * AN_HOUR, {}
    for hour in range(weeks * WEEK):
        slow = 1.8 if 9 <= hour % 24 < 12 else 1.0
        rate = 0.93 - 0.15 * (hour // WEEK == drop_in)
        values = np.full((rows, len(WatchedMetric)), -1.0)
        values[:, WatchedMetric.SUCCESS_RATE] = rng.random(rows) < rate
        values[:, WatchedMetric.LATENCY] = np.rint(1e6 * slow * rng.lognormal(0, 0.4, rows))
        now_us = hour * HOUR_US
        block = Rows(
            np.tile(np.arange(AGENTS), AN_HOUR),
            values,
            hour * rows + np.arange(rows),
            np.full(rows, now_us),
        )
        for stream, one in certainty.feed(block, now_us):
            if stream.scope >= 0 and one.said is None:
                key = (hour // WEEK, stream.metric.word)
                found[key] = found.get(key, 0) + 1
        certainty.keep()
    return found


@pytest.mark.slow
def test_busy_hours_stop_alarming_and_a_real_drop_is_still_found():
    """135 latency alarms a week without season become none by the fourth week."""
    found = _alarms_by_week(4, drop_in=3)
    assert found[1, "latency"] > 100
    assert found.get((3, "latency"), 0) == 0
    assert found[3, "success_rate"] >= AGENTS * 0.9

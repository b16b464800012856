"""False alarms are as rare as promised, drops are found, and where they began is known."""

from __future__ import annotations

import numpy as np
import pytest

from selfright.detect.certainty.bets import RATE_BETS, grade, values
from selfright.detect.certainty.lane import Lane, Mark

LEVEL = 500.0


def lane(p0: float) -> Lane:
    """Return a lane with one reference."""
    made = Lane(1)
    made.use(0, values(grade(p0, 1.0), RATE_BETS))
    return made


def false_alarms(p0: float, rate: float, outcomes: int, seeds: int) -> float:
    """Return the alarms per agent in so many outcomes of one rate."""
    alarms = 0
    for seed in range(seeds):
        of = lane(p0)
        for i, good in enumerate((np.random.default_rng(seed).random(outcomes) < rate).tolist()):
            if of.update(float(good), LEVEL, i, i):
                of.forget(1)
                alarms += 1
    return alarms / seeds


@pytest.mark.parametrize("rate", [0.72, 0.9, 0.97])
def test_false_alarms_are_as_rare_as_promised(rate: float) -> None:
    """At the very reference: at most N / A on average, here 4 in 2,000 outcomes at A = 500."""
    assert false_alarms(rate, rate, 2000, 120) <= 4.0


def test_too_many_alarms_are_noticed() -> None:
    """The check bites: five points below the reference it is exceeded."""
    assert false_alarms(0.9, 0.85, 2000, 20) > 4.0


def test_dependence_between_outcomes_does_not_matter() -> None:
    """A mean that is never below the reference, and failures that hang together above it."""
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(60):
        of, mean = lane(0.8), 0.8
        for i in range(2000):
            good = rng.random() < mean
            mean = 0.95 if not good else max(0.8, mean - 0.01)
            if of.update(float(good), LEVEL, i, i):
                of.forget(1)
                alarms += 1
    assert alarms / 60 <= 4.0


def run(outcomes: list[float], p0: float, level: float = 1e4) -> tuple[int, Mark]:
    """Return at which outcome there is an alarm, and the change point it names."""
    of = lane(p0)
    at = next(i for i, x in enumerate(outcomes) if of.update(x, level, 10 * i, 1000 * i))
    return at, of.changed(0)


@pytest.mark.parametrize(("after", "far"), [(0.3, 8), (0.65, 40), (0.8, 150)])
def test_the_change_point_is_close_to_the_truth(after: float, far: int) -> None:
    """Eight times in ten within so many outcomes, and its place is that of one outcome."""
    rng, errors = np.random.default_rng(3), []
    for _ in range(100):
        outcomes = np.concatenate([rng.random(300) < 0.93, rng.random(3000) < after])
        at, changed = run(outcomes.astype(float).tolist(), 0.9)
        if at < 300:
            continue  # a false alarm
        errors.append(changed.n - 300)
        assert changed.total == outcomes[: changed.n].sum()
        assert (changed.offset, changed.ts_us) == (10 * (changed.n - 1), 1000 * (changed.n - 1))
    assert len(errors) >= 90
    assert np.quantile(np.abs(errors), 0.8) <= far


def test_an_alarm_takes_the_evidence_of_its_reference_alone() -> None:
    """The other goes on collecting."""
    of = Lane(2)
    of.use(0, values(grade(0.95, 1.0), RATE_BETS))
    of.use(1, values(grade(0.5, 1.0), RATE_BETS))
    alarms = 0
    for i in range(6):
        alarms = alarms or of.update(0.0, 100.0, i, i)
    assert alarms == 1
    before = of.evidence(1)
    of.forget(alarms)
    assert of.evidence(0) == [0.0] * 4
    assert of.evidence(1) == pytest.approx(before)
    assert before > [0.0] * 4


def test_without_a_reference_nothing_alarms() -> None:
    """A thousand failures."""
    of = Lane(1)
    assert not any(of.update(0.0, 10.0, i, i) for i in range(1000))


def test_graded_outcomes_count_by_their_grade() -> None:
    """Of .4 each where .9 is kept: an alarm; of .95 each: none."""
    of, fine = lane(0.9), lane(0.9)
    assert any(of.update(0.4, 1e4, i, i) for i in range(40))
    assert not any(fine.update(0.95, 1e4, i, i) for i in range(5000))

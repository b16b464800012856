"""Sources that disagree, and labels that come late: told once, taken back, kept in checkpoints."""

from __future__ import annotations

import numpy as np
import pytest

from selfright.detect.detection import Detection, Kind
from selfright.detect.labels import DELAY_BIAS, DISAGREEMENT, Label, Labels
from selfright.loop.saved import decode_state, encode_state

SECOND_US = 1_000_000


def _label(number: int, score: float, source: str = "user", delay_s: float | None = None) -> Label:
    delay = None if delay_s is None else int(delay_s * SECOND_US)
    return Label(0, score, source, f"run-{number}", delay, number * SECOND_US, number)


def _judged(labels: Labels, runs: int, share: float, seed: int, first: int = 0) -> list[Detection]:
    """Let two sources judge runs; about ``share`` of them they disagree."""
    rng, said = np.random.default_rng(seed), []
    for number in range(first, first + runs):
        score = float(rng.random() < 0.8)
        other = 1.0 - score if rng.random() < share else score
        said += labels.update(_label(number, score))
        said += labels.update(_label(number, other, "judge"))
    return said


def test_sources_that_disagree_are_told_by_name_and_once():
    """Half of the runs judged differently: one warning that names both sources."""
    said = _judged(Labels(), 300, 0.5, seed=1)
    assert [found.kind for found in said] == [Kind.BEYOND]
    assert said[0].inputs["setting"] == DISAGREEMENT
    assert str(said[0].inputs["says"]).startswith("judge and user disagree about")


def test_sources_that_agree_again_take_it_back():
    """What was is forgotten: after as many runs again without dispute all is well."""
    labels = Labels()
    _judged(labels, 300, 0.5, seed=1)
    said = _judged(labels, 2_000, 0.0, seed=2, first=300)
    assert [found.kind for found in said] == [Kind.CLEARED]


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_now_and_then_a_dispute_is_no_news(share):
    """One run in ten judged differently is what two judges are like: 40 agents, no warning."""
    assert sum(len(_judged(Labels(), 400, share, seed)) for seed in range(40)) == 0


def test_one_source_cannot_disagree_with_itself():
    """A corrected judgement replaces the one before."""
    labels, said = Labels(), []
    for number in range(300):
        said += labels.update(_label(number, 1.0))
        said += labels.update(_label(number, 0.0))
    assert said == []


def _delayed(labels: Labels, runs: int, late_rate: float, seed: int) -> list[Detection]:
    rng, said = np.random.default_rng(seed), []
    for number in range(runs):
        late = rng.random() < 0.4
        score = float(rng.random() < (late_rate if late else 0.9))
        delay_s = rng.lognormal(7.0 if late else 1.0, 0.5)
        said += labels.update(_label(number, score, delay_s=delay_s))
    return said


def test_labels_that_come_late_and_are_worse_are_told():
    """Late ones are right in 60 %, the others in 90 %: the window's accuracy is too high."""
    said = _delayed(Labels(), 1_500, 0.6, seed=1)
    assert [found.kind for found in said] == [Kind.BEYOND]
    assert said[0].inputs["setting"] == DELAY_BIAS
    assert "too high" in str(said[0].inputs["says"])
    assert said[0].value < said[0].threshold


def test_late_labels_that_are_like_the_others_are_no_news():
    """40 agents of 3,000 outcomes each: not one warning."""
    assert sum(len(_delayed(Labels(), 3_000, 0.9, seed)) for seed in range(40)) == 0


def test_a_checkpoint_and_the_rest_is_the_whole():
    """State out, through bytes and in again changes nothing."""
    whole, first = Labels(), Labels()
    expected = _judged(whole, 30, 0.5, seed=3) + _judged(whole, 300, 0.5, seed=4, first=30)
    said = _judged(first, 30, 0.5, seed=3)
    second = Labels.from_state(decode_state(encode_state(first.to_state())))
    assert said + _judged(second, 300, 0.5, seed=4, first=30) == expected
    assert encode_state(second.to_state()) == encode_state(whole.to_state())


def test_a_forgotten_agent_begins_anew():
    """Its disputes are gone with it."""
    labels = Labels()
    _judged(labels, 300, 0.5, seed=1)
    labels.forget(0)
    assert _judged(labels, 10, 1.0, seed=2, first=300) == []

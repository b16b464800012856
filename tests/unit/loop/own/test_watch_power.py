"""How much harm the watch of a user's model finds by scores alone: the figures of the docs."""

from __future__ import annotations

import numpy as np
import pytest

from selfright.events.record import ModelAdopted
from selfright.loop.own.follower import Follower
from selfright.loop.own.watch import OwnWatch
from selfright.loop.probation import ProbationPolicy
from selfright.retrain.loss import ScoreGap

WATCHES = 400
ADOPTED = ModelAdopted(
    act_id="a",
    ts_us=0,
    model_type="mine",
    version=2,
    parent_version=1,
    verdict="promoted",
    offset=0,
)


def _rolled_back(truth: float, parent: float, version: float) -> float:
    """Return in which share of the watches harm is found; both expect one rate of everybody."""
    rng = np.random.default_rng(7)
    harmed = 0
    for _ in range(WATCHES):
        follower = Follower(None, 0, lambda *_: None)  # type: ignore[arg-type]  # is not asked
        watch = OwnWatch.begin(ProbationPolicy(), ScoreGap(), follower, ADOPTED, None)
        y = (rng.random(200) < truth).astype(float)
        watch.look((1 - (y - parent) ** 2).tolist(), (1 - (y - version) ** 2).tolist(), 0)
        assert watch.is_over
        harmed += watch.is_harm
    return harmed / WATCHES


@pytest.mark.parametrize(
    ("truth", "parent", "version"),
    [(0.8, 0.7, 0.9), (0.7, 0.6, 0.8), (0.5, 0.3, 0.7), (0.9, 0.8, 1.0), (0.8, 0.8, 0.8)],
)
def test_what_scores_alike_is_hardly_ever_taken_back(
    truth: float, parent: float, version: float
) -> None:
    """As far off on the other side of the truth: nothing was lost."""
    assert _rolled_back(truth, parent, version) <= 0.01


@pytest.mark.parametrize(
    ("truth", "version", "least", "most"),
    [
        (0.9, 0.5, 0.98, 1.0),  # .16 worse
        (0.7, 0.3, 0.98, 1.0),
        (0.9, 0.6, 0.97, 1.0),  # .09
        (0.7, 0.4, 0.82, 0.94),
        (0.7, 0.5, 0.2, 0.4),  # .04
        (0.9, 0.75, 0.0, 0.05),  # .0225
    ],
)
def test_how_much_harm_is_found(truth: float, version: float, least: float, most: float) -> None:
    """Much of it surely, little of it seldom; the parent knows the truth."""
    assert least <= _rolled_back(truth, truth, version) <= most

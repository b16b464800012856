"""The newest samples of an agent come back as they were, contexts included."""

from __future__ import annotations

import json

from selfright.learn.features import features_of
from selfright.learn.model_type import ModelType
from selfright.learn.recent import Recent, RewardRows


def rows(numbers, **changed):
    """Return a sample of ada for each number; every third has no context."""
    about = [features_of({"size": n}) if n % 3 else None for n in numbers]
    columns = {
        "agent": ["ada"] * len(about),
        "group": ["math"] * len(about),
        "route": [None] * len(about),
        "config": [None] * len(about),
        "reward": [n % 2 / 1 for n in numbers],
        "ts_us": [*numbers],
        "features": about,
    }
    return RewardRows(**columns, **changed)


def remembered(recent):
    """Return times and features of what is remembered, oldest first."""
    found = recent.samples(ModelType.AGENT_SELECTION, ["ada"])
    return list(zip(found.ts_us.tolist(), found.features, strict=True))


def expected(numbers):
    """Return the same of what was added."""
    of = rows(numbers)
    return list(zip(of.ts_us, of.features, strict=True))


def test_contexts_stay_with_their_samples():
    """Over the end of the ring, after one was taken back, and through a saved state."""
    recent = Recent(10)
    recent.add(collected(rows(range(25)), 1.0))
    assert remembered(recent) == expected(range(15, 25))
    recent.add(collected(rows([19]), -1.0))
    assert remembered(recent) == expected([15, 16, 17, 18, 20, 21, 22, 23, 24])
    state = recent.to_state()
    state["features"] = json.loads(json.dumps(state["features"]))
    assert remembered(Recent.from_state(state)) == remembered(recent)
    recent.forget("ada")
    assert not len(recent.samples(ModelType.AGENT_SELECTION, ["ada"]))


def collected(more, weight):
    """Return rows of one weight."""
    found = RewardRows()
    found.add(more, weight)
    return found

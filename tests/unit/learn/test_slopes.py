"""Features that help are used, and those that do not are not."""

from __future__ import annotations

import numpy as np
import pytest

from selfright.learn.choice import AgentSelection
from selfright.learn.features import features_of
from selfright.learn.samples import Samples
from selfright.learn.settings import LearnSettings

NAMES = ["ada", "bo", "cy"]


def learnt(rng, n, slope, *, useless=3, settings=None, groups=("math", "code")):
    """Return a model of agents whose success depends on ``size``: ada's falls, bo's rises."""
    arm = rng.integers(3, size=n)
    size = rng.normal(size=n)
    group = rng.integers(len(groups), size=n)
    rate = 0.6 + 0.1 * group + slope * size * np.array([-1.0, 1.0, 0.0])[arm]
    contexts = [
        features_of({"size": s, **{f"noise{j}": v for j, v in enumerate(rng.normal(size=useless))}})
        for s in size.tolist()
    ]
    model = AgentSelection(settings=settings)
    model.update(
        Samples.of(
            [NAMES[a] for a in arm], [groups[g] for g in group],
            (rng.random(n) < rate).astype(float), features=contexts,
        )
    )  # fmt: skip
    return model


def used(model):
    """Return the features that earned their place."""
    slopes = model.evidence.shrunk().slopes
    return set() if slopes is None else set(slopes.named(0))


def test_a_feature_that_matters_is_used_and_noise_is_not():
    """Over 20 fleets: the one that matters nearly always, one of 60 useless ones at most."""
    found = [used(learnt(np.random.default_rng(seed), 1500, 0.12)) for seed in range(20)]
    assert sum("size" in names for names in found) >= 19
    assert sum(len(names - {"size"}) for names in found) <= 1


def test_the_best_agent_depends_on_the_task():
    """Large tasks to bo, small ones to ada; without a context neither is better by much."""
    model = learnt(np.random.default_rng(1), 3000, 0.15)
    large, small = features_of({"size": 1.5}), features_of({"size": -1.5})
    assert model.predict("math", 1, large)[0][0] == "bo"
    assert model.predict("math", 1, small)[0][0] == "ada"
    chosen = model.propensities(NAMES, "math", large)
    assert chosen[NAMES.index("bo")] > 0.95
    assert chosen.sum() == pytest.approx(1.0)
    means = model.mean_of(["ada", "bo"], ["math", "math"], [large, large])
    assert means == pytest.approx([0.6 - 0.22, 0.6 + 0.22], abs=0.08)


def test_a_model_that_looks_at_no_features_is_one_that_never_had_any():
    """``max_features`` 0 gives the same belief as samples without contexts."""
    seen = learnt(np.random.default_rng(2), 500, 0.15, settings=LearnSettings(max_features=0))
    bare = learnt(np.random.default_rng(2), 500, 0.15)
    bare.evidence.slopes = None
    of = features_of({"size": 1.0})
    assert (
        seen.posterior(NAMES, "math", of)[0].tolist() == seen.posterior(NAMES, "math")[0].tolist()
    )


def test_belief_is_the_same_in_any_order_batches_and_merged():
    """To the last bit, features and all; and it survives saving."""
    rng = np.random.default_rng(3)
    contexts = [features_of({"size": s, "tool": "x"}) for s in rng.normal(size=400).tolist()]
    rows = Samples.of(
        [NAMES[i] for i in rng.integers(3, size=400)], ["math", "code"] * 200,
        (rng.random(400) < 0.6).astype(float), features=contexts,
    )  # fmt: skip
    whole = AgentSelection.fit(rows)
    order = np.random.default_rng(4).permutation(400)
    shuffled = AgentSelection.fit(rows.take(order))
    halves = AgentSelection.fit(rows.take(slice(0, 150))).merge(
        AgentSelection.fit(rows.take(slice(150, 400)))
    )
    loaded = AgentSelection.from_state(whole.to_state())
    task = features_of({"size": 0.7})
    for other in (shuffled, halves, loaded):
        for mine, theirs in zip(
            whole.posterior(NAMES, "math", task), other.posterior(NAMES, "math", task), strict=True
        ):
            assert mine.tolist() == theirs.tolist()
        state, its = whole.to_state(), other.to_state()
        assert its["features"] == state["features"]
        assert its["feature_xx"].tobytes() == state["feature_xx"].tobytes()


def test_features_in_use_are_the_same_to_the_last_bit_once_saved_and_loaded():
    """In whatever order groups and features came: a saved model has them in canonical order."""
    rng = np.random.default_rng(6)
    n = 600
    values = rng.normal(size=(n, 4))
    contexts = [features_of(dict(zip("zaym", row, strict=True))) for row in values.tolist()]
    y = (values @ np.array([0.7, -0.9, 0.8, 0.6]) + rng.normal(size=n) > 0).astype(float)
    arms, groups = rng.integers(3, size=n), rng.integers(5, size=n)
    model = AgentSelection()
    model.update(
        Samples.of([NAMES[i] for i in arms], ["code", "math", None, "b", "a"] * (n // 5), y)
    )
    model.update(
        Samples.of([NAMES[i] for i in arms], ["vwxyz"[i] for i in groups], y, features=contexts)
    )
    assert used(model) == set("zaym")
    loaded = AgentSelection.from_state(model.to_state())
    for group in ("math", "v", "unheard of"):
        for task in contexts[:20]:
            for mine, its in zip(
                model.posterior(NAMES, group, task), loaded.posterior(NAMES, group, task),
                strict=True,
            ):  # fmt: skip
                assert mine.tolist() == its.tolist()


def test_samples_taken_back_leave_no_trace():
    """Of their features neither."""
    rng = np.random.default_rng(5)
    model = learnt(rng, 300, 0.1)
    before = model.to_state()
    passing = Samples.of(["ada"], ["math"], [1.0], features=[features_of({"size": 0.3})])
    model.update(passing)
    model.update(Samples.of(["ada"], ["math"], [1.0], -1.0, features=passing.features))
    assert model.to_state()["feature_xx"].tobytes() == before["feature_xx"].tobytes()
    assert model.to_state()["feature_x"].tobytes() == before["feature_x"].tobytes()


def test_of_features_taken_back_or_set_aside_not_even_the_names_are_left():
    """Nor does one that nobody has any more take the place of another below the limit."""
    settings = LearnSettings(max_features=2)
    model = AgentSelection(settings=settings)
    model.update(Samples.of(["ada"], ["math"], [1.0], features=[{"size": 1.0}]))
    before = model.to_state()
    for weight in (1.0, -1.0):
        model.update(Samples.of(["ada"], ["math"], [1.0], weight, features=[{"tone": 2.0}]))
    assert model.to_state()["features"] == before["features"]
    model.update(Samples.of(["bo"], ["math"], [1.0], features=[{"tone": 2.0}]))
    assert model.to_state()["features"] == ["size", "tone"]
    restarted = model.restart(["bo"], Samples.empty())
    assert restarted.to_state()["features"] == before["features"]
    assert restarted.to_state()["feature_xx"].tobytes() == before["feature_xx"].tobytes()
    bare = restarted.restart(["ada"], Samples.empty())
    assert "features" not in bare.to_state()
    again = Samples.of(["bo", "cy"], ["math", "code"], [1.0, 0.0], features=[{"z": 1.0}] * 2)
    bare.update(again)
    assert bare.to_state()["feature_xx"].tolist() == [1.0, 1.0]


def test_a_feature_that_was_turned_away_is_taken_when_there_is_room():
    """What is saved says nothing of it, so neither does the model."""
    model = AgentSelection(settings=LearnSettings(max_features=2))
    for name in ("a", "b", "c"):
        model.update(Samples.of(["ada"], ["math"], [1.0], features=[{name: 1.0}]))
    kept = model.to_state()["features"]
    model.update(Samples.of(["ada"], ["math"], [1.0], -1.0, features=[{kept[0]: 1.0}]))
    loaded = AgentSelection.from_state(model.to_state())
    (turned_away,) = {"a", "b", "c"} - set(kept)
    for each in (model, loaded):
        each.update(Samples.of(["ada"], ["math"], [1.0], features=[{turned_away: 1.0}]))
        assert each.to_state()["features"] == sorted([kept[1], turned_away])


def test_beyond_the_limit_the_same_features_stay_whatever_came_first():
    """Which ones is decided by their names."""
    names = [f"f{i}" for i in range(12)]
    kept = []
    for order in (names, names[::-1]):
        model = AgentSelection(settings=LearnSettings(max_features=5))
        for name in order:
            model.update(Samples.of(["ada"], ["math"], [1.0], features=[features_of({name: 1.0})]))
        kept.append(set(model.evidence.slopes.names.names))
    assert kept[0] == kept[1]
    assert len(kept[0]) == 5


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("features", ["a", "a"], "twice"),
        ("features", "a", "list of names"),
        ("feature_xx", np.zeros(3), "values"),
    ],
)
def test_a_damaged_state_is_refused(key, value, told):
    """With a word on what is wrong."""
    state = learnt(np.random.default_rng(6), 50, 0.1).to_state()
    state[key] = value
    with pytest.raises(ValueError, match=told):
        AgentSelection.from_state(state)

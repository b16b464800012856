"""What was learnt is a function of the samples: not of batches, order, merging or detours."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from selfright.learn.choice import AgentSelection, ParameterOptimization
from selfright.learn.model import model_from_state, new_model
from selfright.learn.model_type import ModelType
from selfright.learn.samples import Samples
from selfright.learn.settings import LearnSettings
from selfright.learn.strategy import UpdateStrategy
from selfright.learn.value import LatencyPrediction, QualityPrediction

arms = st.sampled_from(["ada", "bo", "cy", "di", "a/b", "é"])
groups = st.sampled_from([None, "math", "code", "", "_other"])
targets = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1, width=32))
rows = st.tuples(arms, groups, targets)
streams = st.lists(rows, max_size=40)
models = st.sampled_from([AgentSelection, ParameterOptimization, QualityPrediction])
strategies = st.sampled_from(list(UpdateStrategy))


def samples(stream, weight=1.0):
    """Return the rows as samples."""
    return Samples.of(
        [r[0] for r in stream], [r[1] for r in stream], [r[2] for r in stream], weight
    )


def as_bytes(model):
    """Return the state as bytes: arrays by their type and content, the rest as JSON."""
    return {
        key: (value.dtype.str, value.shape, value.tobytes())
        if isinstance(value, np.ndarray)
        else json.dumps(value)
        for key, value in model.to_state().items()
        if key != "regimes"  # what happened on the way to the evidence, see test_learn_regimes
    }


def cut(stream, cuts):
    """Return the stream in consecutive parts."""
    edges = sorted(c % (len(stream) + 1) for c in cuts)
    return [stream[a:b] for a, b in zip([0, *edges], [*edges, len(stream)], strict=True)]


@examples(max_examples=40)
@given(models, streams, st.lists(st.integers(0, 60), max_size=8), st.randoms(use_true_random=False))
def test_batches_order_and_merging_leave_the_same_bytes(make, stream, cuts, rng):
    """One batch, any batches, any order and any tree of merges give one state."""
    whole = as_bytes(make.fit(samples(stream)))
    batched = make()
    for part in cut(stream, cuts):
        batched.update(samples(part))
    assert as_bytes(batched) == whole
    shuffled = [*stream]
    rng.shuffle(shuffled)
    assert as_bytes(make.fit(samples(shuffled))) == whole
    parts = [make.fit(samples(part)) for part in cut(shuffled, cuts)]
    while len(parts) > 1:
        left = parts.pop(rng.randrange(len(parts)))
        right = parts.pop(rng.randrange(len(parts)))
        parts.append(left.merge(right))
    assert as_bytes(parts[0]) == whole


@examples(max_examples=40)
@given(models, streams, streams)
def test_update_then_retract_is_identity(make, before, passing):
    """Samples taken back leave no trace, not even the names they brought."""
    model = make.fit(samples(before))
    state = as_bytes(model)
    model.update(samples(passing))
    model.update(samples(passing[::-1], weight=-1.0))
    assert as_bytes(model) == state
    assert model.update_count == len(before)


@examples(max_examples=40)
@given(models, streams, streams)
def test_a_retraction_may_come_before_what_it_takes_back(make, before, early):
    """Deliveries in the wrong order end in the state of the right one."""
    model = make()
    model.update(samples(early, weight=-1.0))
    assert np.isfinite(model.mean_of(["ada", "new"], ["math", None])).all()
    model.update(samples(before))
    model.update(samples(early))
    assert as_bytes(model) == as_bytes(make.fit(samples(before)))


@examples(max_examples=40)
@given(models, streams, streams, st.integers(1, 5), st.integers(1, 3))
def test_caps_pool_the_same_names_in_any_order(make, first, second, most_arms, most_groups):
    """Above the caps too, order and merging change nothing, and no sample is lost."""
    settings = replace(
        LearnSettings(),
        max_arms=most_arms,
        max_groups=most_groups,
        max_parameter_sets=most_arms,
    )
    whole = make.fit(samples(first + second), settings)
    assert as_bytes(make.fit(samples(second + first), settings)) == as_bytes(whole)
    merged = make.fit(samples(first), settings).merge(make.fit(samples(second), settings))
    assert as_bytes(merged) == as_bytes(whole)
    assert whole.update_count == len(first + second)
    assert len(whole.arm_names()) <= most_arms


@examples(max_examples=40)
@given(st.sampled_from(list(ModelType)), strategies, streams, streams)
def test_a_saved_model_goes_on_as_the_original(model_type, strategy, stream, later):
    """Read back it predicts the same to the last bit, and learns on the same."""
    model = new_model(model_type, strategy)
    model.update(samples(stream))
    loaded = model_from_state(model.to_state())
    assert as_bytes(loaded) == as_bytes(model)
    asked = ["ada", "bo", "nobody"], ["math", None, "unheard of"]
    assert loaded.mean_of(*asked).tobytes() == model.mean_of(*asked).tobytes()
    asked_one = ("math", 3) if hasattr(model, "select") else ("ada", "math")
    assert loaded.predict(*asked_one) == model.predict(*asked_one)
    # Sums of which nothing is exact may differ in the last bit once arrays were packed anew.
    for each in (model, loaded):
        each.update(samples(later))
    np.testing.assert_allclose(loaded.mean_of(*asked), model.mean_of(*asked), rtol=0, atol=1e-12)


@examples(max_examples=40)
@given(models, streams, st.sets(arms), st.sets(groups), streams)
def test_a_restart_is_a_fit_without_what_was_set_aside(make, stream, gone, gone_groups, instead):
    """Evidence of the restarted arms and groups is replaced; all other evidence stays."""
    model = make.fit(samples(stream))
    before = as_bytes(model)
    restarted = model.restart(gone, samples(instead), groups=gone_groups)
    kept = [row for row in stream if row[0] not in gone and row[1] not in gone_groups]
    assert as_bytes(restarted) == as_bytes(make.fit(samples(kept + instead)))
    assert as_bytes(model) == before


@examples(max_examples=40)
@given(strategies, models, streams, streams)
def test_a_copy_learns_apart(strategy, make, stream, later):
    """Neither the original nor the copy sees what the other learns."""
    model = make.fit(samples(stream), strategy=strategy)
    before = as_bytes(model)
    copied = model.copy()
    copied.update(samples(later))
    assert as_bytes(model) == before
    other = make.fit(samples(stream), strategy=strategy)
    other.update(samples(later))
    assert as_bytes(copied) == as_bytes(other)


@examples(max_examples=40)
@given(strategies, streams, st.lists(st.integers(0, 60), max_size=8))
def test_the_size_of_batches_never_matters(strategy, stream, cuts):
    """Whatever forgets in the order of arrival, forgets sample by sample, not by batch."""
    whole = LatencyPrediction.fit(samples(stream), strategy=strategy)
    batched = LatencyPrediction(strategy)
    for part in cut(stream, cuts):
        batched.update(samples(part))
    asked = ["ada", "bo", "nobody"], ["math", None, "code"]
    np.testing.assert_allclose(batched.mean_of(*asked), whole.mean_of(*asked), rtol=1e-9, atol=1e-9)
    assert batched.update_count == whole.update_count


@examples(max_examples=40)
@given(streams, streams)
def test_windows_of_following_streams_merge_exactly(first, second):
    """The newest samples of both halves are the newest of the whole."""
    settings = replace(LearnSettings(), window=4)
    fitted = [
        QualityPrediction.fit(samples(part), settings, UpdateStrategy.MOVING_AVERAGE)
        for part in (first, second, first + second)
    ]
    assert as_bytes(fitted[0].merge(fitted[1])) == as_bytes(fitted[2])


@examples(max_examples=40)
@given(streams, streams)
def test_fading_evidence_of_following_streams_merges(first, second):
    """The earlier half has faded by as many samples as the later one brought."""
    fitted = [
        QualityPrediction.fit(samples(part), strategy=UpdateStrategy.EXPONENTIAL)
        for part in (first, second, first + second)
    ]
    merged = fitted[0].merge(fitted[1])
    asked = ["ada", "bo"], ["math", None]
    np.testing.assert_allclose(merged.mean_of(*asked), fitted[2].mean_of(*asked), atol=1e-12)
    assert merged.predict("ada", "math").low == pytest.approx(
        fitted[2].predict("ada", "math").low, abs=1e-9
    )


@examples(max_examples=40)
@given(st.lists(rows, min_size=1, max_size=120))
def test_a_window_holds_the_newest_of_each_cell(stream):
    """Four samples per cell and nothing older, however they arrive."""
    settings = replace(LearnSettings(), window=4)
    model = AgentSelection.fit(samples(stream), settings, UpdateStrategy.MOVING_AVERAGE)
    newest = {}
    for arm, group, y in stream:
        newest.setdefault((arm, group), []).append((arm, group, y))
    kept = [row for held in newest.values() for row in held[-4:]]
    unlimited = AgentSelection.fit(samples(kept))
    asked = ["ada", "bo", "cy"], ["math", None, "code"]
    np.testing.assert_allclose(model.mean_of(*asked), unlimited.mean_of(*asked), atol=1e-12)


@examples(max_examples=40)
@given(st.sampled_from([s for s in UpdateStrategy if s is not UpdateStrategy.GRADIENT]), streams)
def test_taking_everything_back_leaves_a_model_that_knows_nothing(strategy, stream):
    """Whatever keeps evidence has none left when all of it was taken back."""
    model = QualityPrediction.fit(samples(stream), strategy=strategy)
    model.update(samples(stream, weight=-1.0))
    assert model.update_count == 0
    assert model.arm_names() == []
    assert model.mean_of(["ada"], [None]) == pytest.approx(0.5)

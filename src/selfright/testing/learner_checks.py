"""What every learner has to keep, as checks that run over any of them.

A learner under test is a ``StreamLearner``: one of the five models, or a model of the user's own
as ``register_model`` takes it. Each check raises ``AssertionError`` with what it found. What a kind
of learner does not promise is excluded by name, with the reason. A check is worth nothing until
it has been seen to fail; the tests of this module plant a fault for each.

>>> from selfright.learn.model import new_model
>>> from selfright.learn.model_type import ModelType
>>> from selfright.testing.learner_checks import CHECKS, check_learner
>>> check_learner(lambda: new_model(ModelType.ROUTING), only=["a_copy_learns_apart"])
['a_copy_learns_apart']
>>> sorted(CHECKS)[:2]
['a_copy_learns_apart', 'a_fit_forgets']
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import numpy as np

from selfright.errors import ConfigError
from selfright.learn.samples import Samples
from selfright.testing.growth import assert_stops_growing
from selfright.testing.learner_promises import excluded_of, tolerance_of
from selfright.testing.learner_streams import hostile
from selfright.testing.learner_subject import NUMBERS, Subject, off_by
from selfright.testing.learners import FleetLearner, OwnLearner, Questions

_LENGTH: Final = 5_000  # samples to the first look at the size of the state
_CANDIDATES: Final = 2_000
_SUM: Final = 1e-9


Check = Callable[[Subject], None]


def a_copy_learns_apart(subject: Subject) -> None:
    """Neither the original nor its copy sees what the other learns."""
    first, one, other = (subject.stream(seed, falls=True) for seed in (1, 2, 3))
    original = subject.taught(first)
    copied = original.copy()
    copied.learn(one)
    subject.expect_same(original, subject.taught(first), "after a copy has learnt")
    original.learn(other)
    subject.expect_same(copied, subject.taught(first, one), "in a copy of what has learnt")
    subject.expect_same(original, subject.taught(first, other), "beside a copy that has learnt")


def batches_change_nothing(subject: Subject) -> None:
    """One batch, any batches, and one sample after the other give one learner."""
    whole = subject.stream(4, 480, falls=True)
    expected = subject.taught(whole)
    for size in (1, 7, 100):
        parts = [whole.take(slice(at, at + size)) for at in range(0, len(whole), size)]
        subject.expect_same(subject.taught(*parts), expected, f"in batches of {size}")


def order_changes_nothing(subject: Subject) -> None:
    """The samples count, not which of them came first."""
    whole = subject.stream(5)
    shuffled = whole.take(np.random.default_rng(5).permutation(len(whole)))
    subject.expect_same(subject.taught(shuffled), subject.taught(whole), "in another order")


def a_merge_is_associative(subject: Subject) -> None:
    """Of three learners it does not matter which two are merged first."""
    a, b, c = (subject.taught(subject.stream(seed)) for seed in (6, 7, 8))
    subject.expect_same(a.merged(b).merged(c), a.merged(b.merged(c)), "when merged from the right")


def a_merge_is_the_whole(subject: Subject) -> None:
    """Learners of consecutive parts, merged, are the learner of all; the parts stay as they are."""
    first, second = subject.stream(9), subject.stream(10)
    one, other = subject.taught(first), subject.taught(second)
    merged = one.merged(other)
    subject.expect_same(merged, subject.taught(first, second), "when parts are merged")
    subject.expect_same(one, subject.taught(first), "of the learner that took another in")
    subject.expect_same(other, subject.taught(second), "of the learner that was taken in")


def a_fit_is_its_updates(subject: Subject) -> None:
    """A full retraining on samples is a new learner that was updated by them."""
    samples = subject.stream(11)
    subject.expect_same(subject.make().fit(samples), subject.taught(samples), "after a fit")


def a_fit_forgets(subject: Subject) -> None:
    """What was learnt before a full retraining is no part of what comes of it."""
    samples = subject.stream(12)
    learnt = subject.taught(subject.stream(13, falls=True))
    subject.expect_same(learnt.fit(samples), subject.make().fit(samples), "after a fit")


def taken_back_leaves_no_trace(subject: Subject) -> None:
    """Samples learnt and taken back again were never there, nor were their arms and features."""
    first, passing = subject.stream(14, 60), subject.stream(15, 30)
    passing.arm[::5] = ["passer-by"] * 6
    if passing.features is not None:
        passing.features[::5] = [{"passing": 1.0}] * 6
    again = passing.take(slice(None, None, -1))
    back = Samples(again.arm, again.group, again.y, -again.weight, again.ts_us, again.features)
    found = subject.taught(first, passing, back)
    subject.expect_same(found, subject.taught(first), "after samples were taken back")


def keeps_its_state_small(subject: Subject) -> None:
    """The state stops growing where no arm is new: memory of an endless stream is bounded."""
    sizes, learner, given = [], subject.make(), 0
    looks = (_LENGTH, 2 * _LENGTH, 4 * _LENGTH)
    for until in looks:
        learner.learn(subject.stream(until, until - given))
        sizes.append(len(learner.kept()[0]))
        given = until
    assert_stops_growing(sizes, given=looks, factor=1.0, spare=subject.restless)


def saved_and_loaded_is_the_same(subject: Subject) -> None:
    """Kept as a version and read back it answers the same to the last bit, and learns on so."""
    for learner in (subject.make(), subject.taught(subject.stream(16, 480, falls=True))):
        loaded = learner.loaded(learner.kept())
        asked, expected = loaded.answers(), learner.answers()
        off = off_by(asked, expected, "once it was saved and loaded")
        same = asked.tobytes() == expected.tobytes()
        assert same, f"answers are off by {off:.3g} once it was saved and loaded"
        more = subject.stream(17)
        loaded.learn(more)
        learner.learn(more)
        subject.expect_same(loaded, learner, "when what was loaded learns on")


def stays_finite_and_in_range(subject: Subject) -> None:
    """Whatever samples and tasks come, it raises nothing and answers numbers within its range."""
    least, most = subject.make().least_and_most()
    for name, samples, questions in hostile(subject.make(), features=subject.features):
        try:
            learner = subject.taught(samples)
            found = learner.answers(questions)
            learner.kept()
        except Exception as error:
            raise AssertionError(f"{name}: {type(error).__name__}: {error}") from error
        assert np.isfinite(found).all(), f"{name}: {int((~np.isfinite(found)).sum())} not finite"
        low, high = float(found.min()), float(found.max())
        assert least <= low <= high <= most, (
            f"{name}: answers of {low:g}..{high:g}, not within {least:g}..{most:g}"
        )


def chances_are_probabilities(subject: Subject) -> None:
    """Those of all candidates sum to 1, and none is below its share of the floor."""
    cases: list[tuple[str, Samples, Questions | None]] = [
        ("usual", subject.stream(18, falls=True), None)
    ]
    cases += hostile(subject.make(), features=subject.features, many=_CANDIDATES)
    for name, samples, questions in cases:
        learner = subject.taught(samples)
        candidates = [*dict.fromkeys([*samples.arm, "nobody"])]
        group = samples.group[0] if len(samples) else None
        asked = [None] if questions is None else [None, *questions.features]
        for features in asked:
            p = learner.chances(candidates, group, features)
            least = learner.floor() / len(candidates) * (1.0 - _SUM)
            assert abs(float(p.sum()) - 1.0) < _SUM, f"{name}: chances sum to {float(p.sum())!r}"
            assert float(p.min()) > 0.0, f"{name}: a candidate has a chance of {p.min():g}"
            assert float(p.min()) >= least, f"{name}: a chance of {p.min():g} is below {least:g}"


def asking_changes_nothing(subject: Subject) -> None:
    """Who is asked all the time learns, and knows, what one learns that is never asked."""
    asked, quiet = subject.make(), subject.make()
    for seed in range(19, 25):
        samples = subject.stream(seed, 60, falls=seed > 22)
        for learner in (asked, quiet):
            learner.learn(samples)
        first = asked.answers()
        assert first.tobytes() == asked.answers().tobytes(), "asked again, it answers otherwise"
        assert asked.known() == quiet.known(), "it knows something else once it was asked"
    subject.expect_same(asked, quiet, "where it was asked on the way")


def a_restart_leaves_the_others(subject: Subject) -> None:
    """Of one arm all evidence is set aside, of the others none; the original stays as it is."""
    samples = subject.stream(25)
    learner = subject.taught(samples)
    before = learner.evidence()
    found = learner.restarted("bo", Samples.empty()).evidence()
    others = {cell: held for cell, held in before.items() if cell[0] != "bo"}
    stale = sorted(str(cell) for cell in found if cell[0] == "bo")
    assert not stale, f"evidence of a restarted arm is still there: {', '.join(stale)}"
    assert found.keys() == others.keys(), f"{len(found)} cells of other arms, not {len(others)}"
    for cell, held in others.items():
        near = np.allclose(found[cell], held, rtol=subject.tolerance, atol=0.0)
        assert near, f"{cell} held {held}, and {found[cell]} after the restart of another arm"
    assert learner.evidence() == before, "the restart changed the learner it was asked of"


def a_restart_with_the_same_is_the_same(subject: Subject) -> None:
    """An arm restarted with the samples it has learnt is expected to do what it was."""
    samples = subject.stream(26)
    learner = subject.taught(samples)
    again = learner.restarted("ada", samples.for_arms(["ada"])).answers()
    off = off_by(again, learner.answers(), "after the same samples")
    assert off <= subject.tolerance, f"answers are off by {off:.3g} after the same samples"


CHECKS: Final[dict[str, Check]] = {
    check.__name__: check
    for check in (
        a_copy_learns_apart,
        batches_change_nothing,
        order_changes_nothing,
        a_merge_is_associative,
        a_merge_is_the_whole,
        a_fit_is_its_updates,
        a_fit_forgets,
        taken_back_leaves_no_trace,
        keeps_its_state_small,
        saved_and_loaded_is_the_same,
        stays_finite_and_in_range,
        chances_are_probabilities,
        asking_changes_nothing,
        a_restart_leaves_the_others,
        a_restart_with_the_same_is_the_same,
    )
}


def subject_of(make: Callable[[], Any], *, features: bool = True) -> Subject:
    """Return a model as a subject, with what its kind promises.

    Parameters
    ----------
    make
        Returns a new model: one of the five, or one as ``register_model`` takes it.
    """
    model = make()
    excluded, tolerance = excluded_of(model), tolerance_of(model)
    if not hasattr(model, "model_type"):
        return Subject(lambda: OwnLearner(make), tolerance, excluded, features)
    alone = getattr(model, "regimes", None) is not None
    return Subject(
        lambda: FleetLearner(make()), tolerance, excluded, features,
        # Up to 200 samples of each of three arms are kept while a change may have begun.
        restless=65_536 if alone else NUMBERS,
    )  # fmt: skip


def check_learner(
    make: Callable[[], Any],
    *,
    only: Iterable[str] | None = None,
    excluded: Mapping[str, str] | None = None,
) -> list[str]:
    """Run every check over a model; return the names of those that it passed.

    Parameters
    ----------
    make
        Returns a new model: one of the five, or one as ``register_model`` takes it.
    only
        Names of the checks to run; None: all.
    excluded
        Names of checks that do not hold for this model, and why; None: what its kind does not
        promise.

    Raises
    ------
    AssertionError
        With a line for each check that failed.
    ConfigError
        For a name that is no check.

    Notes
    -----
    About a second for one of the five: some 45,000 samples are learnt, 10,000 of them one per arm.
    """
    subject = subject_of(make)
    left_out = subject.excluded if excluded is None else excluded
    wanted = list(CHECKS) if only is None else list(only)
    for name in (*wanted, *left_out):
        if name not in CHECKS:
            raise ConfigError("check", name, f"must be one of {', '.join(CHECKS)}")
    failed, passed = [], []
    for name in wanted:
        if name in left_out:
            continue
        try:
            CHECKS[name](subject)
        except Exception as error:  # noqa: BLE001 - a stranger's code; the other checks still run
            said = error if isinstance(error, AssertionError) else repr(error)
            failed.append(f"{name}: {said}")
        else:
            passed.append(name)
    if failed:
        raise AssertionError("\n".join(failed))
    return passed

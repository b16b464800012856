"""Every learner through every check, and a planted fault for every check."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from selfright import OutcomeEvent
from selfright.errors import ConfigError
from selfright.learn.model import new_model
from selfright.learn.model_type import ModelType
from selfright.learn.samples import Samples
from selfright.learn.settings import LearnSettings
from selfright.learn.strategy import UpdateStrategy
from selfright.testing.learner_checks import CHECKS, Subject, check_learner, subject_of
from selfright.testing.learners import FleetLearner, OwnLearner

CHOOSING = (ModelType.AGENT_SELECTION, ModelType.PARAMETER_OPTIMIZATION, ModelType.ROUTING)
PREDICTING = (ModelType.QUALITY_PREDICTION, ModelType.LATENCY_PREDICTION)


class Rates:
    """A model of one's own that learns event by event: of each agent its rate of success."""

    def __init__(self) -> None:
        self.counts: dict[str, list[int]] = {}

    def refit(self, events: list[OutcomeEvent]) -> None:
        self.counts = {}
        self.update(events[-100:])

    def update(self, events: list[OutcomeEvent]) -> None:
        for event in events:
            won, n = self.counts.get(event.agent_name, (1, 2))
            self.counts[event.agent_name] = [won + (event.status == "success"), n + 1]

    def score(self, events: list[OutcomeEvent]) -> list[float]:
        return [1.0 - ((e.status == "success") - self.rate(e.agent_name)) ** 2 for e in events]

    def rate(self, name: str) -> float:
        won, n = self.counts.get(name, (1, 2))
        return won / n

    def save(self, folder: str) -> None:
        (Path(folder) / "counts.json").write_text(json.dumps(self.counts))

    def load(self, folder: str) -> None:
        self.counts = json.loads((Path(folder) / "counts.json").read_text())


class Fitted:
    """A model of one's own that can only be fitted as a whole, and judges runs that took time."""

    score_range = (-3.0, 0.0)

    def __init__(self) -> None:
        self.usual = float(np.log(1000.0))

    def refit(self, events: list[OutcomeEvent]) -> None:
        took = [np.log(e.duration_ms) for e in events if e.duration_ms is not None]
        self.usual = float(np.mean(took)) if took else float(np.log(1000.0))

    def update(self, events: list[OutcomeEvent]) -> None:
        """Learn nothing."""

    def score(self, events: list[OutcomeEvent]) -> list[float | None]:
        return [
            None if e.duration_ms is None else -min(3.0, abs(np.log(e.duration_ms) - self.usual))
            for e in events
        ]

    def save(self, folder: str) -> None:
        np.savez(Path(folder) / "usual.npz", usual=self.usual)

    def load(self, folder: str) -> None:
        with np.load(Path(folder) / "usual.npz", allow_pickle=False) as found:
            self.usual = float(found["usual"])


def named(model_type, strategy, *, alone=False, features=False):
    """Return the name of a subject."""
    how = [model_type.value, strategy.value, "alone" * alone, "features" * features]
    return ", ".join(filter(None, how))


def fleet_subjects():
    """Return every model type by every strategy; what chooses also alone and with features."""
    found = {}
    for model_type in ModelType:
        ways = (False, True) if model_type in CHOOSING else (False,)
        for strategy in UpdateStrategy:
            for alone in ways:
                settings = LearnSettings.alone() if alone else LearnSettings()
                for features in ways:
                    name = named(model_type, strategy, alone=alone, features=features)
                    found[name] = subject_of(
                        lambda t=model_type, s=strategy, how=settings: new_model(t, s, how),
                        features=features,
                    )
    return found


SUBJECTS: dict[str, Subject] = {
    **fleet_subjects(),
    "rates of one's own": subject_of(Rates),
    "a fit of one's own": subject_of(Fitted),
}
PROMISED = [(name, check) for name, of in SUBJECTS.items() for check in CHECKS.keys() - of.excluded]
EXCLUDED = [(name, check) for name, of in SUBJECTS.items() for check in of.excluded]
# A model of one's own may keep what its protocol does not ask for; one of the five must not.
BROKEN = [(name, check) for name, check in EXCLUDED if "one's own" not in name]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "check"), sorted(PROMISED))
def test_every_learner_passes_every_check(name: str, check: str) -> None:
    """What is promised of learners is promised of each."""
    CHECKS[check](SUBJECTS[name])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "check"), sorted(BROKEN))
def test_what_is_excluded_does_not_hold(name: str, check: str) -> None:
    """No exclusion hides a promise that one of the five could keep."""
    with pytest.raises((AssertionError, NotImplementedError, AttributeError)):
        CHECKS[check](SUBJECTS[name])


def test_no_learner_is_left_out() -> None:
    """A model type or a strategy that comes to be joins the checks."""
    assert {*CHOOSING, *PREDICTING} == set(ModelType)
    assert {named(t, s) for t in ModelType for s in UpdateStrategy} <= set(SUBJECTS)
    for alone, features in ((False, True), (True, False), (True, True)):
        wanted = {
            named(t, s, alone=alone, features=features) for t in CHOOSING for s in UpdateStrategy
        }
        assert wanted <= set(SUBJECTS)


def test_no_check_is_left_out_but_for_a_reason() -> None:
    """Every learner takes every check, or it says by name which not; each is taken by some."""
    assert {*PROMISED, *EXCLUDED} == {(name, check) for name in SUBJECTS for check in CHECKS}
    assert {check for _, check in PROMISED} == set(CHECKS)
    assert all(len(SUBJECTS[name].excluded[check]) > 20 for name, check in EXCLUDED)
    of_one = SUBJECTS[named(ModelType.AGENT_SELECTION, UpdateStrategy.BAYESIAN)]
    assert not of_one.excluded
    assert of_one.tolerance == 0.0


class Sound(FleetLearner):
    """An agent selection as it is; each fault below spoils one thing."""

    def __init__(self, model=None) -> None:
        super().__init__(model or new_model(ModelType.AGENT_SELECTION))


class SameCopy(Sound):
    """Hands out itself for a copy."""

    def copy(self):
        return self


class Hasty(Sound):
    """Loses what exceeds 300 samples of one batch."""

    def learn(self, samples):
        super().learn(samples.take(slice(0, 300)))


class Windowed(Sound):
    """Forgets by order, and says it does not."""

    def __init__(self, model=None) -> None:
        settings = LearnSettings(window=20)
        kind = ModelType.AGENT_SELECTION, UpdateStrategy.MOVING_AVERAGE
        super().__init__(model or new_model(*kind, settings))


class OnceMerged(Sound):
    """Takes in nothing of what is itself the result of a merge."""

    is_merged = False

    def merged(self, other):
        found = self.copy() if other.is_merged else super().merged(other)
        found.is_merged = True
        return found


class LossyMerge(Sound):
    """Loses an arm in a merge, always the same."""

    def merged(self, other):
        return super().merged(other).restarted("cy", Samples.empty())


class ShortFit(Sound):
    """Fits to the newest 100 samples and says to all."""

    def fit(self, samples):
        return super().fit(samples.take(slice(-100, None)))


class LazyFit(Sound):
    """Fits by learning some more."""

    def fit(self, samples):
        fitted = self.copy()
        fitted.learn(samples)
        return fitted


class Stubborn(Sound):
    """Takes nothing back."""

    def learn(self, samples):
        super().learn(samples.take(samples.weight > 0))


class Hoarding(Sound):
    """Keeps every sample that ever came."""

    def __init__(self, model=None) -> None:
        super().__init__(model)
        self.all = np.zeros(0)

    def learn(self, samples):
        super().learn(samples)
        self.all = np.append(self.all, samples.y)

    def kept(self):
        size = len(self.all) * 8
        data, schema = super().kept()
        return data + bytes(size), schema

    def loaded(self, kept):
        data, schema = kept
        return super().loaded((data[: len(data) - len(self.all) * 8], schema))

    def known(self):
        return super().kept()[0]


class Forgetful(Sound):
    """Leaves an arm out of what it saves."""

    def kept(self):
        return FleetLearner(self.model.restart(["cy"], Samples.empty())).kept()

    def known(self):
        return super().kept()[0]


class Dividing(Sound):
    """Divides by the number of other arms."""

    def answers(self, *questions):
        found = super().answers(*questions)
        return found * np.nan if self.model.arm_names() == ["ada"] else found


class Unbounded(Sound):
    """Answers beyond its range where all it saw was perfect."""

    def answers(self, *questions):
        found = super().answers(*questions)
        state = self.model.to_state()
        perfect = state["cell_n"].sum() == state["cell_s"].sum() > 1.0
        return found + 0.5 if perfect else found


class Raising(Sound):
    """Knows no arm without a name."""

    def answers(self, *questions):
        if "" in self.model.arm_names():
            raise KeyError("")
        return super().answers(*questions)


class Leaking(Sound):
    """Has chances that sum to a little less than 1."""

    def chances(self, *asked):
        return super().chances(*asked) * 0.99999


class Greedy(Sound):
    """Never chooses what is certainly not the best."""

    def chances(self, *asked):
        won = super().chances(*asked)
        left = np.where(won > 2.0 * self.floor() / len(won), won, 0.0)
        return left / left.sum()


class Floorless(Sound):
    """Explores less than it says."""

    def floor(self):
        return 10.0 * super().floor()


class Impressed(Sound):
    """Learns from every fifth question."""

    asked = 0

    def answers(self, *questions):
        self.asked += 1
        if self.asked % 5 == 0:
            self.learn(Samples.of(["ada"], ["math"], [1.0]))
        return super().answers(*questions)


class RestartInPlace(Sound):
    """Restarts the learner it is asked of."""

    def restarted(self, arm, samples):
        self.model = self.model.restart([arm], samples)
        return self


class Sweeping(Sound):
    """Sets everything aside when there is nothing to restart with."""

    def restarted(self, arm, samples):
        return super().restarted(arm, samples) if len(samples) else Sound()


class Twice(Sound):
    """Counts the samples of a restart twice."""

    def restarted(self, arm, samples):
        return super().restarted(arm, Samples.concat([samples, samples]))


FAULTS: dict[str, tuple[type[Sound], ...]] = {
    "a_copy_learns_apart": (SameCopy,),
    "batches_change_nothing": (Hasty,),
    "order_changes_nothing": (Windowed,),
    "a_merge_is_associative": (OnceMerged,),
    "a_merge_is_the_whole": (LossyMerge,),
    "a_fit_is_its_updates": (ShortFit,),
    "a_fit_forgets": (LazyFit,),
    "taken_back_leaves_no_trace": (Stubborn,),
    "keeps_its_state_small": (Hoarding,),
    "saved_and_loaded_is_the_same": (Forgetful,),
    "stays_finite_and_in_range": (Dividing, Unbounded, Raising),
    "chances_are_probabilities": (Leaking, Greedy, Floorless),
    "asking_changes_nothing": (Impressed,),
    "a_restart_leaves_the_others": (RestartInPlace, Sweeping),
    "a_restart_with_the_same_is_the_same": (Twice,),
}


def failed(subject: Subject, checks=CHECKS) -> dict[str, AssertionError]:
    """Return what each check that fails says."""
    found = {}
    for name in checks:
        try:
            CHECKS[name](subject)
        except AssertionError as error:
            found[name] = error
    return found


def test_there_is_a_fault_for_every_check() -> None:
    """A check that has never failed is not known to work."""
    assert set(FAULTS) == set(CHECKS)


@pytest.mark.slow
def test_what_the_faults_are_planted_in_is_sound() -> None:
    """Without a fault no check fails."""
    assert failed(Subject(Sound)) == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("check", "fault"), [(check, fault) for check, faults in FAULTS.items() for fault in faults]
)
def test_a_planted_fault_is_caught(check: str, fault: type[Sound]) -> None:
    """By its check, which says something about it, and by no other."""
    found = failed(Subject(fault))
    assert set(found) == {check}
    assert len(str(found[check])) > 20


class SharedRates(Rates):
    """Lets copies count in one place."""

    def __deepcopy__(self, memo):
        other = type(self)()
        other.counts = self.counts
        return other


class LazyRefit(Rates):
    """Does not forget in a refit."""

    def refit(self, events):
        self.update(events[-100:])


class RatesOfAll(Rates):
    """Keeps every event that ever came."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[float] = []

    def update(self, events):
        super().update(events)
        self.all += [event.duration_ms for event in events]

    def save(self, folder):
        super().save(folder)
        (Path(folder) / "all.json").write_text(json.dumps(self.all))


class RoundedRates(Rates):
    """Saves how often, and not how often well."""

    def save(self, folder):
        rounded = {name: [n // 2, n] for name, (_, n) in self.counts.items()}
        (Path(folder) / "counts.json").write_text(json.dumps(rounded))


class Gloomy(Rates):
    """Scores below its range where it has seen but one agent."""

    def score(self, events):
        return [score - len(self.counts) % 2 / 2 - 0.5 for score in super().score(events)]


class Curious(Rates):
    """Learns from what it is to score."""

    def score(self, events):
        found = super().score(events)
        self.counts.setdefault("asked", [1, 2])[1] += 1
        return [score - self.rate("asked") / 100 for score in found]


OWN_FAULTS: dict[str, type[Rates]] = {
    "a_copy_learns_apart": SharedRates,
    "a_fit_forgets": LazyRefit,
    "keeps_its_state_small": RatesOfAll,
    "saved_and_loaded_is_the_same": RoundedRates,
    "stays_finite_and_in_range": Gloomy,
    "asking_changes_nothing": Curious,
}


def test_there_is_a_fault_of_ones_own_for_every_check_of_such_a_model() -> None:
    """What is left of the checks for a model of one's own has been seen to fail, too."""
    assert set(OWN_FAULTS) == CHECKS.keys() - subject_of(Rates).excluded


@pytest.mark.slow
@pytest.mark.parametrize("check", OWN_FAULTS)
def test_a_fault_in_a_model_of_ones_own_is_caught(check: str) -> None:
    """Its check catches it, by name and with what was found."""
    with pytest.raises(AssertionError, match=f"(?m)^{check}: .{{20,}}"):
        check_learner(OWN_FAULTS[check])


@pytest.mark.slow
def test_check_learner_says_what_it_passed() -> None:
    """All checks but those that its kind does not promise."""
    assert check_learner(lambda: new_model(ModelType.ROUTING)) == list(CHECKS)
    assert check_learner(Rates) == list(OWN_FAULTS)


def test_a_promise_beyond_its_kind_is_checked_when_asked_for() -> None:
    """Whoever leaves nothing out is held to all of it."""
    only = ["batches_change_nothing", "a_fit_is_its_updates"]
    assert check_learner(Rates, only=only[:1], excluded={}) == only[:1]
    with pytest.raises(AssertionError, match="a_fit_is_its_updates"):
        check_learner(Rates, only=only, excluded={})


def test_what_a_model_raises_fails_the_check() -> None:
    """An error of a stranger's code is named, and the other checks still run."""

    class Broken(Rates):
        def save(self, folder):
            raise OSError("no room")

    only = ["saved_and_loaded_is_the_same", "a_fit_forgets", "keeps_its_state_small"]
    with pytest.raises(AssertionError, match="no room") as raised:
        check_learner(Broken, only=only)
    assert [line.split(":")[0] for line in str(raised.value).splitlines()] == [only[0], only[2]]


@pytest.mark.parametrize("where", ["only", "excluded"])
def test_a_check_that_is_none_is_refused(where: str) -> None:
    """With the names of those there are."""
    with pytest.raises(ConfigError, match="a_copy_learns_apart"):
        check_learner(Rates, **{where: {"no_such_check": "a typing mistake"}})


def test_near_is_not_the_same_where_bits_are_promised() -> None:
    """A tolerance is for those that say so."""
    subject = Subject(Sound)
    one, other = subject.taught(subject.stream(1)), subject.taught(subject.stream(1))
    subject.expect_same(one, other, "at once")
    other.learn(Samples.of(["ada"], ["math"], [2.0**-20]))
    with pytest.raises(AssertionError, match="off by"):
        subject.expect_same(one, other, "after a sample")
    replace(subject, tolerance=1.0).expect_same(one, other, "after a sample")


def test_runs_of_ones_own_models_are_those_of_the_samples() -> None:
    """An own model that is taught samples learns runs with their context."""
    learner = OwnLearner(Rates)
    learner.learn(Samples.of(["ada", "bo"], ["math", None], [1.0, 0.25]))
    assert learner.model.counts == {"ada": [2, 3], "bo": [1, 3]}

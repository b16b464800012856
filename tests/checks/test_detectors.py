"""Every detector through every check, and a planted fault for every check."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest

from selfright.assemble import watch_policy
from selfright.config import Settings
from selfright.detect.certainty.fleet import Certainty, CertaintyPolicy, Rows
from selfright.detect.detection import Kind, WatchedMetric
from selfright.detect.watch import RULES, FleetWatch
from selfright.loop.saved import decode_state, encode_state
from selfright.testing.detector_checks import CHECKS, StreamDetector, Subject

SECOND_US = 1_000_000


def rows_of(outcomes, first, metric=WatchedMetric.ACCURACY):
    """Return outcomes of one agent, one a second, as rows; the first is number ``first``."""
    values = np.full((len(outcomes), len(WatchedMetric)), -1.0)
    values[:, metric] = outcomes
    at = first + np.arange(len(outcomes))
    return Rows(np.zeros(len(outcomes), dtype=np.int64), values, at, at * SECOND_US)


class Watched:
    """One rule of the watch, on the accuracy of one agent, an outcome a second."""

    def __init__(self, name: str, alarm: Kind) -> None:
        self._rules = (name,)
        self._watch = FleetWatch(watch_policy(Settings()), self._rules)
        self._alarm, self._n = alarm, 0

    def update_many(self, outcomes):
        found = []
        for first in range(0, len(outcomes), 1000):
            rows = rows_of(np.array(outcomes[first : first + 1000]), self._n)
            said = self._watch.feed(rows)
            self._watch.keep()
            self._n += len(rows.agent)
            found += [first + row for row, told in sorted(said.items()) if self._alarms(told)]
        return found

    def _alarms(self, said) -> bool:
        return any(found.kind is self._alarm and found.scope == 0 for found in said)

    def to_state(self) -> bytes:
        return encode_state({"n": self._n, **self._watch.to_state()})

    def restore(self, state: bytes) -> None:
        found = decode_state(state)
        self._n = found.pop("n")
        self._watch = FleetWatch.from_state(self._watch.policy, found, self._rules)


class Certain:
    """Certainty about the accuracy, or the latency, of one agent."""

    def __init__(self, metric: WatchedMetric = WatchedMetric.ACCURACY) -> None:
        policy = CertaintyPolicy(run_length=1e4, min_drop=0.0)
        self._certainty = Certainty(policy, {WatchedMetric.ACCURACY: 0.7})
        self._metric, self._n = metric, 0

    def update_many(self, outcomes):
        found = []
        for first in range(0, len(outcomes), 1000):
            part = np.array(outcomes[first : first + 1000])
            rows = rows_of(self._measured(part), self._n, self._metric)
            said = self._certainty.feed(rows, self._n * SECOND_US)
            self._certainty.keep()
            self._n += len(part)
            found += [first + one.row for who, one in said if who.scope == 0 and one.said is None]
        return found

    def _measured(self, outcomes):
        return outcomes

    def to_state(self) -> bytes:
        # The budget counts by hour and the season by hour of the week: bounded, and not the
        # detector's.
        state = self._certainty.to_state()
        return encode_state({"n": self._n, "state": state})

    def restore(self, state: bytes) -> None:
        found = decode_state(state)
        self._n = found["n"]
        self._certainty = self._certainty.restored(found["state"])


class CertainRank(Certain):
    """The same of a quantity: a run takes 100 ms, one that is not good ten times as long."""

    def __init__(self) -> None:
        super().__init__(WatchedMetric.LATENCY)

    def _measured(self, outcomes):
        return 1e5 + 9e5 * (1.0 - outcomes)


SUBJECTS = {
    # The window warns and the Beta rule asks: neither promises certainty, both keep quiet about
    # an agent that is well above its threshold.
    "window": Subject(lambda: Watched("window", Kind.BEYOND), delay=3_000),
    "beta": Subject(lambda: Watched("beta", Kind.LIKELY), delay=200),
    "certainty": Subject(Certain, delay=60),
    "certainty of a quantity": Subject(CertainRank, fallen=0.3, delay=120),
}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", SUBJECTS)
def test_every_detector_passes_every_check(name: str, check: str) -> None:
    """What is promised of detectors is promised of each."""
    CHECKS[check](SUBJECTS[name])


def test_no_detector_is_left_out() -> None:
    """A rule that joins the watch joins the checks."""
    assert set(RULES) <= set(SUBJECTS)


class Faulty:
    """Alarms at two failures among the latest ten; each fault below spoils one thing."""

    def __init__(self) -> None:
        self.latest: list[float] = []
        self.quiet = False

    def update_many(self, outcomes):
        return [i for i, x in enumerate(outcomes) if self.update(x)]

    def update(self, x: float) -> bool:
        self.latest = [*self.latest[-9:], x]
        alarms = not self.quiet and self.latest.count(0.0) >= 6
        self.quiet = (self.quiet or alarms) and self.latest.count(0.0) > 3
        return alarms

    def to_state(self) -> bytes:
        return pickle.dumps(self.__dict__)

    def restore(self, state: bytes) -> None:
        self.__dict__.update(pickle.loads(state))


class Nervous(Faulty):
    """Alarms at the first failure."""

    def update(self, x: float) -> bool:
        return x < 1.0


class Deaf(Faulty):
    """Never alarms."""

    def update(self, x: float) -> bool:
        return False


class Superstitious(Faulty):
    """Alarms at every thousandth outcome, whatever it is."""

    def update(self, x: float) -> bool:
        self.latest.append(x)
        return len(self.latest) % 1000 == 0


class Moody(Faulty):
    """Asks chance."""

    chance = np.random.default_rng(1)

    def update(self, x: float) -> bool:
        return super().update(x) or (x < 1.0 and self.chance.random() < 0.01)


class Forgetful(Faulty):
    """Leaves its latest outcomes out of the checkpoint."""

    def to_state(self) -> bytes:
        return pickle.dumps({"quiet": self.quiet})


class Hoarding(Faulty):
    """Keeps every outcome that ever came."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[float] = []

    def update(self, x: float) -> bool:
        self.all.append(x)
        return super().update(x)


class Once(Faulty):
    """Alarms once in its life."""

    def __init__(self) -> None:
        super().__init__()
        self.spent = False

    def update(self, x: float) -> bool:
        alarms = super().update(x) and not self.spent
        self.spent = self.spent or alarms
        return alarms


class Coarse(Faulty):
    """Takes every score that is not perfect for a failure."""

    def update(self, x: float) -> bool:
        return super().update(float(x == 1.0))


FAULTS: dict[str, Callable[[], StreamDetector]] = {
    "keeps_quiet": Nervous,
    "finds_a_drop": Deaf,
    "says_nothing_of_a_perfect_stream": Superstitious,
    "is_a_function_of_its_outcomes": Moody,
    "a_checkpoint_and_the_rest_is_the_whole": Forgetful,
    "keeps_its_state_small": Hoarding,
    "alarms_again_after_an_alarm": Once,
    "takes_graded_outcomes": Coarse,
}


def test_there_is_a_fault_for_every_check() -> None:
    """A check that has never failed is not known to work."""
    assert set(FAULTS) == set(CHECKS)


@pytest.mark.parametrize("check", CHECKS)
def test_a_planted_fault_is_caught(check: str) -> None:
    """The faulty detector fails the check; the sound one it is made from passes it."""
    CHECKS[check](Subject(Faulty, fallen=0.2, delay=60))
    with pytest.raises(AssertionError):
        CHECKS[check](Subject(FAULTS[check], fallen=0.2, delay=60))

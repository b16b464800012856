"""What every detector of a drop has to keep, as checks that run over any of them.

A detector under test is a ``StreamDetector``: it is given outcomes in [0, 1], low is bad, and says
when it alarms. Each check raises ``AssertionError`` with what it measured. A check is worth
nothing until it has been seen to fail; the tests of this module plant a fault for each.

>>> from selfright.testing.detector_checks import CHECKS
>>> sorted(CHECKS)[:3]
['a_checkpoint_and_the_rest_is_the_whole', 'alarms_again_after_an_alarm', 'finds_a_drop']
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from selfright.testing.growth import assert_stops_growing


class StreamDetector(Protocol):
    """One stream of outcomes."""

    def update_many(self, outcomes: Sequence[float]) -> list[int]:
        """Take outcomes in their order; return the places of those that make an alarm."""
        ...

    def to_state(self) -> bytes:
        """Return the exact state."""
        ...

    def restore(self, state: bytes) -> None:
        """Take over what ``to_state`` returned."""
        ...


@dataclass(frozen=True, slots=True)
class Subject:
    """A detector under test, and what it promises.

    Attributes
    ----------
    make
        Returns a new detector.
    healthy
        The mean of outcomes at which it must keep quiet.
    fallen
        The mean that it must find.
    false_alarms
        Most alarms per 10,000 outcomes of a healthy stream, on average.
    delay
        Outcomes within which nine of ten drops are found.
    """

    make: Callable[[], StreamDetector]
    healthy: float = 0.9
    fallen: float = 0.5
    false_alarms: float = 1.0
    delay: int = 200


Check = Callable[[Subject], None]

_STREAMS: Final = 20
_LENGTH: Final = 4_000
_WARM: Final = 1_000
# Of a rate of false alarms that is met exactly, chance shows half as much again in one of 100 runs.
_SLACK: Final = 1.5
# Growth of the state from 2n to 4n outcomes over that from n to 2n: 2 for one that keeps every
# outcome, at most 1 for one that is bounded.
_GROWTH: Final = 1.5
_COUNTERS: Final = 256  # bytes by which larger numbers lengthen a state


def _outcomes(seed: int, n: int, mean: float) -> list[float]:
    drawn: list[float] = (np.random.default_rng(seed).random(n) < mean).astype(float).tolist()
    return drawn


def keeps_quiet(subject: Subject) -> None:
    """A healthy stream raises no more alarms than promised."""
    total = sum(
        len(subject.make().update_many(_outcomes(seed, _LENGTH, subject.healthy)))
        for seed in range(_STREAMS)
    )
    found = total / (_STREAMS * _LENGTH) * 1e4
    most = max(subject.false_alarms * _SLACK, 1.5e4 / (_STREAMS * _LENGTH))
    assert found <= most, f"{found:.2f} false alarms per 10,000, promised {subject.false_alarms}"


def finds_a_drop(subject: Subject) -> None:
    """Nine of ten drops are found within the promised delay."""
    found = 0
    for seed in range(_STREAMS):
        detector = subject.make()
        detector.update_many(_outcomes(seed, _WARM, subject.healthy))
        found += bool(detector.update_many(_outcomes(1000 + seed, subject.delay, subject.fallen)))
    assert found >= 0.9 * _STREAMS, f"{found} of {_STREAMS} drops found within {subject.delay}"


def says_nothing_of_a_perfect_stream(subject: Subject) -> None:
    """Outcomes of 1 alone never make an alarm."""
    found = subject.make().update_many([1.0] * _LENGTH)
    assert not found, f"alarms at {found[:5]} although every outcome was perfect"


def is_a_function_of_its_outcomes(subject: Subject) -> None:
    """Two detectors given the same outcomes alarm at the same ones."""
    outcomes = _outcomes(1, _WARM, subject.healthy) + _outcomes(2, _WARM, subject.fallen)
    one, other = (subject.make().update_many(outcomes) for _ in range(2))
    assert one == other, f"{len(one)} and {len(other)} alarms from the same outcomes"


def a_checkpoint_and_the_rest_is_the_whole(subject: Subject) -> None:
    """State out and in again, at any place, changes nothing."""
    outcomes = _outcomes(3, _WARM, subject.healthy) + _outcomes(4, _WARM, subject.fallen)
    whole = subject.make()
    expected = whole.update_many(outcomes)
    for at in (1, 199, 200, 777, _WARM + 15):
        first, second = subject.make(), subject.make()
        found = first.update_many(outcomes[:at])
        second.restore(first.to_state())
        found += [at + i for i in second.update_many(outcomes[at:])]
        assert found == expected, f"after a checkpoint at {at}: {found[:3]}, not {expected[:3]}"
        assert second.to_state() == whole.to_state(), f"another state after a checkpoint at {at}"


def keeps_its_state_small(subject: Subject) -> None:
    """The state stops growing: memory of a stream that never ends is bounded."""
    sizes, detector, given = [], subject.make(), 0
    for until in (5_000, 10_000, 20_000):
        detector.update_many(_outcomes(until, until - given, subject.healthy))
        sizes.append(len(detector.to_state()))
        given = until
    assert_stops_growing(sizes, given=(5_000, 10_000, 20_000), factor=_GROWTH, spare=_COUNTERS)


def alarms_again_after_an_alarm(subject: Subject) -> None:
    """A second drop, after a recovery, is found like the first."""
    found = 0
    for seed in range(_STREAMS):
        detector = subject.make()
        for turn, mean in enumerate((subject.healthy, subject.fallen, subject.healthy)):
            detector.update_many(_outcomes(seed + 100 * turn, 2 * _WARM, mean))
        found += bool(detector.update_many(_outcomes(5000 + seed, subject.delay, subject.fallen)))
    assert found >= 0.9 * _STREAMS, f"{found} of {_STREAMS} second drops found"


def takes_graded_outcomes(subject: Subject) -> None:
    """Scores between 0 and 1 with the healthy mean are no worse than outcomes of 0 and 1."""
    total = 0
    for seed in range(_STREAMS):
        rng = np.random.default_rng(seed)
        spread = min(subject.healthy, 1.0 - subject.healthy)
        scores = subject.healthy + spread * (2.0 * rng.random(_LENGTH) - 1.0)
        # As the door keeps them: multiples of 2^-32.
        total += len(subject.make().update_many((np.rint(scores * 2**32) / 2**32).tolist()))
    found = total / (_STREAMS * _LENGTH) * 1e4
    most = max(subject.false_alarms * _SLACK, 1.5e4 / (_STREAMS * _LENGTH))
    assert found <= most, f"{found:.2f} false alarms per 10,000 graded outcomes"


CHECKS: Final[dict[str, Check]] = {
    check.__name__: check
    for check in (
        keeps_quiet,
        finds_a_drop,
        says_nothing_of_a_perfect_stream,
        is_a_function_of_its_outcomes,
        a_checkpoint_and_the_rest_is_the_whole,
        keeps_its_state_small,
        alarms_again_after_an_alarm,
        takes_graded_outcomes,
    )
}

"""A learner under test: how a new one is made and taught, and when two are the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from selfright.learn.samples import Samples
from selfright.testing.learner_streams import stream
from selfright.testing.learners import StreamLearner

NUMBERS: Final = 512  # bytes by which larger numbers lengthen a state


@dataclass(frozen=True, slots=True)
class Subject:
    """A learner under test, and what it promises.

    Attributes
    ----------
    make
        Returns a new learner.
    tolerance
        By how much answers may differ that are promised to be the same; 0: by no bit, and nor
        may what is kept.
    excluded
        Names of checks that do not hold, and why not.
    features
        Whether the samples it is given have features.
    restless
        Bytes by which its state comes and goes without growing.
    """

    make: Callable[[], StreamLearner]
    tolerance: float = 0.0
    excluded: Mapping[str, str] = field(default_factory=dict)
    features: bool = True
    restless: int = NUMBERS

    def stream(self, seed: int, n: int = 240, *, falls: bool = False) -> Samples:
        """Return n samples as this learner takes them."""
        return stream(self.make(), seed, n, falls=falls, features=self.features)

    def taught(self, *parts: Samples) -> StreamLearner:
        """Return a new learner that has learnt these parts, one after the other."""
        learner = self.make()
        for part in parts:
            learner.learn(part)
        return learner

    def expect_same(self, found: StreamLearner, expected: StreamLearner, when: str) -> None:
        """Raise ``AssertionError`` unless both answer the same, and know the same."""
        one, other = found.answers(), expected.answers()
        off = off_by(one, other, when)
        if self.tolerance:
            near = np.allclose(one, other, rtol=self.tolerance, atol=self.tolerance)
            assert near, f"answers are off by {off:.3g} {when}, promised {self.tolerance:g}"
            return
        assert one.tobytes() == other.tobytes(), f"answers are off by {off:.3g} {when}"
        assert found.known() == expected.known(), f"same answers, but another state {when}"


def off_by(one: np.ndarray, other: np.ndarray, when: str) -> float:
    """Return by how much two rows of answers differ at most."""
    assert one.shape == other.shape, f"{len(one)} answers, not {len(other)}, {when}"
    return float(np.abs(one - other).max(initial=0.0))

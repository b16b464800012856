"""Learners under test, whatever they are made of: how a check feeds, asks and keeps one.

``FleetLearner`` holds one of the five models, ``OwnLearner`` a model of the user's own as
``register_model`` takes it. Both are fed ``Samples``, answer ``Questions`` in numbers, and are
kept by the very code that keeps versions.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import exp
from typing import Any, Final, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from selfright.learn.features import Features
from selfright.learn.model import Model, model_from_state
from selfright.learn.model_type import ModelType
from selfright.learn.samples import Samples
from selfright.loop.outcome_event import OutcomeEvent
from selfright.loop.own.protocol import OwnModel, score_range, scores
from selfright.loop.own.stored import Covered, packed, unpacked
from selfright.retrain.model_state import ArraySchema, decode_state, encode_state

Floats: TypeAlias = npt.NDArray[np.float64]
Kept: TypeAlias = tuple[bytes, dict[str, ArraySchema]]

_GOOD: Final = 0.5  # targets of at least this are successes for a model of the user's own
_LARGEST_LOG: Final = 700.0


@dataclass(frozen=True, slots=True)
class Questions:
    """What a learner is asked: every arm in every group, without and with each features."""

    arms: Sequence[str] = ("ada", "bo", "cy", "nobody")
    groups: Sequence[str | None] = ("math", "code", None, "unheard of")
    features: Sequence[Features] = field(default=({"length": 3.0, "tone~2": 1.0}, {"length": -2.0}))


USUAL: Final = Questions()


class StreamLearner:
    """A learner of samples. What a learner cannot do raises ``NotImplementedError``.

    Attributes
    ----------
    low, high
        Targets of samples it is given.
    """

    low: float = 0.0
    high: float = 1.0

    def learn(self, samples: Samples) -> None:
        """Learn samples, in their order; a weight of -1 takes one back."""
        raise NotImplementedError

    def fit(self, samples: Samples) -> Self:
        """Return a learner of the same kind that has learnt these samples and nothing else."""
        raise NotImplementedError

    def copy(self) -> Self:
        """Return a learner that learns apart from this one."""
        raise NotImplementedError

    def answers(self, questions: Questions = USUAL) -> Floats:
        """Return everything it answers, in one row of numbers."""
        raise NotImplementedError

    def least_and_most(self) -> tuple[float, float]:
        """Return the bounds of its answers."""
        raise NotImplementedError

    def kept(self) -> Kept:
        """Return it as the registry keeps it: an npz file, and the schema of its arrays."""
        raise NotImplementedError

    def loaded(self, kept: Kept) -> Self:
        """Return the learner that was kept."""
        raise NotImplementedError

    def known(self) -> bytes:
        """Return bytes that are equal where the same was learnt; empty: they are not."""
        return b""

    def merged(self, other: Self) -> Self:
        """Return a learner that has learnt what both have; what ``other`` has is the later."""
        raise NotImplementedError

    def restarted(self, arm: str, samples: Samples) -> Self:
        """Return a learner whose evidence of ``arm`` is ``samples`` alone."""
        raise NotImplementedError

    def evidence(self) -> dict[tuple[str, str | None], tuple[float, ...]]:
        """Return what it holds of each arm in each group."""
        raise NotImplementedError

    def chances(
        self, candidates: Sequence[str], group: str | None, features: Features | None
    ) -> Floats:
        """Return with which probability each candidate is chosen."""
        raise NotImplementedError

    def floor(self) -> float:
        """Return the probability that is spread evenly over all candidates."""
        raise NotImplementedError


class FleetLearner(StreamLearner):
    """One of the five models.

    Parameters
    ----------
    model
        Any ``Model``; a subclass of one of the five is fed, asked and kept like it.
    """

    def __init__(self, model: Model) -> None:
        self.model: Any = model
        if model.model_type is ModelType.LATENCY_PREDICTION:
            self.low, self.high = 4.0, 9.0  # 55 ms to 8 s, as logarithms

    def learn(self, samples: Samples) -> None:
        """See ``StreamLearner``."""
        self.model.update(samples)

    def fit(self, samples: Samples) -> Self:
        """See ``StreamLearner``."""
        return self._of(self.model.fit(samples, self.model.settings, self.model.strategy))

    def copy(self) -> Self:
        """See ``StreamLearner``."""
        return self._of(self.model.copy())

    def answers(self, questions: Questions = USUAL) -> Floats:
        """See ``StreamLearner``. Names are told by their place among the arms that are known."""
        arms, groups = questions.arms, questions.groups
        pairs = [(arm, group) for group in groups for arm in arms]
        named, within = [arm for arm, _ in pairs], [group for _, group in pairs]
        found = [self.model.mean_of(named, within)]
        found += [
            self.model.mean_of(named, within, [features] * len(pairs))
            for features in questions.features
        ]
        if hasattr(self.model, "select"):
            found += self._choices(questions)
        else:
            found.append(self.model.spread_of(named, within))
            for pair in pairs:
                said = self.model.predict(*pair)
                found.append(np.array([said.value, said.low, said.high]))
        return np.concatenate(found)

    def _choices(self, questions: Questions) -> list[Floats]:
        place = {name: i for i, name in enumerate(self.model.arm_names())}
        found = []
        for group in questions.groups:
            for features in (None, *questions.features):
                found.append(self.chances(questions.arms, group, features))
                best = self.model.predict(group, 3, features)
                # Places as shares, so that all answers lie in one range.
                found.append(
                    np.array([x for name, y in best for x in (place[name] / len(place), y)])
                )
        return found

    def least_and_most(self) -> tuple[float, float]:
        """See ``StreamLearner``. A latency may be any finite number of milliseconds."""
        if self.model.model_type is ModelType.LATENCY_PREDICTION:
            return -exp(_LARGEST_LOG), exp(_LARGEST_LOG)
        return 0.0, 1.0

    def kept(self) -> Kept:
        """See ``StreamLearner``."""
        return encode_state(self.model.to_state())

    def loaded(self, kept: Kept) -> Self:
        """See ``StreamLearner``."""
        return self._of(model_from_state(decode_state(*kept)))

    def known(self) -> bytes:
        """See ``StreamLearner``."""
        return self.kept()[0]

    def merged(self, other: Self) -> Self:
        """See ``StreamLearner``."""
        return self._of(self.model.merge(other.model))

    def restarted(self, arm: str, samples: Samples) -> Self:
        """See ``StreamLearner``."""
        return self._of(self.model.restart([arm], samples))

    def evidence(self) -> dict[tuple[str, str | None], tuple[float, ...]]:
        """See ``StreamLearner``: the columns of the state that have one number per cell."""
        state = self.model.to_state()
        rows, cols = state["cell_arm"].tolist(), state["cell_group"].tolist()
        values = [
            state[name].tolist()
            for name in sorted(state)
            if name.startswith("cell_") and name not in {"cell_arm", "cell_group"}
        ]
        return {
            (state["arms"][row], state["groups"][col]): tuple(cell)
            for row, col, *cell in zip(rows, cols, *values, strict=True)
        }

    def chances(
        self, candidates: Sequence[str], group: str | None, features: Features | None
    ) -> Floats:
        """See ``StreamLearner``."""
        found: Floats = self.model.propensities(candidates, group, features)
        return found

    def floor(self) -> float:
        """See ``StreamLearner``."""
        return float(self.model.settings.floor)

    def _of(self, model: Model) -> Self:
        return type(self)(model)


class OwnLearner(StreamLearner):
    """A model of the user's own: samples reach it as runs, and its scores are its answers.

    Parameters
    ----------
    make
        Returns a new model.
    """

    def __init__(self, make: Callable[[], OwnModel]) -> None:
        self.make, self.model = make, make()

    def learn(self, samples: Samples) -> None:
        """See ``StreamLearner``."""
        self.model.update(runs_of(samples))

    def fit(self, samples: Samples) -> Self:
        """See ``StreamLearner``. Like a challenger, it is a copy that is refitted."""
        other = self.copy()
        other.model.refit(runs_of(samples))
        return other

    def copy(self) -> Self:
        """See ``StreamLearner``."""
        return self._of(copy.deepcopy(self.model))

    def answers(self, questions: Questions = USUAL) -> Floats:
        """See ``StreamLearner``. For each run its score, and whether it was judged."""
        low = score_range(self.model)[0]
        runs = [
            OutcomeEvent(
                agent_name=arm,
                task_type=group,
                status=status,
                duration_ms=250.0,
                context_snapshot=None if features is None else dict(features),
            )
            for status in ("success", "failure")
            for features in (None, *questions.features)
            for group in questions.groups
            for arm in questions.arms
        ]
        found = scores(self.model, runs)
        judged = np.array([score is not None for score in found], dtype=np.float64)
        return np.append([low if score is None else score for score in found], judged)

    def least_and_most(self) -> tuple[float, float]:
        """See ``StreamLearner``."""
        low, high = score_range(self.model)
        return min(low, 0.0), max(high, 1.0)

    def kept(self) -> Kept:
        """See ``StreamLearner``."""
        return encode_state(packed(self.model, Covered("", 0)))

    def loaded(self, kept: Kept) -> Self:
        """See ``StreamLearner``."""
        model = self.make()
        unpacked(model, decode_state(*kept))
        return self._of(model)

    def _of(self, model: OwnModel) -> Self:
        other = copy.copy(self)
        other.model = model
        return other


def runs_of(samples: Samples) -> list[OutcomeEvent]:
    """Return samples as runs: a target of .5 or more is a success, and 0..1 are 100 to 272 ms."""
    features = samples.features or [None] * len(samples)
    return [
        OutcomeEvent(
            agent_name=arm,
            task_type=group,
            status="success" if y >= _GOOD else "failure",
            duration_ms=100.0 * exp(y),
            context_snapshot=None if of is None else dict(of),
        )
        for arm, group, y, of in zip(
            samples.arm, samples.group, samples.y.tolist(), features, strict=True
        )
    ]

"""What all five models do alike: learn, merge, restart, fit, save and load."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import ClassVar, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from selfright.learn.features import Features
from selfright.learn.hierarchy.cells import State
from selfright.learn.hierarchy.evidence import Design, Evidence
from selfright.learn.hierarchy.names import HIDDEN, OTHER
from selfright.learn.model_type import ModelType
from selfright.learn.samples import Samples
from selfright.learn.settings import LearnSettings
from selfright.learn.strategy import UpdateStrategy

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]


class Learner:
    """A model over evidence per arm and group. See ``model.Model`` for what it promises.

    Not safe for use by several threads at once; a ``copy`` is.
    """

    model_type: ClassVar[ModelType]

    def __init__(
        self,
        strategy: UpdateStrategy = UpdateStrategy.BAYESIAN,
        settings: LearnSettings | None = None,
    ) -> None:
        self.strategy = UpdateStrategy(strategy)
        self.settings = settings or LearnSettings()
        self.evidence = Evidence(self.design(self.settings), self.strategy, self.settings)

    @classmethod
    def design(cls, settings: LearnSettings) -> Design:
        """Return what tells this model's evidence from that of another."""
        raise NotImplementedError

    @classmethod
    def fit(
        cls,
        samples: Samples,
        settings: LearnSettings | None = None,
        strategy: UpdateStrategy = UpdateStrategy.BAYESIAN,
    ) -> Self:
        """Return a model that has learnt ``samples`` and nothing else: a full retraining.

        With ``bayesian``, fits of the parts of a stream, merged, equal the fit of the
        whole, byte for byte.
        """
        model = cls(strategy, settings)
        model.update(samples)
        return model

    @property
    def update_count(self) -> int:
        """Samples the belief rests on: learnt, less taken back or pushed out of a window."""
        return self.evidence.update_count

    def arm_names(self) -> list[str]:
        """Return the arms something is known of, sorted."""
        return sorted(
            name
            for name in self.evidence.arms.names
            if name is not None and name != OTHER and not name.startswith(HIDDEN)
        )

    def counts_of_cells(self) -> list[tuple[str, str | None, float]]:
        """Return arm, group and samples of every cell the belief rests on, sorted by name."""
        arms, groups = self.evidence.arms.names, self.evidence.groups.names
        counts = self.evidence.cells.counts()[: len(arms), : len(groups)]
        found = [
            (str(arms[row]), groups[col], float(counts[row, col]))
            for row, col in np.argwhere(counts != 0.0).tolist()
        ]
        return sorted(found, key=lambda cell: (cell[0], cell[1] or ""))

    def update(self, samples: Samples) -> None:
        """Learn samples, in their order; the served model only ever accumulates.

        Raises ``ValueError`` for a target out of range; then nothing was learnt.
        """
        self.evidence.update(samples)

    def mean_of(
        self,
        arms: Sequence[str],
        groups: Sequence[str | None],
        features: Sequence[Features | None] | None = None,
    ) -> Floats:
        """Return the expected target of each arm for a task in its group, float64[n]."""
        return self._bounded(self._of_pairs(arms, groups, features)[0])

    def restart(
        self, arms: Iterable[str], samples: Samples, groups: Iterable[str | None] = ()
    ) -> Self:
        """Return a model that has changed its mind about ``arms``: an incremental retraining.

        All evidence of these arms, and of these groups, is set aside; then ``samples``
        are learnt. Nothing is counted twice, and all other evidence stays as it is.

        Parameters
        ----------
        samples
            What to believe instead, such as the newest outcomes of these arms; none
            leaves them as if never seen.
        groups
            For models whose groups are what changed: an agent's parameters.
        """
        model = self.copy()
        model.evidence.restart(arms, groups, samples)
        return model

    def merge(self, other: Self) -> Self:
        """Return a model that has learnt what both have; ``other``'s samples are the later.

        ``bayesian`` adds exact sums: any tree of merges gives the same bytes.
        ``moving_average`` keeps the newest samples of both, which is exact where their
        windows follow each other. ``exponential`` fades the earlier evidence by the
        later's count, exact but for rounding. ``gradient`` averages parameters, which
        approximates training on both.

        Raises
        ------
        ValueError
            If the other is of another type, strategy or settings.
        """
        if type(self) is not type(other):
            raise ValueError(f"{self.model_type.value} cannot take in {other.model_type.value}")
        model = self.copy()
        model.evidence.take_in(other.evidence)
        return model

    def copy(self) -> Self:
        """Return a model that learns apart from this one. Milliseconds at 10,000 arms."""
        model = type(self).__new__(type(self))
        model.strategy, model.settings = self.strategy, self.settings
        model.evidence = self.evidence.copy()
        return model

    def to_state(self) -> State:
        """Return everything as numpy arrays and JSON-able values; no pickle is needed."""
        return {
            "model_type": self.model_type.value,
            "strategy": self.strategy.value,
            "settings": asdict(self.settings),
            **self.evidence.to_state(),
        }

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Return the model that ``to_state`` described; it predicts the same.

        Raises
        ------
        ValueError
            If something is missing, of another shape or type, not finite, or of another
            model; the message says what.
        """
        if state.get("model_type") != cls.model_type.value:
            raise ValueError(
                f"model_type {state.get('model_type')!r} is not {cls.model_type.value}"
            )
        settings = state.get("settings")
        try:
            loaded = LearnSettings(**settings)  # type: ignore[arg-type]
        except TypeError as error:
            raise ValueError(f"settings: {error}") from error
        model = cls(UpdateStrategy(str(state.get("strategy"))), loaded)
        model.evidence.load(state)
        return model

    def _bounded(self, mean: Floats) -> Floats:
        design = self.evidence.design
        if design.low is None or design.high is None:
            return mean
        return np.minimum(np.maximum(mean, design.low), design.high)

    def _of_pairs(
        self,
        arms: Sequence[str],
        groups: Sequence[str | None],
        features: Sequence[Features | None] | None = None,
    ) -> tuple[Floats, Floats, Floats]:
        evidence = self.evidence
        rows, cols = evidence.arms.find_all(arms), evidence.groups.find_all(groups)
        if len(rows) != len(cols):
            raise ValueError(f"{len(rows)} arms but {len(cols)} groups")
        of = None if features is None else [*features]
        return evidence.belief().of_pairs(rows, cols, of)

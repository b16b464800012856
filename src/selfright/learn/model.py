"""What every model promises, and how one is made or read back by its type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from selfright.learn.choice import (
    AgentSelection,
    Choice,
    ChoiceModel,
    ParameterOptimization,
    Routing,
)
from selfright.learn.features import Features
from selfright.learn.model_type import ModelType
from selfright.learn.samples import Samples
from selfright.learn.settings import LearnSettings
from selfright.learn.strategy import UpdateStrategy
from selfright.learn.value import LatencyPrediction, Prediction, QualityPrediction, ValueModel

Floats: TypeAlias = npt.NDArray[np.float64]

__all__ = ["Choice", "Model", "Prediction", "model_from_state", "new_model"]


class Model(Protocol):
    """A model of the loop: it learns from samples, retrains, merges and is saved.

    ``predict`` answers in the words of the model: arms with scores, or a value with an
    interval. Models that choose have ``select`` besides, models that predict a number
    ``spread_of``.
    """

    @property
    def model_type(self) -> ModelType:
        """Which of the five it is."""
        ...

    strategy: UpdateStrategy
    settings: LearnSettings

    @property
    def update_count(self) -> int:
        """Samples the belief rests on."""
        ...

    def arm_names(self) -> list[str]:
        """Return the arms something is known of, sorted."""
        ...

    def counts_of_cells(self) -> list[tuple[str, str | None, float]]:
        """Return arm, group and samples of every cell the belief rests on, sorted by name."""
        ...

    def update(self, samples: Samples) -> None:
        """Learn samples in their order."""
        ...

    def mean_of(
        self,
        arms: Sequence[str],
        groups: Sequence[str | None],
        features: Sequence[Features | None] | None = None,
    ) -> Floats:
        """Return the expected target of each arm for a task in its group, float64[n]."""
        ...

    def restart(
        self, arms: Iterable[str], samples: Samples, groups: Iterable[str | None] = ()
    ) -> Self:
        """Return a model whose evidence of these arms and groups is ``samples`` alone."""
        ...

    def merge(self, other: Self) -> Self:
        """Return a model that has learnt what both have."""
        ...

    def copy(self) -> Self:
        """Return a model that learns apart from this one."""
        ...

    def fit(
        self,
        samples: Samples,
        settings: LearnSettings | None = None,
        strategy: UpdateStrategy = UpdateStrategy.BAYESIAN,
    ) -> Self:
        """Return a new model that has learnt ``samples`` and nothing else."""
        ...

    def to_state(self) -> dict[str, object]:
        """Return everything as numpy arrays and JSON-able values."""
        ...

    # What is asked and answered differs by model; the faces know which one they hold.
    def predict(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Return what the model expects."""
        ...


_LEARNERS: Final[dict[ModelType, type[ChoiceModel | ValueModel]]] = {
    AgentSelection.model_type: AgentSelection,
    ParameterOptimization.model_type: ParameterOptimization,
    Routing.model_type: Routing,
    QualityPrediction.model_type: QualityPrediction,
    LatencyPrediction.model_type: LatencyPrediction,
}


def new_model(
    model_type: ModelType,
    strategy: UpdateStrategy = UpdateStrategy.BAYESIAN,
    settings: LearnSettings | None = None,
) -> Model:
    """Return a model that knows nothing yet."""
    return _LEARNERS[ModelType(model_type)](strategy, settings)


def model_from_state(state: dict[str, object]) -> Model:
    """Return the model that ``to_state`` described.

    Raises ``ValueError`` saying what is missing or damaged.
    """
    return _LEARNERS[ModelType(str(state.get("model_type")))].from_state(state)

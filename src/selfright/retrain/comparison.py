"""What two versions of a model believe differently, arm by arm and group by group."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from selfright.learn.model import model_from_state
from selfright.learn.model_type import ModelType

if TYPE_CHECKING:
    from selfright.learn.model import Model
    from selfright.retrain.manifest import ModelVersion, StoredModel

_UNITS: Final = {ModelType.QUALITY_PREDICTION: "quality", ModelType.LATENCY_PREDICTION: "ms"}
_REWARD: Final = "reward"
# exp of more is no float; no latency is that long.
_LARGEST_LOG: Final = 700.0

_Cell = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Difference:
    """What is expected of one arm in one group before and after, and on how many samples.

    Without samples (``n`` 0) a version expects what its other evidence suggests.
    """

    arm: str
    group: str | None
    before: float
    after: float
    n_before: float
    n_after: float

    @property
    def change(self) -> float:
        """By how much more is expected after."""
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two versions of one model side by side.

    Attributes
    ----------
    before, after
        The versions with their samples and gate records.
    unit
        Of what is expected: ``reward`` and ``quality`` lie in 0..1, ``ms`` are milliseconds.
    differences
        Of every arm and group that either has samples of, the largest change first.
    hyperparameters
        Those that differ, by name: before and after.
    """

    before: ModelVersion
    after: ModelVersion
    unit: str
    differences: tuple[Difference, ...]
    hyperparameters: dict[str, tuple[Any, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-able values."""
        return {
            "model_type": self.after.model_type,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "unit": self.unit,
            "differences": [
                {**msgspec.to_builtins(each), "change": each.change} for each in self.differences
            ],
            "hyperparameters": {name: list(pair) for name, pair in self.hyperparameters.items()},
        }


def compare(
    before: StoredModel, after: StoredModel, versions: tuple[ModelVersion, ModelVersion]
) -> Comparison:
    """Return what two versions of one model believe differently.

    ``versions`` are the two as users see them. O(cells); some milliseconds for a
    thousand arms. Raises ``ValueError`` for a state that is no model.
    """
    one, other = model_from_state(before.state), model_from_state(after.state)
    counts = _counts(one), _counts(other)
    cells = sorted({*counts[0], *counts[1]}, key=lambda cell: (cell[0], cell[1] or ""))
    expected = _expected(one, cells), _expected(other, cells)
    differences = [
        Difference(
            cell[0],
            cell[1],
            round(was, 6),
            round(now, 6),
            counts[0].get(cell, 0.0),
            counts[1].get(cell, 0.0),
        )
        for cell, was, now in zip(cells, *expected, strict=True)
    ]
    # Stable: of equal changes the names decide.
    differences.sort(key=lambda each: -abs(each.change))
    return Comparison(
        *versions,
        unit=_UNITS.get(other.model_type, _REWARD),
        differences=tuple(differences),
        hyperparameters=_changed(
            {**_settings(one), **before.manifest.meta.hyperparameters},
            {**_settings(other), **after.manifest.meta.hyperparameters},
        ),
    )


def _counts(model: Model) -> dict[_Cell, float]:
    """Return the samples per arm and group, without what has none."""
    return {(arm, group): n for arm, group, n in model.counts_of_cells() if n}


def _expected(model: Model, cells: list[_Cell]) -> list[float]:
    if not cells:
        return []
    mean = model.mean_of([arm for arm, _ in cells], [group for _, group in cells])
    if model.model_type is ModelType.LATENCY_PREDICTION:
        mean = np.exp(np.minimum(mean, _LARGEST_LOG))
    expected: list[float] = mean.tolist()
    return expected


def _settings(model: Model) -> dict[str, Any]:
    return {"strategy": model.strategy.value, **asdict(model.settings)}


def _changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    names = dict.fromkeys([*before, *after])
    return {
        name: (before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    }

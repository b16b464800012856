"""What a model of the user's own has to do to join the loop."""

from __future__ import annotations

import re
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from selfright.errors import ConfigError
from selfright.learn.model_type import ModelType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfright.loop.outcome_event import OutcomeEvent

# The same as for every model type: it names a folder.
_NAME: Final = re.compile(r"[a-z_]{1,64}")
_METHODS: Final = ("refit", "update", "score", "save", "load")
_USUAL_RANGE: Final = (0.0, 1.0)


@runtime_checkable
class OwnModel(Protocol):
    """A model that learns from events, in whatever way it likes.

    Events are ``OutcomeEvent``: ``kind`` is ``run`` or ``outcome``; an outcome carries the
    task type, context, parameters and route of the run it is about. ``copy.deepcopy`` must
    be able to copy the model: a challenger begins as a copy.

    An attribute ``score_range``, by default ``(0.0, 1.0)``, says between which bounds a
    score lies.
    """

    def refit(self, events: Sequence[OutcomeEvent]) -> None:
        """Forget what was learnt and learn from these events alone, oldest first."""
        ...

    def update(self, events: Sequence[OutcomeEvent]) -> None:
        """Learn from these events, too."""
        ...

    def score(self, events: Sequence[OutcomeEvent]) -> Sequence[float | None]:
        """Return how well each event was foreseen, higher is better; None: not judged.

        One number per event. Must not learn from them.
        """
        ...

    def save(self, folder: str) -> None:
        """Write everything into files below this empty folder."""
        ...

    def load(self, folder: str) -> None:
        """Become what ``save`` wrote."""
        ...


def checked_name(name: object) -> str:
    """Return the name of a model. Raises ``ConfigError`` for one that cannot be."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError("name", name, "must be lower-case letters and underscores")
    if name in set(ModelType):
        raise ConfigError("name", name, "is one of the five models; choose another name")
    return name


def checked_model(model: object) -> OwnModel:
    """Return the model. Raises ``ConfigError`` naming what it lacks."""
    missing = [name for name in _METHODS if not callable(getattr(model, name, None))]
    if missing or not isinstance(model, OwnModel):
        raise ConfigError("model", model, f"needs methods {', '.join(missing)}; see OwnModel")
    score_range(model)
    return model


def score_range(model: OwnModel) -> tuple[float, float]:
    """Return the bounds of its scores. Raises ``ConfigError`` unless finite and in order."""
    found: Any = getattr(model, "score_range", _USUAL_RANGE)
    try:
        low, high = float(found[0]), float(found[1])
    except (TypeError, ValueError, IndexError):
        low = high = float("nan")
    if not (isfinite(low) and isfinite(high) and low < high):
        raise ConfigError("score_range", found, "must be two finite numbers, the lower one first")
    return low, high


def scores(model: OwnModel, events: Sequence[OutcomeEvent]) -> list[float | None]:
    """Return the model's score of each event, None where it judges none.

    Raises ``ValueError`` for another number of scores, or one outside ``score_range``: a
    bet on it could lose more than it staked.
    """
    low, high = score_range(model)
    found = [None if value is None else float(value) for value in model.score(events)]
    if len(found) != len(events):
        raise ValueError(f"score returned {len(found)} numbers for {len(events)} events")
    known = [None if value is None or value != value else value for value in found]  # noqa: PLR0124 - NaN
    for value in known:
        if value is not None and not low <= value <= high:
            raise ValueError(f"score {value:g} lies outside score_range {low:g}..{high:g}")
    return known

"""What the circle needs from outside, as protocols with few methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from selfright.learn.model import Model
    from selfright.learn.model_type import ModelType


class ModelSource(Protocol):
    """Where the fold finds the version that a record in the log names."""

    def load(self, model_type: ModelType, version: int) -> Model | None:
        """Return the model; None if it is missing or was found damaged."""
        ...


class Companion(Protocol):
    """Something that follows the log beside the fold while the circle runs."""

    def catch_up(self) -> None:
        """Return when it has heard all that is in the log by now."""
        ...

    def start(self) -> None:
        """Follow by itself from now on. Idempotent."""
        ...

    def stop(self, timeout_s: float) -> None:
        """Follow no more; takes ``timeout_s`` seconds at most. Idempotent."""
        ...

"""What the circle needs from outside, as protocols with few methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from selfright.learn.model import Model
    from selfright.learn.model_type import ModelType
    from selfright.learn.strategy import UpdateStrategy
    from selfright.loop.control import Circle
    from selfright.retrain.registry import ModelRegistry


class ModelSource(Protocol):
    """Where the fold finds the version that a record in the log names."""

    def load(self, model_type: ModelType, version: int) -> Model | None:
        """Return the model; None if it is missing or was found damaged."""
        ...


class Attachable(Protocol):
    """A face that can join a monitor's circle instead of having one of its own."""

    @property
    def registry(self) -> ModelRegistry:
        """Where its versions are kept."""
        ...

    @property
    def strategy(self) -> UpdateStrategy:
        """How its models forget."""
        ...

    def attach(self, circle: Circle) -> None:
        """Join. Raises ``ConfigError`` if it has joined one, or has started its own."""
        ...

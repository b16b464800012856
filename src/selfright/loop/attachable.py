"""What a monitor asks of the face that turns with its circle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from selfright.learn.strategy import UpdateStrategy
    from selfright.loop.control import Circle
    from selfright.retrain.registry import ModelRegistry


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

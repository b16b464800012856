"""Where an updater belongs: its monitor's circle or one of its own, and the user's own models.

All parts of the updater work on this and on nothing else of each other's.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from selfright.assemble import Learning, open_circle
from selfright.errors import ConfigError
from selfright.loop.own.models import OwnModels

if TYPE_CHECKING:
    from selfright.config import Settings
    from selfright.learn.strategy import UpdateStrategy
    from selfright.loop.control import Circle
    from selfright.loop.own.protocol import OwnModel
    from selfright.retrain.registry import ModelRegistry


class Membership:
    """Joins one circle, once; opens one if it is used before it joined any.

    Parameters
    ----------
    batch_size
        Rows that may wait before the models learn them, while no thread does it.
    """

    def __init__(
        self, settings: Settings, registry: ModelRegistry, strategy: UpdateStrategy, batch_size: int
    ) -> None:
        self.settings = settings
        self.registry = registry
        self.strategy = strategy
        self.batch_size = batch_size
        self._guard = threading.RLock()
        self._circle: Circle | None = None
        self._owns_circle = False
        self._own: OwnModels | None = None

    # ---- the circle ------------------------------------------------------------------

    def attach(self, circle: Circle) -> None:
        """Join a monitor's circle. Raises ``ConfigError`` if it has joined or made one."""
        with self._guard:
            if self._circle is not None:
                raise ConfigError(
                    "model_updater",
                    self,
                    "belongs to a monitor already, or was used alone; make one per monitor "
                    "and give it to the monitor first",
                )
            self._circle = circle

    @property
    def circle(self) -> Circle:
        """The circle it turns with; one of its own where no monitor came first."""
        with self._guard:
            if self._circle is None:
                learning = Learning(self.registry, self.strategy)
                self._circle = open_circle(self.settings, learning=learning, alerts=False)
                self._owns_circle = True
            return self._circle

    @property
    def joined(self) -> Circle | None:
        """The circle it turns with, None as long as there is none."""
        return self._circle

    @property
    def is_alone(self) -> bool:
        """Whether the circle is its own: nobody else keeps what is learnt."""
        return self._owns_circle

    def settle(self, *, everything: bool = False) -> None:
        """Fold what waits, if it is more than the served models may lag behind."""
        circle = self.circle
        waiting = len(circle.inbox)
        if waiting and (everything or (waiting >= self.batch_size and not circle.running)):
            circle.pump()

    # ---- models of the user's own ----------------------------------------------------

    @property
    def own(self) -> OwnModels | None:
        """The models of the user's own; None before the first was registered."""
        return self._own

    def register(self, name: str, model: OwnModel) -> None:
        """Let a model of the user's own follow the log; see ``OwnModels.register``."""
        circle = self.circle
        with self._guard:
            if self._own is None:
                self._own = OwnModels(circle, self.registry, self.settings.learn.full_outcomes)
                circle.companion = self._own
            own = self._own
        own.register(name, model)
        if circle.running:
            own.start()

    def catch_up(self) -> None:
        """Let models of the user's own learn what is in the log, unless a thread does."""
        self.circle.catch_up()

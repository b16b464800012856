"""What the fold is made of: the rooms whose states it carries, and the moment it is at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from selfright.events.absent import Absent
from selfright.events.intern import Interner
from selfright.loop.canary import CanaryPolicy
from selfright.loop.effects import Append, Notify
from selfright.loop.probation import ProbationPolicy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from selfright.alerts.book import AlertBook, Transition
    from selfright.detect.certainty.fleet import Certainty
    from selfright.detect.labels import Labels
    from selfright.detect.watch import FleetWatch
    from selfright.learn.feed import Feed
    from selfright.learn.model_type import ModelType
    from selfright.loop.effects import Effect
    from selfright.loop.slot import ModelSlot
    from selfright.metrics.store import MetricsStore
    from selfright.retrain.gate import GatePolicy
    from selfright.retrain.trigger import Trigger


@dataclass(slots=True)
class Rooms:
    """The rooms whose states the fold carries. Built by ``assemble``.

    ``slots`` is empty where nothing is learnt.
    """

    metrics: MetricsStore
    watch: FleetWatch
    certainty: Certainty
    labels: Labels
    book: AlertBook
    trigger: Trigger
    feed: Feed
    slots: dict[ModelType, ModelSlot]
    gate: GatePolicy
    agents: Interner
    absent: Absent = field(default_factory=Absent)
    probation: ProbationPolicy = field(default_factory=ProbationPolicy)
    canary: CanaryPolicy = field(default_factory=CanaryPolicy)


@dataclass(frozen=True, slots=True)
class FoldPolicy:
    """What the fold does by itself.

    Attributes
    ----------
    alerts
        Whether detections become alerts.
    retraining
        Whether evidence may trigger retrainings, once the circle runs.
    emergency
        Whether an automatic incremental version of the selection serves while on trial.
    file_clock
        Take log time from the events themselves, as a simulation over a file must.
    """

    alerts: bool = True
    retraining: bool = True
    emergency: bool = True
    file_clock: bool = False


@dataclass(slots=True)
class Moment:
    """Where the fold is, and what it has asked for since it was last asked.

    ``offset`` is that of the row or act being taken; ``now_us`` the log's time there.
    """

    now_us: int = 0
    offset: int = 0
    effects: list[Effect] = field(default_factory=list)

    def tell(self, transitions: Iterable[Transition]) -> None:
        """Have alert transitions written down and sent."""
        for transition in transitions:
            self.effects.append(Append(transition.act))
            if transition.told:
                self.effects.append(Notify(transition.alert))

"""What the models know: predictions, copies, counts, one row per model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from selfright.learn.model_type import ModelType
from selfright.loop.prediction import predict as predicted
from selfright.online_learning.arms import UNASSIGNED
from selfright.online_learning.names import known, one_of_five, own_called

if TYPE_CHECKING:
    from selfright.online_learning.membership import Membership


@dataclass(frozen=True, slots=True)
class LearningMetrics:
    """Counts of the models and their retrainings."""

    events_processed: int
    updates: dict[str, int]
    versions: dict[str, int | None]
    retrainings: int
    promoted: int
    rejected: int
    on_trial: tuple[str, ...]
    rewards_beyond_bounds: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {
            "on_trial": list(self.on_trial)
        }


def predict(member: Membership, model_type: ModelType | str, about: dict[str, Any]) -> Any:
    """Return what one of the five expects. Raises ``ConfigError`` for a wrong question."""
    kind = one_of_five(model_type)
    member.settle(everything=True)
    circle = member.circle
    with circle.lock:
        rooms = circle.fold.rooms
        absent = {UNASSIGNED, *rooms.absent.retired}
        return predicted(rooms.slots[kind].served, absent, **about)


def copy_of(member: Membership, model_type: ModelType | str) -> Any:
    """Return a copy of the model that serves, also of one of the user's own."""
    own = own_called(member, model_type)
    if own is not None:
        return own.copy_of(str(model_type))
    name = known(member, model_type)
    with member.circle.reading() as fold:
        return fold.rooms.slots[ModelType(name)].served.copy()


def metrics(member: Membership) -> LearningMetrics:
    """Return counts of the five models and their retrainings."""
    with member.circle.reading() as fold:
        slots = fold.rooms.slots
        results = list(fold.trials.retrainings.values())
        return LearningMetrics(
            events_processed=fold.applied,
            updates={kind.value: slot.served.update_count for kind, slot in slots.items()},
            versions={kind.value: slot.served_version for kind, slot in slots.items()},
            retrainings=len(results),
            promoted=sum(result.promoted for result in results),
            rejected=sum(
                result.gate is not None and result.gate.verdict == "rejected" for result in results
            ),
            on_trial=tuple(
                kind.value for kind, slot in slots.items() if slot.challenger is not None
            ),
            rewards_beyond_bounds=fold.rooms.feed.beyond_bounds,
        )


def rows(member: Membership) -> list[dict[str, Any]]:
    """Return one row per model: what serves, what is on trial, what it has learnt."""
    counts = metrics(member)
    member.catch_up()
    five: list[dict[str, Any]] = [
        {
            "model_type": name,
            "version": counts.versions[name],
            "on_trial": name in counts.on_trial,
            "updates": updates,
        }
        for name, updates in counts.updates.items()
    ]
    return five + ([] if member.own is None else member.own.rows())

"""What an engine is given, and what it makes of it, whoever does the work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from selfright.events.absent import without_deleted
from selfright.learn.feed import RewardPolicy
from selfright.learn.model_type import ModelType
from selfright.learn.parts.extract import Extract, extract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from selfright.events.batch import Commit
    from selfright.log.protocol import EventLog

    Pulse = Callable[[float], None]
    Read = Callable[[int, int], list[Commit]]

_ROWS_PER_READ: Final = 8_192


class Task(Struct, frozen=True, array_like=True):
    """A segment of the log to condense.

    Attributes
    ----------
    start, end
        The commits whose first offset lies in this half-open range.
    deleted
        Agents that were deleted, and when: what was before is left out.
    """

    start: int
    end: int
    model_type: ModelType
    reward: RewardPolicy
    deleted: dict[str, int]


class Engine(Protocol):
    """Works on the tasks of one retraining. Another one may do so on other machines."""

    def map(
        self, log: EventLog, tasks: Sequence[Task], pulse: Pulse
    ) -> Iterator[tuple[int, Extract]]:
        """Yield, in whatever order, the position of each task and what came of it.

        Parameters
        ----------
        pulse
            Is told now and then the share of all tasks that is done, 0..1. What it raises
            ends the work, and whatever works elsewhere.
        """
        ...


def condense(read: Read, task: Task, pulse: Pulse) -> Extract:
    """Return what a segment teaches. 2 to 4 us a row, most of it to read them."""
    parts, at = [], task.start
    while at < task.end:
        found = read(at, _ROWS_PER_READ)
        if not found:
            break
        at = found[-1].next_offset
        mine = [commit for commit in found if task.start <= commit.first_offset < task.end]
        told = [without_deleted(commit, task.deleted) for commit in mine]
        parts.append(extract(told, task.model_type, task.reward))
        pulse(min(1.0, (at - task.start) / (task.end - task.start)))
    return Extract.concat(parts)

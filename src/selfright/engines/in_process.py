"""One task after the other, in the thread that asks. The only one that reads a log in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfright.engines.task import condense

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from selfright.engines.task import Pulse, Task
    from selfright.learn.parts.extract import Extract
    from selfright.log.protocol import EventLog


class InProcess:
    """The default engine."""

    def map(
        self, log: EventLog, tasks: Sequence[Task], pulse: Pulse
    ) -> Iterator[tuple[int, Extract]]:
        """See ``Engine``."""
        for place, task in enumerate(tasks):

            def within(share: float, before: int = place) -> None:
                pulse((before + share) / len(tasks))

            yield place, condense(log.read, task, within)

"""From the inbox to the log: what cannot be kept is counted, and never stops what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from selfright.errors import BackpressureError, SelfrightError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from selfright.clock import Clock
    from selfright.log.protocol import EventLog, Receipt
    from selfright.log.writer import GroupCommitWriter
    from selfright.loop.inbox import Inbox


def hand_over(
    inbox: Inbox,
    log: EventLog,
    writer: GroupCommitWriter | None,
    clock: Clock,
    failed: Callable[[str, BaseException], None],
) -> None:
    """Hand what came in to the log, by its writer if there is one; return once it is durable."""
    waiting: list[Future[Receipt]] = []
    while (intake := inbox.take()) is not None:
        try:
            if writer is None:
                log.append(intake, clock.now_us())
            else:
                waiting.append(writer.submit(intake))
        except BackpressureError:
            inbox.dropped += len(intake)
        except SelfrightError as error:
            inbox.dropped += len(intake)
            failed("log", error)
    for future in waiting:
        try:
            future.result()
        except SelfrightError as error:
            failed("log", error)

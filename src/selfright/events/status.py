"""The words a run may end with.

A run is *decided* when it ended in success, failure, partial or timeout. A human
interrupt or a cancellation says nothing about the agent, so it is no failure; a
pending run has not ended. Rates are over decided runs only.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class RunStatus(IntEnum):
    """How a run ended. The integer is what batches and stores carry: never renumber."""

    SUCCESS = 0
    FAILURE = 1
    PARTIAL = 2
    TIMEOUT = 3
    CANCELLED = 4
    INTERRUPTED = 5
    PENDING = 6

    @property
    def word(self) -> str:
        """The status as users write it."""
        return self.name.lower()


DECIDED: Final = frozenset(
    {RunStatus.SUCCESS, RunStatus.FAILURE, RunStatus.PARTIAL, RunStatus.TIMEOUT}
)
ERRORS: Final = frozenset({RunStatus.FAILURE, RunStatus.TIMEOUT})

# What other systems call the same thing. Matched after lower-casing.
ALIASES: Final[dict[str, int]] = {
    **{status.word: int(status) for status in RunStatus},
    "ok": int(RunStatus.SUCCESS),
    "completed": int(RunStatus.SUCCESS),
    "complete": int(RunStatus.SUCCESS),
    "succeeded": int(RunStatus.SUCCESS),
    "error": int(RunStatus.FAILURE),
    "failed": int(RunStatus.FAILURE),
    "fail": int(RunStatus.FAILURE),
    "timed_out": int(RunStatus.TIMEOUT),
    "canceled": int(RunStatus.CANCELLED),
    "running": int(RunStatus.PENDING),
}

ACCEPTED: Final = ", ".join(status.word for status in RunStatus)

# What a look-up among the aliases answers for a word that is none of them.
UNKNOWN: Final = -1

"""What was recorded and is not in the log yet: a bounded queue of checked raw rows.

Appending costs the caller one length check and one append. Nothing waits: a full inbox
drops the newest row and counts it, for a monitored application must never stand still
because of its monitor.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from selfright.events.batch import Intake
from selfright.events.raw import (
    RAW_RUN_FIELDS,
    USUAL_RUN_FIELDS,
    outcome_batch,
    run_batch,
)

if TYPE_CHECKING:
    from selfright.events.record import AnyAct

ROWS_PER_INTAKE: Final = 1024
_RUNS: Final = frozenset({RAW_RUN_FIELDS, USUAL_RUN_FIELDS})


class Inbox:
    """Bounded queue of runs, outcomes and acts in the order in which they were recorded."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.dropped = 0
        self._rows: deque[Any] = deque()

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, row: tuple[Any, ...] | AnyAct) -> bool:
        """Queue a checked row; return False if it was dropped because the queue is full."""
        if len(self._rows) >= self.limit:
            self.dropped += 1
            return False
        self._rows.append(row)
        return True

    def clear(self) -> None:
        """Forget everything, as a forked child must: the rows are the parent's."""
        self._rows.clear()
        self.dropped = 0

    def take(self) -> Intake | None:
        """Return the oldest rows, at most 1,024, as one intake; None if there are none."""
        count = min(len(self._rows), ROWS_PER_INTAKE)
        if not count:
            return None
        pop = self._rows.popleft
        rows = [pop() for _ in range(count)]
        # Most streams are runs and nothing else; then nothing has to be sorted out.
        if set(map(type, rows)) == {tuple} and _RUNS.issuperset(map(len, rows)):
            return Intake.of(run_batch(rows))
        return _sorted_out(rows)


def _sorted_out(rows: list[Any]) -> Intake:
    runs: list[Any] = []
    outcomes: list[Any] = []
    acts: list[tuple[int, AnyAct]] = []
    run_seq: list[int] = []
    outcome_seq: list[int] = []
    for seq, row in enumerate(rows):
        if not isinstance(row, tuple):
            acts.append((seq, row))
        elif len(row) in _RUNS:
            runs.append(row)
            run_seq.append(seq)
        else:
            outcomes.append(row)
            outcome_seq.append(seq)
    return Intake(
        run_batch(runs, np.array(run_seq, dtype=np.int64)),
        outcome_batch(outcomes, np.array(outcome_seq, dtype=np.int64)),
        tuple(acts),
    )

"""What a log promises, whichever way it keeps its rows.

A log is a sequence of commits. A commit is made once, by one ``append``, and read back
for ever after exactly as it was made: the same rows, offsets, time and joins, so that
a state folded from it again is the same state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from selfright.events.batch import Bools, Commit, Intake, RunBatch
    from selfright.events.record import AnyAct

READ_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of an intake, once it is durable.

    A row is a *duplicate* where the log did not keep it as a row of its own: it was
    known already, or something newer about the same run, outcome or act is. Every
    other row got the next offset, in the order of the intake's ``seq``.

    Attributes
    ----------
    first_offset, next_offset
        The half-open range of offsets of the commit; empty if nothing was new.
    log_time_us
        The time of the commit; of the one before if nothing was new.
    duplicate_runs, duplicate_outcomes, duplicate_acts
        For each row of the intake, whether it was a duplicate.
    """

    first_offset: int
    next_offset: int
    log_time_us: int
    duplicate_runs: Bools
    duplicate_outcomes: Bools
    duplicate_acts: Bools

    @property
    def duplicates(self) -> int:
        """Number of rows that were not kept."""
        return int(
            np.count_nonzero(self.duplicate_runs)
            + np.count_nonzero(self.duplicate_outcomes)
            + np.count_nonzero(self.duplicate_acts)
        )

    @property
    def accepted(self) -> int:
        """Number of rows that were kept."""
        rows = len(self.duplicate_runs) + len(self.duplicate_outcomes) + len(self.duplicate_acts)
        return rows - self.duplicates

    def share(self, intakes: Sequence[Intake]) -> list[Receipt]:
        """Return each submitter's own receipt, where one commit took several intakes.

        ``intakes`` in the order in which they were put together; all shares name the
        offsets of the whole commit.
        """
        shares = []
        run = outcome = act = 0
        for intake in intakes:
            runs, outcomes, acts = len(intake.runs), len(intake.outcomes), len(intake.acts)
            shares.append(
                Receipt(
                    self.first_offset,
                    self.next_offset,
                    self.log_time_us,
                    self.duplicate_runs[run : run + runs],
                    self.duplicate_outcomes[outcome : outcome + outcomes],
                    self.duplicate_acts[act : act + acts],
                )
            )
            run, outcome, act = run + runs, outcome + outcomes, act + acts
        return shares


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs a page shall show. None does not restrict.

    Attributes
    ----------
    agent_name
        Only this agent's runs.
    status
        Only runs that ended so, a ``RunStatus``.
    since_us, until_us
        Only runs whose timestamp lies in this half-open range.
    """

    agent_name: str | None = None
    status: int | None = None
    since_us: int | None = None
    until_us: int | None = None


@dataclass(frozen=True, slots=True)
class RunPage:
    """Some runs as they stand now, newest offset first.

    ``next_before`` is the cursor of the following page, None behind the last. A page
    may hold fewer runs than asked for, even none, and yet have a next one: the work for
    a single page is bounded, however rare the runs that match.
    """

    runs: RunBatch
    next_before: int | None


class EventLog(Protocol):
    """A sequence of commits with offsets. Safe to use from any thread.

    One thread should append (see ``writer``): others that append wait for each other.
    """

    @property
    def log_id(self) -> str:
        """Random, made with the log and kept: state folded from it belongs to no other."""
        ...

    @property
    def path(self) -> Path | None:
        """The file that other processes may read it from; None: they cannot."""
        ...

    @property
    def first_offset(self) -> int:
        """The oldest offset that retention has left; equals ``next_offset`` when empty."""
        ...

    @property
    def next_offset(self) -> int:
        """The offset that the next row will get."""
        ...

    @property
    def last_log_time_us(self) -> int:
        """The time of the newest commit; 0 before the first."""
        ...

    def append(self, intake: Intake, now_us: int) -> Receipt:
        """Keep what is new in ``intake`` as one commit; return when it is durable.

        The rows of each kind must be in the order of their ``seq``. The commit's time
        is ``now_us`` or that of the commit before, whichever is later. An intake
        without anything new makes no commit.

        Raises
        ------
        StorageError
            The disk refused. Nothing of the intake was kept; repeat it later.
        DataDirectoryLockedError
            In a process forked from the owner.
        """
        ...

    def read(self, after: int, limit: int = READ_LIMIT) -> list[Commit]:
        """Return commits in order, from the one that holds offset ``after`` on.

        As many whole commits as make up ``limit`` rows, at least one if there is any;
        an empty list at the end of the log. Where retention has taken ``after``, the
        first commit left comes first: compare its ``first_offset``.

        Raises ``CorruptLogError`` where the stored bytes are not what was written.
        """
        ...

    def wait(self, after: int, timeout_s: float) -> bool:
        """Return whether there is anything from ``after`` on, waiting up to ``timeout_s``.

        Also returns, perhaps False, when the log is closed or ``wake`` is called.
        """
        ...

    def wake(self) -> None:
        """Make every ``wait`` under way return now."""
        ...

    def find_run(self, run_id: str) -> RunBatch | None:
        """Return the run as it stands, a batch of one row, or None."""
        ...

    def find_act(self, act_id: str) -> AnyAct | None:
        """Return the act of that id or None."""
        ...

    def runs(
        self, where: RunFilter | None = None, *, before_offset: int | None = None, limit: int = 100
    ) -> RunPage:
        """Return runs as they stand now, newest first, below ``before_offset``."""
        ...

    def save_checkpoint(self, offset: int, data: bytes) -> None:
        """Keep ``data``, the state folded from everything before ``offset``.

        The newest two are kept. May be called from any thread and does not hold up
        appends. Raises ``StorageError``; the checkpoints before stay.
        """
        ...

    def latest_checkpoint(self) -> tuple[int, bytes] | None:
        """Return the newest sound checkpoint and its offset; a damaged one is passed over."""
        ...

    def retain(self, max_events: int | None = None, min_log_time_us: int | None = None) -> int:
        """Delete whole commits, oldest first; return how many rows went.

        Those beyond the newest ``max_events`` rows and those older than
        ``min_log_time_us``; the newest commit always stays. Deleted runs and outcomes
        are no longer known: delivered again they count again. A run that an outcome
        kept has joined can still be joined.
        """
        ...

    def close(self) -> None:
        """Release what the log holds. Idempotent; appending afterwards is refused."""
        ...

"""A full retraining in parts: condense segments of the log, join them, keep what is done.

Which engine condenses them, how many there are and how often it was interrupted changes
nothing: the samples are those that the feed would give, read in a row.
"""

from __future__ import annotations

import hashlib
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import msgspec

from selfright.engines.task import Task
from selfright.learn.parts.join import join

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from selfright.engines.task import Engine
    from selfright.learn.feed import RewardPolicy
    from selfright.learn.model_type import ModelType
    from selfright.learn.parts.extract import Extract
    from selfright.learn.parts.join import Joined
    from selfright.log.protocol import EventLog
    from selfright.retrain.spool import Kept, Spool

    Progress = Callable[[float], None]

# Some tenths of a second of work: so much is lost by a crash, and a bar moves that often.
SEGMENT_ROWS: Final = 65_536
# Rows read at first per sample wanted: a run, its outcome and now and then a decision.
ROWS_PER_SAMPLE: Final = 3
_GATHERED: Final = 0.7  # share of a retraining's time


class Segments:
    """The log up to where it ended when the retraining began, cut at multiples of ``rows``.

    Parameters
    ----------
    limit
        Newest samples that are wanted; 0: all there are.
    """

    def __init__(
        self,
        log: EventLog,
        engine: Engine,
        *,
        model_type: ModelType,
        reward: RewardPolicy,
        limit: int,
        deleted: Mapping[str, int],
        rows: int = SEGMENT_ROWS,
    ) -> None:
        self._log = log
        self._engine = engine
        self._type = model_type
        self._reward = reward
        self._limit = limit
        self._deleted = dict(deleted)
        self._rows = rows

    def begin(self, spool: Spool, retrain_id: str) -> Kept:
        """Return what is kept of an earlier attempt at the same retraining."""
        what = (self._type, self._reward, self._limit, sorted(self._deleted.items()), self._rows)
        digest = hashlib.sha256(msgspec.json.encode(what)).hexdigest()
        plan = {"log_id": self._log.log_id, "of": digest, "end": self._log.next_offset}
        return spool.begin(retrain_id, plan)

    def samples(self, kept: Kept, tell: Progress) -> Joined:
        """Return the newest samples. Reads back as far as needed and no further.

        With a million runs in SQLite some seconds, by several processes fewer.
        """
        end, rows = kept.end, self._limit * ROWS_PER_SAMPLE or kept.end
        found: dict[int, Extract] = {}
        while True:
            start = self._commit_at(max(self._log.first_offset, end - rows))
            self._condense(start, end, found, kept, tell)
            joined = join((found[at] for at in sorted(found)), self._type)
            if start <= self._log.first_offset or len(joined) >= self._limit:
                return joined.newest(self._limit)
            rows *= 2

    def _condense(
        self, start: int, end: int, found: dict[int, Extract], kept: Kept, tell: Progress
    ) -> None:
        first = (start // self._rows + 1) * self._rows
        bounds = dict(pairwise([start, *range(first, end, self._rows), end]))
        # A first segment that was too short is read anew, whole.
        for at in [at for at in found if at not in bounds]:
            del found[at]
        missing = [at for at in bounds if at not in found]
        for at in missing[:]:
            extract = kept.load(at, bounds[at])
            if extract is not None:
                found[at] = extract
                missing.remove(at)
        done = 1.0 - len(missing) / max(1, len(bounds))

        def on(share: float) -> None:
            tell(_GATHERED * (done + (1.0 - done) * share))

        on(0.0)
        tasks = [Task(at, bounds[at], self._type, self._reward, self._deleted) for at in missing]
        for place, extract in self._engine.map(self._log, tasks, on):
            task = tasks[place]
            found[task.start] = extract
            if len(bounds) > 1:  # else done again as fast as read
                kept.save(task.start, task.end, extract)

    def _commit_at(self, offset: int) -> int:
        """Return the first offset of the commit that holds ``offset``."""
        commits = self._log.read(offset, 1)
        return commits[0].first_offset if commits else offset

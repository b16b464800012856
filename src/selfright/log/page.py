"""Pages of runs for people and programs that look back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from selfright.events.batch import RunBatch
from selfright.log.protocol import RunPage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from selfright.events.batch import Bools
    from selfright.log.protocol import RunFilter

# Rows looked at for one page. Scanning them takes about 0.1 s where they must be decoded.
SCANNED: Final = 50_000


def matching(
    newest_first: Iterable[RunBatch],
    where: RunFilter,
    offset_of: Callable[[str], int | None],
    before: int,
    limit: int,
) -> RunPage:
    """Return the first ``limit`` matches below offset ``before``.

    ``newest_first`` yields batches in descending order of offsets, each ascending
    within. ``offset_of`` says where a run stands now: replaced contents are left out.
    """
    pages: list[RunBatch] = []
    found = scanned = 0
    for runs in newest_first:
        scanned += len(runs)
        chosen = np.flatnonzero(_mask(runs, where) & (runs.seq < before))[::-1]
        current: list[int] = []
        for i in chosen.tolist():
            if offset_of(runs.run_id[i]) == runs.seq[i]:
                current.append(i)
                if found + len(current) == limit:
                    break
        page = runs.take(np.array(current, dtype=np.int64))
        pages.append(page)
        found += len(page)
        if found >= limit:
            return RunPage(RunBatch.concat(pages), int(page.seq[-1]))
        if scanned >= SCANNED and len(runs):
            return RunPage(RunBatch.concat(pages), int(runs.seq[0]))
    return RunPage(RunBatch.concat(pages), None)


def _mask(runs: RunBatch, where: RunFilter) -> Bools:
    mask = np.ones(len(runs), dtype=np.bool_)
    if where.status is not None:
        mask &= runs.status == where.status
    if where.since_us is not None:
        mask &= runs.ts_us >= where.since_us
    if where.until_us is not None:
        mask &= runs.ts_us < where.until_us
    if where.agent_name is not None:
        mask &= np.array([name == where.agent_name for name in runs.agent_name], dtype=np.bool_)
    return mask

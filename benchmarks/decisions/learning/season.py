"""All policies on all problems of a scenario, on several processes."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Final, NamedTuple

from benchmarks.decisions.learning import scenarios
from benchmarks.decisions.learning.kept import Kept
from benchmarks.decisions.learning.play import Played, play
from benchmarks.decisions.learning.problems import DECISIONS
from benchmarks.decisions.learning.roster import ROSTER, Settings

PROCESSES: Final = 2
# Matrices of 16 x 16 are not worth a thread, and a peer's threads would take time from the others.
_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Job(NamedTuple):
    """A contestant with its settings on the problem of a seed, which is the learner's seed, too."""

    who: str
    settings: Settings
    scenario: str
    seed: int
    decisions: int = DECISIONS

    def play(self) -> Played:
        """Return how it fared."""
        problem = scenarios.of(self.scenario, self.seed, self.decisions)
        new = ROSTER[self.who].new
        return play(problem, lambda setup: new(setup, **self.settings), self.seed)


@contextmanager
def processes() -> Iterator[ProcessPoolExecutor]:
    """Give processes that play; each keeps to one thread."""
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    fresh = multiprocessing.get_context("spawn")  # a fork would keep this process' threads
    with ProcessPoolExecutor(PROCESSES, mp_context=fresh) as pool:
        yield pool


def season(
    pool: ProcessPoolExecutor, jobs: Sequence[Job], kept: Kept | None = None
) -> list[Played]:
    """Return the outcome of every job, in their order; tell the progress on standard error.

    What is ``kept`` is not played again, and what is played is kept.
    """
    known = [None if kept is None else kept.find(job) for job in jobs]
    missing = [job for job, played in zip(jobs, known, strict=True) if played is None]
    began, fresh = time.monotonic(), []
    for job, result in zip(missing, pool.map(Job.play, missing), strict=True):
        if kept is not None:
            kept.add(job, result)
        fresh.append(result)
        _tell(len(fresh), len(missing), time.monotonic() - began)
    found = iter(fresh)
    return [next(found) if played is None else played for played in known]


def _tell(done: int, of: int, spent_s: float) -> None:
    live = sys.stderr.isatty()
    if not live and done * 10 // of == (done - 1) * 10 // of:
        return
    end = "\r" if live and done < of else "\n"
    left_s = spent_s * (of - done) / done
    text = f"  {done} of {of} runs, {spent_s:.0f} s, some {left_s:.0f} s to go   "
    print(text, end=end, file=sys.stderr, flush=True)

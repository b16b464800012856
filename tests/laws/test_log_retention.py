"""However much is forgotten, what the log shows stays consistent, and nothing is left over."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from selfright.events.batch import Intake
from selfright.events.door import Door
from selfright.events.raw import outcome_batch, run_batch
from selfright.log.memory import MemoryLog

DOOR = Door(lambda predicted, actual: 1.0, clamp_future=False)


def drawn_run(rng):
    """Return a run from a universe so small that everything collides."""
    return DOOR.run(
        rng.choice(["r1", "r2", "r3", "r4"]), rng.choice("aab"), "agent",
        rng.choice(["success", "pending", "error"]), None, rng.randint(0, 1), None, None, None,
        None, None, None, None, rng.choice([None, *range(7)]), None, None, None, 0,
        rng.choice(["t", "t", "u", None]), None, None, None, None, None, None, None, None,
        4_000_000,
    )  # fmt: skip


def drawn_outcome(rng):
    """Return an outcome from the same universe."""
    return DOOR.outcome(
        rng.choice("aab"), rng.choice(["t", "t", "u", None]), None, None,
        rng.choice(["user", "judge"]), None, rng.choice([None, *range(7)]), rng.choice([0.0, 1.0]),
        rng.choice([None, None, None, "o1", "o2"]), rng.choice([None, None, "r1", "r2"]), 4_000_000,
    )  # fmt: skip


def drawn_intake(rng):
    """Return an intake of a few rows, their order across kinds drawn too."""
    n = rng.randint(1, 5)
    kinds = [rng.random() < 0.4 for _ in range(n)]
    order = np.arange(n, dtype=np.int64)
    is_run = np.array(kinds)
    return Intake(
        run_batch([drawn_run(rng) for kind in kinds if kind], order[is_run]),
        outcome_batch([drawn_outcome(rng) for kind in kinds if not kind], order[~is_run]),
    )


@pytest.mark.parametrize("seed", range(150))
def test_bounded_log_stays_consistent_and_leaks_nothing(seed):
    """Each retraction meets the row it retracts, and a bounded log holds bounded memory."""
    rng = random.Random(seed)
    log = MemoryLog(rng.choice([3, 6, 12]))
    rows: Counter = Counter()
    for i in range(rng.randint(5, 40)):
        receipt = log.append(drawn_intake(rng), i)
        for commit in log.read(receipt.first_offset) if receipt.accepted else []:
            for row in (*commit.retracted_runs.rows(), *commit.retracted_outcomes.rows()):
                assert rows[row] > 0
                rows[row] -= 1
            rows.update(commit.runs.rows())
            rows.update(commit.outcomes.rows())
    for i in range(15):  # push out everything that was ever drawn
        filler = DOOR.run(
            f"filler{i}", "z", "agent", "success", *[None] * 13, 0, *[None] * 9, 4_000_000
        )
        log.append(Intake.of(run_batch([filler])), 99)
    book = log._book
    assert not book._links
    assert not book._named
    assert not book._cards
    assert set(book._runs) <= {f"filler{i}" for i in range(15)}
    assert len(book._runs) <= 12

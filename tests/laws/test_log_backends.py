"""A log in a file makes the same commits as one in memory, restarts and retention included."""

from __future__ import annotations

import random

import numpy as np
import pytest

from selfright.events.batch import Intake
from selfright.events.door import Door
from selfright.events.raw import outcome_batch, run_batch
from selfright.events.record import OperatorAct
from selfright.log import wide_link
from selfright.log.memory import MemoryLog
from selfright.log.sqlite import SqliteLog
from selfright.log.stored import pack

DOOR = Door(lambda predicted, actual: 1.0, clamp_future=False)


def drawn_run(rng):
    """Return a run from a universe so small that everything collides."""
    return DOOR.run(
        rng.choice(["r1", "r2", "r3", "r4"]), rng.choice("aab"), "agent",
        rng.choice(["success", "pending", "error"]), None, rng.randint(0, 1), None, None, None,
        None, None, None, rng.choice([None, {"x": [1, None, "ü"]}]),
        rng.choice([None, *range(7)]), None, None, None, 0,
        rng.choice(["t", "t", "u", None]), None, None, None, None, None, None, None, None,
        4_000_000,
    )  # fmt: skip


def drawn_outcome(rng):
    """Return an outcome from the same universe."""
    return DOOR.outcome(
        rng.choice("aab"), rng.choice(["t", "t", "u", None]), rng.choice([None, [1, {"y": 2.5}]]),
        None, rng.choice(["user", "judge"]), None, rng.choice([None, *range(7)]),
        rng.choice([0.0, 1.0]), rng.choice([None, None, None, "o1", "o2"]),
        rng.choice([None, None, "r1", "r2"]), 4_000_000,
    )  # fmt: skip


def drawn_intake(rng, i):
    """Return an intake of a few rows, their order across kinds drawn too."""
    n = rng.choice([1, 2, 5, 12])
    is_run = np.array([rng.random() < 0.4 for _ in range(n)])
    order = np.arange(n, dtype=np.int64)
    act = OperatorAct(act_id=f"a{i // 2}", ts_us=i, verb="mute", target="x", arguments={})
    return Intake(
        run_batch([drawn_run(rng) for _ in range(is_run.sum())], order[is_run]),
        outcome_batch([drawn_outcome(rng) for _ in range(n - is_run.sum())], order[~is_run]),
        ((n, act),) if rng.random() < 0.3 else (),
    )


@pytest.mark.parametrize("wide", [2, 5, 512])
@pytest.mark.parametrize("seed", range(8))
def test_both_kinds_of_log_make_the_same_commits(tmp_path, monkeypatch, seed, wide):
    """Byte for byte, for the same appends: so a replay in memory tells what the file did.

    Whether links are read whole or, being wide, piece by piece.
    """
    monkeypatch.setattr(wide_link, "WIDE", wide)
    rng = random.Random(seed)
    memory, path = MemoryLog(None), tmp_path / "events.db"
    file = SqliteLog(path)
    for i in range(40):
        intake = drawn_intake(rng, i)
        one, other = memory.append(intake, i), file.append(intake, i)
        for name in ("duplicate_runs", "duplicate_outcomes", "duplicate_acts"):
            assert getattr(one, name).tolist() == getattr(other, name).tolist()
        assert [pack(c) for c in memory.read(one.first_offset)] == [
            pack(c) for c in file.read(other.first_offset)
        ]
        if seed % 2 and rng.random() < 0.2:
            kept = rng.randint(1, 12)
            assert memory.retain(kept) == file.retain(kept)
        if rng.random() < 0.15:
            file.close()
            file = SqliteLog(path)
    file.close()
    file = SqliteLog(path)
    assert [pack(c) for c in memory.read(0, 10**9)] == [pack(c) for c in file.read(0, 10**9)]
    for name in ("first_offset", "next_offset", "last_log_time_us"):
        assert getattr(memory, name) == getattr(file, name)
    file.close()

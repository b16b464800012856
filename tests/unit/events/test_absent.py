"""Who is out of the fleet, and what of it still counts."""

from __future__ import annotations

import numpy as np
import pytest

from selfright.events.absent import Absent, without_deleted
from selfright.events.batch import Commit, OutcomeBatch, RunBatch
from selfright.events.door import Door
from selfright.events.raw import outcome_batch, run_batch

DELETED_US = 1_700_000_000_000_000
DOOR = Door(lambda predicted, actual: float(predicted == actual), clamp_future=False)
NOTHING = (None,) * 13


def _run(name, at_us):
    return DOOR.run(
        f"{name}-{at_us}", name, "llm", "success", 1.0, *[None] * 7, None, at_us / 1e6,
        *[None] * 3, 0, *[None] * 9, at_us,
    )  # fmt: skip


def _outcome(name, at_us):
    return DOOR.outcome(name, None, None, None, "user", None, at_us / 1e6, 1.0, None, None, at_us)


def _commit(runs=(), outcomes=(), joined=()):
    run_rows = run_batch([_run(name, at) for name, at in runs])
    outcome_rows = outcome_batch([_outcome(name, at) for name, at in outcomes])
    for i, row in joined:
        outcome_rows.run[i] = row
    end = len(run_rows) + len(outcome_rows)
    return Commit(
        0,
        end,
        0,
        run_rows.numbered(np.arange(len(run_rows))),
        outcome_rows.numbered(np.arange(len(run_rows), end)),
        (),
        run_rows,
        outcome_rows,
    )


def _left(batch):
    return list(zip(batch.agent_name, batch.ts_us.tolist(), strict=True))


def test_what_was_before_the_deletion_is_left_out():
    """Runs and outcomes, added and taken back, of that agent alone."""
    rows = [("gone", DELETED_US), ("gone", DELETED_US + 1), ("here", 5)]
    part = without_deleted(_commit(rows, rows), {"gone": DELETED_US})
    for batch in (part.runs, part.outcomes, part.retracted_runs, part.retracted_outcomes):
        assert _left(batch) == rows[1:]


def test_an_outcome_is_as_old_as_its_run():
    """A late word on a run from before the deletion does not bring the agent back."""
    old = run_batch([_run("gone", DELETED_US - 5)]).rows()[0]
    new = run_batch([_run("gone", DELETED_US + 5)]).rows()[0]
    outcomes = [("gone", DELETED_US + 9), ("gone", DELETED_US + 9)]
    part = without_deleted(
        _commit(outcomes=outcomes, joined=[(0, old), (1, new)]), {"gone": DELETED_US}
    )
    assert part.outcomes.seq.tolist() == [1]


def test_nothing_is_copied_where_nobody_was_deleted():
    """The way of nearly every commit."""
    part = _commit([("here", 1)])
    assert without_deleted(part, {}) is part
    assert without_deleted(part, {"gone": 1}).runs is part.runs


def test_the_first_later_run_brings_an_agent_back():
    """Not one that began before, however late it is reported."""
    absent = Absent()
    part = _commit([("a", 100), ("a", 101), ("a", 102), ("b", 500)])
    assert absent.returning(part) == {}
    absent.retire("a", 100)
    assert absent.returning(part) == {"a": 1}
    absent.welcome("a")
    assert absent.returning(part) == {}


@pytest.mark.parametrize("act", ["retire", "delete"])
def test_the_state_survives(act):
    """Who is absent, and since when."""
    absent = Absent()
    getattr(absent, act)("a", 7)
    again = Absent.from_state(absent.to_state())
    assert again.retired == {"a": 7}
    assert again.deleted == ({"a": 7} if act == "delete" else {})


def test_empty_batches_pass():
    """A commit of acts alone."""
    part = without_deleted(_commit(), {"gone": 1})
    assert isinstance(part.runs, RunBatch)
    assert isinstance(part.outcomes, OutcomeBatch)
    assert len(part.runs) == len(part.outcomes) == 0

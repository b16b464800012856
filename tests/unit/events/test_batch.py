"""Columns of runs and outcomes: taking, joining, storing, cutting."""

from __future__ import annotations

import numpy as np
import pytest

from selfright.events.batch import (
    OUTCOME_COLUMNS,
    RUN_COLUMNS,
    RUN_FIELD,
    Commit,
    Intake,
    OutcomeBatch,
    RunBatch,
)
from selfright.events.columns import outcome_columns, run_columns
from selfright.events.record import OperatorAct

NOW_US = 1_700_000_000_000_000


def runs(count: int, first: int = 0) -> RunBatch:
    """Return runs r0, r1, ... with numbers and attributes to tell them apart."""
    ids = range(first, first + count)
    columns = {
        "run_id": [f"r{i}" for i in ids],
        "agent_name": ["a"] * count,
        "duration_ms": [float(i) for i in ids],
        "metadata": [{"i": i} for i in ids],
    }
    return run_columns(columns, NOW_US)[0].numbered(np.arange(first, first + count))


def outcomes(count: int, first: int = 0) -> OutcomeBatch:
    """Return outcomes of the agents a0, a1, ..."""
    columns = {
        "agent_name": [f"a{i}" for i in range(first, first + count)],
        "accuracy_score": [0.5] * count,
    }
    return outcome_columns(columns, NOW_US)[0].numbered(np.arange(first, first + count))


def act(number: int) -> OperatorAct:
    """Return an act."""
    return OperatorAct(act_id=f"o{number}", ts_us=NOW_US, verb="mute", target="x", arguments={})


def test_positions_masks_and_slices_take_rows() -> None:
    """In the order asked for, all columns alike."""
    batch = runs(4)
    assert batch.take(np.array([3, 0, 0])).run_id == ["r3", "r0", "r0"]
    assert batch.take(np.array([True, False, False, True])).run_id == ["r0", "r3"]
    part = batch.take(slice(1, 3))
    assert (part.run_id, part.duration_us.tolist()) == (["r1", "r2"], [1000, 2000])
    assert part.metadata == [{"i": 1}, {"i": 2}]
    assert len(batch.take(np.array([], dtype=np.int64))) == 0


def test_batches_join_and_come_apart_again() -> None:
    """Empty ones among them change nothing."""
    whole = RunBatch.concat([runs(2), RunBatch.empty(), runs(3, first=2)])
    assert whole.rows() == runs(5).rows()
    assert whole.seq.tolist() == [0, 1, 2, 3, 4]
    assert len(RunBatch.concat([])) == 0
    assert whole.seq.dtype == whole.duration_us.dtype == np.int64


@pytest.mark.parametrize("batch", [runs(3), outcomes(3), RunBatch.empty(), OutcomeBatch.empty()])
def test_stored_rows_come_back_as_they_were(batch: RunBatch | OutcomeBatch) -> None:
    """Plain Python out, the same columns and types in."""
    rows = batch.rows()
    back = type(batch).from_rows(rows, batch.seq)
    assert back.rows() == rows
    for name in batch.__dataclass_fields__:
        before, after = getattr(batch, name), getattr(back, name)
        assert type(before) is type(after)
        assert getattr(before, "dtype", None) == getattr(after, "dtype", None)
    plain = {str, int, bool, dict, type(None)}
    assert {type(value) for row in rows for value in row} <= plain


def test_a_stored_row_is_found_by_field() -> None:
    """``RUN_FIELD`` is the position in the row, and the names are the columns without seq."""
    row = runs(2).rows()[1]
    assert row[RUN_FIELD["run_id"]] == "r1"
    assert row[RUN_FIELD["duration_us"]] == 1000
    assert len(row) == len(RUN_COLUMNS)
    assert len(outcomes(1).rows()[0]) == len(OUTCOME_COLUMNS)


def test_acts_of_an_intake_come_behind_its_rows() -> None:
    """They carry their numbers with them."""
    intake = Intake.of(runs(2), outcomes(1), [act(0), act(1)])
    assert [number for number, _ in intake.acts] == [3, 4]
    assert len(intake) == 5
    assert len(Intake.of()) == 0


def commit() -> Commit:
    """Return a commit over offsets 10..17 with something of every kind."""
    return Commit(
        first_offset=10,
        next_offset=18,
        log_time_us=NOW_US,
        runs=runs(3, first=10),
        outcomes=outcomes(3, first=13),
        acts=((16, act(16)), (17, act(17))),
        retracted_runs=runs(1, first=12),
        retracted_outcomes=outcomes(1, first=14),
    )


def test_a_commit_is_cut_by_offset() -> None:
    """A retracted row goes with the row that replaces it."""
    part = commit().between(12, 17)
    assert (part.first_offset, part.next_offset) == (12, 17)
    assert part.runs.run_id == ["r12"]
    assert part.outcomes.agent_name == ["a13", "a14", "a15"]
    assert [number for number, _ in part.acts] == [16]
    assert part.retracted_runs.run_id == ["r12"]
    assert part.retracted_outcomes.agent_name == ["a14"]


def test_the_parts_of_a_commit_are_the_whole() -> None:
    """Wherever it is cut."""
    whole = commit()
    for middle in range(10, 19):
        parts = [whole.between(10, middle), whole.between(middle, 18)]
        assert RunBatch.concat(part.runs for part in parts).rows() == whole.runs.rows()
        assert sum(len(part.outcomes) for part in parts) == 3
        assert [pair for part in parts for pair in part.acts] == list(whole.acts)
        assert sum(len(part.retracted_runs) for part in parts) == 1
    assert whole.between(0, 99) is whole

"""Which content wins, and what counts as the same."""

from __future__ import annotations

import pytest

from selfright.events.batch import OutcomeBatch, RunBatch
from selfright.events.raw import outcome_batch, run_batch
from selfright.log.identity import contest, outcome_digest, run_digest


@pytest.fixture
def run_row(make):
    """Return the stored row of a run."""
    return lambda **fields: run_batch([make.run("r", **fields)]).rows()[0]


@pytest.fixture
def outcome_row(make):
    """Return the stored row of an outcome."""
    return lambda **fields: outcome_batch([make.outcome(**fields)]).rows()[0]


def test_order_of_keys_is_no_content(run_row, outcome_row):
    """Two mappings of the same say the same."""
    one, other = {"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"d": 2, "c": 1}, "a": 1}
    assert run_digest(run_row(metadata=one)) == run_digest(run_row(metadata=other))
    assert outcome_digest(outcome_row(metadata=one)) == outcome_digest(outcome_row(metadata=other))


def test_assigned_time_is_no_content_but_a_given_one_is(run_row, outcome_row):
    """Otherwise a repeated delivery would look like a correction."""
    assert run_digest(run_row(now_us=1)) == run_digest(run_row(now_us=2))
    assert run_digest(run_row(timestamp=1)) != run_digest(run_row(timestamp=2))
    assert run_digest(run_row(now_us=1_000_000)) != run_digest(run_row(timestamp=1))
    assert outcome_digest(outcome_row(now_us=1)) == outcome_digest(outcome_row(now_us=2))
    assert outcome_digest(outcome_row(timestamp=1)) != outcome_digest(outcome_row(timestamp=2))


def test_every_column_that_a_sender_fills_is_content(run_row):
    """A change of any of them is a correction."""
    seen = {run_digest(run_row())}
    changes = [
        {"agent_name": "x"}, {"agent_type": "x"}, {"status": "error"}, {"duration_ms": 1.0},
        {"tokens_used": 1}, {"tokens_in": 1}, {"tokens_out": 1}, {"api_calls": 1}, {"cost": 1.0},
        {"memory_mb": 1.0}, {"cpu_ms": 1.0}, {"retry_count": 1}, {"quality_score": 1.0},
        {"confidence": 1.0}, {"error_type": "x"}, {"task_id": "x"}, {"task_type": "x"},
        {"decision_id": "x"}, {"agent_version": "x"}, {"parent_run_id": "x"}, {"session_id": "x"},
        {"route": "x"}, {"context": {}}, {"config": {}}, {"metadata": {}},
    ]  # fmt: skip
    seen.update(run_digest(run_row(**change)) for change in changes)
    assert len(seen) == 1 + len(changes)


def test_what_the_log_fills_is_no_content(outcome_row, run_row):
    """An outcome says the same, joined or not."""
    row = outcome_row()
    assert outcome_digest((*row[:11], run_row(), False, False)) == outcome_digest(row)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"status": "error", "timestamp": 1}, {"status": "pending", "timestamp": 9}),
        ({"timestamp": 1}, {"now_us": 9_000_000}),
        ({"timestamp": 2}, {"timestamp": 1}),
        ({"now_us": 2, "tokens_used": 1}, {"now_us": 1}),
    ],
)
def test_one_content_beats_the_other_either_way(run_row, better, worse):
    """Finished before pending, given before assigned time, then the later."""
    better, worse = run_row(**better), run_row(**worse)
    assert contest(better, worse, ())[0] is True
    assert contest(worse, better, ())[0] is False
    assert contest(better, better, ())[0] is False


def test_only_losers_that_could_win_by_coming_again_are_remembered(run_row):
    """Those whose time was assigned, and that lost by it."""
    old, new = run_row(now_us=1), run_row(now_us=2, tokens_used=1)
    wins, loser = contest(new, old, ())
    assert (wins, loser) == (True, run_digest(old))
    late = run_row(now_us=9)
    assert contest(late, new, [loser]) == (False, None)
    assert contest(run_row(timestamp=2), run_row(timestamp=1), ()) == (True, None)
    assert contest(new, run_row(timestamp=1), ()) == (False, None)


def test_rows_have_the_columns_that_the_digests_assume():
    """The log's own columns come last."""
    assert list(OutcomeBatch.__dataclass_fields__)[-3:] == ["run", "primary", "fresh"]
    assert next(iter(RunBatch.__dataclass_fields__)) == "seq"

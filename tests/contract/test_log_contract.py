"""What every log promises, whichever way it keeps its rows."""

from __future__ import annotations

import threading
from collections import Counter

import numpy as np
import pytest

from selfright.errors import StorageError
from selfright.events.batch import RUN_FIELD, Intake
from selfright.events.door import Door
from selfright.events.raw import outcome_batch, run_batch
from selfright.events.record import OperatorAct
from selfright.events.status import RunStatus
from selfright.log.memory import MemoryLog
from selfright.log.protocol import RunFilter
from selfright.log.sqlite import SqliteLog
from selfright.log.stored import pack

DOOR = Door(lambda predicted, actual: float(predicted == actual), clamp_future=False)
RUN_ARGUMENTS = {
    "agent_name": "planner", "agent_type": "agent", "status": "success", "now_us": 1_000_000,
    **dict.fromkeys((
        "duration_ms", "tokens_used", "cost", "memory_mb", "cpu_ms", "quality_score", "confidence",
        "error_type", "metadata", "timestamp", "tokens_in", "tokens_out", "api_calls", "task_id",
        "task_type", "context", "decision_id", "agent_version", "parent_run_id", "session_id",
        "config", "route",
    )),
    "retry_count": 0,
}  # fmt: skip
OUTCOME_ARGUMENTS = {
    "agent_name": "planner", "feedback_source": "user", "accuracy_score": 1.0, "now_us": 1_000_000,
    **dict.fromkeys((
        "task_id", "predicted_outcome", "actual_outcome", "metadata", "timestamp", "outcome_id",
        "run_id",
    )),
}  # fmt: skip


def run(run_id, **fields):
    """Return a run as it comes through the door."""
    return DOOR.run(run_id, **{**RUN_ARGUMENTS, **fields})


def outcome(**fields):
    """Return an outcome as it comes through the door."""
    return DOOR.outcome(**{**OUTCOME_ARGUMENTS, **fields})


def intake(runs=(), outcomes=(), acts=()):
    """Return an intake: runs, then outcomes, then acts."""
    n = len(runs)
    return Intake.of(
        run_batch(list(runs)),
        outcome_batch(list(outcomes), np.arange(n, n + len(outcomes), dtype=np.int64)),
        acts,
    )


def act(act_id, note=""):
    """Return some act."""
    return OperatorAct(act_id=act_id, ts_us=5, verb="mute", target="a", arguments={"note": note})


def everything(log):
    """Return all commits of the log."""
    return log.read(log.first_offset, 10**9)


def shown(commits):
    """Return what the commits sum up to: outcomes with run id, primary, and how often."""
    rows = Counter()
    for commit in commits:
        for batch, sign in ((commit.retracted_outcomes, -1), (commit.outcomes, 1)):
            for i in range(len(batch)):
                joined = batch.run[i] and batch.run[i][RUN_FIELD["run_id"]]
                score = round(int(batch.score_q32[i]) / 2**32, 3)
                rows[score, batch.feedback_source[i], joined, bool(batch.primary[i])] += sign
    return {row: n for row, n in rows.items() if n}


@pytest.fixture(params=["memory", "sqlite"])
def log(request, tmp_path):
    """A new log of each kind."""
    log = MemoryLog() if request.param == "memory" else SqliteLog(tmp_path / "events.db")
    yield log
    log.close()


def test_rows_get_the_next_offsets_and_are_read_back_as_one_commit(log):
    """An append makes one commit; its rows stand in it in order, with offsets."""
    receipt = log.append(intake([run("r1"), run("r2")], [outcome(task_id="t")], [act("x")]), 7)
    assert (receipt.first_offset, receipt.next_offset) == (0, 4)
    assert (receipt.accepted, receipt.duplicates) == (4, 0)
    assert (log.first_offset, log.next_offset, log.last_log_time_us) == (0, 4, 7)
    (commit,) = log.read(0)
    assert (commit.first_offset, commit.next_offset, commit.log_time_us) == (0, 4, 7)
    assert commit.runs.run_id == ["r1", "r2"]
    assert commit.runs.seq.tolist() == [0, 1]
    assert commit.outcomes.seq.tolist() == [2]
    assert commit.acts == ((3, act("x")),)


def test_offsets_follow_seq_across_kinds(log):
    """Where an outcome came between two runs, its offset lies between theirs."""
    runs = run_batch([run("r1"), run("r2")], np.array([0, 2], dtype=np.int64))
    outcomes = outcome_batch([outcome(run_id="r1")], np.array([1], dtype=np.int64))
    log.append(Intake(runs, outcomes, ((3, act("x")),)), 1)
    (commit,) = log.read(0)
    assert commit.runs.seq.tolist() == [0, 2]
    assert commit.outcomes.seq.tolist() == [1]
    assert commit.acts[0][0] == 3


def test_reading_later_gives_the_very_same_commits(log):
    """What was read right after the append is read again, byte for byte, for ever."""
    nested = {"b": [1, 2.5, None, {"x": "ü"}], "a": True, "big": 2**63}
    first = []
    for i in range(400):
        log.append(
            intake(
                [run(f"r{i}", task_id=f"t{i}", metadata=nested if i % 2 else None, timestamp=i)],
                [outcome(task_id=f"t{i - 3}", predicted_outcome=nested, metadata={"i": i})],
                [act(f"a{i}", "n")],
            ),
            i,
        )
        first.append(pack(log.read(log.next_offset - 1)[0]))
    assert [pack(commit) for commit in everything(log)] == first
    assert len(first) == 400


def test_commits_are_read_whole_from_the_one_that_holds_the_offset(log):
    """``read`` starts at the commit with the offset and stops at its limit of rows."""
    for i in range(5):
        log.append(intake([run(f"r{i}.{j}") for j in range(10)]), i)
    assert [c.first_offset for c in log.read(0)] == [0, 10, 20, 30, 40]
    assert [c.first_offset for c in log.read(10)] == [10, 20, 30, 40]
    assert [c.first_offset for c in log.read(19, 1)] == [10]
    assert [c.first_offset for c in log.read(20, 11)] == [20, 30]
    assert log.read(50) == []
    assert log.read(99) == []


def test_time_of_the_log_never_steps_back(log):
    """A clock set back does not set the log back."""
    for now_us in (5, 9, 3, 10):
        log.append(intake([run(f"r{now_us}")]), now_us)
    assert [commit.log_time_us for commit in log.read(0)] == [5, 9, 9, 10]
    assert log.last_log_time_us == 10


def test_nothing_new_makes_no_commit(log):
    """An empty intake and a repeated one leave no trace."""
    log.append(intake([run("r1")]), 1)
    receipt = log.append(intake([run("r1")]), 2)
    assert (receipt.accepted, receipt.duplicates, receipt.log_time_us) == (0, 1, 1)
    assert log.append(intake(), 3).next_offset == 1
    assert len(log.read(0)) == 1


def test_each_duplicate_is_pointed_out(log):
    """The receipt says which rows of the intake were known already."""
    log.append(intake([run("r1")], [outcome(task_id="t")], [act("x")]), 1)
    receipt = log.append(
        intake(
            [run("r0"), run("r1"), run("r0")],
            [outcome(task_id="t"), outcome(task_id="u")],
            [act("x"), act("y"), act("y")],
        ),
        2,
    )
    assert receipt.duplicate_runs.tolist() == [False, True, True]
    assert receipt.duplicate_outcomes.tolist() == [True, False]
    assert receipt.duplicate_acts.tolist() == [True, False, True]
    assert (receipt.accepted, receipt.duplicates) == (3, 5)


def test_repeated_delivery_without_a_timestamp_is_a_duplicate(log):
    """The time that a delivery came at is not part of what it says."""
    log.append(intake([run("r1", now_us=10)], [outcome(task_id="t", now_us=10)]), 10)
    receipt = log.append(intake([run("r1", now_us=20)], [outcome(task_id="t", now_us=20)]), 20)
    assert receipt.duplicates == 2
    assert log.find_run("r1").ts_us.tolist() == [10]


def test_corrected_content_that_comes_again_stays_corrected(log):
    """A retried first delivery does not undo the correction that came in between."""
    for now_us, score in ((10, 0.0), (20, 1.0), (30, 0.0)):
        log.append(
            intake(
                [run("r1", quality_score=score, now_us=now_us)],
                [outcome(outcome_id="o1", accuracy_score=score, now_us=now_us)],
            ),
            now_us,
        )
    assert log.find_run("r1").quality_q32.tolist() == [2**32]
    assert shown(everything(log)) == {(1.0, "user", None, True): 1}


def test_finished_run_replaces_the_pending_one(log):
    """The pending row is retracted as it stood, with its replacement's offset."""
    log.append(intake([run("r1", status="pending", timestamp=50)]), 1)
    log.append(intake([run("r0"), run("r1", timestamp=40)]), 2)
    commit = log.read(1)[0]
    assert commit.runs.seq.tolist() == [1, 2]
    assert commit.retracted_runs.seq.tolist() == [2]
    assert commit.retracted_runs.rows() == log.read(0)[0].runs.rows()
    assert log.append(intake([run("r1", status="pending", timestamp=60)]), 3).duplicates == 1


def test_run_that_comes_and_goes_within_one_intake_is_left_out(log):
    """Only the content that stands in the end gets an offset."""
    receipt = log.append(intake([run("r1", status="pending"), run("r1", duration_ms=2.0)]), 1)
    assert receipt.duplicate_runs.tolist() == [True, False]
    (commit,) = log.read(0)
    assert commit.runs.seq.tolist() == [0]
    assert len(commit.retracted_runs) == 0


def test_outcome_joins_the_last_run_of_its_task_before_it(log):
    """The run with the greatest (timestamp, run_id) not after the outcome."""
    runs = [run(f"r{i}", task_id="t", timestamp=i) for i in (1, 2, 3)]
    log.append(intake([*runs, run("z", task_id="t", timestamp=2, agent_name="other")]), 1)
    log.append(intake([], [outcome(task_id="t", timestamp=2.5)]), 2)
    assert shown(everything(log)) == {(1.0, "user", "r2", True): 1}


def test_outcome_by_run_id_joins_that_run(log):
    """Whatever the timestamps say."""
    log.append(intake([run("r1", timestamp=100)], [outcome(run_id="r1", timestamp=5)]), 1)
    assert shown(everything(log)) == {(1.0, "user", "r1", True): 1}


def test_outcome_before_its_run_counts_and_joins_later(log):
    """It comes again at the run's offset, not fresh; its former form is retracted."""
    log.append(intake([], [outcome(task_id="t", timestamp=5)]), 1)
    first = log.read(0)[0].outcomes
    assert first.run == [None]
    assert first.fresh.tolist() == [True]
    log.append(intake([run("r0"), run("r1", task_id="t", timestamp=4)]), 2)
    commit = log.read(1)[0]
    assert commit.outcomes.seq.tolist() == [2]
    assert commit.outcomes.fresh.tolist() == [False]
    assert commit.outcomes.run[0][RUN_FIELD["run_id"]] == "r1"
    assert commit.retracted_outcomes.rows() == first.rows()
    assert commit.retracted_outcomes.seq.tolist() == [2]
    assert (commit.first_offset, commit.next_offset) == (1, 3)


def test_better_matching_run_takes_the_outcome_over(log):
    """A run that arrives late but ran closer before the outcome is the right one."""
    log.append(
        intake([run("r1", task_id="t", timestamp=1)], [outcome(task_id="t", timestamp=5)]), 1
    )
    log.append(intake([run("r2", task_id="t", timestamp=3)]), 2)
    assert shown(everything(log)) == {(1.0, "user", "r2", True): 1}


def test_superseded_outcome_returns_when_a_late_run_takes_the_newer_away(log):
    """Two outcomes of one task turn out to belong to two runs."""
    log.append(intake([run("r1", task_id="t", timestamp=1)]), 1)
    log.append(intake([], [outcome(task_id="t", timestamp=2, accuracy_score=0.0)]), 2)
    log.append(intake([], [outcome(task_id="t", timestamp=4, accuracy_score=1.0)]), 3)
    assert shown(everything(log)) == {(1.0, "user", "r1", True): 1}
    log.append(intake([run("r2", task_id="t", timestamp=3)]), 4)
    assert shown(everything(log)) == {
        (0.0, "user", "r1", True): 1,
        (1.0, "user", "r2", True): 1,
    }


def test_corrected_outcome_replaces_the_former(log):
    """The later timestamp wins, in either order of delivery; a correction is not fresh."""
    log.append(intake([run("r1")], [outcome(run_id="r1", accuracy_score=0.2, timestamp=3)]), 1)
    log.append(intake([], [outcome(run_id="r1", accuracy_score=0.9, timestamp=4)]), 2)
    log.append(intake([], [outcome(run_id="r1", accuracy_score=0.5, timestamp=2)]), 3)
    assert shown(everything(log)) == {(0.9, "user", "r1", True): 1}
    assert log.read(2)[0].outcomes.fresh.tolist() == [False]
    assert log.next_offset == 3


def test_one_of_several_feedback_sources_is_primary(log):
    """The newest; when a newer comes the former is demoted at its offset."""
    log.append(
        intake(
            [run("r1")],
            [
                outcome(run_id="r1", feedback_source="user", timestamp=3),
                outcome(run_id="r1", feedback_source="judge", timestamp=2, accuracy_score=0.4),
            ],
        ),
        1,
    )
    assert shown(everything(log)) == {(1.0, "user", "r1", True): 1, (0.4, "judge", "r1", False): 1}
    log.append(intake([], [outcome(run_id="r1", feedback_source="test", timestamp=9)]), 2)
    assert shown(everything(log)) == {
        (1.0, "user", "r1", False): 1,
        (0.4, "judge", "r1", False): 1,
        (1.0, "test", "r1", True): 1,
    }
    assert log.read(3)[0].retracted_outcomes.seq.tolist() == [3]


def test_corrected_run_carries_its_outcomes_along(log):
    """They are shown again with the run's new row."""
    log.append(intake([run("r1", status="pending")], [outcome(run_id="r1")]), 1)
    log.append(intake([run("r1", duration_ms=3.0)]), 2)
    commit = log.read(2)[0]
    row = commit.outcomes.run[0]
    assert row == commit.runs.rows()[0]
    assert row[RUN_FIELD["status"]] == RunStatus.SUCCESS
    assert commit.outcomes.fresh.tolist() == [False]
    assert shown(everything(log)) == {(1.0, "user", "r1", True): 1}


def test_outcome_with_an_id_may_move_to_another_run(log):
    """``outcome_id`` is the identity, whatever else the correction changes."""
    log.append(intake([run("r1"), run("r2")], [outcome(outcome_id="o", run_id="r1")]), 1)
    log.append(
        intake([], [outcome(outcome_id="o", run_id="r2", accuracy_score=0.0, timestamp=99)]), 2
    )
    assert shown(everything(log)) == {(0.0, "user", "r2", True): 1}


def test_outcomes_that_name_nothing_count_one_by_one(log):
    """Without task, run or id there is nothing to correct: each time of arrival is its own."""
    for now_us in (1, 2, 2):
        log.append(intake([], [outcome(now_us=now_us)]), now_us)
    assert shown(everything(log)) == {(1.0, "user", None, True): 2}


def test_act_is_found_and_counts_once(log):
    """The first act of an id stands."""
    log.append(intake(acts=[act("x", "first")]), 1)
    assert log.append(intake(acts=[act("x", "second")]), 2).duplicates == 1
    assert log.find_act("x") == act("x", "first")
    assert log.find_act("y") is None


def test_run_is_found_as_it_stands(log):
    """By its id; None if the log never saw it."""
    log.append(intake([run("r1", status="pending"), run("r2")]), 1)
    log.append(intake([run("r1", duration_ms=1.5)]), 2)
    found = log.find_run("r1")
    assert (found.run_id, found.seq.tolist(), found.duration_us.tolist()) == (["r1"], [2], [1500])
    assert log.find_run("r9") is None


def test_runs_are_paged_newest_first(log):
    """Following the cursor shows every run that stands exactly once."""
    for i in range(30):
        log.append(intake([run(f"r{i}.{j}", timestamp=i) for j in range(3)]), i)
    log.append(intake([run("r3.1", timestamp=50, tokens_used=5)]), 99)
    seen, before = [], None
    while True:
        page = log.runs(before_offset=before, limit=7)
        assert len(page.runs) <= 7
        seen += page.runs.seq.tolist()
        before = page.next_before
        if before is None:
            break
    assert seen == [offset for offset in range(90, -1, -1) if offset != 3 * 3 + 1]


def test_runs_are_filtered(log):
    """By agent, status and time; several filters must all hold."""
    rows = [
        run(f"r{i}", agent_name="ab"[i % 2], status=("success", "error")[i // 5], timestamp=i)
        for i in range(10)
    ]
    log.append(intake(rows), 1)

    def found(**where):
        return sorted(log.runs(RunFilter(**where)).runs.run_id)

    assert found(agent_name="a") == ["r0", "r2", "r4", "r6", "r8"]
    assert found(status=RunStatus.FAILURE) == ["r5", "r6", "r7", "r8", "r9"]
    assert found(since_us=3_000_000, until_us=5_000_000) == ["r3", "r4"]
    assert found(agent_name="a", status=RunStatus.FAILURE, since_us=7_000_000) == ["r8"]
    assert found(agent_name="nobody") == []


def test_newest_checkpoint_is_returned_and_two_are_kept(log):
    """None before the first; later ones win whatever the order of saving."""
    assert log.latest_checkpoint() is None
    log.append(intake([run(f"r{i}") for i in range(9)]), 1)
    for offset in (3, 7, 5):
        log.save_checkpoint(offset, b"state %d" % offset)
    assert log.latest_checkpoint() == (7, b"state 7")
    log.save_checkpoint(7, b"again")
    assert log.latest_checkpoint() == (7, b"again")


def test_retention_deletes_whole_commits_oldest_first(log):
    """By number of rows or by age; the newest commit stays, offsets go on."""
    for i in range(5):
        log.append(intake([run(f"r{i}.{j}") for j in range(10)]), i)
    assert log.retain(max_events=35) == 20
    assert (log.first_offset, log.next_offset) == (20, 50)
    assert [c.first_offset for c in log.read(0)] == [20, 30, 40]
    assert log.retain(min_log_time_us=3) == 10
    assert log.retain(max_events=0, min_log_time_us=10**9) == 10
    assert (log.first_offset, log.next_offset) == (40, 50)
    assert log.retain() == 0


def test_what_retention_deleted_is_not_known_any_more(log):
    """The dedupe horizon is the retention."""
    log.append(intake([run("r1", task_id="t")], [outcome(task_id="t", timestamp=9)], [act("x")]), 1)
    log.append(intake([run("r2")]), 2)
    log.retain(max_events=1)
    assert log.find_run("r1") is None
    assert log.find_act("x") is None
    receipt = log.append(
        intake([run("r1", task_id="t")], [outcome(task_id="t", timestamp=9)], [act("x")]), 3
    )
    assert receipt.accepted == 3


def test_join_survives_the_retention_of_its_run(log):
    """An outcome that is kept can still be corrected, and its run further judged."""
    log.append(intake([run("r1", task_id="t", timestamp=1)]), 1)
    log.append(intake([], [outcome(task_id="t", timestamp=5, accuracy_score=0.1)]), 2)
    log.retain(max_events=1)
    assert log.first_offset == 1
    log.append(intake([], [outcome(task_id="t", timestamp=6, accuracy_score=0.7)]), 3)
    log.append(intake([], [outcome(run_id="r1", feedback_source="judge", timestamp=5)]), 4)
    assert shown(everything(log)) == {
        (0.7, "user", "r1", True): 1,
        (1.0, "judge", "r1", False): 1,
    }
    assert log.append(intake([run("r1", task_id="t", timestamp=1)]), 5).duplicates == 1


def test_waiting_ends_when_something_comes(log):
    """At once if it is there, within the time-out if not, and on wake or close."""
    assert log.wait(0, 0.0) is False
    log.append(intake([run("r1")]), 1)
    assert log.wait(0, 60.0) is True
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(log.wait(1, 60.0)))]
    threads[0].start()
    log.append(intake([run("r2")]), 2)
    threads[0].join(30)
    assert answers == [True]
    woken = threading.Thread(target=lambda: answers.append(log.wait(2, 60.0)))
    woken.start()
    while woken.is_alive():
        log.wake()
        woken.join(0.01)
    assert answers == [True, False]


def test_threads_may_append_and_read_at_once(log):
    """Every row gets an offset of its own, and a reader sees them in order, none missing."""

    def feed(name):
        for i in range(20):
            log.append(intake([run(f"{name}.{i}.{j}") for j in range(5)]), i)

    feeders = [threading.Thread(target=feed, args=(f"t{n}",)) for n in range(4)]
    for thread in feeders:
        thread.start()
    seen, after = [], 0
    while after < 400:
        log.wait(after, 30.0)
        for commit in log.read(after):
            assert commit.first_offset == after
            seen += commit.runs.run_id
            after = commit.next_offset
    for thread in feeders:
        thread.join()
    assert len(set(seen)) == 400


def test_closed_log_refuses_rows(log):
    """Closing twice is fine; appending afterwards is an error, not a loss."""
    log.append(intake([run("r1")]), 1)
    log.close()
    log.close()
    with pytest.raises(StorageError, match="closed"):
        log.append(intake([run("r2")]), 2)


def test_logs_can_be_told_apart(log):
    """Each has an id of its own."""
    assert len(log.log_id) == 32
    assert log.log_id != MemoryLog().log_id

"""The writer thread: groups, receipts, a full queue, failures, its own death."""

from __future__ import annotations

import threading
from concurrent.futures import wait

import numpy as np
import pytest

from selfright.errors import BackpressureError, StorageError
from selfright.events.batch import Intake
from selfright.log.memory import MemoryLog
from selfright.log.writer import Group, GroupCommitPolicy, GroupCommitWriter, merged


class Still:
    """A clock that stands still."""

    def now_us(self):
        return 7


class Gate(MemoryLog):
    """A log whose appends wait until they are let through, and may fail."""

    def __init__(self):
        super().__init__()
        self.open = threading.Event()
        self.entered = threading.Event()
        self.errors = []
        self.sizes = []

    def append(self, intake, now_us):
        self.entered.set()
        assert self.open.wait(30)
        self.sizes.append(len(intake))
        if self.errors:
            error = self.errors.pop(0)
            if error is not None:
                raise error
        return super().append(intake, now_us)


@pytest.fixture
def gate():
    """A log that holds its appends up."""
    return Gate()


def start(log, **policy):
    """Return a writer that never waits for company, unless told to."""
    return GroupCommitWriter(log, Still(), GroupCommitPolicy(**{"flush_ms": 0.0, **policy}))


def test_receipt_comes_after_the_commit(make):
    """What the future returns can be read from the log."""
    log = MemoryLog()
    writer = start(log)
    receipt = writer.submit(make.intake([make.run("r1")])).result(30)
    assert (receipt.first_offset, receipt.next_offset, receipt.log_time_us) == (0, 1, 7)
    assert log.next_offset == 1
    assert writer.last_commit_age_s >= 0
    assert writer.close()


def test_what_queues_up_during_a_commit_is_committed_together(gate, make):
    """And each submitter gets a receipt of its own rows, duplicates and all."""
    writer = start(gate)
    first = writer.submit(make.intake([make.run("r0")]))
    gate.entered.wait(30)
    others = [
        writer.submit(make.intake([make.run("r1"), make.run("r2")])),
        writer.submit(make.intake([make.run("r1")], [make.outcome(run_id="r2")], [make.act("x")])),
        writer.submit(make.intake([], [], [make.act("x")])),
    ]
    assert writer.queued_rows == 7
    gate.open.set()
    assert first.result(30).next_offset == 1
    receipts = [future.result(30) for future in others]
    assert gate.sizes == [1, 6]
    assert {(r.first_offset, r.next_offset) for r in receipts} == {(1, 5)}
    assert [(r.accepted, r.duplicates) for r in receipts] == [(2, 0), (2, 1), (0, 1)]
    assert receipts[1].duplicate_runs.tolist() == [True]
    assert receipts[1].duplicate_outcomes.tolist() == [False]
    assert receipts[2].duplicate_acts.tolist() == [True]
    writer.close()
    assert writer.queued_rows == 0


def test_group_ends_at_enough_rows(gate, make):
    """No commit takes more than needed to reach ``flush_rows``."""
    writer = start(gate, flush_rows=4)
    first = writer.submit(make.intake([make.run("a")]))
    gate.entered.wait(30)
    futures = [
        writer.submit(make.intake([make.run(f"{i}.{j}") for j in range(3)])) for i in range(4)
    ]
    gate.open.set()
    wait([first, *futures], 30)
    writer.close()
    assert gate.sizes == [1, 6, 6]


def test_full_queue_refuses_and_says_when_to_come_again(gate, make):
    """Nothing that is refused is kept; what is queued is."""
    writer = start(gate, queue_rows=5)
    held = writer.submit(make.intake([make.run("r0")]))
    gate.entered.wait(30)
    queued = writer.submit(make.intake([make.run(f"r{i}") for i in range(1, 5)]))
    with pytest.raises(BackpressureError) as raised:
        writer.submit(make.intake([make.run("refused")]))
    assert 0.1 <= raised.value.retry_after_s <= 30
    gate.open.set()
    wait([held, queued], 30)
    writer.submit(make.intake([make.run("later")])).result(30)
    assert gate.find_run("refused") is None
    assert gate.next_offset == 6
    writer.close()


def test_intake_longer_than_the_queue_passes_when_it_is_empty(make):
    """Or it would be refused for ever."""
    writer = start(MemoryLog(), queue_rows=3)
    intake = make.intake([make.run(f"r{i}") for i in range(10)])
    assert writer.submit(intake).result(30).accepted == 10
    writer.close()


def test_failed_commit_fails_its_own_group_and_nothing_else(gate, make):
    """Those before and after are kept."""
    gate.errors = [None, StorageError("disk", "full"), None]
    writer = start(gate)
    first = writer.submit(make.intake([make.run("r0")]))
    gate.entered.wait(30)
    failing = [writer.submit(make.intake([make.run(f"r{i}")])) for i in (1, 2)]
    gate.open.set()
    for future in failing:
        with pytest.raises(StorageError, match="full"):
            future.result(30)
    assert first.result(30).accepted == 1
    assert writer.submit(make.intake([make.run("r3")])).result(30).first_offset == 1
    assert writer.alive
    writer.close()


@pytest.mark.allow_errors
def test_error_that_should_not_be_is_logged_and_told(gate, make):
    """It fails its group like any other."""
    gate.errors = [ZeroDivisionError("ours")]
    gate.open.set()
    writer = start(gate)
    with pytest.raises(ZeroDivisionError):
        writer.submit(make.intake([make.run("r0")])).result(30)
    assert writer.submit(make.intake([make.run("r1")])).result(30).accepted == 1
    writer.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_thread_that_died_is_started_anew_by_its_owner(gate, make):
    """Those who waited are told, what was queued is committed by the next thread."""
    gate.errors = [KeyboardInterrupt()]
    writer = start(gate)
    caught = writer.submit(make.intake([make.run("r0")]))
    gate.entered.wait(30)
    queued = writer.submit(make.intake([make.run("r1")]))
    gate.open.set()
    with pytest.raises(StorageError, match="died"):
        caught.result(30)
    writer._thread.join(30)
    assert not writer.alive
    assert writer.queued_rows == 1
    assert writer.waiting_s >= 0
    writer.start()
    assert queued.result(30).accepted == 1
    assert writer.alive
    writer.close()


def test_closing_commits_what_is_queued(gate, make):
    """And then ends the thread; nothing more is taken."""
    writer = start(gate)
    futures = [writer.submit(make.intake([make.run(f"r{i}")])) for i in range(5)]
    gate.open.set()
    assert writer.close()
    assert [future.result(0).accepted for future in futures] == [1] * 5
    assert not writer.alive
    assert writer.close()
    with pytest.raises(StorageError, match="closed"):
        writer.submit(make.intake([make.run("late")]))


def test_closing_gives_up_in_time(gate, make):
    """What could not be committed is told so, never left waiting."""
    writer = start(gate)
    held = writer.submit(make.intake([make.run("r0")]))
    gate.entered.wait(30)
    queued = writer.submit(make.intake([make.run("r1")]))
    assert writer.close(drain_s=0.01) is False
    with pytest.raises(StorageError, match="closed"):
        queued.result(30)
    gate.open.set()
    assert held.result(30).accepted == 1


def test_cancelled_submission_is_left_out(gate, make):
    """As long as it is queued."""
    writer = start(gate)
    held = writer.submit(make.intake([make.run("r0")]))
    gate.entered.wait(30)
    assert not held.cancel()
    queued = writer.submit(make.intake([make.run("r1")]))
    assert queued.cancel()
    gate.open.set()
    writer.submit(make.intake([make.run("r2")])).result(30)
    assert gate.find_run("r1") is None
    writer.close()


def test_lone_submitter_does_not_wait_for_company():
    """Nor does the last of those who came to the last group."""
    policy = GroupCommitPolicy(flush_rows=100, flush_ms=10.0)
    assert policy.wait_s(1, 1, Group(), 0.0) == 0.0
    last = Group(rows=30, submitters=3, commit_s=0.004)
    assert policy.wait_s(10, 1, last, 0.001) == pytest.approx(0.003)
    assert policy.wait_s(20, 2, last, 0.005) == 0.0
    assert policy.wait_s(30, 3, last, 0.0) == 0.0
    assert policy.wait_s(100, 1, last, 0.0) == 0.0
    slow = Group(rows=30, submitters=3, commit_s=2.0)
    assert policy.wait_s(10, 1, slow, 0.0) == pytest.approx(0.010)


def test_merged_intakes_keep_their_order(make):
    """Each intake's rows come behind those of the one before, as it ordered them."""
    one = Intake(
        make.intake([make.run("a"), make.run("b")]).runs.numbered(np.array([5, 9])),
        make.intake([], [make.outcome(task_id="t")]).outcomes.numbered(np.array([7])),
        ((11, make.act("x")),),
    )
    two = make.intake([make.run("c")])
    both = merged([one, make.intake(), two])
    assert both.runs.run_id == ["a", "b", "c"]
    assert both.runs.seq.tolist() == [5, 9, 12]
    assert both.outcomes.seq.tolist() == [7]
    assert [seq for seq, _ in both.acts] == [11]

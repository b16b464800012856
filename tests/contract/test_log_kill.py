"""kill -9 in mid-ingest: nothing acknowledged is lost, nothing is counted twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter

import pytest

from selfright.log.sqlite import SqliteLog

# Three threads submit runs with outcomes through the writer, and say what was acknowledged.
INGEST = """
import os, sys, threading
from selfright.clock import SystemClock
from selfright.events.batch import Intake
from selfright.events.door import Door
from selfright.events.raw import outcome_batch, run_batch
from selfright.log.sqlite import SqliteLog
from selfright.log.writer import GroupCommitWriter

path, name = sys.argv[1:]
door = Door(lambda predicted, actual: 1.0)
writer = GroupCommitWriter(SqliteLog(path), SystemClock())

def ingest(thread):
    for i in range(10**9):
        run_id = f"{name}.{thread}.{i}"
        run = door.run(run_id, "a", "agent", "success", *[None] * 13, 0, run_id, *[None] * 8, i)
        truth = door.outcome("a", run_id, None, None, "user", None, None, 1.0, None, None, i)
        writer.submit(Intake.of(run_batch([run]), outcome_batch([truth]))).result()
        os.write(1, f"{run_id}\\n".encode())

for thread in range(3):
    threading.Thread(target=ingest, args=(thread,)).start()
"""


@pytest.mark.acceptance
def test_what_was_acknowledged_survives_kill(tmp_path):
    """Five times on the same file, each time after some hundred acknowledgements."""
    path = tmp_path / "events.db"
    acknowledged: set[str] = set()
    for life in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", INGEST, str(path), f"life{life}"], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        for _ in range(60 + 37 * life):
            acknowledged.add(process.stdout.readline().decode().strip())
        os.kill(process.pid, signal.SIGKILL)
        # What was written to the pipe before the kill was acknowledged too.
        acknowledged.update(process.stdout.read().decode().split("\n")[:-1])
        process.stdout.close()
        process.wait()

        log = SqliteLog(path)
        runs: Counter[str] = Counter()
        joined: Counter[str] = Counter()
        following = 0
        for commit in log.read(0, 10**9):
            assert commit.first_offset == following
            following = commit.next_offset
            runs.update(commit.runs.run_id)
            assert len(commit.retracted_outcomes) == 0
            for task_id, run in zip(commit.outcomes.task_id, commit.outcomes.run, strict=True):
                assert run is not None
                assert run[0] == task_id
                joined[run[0]] += 1
        assert log.next_offset == following
        log.close()
        assert acknowledged <= runs.keys(), "an acknowledged run is lost"
        assert set(runs.values()) == {1}, "a run is counted twice"
        assert joined == runs, "half of a submission is there"
    assert len(acknowledged) >= 5 * 60

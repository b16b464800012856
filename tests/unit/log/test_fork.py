"""What a forked child finds: no threads, an empty queue, a file that is not its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from selfright.errors import DataDirectoryLockedError
from selfright.log.memory import MemoryLog
from selfright.log.sqlite import SqliteLog
from selfright.log.writer import GroupCommitWriter

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"),
    # Python 3.12 and later warn of what this room takes care of.
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


class Still:
    """A clock that stands still."""

    def now_us(self):
        return 7


def in_child(story):
    """Run ``story`` in a forked child; return what it returned, or its error, as text."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            answer = repr(story())
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        os.write(write, answer.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    return answer


def test_child_may_not_append_to_the_parents_file(tmp_path, make):
    """It is told whose the log is; the parent notices nothing."""
    log = SqliteLog(tmp_path / "events.db")
    log.append(make.intake([make.run("r1")]), 1)
    assert log.find_run("r1") is not None  # opens a reader, which the child inherits

    def append():
        log.append(make.intake([make.run("r2")]), 2)

    refused = f"DataDirectoryLockedError: data directory={str(tmp_path / 'events.db')!r}"
    assert in_child(append).startswith(refused)
    assert f"process {os.getpid()}" in in_child(append)
    assert in_child(lambda: log.retain(max_events=0)).startswith(refused)
    assert in_child(lambda: log.save_checkpoint(1, b"")).startswith(refused)
    assert in_child(lambda: log.find_run("r1")).startswith(refused)
    assert log.append(make.intake([make.run("r2")]), 2).first_offset == 1
    assert log.find_run("r2") is not None
    log.close()


def test_child_may_read_what_was_decoded(tmp_path, make):
    """Enough for a getter in a child to answer with what the parent knew."""
    log = SqliteLog(tmp_path / "events.db")
    log.append(make.intake([make.run("r1")]), 1)
    assert in_child(lambda: log.read(0)[0].runs.run_id) == "['r1']"
    assert in_child(lambda: (log.read(1), log.next_offset, log.wait(5, 0.0))) == "([], 1, False)"
    assert in_child(log.close) == "None"
    assert log.append(make.intake([make.run("r2")]), 2).accepted == 1
    log.close()


def test_child_does_not_keep_the_parents_lock(tmp_path):
    """A child that lives on does not lock the log against the parent's successor."""
    log = SqliteLog(tmp_path / "events.db")
    hold, let_go = os.pipe()
    heard, says = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(let_go)
        os.write(says, b"!")  # what a child does after a fork is done by now
        os.read(hold, 1)
        os._exit(0)
    try:
        os.read(heard, 1)
        log.close()
        SqliteLog(tmp_path / "events.db").close()
    finally:
        os.close(let_go)
        os.waitpid(pid, 0)
        for end in (hold, heard, says):
            os.close(end)


def test_child_that_exits_leaves_the_file_alone(tmp_path):
    """The interpreter drops every reference on exit; the inherited connection stays open."""
    script = """
import os, sys
from selfright.events.batch import Intake
from selfright.events.record import OperatorAct
from selfright.log.sqlite import SqliteLog

def act(i):
    one = OperatorAct(act_id=f"a{i}", ts_us=0, verb="mute", target="", arguments={})
    return Intake.of(acts=[one])

log = SqliteLog(sys.argv[1])
for i in range(100):
    log.append(act(i), i)
pid = os.fork()
if pid == 0:
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
for i in range(100, 200):
    log.append(act(i), i)
log._tail.clear(log.next_offset)
assert len(log.read(0, 10**9)) == 200
os.kill(os.getpid(), 9)
"""
    path = tmp_path / "events.db"
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == -9
    log = SqliteLog(path)
    assert len(log.read(0, 10**9)) == 200
    log.close()


def test_log_in_memory_becomes_two(make):
    """The child goes on with a copy of its own."""
    log = MemoryLog()
    log.append(make.intake([make.run("r1")]), 1)

    def go_on():
        log.append(make.intake([make.run("r2")]), 2)
        return log.next_offset, log.find_run("r1") is not None

    assert in_child(go_on) == "(2, True)"
    assert log.next_offset == 1
    assert log.find_run("r2") is None


def test_fork_during_an_append_finds_the_log_whole(make):
    """A child made while threads append can append too: no lock stays behind."""
    log = MemoryLog()
    stop = threading.Event()

    def feed():
        i = 0
        while not stop.is_set():
            log.append(make.intake([make.run(f"r{i}")], [make.outcome(run_id=f"r{i}")]), i)
            i += 1

    feeder = threading.Thread(target=feed)
    feeder.start()

    def check():
        before = log.next_offset
        log.append(make.intake([make.run("mine")]), 1)
        rows = sum(len(c.runs) + len(c.outcomes) for c in log.read(0, 10**9))
        return log.next_offset == before + 1 == rows

    try:
        for _ in range(5):
            assert in_child(check) == "True"
    finally:
        stop.set()
        feeder.join()


def test_writer_in_a_child_starts_with_an_empty_queue(make):
    """What the parent queued, the parent commits; the child has a thread of its own."""
    log = MemoryLog()
    writer = GroupCommitWriter(log, Still())
    writer.submit(make.intake([make.run("r1")])).result(30)
    with writer._changed:  # so that the next one is queued when the fork happens
        queued = writer.submit(make.intake([make.run("r2")]))

        def submit():
            before = (writer.alive, writer.queued_rows)
            receipt = writer.submit(make.intake([make.run("child")])).result(30)
            return before, receipt.first_offset, writer.alive, queued.done()

        answer = in_child(submit)
    assert answer == "((False, 0), 1, True, False)"
    assert queued.result(30).accepted == 1
    assert log.find_run("child") is None
    writer.close()


def test_writer_in_a_child_is_refused_by_the_parents_file(tmp_path, make):
    """Its submissions fail with the reason instead of waiting for ever."""
    log = SqliteLog(tmp_path / "events.db")
    writer = GroupCommitWriter(log, Still())
    writer.submit(make.intake([make.run("r1")])).result(30)

    def submit():
        try:
            writer.submit(make.intake([make.run("child")])).result(30)
        except DataDirectoryLockedError as error:
            return error.pid

    assert in_child(submit) == str(os.getpid())
    assert writer.submit(make.intake([make.run("r2")])).result(30).first_offset == 1
    writer.close()
    log.close()

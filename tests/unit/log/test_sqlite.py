"""The log in a file: what is kept over a restart, and what is refused."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys

import pytest

from selfright.errors import (
    ConfigError,
    CorruptLogError,
    DataDirectoryLockedError,
    StorageError,
)
from selfright.log import schema
from selfright.log.protocol import RunFilter
from selfright.log.sqlite import SqliteLog
from selfright.log.stored import pack


@pytest.fixture
def path(tmp_path):
    """Where the log is."""
    return tmp_path / "data" / "events.db"


@pytest.fixture
def log(path):
    """A log in a file."""
    log = SqliteLog(path)
    yield log
    log.close()


def fill(log, make, n=6):
    """Append some commits of every kind; return them as read right afterwards."""
    commits = []
    for i in range(n):
        log.append(
            make.intake(
                [make.run(f"r{i}", task_id=f"t{i}", timestamp=i, metadata={"i": [i]})],
                [
                    make.outcome(task_id=f"t{i - 1}", timestamp=i),
                    make.outcome(outcome_id="o", task_id=f"t{i}", timestamp=i + 0.5),
                ],
                [make.act(f"a{i}")],
            ),
            i,
        )
        commits.append(pack(log.read(log.next_offset - 1)[0]))
    return commits


def test_reopened_log_goes_on_where_it_was(log, path, make):
    """The same id, commits, time and knowledge of what came before."""
    commits, log_id = fill(log, make), log.log_id
    log.save_checkpoint(3, b"state")
    before = (log.first_offset, log.next_offset, log.last_log_time_us)
    log.close()
    again = SqliteLog(path)
    assert again.log_id == log_id
    assert (again.first_offset, again.next_offset, again.last_log_time_us) == before
    assert [pack(commit) for commit in again.read(0)] == commits
    assert again.latest_checkpoint() == (3, b"state")
    assert (
        again.append(
            make.intake([make.run("r0", task_id="t0", timestamp=0, metadata={"i": [0]})]), 9
        ).duplicates
        == 1
    )
    late = again.append(
        make.intake([], [make.outcome(run_id="r1", feedback_source="x", timestamp=99)]), 9
    )
    commit = again.read(late.first_offset)[0]
    assert commit.outcomes.primary.tolist() == [True, False]
    assert len(commit.retracted_outcomes) == 1
    again.close()


def test_old_commits_are_read_from_the_file_as_they_were(log, make):
    """Those that are no longer held decoded give the same bytes."""
    commits = fill(log, make, 20)
    log._tail.clear(log.next_offset)
    assert [pack(commit) for commit in log.read(0)] == commits


def test_every_commit_is_synced(log):
    """``synchronous`` is FULL and the journal is a WAL: acknowledged is on the disk."""
    assert log._writer.execute("PRAGMA synchronous").fetchone() == (2,)
    assert log._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_only_the_owner_may_read_the_files(log, path, make):
    """Directory 0700, files 0600, whatever the umask."""
    fill(log, make)
    log.save_checkpoint(1, b"state")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    files = list(path.parent.iterdir())
    assert len(files) == 5  # database, WAL, its index, lock, checkpoint
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_second_owner_is_refused_and_told_who_is_first(log, path):
    """Within a process and from another: the error names the owner's pid."""
    with pytest.raises(DataDirectoryLockedError, match=f"process {os.getpid()}") as raised:
        SqliteLog(path)
    assert raised.value.pid == os.getpid()
    script = (
        "import sys\n"
        "from selfright.errors import DataDirectoryLockedError\n"
        "from selfright.log.sqlite import SqliteLog\n"
        "try:\n    SqliteLog(sys.argv[1])\n"
        "except DataDirectoryLockedError as error:\n    print(error.pid)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(os.getpid())


def test_owner_that_died_does_not_lock_the_log(path):
    """The lock ends with its process, however that ended."""
    script = (
        "import os, sys\n"
        "from selfright.log.sqlite import SqliteLog\n"
        "log = SqliteLog(sys.argv[1])\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == -9
    SqliteLog(path).close()


def test_log_that_was_dropped_can_be_opened_again(path):
    """Nobody has to call ``close`` for that."""
    log = SqliteLog(path)
    log._writer.close()  # Python 3.13 warns of connections that are only dropped
    del log
    SqliteLog(path).close()


def test_newer_schema_is_refused(log, path):
    """With the remedy, and without touching the file."""
    log.close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="upgrade Selfright"):
        SqliteLog(path)
    assert path.read_bytes() == before


def test_database_of_another_program_is_refused(path):
    """We do not put our tables beside theirs."""
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(ConfigError, match="another program's"):
        SqliteLog(path)


def test_file_that_is_no_database_is_refused(path):
    """As damaged, without a trace of ours in it."""
    path.parent.mkdir()
    path.write_bytes(b"hello, this is some other file\n" * 100)
    with pytest.raises(CorruptLogError):
        SqliteLog(path)
    assert path.read_bytes().startswith(b"hello")


def test_place_that_cannot_be_written_is_a_storage_error(tmp_path):
    """Not some error of the operating system."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        SqliteLog(tmp_path / "file" / "events.db")


def test_deleted_file_is_not_taken_for_an_empty_log(log, path, make):
    """After trouble the log reopens its file; a missing one is an error."""
    fill(log, make)
    log._writer.close()  # what makes the next append fail
    for file in (path, path.with_name("events.db-wal"), path.with_name("events.db-shm")):
        file.unlink(missing_ok=True)
    for _ in range(2):
        with pytest.raises(StorageError):
            log.append(make.intake([make.run("new")]), 1)


def test_retention_from_the_file_is_kept_over_a_restart(log, path, make):
    """What was deleted stays deleted and offsets go on."""
    commits = fill(log, make, 10)
    gone = log.retain(max_events=20)
    first, following = log.first_offset, log.next_offset
    log.close()
    again = SqliteLog(path)
    assert (again.first_offset, again.next_offset) == (first, following) == (gone, following)
    assert [pack(commit) for commit in again.read(0)] == commits[-5:]
    again.close()


def test_retention_takes_what_the_joins_knew_along(log, make):
    """Nothing of deleted rows stays behind in ``links``."""
    for i in range(50):
        log.append(
            make.intake([make.run(f"r{i}", task_id=f"t{i}")], [make.outcome(task_id=f"t{i}")]), i
        )
    log.retain(max_events=2)
    (left,) = log._writer.execute("SELECT count(*) FROM links").fetchone()
    assert left == 3  # the last run, its task, its outcome


def test_huge_retention_is_done_in_steps(log, make):
    """More rows than one transaction deletes go all the same."""
    for i in range(12):
        log.append(make.intake([make.run(f"r{i}.{j}") for j in range(500)]), i)
    assert log.retain(max_events=700) == 5500
    assert log.first_offset == 5500


def test_pages_go_on_beyond_what_one_page_scans(log, make, monkeypatch):
    """A rare match is found by following the cursor through empty pages."""
    monkeypatch.setattr("selfright.log.page.SCANNED", 100)
    monkeypatch.setattr("selfright.log.sqlite._SCAN_ROWS", 100)
    log.append(make.intake([make.run("rare", agent_name="rare")]), 1)
    log.append(make.intake([make.run(f"r{i}") for i in range(950)]), 2)
    pages, before = [], None
    while True:
        page = log.runs(RunFilter(agent_name="rare"), before_offset=before)
        pages.append(len(page.runs))
        before = page.next_before
        if before is None:
            break
    assert len(pages) == 10
    assert sum(pages) == 1

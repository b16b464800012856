"""Whatever fails, nothing acknowledged is lost, and nothing half written is shown."""

from __future__ import annotations

import random
import sqlite3

import pytest

from selfright.errors import CorruptLogError, SelfrightError, StorageError
from selfright.log import link_rows, schema
from selfright.log.link import run_key
from selfright.log.sqlite import SqliteLog
from selfright.log.stored import pack


class Fault:
    """Lets the N-th call to SQLite fail, before or after it is done."""

    def __init__(self):
        self.left = None
        self.late = False

    def arm(self, n, *, late):
        """Fail the ``n``-th call from now on."""
        self.left, self.late = n, late

    def disarm(self):
        """Fail no more; return whether the fault was met."""
        left, self.left = self.left, None
        return left is not None and left <= 0

    def call(self, function, *arguments):
        """Call ``function`` unless its turn has come to fail."""
        if self.left is None:
            return function(*arguments)
        self.left -= 1
        if self.left == 0 and not self.late:
            raise sqlite3.OperationalError("disk I/O error")
        result = function(*arguments)
        if self.left == 0:
            raise sqlite3.OperationalError("disk I/O error")
        return result


class Faulty:
    """A connection whose calls go through a fault."""

    def __init__(self, real, fault):
        self.real, self.fault = real, fault

    def execute(self, *arguments):
        return self.fault.call(self.real.execute, *arguments)

    def executemany(self, *arguments):
        return self.fault.call(self.real.executemany, *arguments)

    def close(self):
        self.real.close()


@pytest.fixture
def fault():
    """A fault, not armed."""
    return Fault()


@pytest.fixture
def path(tmp_path):
    """Where the log is."""
    return tmp_path / "events.db"


@pytest.fixture
def log(path, fault):
    """A log whose connections go through ``fault``."""
    log = SqliteLog(path, connect=lambda uri: Faulty(fault.call(schema.connect, uri), fault))
    yield log
    fault.disarm()
    log.close()


def story(make, i):
    """Return the i-th intake of a story in which everything is corrected later."""
    return make.intake(
        [make.run(f"r{i}", task_id=f"t{i}", timestamp=i), make.run("again", timestamp=i)],
        [make.outcome(task_id=f"t{i}", timestamp=i), make.outcome(outcome_id="o", timestamp=i)],
        [make.act(f"a{i}")],
    )


def commits_of(log):
    """Return all commits as bytes, from the file."""
    log._tail.clear(log.next_offset)
    return [pack(commit) for commit in log.read(0, 10**9)]


@pytest.mark.parametrize("late", [False, True])
def test_no_call_of_an_append_may_fail_badly(log, path, fault, make, late):
    """For every N: the N-th call fails; the log is as before, or has all of it; goes on."""
    log.append(story(make, 0), 0)
    n = met = 0
    while True:
        n += 1
        before = commits_of(log)
        fault.arm(n, late=late)
        try:
            log.append(story(make, n), n)
            failed = False
        except StorageError:
            failed = True
        assert fault.disarm() == failed
        met += failed
        after = commits_of(log)
        assert after[: len(before)] == before
        if not late:
            assert (len(after) > len(before)) == (not failed)
        log.append(story(make, n), n)  # as a sender repeats what was not acknowledged
        assert len(commits_of(log)) == len(before) + 1
        if not failed:
            break
    assert met > 8
    expected = commits_of(log)
    log.close()
    again = SqliteLog(path)
    assert [pack(commit) for commit in again.read(0, 10**9)] == expected
    again.close()


def test_no_call_of_a_retention_may_fail_badly(log, fault, make):
    """Either the rows are gone, with what was known of them, or all is as before."""
    for i in range(4):
        log.append(story(make, i), i)
    n = 0
    while True:
        n += 1
        before = log.first_offset
        fault.arm(n, late=False)
        try:
            log.retain(max_events=log.next_offset - before - 1)
            failed = False
        except StorageError:
            failed = True
        fault.disarm()
        if not failed:
            break
        assert log.append(story(make, 3), 9).accepted == 0
        assert log.first_offset == before
    assert n > 5
    assert log.first_offset > before


def test_reading_again_after_a_failed_read(log, fault, make):
    """A reader that failed is replaced by a new one."""
    log.append(story(make, 1), 1)
    expected = commits_of(log)
    n = 0
    while True:
        n += 1
        fault.arm(n, late=False)
        try:
            assert log.find_run("r1") is not None
            assert [pack(commit) for commit in log.read(0)] == expected
            break
        except StorageError:
            pass
        finally:
            fault.disarm()
    assert n > 3


def test_full_disk_refuses_and_recovers_by_itself(path, make):
    """Nothing refused is shown later, nothing acknowledged is lost, and it goes on."""
    full = False

    def connect(uri):
        connection = schema.connect(uri)
        if full:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    log = SqliteLog(path, connect=connect)
    log.append(make.intake([make.run("kept")]), 1)
    full = True
    log._writer.close()
    with pytest.raises(StorageError):
        log.append(make.intake([make.run("closed")]), 2)
    large = {"x": "y" * 50_000}
    for i in range(3):
        with pytest.raises(StorageError, match="full"):
            log.append(make.intake([make.run(f"refused{i}", metadata=large)]), 2)
    assert log.find_run("kept") is not None
    assert log.next_offset == 1
    full = False
    log.append(make.intake([make.run("after", metadata=large)]), 3)
    assert [run_id for c in log.read(0) for run_id in c.runs.run_id] == ["kept", "after"]
    log.close()
    again = SqliteLog(path)
    assert [run_id for c in again.read(0) for run_id in c.runs.run_id] == ["kept", "after"]
    again.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE events SET payload = zeroblob(length(payload)) WHERE offset = 7",
        "UPDATE events SET kind = 1 - kind WHERE offset = 5",
        "UPDATE events SET crc = crc + 1 WHERE offset = 5",
        "UPDATE events SET payload = 5 WHERE offset = 5",
        "UPDATE commits SET log_time_us = log_time_us + 1 WHERE first_offset = 5",
        "UPDATE commits SET next_offset = next_offset + 1 WHERE first_offset = 5",
        "UPDATE commits SET next_offset = 'x' WHERE first_offset = 5",
        "UPDATE commits SET derived = NULL WHERE first_offset = 5",
        "UPDATE commits SET crc = crc + 1 WHERE first_offset = 5",
        "DELETE FROM events WHERE offset = 6",
        "DELETE FROM commits WHERE first_offset = 5",
    ],
)
def test_damaged_commit_is_never_read(log, make, damage):
    """Its neighbours are; the error names the offset where reading stopped."""
    for i in range(3):
        log.append(story(make, i), i)
    assert [commit.first_offset for commit in log.read(0)] == [0, 5, 10]
    assert log._writer.execute(damage).rowcount == 1
    log._tail.clear(log.next_offset)
    assert log.read(0, 1)[0].first_offset == 0
    with pytest.raises(CorruptLogError) as raised:
        log.read(5, 1)
    assert 5 <= raised.value.offset < 10
    with pytest.raises(CorruptLogError):
        log.read(0)
    assert log.read(10)[0].first_offset == 10


def test_damaged_newest_commit_is_found_when_the_log_is_opened(log, path, make):
    """What is appended would build on it."""
    log.append(story(make, 0), 0)
    log._writer.execute("UPDATE commits SET next_offset = next_offset + 1")
    log.close()
    with pytest.raises(CorruptLogError):
        SqliteLog(path)


@pytest.mark.parametrize("lost", ["first_offset >= 5", "first_offset < 5", "first_offset >= 0"])
def test_commits_cannot_get_lost_unnoticed(log, path, make, lost):
    """At neither end, nor all of them."""
    for i in range(3):
        log.append(story(make, i), i)
    log._writer.execute(f"DELETE FROM commits WHERE {lost}")
    log.close()
    with pytest.raises(CorruptLogError, match="lost"):
        SqliteLog(path)


def test_link_that_leads_astray_is_noticed(log, make):
    """Even where its checksum fits."""
    log.append(make.intake([make.run("r1"), make.run("r2")], [make.outcome(run_id="r1")]), 1)
    key = run_key("r1")
    value = link_rows.sealed(key, b"", link_rows.encode_number(1))
    log._writer.execute("UPDATE links SET value = ? WHERE key = ? AND item = x''", (value, key))
    with pytest.raises(CorruptLogError, match="'r1'"):
        log.append(make.intake([make.run("r1", duration_ms=1.0)]), 2)
    assert log.append(make.intake([make.run("r3")]), 2).accepted == 1


def test_damaged_link_is_noticed(log, make):
    """A wrong time there would join outcomes to wrong runs."""
    log.append(make.intake([make.run("r1", task_id="t", timestamp=0)]), 1)
    damage = (
        "UPDATE links SET value = CAST(x'00000000000000ff' || substr(value, 9) AS BLOB) "
        "WHERE item = CAST('Rr1' AS BLOB)"
    )
    assert log._writer.execute(damage).rowcount == 1
    with pytest.raises(CorruptLogError, match="checksum"):
        log.append(make.intake([], [make.outcome(task_id="t", timestamp=0)]), 2)


def test_flipped_bytes_are_never_read_as_something_else(path, make):
    """A hundred times: an error of ours, or exactly what was written. Never a crash."""
    rng = random.Random(7)
    log = SqliteLog(path)
    for i in range(30):
        log.append(story(make, i), i)
    log.save_checkpoint(50, b"state" * 100)
    expected = [pack(commit) for commit in log.read(0, 10**9)]
    log.close()
    whole = path.read_bytes()
    found = 0
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(rng.choice([1, 1, 3])):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            log = SqliteLog(path)
        except SelfrightError:
            found += 1
            continue
        try:
            assert [pack(commit) for commit in log.read(0, 10**9)] == expected
            log.append(story(make, 29), 30)
            log.append(story(make, 31), 31)
        except SelfrightError:
            found += 1
        finally:
            log.close()
    assert found > 50

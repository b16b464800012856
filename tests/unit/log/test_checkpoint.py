"""A checkpoint is whole or passed over, whatever fails while it is written."""

from __future__ import annotations

import errno

import pytest

from selfright.errors import StorageError
from selfright.log.checkpoint import Checkpoints, Fs

LOG_ID = "0123456789abcdef" * 2


class FaultyFs(Fs):
    """Lets the N-th call fail as a full disk would; writes are short in any case."""

    def __init__(self):
        self.left = 10**9

    def _turn(self):
        self.left -= 1
        if self.left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")

    def create(self, path):
        self._turn()
        return super().create(path)

    def write(self, fd, data):
        self._turn()
        return super().write(fd, data[:100])

    def sync(self, fd):
        self._turn()
        super().sync(fd)

    def replace(self, old, new):
        self._turn()
        super().replace(old, new)

    def sync_directory(self, path):
        self._turn()
        super().sync_directory(path)

    def remove(self, path):
        self._turn()
        super().remove(path)


@pytest.fixture
def path(tmp_path):
    """The log's file."""
    return tmp_path / "events.db"


def test_two_are_kept(path):
    """Older files are deleted."""
    checkpoints = Checkpoints(path, LOG_ID)
    for offset in (1, 20, 300, 4000):
        checkpoints.save(offset, b"state at %d" % offset)
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "events.db.checkpoint-00000000000000000300",
        "events.db.checkpoint-00000000000000004000",
    ]
    assert checkpoints.latest(4000) == (4000, b"state at 4000")


def test_whatever_fails_the_one_before_stays(path):
    """For every N: the N-th call of a save fails; what is found is whole."""
    fs = FaultyFs()
    checkpoints = Checkpoints(path, LOG_ID, fs)
    checkpoints.save(1, b"a" * 250)
    checkpoints.save(2, b"b" * 250)
    n = 0
    while True:
        n += 1
        fs.left = n
        try:
            checkpoints.save(n + 2, b"c" * 250)
            break
        except StorageError as error:
            assert "No space" in str(error)  # noqa: PT017 - it may also succeed
        fs.left = 10**9
        offset, data = checkpoints.latest(10**9)
        assert (offset, data) in {(2, b"b" * 250), (n + 2, b"c" * 250)}
    assert n > 7


@pytest.mark.parametrize("at", [0, 10, 45, 60, 90, -1])
def test_damaged_checkpoint_is_passed_over(path, caplog, at):
    """Wherever a byte is flipped; the loss is told."""
    checkpoints = Checkpoints(path, LOG_ID)
    checkpoints.save(1, b"older")
    checkpoints.save(2, b"newer, and a little longer")
    file = path.with_name("events.db.checkpoint-00000000000000000002")
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)
    assert checkpoints.latest(10) == (1, b"older")
    assert "damaged" in caplog.text


def test_truncated_checkpoint_is_passed_over(path):
    """Even to nothing."""
    checkpoints = Checkpoints(path, LOG_ID)
    checkpoints.save(1, b"older")
    checkpoints.save(2, b"newer")
    file = path.with_name("events.db.checkpoint-00000000000000000002")
    for length in (len(file.read_bytes()) - 1, 50, 0):
        file.write_bytes(file.read_bytes()[:length])
        assert checkpoints.latest(10) == (1, b"older")


def test_checkpoint_of_another_log_or_offset_is_passed_over(path):
    """A copied or renamed file is not taken for what its name says."""
    Checkpoints(path, "f" * 32).save(5, b"theirs")
    checkpoints = Checkpoints(path, LOG_ID)
    assert checkpoints.latest(10) is None
    checkpoints.save(6, b"ours")
    path.with_name("events.db.checkpoint-00000000000000000006").rename(
        path.with_name("events.db.checkpoint-00000000000000000007")
    )
    assert checkpoints.latest(10) is None


def test_checkpoint_ahead_of_the_log_is_passed_over(path):
    """The log was restored from an older copy: what is ahead of it never was."""
    checkpoints = Checkpoints(path, LOG_ID)
    checkpoints.save(5, b"in the log")
    checkpoints.save(50, b"ahead")
    assert checkpoints.latest(20) == (5, b"in the log")


def test_stray_files_do_not_matter(path):
    """Drafts left by a crash, and names that look similar."""
    path.with_name("events.db.checkpoint-00000000000000000009.tmp").write_bytes(b"half")
    path.with_name("events.db.checkpoint-x").write_bytes(b"?")
    checkpoints = Checkpoints(path, LOG_ID)
    assert checkpoints.latest(10) is None
    checkpoints.save(3, b"state")
    assert checkpoints.latest(10) == (3, b"state")

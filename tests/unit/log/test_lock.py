"""One owner at a time."""

from __future__ import annotations

import os

import pytest

from selfright.errors import DataDirectoryLockedError, StorageError
from selfright.log.lock import OwnerLock


def test_lock_is_held_until_it_is_released(tmp_path):
    """Then another may have it, though the file stays."""
    path = tmp_path / "lock"
    lock = OwnerLock(path, tmp_path)
    assert path.read_text() == f"{os.getpid()}\n"
    with pytest.raises(DataDirectoryLockedError) as raised:
        OwnerLock(path, tmp_path)
    assert raised.value.pid == os.getpid()
    lock.release()
    lock.release()
    OwnerLock(path, tmp_path).release()


def test_stale_file_locks_nobody_out(tmp_path):
    """The pid in it is news for people, not the lock."""
    path = tmp_path / "lock"
    path.write_text("12345678901234567890\nleft by a longer one")
    lock = OwnerLock(path, tmp_path)
    assert path.read_text() == f"{os.getpid()}\n"
    lock.release()


def test_unreadable_owner_is_another_process(tmp_path):
    """A lock file without a pid does not break the error."""
    path = tmp_path / "lock"
    lock = OwnerLock(path, tmp_path)
    path.write_text("")
    with pytest.raises(DataDirectoryLockedError, match="another process"):
        OwnerLock(path, tmp_path)
    lock.release()


def test_place_that_cannot_be_written_is_a_storage_error(tmp_path):
    """Which names the file."""
    with pytest.raises(StorageError, match="missing"):
        OwnerLock(tmp_path / "missing" / "lock", tmp_path)

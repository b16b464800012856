"""The file of keys is its owner's alone, replaced whole, and lets nobody in when damaged."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from selfright.errors import ConfigError, CorruptLogError, StorageError
from selfright.log.lock import OwnerLock
from selfright.retrain.fs import DiskFs
from selfright.server.access.key import Key, mint
from selfright.server.access.key_file import KeyFile

NOW_US = 1_767_225_600_000_000
PAGE = Path(__file__).parents[4] / "docs" / "format" / "keys.md"


def _key(name: str = "scraper") -> Key:
    return mint(name, ["read"], NOW_US)[0]


class Faulty(DiskFs):
    """A disk whose N-th change fails: refused, done in part, or done yet reported as failed."""

    def __init__(self, at: int, how: str) -> None:
        self.at, self.how, self.calls = at, how, 0

    def _pass(self, call: Any, *args: Any) -> None:
        self.calls += 1
        if self.calls != self.at:
            call(*args)
            return
        if self.how == "after":
            call(*args)
        elif self.how == "part" and len(args) > 1 and isinstance(args[1], bytes):
            call(args[0], args[1][: len(args[1]) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    def make_dir(self, path: Path) -> None:
        self._pass(super().make_dir, path)

    def write(self, path: Path, data: bytes) -> None:
        self._pass(super().write, path, data)

    def replace(self, source: Path, target: Path) -> None:
        self._pass(super().replace, source, target)

    def sync_dir(self, path: Path) -> None:
        self._pass(super().sync_dir, path)


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    """File and folder, whatever the umask says, after every change."""
    book = KeyFile(tmp_path / "data")
    book.add(_key())
    book.revoke(book.read()[0].prefix, NOW_US)
    assert book.path.stat().st_mode & 0o777 == 0o600
    assert book.path.parent.stat().st_mode & 0o777 == 0o700


def test_rights_that_were_too_wide_end_with_the_next_change(tmp_path: Path) -> None:
    """A file that came out of a backup, for example."""
    book = KeyFile(tmp_path)
    book.add(_key())
    book.path.chmod(0o644)
    book.add(_key())
    assert book.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("how", ["before", "part", "after"])
@pytest.mark.parametrize("at", range(1, 5))
def test_a_disk_that_refuses_leaves_the_old_keys_or_the_new_ones(
    tmp_path: Path, at: int, how: str
) -> None:
    """Whichever step fails: nothing between, and the next change works."""
    old, new = _key("old"), _key("new")
    KeyFile(tmp_path).add(old)
    disk = Faulty(at, how)
    with pytest.raises(StorageError, match="No space left"):
        KeyFile(tmp_path, disk).add(new)
    assert disk.calls == at
    assert KeyFile(tmp_path).read() in {(old,), (old, new)}
    KeyFile(tmp_path).add(_key("later"))
    assert KeyFile(tmp_path).read()[-1].name == "later"


def test_the_faults_are_all_there_are(tmp_path: Path) -> None:
    """A change asks the disk for just as many things as the test above lets fail."""
    disk = Faulty(0, "before")
    KeyFile(tmp_path, disk).add(_key())
    assert disk.calls == 4


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"[]", b"null", b'{"format":1}', b'{"format":1,"keys":[{}]}', b"\xff\xfe",
     b'{"format":1,"keys":[],"more":1}', b'{"format":"1","keys":[]}'],
)  # fmt: skip
def test_a_damaged_file_is_named_and_left_alone(tmp_path: Path, damage: bytes) -> None:
    """It is no empty one: that would let everybody in."""
    book = KeyFile(tmp_path)
    book.path.write_bytes(damage)
    for use in (book.read, lambda: book.add(_key()), lambda: book.revoke("x", 0)):
        with pytest.raises(CorruptLogError, match="restore it from a backup"):
            use()
    assert book.path.read_bytes() == damage


def test_any_flipped_bit_adds_no_right(tmp_path: Path) -> None:
    """What can still be read holds no wider scope and brings no key back."""
    book = KeyFile(tmp_path)
    book.add(_key("one"))
    book.revoke(book.read()[0].prefix, NOW_US)
    raw = book.path.read_bytes()
    for at in range(len(raw)):
        for bit in range(8):
            book.path.write_bytes(raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :])
            try:
                found = book.read()
            except (CorruptLogError, ConfigError):
                continue
            for key in found:
                assert key.state(NOW_US) == "revoked"
                assert [scope.value for scope in key.scopes] == ["read"]


def test_a_newer_format_is_refused_and_left_alone(tmp_path: Path) -> None:
    """Whatever else it holds."""
    book = KeyFile(tmp_path)
    book.path.write_text('{"format": 2, "things": {}}')
    with pytest.raises(ConfigError, match="upgrade"):
        book.read()
    with pytest.raises(ConfigError, match="upgrade"):
        book.add(_key())
    assert "things" in book.path.read_text()


def test_a_file_that_is_no_file_is_named(tmp_path: Path) -> None:
    """A folder of that name lets nobody in."""
    book = KeyFile(tmp_path)
    book.path.mkdir()
    with pytest.raises(StorageError, match=r"keys\.json: cannot be read"):
        book.read()


def test_a_writer_that_never_ends_is_not_waited_for(tmp_path: Path) -> None:
    """Readers do not notice; another writer is told whom it waits for."""
    book = KeyFile(tmp_path)
    book.add(_key())
    lock = OwnerLock(tmp_path / "keys.lock", book.path)
    try:
        assert len(book.read()) == 1
        with pytest.raises(StorageError, match="another process"):
            KeyFile(tmp_path, lock_wait_s=0.1).add(_key())
    finally:
        lock.release()
    book.add(_key())
    assert len(book.read()) == 2


def test_the_page_of_the_format_says_what_is_written(tmp_path: Path) -> None:
    """Member by member, in order."""
    book = KeyFile(tmp_path)
    book.add(_key())
    written = json.loads(book.path.read_text())
    assert list(written) == ["format", "keys"]
    members = list(written["keys"][0])
    page = PAGE.read_text(encoding="utf-8")
    rows = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert rows == members
    shown = json.loads(page.partition("```json\n")[2].partition("```")[0])
    assert list(shown["keys"][0]) == members
    assert len(book.path.read_bytes().splitlines()) == 3

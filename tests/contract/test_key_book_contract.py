"""What every book of keys promises, over each of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from selfright.errors import ConfigError, UnknownNameError
from selfright.server.access.book import KeyBook, MemoryKeyBook
from selfright.server.access.key import Key, mint
from selfright.server.access.key_file import KeyFile

Open = Callable[[], KeyBook]
NOW_US = 1_767_225_600_000_000


def _key(name: str = "scraper") -> Key:
    return mint(name, ["read"], NOW_US)[0]


@pytest.fixture(params=["memory", "file"])
def open_book(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Return a function that opens the same book as another process would, where it can be."""
    if request.param == "file":
        return lambda: KeyFile(tmp_path / "data")
    book = MemoryKeyBook()
    return lambda: book


def test_a_new_book_holds_nothing(open_book: Open) -> None:
    """And asking makes nothing."""
    assert open_book().read() == ()


def test_what_was_added_is_read_by_everybody_in_order(open_book: Open) -> None:
    """Oldest first, whole."""
    keys = [_key(f"key {i}") for i in range(3)]
    for key in keys:
        open_book().add(key)
    assert open_book().read() == tuple(keys)


def test_no_two_keys_have_one_prefix(open_book: Open) -> None:
    """Or who revokes one of them would not know which."""
    key = _key()
    open_book().add(key)
    with pytest.raises(ConfigError, match="is taken"):
        open_book().add(msgspec.structs.replace(_key(), prefix=key.prefix))
    assert open_book().read() == (key,)


def test_what_was_revoked_stays_and_says_so(open_book: Open) -> None:
    """The others are as they were; revoking twice keeps the first time."""
    first, second = _key(), _key()
    book = open_book()
    book.add(first)
    book.add(second)
    assert book.revoke(first.prefix, NOW_US + 1).revoked_us == NOW_US + 1
    assert book.revoke(first.prefix, NOW_US + 2).revoked_us == NOW_US + 1
    found = open_book().read()
    assert [key.state(NOW_US) for key in found] == ["revoked", "active"]
    assert found[1] == second


def test_a_whole_key_will_do_to_revoke_it(open_book: Open) -> None:
    """Who finds a key in a log has just that."""
    key, text = mint("leaked", ["admin"], NOW_US)
    open_book().add(key)
    assert open_book().revoke(text, NOW_US).prefix == key.prefix


def test_an_unknown_key_cannot_be_revoked(open_book: Open) -> None:
    """The nearest one is suggested, and no secret repeated."""
    key, _ = mint("one", ["read"], NOW_US)
    _, strange = mint("other", ["read"], NOW_US)
    book = open_book()
    book.add(key)
    with pytest.raises(UnknownNameError, match=f"did you mean {key.prefix}"):
        book.revoke(key.prefix[:-1], NOW_US)
    with pytest.raises(UnknownNameError) as caught:
        book.revoke(strange, NOW_US)
    assert strange not in str(caught.value)
    assert book.read() == (key,)


def test_nothing_is_lost_where_many_write_at_once(open_book: Open) -> None:
    """Each change sees the one before."""
    keys = [_key(f"key {i}") for i in range(24)]

    def write(mine: list[Key]) -> None:
        for key in mine:
            book = open_book()
            book.add(key)
            book.revoke(key.prefix, NOW_US)

    threads = [threading.Thread(target=write, args=(keys[i::4],)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = open_book().read()
    assert {key.prefix for key in found} == {key.prefix for key in keys}
    assert {key.revoked_us for key in found} == {NOW_US}

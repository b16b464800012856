"""Which keys count now, and whether one is needed at all."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from selfright.errors import CorruptLogError
from selfright.server.access import ring as ring_module
from selfright.server.access.book import MemoryKeyBook
from selfright.server.access.key import Key, mint
from selfright.server.access.key_file import KeyFile
from selfright.server.access.ring import REFRESH_S, KeyRing

NOW_US = 1_767_225_600_000_000


def _key(name: str = "x") -> tuple[Key, str]:
    return mint(name, ["read"], NOW_US)


def test_without_a_book_there_are_no_keys_and_none_is_needed() -> None:
    """What a program has that serves itself alone."""
    ring = KeyRing()
    ring.load()
    asyncio.run(ring.refresh())
    assert not ring.required
    assert ring.find(_key()[1], NOW_US) is None


def test_a_first_key_closes_and_nothing_opens_again() -> None:
    """Neither the revocation of the last key nor a book that is empty all at once."""
    key, text = _key()
    book = MemoryKeyBook()
    ring = KeyRing(book)
    ring.load()
    assert not ring.required
    book.add(key)
    ring.load()
    assert ring.required
    assert ring.find(text, NOW_US) == key
    book.revoke(key.prefix, NOW_US)
    ring.load()
    assert ring.required
    assert ring.find(text, NOW_US) is None
    book._keys = ()
    ring.load()
    assert ring.required


def test_a_service_that_starts_with_revoked_keys_alone_is_closed() -> None:
    """A restart does not make it forget that there were keys."""
    key, _ = _key()
    book = MemoryKeyBook([key])
    book.revoke(key.prefix, NOW_US)
    ring = KeyRing(book)
    ring.load()
    assert ring.required
    assert ring.usable(NOW_US) == 0


def test_the_owner_has_a_key_besides_those_of_the_book() -> None:
    """It closes nothing, and is found like any other."""
    owner, text = mint("owner", ["admin"], NOW_US)
    ring = KeyRing(MemoryKeyBook(), owner=owner)
    ring.load()
    assert not ring.required
    assert ring.find(text, NOW_US) == owner
    assert ring.find(text[:-1] + "x", NOW_US) is None
    assert ring.usable(NOW_US) == 0


def test_what_another_process_changed_is_seen_within_seconds(tmp_path: Path) -> None:
    """At the first request a second later; not at each one."""
    key, text = _key()
    ring = KeyRing(KeyFile(tmp_path))
    ring.load()

    async def story() -> list[bool]:
        seen = []
        KeyFile(tmp_path).add(key)
        await ring.refresh()
        seen.append(ring.find(text, NOW_US) is not None)
        await asyncio.sleep(REFRESH_S)
        await ring.refresh()
        seen.append(ring.find(text, NOW_US) is not None)
        KeyFile(tmp_path).revoke(key.prefix, NOW_US)
        ring.forget()  # what a change by this process does
        await ring.refresh()
        seen.append(ring.find(text, NOW_US) is not None)
        return seen

    assert asyncio.run(story()) == [False, True, False]


def test_many_requests_at_once_look_once() -> None:
    """A book may be slow."""

    class Counting(MemoryKeyBook):
        looks = 0

        def read(self) -> tuple[Key, ...]:
            self.looks += 1
            return super().read()

    book = Counting()
    ring = KeyRing(book)

    async def crowd() -> None:
        await asyncio.gather(*(ring.refresh() for _ in range(50)))

    asyncio.run(crowd())
    assert book.looks == 1


@pytest.mark.allow_errors
def test_keys_that_cannot_be_read_are_trouble_until_they_can(tmp_path: Path) -> None:
    """A start is refused; a service that runs says why, and recovers by itself."""
    key, text = _key()
    book = KeyFile(tmp_path)
    book.add(key)
    good = book.path.read_bytes()
    ring = KeyRing(book)
    ring.load()
    book.path.write_bytes(b"{")
    with pytest.raises(CorruptLogError):
        KeyRing(book).load()
    ring.forget()
    asyncio.run(ring.refresh())
    assert ring.trouble is not None
    assert "keys.json" in ring.trouble
    book.path.write_bytes(good)
    ring.forget()
    asyncio.run(ring.refresh())
    assert ring.trouble is None
    assert ring.find(text, NOW_US) == key
    assert ring_module.REFRESH_S <= 2

"""A session proves who logged in, for a while, and is no key."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfright.server.access import session as session_module
from selfright.server.access.key import Key, mint
from selfright.server.access.session import Sessions

NOW_US = 1_767_225_600_000_000
HOUR_US = 3_600_000_000
KEY, TEXT = mint("person", ["read"], NOW_US)
OTHER, _ = mint("other", ["admin"], NOW_US)


def _named(*keys: Key):
    return lambda prefix, now_us: next(
        (key for key in keys if key.prefix == prefix and key.state(now_us) == "active"), None
    )


NAMED = _named(KEY, OTHER)


def test_a_session_proves_its_key_until_it_ends() -> None:
    """To the second."""
    sessions = Sessions(3600)
    cookie = sessions.begin(KEY, NOW_US)
    assert sessions.holder(cookie, NAMED, NOW_US) == KEY
    assert sessions.holder(cookie, NAMED, NOW_US + HOUR_US - 1) == KEY
    assert sessions.holder(cookie, NAMED, NOW_US + HOUR_US) is None


def test_the_cookie_holds_neither_key_nor_digest() -> None:
    """What lies in a browser opens nothing once the session has ended."""
    cookie = Sessions(3600).begin(KEY, NOW_US)
    assert TEXT.rpartition("_")[2] not in cookie
    assert KEY.digest not in cookie


def test_a_session_ends_with_its_key() -> None:
    """Revoked, expired, or another one of the same prefix."""
    sessions = Sessions(3600)
    cookie = sessions.begin(KEY, NOW_US)
    revoked = msgspec.structs.replace(KEY, revoked_us=NOW_US)
    replaced = msgspec.structs.replace(KEY, digest="0" * 64)
    for keys in ((), (revoked,), (replaced,)):
        assert sessions.holder(cookie, _named(*keys), NOW_US) is None


def test_a_session_that_was_ended_has_ended_alone() -> None:
    """Another one of the same key goes on."""
    sessions = Sessions(3600)
    first, second = sessions.begin(KEY, NOW_US), sessions.begin(KEY, NOW_US)
    sessions.end(first, NOW_US)
    assert sessions.holder(first, NAMED, NOW_US) is None
    assert sessions.holder(second, NAMED, NOW_US) == KEY


def test_a_session_ends_with_the_process_that_began_it() -> None:
    """Each process signs with a secret of its own."""
    assert Sessions(3600).holder(Sessions(3600).begin(KEY, NOW_US), NAMED, NOW_US) is None


def test_ended_sessions_are_not_remembered_for_ever() -> None:
    """Only until they would have ended, and no more than so many."""
    sessions = Sessions(3600)
    for _ in range(50):
        sessions.end(sessions.begin(KEY, NOW_US), NOW_US)
    assert len(sessions._ended) == 50
    later_us = NOW_US + 2 * HOUR_US
    sessions.end(sessions.begin(KEY, later_us), later_us)
    assert len(sessions._ended) == 1
    most = session_module._MOST_ENDED
    sessions._ended = {f"{i}": later_us for i in range(most)}
    sessions.end(sessions.begin(KEY, later_us), later_us)
    assert len(sessions._ended) == most


@pytest.mark.parametrize(
    "cookie",
    ["", "...", "a.b.c.d", f"{KEY.prefix}.9999999999.00.", f"{KEY.prefix}.-1.0.0",
     f"{KEY.prefix}.٣.0.0", f"{KEY.prefix}.{'9' * 400}.0.0", f"{KEY.prefix}.9999999999.0.\xff"],
)  # fmt: skip
def test_nonsense_is_no_session(cookie: str) -> None:
    """And raises nothing."""
    sessions = Sessions(3600)
    assert sessions.holder(cookie, NAMED, NOW_US) is None
    sessions.end(cookie, NOW_US)


@given(st.data())
def test_no_changed_character_passes(data: st.DataObject) -> None:
    """Whichever: prefix, end, nonce and signature all count."""
    sessions = Sessions(3600)
    cookie = sessions.begin(KEY, NOW_US)
    at = data.draw(st.integers(0, len(cookie) - 1))
    char = data.draw(st.characters(min_codepoint=33, max_codepoint=126))
    changed = cookie[:at] + char + cookie[at + 1 :]
    assert (sessions.holder(changed, NAMED, NOW_US) == KEY) == (changed == cookie)


def test_a_session_cannot_be_made_into_another_s() -> None:
    """Who may read does not become who may do everything."""
    sessions = Sessions(3600)
    cookie = sessions.begin(KEY, NOW_US).replace(KEY.prefix, OTHER.prefix)
    assert sessions.holder(cookie, NAMED, NOW_US) is None

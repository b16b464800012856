"""The words a run may end with."""

from __future__ import annotations

from selfright.events.status import ACCEPTED, ALIASES, DECIDED, ERRORS, RunStatus


def test_the_stored_integers_never_change() -> None:
    """Logs written by older versions hold them."""
    assert {status.word: int(status) for status in RunStatus} == {
        "success": 0,
        "failure": 1,
        "partial": 2,
        "timeout": 3,
        "cancelled": 4,
        "interrupted": 5,
        "pending": 6,
    }


def test_an_interrupt_says_nothing_about_the_agent() -> None:
    """Neither does a cancellation, and a pending run has not ended."""
    assert {status.word for status in DECIDED} == {"success", "failure", "partial", "timeout"}
    assert {status.word for status in ERRORS} == {"failure", "timeout"}


def test_every_word_is_its_own_alias_and_every_alias_a_status() -> None:
    """Lower case, for that is how they are looked up."""
    for status in RunStatus:
        assert ALIASES[status.word] == status
        assert status.word in ACCEPTED
    for alias, code in ALIASES.items():
        assert alias == alias.lower()
        assert code in set(RunStatus)

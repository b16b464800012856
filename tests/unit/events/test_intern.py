"""Names to dense ints: a function of the order of first appearance alone."""

from __future__ import annotations

from selfright.events.intern import Interner


def test_codes_are_dense_and_stay() -> None:
    """Whether names come one by one or many at once."""
    agents = Interner()
    assert agents.codes(["b", "a", "b"]).tolist() == [0, 1, 0]
    assert (agents.code("c"), agents.code("a"), len(agents)) == (2, 1, 3)
    assert agents.names == ["b", "a", "c"]
    assert Interner(agents.names).codes(["c", "b"]).tolist() == [2, 0]


def test_asking_teaches_nothing() -> None:
    """A look-up of a stranger is None."""
    agents = Interner(["a"])
    assert (agents.get("a"), agents.get("z"), len(agents)) == (0, None, 1)


def test_beyond_the_limit_names_share_the_last_code() -> None:
    """Memory stays bounded, and the first come keep their own."""
    agents = Interner(limit=3)
    assert agents.codes(["a", "b", "c", "d", "a"]).tolist() == [0, 1, 2, 2, 0]
    assert agents.names == ["a", "b", Interner.OTHER]
    assert agents.overflowed
    assert not Interner(["a", "b"], limit=3).overflowed
    again = Interner(agents.names, limit=3)
    assert again.overflowed
    assert again.codes(["x", "b"]).tolist() == [2, 1]


def test_an_agent_may_be_called_other() -> None:
    """Then it shares the code of the overflow; it is not refused."""
    agents = Interner(limit=2)
    assert agents.codes(["a", "_other", "z"]).tolist() == [0, 1, 1]

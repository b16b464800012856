"""Names to indices under a cap."""

from __future__ import annotations

import numpy as np

from selfright.learn.hierarchy.names import OTHER, UNSEEN, Names


def test_below_the_cap_every_name_has_its_own_index():
    """Also None, which counts towards no cap."""
    names = Names(3)
    assert names.admit(["a", None, "b", "a", "c"]) is None
    assert [names.find(n) for n in ("a", None, "b", "c")] == [0, 1, 2, 3]
    assert names.find("d") == UNSEEN
    assert names.find_all(["c", "d"]).tolist() == [3, UNSEEN]


def test_above_the_cap_the_same_names_stay_whatever_came_first():
    """Which names are pooled follows from the names, not from their order."""
    rng = np.random.default_rng(0)
    everybody = [f"agent {i}" for i in range(50)]
    stayed = set()
    for _ in range(5):
        names = Names(8)
        for name in rng.permutation(everybody):
            names.admit([str(name)])
        stayed.add(frozenset(names.names))
        assert len(names) == 9
        pooled = [n for n in everybody if n not in names.index]
        assert {names.find(n) for n in pooled} == {names.index[OTHER]}
    assert len(stayed) == 1


def test_moves_tell_where_every_old_index_went():
    """A name that is pushed out is pooled; the others keep an index of their own."""
    names = Names(2)
    names.admit(["a", "b"])
    fresh = next(n for n in map(str, range(1000)) if _stays_with(n, "a", "b"))
    moved = names.admit([fresh])
    old = ["a", "b"]
    assert [names.names[i] for i in moved.tolist()] in (
        [old[0], OTHER],
        [OTHER, old[1]],
    )


def test_the_order_is_that_of_the_hashes_with_the_pool_last():
    """Two ways to the same set of names give the same canonical order."""
    one, other = Names(4), Names(4)
    one.admit(["x", None, "y", "z"])
    other.admit(["z"])
    other.admit(["y", "x", None])
    assert [one.names[i] for i in one.order()] == [other.names[i] for i in other.order()]
    one.admit(["p", "q", "r", "s"])
    assert one.names[one.order()[-1]] == OTHER
    assert one.names[one.order()[0]] is None


def test_dropping_names_makes_room():
    """What was dropped is unseen, and another name can take its place."""
    names = Names(2)
    names.admit(["a", "b"])
    assert names.keep(np.array([1])).tolist() == [UNSEEN, 0]
    assert names.find("a") == UNSEEN
    assert names.admit(["c"]) is None
    assert names.find("c") == 1


def _stays_with(name, *others):
    """Return whether ``name`` pushes one of the others out of a full house."""
    names = Names(len(others))
    names.admit(others)
    names.admit([name])
    return name in names.index

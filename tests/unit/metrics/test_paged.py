"""Counts in pages are those of a plain dictionary."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfright.metrics.histogram import BUCKETS, OCTAVES
from selfright.metrics.labels import SLOT_BITS, SLOTS, Kind, Labels
from selfright.metrics.paged import PAGES, PagedCounts

AGENTS = 5
keys = st.tuples(st.integers(0, AGENTS - 1), st.integers(0, SLOTS - 1))


def total(pages, agent):
    """Return slot and count of what is not zero."""
    every = range(PAGES)
    found = pages.pages_of_all(every) if agent is None else pages.pages_of(np.array([agent]), every)
    rows, slots, counts = found.entries()
    assert not rows.any()
    return dict(zip(slots.tolist(), counts.tolist(), strict=True))


@given(st.lists(st.lists(keys, max_size=60)), st.booleans())
def test_pages_count_like_a_dictionary(batches, one_by_one):
    """However the counts come in, per agent and for all together."""
    pages, expected = PagedCounts(2), Counter()
    pages.reserve(AGENTS)
    for batch in batches:
        counted = Counter(agent << SLOT_BITS | slot for agent, slot in batch)
        expected += counted
        if one_by_one:
            for key in counted.elements():
                pages.add_one(key)
        elif counted:
            pages.add(np.array(list(counted)), np.array(list(counted.values())))
    found = dict(zip(*(array.tolist() for array in pages.entries()), strict=True))
    assert found == dict(sorted(expected.items()))
    for agent in range(AGENTS):
        mine = {key & SLOTS - 1: n for key, n in expected.items() if key >> SLOT_BITS == agent}
        assert total(pages, agent) == mine
    everyone = Counter()
    for key, n in expected.items():
        everyone[key & SLOTS - 1] += n
    assert total(pages, None) == everyone


def test_clearing_an_agent_leaves_the_others():
    """And its pages serve again."""
    pages = PagedCounts(3)
    every = np.array([1 << SLOT_BITS | 40, 2 << SLOT_BITS | 40])
    pages.add(every, np.array([3, 4]))
    pages.clear(1)
    assert (total(pages, 1), total(pages, 2)) == ({}, {40: 4})
    pages.add_one(1 << SLOT_BITS | 41)
    assert total(pages, 1) == {41: 1}


@given(st.lists(st.lists(st.integers(0, BUCKETS - 1), min_size=1, max_size=40), min_size=1))
def test_slots_at_ranks_are_those_of_the_sorted_values(agents):
    """For each agent at each rank, all agents at once."""
    pages = PagedCounts(len(agents))
    for agent, buckets in enumerate(agents):
        for bucket in buckets:
            pages.add_one(agent << SLOT_BITS | bucket)
    ranks = np.array([[1, (len(buckets) + 1) // 2, len(buckets)] for buckets in agents])
    found = pages.pages_of(np.arange(len(agents)), range(OCTAVES)).slots_at(ranks)
    wanted = [
        [sorted(buckets)[place - 1] for place in row]
        for buckets, row in zip(agents, ranks.tolist(), strict=True)
    ]
    assert found.tolist() == wanted


def test_names_beyond_a_kinds_share_count_as_other():
    """A sender may invent names without end; slots and memory stay what they are."""
    labels = Labels()
    names = [f"error {i}" for i in range(1000)]
    slots = labels.slots(Kind.ERROR, names)
    assert len(set(slots.tolist())) == 256
    assert labels.find(int(slots[-1])) == (Kind.ERROR, "_other")
    assert labels.find(int(slots[0])) == (Kind.ERROR, "error 0")
    assert labels.slot(Kind.ERROR, "one more") == slots[-1]
    assert labels.slots(Kind.TASK_TYPE, [None, "code", None]).tolist()[::2] == [-1, -1]


@pytest.mark.parametrize("kind", list(Kind))
def test_kinds_do_not_share_slots(kind):
    """The same name of another kind has another slot, which leads back to its kind."""
    labels = Labels()
    assert labels.find(labels.slot(kind, "user")) == (kind, "user")

"""Whatever is opened, written and closed in whatever order, lanes hold what was written last."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from selfright.detect.columns.lanes import Lanes

STREAMS, WIDTH = 40, 3
SCORES = 20  # streams from here on count in 2^32
BITS = 32
counts = st.one_of(
    st.integers(-130, 130),
    st.integers(-(1 << 16), 1 << 16),
    st.integers(-(1 << 32), 1 << 32),
    st.integers(-(1 << 62), 1 << 62),
)
scores = st.one_of(
    st.integers(-130, 130).map(lambda whole: whole << BITS),
    st.integers(-(1 << 16), 1 << 16).map(lambda whole: whole << BITS),
    st.integers(0, 1 << 40),
)
streams = st.lists(st.integers(0, STREAMS - 1), unique=True)


@st.composite
def written(draw):
    """Return numbers by stream and column."""
    places = st.tuples(st.integers(0, STREAMS - 1), st.integers(0, WIDTH - 1))
    chosen = draw(st.lists(places, unique=True, max_size=30))
    return {place: draw(scores if place[0] >= SCORES else counts) for place in chosen}


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("open"), streams),
            st.tuples(st.just("close"), streams),
            st.tuples(st.just("write"), written()),
        ),
        max_size=12,
    )
)
def test_lanes_hold_what_was_written_last(acts):
    """They are held against a dictionary after every act."""
    lanes, held = Lanes(WIDTH), {}
    lanes.reach(STREAMS // 2)
    lanes.reach(STREAMS)
    for act, what in acts:
        if act == "open":
            fresh = [stream for stream in what if (stream, 0) not in held]
            lanes.open(np.array(fresh, dtype=np.int64))
            held.update({(stream, column): 0 for stream in fresh for column in range(WIDTH)})
        elif act == "close":
            lanes.close(np.array(what, dtype=np.int64))
            held = {place: number for place, number in held.items() if place[0] not in what}
        else:
            known = {place: number for place, number in what.items() if place in held}
            stream, column, shift = _columns(known)
            lanes.write(stream, column, np.array([*known.values()], dtype=np.int64), shift)
            held |= known
        stream, column, shift = _columns(held)
        assert lanes.read(stream, column, shift).tolist() == list(held.values())
        there = {stream for stream, _ in held}
        assert lanes.has(np.arange(STREAMS)).tolist() == [s in there for s in range(STREAMS)]


def _columns(places):
    stream, column = np.array([*places], dtype=np.int64).reshape(-1, 2).T
    return stream, column, np.where(stream >= SCORES, BITS, 0)

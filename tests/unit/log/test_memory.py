"""The log in memory: bounded, and small where commits are small."""

from __future__ import annotations

import tracemalloc

from selfright.log.memory import MemoryLog
from selfright.log.stored import pack, unpack


def test_capacity_bounds_the_rows(make):
    """Whole commits go, oldest first; a little more than needed, never the newest."""
    log = MemoryLog(100)
    for i in range(50):
        log.append(make.intake([make.run(f"r{i}.{j}") for j in range(7)]), i)
        assert log.next_offset - log.first_offset <= 100
    assert log.next_offset - log.first_offset >= 100 - 100 // 32 - 7
    assert log.read(0)[0].first_offset == log.first_offset
    log.append(make.intake([make.run(f"big{j}") for j in range(500)]), 99)
    assert log.next_offset - log.first_offset == 500


def test_thousands_of_small_commits_are_found_by_offset(make):
    """Also where older ones are packed and dropped ones have left their place."""
    log = MemoryLog(500)
    for i in range(1500):
        log.append(make.intake([make.run(f"r{i}", timestamp=i)]), i)
    assert log.first_offset == 1500 - len(log.read(0, 10**9))
    for offset in range(log.first_offset, 1500, 37):
        (commit,) = log.read(offset, 1)
        assert (commit.first_offset, commit.runs.run_id) == (offset, [f"r{offset}"])
        assert log.find_run(f"r{offset}").seq.tolist() == [offset]
    assert len(log.read(0, 10**9)) > 450
    assert log.find_run("r100") is None


def test_replay_without_a_capacity_keeps_everything(make):
    """None is no bound."""
    log = MemoryLog(None)
    for i in range(210):
        log.append(make.intake([make.run(f"r{i}.{j}") for j in range(500)]), i)
    assert log.first_offset == 0
    assert log.read(0, 1)[0].runs.run_id[0] == "r0.0"


def test_small_commits_take_little_memory(make):
    """As columns a commit of one run takes 4 KB; packed, well below 1 KB."""
    log = MemoryLog()
    taken = []
    tracemalloc.start()
    for i in range(700):
        log.append(make.intake([make.run(f"r{i}")]), i)
        if i in {299, 699}:
            taken.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert (taken[1] - taken[0]) / 400 < 1000


def test_packed_commit_is_the_same_in_every_value_and_type(make):
    """Nested attributes, joined rows and acts included."""
    log = MemoryLog()
    odd = {"a": [1, 2.0, True, None, {"ü": -(2**63)}], "b": {}, "c": 2**64 - 1}
    log.append(
        make.intake([make.run("r1", status="pending", metadata=odd, context=odd, config={})]), 1
    )
    log.append(
        make.intake(
            [make.run("r1", metadata=odd)],
            [make.outcome(run_id="r1", predicted_outcome=odd, actual_outcome=[], metadata={})],
            [make.act("x")],
        ),
        2,
    )
    for commit in log.read(0):
        again = unpack(pack(commit))
        assert again.acts == commit.acts
        for name in ("runs", "outcomes", "retracted_runs", "retracted_outcomes"):
            one, other = getattr(commit, name), getattr(again, name)
            assert one.seq.tolist() == other.seq.tolist()
            assert repr(one.rows()) == repr(other.rows())

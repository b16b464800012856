"""Cut anywhere, condensed part by part and joined, a log teaches what it teaches read in a row."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from selfright.events.absent import without_deleted
from selfright.events.batch import Intake
from selfright.events.door import Door
from selfright.events.raw import outcome_batch, run_batch
from selfright.learn.feed import RewardPolicy
from selfright.learn.model_type import ModelType
from selfright.learn.parts.extract import Extract, extract
from selfright.learn.parts.join import join
from selfright.log.memory import MemoryLog
from selfright.retrain.gather import read_samples

NOW = 1_700_000_000_000_000
DOOR = Door(lambda predicted, actual: float(predicted == actual), clamp_future=False)
AGENTS = ("ada", "bo", "cy")
POLICIES = (RewardPolicy(), RewardPolicy(1.0, 0.5, 0.01, 1.0, 60.0))

# So few ids, times and scores that runs are corrected, outcomes come twice, late, before their
# run or for another agent's, and samples are equal in all that they say.
run = st.tuples(
    st.just("run"), st.sampled_from(AGENTS), st.integers(0, 9),
    st.sampled_from(["success", "failure", "failure", "timeout", "partial", "pending"]),
    st.sampled_from([None, "t", "u"]), st.integers(0, 3), st.sampled_from([None, 0.5, 3.0]),
)  # fmt: skip
outcome = st.tuples(
    st.just("outcome"), st.sampled_from(AGENTS), st.integers(0, 9),
    st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from(["user", "judge"]), st.integers(0, 3),
    st.sampled_from([None, "o1", "o2"]),
)  # fmt: skip
# Runs thrice as often: an agent is judged by its status until its first outcome.
histories = st.lists(st.lists(st.one_of(run, run, run, outcome), max_size=6), max_size=12)


def recorded(history):
    """Return a log with one commit for each list of rows."""
    log = MemoryLog(None)
    for at, rows in enumerate(history):
        runs, outcomes, run_seq, outcome_seq = [], [], [], []
        for seq, (kind, agent, number, what, named, ts, more) in enumerate(rows):
            if kind == "run":
                runs.append(DOOR.run(
                    f"r{number}", agent, "llm", what, 10.0 + number, None, more, None, None,
                    0.25 * (number % 4), None, None, None, (NOW + ts) / 1e6, None, None, None, 0,
                    f"task{number}", named, {"size": ts, "tool": "x"} if number % 4 else None,
                    None, None, None, None,
                    {"k": number % 2} if number % 3 else None, f"route{number % 2}", NOW,
                ))  # fmt: skip
                run_seq.append(seq)
            else:
                by_run = number % 2
                outcomes.append(DOOR.outcome(
                    agent, None if by_run else f"task{number}", None, None, named, None,
                    (NOW + ts + 1) / 1e6, what, more, f"r{number}" if by_run else None, NOW,
                ))  # fmt: skip
                outcome_seq.append(seq)
        log.append(
            Intake(
                run_batch(runs, np.array(run_seq, dtype=np.int64)),
                outcome_batch(outcomes, np.array(outcome_seq, dtype=np.int64)),
            ),
            NOW + at,
        )
    return log


def plain(samples):
    """Return samples as lists."""
    columns = (samples.y, samples.weight, samples.ts_us)
    about = samples.features or [None] * len(samples)
    return [samples.arm, samples.group, about, *(column.tolist() for column in columns)]


def parted(log, cuts, model_type, policy, deleted):
    """Return the log's commits, condensed part by part, each sent as bytes."""
    commits = [without_deleted(commit, deleted) for commit in log.read(0, 10**9)]
    edges = [0, *sorted(cut % (len(commits) + 1) for cut in cuts), len(commits)]
    return [
        Extract.decode(extract(commits[a:b], model_type, policy).encode())
        for a, b in pairwise(edges)
    ]


@examples(max_examples=150)
@given(
    histories, st.lists(st.integers(0, 12), max_size=6), st.sampled_from(list(ModelType)),
    st.sampled_from(POLICIES), st.sampled_from([0, 1, 3, 8]),
    st.dictionaries(st.sampled_from(AGENTS), st.integers(NOW, NOW + 3), max_size=2),
)  # fmt: skip
def test_parts_joined_say_what_the_feed_says(history, cuts, model_type, policy, limit, deleted):
    """The same samples in the same order: corrections, late outcomes and deletions included."""
    log = recorded(history)
    whole = read_samples(log, policy, model_type, 0, deleted=deleted)
    joined = join(parted(log, cuts, model_type, policy, deleted), model_type)
    assert plain(joined.samples()) == plain(whole)
    newest = plain(joined.newest(limit).samples())
    assert newest == [column[len(whole) - limit if limit < len(whole) else 0 :] if limit else column
                      for column in plain(whole)]  # fmt: skip


@examples(max_examples=20)
@given(st.integers(250, 300), st.lists(st.integers(0, 60), max_size=4))
def test_failures_that_wait_are_as_many_as_the_feed_keeps(failures, cuts):
    """Beyond 256 per agent the oldest is forgotten, wherever the parts are cut."""
    history = [
        [("run", "ada", 6 * i + j, "failure", None, 0, None) for j in range(6)]
        for i in range(failures // 6)
    ]
    history.append([("outcome", "ada", 1, 1.0, "user", 2, None)])
    history.append([("outcome", "ada", failures - 5 | 1, 1.0, "user", 2, None)])
    log = recorded(history)
    for model_type in ModelType:
        whole = read_samples(log, POLICIES[0], model_type, 0)
        parts = parted(log, cuts, model_type, POLICIES[0], {})
        assert plain(join(parts, model_type).samples()) == plain(whole)


def test_a_damaged_extract_is_refused():
    """One byte is enough, as is a missing end."""
    data = extract(recorded([[("run", "ada", 1, "failure", "t", 0, None)]]).read(0),
                   ModelType.AGENT_SELECTION, POLICIES[0]).encode()  # fmt: skip
    for damaged in (data[:-1], data[:9] + bytes([data[9] ^ 1]) + data[10:], b""):
        with pytest.raises(ValueError, match="checksum"):
            Extract.decode(damaged)

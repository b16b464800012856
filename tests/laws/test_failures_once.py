"""A failed run counts once, as 0, in every model that chooses, until an outcome replaces it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from selfright.events.batch import Intake
from selfright.events.door import Door
from selfright.events.raw import outcome_batch, run_batch
from selfright.events.status import ERRORS, RunStatus
from selfright.learn.feed import Feed, RewardPolicy
from selfright.learn.model_type import ModelType
from selfright.learn.parts.extract import extract
from selfright.learn.parts.join import join
from selfright.log.memory import MemoryLog

NOW = 1_700_000_000_000_000
DOOR = Door(lambda predicted, actual: float(predicted == actual), clamp_future=False)
CHOOSING = (ModelType.AGENT_SELECTION, ModelType.ROUTING, ModelType.PARAMETER_OPTIMIZATION)
AGENTS = ("ada", "bo")

# Few runs, of two agents: they are corrected, and their outcomes come before or after them.
# No outcome is worth 0, so that a 0 is always a failed run.
number = st.integers(0, 5)
run = st.tuples(st.just("run"), number, st.sampled_from(["success", "failure", "timeout"]))
outcome = st.tuples(st.just("outcome"), number, st.sampled_from([0.5, 1.0]))
histories = st.lists(st.lists(st.one_of(run, run, outcome), max_size=5), max_size=10)


def recorded(history):
    """Return a log with one commit for each list of rows, each later than what came before."""
    log, ts = MemoryLog(None), 0
    for rows in history:
        kept = {"run": ([], []), "outcome": ([], [])}
        for seq, (kind, of, what) in enumerate(rows):
            ts += 1
            name, run_id = AGENTS[of % 2], f"r{of}"
            if kind == "run":
                row = DOOR.run(
                    run_id, name, "llm", what, 10.0, *[None] * 6, None, None, (NOW + ts) / 1e6,
                    None, None, None, 0, None, None, None, None, None, None, None, {"k": of},
                    "fast", NOW + ts,
                )  # fmt: skip
            else:
                row = DOOR.outcome(
                    name, None, None, None, "user", None, (NOW + ts) / 1e6, what, None, run_id,
                    NOW + ts,
                )  # fmt: skip
            kept[kind][0].append(row)
            kept[kind][1].append(seq)
        runs, outcomes = (
            make(found, np.array(seqs, dtype=np.int64))
            for make, (found, seqs) in zip((run_batch, outcome_batch), kept.values(), strict=True)
        )
        log.append(Intake(runs, outcomes), NOW + ts)
    return log


def waiting(log, history):
    """Return how many runs have failed, as they stand now, and have no outcome."""
    told = {of for rows in history for kind, of, _ in rows if kind == "outcome"}
    found = {
        of: log.find_run(f"r{of}") for rows in history for kind, of, _ in rows if kind == "run"
    }
    return sum(
        of not in told and RunStatus(int(run.status[0])) in ERRORS for of, run in found.items()
    )


@pytest.mark.parametrize("model_type", CHOOSING)
@example([[("run", 0, "success")], [("run", 0, "failure"), ("outcome", 2, 1.0)]])
@examples(max_examples=150)
@given(histories)
def test_a_failed_run_counts_once_until_its_outcome(model_type, history):
    """Learnt commit by commit or in a full retraining, before and after outcomes began."""
    log = recorded(history)
    feed, taught = Feed(RewardPolicy()), Counter()
    for commit in log.read(0, 10**9):
        fed = feed.take(commit)
        if model_type is ModelType.AGENT_SELECTION:
            for key in [key for key in taught if key[0] in fed.restarted]:
                del taught[key]
        samples = fed.samples[model_type]
        for arm, y, weight in zip(samples.arm, samples.y, samples.weight, strict=True):
            taught[arm, float(y)] += int(weight)
    assert min(taught.values(), default=0) >= 0
    zeros = sum(n for (_, y), n in taught.items() if y == 0.0)
    assert zeros == waiting(log, history)
    joined = join([extract(log.read(0, 10**9), model_type, RewardPolicy())], model_type)
    found = joined.samples()
    assert Counter(zip(found.arm, found.y.tolist(), strict=True)) == +taught

"""Any multiset and order of deliveries, in any batching, gives the same log content.

The oracle below knows nothing of links, groups or offsets: it computes, slowly and from the
set of distinct deliveries alone, what the log must say in the end.
"""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b
from itertools import pairwise

import hypothesis
import msgspec
import numpy as np
from hypothesis import strategies as st

from selfright.events.batch import (
    OUTCOME_COLUMNS,
    RUN_COLUMNS,
    Intake,
    OutcomeBatch,
    RunBatch,
)
from selfright.events.status import RunStatus
from selfright.log.memory import MemoryLog

RUN = {name: i for i, name in enumerate(RUN_COLUMNS)}
OUT = {name: i for i, name in enumerate(OUTCOME_COLUMNS)}
NOW = 4  # the time that the door assigns to a delivery that has none


@st.composite
def runs(draw):
    """Draw a run from a universe so small that everything collides."""
    given_time = draw(st.booleans())
    row = [None] * len(RUN_COLUMNS)
    row[RUN["run_id"]] = draw(st.sampled_from(["r1", "r2", "r3"]))
    row[RUN["agent_name"]] = draw(st.sampled_from(["a", "a", "b"]))
    row[RUN["agent_type"]] = "agent"
    row[RUN["task_id"]] = draw(st.sampled_from(["t", "t", "u", None]))
    row[RUN["status"]] = int(draw(st.sampled_from([RunStatus.PENDING, RunStatus.SUCCESS])))
    for name in RUN_COLUMNS:
        if RunBatch.__dataclass_fields__[name].type == "Ints":
            row[RUN[name]] = -1
    row[RUN["tokens"]] = draw(st.integers(0, 1))
    row[RUN["ts_us"]] = draw(st.integers(0, 6)) if given_time else NOW
    row[RUN["metadata"]] = None
    row[RUN["ts_given"]] = given_time
    return ("run", tuple(row))


@st.composite
def outcomes(draw):
    """Draw an outcome from the same universe."""
    given_time = draw(st.booleans())
    row = [None] * len(OUTCOME_COLUMNS)
    row[OUT["agent_name"]] = draw(st.sampled_from(["a", "a", "b"]))
    row[OUT["run_id"]] = draw(st.sampled_from([None, None, "r1", "r2"]))
    row[OUT["task_id"]] = draw(st.sampled_from(["t", "t", "u", None]))
    row[OUT["ts_us"]] = draw(st.integers(0, 6)) if given_time else NOW
    row[OUT["score_q32"]] = draw(st.integers(0, 2))
    row[OUT["feedback_source"]] = draw(st.sampled_from(["user", "judge"]))
    row[OUT["outcome_id"]] = draw(st.sampled_from([None, None, None, "o1", "o2"]))
    row[OUT["ts_given"]] = given_time
    row[OUT["primary"]] = row[OUT["fresh"]] = True
    return ("outcome", tuple(row))


deliveries = st.lists(st.one_of(runs(), outcomes()), max_size=14)


def digest(content: tuple, ts: int, given: int) -> bytes:
    """Return what tells contents apart."""
    masked = content if content[given] else (*content[:ts], 0, *content[ts + 1 :])
    return blake2b(msgspec.msgpack.encode(masked), digest_size=16).digest()


def oracle(delivered) -> tuple[Counter, Counter]:
    """Return the runs and outcomes (without ``fresh``) that the log must show."""
    first: dict[bytes, tuple] = {}  # an assigned time is that of the first arrival
    for kind, row in delivered:
        if kind == "run":
            first.setdefault(digest(row, RUN["ts_us"], RUN["ts_given"]), row)
    best: dict[str, tuple] = {}
    for key, row in first.items():
        rank = (
            row[RUN["status"]] != RunStatus.PENDING, row[RUN["ts_given"]], row[RUN["ts_us"]], key,
        )  # fmt: skip
        held = best.get(row[RUN["run_id"]])
        if held is None or rank > held[0]:
            best[row[RUN["run_id"]]] = (rank, row)
    shown_runs = {run_id: row for run_id, (_, row) in best.items()}

    distinct: dict[bytes, tuple] = {}
    for kind, row in delivered:
        if kind == "outcome":
            content = row[: OUT["run"]]
            nameless = all(
                content[OUT[name]] is None for name in ("run_id", "task_id", "outcome_id")
            )
            key = digest(content, OUT["ts_us"], OUT["ts_given"])
            distinct.setdefault(
                key + (bytes([content[OUT["ts_us"]]]) if nameless else b""), content
            )
    candidates: dict[object, list] = {}
    for key, content in distinct.items():
        joined = joined_run(content, shown_runs)
        if content[OUT["outcome_id"]] is not None:
            identity = content[OUT["outcome_id"]]
        elif joined is None and content[OUT["run_id"]] is None and content[OUT["task_id"]] is None:
            identity = ("nameless", key)
        else:
            identity = (
                content[OUT["agent_name"]],
                ("run", joined[RUN["run_id"]]) if joined
                else ("name", content[OUT["run_id"]]) if content[OUT["run_id"]]
                else ("task", content[OUT["task_id"]]),
                content[OUT["feedback_source"]],
            )  # fmt: skip
        candidates.setdefault(identity, []).append((content[OUT["ts_us"]], key, content, joined))
    winners = [max(group, key=lambda c: c[:2]) for group in candidates.values()]
    newest: dict[str, tuple] = {}
    for ts, key, _, joined in winners:
        if joined is not None:
            run_id = joined[RUN["run_id"]]
            newest[run_id] = max(newest.get(run_id, (-1, b"")), (ts, key))
    return Counter(shown_runs.values()), Counter(
        (*content, joined, joined is None or newest[joined[RUN["run_id"]]] == (ts, key))
        for ts, key, content, joined in winners
    )


def joined_run(content, shown_runs):
    """Return the run that an outcome belongs to."""
    if content[OUT["run_id"]] is not None:
        return shown_runs.get(content[OUT["run_id"]])
    if content[OUT["task_id"]] is None:
        return None
    fitting = [
        run for run in shown_runs.values()
        if run[RUN["agent_name"]] == content[OUT["agent_name"]]
        and run[RUN["task_id"]] == content[OUT["task_id"]]
        and run[RUN["ts_us"]] <= content[OUT["ts_us"]]
    ]  # fmt: skip
    return max(fitting, key=lambda run: (run[RUN["ts_us"]], run[RUN["run_id"]]), default=None)


def intakes(delivered, cuts):
    """Cut deliveries into intakes; their ``seq`` keeps the order across kinds."""
    bounds = [0, *sorted(set(cuts)), len(delivered)]
    for start, end in pairwise(bounds):
        part = list(enumerate(delivered[start:end]))
        run_rows = [(i, row) for i, (kind, row) in part if kind == "run"]
        outcome_rows = [(i, row) for i, (kind, row) in part if kind == "outcome"]
        yield Intake(
            RunBatch.from_rows(
                [r for _, r in run_rows], np.array([i for i, _ in run_rows], np.int64)
            ),
            OutcomeBatch.from_rows(
                [r for _, r in outcome_rows], np.array([i for i, _ in outcome_rows], np.int64)
            ),
        )


def content_of(commits) -> tuple[Counter, Counter]:
    """Return what the commits sum up to; every retraction must meet its row."""
    run_rows: Counter = Counter()
    outcome_rows: Counter = Counter()
    for commit in commits:
        for rows, added, retracted in (
            (run_rows, commit.runs, commit.retracted_runs),
            (outcome_rows, commit.outcomes, commit.retracted_outcomes),
        ):
            for row in retracted.rows():
                assert rows[row] > 0, f"retracted what is not there: {row}"
                rows[row] -= 1
            rows.update(added.rows())
            within = (commit.first_offset <= added.seq) & (added.seq < commit.next_offset)
            assert within.all()
            within = (commit.first_offset <= retracted.seq) & (retracted.seq < commit.next_offset)
            assert within.all()
    return +run_rows, +outcome_rows


def without_fresh(rows: Counter) -> Counter:
    """Leave out the column that depends on the order, and may."""
    return Counter({row[: OUT["fresh"]]: n for row, n in rows.items()})


def feed(log, delivered, cuts):
    """Append everything; the receipts must agree with the offsets."""
    accepted = 0
    for i, intake in enumerate(intakes(delivered, cuts)):
        receipt = log.append(intake, i)
        assert receipt.accepted + receipt.duplicates == len(intake)
        assert receipt.accepted == receipt.next_offset - receipt.first_offset
        accepted += receipt.accepted
    assert log.next_offset == accepted
    return log


@hypothesis.settings(max_examples=200)
@hypothesis.given(deliveries, st.lists(st.integers(0, 14)))
def test_log_says_what_the_set_of_deliveries_says(delivered, cuts):
    """However cut into intakes, the sum of all commits is what the oracle computes."""
    log = feed(MemoryLog(), delivered, [cut for cut in cuts if cut <= len(delivered)])
    run_rows, outcome_rows = content_of(log.read(0, 10**9))
    expected_runs, expected_outcomes = oracle(delivered)
    assert run_rows == expected_runs
    assert without_fresh(outcome_rows) == expected_outcomes


@hypothesis.settings(max_examples=200)
@hypothesis.given(deliveries, st.data())
def test_order_and_repetition_of_deliveries_do_not_matter(delivered, data):
    """Shuffled and with repetitions, cut anywhere: the same content."""
    again = data.draw(
        st.permutations(
            delivered + data.draw(st.lists(st.sampled_from(delivered), max_size=4))
            if delivered
            else []
        )
    )
    cuts = data.draw(st.lists(st.integers(0, len(again))))
    one = content_of(feed(MemoryLog(), delivered, range(len(delivered))).read(0, 10**9))
    other = content_of(feed(MemoryLog(), again, cuts).read(0, 10**9))
    assert one[0] == other[0]
    assert without_fresh(one[1]) == without_fresh(other[1])

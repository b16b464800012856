"""The language of the golden cases says what its page says, and names the line of a mistake."""

from __future__ import annotations

from collections import Counter

import pytest

from selfright.testing.story.parser import parse_story
from selfright.testing.story.record import Condition, StoryError, seconds
from selfright.testing.story.token import as_time_us

SAMPLE = """\
# Accuracy falls below 70 %: alert,
# incremental retraining.

settings trigger.cooldown_s=60 learn.strategy=bayesian
load 1s agent=planner   # remark
  run    status=success latency_ms=100 x100
  outcome correct x60 wrong x40
eval at 100s
  expect metric planner accuracy 0.60
  expect no alert planner accuracy raised threshold=0.70 at<=90s
"""


def _rows(source: str, kind: str | None = None) -> list[dict[str, object]]:
    return [
        arrival.row
        for arrival in parse_story(source).arrivals
        if kind is None or arrival.kind == kind
    ]


def test_the_sample_reads_as_it_looks() -> None:
    """Title, settings, 100 runs a second apart and an outcome behind each."""
    story = parse_story(SAMPLE)
    assert story.title == "Accuracy falls below 70 %: alert, incremental retraining."
    assert story.settings == {"trigger.cooldown_s": 60, "learn.strategy": "bayesian"}
    assert [arrival.kind for arrival in story.arrivals[:4]] == ["run", "outcome"] * 2
    assert [seconds(arrival.at_us) for arrival in story.arrivals[::2]] == list(range(100))
    assert story.arrivals[0].row == {
        "agent_name": "planner",
        "status": "success",
        "duration_ms": 100,
        "run_id": "run-1",
        "timestamp": 946_684_800.0,
    }
    scores = Counter(row["accuracy_score"] for row in _rows(SAMPLE, "outcome"))
    assert scores == {1.0: 60, 0.0: 40}


def test_expectations_keep_words_and_conditions_apart() -> None:
    """Negation, kind, words and comparisons are told apart; times become seconds."""
    (look,) = parse_story(SAMPLE).looks
    metric, alert = look.expectations
    assert (metric.kind, metric.words, metric.negated) == (
        "metric",
        ("planner", "accuracy", "0.60"),
        False,
    )
    assert (alert.kind, alert.words, alert.negated) == (
        "alert",
        ("planner", "accuracy", "raised"),
        True,
    )
    assert alert.conditions == (Condition("threshold", "=", 0.7), Condition("at", "<=", 90.0))
    assert alert.condition("at") == Condition("at", "<=", 90.0)
    assert alert.condition("level") is None


def test_a_block_begins_where_the_one_before_ended() -> None:
    """Blocks follow each other, unless `from` says otherwise; then they are merged by time."""
    story = parse_story(
        "load 10s agent=a\n  run x3\nload 1s agent=b\n  run\nload 5s agent=c from=5s\n  run x2\n"
    )
    told = [(row.row["agent_name"], seconds(row.at_us)) for row in story.arrivals]
    assert told == [("a", 0), ("c", 5), ("a", 10), ("c", 10), ("a", 20), ("b", 30)]


def test_a_block_can_be_repeated() -> None:
    """`xN` behind load tells the block N times, one after the other."""
    rows = _rows("load 1s agent=a x3\n  run success x2\n  run failure\n")
    assert [row["status"] for row in rows] == ["success", "success", "failure"] * 3
    assert len({row["run_id"] for row in rows}) == 9


def test_words_stand_in_order_or_evenly_mixed() -> None:
    """Without `mixed` all of a word come together; with it they are spread."""
    ordered = _rows("load 1s agent=a\n  run success x2 failure x2\n")
    mixed = _rows("load 1s agent=a\n  run mixed success x6 failure x3\n")
    assert [row["status"] for row in ordered] == ["success", "success", "failure", "failure"]
    assert [row["status"] for row in mixed] == ["success", "failure", "success"] * 3


def test_outcomes_come_after_their_delay() -> None:
    """An outcome belongs to its run however late it comes, and carries its own time."""
    story = parse_story("load 1s agent=a\n  run x2\n  outcome correct x2 delay=30s\n")
    last = story.arrivals[-1]
    assert (last.kind, last.row["run_id"], seconds(last.at_us)) == ("outcome", "run-2", 31)
    assert last.row["timestamp"] == 946_684_831.0


def test_an_outcome_can_name_the_task_alone() -> None:
    """`by=task` leaves out the run id, as feedback that knows only the task does."""
    row = _rows("load 1s agent=a\n  run task=t x2\n  outcome by=task wrong x2\n", "outcome")[1]
    assert row["task_id"] == "t-2"
    assert "run_id" not in row


def test_an_outcome_can_stand_alone() -> None:
    """With `run=` it belongs to runs told long before: a correction."""
    source = "load 1s agent=a\n  run id=r x2\n  outcome wrong x2 id=o\n"
    rows = _rows(source + "load 1s agent=a\n  outcome run=r correct x2 id=o\n", "outcome")
    assert [(row["run_id"], row["outcome_id"], row["accuracy_score"]) for row in rows[2:]] == [
        ("r-1", "o-1", 1.0),
        ("r-2", "o-2", 1.0),
    ]


def test_a_late_run_carries_its_own_time() -> None:
    """`late` lets a run arrive after it happened."""
    (row,) = parse_story("load 1s agent=a from=100s\n  run late=1m30s\n").arrivals
    assert seconds(row.at_us) == 100
    assert row.row["timestamp"] == 946_684_810.0


def test_scores_predictions_and_mappings() -> None:
    """A score is a number; predicted and actual leave it to the scorer; dots make mappings."""
    rows = _rows(
        "load 1s agent=a task_type=code\n"
        "  run config.temperature=0.5 config.model=small x2\n"
        "  outcome 0.25 x1 0.5 x1\n"
        "  outcome predicted=paris actual=rome source=judge\n"
    )
    assert rows[0]["config"] == {"temperature": 0.5, "model": "small"}
    assert rows[0]["task_type"] == "code"
    first, judged, second = (row for row in rows if "status" not in row)
    assert (first["accuracy_score"], second["accuracy_score"]) == (0.25, 0.5)
    assert judged["predicted_outcome"] == "paris"
    assert judged["feedback_source"] == "judge"
    assert "accuracy_score" not in judged
    assert "task_type" not in judged


def test_what_an_operator_does_has_its_time() -> None:
    """An act stands where the block has come to, or at its own time."""
    story = parse_story(
        "load 1s agent=a\n  run x5\n  act retrain full\n  act mute at=2s for_s=60\n"
    )
    acts = [(seconds(row.at_us), row.row) for row in story.arrivals if row.kind == "act"]
    assert acts == [
        (2, {"verb": "mute", "words": (), "for_s": 60}),
        (5, {"verb": "retrain", "words": ("full",)}),
    ]


@pytest.mark.parametrize(
    ("text", "us"),
    [("1s", 10**6), ("500ms", 5 * 10**5), ("1h30m", 5400 * 10**6), ("2d", 172_800 * 10**6)],
)
def test_times_are_written_with_units(text: str, us: int) -> None:
    """Each unit counts what it says; several add up."""
    assert as_time_us(1, text) == us


@pytest.mark.parametrize(
    ("condition", "holds", "fails"),
    [
        (Condition("n", "=", 0.6), 0.6 + 1e-12, 0.61),
        (Condition("n", "!=", 1), 2, 1),
        (Condition("n", "<", 1), 0.5, 1),
        (Condition("n", "<=", 1), 1, 2),
        (Condition("n", ">", 1), 2, 1),
        (Condition("n", ">=", 1), 1, 0.5),
        (Condition("level", "=", "warning"), "warning", "critical"),
        (Condition("value", "=", None), None, 0.0),
        (Condition("promoted", "=", True), True, 1.5),
        (Condition("agents", "=", "a"), ["a", "b"], ["b"]),
        (Condition("n", "<", 1), 0, None),
    ],
)
def test_conditions_compare(condition: Condition, holds: object, fails: object) -> None:
    """Each comparison holds and fails where it should; nothing is neither small nor large."""
    assert condition.holds(holds)
    assert not condition.holds(fails)


@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        ("lead 1s\n  run", 1, "settings, load or eval"),
        ("load 1\n  run agent=a", 1, "write a time"),
        ("load 1s agent\n  run", 1, "name=value"),
        ("load 1s agent=a", 1, "under it"),
        ("load 1s\n  run", 2, "agent="),
        ("load 1s agent=a\n  walk", 2, "run, outcome and act"),
        ("load 1s agent=a\n  run x2\n  outcome correct x3", 3, "3 outcomes, but 2 runs"),
        ("load 1s agent=a\n  run\n  outcome right", 3, "correct, wrong or a score"),
        ("load 1s agent=a\n  run\n  outcome by=task correct", 3, "task= on the runs"),
        ("load 1s agent=a\n  run x5 success", 2, "behind the word it counts"),
        ("load 1s agent=a x1000\n  run x1000", 2, "100000 rows"),
        ("load 1s agent=a\n  act", 2, "its verb"),
        ("eval at 5s", 1, "expect under it"),
        ("eval 5s\n  expect metric", 1, "eval at TIME"),
        ("eval at 5s\n  expect no", 2, "not expected"),
        ("eval at 5s\n  metric a", 2, "expect [no] KIND"),
        ("eval at 5s\n  expect x\neval at 4s\n  expect x", 3, "order of time"),
        ("load 1s agent=a\n  run\nsettings a.b=1", 3, "before everything"),
        ("settings a.b", 1, "section.name=value"),
        ("settings a.b=1\n  run", 2, "nothing is indented"),
    ],
)
def test_a_mistake_is_named_with_its_line(source: str, line: int, reason: str) -> None:
    """Whoever writes a case is told where it went wrong and what to write."""
    with pytest.raises(StoryError, match=f"^line {line}: ") as caught:
        parse_story(source)
    assert reason in str(caught.value)
    assert caught.value.line == line

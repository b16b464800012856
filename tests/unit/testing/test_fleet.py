"""The simulated fleet does what its model says, the same for the same seed."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest

from selfright.clock import US_PER_S
from selfright.errors import ConfigError, UnknownNameError
from selfright.testing.clock import START_US
from selfright.testing.fleet import AgentModel, Fleet, FleetModel, Shift

PAIR = (AgentModel("steady", accuracy=0.9), AgentModel("shaky", accuracy=0.8, success_rate=0.85))


def _fleet(*shifts: Shift, seed: int = 1, **fields: object) -> Fleet:
    return Fleet(FleetModel(PAIR, shifts, **fields), seed)


def _share(rows: list[dict[str, object]], key: str, value: object) -> float:
    return sum(row[key] == value for row in rows) / len(rows)


def _close(share: float, truth: float, n: int) -> bool:
    """Within four standard deviations: one false alarm in 16,000 seeds, and the seed is fixed."""
    return abs(share - truth) <= 4 * math.sqrt(truth * (1 - truth) / n) + 1e-9


def test_the_same_seed_gives_the_same_rows() -> None:
    """Two fleets of one model and seed answer alike; another seed answers otherwise."""
    first, again, other = (list(_fleet(seed=seed).rows(50)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_shares_are_what_the_model_says() -> None:
    """Success and accuracy of many runs come out at the model's probabilities."""
    fleet, n = _fleet(), 5_000
    for agent in PAIR:
        runs = [fleet.run(agent.name, fleet.task(), START_US + i * US_PER_S) for i in range(n)]
        outcomes = fleet.due(START_US + n * US_PER_S)
        assert len(outcomes) == n
        assert _close(_share(runs, "status", "success"), agent.success_rate, n)
        assert _close(_share(outcomes, "accuracy_score", 1.0), agent.accuracy, n)


def test_a_run_that_fails_is_never_right() -> None:
    """The outcome of a failed or timed-out run is wrong, so accuracy stays below success."""
    fleet = Fleet(FleetModel((AgentModel("weak", success_rate=0.5, accuracy=0.9),)), seed=3)
    rows = list(fleet.rows(400))
    failed = {row["run_id"] for row in rows if row["kind"] == "run" and row["status"] != "success"}
    right = {row["run_id"] for row in rows if row.get("accuracy_score") == 1.0}
    assert failed
    assert right
    assert not failed & right
    assert fleet.truth("weak", "task", at_s=0).accuracy == 0.5


def test_task_types_come_at_their_shares_and_matter() -> None:
    """Types are drawn by their weights, and an agent's strength in one shows."""
    agent = AgentModel("coder", accuracy=0.6, by_task_type={"code": 0.95})
    fleet = Fleet(FleetModel((agent,), task_types={"code": 3.0, "prose": 1.0}), seed=4)
    rows = list(fleet.rows(4_000))
    runs = {row["run_id"]: row for row in rows if row["kind"] == "run"}
    types = Counter(row["task_type"] for row in runs.values())
    assert _close(types["code"] / len(runs), 0.75, len(runs))
    for task_type, truth in (("code", 0.95), ("prose", 0.6)):
        known = [
            row
            for row in rows
            if row["kind"] == "outcome" and runs[row["run_id"]]["task_type"] == task_type
        ]
        assert _close(_share(known, "accuracy_score", 1.0), truth, len(known))


def test_a_shift_comes_and_goes_on_schedule() -> None:
    """Before it starts and after it ended nothing is changed; in between all of it is."""
    shift = Shift("shaky", at_s=100, until_s=200, accuracy=0.3, latency_factor=5.0)
    fleet = _fleet(shift)
    assert [fleet.truth("shaky", "task", at_s).accuracy for at_s in (99.9, 100, 199.9, 200)] == [
        0.8,
        0.3,
        0.3,
        0.8,
    ]
    assert (
        fleet.truth("shaky", "task", 150).latency_ms
        == 5 * fleet.truth("shaky", "task", 50).latency_ms
    )
    assert fleet.truth("steady", "task", 150).accuracy == 0.9


def test_a_ramp_is_gradual() -> None:
    """With a ramp the change grows linearly."""
    fleet = _fleet(Shift("steady", at_s=0, ramp_s=100, accuracy=0.5))
    assert fleet.truth("steady", "task", 50).accuracy == pytest.approx(0.7)
    assert fleet.truth("steady", "task", 1e6).accuracy == pytest.approx(0.5)


def test_the_best_agent_changes_with_a_shift() -> None:
    """``best`` says who is most often right at that instant."""
    fleet = _fleet(Shift("steady", at_s=10, accuracy=0.2))
    assert [fleet.best("task", at_s) for at_s in (9, 10)] == ["steady", "shaky"]


def test_outcomes_come_late_and_some_never() -> None:
    """Delay and coverage of labels are those of the model, and none is lost or doubled."""
    fleet = _fleet(label_delay_s=50.0, label_coverage=0.6)
    rows = list(fleet.rows(3_000))
    runs = {row["run_id"]: row for row in rows if row["kind"] == "run"}
    outcomes = [row for row in rows if row["kind"] == "outcome"]
    assert len({row["run_id"] for row in outcomes}) == len(outcomes)
    assert _close(len(outcomes) / len(runs), 0.6, len(runs))
    delays = [row["timestamp"] - runs[row["run_id"]]["timestamp"] for row in outcomes]
    assert 45 < sum(delays) / len(delays) < 55


def test_rows_arrive_in_the_order_of_time() -> None:
    """A stream with late labels is ordered by when each row becomes known."""
    times = [row["timestamp"] for row in _fleet(label_delay_s=20.0).rows(500)]
    assert times == sorted(times)


def test_luck_belongs_to_the_task() -> None:
    """Whoever picks faces the same tasks: the better agent is right where the worse one is."""
    right: list[set[str]] = []
    for name in ("steady", "shaky"):
        rows = _fleet().rows(1_000, choose=lambda _task, _ts_us, name=name: name)
        right.append({row["task_id"] for row in rows if row.get("accuracy_score") == 1.0})
    steady, shaky = right
    assert len(shaky - steady) / len(shaky) < 0.12
    assert len(steady) > len(shaky)


def test_a_chooser_decides_who_runs() -> None:
    """The environment of a bandit: the learner picks, the fleet answers."""
    turns = itertools.cycle(["steady", "shaky"])
    rows = _fleet().rows(10, choose=lambda _task, _ts_us: next(turns))
    assert [row["agent_name"] for row in rows if row["kind"] == "run"] == ["steady", "shaky"] * 5


def test_the_pick_of_anyone_does_not_disturb_the_tasks() -> None:
    """Tasks are the same whether agents are picked at random or not."""
    types = {"a": 1.0, "b": 1.0}
    free, fixed = (
        [
            row["task_type"]
            for row in _fleet(task_types=types).rows(200, choose=choose)
            if row["kind"] == "run"
        ]
        for choose in (None, lambda _task, _ts_us: "steady")
    )
    assert free == fixed


@pytest.mark.parametrize(
    ("make", "setting"),
    [
        (lambda: AgentModel("a", accuracy=1.2), "a.accuracy"),
        (lambda: AgentModel("a", success_rate=math.nan), "a.success_rate"),
        (lambda: AgentModel("a", by_task_type={"x": -0.1}), "a.by_task_type['x']"),
        (lambda: AgentModel("a", latency_ms=-1), "a.latency_ms"),
        (lambda: Shift("a", at_s=5, until_s=5), "until_s"),
        (lambda: Shift("a", at_s=0, accuracy=2), "accuracy"),
        (lambda: Shift("a", at_s=0, cost_factor=math.inf), "cost_factor"),
        (lambda: FleetModel(()), "agents"),
        (lambda: FleetModel((AgentModel("a"), AgentModel("a"))), "agents"),
        (lambda: FleetModel(PAIR, task_types={}), "task_types"),
        (lambda: FleetModel(PAIR, label_coverage=1.5), "label_coverage"),
        (lambda: FleetModel(PAIR, label_delay_s=-1), "label_delay_s"),
    ],
)
def test_a_wrong_model_is_refused(make: object, setting: str) -> None:
    """Each impossible number is named."""
    with pytest.raises(ConfigError) as caught:
        make()
    assert caught.value.setting == setting


def test_an_unknown_agent_is_named_with_the_nearest() -> None:
    """A misspelt name says which one may be meant."""
    with pytest.raises(UnknownNameError, match="did you mean steady"):
        _fleet().truth("steadi", "task", 0)
    with pytest.raises(UnknownNameError, match="did you mean shaky"):
        FleetModel(PAIR, (Shift("shakky", at_s=0),))

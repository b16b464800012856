"""Files as full matrices: every agent on every task, or an error that says what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfright.errors import ConfigError
from selfright.sources.matrix import load_matrix

Row = dict[str, Any]


def write(folder: Path, rows: list[Row], name: str = "matrix.ndjson") -> Path:
    """Return the path of a file with these rows."""
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def cell(agent: str, task: str, reward: float | None = 0.5, **more: Any) -> Row:
    """Return one row."""
    return {"agent_name": agent, "task_id": task, "reward": reward, **more}


FULL = [cell(a, t, float(i * 10 + j)) for i, a in enumerate("yx") for j, t in enumerate("qpr")]


def test_rows_become_a_matrix_in_the_order_of_the_file(tmp_path: Path) -> None:
    """Rewards as they are, also beyond 1; what the file has none of is None."""
    matrix = load_matrix(write(tmp_path, FULL))
    assert (matrix.agents, matrix.tasks) == (("y", "x"), ("q", "p", "r"))
    assert matrix.reward.tolist() == [[0, 1, 2], [10, 11, 12]]
    assert matrix.task_types == (None, None, None)
    assert (matrix.cost_usd, matrix.latency_ms, matrix.features) == (None, None, None)
    assert (matrix.repeated, matrix.unlabelled) == (0, 0)
    assert repr(matrix) == "<Matrix of 2 agents x 3 tasks>"


def test_costs_and_durations_come_along(tmp_path: Path) -> None:
    """Under our names or those of data sets; NaN where one is unknown."""
    rows = [{**row, "cost_usd": None if i else 0.5, "duration_ms": i} for i, row in enumerate(FULL)]
    rows[3]["task_type"] = "ignored"
    for row, kind in zip(rows, "uvw", strict=False):
        row["task_type"] = kind
    matrix = load_matrix(write(tmp_path, rows))
    assert matrix.cost_usd is not None
    assert matrix.latency_ms is not None
    assert matrix.cost_usd[0, 0] == 0.5
    assert np.isnan(matrix.cost_usd).sum() == 5
    assert matrix.latency_ms.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert matrix.task_types == ("u", "v", "w")


def test_of_a_repeated_pair_the_last_row_counts(tmp_path: Path) -> None:
    """After sorting; rows without a reward replace nothing."""
    rows = [*FULL, cell("y", "q", 7, age=2), cell("y", "q", 8, age=1), cell("y", "q", None)]
    path = write(tmp_path, rows)
    matrix = load_matrix(path)
    assert matrix.reward[0, 0] == 8
    assert (matrix.repeated, matrix.unlabelled) == (2, 1)
    assert load_matrix(path, order_by="age").reward[0, 0] == 0  # empty cells sort last
    assert load_matrix(path, where="age IS NULL OR age > 1").reward[0, 0] == 7


def test_a_matrix_with_holes_says_what_each_remedy_keeps(tmp_path: Path) -> None:
    """How many cells, tasks and agents, and who is emptiest."""
    path = write(tmp_path, [*FULL, cell("z", "q"), cell("z", "p", None)])
    with pytest.raises(ConfigError) as caught:
        load_matrix(path)
    said = str(caught.value)
    assert "2 of 9 cells of 3 agents x 3 tasks have no reward" in said
    assert "--complete tasks keeps the 1 tasks that all agents have" in said
    assert "--complete agents the 2 agents that have all tasks" in said
    assert "z (1 tasks)" in said
    tasks = load_matrix(path, complete="tasks")
    assert (tasks.agents, tasks.tasks) == (("y", "x", "z"), ("q",))
    assert (tasks.dropped_agents, tasks.dropped_tasks) == (0, 2)
    agents = load_matrix(path, complete="agents")
    assert (agents.agents, agents.tasks) == (("y", "x"), ("q", "p", "r"))
    assert (agents.dropped_agents, agents.dropped_tasks) == (1, 0)
    assert agents.reward.tolist() == [[0, 1, 2], [10, 11, 12]]


def test_where_nothing_can_be_kept_that_is_said_too(tmp_path: Path) -> None:
    """Logged data is no matrix."""
    path = write(tmp_path, [cell("a", "p"), cell("b", "q")])
    for complete in (None, "tasks", "agents"):
        with pytest.raises(ConfigError, match="keeps the 0 tasks"):
            load_matrix(path, complete=complete)  # type: ignore[arg-type]


def test_any_column_can_be_chosen_among(tmp_path: Path) -> None:
    """Parameter sets as well as agents."""
    rows = [{"turns": n, "task_id": t, "reward": n} for n in (1, 5) for t in "pq"]
    matrix = load_matrix(write(tmp_path, rows), arm="turns")
    assert matrix.agents == ("1", "5")
    with pytest.raises(ConfigError, match=r"did you mean turns\?"):
        load_matrix(write(tmp_path, rows), arm="turn")


def test_columns_are_mapped_and_left_out(tmp_path: Path) -> None:
    """A mapping wins over the names that data sets use; left out is left out."""
    rows = [{"agent_name": "a", "task_id": "t", "score": 1, "reward": 0, "cost_usd": 3}]
    path = write(tmp_path, rows)
    matrix = load_matrix(path, mapping={"accuracy_score": "score", "cost": ""})
    assert matrix.reward.tolist() == [[1]]
    assert matrix.cost_usd is None
    with pytest.raises(ConfigError, match="--map accuracy_score=COLUMN"):
        load_matrix(path, mapping={"accuracy_score": ""})
    with pytest.raises(ConfigError, match="--map task_id=COLUMN"):
        load_matrix(path, mapping={"task_id": ""})


@pytest.mark.parametrize("reward", [float("nan"), float("inf"), "high", True])
def test_a_reward_that_is_no_number_is_an_error(tmp_path: Path, reward: Any) -> None:
    """Named with its row: a matrix has no row to spare."""
    with pytest.raises(ConfigError, match=r"finite number \(row 1\)"):
        load_matrix(write(tmp_path, [cell("a", "p"), cell("a", "q", reward)]))


def test_features_are_laid_beside_the_tasks(tmp_path: Path) -> None:
    """NaN where a task lacks one; tasks of other matrices are passed over."""
    features = tmp_path / "features.csv"
    features.write_text(
        "task_id,feature,value\np,size,1.5\nq,size,2\nelsewhere,size,9\nq,depth,-1\nq,depth,3\n",
        encoding="utf-8",
    )
    matrix = load_matrix(write(tmp_path, FULL), features=features)
    assert matrix.feature_names == ("size", "depth")
    assert matrix.features is not None
    np.testing.assert_array_equal(matrix.features, [[2, 3], [1.5, np.nan], [np.nan, np.nan]])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("task_id,feature\nq,size\n", "no such column"),
        ("task_id,feature,value\nelsewhere,size,1\n", "has no task of the matrix"),
        ("task_id,feature,value\nq,size,big\n", "finite number"),
    ],
)
def test_features_that_do_not_fit_are_an_error(tmp_path: Path, content: str, words: str) -> None:
    """Each for its own reason."""
    features = tmp_path / "features.csv"
    features.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        load_matrix(write(tmp_path, FULL), features=features)


@pytest.mark.parametrize(
    ("name", "options", "shape", "random", "best", "oracle"),
    [
        ("swebench_verified_mini", {}, (25, 315), 0.5205, 0.7524, 0.8825),
        ("llmrouter_default", {}, (9, 3_659), 0.4308, 0.6257, 0.8011),
        ("routellm_mmlu", {}, (2, 8_436), 0.7438, 0.8071, 0.8615),
        ("bfcl", {"complete": "agents"}, (75, 1_039), 0.7287, 0.9095, 0.9788),
        (
            "mint",
            {"where": "max_turns = 5 AND NOT gpt4_feedback", "complete": "tasks"},
            (55, 260),
            0.2134,
            0.6654,
            0.8692,
        ),
    ],
)
def test_real_matrices_have_their_published_figures(
    shared_data: Callable[[str], Path],
    name: str,
    options: dict[str, Any],
    shape: tuple[int, int],
    random: float,
    best: float,
    oracle: float,
) -> None:
    """Mean of all, best single agent, best agent per task."""
    matrix = load_matrix(shared_data(f"{name}.parquet"), **options)
    assert matrix.reward.shape == shape
    assert matrix.reward.mean() == pytest.approx(random, abs=5e-5)
    assert matrix.reward.mean(axis=1).max() == pytest.approx(best, abs=5e-5)
    assert matrix.reward.max(axis=0).mean() == pytest.approx(oracle, abs=5e-5)

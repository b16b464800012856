"""A file as a full agent x task matrix: what every agent would have got on every task.

That is what ``backtest --matrix`` needs to show only the chosen agent's reward and still
know what the others would have brought.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from selfright.errors import ConfigError
from selfright.sources import cells as cells_of
from selfright.sources.arrange import Arrangement
from selfright.sources.mapping import require_column, resolve
from selfright.sources.rows import missing
from selfright.sources.tabular import open_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from selfright.sources.rows import Cells, Rows

Grid = np.ndarray[tuple[int, int], np.dtype[np.float64]]
Complete = Literal["tasks", "agents"]

# What data sets call a column whose name of ours they do not use.
_ALSO_CALLED: Final = {"accuracy_score": "reward", "cost": "cost_usd", "duration_ms": "latency_ms"}
_FEATURE_COLUMNS: Final = ("task_id", "feature", "value")


@dataclass(frozen=True, slots=True)
class Matrix:
    """Every agent on every task.

    Attributes
    ----------
    agents, tasks
        The names of rows and columns, in the order in which the file first has them.
    task_types
        The type of each task, None where the file has none.
    reward
        float64[agents, tasks], as the file has it: not scaled, not clipped.
    cost_usd, latency_ms
        float64[agents, tasks], NaN where unknown; None if the file has none at all.
    repeated
        Rows that a later row of the same agent and task replaced.
    unlabelled
        Rows left out because they have no reward.
    dropped_agents, dropped_tasks
        How many were left out to make the matrix full.
    feature_names, features
        float64[tasks, features], NaN where the file of features has no value.
    """

    agents: tuple[str, ...]
    tasks: tuple[str, ...]
    task_types: tuple[str | None, ...]
    reward: Grid
    cost_usd: Grid | None
    latency_ms: Grid | None
    repeated: int
    unlabelled: int
    dropped_agents: int
    dropped_tasks: int
    feature_names: tuple[str, ...] = ()
    features: Grid | None = None

    def __repr__(self) -> str:
        return f"<Matrix of {len(self.agents)} agents x {len(self.tasks)} tasks>"


def load_matrix(
    path: str | Path,
    *,
    arm: str = "agent_name",
    mapping: Mapping[str, str] | None = None,
    where: str | None = None,
    order_by: str | None = None,
    complete: Complete | None = None,
    features: str | Path | None = None,
) -> Matrix:
    """Read a full matrix of agents and tasks; of a repeated pair the last row counts.

    Parameters
    ----------
    path, mapping, where, order_by
        As for ``open_table``. The reward is ``accuracy_score``, or a column ``reward``
        where nothing is mapped to it; likewise ``cost`` or ``cost_usd``, ``duration_ms``
        or ``latency_ms``.
    arm
        The column whose values are chosen among.
    complete
        Make a matrix with holes full by leaving out the tasks that some agent lacks, or
        the agents that lack some task.
    features
        A file of ``task_id, feature, value``: one row per number known of a task.

    Raises
    ------
    ConfigError
        As ``open_table`` does; where a reward is no finite number; and for a matrix with
        holes, saying how many and what each way to fill it would keep.
    """
    rows = open_rows(path)
    given = mapping or {}
    column_of = _columns(rows, given, arm, str(path))
    arrangement = Arrangement.of(
        rows.names, column_of, where=where, order_by=order_by, shuffle_within=None, seed=0
    )
    total = rows.arrange(arrangement, column_of)
    if total == 0:
        raise ConfigError("where", where, f"selects none of the {rows.held} rows of {path}")
    cells = {
        field: cells_of.read(field, column, typed=rows.typed)
        for field, column in rows.block(0, total).items()
    }
    labelled = np.flatnonzero(~missing(cells["accuracy_score"]))
    agents, agent_of = _codes(cells["agent_name"], labelled)
    tasks, task_of = _codes(cells["task_id"], labelled)
    last = _last_rows(agent_of * len(tasks) + task_of, labelled, len(agents) * len(tasks))
    grid = last.reshape(len(agents), len(tasks))
    kept_agents, kept_tasks = _full(grid >= 0, agents, str(path), complete)
    grid = grid[np.ix_(kept_agents, kept_tasks)]
    matrix = Matrix(
        agents=tuple(agents[i] for i in kept_agents.tolist()),
        tasks=tuple(tasks[i] for i in kept_tasks.tolist()),
        task_types=_types(cells.get("task_type"), grid),
        reward=_numbers("accuracy_score", cells["accuracy_score"], grid),
        cost_usd=_measured("cost", cells, grid),
        latency_ms=_measured("duration_ms", cells, grid),
        repeated=len(labelled) - int(np.count_nonzero(last >= 0)),
        unlabelled=total - len(labelled),
        dropped_agents=len(agents) - len(kept_agents),
        dropped_tasks=len(tasks) - len(kept_tasks),
    )
    return matrix if features is None else _with_features(matrix, features)


def _columns(rows: Rows, mapping: Mapping[str, str], arm: str, path: str) -> dict[str, str]:
    found = resolve(mapping, rows.names).column_of
    for field, name in _ALSO_CALLED.items():
        if field not in found and field not in mapping and name in rows.names:
            found[field] = name
    if arm not in found:
        require_column("arm", arm, rows.names)
    wanted = {"agent_name": found.get(arm, arm)}
    for field in ("task_id", "task_type", "accuracy_score", "cost", "duration_ms"):
        if field in found:
            wanted[field] = found[field]
    for field in ("task_id", "accuracy_score"):
        if field not in wanted:
            known = ", ".join(rows.names)
            remedy = f"map one of its columns: --map {field}=COLUMN; they are {known}"
            raise ConfigError("file", path, f"has no column {field}; {remedy}")
    return wanted


def _codes(cells: Cells, rows: np.ndarray[Any, Any]) -> tuple[list[str], np.ndarray[Any, Any]]:
    """Return the different values in order of appearance, and which of them each row has."""
    values = cells if isinstance(cells, list) else cells.tolist()
    known: dict[str, int] = {}
    codes = [known.setdefault(str(values[row]), len(known)) for row in rows.tolist()]
    return list(known), np.array(codes, dtype=np.int64)


def _last_rows(
    cell: np.ndarray[Any, Any], rows: np.ndarray[Any, Any], cells: int
) -> np.ndarray[Any, Any]:
    """Return for each cell its last row, -1 where it has none."""
    last = np.full(cells, -1, dtype=np.int64)
    np.maximum.at(last, cell, rows)
    return last


def _full(
    held: np.ndarray[Any, Any], agents: Sequence[str], path: str, complete: Complete | None
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the agents and tasks to keep, so that no cell is empty."""
    every_agent, every_task = np.arange(held.shape[0]), np.arange(held.shape[1])
    if held.all() and held.size:
        return every_agent, every_task
    tasks_of_all, agents_with_all = np.flatnonzero(held.all(0)), np.flatnonzero(held.all(1))
    if complete == "tasks" and len(tasks_of_all):
        return every_agent, tasks_of_all
    if complete == "agents" and len(agents_with_all):
        return agents_with_all, every_task
    empty = int(held.size - held.sum())
    fewest = sorted(every_agent.tolist(), key=lambda agent: (held[agent].sum(), agent))[:3]
    least = ", ".join(f"{agents[agent]} ({held[agent].sum()} tasks)" for agent in fewest)
    raise ConfigError(
        "file",
        path,
        f"is no full matrix: {empty} of {held.size} cells of {held.shape[0]} agents x "
        f"{held.shape[1]} tasks have no reward; --complete tasks keeps the "
        f"{len(tasks_of_all)} tasks that all agents have, --complete agents the "
        f"{len(agents_with_all)} agents that have all tasks, --where selects; "
        f"the emptiest agents are {least}",
    )


def _types(cells: Cells | None, grid: np.ndarray[Any, Any]) -> tuple[str | None, ...]:
    if cells is None:
        return (None,) * int(grid.shape[1])
    of_tasks: list[object] = [cells[row] for row in grid[0].tolist()]
    return tuple(None if kind is None else str(kind) for kind in of_tasks)


def _measured(field: str, cells: Mapping[str, Cells], grid: np.ndarray[Any, Any]) -> Grid | None:
    if field not in cells or missing(cells[field]).all():
        return None
    return _numbers(field, cells[field], grid)


def _numbers(field: str, cells: Cells, grid: np.ndarray[Any, Any]) -> Grid:
    """Return the values at the rows in ``grid``, NaN where there is none."""
    values = cells if isinstance(cells, list) else cells.tolist()
    for row, value in enumerate(values):
        if value is not None and (type(value) not in {int, float} or not np.isfinite(value)):
            raise ConfigError(field, value, f"must be a finite number (row {row})")
    numbers: Grid = np.array(values, dtype=np.float64)[grid]  # None becomes NaN
    return numbers


def _with_features(matrix: Matrix, path: str | Path) -> Matrix:
    rows = open_rows(path)
    for name in _FEATURE_COLUMNS:
        require_column("features", name, rows.names)
    # Under the name of a field that holds numbers, so that text is read as one.
    column_of = {"task_id": "task_id", "feature": "feature", "accuracy_score": "value"}
    total = rows.arrange(Arrangement(), column_of)
    cells = {
        field: cells_of.read(field, column, typed=rows.typed)
        for field, column in rows.block(0, total).items()
    }
    place = {task: position for position, task in enumerate(matrix.tasks)}
    task_of = np.array([place.get(task, -1) for task in cells["task_id"]], dtype=np.int64)
    if not (task_of >= 0).any():
        raise ConfigError("features", str(path), "has no task of the matrix in task_id")
    of_ours = np.flatnonzero(task_of >= 0)
    names, feature_of = _codes(cells["feature"], of_ours)
    values = _numbers("value", cells["accuracy_score"], of_ours)
    features = np.full((len(matrix.tasks), len(names)), np.nan)
    features[task_of[of_ours], feature_of] = values
    return replace(matrix, feature_names=tuple(names), features=features)

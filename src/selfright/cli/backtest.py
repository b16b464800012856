"""``backtest``: how the selection, or other settings, would have fared on known history."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfright.cli import grid as grid_of
from selfright.cli import show
from selfright.cli.command import command
from selfright.cli.replay import ClockSeconds, FileArgument, Mapped, OrderBy, Where
from selfright.cli.session import Session
from selfright.clock import monotonic_s
from selfright.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np

    from selfright.learn.backtest import Matrix, Report
    from selfright.learn.features import Features
    from selfright.sources.matrix import Matrix as Table

app = typer.Typer()


@command(app)
def backtest(  # noqa: PLR0913 - the options are the public contract
    session: Session,
    file: FileArgument,
    *,
    matrix: Annotated[
        bool, typer.Option("--matrix", help="The file is a full agent x task matrix.")
    ] = False,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=V1,V2,...",
            help="Replay the file with each of these settings, e.g. detect.min_drop=0,0.05; "
            "several of them make all combinations.",
        ),
    ] = None,
    decisions: Annotated[
        int | None,
        typer.Option(min=1, help="Tasks drawn with replacement (default: each task once)."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="How many streams, one for each seed.")] = 10,
    arm: Annotated[
        str, typer.Option(metavar="COLUMN", help="What is chosen among.")
    ] = "agent_name",
    features: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="What is known of each task: task_id, feature, value. The models follow at "
            "most 64 features and use those that prove to matter.",
        ),
    ] = None,
    complete: Annotated[
        str | None,
        typer.Option(metavar="tasks|agents", help="Leave out tasks, or agents, with holes."),
    ] = None,
    mapping: Mapped = None,
    where: Where = None,
    order_by: OrderBy = None,
    clock: ClockSeconds = None,
    w_success: Annotated[float, typer.Option(help="Weight of the reward.")] = 1.0,
    w_cost: Annotated[float, typer.Option(help="Utility lost per dollar.")] = 0.0,
    w_latency: Annotated[float, typer.Option(help="Utility lost per second.")] = 0.0,
) -> None:
    """Play known history again: the selection on a matrix, or many settings side by side.

    With --matrix the selection chooses, shown only what it chose. Prints the mean reward of the
    learned selection over the whole stream and its last quarter, beside a random choice,
    the best single agent, the best agent per task type and the best agent per task (the
    last three with hindsight).

    With --grid the file is replayed under every combination of the settings given.
    """
    from selfright.learn.backtest import Utility
    from selfright.learn.backtest import backtest as run

    if bool(grid) == matrix:
        raise ConfigError("backtest", str(file), "say either --matrix or --grid KEY=VALUE,VALUE")
    if grid:
        found = grid_of.run(
            file, session.settings(), grid, mapping=mapping, where=where, order_by=order_by,
            shuffle_within=None, seed=0, clock_s=clock,
        )  # fmt: skip
        show.as_json(found) if session.as_json else grid_of.tell(found)
        return
    started_s = monotonic_s()
    table = _load(file, mapping, arm, where, order_by, complete, features)
    _tell_about(table)
    known = _matrix(table, needs_cost=w_cost > 0, needs_latency=w_latency > 0)
    with show.progress(f"choosing on {file.name}") as tell:
        report = run(
            known,
            seeds=range(seeds),
            decisions=decisions,
            utility=Utility(w_success=w_success, w_cost=w_cost, w_latency=w_latency),
            progress=tell,
        )
    result = {
        **_plain(report),
        "agents": len(known.agents),
        "tasks": len(known.task_types),
        "task_types": len(set(known.task_types)),
        "decisions": decisions or len(known.task_types),
        "seeds": seeds,
        **_features(table),
        "duration_s": round(monotonic_s() - started_s, 3),
    }
    if session.as_json:
        show.as_json(result)
    else:
        _print(result)


def _load(
    file: Path,
    mapping: str | None,
    arm: str,
    where: str | None,
    order_by: str | None,
    complete: str | None,
    features: Path | None,
) -> Table:
    from selfright.sources.mapping import parse_mapping
    from selfright.sources.matrix import load_matrix

    if complete not in {None, "tasks", "agents"}:
        raise ConfigError("--complete", complete, "must be tasks or agents")
    return load_matrix(
        file,
        arm=arm,
        mapping=parse_mapping(mapping or ""),
        where=where,
        order_by=order_by,
        complete=complete,  # type: ignore[arg-type]  # one of the three, as was just checked
        features=features,
    )


def _tell_about(table: Table) -> None:
    """Say on standard error what the matrix lacks or repeats."""
    remarks = show.remarks()
    for count, what in (
        (table.repeated, "rows replaced by a later row of the same agent and task"),
        (table.unlabelled, "rows left out: no reward"),
        (table.dropped_agents, "agents left out: holes"),
        (table.dropped_tasks, "tasks left out: holes"),
    ):
        if count:
            remarks.print(f"{count:,} {what}", markup=False)
    if table.features is not None:
        from selfright.learn.settings import LearnSettings

        remarks.print(
            f"{len(table.feature_names)} features were read; the selection follows at most "
            f"{LearnSettings().max_features} and uses those that prove to matter",
            markup=False,
        )


def _features(table: Table) -> dict[str, Any]:
    """Return what is said of features in the answer, where a file of them was given."""
    if table.features is None:
        return {}
    return {"features": {"checked": list(table.feature_names), "used": True}}


def _known(table: Table) -> list[Features | None] | None:
    """Return what is known of each task, as a context would say it."""
    from selfright.learn.features import features_of

    if table.features is None:
        return None
    return [
        features_of(
            {
                name: value
                for name, value in zip(table.feature_names, row, strict=True)
                if value == value  # noqa: PLR0124 - NaN: the file says nothing
            }
        )
        for row in table.features.tolist()
    ]


def _matrix(table: Table, *, needs_cost: bool, needs_latency: bool) -> Matrix:
    from selfright.learn.backtest import Matrix

    latency_ms = _whole("latency", table.latency_ms, needed=needs_latency)
    return Matrix(
        agents=list(table.agents),
        task_types=list(table.task_types),
        reward=table.reward,
        cost_usd=_whole("cost", table.cost_usd, needed=needs_cost),
        latency_s=None if latency_ms is None else latency_ms / 1e3,
        features=_known(table),
    )


def _whole(
    what: str, values: np.ndarray[Any, Any] | None, *, needed: bool
) -> np.ndarray[Any, Any] | None:
    """Return what is known of every agent on every task; None where it is not, if it may be."""
    import numpy as np

    if values is None or bool(np.isfinite(values).all()):
        return values
    if needed:
        gaps = int(np.count_nonzero(~np.isfinite(values)))
        raise ConfigError(
            f"--w-{what}",
            f"{gaps:,} of {values.size:,} {what} values are missing",
            "select rows that have them with --where, or leave the weight at 0",
        )
    return None


def _plain(report: Report) -> dict[str, Any]:
    learned = report.learned
    references = {
        "random": report.random,
        "best_single": report.best_single,
        "best_per_type": report.best_per_type,
        "oracle": report.oracle,
    }
    learned_cost = None if learned.cost is None else float(learned.cost.mean())
    return {
        "whole": float(learned.whole.mean()),
        "last_quarter": float(learned.last_quarter.mean()),
        **{name: reference.utility for name, reference in references.items()},
        "cost": {
            "learned": learned_cost,
            **{name: reference.cost for name, reference in references.items()},
        },
        "best_agent": report.best_agent,
        "by_seed": {
            "whole": learned.whole.tolist(),
            "last_quarter": learned.last_quarter.tolist(),
        },
    }


def _print(result: dict[str, Any]) -> None:
    cost = result["cost"]
    single = f"best single agent ({result['best_agent']})"
    lines = [
        ("learned, whole stream", result["whole"], cost["learned"]),
        ("learned, last quarter", result["last_quarter"], None),
        ("random", result["random"], cost["random"]),
        (single, result["best_single"], cost["best_single"]),
        ("best agent per task type", result["best_per_type"], cost["best_per_type"]),
        ("oracle", result["oracle"], cost["oracle"]),
    ]
    rows = [
        (name, f"{reward:.4f}", None if usd is None else f"{usd:.5f}")
        for name, reward, usd in lines
    ]
    title = (
        f"{result['agents']} agents x {result['tasks']:,} tasks, {result['seeds']} seeds of "
        f"{result['decisions']:,} decisions, {result['duration_s']:.1f} s"
    )
    columns = ("policy", "mean reward", "cost per task, $")
    console = show.console()
    console.print(show.table(title, columns, rows, numbers=2))
    if "features" in result:
        count = len(result["features"]["checked"])
        console.print(f"{count} features of tasks were given to the models", markup=False)

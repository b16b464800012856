"""``replay``: what these settings would have done to a file of events."""

from __future__ import annotations

from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfright.cli import show
from selfright.cli.command import command
from selfright.cli.session import Session, pairs
from selfright.clock import SystemClock, monotonic_s
from selfright.config import with_thresholds, with_values
from selfright.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import RenderableType

    from selfright.config import Settings
    from selfright.sources.tabular import Table

app = typer.Typer()

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="Parquet, CSV or NDJSON of runs and outcomes.")
]
Mapped = Annotated[
    str | None,
    typer.Option("--map", metavar="NEW=OLD,...", help="Our field = the file's column."),
]
Where = Annotated[str | None, typer.Option(metavar="SQL", help="Only rows for which this holds.")]
OrderBy = Annotated[str | None, typer.Option(metavar="COLUMN", help="Sort rows by this.")]
ShuffleWithin = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Shuffle rows that are equal in this.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of whatever is left to chance.")]
ClockSeconds = Annotated[
    float | None,
    typer.Option("--clock", metavar="SECONDS", help="Even spacing instead of the file's times."),
]


@command(app)
def replay(  # noqa: PLR0913 - the options are the public contract
    session: Session,
    file: FileArgument,
    *,
    mapping: Mapped = None,
    where: Where = None,
    order_by: OrderBy = None,
    shuffle_within: ShuffleWithin = None,
    seed: Seed = 0,
    clock: ClockSeconds = None,
    thresholds: Annotated[
        str | None, typer.Option(metavar="NAME=VALUE,...", help="E.g. accuracy_min=0.8.")
    ] = None,
    changed: Annotated[
        str | None,
        typer.Option("--set", metavar="KEY=VALUE,...", help="E.g. trigger.cooldown_s=60."),
    ] = None,
    speed: Annotated[str, typer.Option(help="Only max: as fast as it goes.")] = "max",
) -> None:
    """Play a file through the whole loop, and print what would have happened.

    Detection, alerts, retrainings and gate are those of the service, at the file's own
    time; nothing is kept.
    """
    if speed != "max":
        raise ConfigError("--speed", speed, "must be max")
    settings = _settings(session, thresholds, changed)
    table = open_file(
        file,
        mapping=mapping,
        where=where,
        order_by=order_by,
        shuffle_within=shuffle_within,
        seed=seed,
        clock_s=clock,
    )
    result = simulate(settings, table, file.name)
    tell_what_was_filled(table)
    if session.as_json:
        show.as_json(result)
    else:
        _print(result)


def open_file(
    file: Path,
    *,
    mapping: str | None,
    **options: Any,  # noqa: ANN401 - those of ``open_table``
) -> Table:
    """Open a file of runs and outcomes. Raises ``ConfigError`` naming the remedy."""
    from selfright.metrics.accuracy import accuracy_score
    from selfright.sources.mapping import parse_mapping
    from selfright.sources.tabular import open_table

    return open_table(file, mapping=parse_mapping(mapping or ""), scorer=accuracy_score, **options)


def simulate(settings: Settings, table: Table, name: str) -> dict[str, Any]:
    """Return what the whole table does to a circle with these settings."""
    from selfright.assemble import Learning, open_circle
    from selfright.learn.strategy import UpdateStrategy
    from selfright.loop.simulate import Simulation
    from selfright.retrain.registry import MemoryRegistry

    started_s = monotonic_s()
    # The log must hold the whole file, or outcomes could not find their runs: two events
    # a row, and what the loop itself adds.
    events = max(settings.log.memory_events, 3 * table.rows_total)
    circle = open_circle(
        with_values(settings, {"log.memory_events": events}),
        learning=Learning(MemoryRegistry(SystemClock()), UpdateStrategy(settings.learn.strategy)),
        file_clock=True,
    )
    simulation = Simulation(circle)
    with show.progress(f"replaying {name}") as tell:
        for piece in table:
            simulation.feed(piece.intake, piece.row_of)
            tell(piece.next_row / table.rows_total)
        result = simulation.result()
    return {**result, "duration_s": round(monotonic_s() - started_s, 3)}


def tell_what_was_filled(table: Table) -> None:
    """Say on standard error what the file lacked and what was refused."""
    remarks = show.remarks()
    if table.filled:
        parts = ", ".join(f"{name} in {count:,} rows" for name, count in table.filled.items())
        remarks.print(f"filled in where missing: {parts}", markup=False)
    if table.refused:
        remarks.print(f"refused {table.refused:,} of {table.rows_total:,} rows:", markup=False)
        for item in table.rejections[:5]:
            remarks.print(f"  row {item.index}: {item.field}: {item.reason}", markup=False)


def _settings(session: Session, thresholds: str | None, changed: str | None) -> Settings:
    given: dict[str, Any] = dict(pairs("--thresholds", thresholds))
    settings = with_values(session.settings(), pairs("--set", changed))
    return with_thresholds(settings, given)


def _print(result: dict[str, Any]) -> None:
    console = show.console()
    system = result["system_metrics"]
    rows = [
        ("events", result["events"]),
        ("runs", result["runs"]),
        ("outcomes", result["outcomes"]),
        ("agents", result["agents"]),
        ("success rate", system["success_rate"]),
        ("error rate", system["error_rate"]),
        ("accuracy", system["avg_accuracy"]),
        ("p50 / p95 latency, ms", (system["p50_latency_ms"], system["p95_latency_ms"])),
        ("cost, $", system["total_cost"]),
        ("health score", result["health_score"]),
        ("alerts", len(result["alerts"])),
        ("retrainings", len(result["retrainings"])),
        ("promoted", sum(item["promoted"] for item in result["retrainings"])),
        ("held back by", sorted({item["reason"] for item in result["suppressed"]}) or None),
        ("seconds", result["duration_s"]),
    ]
    console.print(show.table("The whole file", ("figure", "value"), rows, numbers=1))
    if result["alerts"]:
        console.print(_alerts(result["alerts"]))
    if result["retrainings"]:
        console.print(_retrainings(result["retrainings"]))


def _alerts(found: list[dict[str, Any]]) -> RenderableType:
    rows = [
        (
            a["at_event"],
            show.clock_time(a["at"]),
            a["rule"],
            a["agent_name"] or "(fleet)",
            a["level"],
            a["value"],
            a["threshold"],
            a["resolved_at_event"],
        )
        for a in sorted(found, key=itemgetter("at_event"))
    ]
    columns = ("at row", "time", "rule", "agent", "level", "value", "threshold", "resolved at row")
    return show.table("Alerts", columns, rows)


def _retrainings(found: list[dict[str, Any]]) -> RenderableType:
    rows = [
        (
            r["at_event"],
            show.clock_time(r["at"]),
            r["model_type"],
            r["retrain_type"],
            r["agents"] or "(fleet)",
            r["events_processed"],
            (r["gate"] or {}).get("verdict"),
            r["promoted"],
            r["version"],
        )
        for r in found
    ]
    columns = (
        "at row",
        "time",
        "model",
        "type",
        "agents",
        "outcomes",
        "gate",
        "promoted",
        "version",
    )
    return show.table("Retrainings", columns, rows)

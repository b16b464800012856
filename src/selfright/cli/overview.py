"""Reading a fleet: ``report``, ``agents``, ``alerts``, ``ack``, ``check``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from selfright.cli import show
from selfright.cli.command import OK, UNHEALTHY, command
from selfright.cli.fleet import reach
from selfright.cli.session import Session
from selfright.cli.why import lines_of
from selfright.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import RenderableType

    from selfright.cli.fleet import Fleet

app = typer.Typer()
agents_app = typer.Typer()
app.add_typer(agents_app, name="agents")

Window = Annotated[
    float | None,
    typer.Option("--window", help="Minutes to look back (default: windows.window_minutes)."),
]
# Alerts shown at most, and those among which one is found by how its id begins.
_NEWEST: Final = 1000
# Columns of a terminal below which a table of alerts would break their messages word by word.
_ROOM_FOR_ALERTS: Final = 160
_SHARES: Final = frozenset({"success_rate", "error_rate", "avg_accuracy"})
_COLOURS: Final = {
    "healthy": "green",
    "degraded": "yellow",
    "unhealthy": "red",
    "critical": "red",
    "warning": "yellow",
}


@command(app)
def report(
    session: Session,
    window: Window = None,
    form: Annotated[str, typer.Option("--format", help="text, json or html.")] = "text",
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write json or html there, not to standard output."),
    ] = None,
) -> None:
    """Print how the fleet does: figures, agents, alerts, retrainings, advice.

    As html it is one file with charts that needs nothing else: keep it, or send it.
    """
    form = "json" if session.as_json else form
    if form not in {"text", "json", "html"}:
        raise ConfigError("--format", form, "must be text, json or html")
    if form == "text" and output is not None:
        raise ConfigError("--output", str(output), "goes with --format html or --format json")
    with reach(session) as fleet:
        if form == "html":
            show.document(fleet.report_page(window), output)
            return
        made = fleet.report(window)
        health = fleet.health()
    if form == "json":
        show.document(show.json_text(made), output)
        return
    console = show.console()
    console.print(_headline(health, made["system_metrics"]))
    agents = made.get("agent_metrics") or {}
    console.print(_agents_table(agents.values()))
    if made["recent_alerts"]:
        console.print(alerts_table(made["recent_alerts"]))
    if made["retrainings"]:
        console.print(retrainings_table(made["retrainings"]))
    for advice in made["recommendations"]:
        console.print(f"- {show.text(advice)}", markup=False)


@command(agents_app, bare=True)
def agents(
    session: Session,
    window: Window = None,
    everyone: Annotated[bool, typer.Option("--all", help="Those that are retired, too.")] = False,
) -> None:
    """Print every agent with its figures, the busiest first."""
    with reach(session) as fleet:
        found = fleet.agents(window, retired=everyone)
    if session.as_json:
        show.as_json(found)
        return
    show.console().print(_agents_table(found))


@command(agents_app, "show")
def agent(
    session: Session,
    name: Annotated[str, typer.Argument(help="Name of the agent.")],
    window: Window = None,
) -> None:
    """Print one agent's figures in full."""
    with reach(session) as fleet:
        found = fleet.agent(name, window)
    if session.as_json:
        show.as_json(found)
        return
    facts = [(key, value) for key, value in found.items() if key != "metrics"]
    facts += [(key, value) for key, value in found["metrics"].items() if value not in (None, {})]
    show.console().print(show.table(name, ("figure", "value"), facts))


@command(agents_app, "retire")
def retire(
    session: Session,
    name: Annotated[str, typer.Argument(help="Name of the agent that is gone.")],
) -> None:
    """Take an agent that is gone out of the fleet; its figures stay.

    It is no candidate any more, its alerts are resolved and lists leave it out. It comes
    back by itself when it runs again.
    """
    with reach(session) as fleet:
        fleet.retire(name)
    if session.as_json:
        show.as_json({"retired": name})
    else:
        show.console().print(f"{name} is retired until it runs again", markup=False)


@command(agents_app, "delete")
def delete(
    session: Session,
    name: Annotated[str, typer.Argument(help="Name of the agent to forget.")],
) -> None:
    """Drop what figures, detectors and models know of an agent, as if never seen.

    Its runs stay in the log, where they count no more. There is no way back but its
    running again, from nothing.
    """
    with reach(session) as fleet:
        fleet.delete(name)
    if session.as_json:
        show.as_json({"deleted": name})
    else:
        show.console().print(f"{name} is deleted", markup=False)


@command(app)
def alerts(
    session: Session,
    why: Annotated[str | None, typer.Option("--why", help="Explain the alert of this id.")] = None,
    level: Annotated[str | None, typer.Option(help="info, warning or critical.")] = None,
    agent_name: Annotated[str | None, typer.Option("--agent", help="Of this agent.")] = None,
    state: Annotated[
        str | None,
        typer.Option(help="pending, firing, acknowledged, muted or resolved."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=_NEWEST, help="How many, the newest.")] = 50,
) -> None:
    """Print alerts, newest last; with --why one alert and what it was judged from."""
    if why is not None:
        with reach(session) as fleet:
            explained = fleet.explain(_full_id(fleet, why))
        if session.as_json:
            show.as_json(explained)
        else:
            show.console().print("\n".join(lines_of(explained)), markup=False, highlight=False)
        return
    with reach(session) as fleet:
        found = fleet.alerts(level=level, agent_name=agent_name, state=state, limit=limit)
        if agent_name is not None and not found:
            fleet.agent(agent_name)  # a misspelt name must not pass for a healthy agent
    if session.as_json:
        show.as_json(found)
    elif found:
        show.console().print(alerts_table(found))
    else:
        show.console().print("no alerts")


@command(app)
def ack(
    session: Session,
    alert_id: Annotated[str, typer.Argument(help="Id of the alert, or how it begins.")],
) -> None:
    """Acknowledge an alert: somebody is on it."""
    with reach(session) as fleet:
        done = fleet.acknowledge(_full_id(fleet, alert_id))
    if session.as_json:
        show.as_json(done)
    else:
        line = f"{done['alert_id']} is {done['state']}: {done['message']}"
        show.console().print(line, markup=False)


@command(app)
def check(  # noqa: PLR0913 - the options are the public contract
    session: Session,
    *,
    min_success: Annotated[float | None, typer.Option(help="Lowest success rate.")] = None,
    max_error: Annotated[float | None, typer.Option(help="Highest error rate.")] = None,
    min_accuracy: Annotated[float | None, typer.Option(help="Lowest mean accuracy.")] = None,
    max_p95_ms: Annotated[
        float | None, typer.Option("--max-p95-ms", help="Highest p95 of durations, ms.")
    ] = None,
    min_health: Annotated[float | None, typer.Option(help="Lowest health score, 0-100.")] = None,
    min_runs: Annotated[int | None, typer.Option(help="Fewest runs in the window.")] = None,
    agent_name: Annotated[
        str | None, typer.Option("--agent", help="Judge this agent, not the fleet.")
    ] = None,
    window: Window = None,
) -> int:
    """Gate a pipeline: exit 0 if the fleet is well, 3 if not.

    Without limits the fleet must not be unhealthy and must have data. What nobody
    reported is not known to hold, so it does not pass.
    """
    asked = [
        ("success_rate", "at least", min_success),
        ("error_rate", "at most", max_error),
        ("avg_accuracy", "at least", min_accuracy),
        ("p95_latency_ms", "at most", max_p95_ms),
        ("health_score", "at least", min_health),
        ("sample_size", "at least", min_runs),
    ]
    for figure, _, limit in asked:
        _require_sensible(figure, limit)
    with reach(session) as fleet:
        health = fleet.health()
        found = fleet.agent(agent_name, window)["metrics"] if agent_name else fleet.system(window)
    found = {**found, "health_score": health.get("health_score")}
    results = [
        _judge(name, sense, limit, found.get(name))
        for name, sense, limit in asked
        if limit is not None
    ]
    if not results:
        status = health["status"]
        results = [
            {
                "figure": "status",
                "value": status,
                "limit": "not unhealthy",
                "ok": status in {"healthy", "degraded"},
            }
        ]
    ok = all(result["ok"] for result in results)
    if session.as_json:
        show.as_json({"ok": ok, "checks": results, "health": health})
    else:
        rows = [(r["figure"], r["limit"], r["value"], "ok" if r["ok"] else "FAIL") for r in results]
        show.console().print(show.table("", ("figure", "limit", "value", "verdict"), rows))
    return OK if ok else UNHEALTHY


def alerts_table(found: Iterable[dict[str, Any]], width: int | None = None) -> RenderableType:
    """Return a table of alerts; where the terminal has no room for one, two lines an alert."""
    rows = [
        (
            item["alert_id"],
            show.clock_time(item["timestamp"]),
            item["level"],
            item["state"],
            item["agent_name"] or "(fleet)",
            item["message"],
            item["count"],
        )
        for item in found
    ]
    if (width or show.console().width) < _ROOM_FOR_ALERTS:
        return _stacked(rows)
    columns = ("id", "since", "level", "state", "agent", "message", "count")
    return show.table("Alerts", columns, rows, numbers=1)


def retrainings_table(found: Iterable[dict[str, Any]]) -> RenderableType:
    """Return a table of retrainings with the gate's verdict."""
    rows = [
        (
            show.clock_time(item.get("timestamp")),
            item["model_type"],
            item["retrain_type"],
            item["state"],
            (item.get("gate") or {}).get("verdict"),
            item["promoted"],
            ((item.get("proof") or {}).get("verdict") or show.NOTHING).replace("_", " "),
            item["version"],
            item["events_processed"],
            item.get("error") or item["reason"],
        )
        for item in found
    ]
    columns = (
        "at", "model", "type", "state", "gate", "promoted", "proof", "version", "outcomes", "why",
    )  # fmt: skip
    return show.table("Retrainings", columns, rows)


def _require_sensible(figure: str, limit: float | None) -> None:
    """Refuse a limit that no figure could meet, or every one: a slip, such as 80 for 0.8."""
    most = 1.0 if figure in _SHARES else 100.0 if figure == "health_score" else float("inf")
    if limit is not None and not 0.0 <= limit <= most:
        bound = "0 or more" if most == float("inf") else f"between 0 and {most:g}"
        raise ConfigError(f"limit of {figure}", limit, f"must be {bound}")


def _judge(figure: str, sense: str, limit: float, value: float | None) -> dict[str, Any]:
    within = value is not None and (value >= limit if sense == "at least" else value <= limit)
    return {"figure": figure, "value": value, "limit": f"{sense} {limit:g}", "ok": within}


def _headline(health: dict[str, Any], system: dict[str, Any]) -> RenderableType:
    from rich.text import Text

    status, score = health["status"], health.get("health_score")
    shown = show.NOTHING if score is None else f"{score:.0f}"
    return Text.assemble(
        (f"{status} ", f"bold {_COLOURS.get(status, 'default')}"),
        f"health {shown}/100, {show.text(system['total_tasks'])} runs, success ",
        f"{show.share(system['success_rate'])}, accuracy {show.share(system['avg_accuracy'])}, ",
        f"errors {show.share(system['error_rate'])}, p95 {show.text(system['p95_latency_ms'])} ms",
    )


def _agents_table(found: Iterable[dict[str, Any]]) -> RenderableType:
    rows = [
        (
            item["agent_name"],
            item["status"],
            item["metrics"]["total_tasks"],
            show.share(item["metrics"]["success_rate"]),
            show.share(item["metrics"]["avg_accuracy"]),
            show.share(item["metrics"]["error_rate"]),
            item["metrics"]["p95_latency_ms"],
            item["metrics"]["total_cost"],
        )
        for item in sorted(found, key=lambda item: -item["metrics"]["total_tasks"])
    ]
    columns = ("agent", "status", "runs", "success", "accuracy", "errors", "p95 ms", "cost $")
    return show.table("Agents", columns, rows, numbers=6)


def _stacked(rows: Iterable[tuple[Any, ...]]) -> RenderableType:
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    lines: list[RenderableType] = [Text("Alerts", "italic")]
    for alert_id, since, level, state, _, message, count in rows:
        # The message begins with the agent's name.
        lines.append(Text(f"{alert_id}  {since}  {level}, {state}, {count:,}x", "bold"))
        lines.append(Padding(Text(message), (0, 0, 0, 2)))
    return Group(*lines)


def _full_id(fleet: Fleet, beginning: str) -> str:
    """Return the one id that begins so, or ``beginning`` where none does."""
    found = fleet.alerts(limit=_NEWEST)
    ids = [item["alert_id"] for item in found if item["alert_id"].startswith(beginning)]
    if len(ids) > 1 and beginning not in ids:
        raise ConfigError("alert id", beginning, f"begins {len(ids)} ids; write more of it")
    return str(ids[0]) if len(ids) == 1 else beginning

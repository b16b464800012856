"""The models: ``retrain``, ``models``, ``rollback``."""

from __future__ import annotations

from typing import Annotated

import typer

from selfright.cli import show
from selfright.cli.command import FAILED, OK, command
from selfright.cli.fleet import reach
from selfright.cli.overview import retrainings_table
from selfright.cli.session import MODEL_TYPES, Session, model_type

app = typer.Typer()

ModelName = Annotated[str, typer.Argument(help=f"One of {', '.join(MODEL_TYPES)}.")]


@command(app)
def retrain(
    session: Session,
    model: ModelName = "agent_selection",
    full: Annotated[
        bool, typer.Option("--full", help="Forget everything and learn from the log anew.")
    ] = False,
    reason: Annotated[str, typer.Option(help="Is kept with the result.")] = "Manual trigger",
) -> int:
    """Retrain a model now. The gate still decides whether the result may serve."""
    name = model_type(model)
    with reach(session) as fleet, show.progress(f"retraining {name}") as tell:
        result = fleet.retrain(name, full=full, reason=reason)
        tell(1.0)
    if session.as_json:
        show.as_json(result)
    elif "state" in result:
        show.console().print(retrainings_table([result]))
        if result["state"] == "pending":
            show.remarks().print(
                "The gate watches the new version on the outcomes that come now; it serves once "
                "it has proved better."
            )
    else:
        show.console().print(f"under way: {result.get('retrain_id')}")
    return OK if result.get("success", True) else FAILED


@command(app)
def models(
    session: Session,
    model: Annotated[str | None, typer.Argument(help="Show the versions of this model.")] = None,
) -> None:
    """Print the models and what serves; of one model all its versions."""
    name = None if model is None else model_type(model)
    with reach(session) as fleet:
        found = fleet.models() if name is None else fleet.versions(name)
    if session.as_json:
        show.as_json(found)
        return
    if name is None:
        rows = [(m["model_type"], m["version"], m["on_trial"], m["updates"]) for m in found]
        show.console().print(show.table("", ("model", "serves", "on trial", "learnt from"), rows))
        return
    columns = [key for key in _VERSION_COLUMNS if any(key in item for item in found)]
    lines = [[item.get(key) for key in columns] for item in found]
    show.console().print(show.table(name, columns, lines))


_VERSION_COLUMNS = ("version", "parent", "state", "created_at", "retrain_type", "samples", "reason")


@command(app)
def rollback(
    session: Session,
    model: ModelName = "agent_selection",
    version: Annotated[
        int | None, typer.Option(help="Serve this one (default: the parent).")
    ] = None,
) -> None:
    """Let an earlier version serve again."""
    name = model_type(model)
    with reach(session) as fleet:
        served = fleet.rollback(name, version)
    if session.as_json:
        show.as_json(served)
    else:
        show.console().print(f"{name}: version {served['version']} serves")

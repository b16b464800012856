"""The models: ``retrain``, ``models``, ``rollback``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from selfright.cli import registry_table, show
from selfright.cli.command import FAILED, OK, command
from selfright.cli.fleet import reach
from selfright.cli.overview import retrainings_table
from selfright.cli.session import MODEL_TYPES, Session, model_name
from selfright.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import RenderableType

app = typer.Typer()

ModelName = Annotated[
    str, typer.Argument(help=f"One of {', '.join(MODEL_TYPES)}; or a model of your own.")
]


@command(app)
def retrain(
    session: Session,
    model: ModelName = "agent_selection",
    full: Annotated[
        bool, typer.Option("--full", help="Forget everything and learn from the log anew.")
    ] = False,
    reason: Annotated[
        str | None, typer.Option(help="Is kept with the result.", show_default=False)
    ] = None,
    cancel: Annotated[
        str | None, typer.Option("--cancel", metavar="ID", help="End this retraining instead.")
    ] = None,
) -> int:
    """Retrain a model now. The gate still decides whether the result may serve.

    A model of your own is retrained, always in full, by the service that registered it.
    """
    name = model_name(model)
    if cancel is not None:
        with reach(session) as fleet:
            result = fleet.cancel_retraining(cancel, reason or "cancelled by an operator")
    else:
        with reach(session) as fleet, show.progress(f"retraining {name}") as tell:
            result = fleet.retrain(name, full=full, reason=reason or "Manual trigger", tell=tell)
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
    done = result["state"] == "aborted" if cancel is not None else result.get("success", True)
    return OK if done else FAILED


@command(app)
def models(
    session: Session,
    model: Annotated[str | None, typer.Argument(help="Show the versions of this model.")] = None,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="What served then (RFC 3339 or seconds).")
    ] = None,
    diff: Annotated[
        tuple[int, int] | None,
        typer.Option(metavar="V1 V2", help="What these two versions believe differently."),
    ] = None,
    log: Annotated[bool, typer.Option("--log", help="What served when, and why.")] = False,
) -> None:
    """Print the models and what serves; of one model all its versions."""
    name = None if model is None else model_name(model)
    if name is None and (diff is not None or log):
        option = "--diff" if diff is not None else "--log"
        raise ConfigError(option, None, f"is about one model: selfright models MODEL {option} ...")
    if sum((at is not None, diff is not None, log)) > 1:
        raise ConfigError("--at, --diff, --log", None, "ask one of them at a time")
    with reach(session) as fleet:
        if at is not None:
            _print(session, fleet.serving_at(at, name), registry_table.serving)
        elif name is None:
            _print(session, fleet.models(), registry_table.models)
        elif diff is not None:
            _print(session, fleet.compare(name, *diff), registry_table.comparison)
        elif log:
            _print(session, fleet.promotions(name), registry_table.promotions)
        else:
            _print(session, fleet.versions(name), registry_table.versions)


_Found = TypeVar("_Found")


def _print(session: Session, found: _Found, table: Callable[[_Found], RenderableType]) -> None:
    if session.as_json:
        show.as_json(found)
    else:
        show.console().print(table(found))


@command(app)
def rollback(
    session: Session,
    model: ModelName = "agent_selection",
    version: Annotated[
        int | None, typer.Option(help="Serve this one (default: the parent).")
    ] = None,
) -> None:
    """Let an earlier version serve again."""
    name = model_name(model)
    with reach(session) as fleet:
        served = fleet.rollback(name, version)
    if session.as_json:
        show.as_json(served)
    else:
        show.console().print(f"{name}: version {served['version']} serves")

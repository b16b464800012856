"""``keys``: who may do what over REST. On the data directory, whether a service runs or not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfright.cli import show
from selfright.cli.command import command
from selfright.cli.session import Session
from selfright.clock import SystemClock
from selfright.errors import ConfigError

if TYPE_CHECKING:
    from selfright.server.access.key_file import KeyFile

app = typer.Typer(help="Keys to a service: who may do what over REST.", no_args_is_help=True)


@command(app, "create")
def keys_create(
    session: Session,
    name: Annotated[str, typer.Argument(help="What it is for: whose it is, or where it lies.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            help="What it allows: ingest, read, operate or admin; repeat it, or join with commas.",
            show_default=False,
        ),
    ] = None,
    days: Annotated[
        float | None, typer.Option("--days", help="Days after which it expires (default: never).")
    ] = None,
) -> None:
    """Make a key and print it, this once: only its hash is kept.

    ingest: send runs and outcomes, have agents chosen. read: figures, alerts, models, metrics.
    operate: also acknowledge, retrain, roll back. admin: everything, keys included.
    """
    from selfright.server.access.key import mint

    words = [word for part in scope or [] for word in part.split(",") if word.strip()]
    now_us = SystemClock().now_us()
    key, text = mint(name, words, now_us, days)
    book = _book(session)
    is_first = not book.read()
    book.add(key)
    if session.as_json:
        show.as_json({"key": text, **key.shown(now_us)})
        return
    # The key alone on standard output, whole however narrow the terminal: for `$(...)`.
    typer.echo(text)
    show.remarks().print(
        f"shown this once; {key.prefix} is its name, and it allows: {', '.join(key.scopes)}",
        markup=False,
    )
    if is_first:
        show.remarks().print(
            "the first key: from now on the service of this directory asks every request for one",
            markup=False,
        )


@command(app, "list")
def keys_list(
    session: Session,
    everything: Annotated[
        bool, typer.Option("--all", help="Those that are revoked or have expired, too.")
    ] = False,
) -> None:
    """List the keys that count. Of none the key itself is known."""
    now_us = SystemClock().now_us()
    found = [key.shown(now_us) for key in _book(session).read()]
    rows = [key for key in found if everything or key["state"] == "active"]
    if session.as_json:
        show.as_json(rows)
        return
    head = ("prefix", "name", "scopes", "state", "made", "expires")
    show.console().print(show.table("", head, [_row(key) for key in rows]))
    if len(rows) < len(found):
        show.remarks().print(f"{len(found) - len(rows)} more count no more: --all lists them")


@command(app, "revoke")
def keys_revoke(
    session: Session,
    prefix: Annotated[str, typer.Argument(help="As `keys list` shows it: selfright_1a2b3c4d.")],
) -> None:
    """Let a key count no more. A service that runs notices within seconds."""
    now_us = SystemClock().now_us()
    key = _book(session).revoke(prefix, now_us)
    if session.as_json:
        show.as_json(key.shown(now_us))
    else:
        show.console().print(f"{key.prefix} ({key.name}) is revoked", markup=False)


def _book(session: Session) -> KeyFile:
    from selfright.server.access.key_file import KeyFile

    if session.options.url is not None:
        remedy = "keys are made where they are kept: on the data directory, with --data-dir"
        raise ConfigError("--url", session.options.url, remedy)
    return KeyFile(Path(session.settings().server.data_dir))


def _row(key: dict[str, Any]) -> tuple[str, ...]:
    expires = key["expires_at"] or show.NOTHING
    scopes = ", ".join(key["scopes"])
    return key["prefix"], key["name"], scopes, key["state"], key["created_at"][:19], expires[:19]

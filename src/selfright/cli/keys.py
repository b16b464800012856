"""``keys``: who may do what over REST.

On the data directory, whether a service runs there or not, or over REST with a key to
``admin``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfright.cli import show
from selfright.cli.command import command
from selfright.cli.fleet import remote
from selfright.cli.session import Session
from selfright.clock import SystemClock

if TYPE_CHECKING:
    from selfright.cli.remote import RemoteFleet

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
    words = [word for part in scope or [] for word in part.split(",") if word.strip()]
    place = _place(session)
    is_first = not place.keys()
    key = place.create_key(name, words, days)
    if session.as_json:
        show.as_json(key)
        return
    # The key alone on standard output, whole however narrow the terminal: for `$(...)`.
    typer.echo(key["key"])
    allows = ", ".join(key["scopes"])
    show.remarks().print(
        f"shown this once; {key['prefix']} is its name, and it allows: {allows}", markup=False
    )
    if is_first:
        show.remarks().print(
            "the first key: from now on the service asks every request for one, from this "
            "machine as well",
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
    found = _place(session).keys()
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
    key = _place(session).revoke_key(prefix)
    if session.as_json:
        show.as_json(key)
    else:
        show.console().print(f"{key['prefix']} ({key['name']}) is revoked", markup=False)


class LocalKeys:
    """The keys of a data directory, as ``RemoteFleet`` has those of a service."""

    def __init__(self, folder: Path) -> None:
        from selfright.server.access.key_file import KeyFile

        self._book = KeyFile(folder)
        self._now_us = SystemClock().now_us()

    def keys(self) -> list[dict[str, Any]]:
        """See ``RemoteFleet``."""
        return [key.shown(self._now_us) for key in self._book.read()]

    def create_key(self, name: str, scopes: list[str], days: float | None) -> dict[str, Any]:
        """See ``RemoteFleet``."""
        from selfright.server.access.key import mint

        key, text = mint(name, scopes, self._now_us, days)
        self._book.add(key)
        return {"key": text, **key.shown(self._now_us)}

    def revoke_key(self, prefix: str) -> dict[str, Any]:
        """See ``RemoteFleet``."""
        return self._book.revoke(prefix, self._now_us).shown(self._now_us)


def _place(session: Session) -> LocalKeys | RemoteFleet:
    return remote(session) or LocalKeys(Path(session.settings().server.data_dir))


def _row(key: dict[str, Any]) -> tuple[str, ...]:
    expires = key["expires_at"] or show.NOTHING
    scopes = ", ".join(key["scopes"])
    return key["prefix"], key["name"], scopes, key["state"], key["created_at"][:19], expires[:19]

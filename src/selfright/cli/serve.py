"""``serve``: run the service."""

from __future__ import annotations

import logging
from typing import Annotated

import typer

from selfright.cli import show
from selfright.cli.command import command
from selfright.cli.directory import DataDirectory
from selfright.cli.session import Session
from selfright.clock import SystemClock

app = typer.Typer()


@command(app, reads=False)
def serve(
    session: Session,
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on (default 127.0.0.1); any other needs keys."),
    ] = None,
    port: Annotated[
        int | None, typer.Option(help="Port to listen on, 0 for any free one (default 8000).")
    ] = None,
) -> None:
    """Watch and serve a fleet: REST, status page, metrics; Ctrl-C stops it.

    Everything is kept in the data directory, which one process at a time may own. As long as
    it holds no keys, only this machine is served; see `selfright keys`.
    """
    from selfright.server.access.key import mint
    from selfright.server.guard import is_loopback
    from selfright.server.serve import serve as run

    settings = session.settings(server__host=host, server__port=port)
    directory = DataDirectory.of(settings)
    log_to_stderr()
    owner, owner_key = mint("commands on the directory", ["admin"], SystemClock().now_us())
    announced = False

    def announce(url: str) -> None:
        nonlocal announced
        announced = True
        directory.announce(url, owner_key)
        show.remarks().print(
            f"serving {directory.path} at {url} (API: {url}/docs); Ctrl-C stops", markup=False
        )
        if not is_loopback(settings.server.host):
            show.remarks().print(
                "open to other machines: unless a proxy with TLS stands before it, keys and "
                "figures travel unencrypted",
                markup=False,
            )

    try:
        run(settings, on_ready=announce, owner=owner)
    finally:
        if announced:
            directory.withdraw()
    show.remarks().print("stopped; everything is kept")


def log_to_stderr() -> None:
    """Show what the library logs: triggers, verdicts, promotions, failures."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("selfright")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

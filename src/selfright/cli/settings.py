"""``config show``: every setting, its value, and who set it."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from selfright.cli import show
from selfright.cli.command import command
from selfright.cli.session import Session
from selfright.config import describe

app = typer.Typer(help="The settings, and where each comes from.", no_args_is_help=True)

# Settings whose value may carry a password or a token.
_SECRET: Final = ("webhook_url", "sync.url", "password", "token", "secret", "key")
MASK: Final = "********"


@command(app, "show")
def config_show(
    session: Session,
    section: Annotated[str | None, typer.Argument(help="Only this section, e.g. trigger.")] = None,
) -> None:
    """Print every setting with its value, where the value comes from, and what it means.

    Order: flag, environment SELFRIGHT__SECTION__KEY, file, default.
    """
    loaded = session.loaded()
    rows = []
    for row in describe():
        name, _, key = row.key.partition(".")
        if section is None or name == section:
            value = getattr(getattr(loaded.settings, name), key)
            rows.append((row.key, _masked(row.key, value), loaded.origin[row.key], row))
    if not rows:
        _no_section(section)
    if session.as_json:
        show.as_json(
            {
                key: {"value": value, "origin": origin, "description": row.description}
                for key, value, origin, row in rows
            }
        )
        return
    # Values as they are written in the file, not as figures are shown.
    lines = [
        (key, show.NOTHING if value is None else str(value), origin, row.description)
        for key, value, origin, row in rows
    ]
    show.console().print(show.table("", ("setting", "value", "origin", "meaning"), lines))


def _no_section(section: str | None) -> None:
    from selfright.errors import ConfigError, did_you_mean

    known = list(dict.fromkeys(row.key.partition(".")[0] for row in describe()))
    raise ConfigError(
        "section", section, f"must be one of {', '.join(known)}{did_you_mean(section, known)}"
    )


def _masked(key: str, value: object) -> object:
    return MASK if value is not None and key.endswith(_SECRET) else value

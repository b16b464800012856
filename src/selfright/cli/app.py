"""The commands, put together."""

from __future__ import annotations

from typing import Annotated

import typer

from selfright.cli import backtest, bring, doctor, keys, models, overview, replay, serve, settings
from selfright.cli.command import ConfigFile, DataDir, Debug, KeyFile, Url
from selfright.cli.demo import command as demo
from selfright.cli.session import Options

app = typer.Typer(
    name="selfright",
    help="Watches a fleet of AI agents, notices when one tips over, retrains by itself and "
    "proves the repair.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="Exit codes: 0 ok, 1 failed, 2 usage, 3 unhealthy. Each read takes --json.",
)
# In the order in which a newcomer needs them; that is how `--help` lists them.
for group in (demo, serve, replay, backtest, bring, overview, models, doctor):
    app.add_typer(group.app)
app.add_typer(keys.app, name="keys")
app.add_typer(settings.app, name="config")


def run() -> None:
    """Run the command that ``sys.argv`` names."""
    app(prog_name="selfright")


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"selfright {version('selfright')}")
        except PackageNotFoundError:
            typer.echo("selfright, not installed as a package")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version."),
]


@app.callback()
def everywhere(
    ctx: typer.Context,
    data_dir: DataDir = None,
    config: ConfigFile = None,
    url: Url = None,
    key_file: KeyFile = None,
    debug: Debug = False,
    version: Version = False,  # noqa: ARG001 - its callback has done it
) -> None:
    """Keep the options that stand before the command for the command itself."""
    ctx.obj = Options(data_dir, config, url, debug, key_file=key_file)

"""What all commands share: options that stand everywhere, errors as one line, exit codes.

Exit codes: 0 ok, 1 failed, 2 usage, 3 unhealthy.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from selfright.cli.session import Options, Session
from selfright.cli.show import remarks
from selfright.errors import (
    ConfigError,
    DataDirectoryLockedError,
    MissingExtraError,
    SelfrightError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Command = Callable[..., int | None]

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
UNHEALTHY: Final = 3
_INTERRUPTED: Final = 130  # 128 + SIGINT, what shells expect

_PANEL: Final = "Everywhere"

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Directory of the log and the models.", rich_help_panel=_PANEL),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", help="Settings file (default: ./selfright.toml).", rich_help_panel=_PANEL
    ),
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url", help="A running service, e.g. http://127.0.0.1:8000.", rich_help_panel=_PANEL
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        help="File with the key to the service (default: what SELFRIGHT_KEY holds).",
        rich_help_panel=_PANEL,
    ),
]
Debug = Annotated[
    bool,
    typer.Option("--debug", help="Show where an error came from.", rich_help_panel=_PANEL),
]
AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON.", rich_help_panel=_PANEL)]
_EVERYWHERE: Final = {
    "data_dir": DataDir,
    "config": ConfigFile,
    "url": Url,
    "key_file": KeyFile,
    "debug": Debug,
}


def command(
    app: typer.Typer, name: str | None = None, *, reads: bool = True, bare: bool = False
) -> Callable[[Command], Command]:
    """Register a function as a command. Its first parameter is the ``Session``.

    The options that stand everywhere are added and end up in the session; so does
    ``--json``, if the command ``reads``. What the function returns is the exit code,
    None meaning 0; a ``SelfrightError`` becomes one line and an exit code. ``bare``: it
    is what the group ``app`` does when none of its own commands is named.
    """

    def register(function: Command) -> Command:
        shared = {**_EVERYWHERE, **({"as_json": AsJson} if reads else {})}
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]

        @functools.wraps(function)
        def run(ctx: typer.Context, **given: object) -> None:
            here = Options(**{key: given.pop(key) for key in shared})  # type: ignore[arg-type]
            options = here.over(ctx.obj or Options())
            if ctx.invoked_subcommand is not None:
                ctx.obj = options
                return
            call = functools.partial(function, Session(options), **given)
            raise typer.Exit(guarded(call, debug=options.debug))

        parameters = [
            _keyword("ctx", typer.Context),
            *(item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in own),
            *(_keyword(key, hint, _default(hint)) for key, hint in shared.items()),
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__doc__ = _flowing(function.__doc__ or "")
        run.__annotations__ = {item.name: item.annotation for item in parameters}
        if bare:
            app.callback(invoke_without_command=True)(run)
        else:
            app.command(name)(run)
        return function

    return register


def guarded(call: Callable[[], int | None], *, debug: bool = False) -> int:
    """Run ``call`` and return the exit code; a foreseeable mistake is one line on stderr."""
    try:
        code = call()
    except SelfrightError as error:
        if debug:
            raise
        complain(str(error))
        return code_of(error)
    except KeyboardInterrupt:
        complain("interrupted")
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough, e.g. `| head`. The interpreter would
        # complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as error:
        # Not foreseen, so a mistake of ours; but nobody asked for a traceback.
        if debug:
            raise
        complain(f"unexpected {type(error).__name__}: {error} (repeat with --debug for where)")
        return FAILED
    return OK if code is None else int(code)


def code_of(error: SelfrightError) -> int:
    """Return 2 where the command line or a setting is at fault, else 1."""
    at_fault = isinstance(error, ConfigError)
    foreseen = isinstance(error, (DataDirectoryLockedError, MissingExtraError))
    return USAGE if at_fault and not foreseen else FAILED


def complain(message: str) -> None:
    """Say on standard error, in one line, what went wrong."""
    from rich.text import Text

    line = " ".join(message.split())
    remarks().print(Text.assemble(("error: ", "bold red"), line))


def _flowing(doc: str) -> str:
    """Return each paragraph as one line, which `--help` breaks where the terminal ends."""
    paragraphs = inspect.cleandoc(doc).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _keyword(
    name: str, hint: object, default: object = inspect.Parameter.empty
) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)


def _default(hint: object) -> object:
    return False if hint in {Debug, AsJson} else None

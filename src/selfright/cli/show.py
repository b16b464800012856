"""How an answer looks: tables for people, JSON for programs, progress for the patient."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import typer

from selfright.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from rich.console import Console, RenderableType

NOTHING: Final = "–"
# Wide enough for every table: what is piped into a file must not be folded.
_WIDTH_OF_A_PIPE: Final = 200


def console() -> Console:
    """Return where answers go: standard output."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_PIPE, highlight=False)


def remarks() -> Console:
    """Return where everything goes that is not the answer: standard error."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def as_json(value: object) -> None:
    """Print one JSON document. NaN and infinities, which JSON does not have, are null."""
    print(json_text(value), end="")  # noqa: T201


def json_text(value: object) -> str:
    """Return one JSON document, ready to be printed; see ``as_json``."""
    return f"{json.dumps(_plain(value), ensure_ascii=False, indent=2, allow_nan=False)}\n"


def document(text: str, output: Path | None) -> None:
    """Write a whole document to a file, or to standard output. Raises ``ConfigError``."""
    if output is None:
        # As UTF-8 whatever the terminal speaks: that is what the document says of itself.
        typer.echo(text.encode(), nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            "--output", str(output), f"cannot be written: {error.strerror}"
        ) from error
    remarks().print(f"written to {output}", markup=False)


def table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: int = 0
) -> RenderableType:
    """Return a table; the last ``numbers`` columns hold figures and stand to the right."""
    from rich.table import Table
    from rich.text import Text

    cells = [[text(cell) for cell in row] for row in rows]
    if _fits(columns, cells):
        # A row of many lines looks the same, and takes a fifth of the time to lay out.
        cells = [["\n".join(column) for column in zip(*cells, strict=True)]]
    made = Table(title=title, title_justify="left", header_style="bold", pad_edge=False)
    for index, column in enumerate(columns):
        is_number = index >= len(columns) - numbers
        made.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in cells:
        made.add_row(*map(Text, row))
    return made


def _fits(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> bool:
    """Return whether each row of a table will stand on a line of its own."""
    from rich.cells import cell_len

    if not all(cell.isprintable() for row in cells for cell in row):
        return False
    widths = [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]
    frame = 3 * len(columns) + 1  # a rule and a blank on either side of each cell
    return len(cells) > 1 and sum(widths) + frame <= console().width


def text(cell: object) -> str:
    """Return a cell as people read it: a dash for what is unknown."""
    if cell is None:
        return NOTHING
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return f"{cell:,.3f}"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, (list, tuple)):
        return ", ".join(text(item) for item in cell)
    return str(cell)


def share(ratio: float | None) -> str:
    """Return a ratio in 0..1 with three digits, a dash where it is unknown."""
    return NOTHING if ratio is None else f"{ratio:.3f}"


def clock_time(stamp: str | None) -> str:
    """Return RFC 3339 text without the parts that tables have no room for."""
    return NOTHING if not stamp else str(stamp).replace("T", " ")[:19]


@contextmanager
def progress(what: str) -> Iterator[Callable[[float], None]]:
    """Show a bar on standard error while the block works, if somebody is looking.

    Gives a function that takes the share that is done, 0..1.
    """
    if not sys.stderr.isatty():
        yield _nobody
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn(what), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=remarks(), transient=True) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda done: bar.update(task, completed=done)


def _nobody(_done: float) -> None:
    """Tell nobody."""


def _plain(value: object) -> object:
    if isinstance(value, float):
        return value if value - value == 0.0 else None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value

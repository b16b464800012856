"""``import``: bring what a file tells into a fleet's log."""

from __future__ import annotations

import typer

from selfright.cli import show
from selfright.cli.command import FAILED, OK, command
from selfright.cli.fleet import reach
from selfright.cli.replay import (
    ClockSeconds,
    FileArgument,
    Mapped,
    OrderBy,
    Where,
    open_file,
    tell_what_was_filled,
)
from selfright.cli.session import Session

app = typer.Typer()


@command(app, "import")
def bring(
    session: Session,
    file: FileArgument,
    mapping: Mapped = None,
    where: Where = None,
    order_by: OrderBy = None,
    clock: ClockSeconds = None,
) -> int:
    """Bring the runs and outcomes of a file into the log. Twice counts once.

    Runs that have no id of their own get one from the file's name and their number.
    """
    table = open_file(
        file,
        mapping=mapping,
        where=where,
        order_by=order_by,
        clock_s=clock,
        run_id_prefix=f"{file.name}:",
    )
    accepted = duplicates = 0
    with reach(session, create=True) as fleet, show.progress(f"importing {file.name}") as tell:
        for piece in table:
            kept, known = fleet.submit(piece.intake)
            accepted, duplicates = accepted + kept, duplicates + known
            tell(piece.next_row / table.rows_total)
    tell_what_was_filled(table)
    answer = {"accepted": accepted, "duplicates": duplicates, "rejected": table.refused}
    if session.as_json:
        show.as_json(answer)
    else:
        show.console().print(", ".join(f"{count:,} {word}" for word, count in answer.items()))
    return OK if accepted or duplicates else FAILED

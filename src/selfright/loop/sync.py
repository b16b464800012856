"""Import of runs and outcomes that others wrote into a database."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from selfright.errors import ConfigError
from selfright.events.batch import Intake

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from selfright.events.wire import Rejection
    from selfright.loop.control import Circle

    Parts = Iterable[tuple[Intake, list[Rejection]]]

_US_PER_HOUR: Final = 3_600_000_000


class SyncReport(msgspec.Struct, frozen=True):
    """What an import brought."""

    loaded: int
    duplicates: int
    rejected: int


def sync(circle: Circle, *, url: str | None, lookback_hours: float) -> SyncReport:
    """Import what is not older than ``lookback_hours``; importing twice counts once.

    Raises ``ConfigError`` if there is nowhere to read from.
    """
    if not lookback_hours > 0:
        raise ConfigError("lookback_hours", lookback_hours, "must be greater than 0")
    settings = circle.settings.sync
    source = url or settings.url
    if source is None:
        raise ConfigError(
            "sync.url", None, "there is nowhere to read from; set sync.url or pass url="
        )
    since_us = circle.clock.now_us() - int(lookback_hours * _US_PER_HOUR)
    loaded = duplicates = rejected = 0
    for intake, refused in _parts(source, settings.table, settings.columns, since_us):
        rejected += len(refused)
        if len(intake):
            receipt = circle.submit(intake)
            loaded += receipt.accepted
            duplicates += receipt.duplicates
    circle.pump()
    return SyncReport(loaded, duplicates, rejected)


def _parts(source: str, table: str | None, columns: dict[str, str], since_us: int) -> Parts:
    # Late: the monitor's start must not pay for a reader that few use.
    from selfright.sources.database import read_foreign

    if table is not None:
        return read_foreign(source, table, columns, since_us)
    if not source.startswith("sqlite:///"):
        raise ConfigError("sync.url", source, "must be sqlite:///path/to/events.db")
    path = Path(source.removeprefix("sqlite:///"))
    if not path.is_file():
        raise ConfigError("sync.url", source, "there is no such file")
    return _our_own(path, since_us)


def _our_own(path: Path, since_us: int) -> Iterator[tuple[Intake, list[Rejection]]]:
    """Read another log of ours, which nobody may own meanwhile."""
    from selfright.log.sqlite import SqliteLog

    log = SqliteLog(path)
    try:
        at = log.first_offset
        while commits := log.read(at):
            for commit in commits:
                outcomes = commit.outcomes.take(
                    commit.outcomes.fresh & (commit.outcomes.ts_us >= since_us)
                )
                n = len(outcomes)
                # Joined anew, with the runs that our own log knows.
                plain = replace(outcomes, run=[None] * n, primary=np.ones(n, dtype=np.bool_))
                yield Intake(commit.runs.take(commit.runs.ts_us >= since_us), plain), []
                at = commit.next_offset
    finally:
        log.close()

"""Import of runs and outcomes that others wrote into a database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from selfright.errors import ConfigError

if TYPE_CHECKING:
    from selfright.loop.control import Circle

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
    from selfright.sources.database import read_foreign

    since_us = circle.clock.now_us() - int(lookback_hours * _US_PER_HOUR)
    loaded = duplicates = rejected = 0
    for intake, refused in read_foreign(source, settings.table, settings.columns, since_us):
        rejected += len(refused)
        if len(intake):
            receipt = circle.submit(intake)
            loaded += receipt.accepted
            duplicates += receipt.duplicates
    circle.pump()
    return SyncReport(loaded, duplicates, rejected)

"""The numbers that a store of metrics goes by."""

from __future__ import annotations

from dataclasses import dataclass

from selfright.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsPolicy:
    """Over which time metrics look, and how much of the past they keep.

    Attributes
    ----------
    window_minutes
        The rolling window whose totals are kept ready. 60 by default.
    horizon_minutes
        How far back figures are kept minute by minute: any window up to that can be
        asked for. Not less than the window.
    max_agents
        Agents told apart; codes must be below. The caller's interner sees to that.
    archive_mb
        Most memory for the minutes behind the window, megabytes. Beyond it the oldest
        go early, and the window's start says so. 256 MB hold about 3 million pairs of
        agent and minute. The window itself has no such limit: agents bound it.

    Raises
    ------
    ConfigError
        If a number is below 1 or the horizon shorter than the window.
    """

    window_minutes: int = 60
    horizon_minutes: int = 1440
    max_agents: int = 10_000
    archive_mb: int = 256

    def __post_init__(self) -> None:
        for name in ("window_minutes", "max_agents", "archive_mb"):
            if getattr(self, name) < 1:
                raise ConfigError(name, getattr(self, name), "must be at least 1")
        if self.horizon_minutes < self.window_minutes:
            raise ConfigError(
                "horizon_minutes",
                self.horizon_minutes,
                f"must not be less than window_minutes={self.window_minutes}",
            )

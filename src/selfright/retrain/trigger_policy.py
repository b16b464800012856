"""How often a model may be retrained by itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from selfright.errors import ConfigError

US_PER_S: Final = 1_000_000
US_PER_MIN: Final = 60 * US_PER_S
US_PER_HOUR: Final = 60 * US_PER_MIN


@dataclass(frozen=True, slots=True)
class TriggerPolicy:
    """How often a model may be retrained by itself.

    Parameters
    ----------
    cooldown_us, cooldown_max_us
        Pause after an attempt about an agent, and what doubling ends at.
    new_outcomes
        New outcomes of the agent between two attempts.
    daily_budget
        Automatic attempts within any 24 hours.
    breaker_rejections, breaker_us
        So many rejections within 24 hours stop all automatic attempts for so long.
    model_type
        The model that automatic retraining is about.
    schedule
        Times of full retrainings, as in cron (``schedule.Schedule``); empty: none.

    Raises
    ------
    ConfigError
        If a number is outside its range. The operator's fault.
    """

    cooldown_us: int = 5 * US_PER_MIN
    cooldown_max_us: int = US_PER_HOUR
    new_outcomes: int = 100
    daily_budget: int = 24
    breaker_rejections: int = 3
    breaker_us: int = 6 * US_PER_HOUR
    model_type: str = "agent_selection"
    schedule: str = ""

    def __post_init__(self) -> None:
        for name in ("new_outcomes", "daily_budget", "breaker_rejections"):
            if getattr(self, name) < 1:
                raise ConfigError(name, getattr(self, name), "must be at least 1")
        for name in ("cooldown_us", "breaker_us"):
            if getattr(self, name) < 0:
                raise ConfigError(name, getattr(self, name), "must not be negative")
        if self.cooldown_max_us < self.cooldown_us:
            raise ConfigError("cooldown_max_us", self.cooldown_max_us, "must reach `cooldown_us`")

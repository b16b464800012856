"""The thresholds and the numbers of the rules, as one frozen record."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from selfright.detect.detection import WatchedMetric
from selfright.errors import ConfigError

NANO_PER_USD: Final = 1_000_000_000
KIB_PER_MB: Final = 1024
US_PER_MS: Final = 1000

# p95 beyond the limit means: more than this share of the runs is above the limit.
LATENCY_TAIL: Final = 0.05


@dataclass(frozen=True, slots=True)
class Bound:
    """How one metric is bounded, and how its stored values become what users read.

    Attributes
    ----------
    setting
        Name of the threshold in the settings; also the name of the alert rule.
    sign
        +1 where low is bad, -1 where high is bad.
    unit
        Stored units in one unit of the threshold: an amount arrives as whole nano-dollars,
        KiB or microseconds.
    """

    setting: str
    sign: int
    unit: int = 1


BOUNDS: Final = {
    WatchedMetric.SUCCESS_RATE: Bound("success_rate_min", 1),
    WatchedMetric.ERROR_RATE: Bound("error_rate_max", -1),
    WatchedMetric.ACCURACY: Bound("accuracy_min", 1),
    WatchedMetric.LATENCY: Bound("latency_p95_max_ms", -1, US_PER_MS),
    WatchedMetric.COST: Bound("cost_per_task_max", -1, NANO_PER_USD),
    WatchedMetric.MEMORY: Bound("memory_max_mb", -1, KIB_PER_MB),
    WatchedMetric.TOKEN_USAGE: Bound("token_per_task_max", -1),
}


@dataclass(frozen=True, slots=True)
class WatchPolicy:
    """What counts as too low or too high, and how sure one must be.

    A threshold of None switches its metric off. The thresholds' defaults stand in the
    settings, not here.

    Parameters
    ----------
    success_rate_min, error_rate_max, accuracy_min
        Ratios strictly between 0 and 1.
    latency_p95_max_ms, cost_per_task_max, memory_max_mb, token_per_task_max
        Greater than 0. Cost in dollars; cost, memory and tokens bound the mean per run.
    window_minutes
        Whole minutes of event time, back from the newest outcome of the agent. 1 to 10,080.
    min_n
        Fewer outcomes say nothing. 1 to ``recent``.
    confidence
        Probability at which "beyond the threshold" is called likely. Above ``normal``.
    normal
        Probability at or below which it is called unlikely again. 0 < normal.
    recent
        Most outcomes that the Beta rule looks back on. At most 10,000.
    clear_margin
        A windowed share clears only this far on the good side of its threshold (or half-way
        to the perfect share, if that is nearer); an amount at ``1 - 2 * clear_margin`` of
        its limit. Without it a mean that hovers at its threshold would alert at every outcome.

    Raises
    ------
    ConfigError
        If a number is outside its range. The operator's fault.
    """

    success_rate_min: float | None
    error_rate_max: float | None
    accuracy_min: float | None
    latency_p95_max_ms: float | None
    cost_per_task_max: float | None
    memory_max_mb: float | None
    token_per_task_max: float | None
    window_minutes: int = 60
    min_n: int = 20
    confidence: float = 0.95
    normal: float = 0.5
    recent: int = 200
    clear_margin: float = 0.02

    def __post_init__(self) -> None:
        for metric, bound in BOUNDS.items():
            value = getattr(self, bound.setting)
            if value is None:
                continue
            if metric.is_rate and not 0.0 < value < 1.0:
                raise ConfigError(bound.setting, value, "must lie strictly between 0 and 1")
            if not 0.0 < value < math.inf:
                raise ConfigError(bound.setting, value, "must be a finite number above 0")
        ranges: dict[str, tuple[float, float]] = {
            "window_minutes": (1, 10_080),
            "recent": (1, 10_000),
            "min_n": (1, max(1, self.recent)),
            "clear_margin": (0.0, 0.4),
        }
        for setting, (low, high) in ranges.items():
            value = getattr(self, setting)
            if not low <= value <= high:
                raise ConfigError(setting, value, f"must lie between {low:g} and {high:g}")
        if not 0.0 < self.normal < self.confidence < 1.0:
            raise ConfigError("confidence", self.confidence, "must lie between `normal` and 1")

    def threshold(self, metric: WatchedMetric) -> float | None:
        """Return what the user set for ``metric``, in the user's unit."""
        value = getattr(self, BOUNDS[metric].setting)
        return None if value is None else float(value)

    def judged(self, metric: WatchedMetric) -> float:
        """Return what the windowed mean of ``metric`` is compared with, in the user's unit.

        The threshold itself, but for latency the share of runs that may be above the limit.
        """
        if metric is WatchedMetric.LATENCY:
            return LATENCY_TAIL
        value = self.threshold(metric)
        assert value is not None
        return value

    def clear(self, metric: WatchedMetric) -> float:
        """Return the mean at which an alert of ``metric`` clears, in the user's unit."""
        threshold, margin = self.judged(metric), self.clear_margin
        if not metric.is_rate and metric is not WatchedMetric.LATENCY:
            return threshold * (1.0 - 2.0 * margin)
        if BOUNDS[metric].sign > 0:
            return min(threshold + margin, (1.0 + threshold) / 2.0)
        return max(threshold - margin, threshold / 2.0)

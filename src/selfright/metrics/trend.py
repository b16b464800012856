"""Where a metric is heading: improving, stable, degrading, or too little data to say.

The window is cut into spans of equal length; of each the rate, the mean or (latency) the
median is taken. The slope is Theil and Sen's, the median of the slopes between all pairs
of spans: up to 29 % of the spans may be wild without moving it far. Its 95 % interval is
Sen's [1]_, read off the same ordered slopes.

A slope matters only from a practical *margin* on: a change over the whole window of 5
points of a rate or score, or of 10 % of the median level of anything else. With the
interval of that change:

- *improving*, *degrading*: 0 lies outside of the interval and the change reaches the
  margin;
- *stable*: the whole interval lies within the margin. A finding: the metric was seen to
  keep still;
- *unknown*: fewer than 6 spans or 20 events, or an interval that allows both.

It is computed for a reader, over complete spans. Asked again after every event it would
find a trend in pure noise sooner or later; rules that act use the detectors.

References
----------
.. [1] P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau",
   Journal of the American Statistical Association 63 (1968).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from selfright.metrics.interval import Z95, Interval
from selfright.metrics.metric_type import MetricType

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Direction = Literal["improving", "stable", "degrading", "unknown"]

SPANS: Final = 12  # spans a window is cut into
MIN_SPANS: Final = 6  # with fewer no order of the spans would be significant at 95 %
MIN_EVENTS: Final = 20
MARGIN_RATE: Final = 0.05  # absolute change over the window that matters
MARGIN_RELATIVE: Final = 0.10  # change over the window relative to the median level

IMPROVING: Final = "improving"
STABLE: Final = "stable"
DEGRADING: Final = "degrading"
UNKNOWN: Final = "unknown"
_WORDS: Final[tuple[Direction, ...]] = (UNKNOWN, STABLE, IMPROVING, DEGRADING)
_RATES: Final = frozenset(
    {MetricType.SUCCESS_RATE, MetricType.ERROR_RATE, MetricType.ACCURACY, MetricType.QUALITY}
)


@dataclass(frozen=True, slots=True)
class Trend:
    """Where one metric is heading.

    Attributes
    ----------
    direction
        improving, stable, degrading or unknown.
    slope_per_h
        Change per hour in the metric's unit; None below 6 spans with data.
    interval
        95 % interval of the slope, (low, high).
    """

    direction: Direction
    slope_per_h: float | None
    interval: Interval | None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-able values by field."""
        return {
            "direction": self.direction,
            "slope_per_h": self.slope_per_h,
            "interval": None if self.interval is None else list(self.interval),
        }


@dataclass(frozen=True, slots=True)
class Trends:
    """Trends of one metric, many series at once. NaN where there is no slope."""

    codes: npt.NDArray[np.int8]
    slope_per_h: Floats
    low_per_h: Floats
    high_per_h: Floats

    def words(self, rows: Ints) -> list[Direction]:
        """Return the direction of each of many series."""
        return [_WORDS[code] for code in self.codes[rows].tolist()]

    def get(self, row: int) -> Trend:
        """Return the trend of one series."""
        slope = self.slope_per_h.item(row)
        if slope != slope:  # noqa: PLR0124 - NaN: no slope
            return Trend(UNKNOWN, None, None)
        interval = (self.low_per_h.item(row), self.high_per_h.item(row))
        return Trend(_WORDS[self.codes.item(row)], slope, interval)


def trends_of(metric: MetricType, hours: Floats, values: Floats, events: Ints) -> Trends:
    """Return the trends of many series of one metric.

    Parameters
    ----------
    metric
        Decides margin and which way is up.
    hours
        Time of each span, float[spans], ascending.
    values
        float[series, spans]; NaN where a span has no data.
    events
        int[series, spans], how many events each value rests on.

    Notes
    -----
    O(series x spans^2): about 10 us per series of 12 spans.
    """
    slope, low, high = _theil_sen(hours, values)
    window_h = float(hours[-1] - hours[0]) if len(hours) > 1 else 0.0
    known = ~np.isnan(slope) & (events.sum(axis=1) >= MIN_EVENTS)
    margin = np.full(len(values), MARGIN_RATE)
    if metric not in _RATES:
        margin[known] = MARGIN_RELATIVE * np.abs(np.nanmedian(values[known], axis=1))
    with np.errstate(invalid="ignore"):
        moved = ((low > 0) | (high < 0)) & (np.abs(slope) * window_h >= margin)
        still = (low * window_h > -margin) & (high * window_h < margin)
        # A level of 0 throughout has no margin of its own, and keeps still.
        still |= (slope == 0) & (low == 0) & (high == 0)
        better = (slope > 0) == metric.rises_when_better
    codes = np.select(
        [known & moved & (slope != 0) & better, known & moved & (slope != 0), known & still],
        [2, 3, 1],
        default=0,
    )
    return Trends(codes.astype(np.int8), slope, low, high)


def _theil_sen(hours: Floats, values: Floats) -> tuple[Floats, Floats, Floats]:
    """Return slope and its interval per series; NaN below ``MIN_SPANS`` values."""
    series, spans = values.shape
    slope, low, high = np.full((3, series), np.nan)
    given = (~np.isnan(values)).sum(axis=1)
    rows = np.flatnonzero(given >= MIN_SPANS)
    if len(rows) == 0:
        return slope, low, high
    first, second = np.triu_indices(spans, k=1)
    chosen = values[rows]
    steps = (chosen[:, second] - chosen[:, first]) / (hours[second] - hours[first])
    steps.sort(axis=1)  # NaN go last
    k = given[rows].astype(np.float64)
    pairs = (k * (k - 1) / 2).astype(np.int64)
    # Ties would make the interval narrower; leaving them out keeps it honest.
    half = Z95 * np.sqrt(k * (k - 1) * (2 * k + 5) / 18)
    at = np.arange(len(rows))
    slope[rows] = (steps[at, (pairs - 1) // 2] + steps[at, pairs // 2]) / 2
    low[rows] = steps[at, np.floor((pairs - half) / 2).astype(np.int64) - 1]
    high[rows] = steps[at, np.ceil((pairs + half) / 2).astype(np.int64)]
    return slope, low, high

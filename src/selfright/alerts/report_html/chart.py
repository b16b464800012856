"""Drawings of the report as SVG: a row per agent, a scale, and a line at the threshold.

Every chart shows what a table beside it says too, so it is one picture to a screen reader,
with a title and a description. Colours come from the style sheet by class.
"""

from __future__ import annotations

from math import ceil, floor, log10
from typing import TYPE_CHECKING, Final, NamedTuple

from selfright.alerts.report_html.markup import SHAPES, text
from selfright.alerts.wording import UNKNOWN, duration, percent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from selfright.alerts.trouble import Kind

_WIDTH, _ROW, _HEAD, _FOOT = 600, 22, 24, 8
_LEFT, _RIGHT = 178, 62  # room for names, and for the figures behind the bars
_PLOT: Final = _WIDTH - _LEFT - _RIGHT
_NAME: Final = 25  # characters of a name that have room
_DECADES_AT_LEAST: Final = 1


class Rate(NamedTuple):
    """One agent's share with its interval; None: unknown."""

    name: str
    kind: Kind
    value: float | None
    interval: Sequence[float] | None


class Latency(NamedTuple):
    """One agent's quantiles in milliseconds; None: unknown."""

    name: str
    kind: Kind
    p50: float | None
    p95: float | None
    p99: float | None


def rates(anchor: str, title: str, rows: Sequence[Rate], threshold: float, note: str) -> str:
    """Return bars from 0 to 100 % with their intervals, the threshold marked."""

    def at(ratio: float) -> float:
        return _LEFT + _PLOT * min(1.0, max(0.0, ratio))

    grid = [(at(tick / 4), percent(tick / 4).replace(".0", "")) for tick in range(5)]
    drawn = (_rate(row, index, at) for index, row in enumerate(rows))
    return _figure(anchor, title, note, len(rows), grid, at(threshold), drawn)


def latencies(
    anchor: str, title: str, rows: Sequence[Latency], threshold_ms: float, note: str
) -> str:
    """Return lines from p50 to p99 with a mark at p95, on a scale of powers of ten."""
    shown = [ms for row in rows for ms in row[2:] if ms is not None and ms > 0]
    finite = threshold_ms if threshold_ms < float("inf") else max(shown, default=1.0)
    low = floor(log10(max(1.0, min([*shown, finite]))))
    high = max(ceil(log10(max([*shown, finite, 1.0]))), low + _DECADES_AT_LEAST)

    def at(ms: float) -> float:
        share = (log10(max(ms, 10.0**low)) - low) / (high - low)
        return _LEFT + _PLOT * min(1.0, share)

    step = max(1, (high - low + 3) // 4)
    grid = [
        (at(10.0**power), duration(10.0**power).replace(".0", ""))
        for power in range(low, high + 1, step)
    ]
    drawn = (_latency(row, index, at) for index, row in enumerate(rows))
    return _figure(anchor, title, note, len(rows), grid, at(finite), drawn)


def _rate(row: Rate, index: int, at: Callable[[float], float]) -> str:
    if row.value is None:
        return _line(row.name, index, UNKNOWN)
    middle, parts = _middle(index), []
    parts.append(
        f'<rect class="bar" x="{_LEFT}" y="{middle - 5}" width="{at(row.value) - _LEFT:.1f}" '
        'height="10"/>'
    )
    if row.interval is not None:
        low, high = (at(end) for end in row.interval)
        parts.append(_range(low, high, middle))
    parts.append(_glyph(row.kind, at(row.value), middle))
    return _line(row.name, index, percent(row.value), "".join(parts))


def _latency(row: Latency, index: int, at: Callable[[float], float]) -> str:
    if row.p50 is None or row.p95 is None or row.p99 is None:
        return _line(row.name, index, UNKNOWN)
    middle = _middle(index)
    drawing = _range(at(row.p50), at(row.p99), middle) + _glyph(row.kind, at(row.p95), middle)
    return _line(row.name, index, duration(row.p95), drawing)


def _figure(
    anchor: str,
    title: str,
    note: str,
    rows: int,
    grid: Iterable[tuple[float, str]],
    limit: float,
    drawn: Iterable[str],
) -> str:
    height = _HEAD + rows * _ROW + _FOOT
    bottom = height - _FOOT
    lines = "".join(
        f'<path class="grid" d="M{x:.1f} {_HEAD}V{bottom}"/>'
        f'<text class="axis middle" x="{x:.1f}" y="{_HEAD - 8}">{text(word)}</text>'
        for x, word in grid
    )
    return (
        f'<figure><h3 id="{anchor}">{text(title)}</h3>'
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-labelledby="{anchor}" aria-describedby="{anchor}-note">{lines}\n'
        + "\n".join(drawn)
        + f'\n<path class="limit" d="M{limit:.1f} {_HEAD}V{bottom}"/></svg>'
        f'<figcaption id="{anchor}-note">{text(note)}</figcaption></figure>'
    )


def _line(name: str, index: int, value: str, drawing: str = "") -> str:
    y = _middle(index) + 4
    return (
        f"<g><title>{text(name, 80)}: {text(value)}</title>"
        f'<text class="end" x="{_LEFT - 10}" y="{y}">{text(name, _NAME)}</text>{drawing}'
        f'<text class="end" x="{_WIDTH}" y="{y}">{text(value)}</text></g>'
    )


def _middle(index: int) -> int:
    return _HEAD + index * _ROW + _ROW // 2


def _range(low: float, high: float, y: int) -> str:
    ends = "".join(f"M{x:.1f} {y - 4}v8" for x in (low, high))
    return f'<path class="range" d="M{low:.1f} {y}H{high:.1f}{ends}"/>'


def _glyph(kind: Kind, x: float, y: int) -> str:
    place = f"translate({x - 5.6:.1f} {y - 5.6:.1f}) scale(.7)"
    return f'<g class="glyph {kind}" transform="{place}">{SHAPES[kind]}</g>'

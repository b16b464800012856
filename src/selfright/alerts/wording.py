"""Figures as people read them in a page: percent, milliseconds, dollars, their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

UNKNOWN: Final = "–"


def percent(ratio: float | None) -> str:
    """Return a ratio as percent.

    >>> percent(0.9312), percent(None)
    ('93.1 %', '–')
    """
    return UNKNOWN if ratio is None else f"{ratio:.1%}".replace("%", " %")


def duration(ms: float | None) -> str:
    """Return milliseconds, in seconds from ten seconds on.

    >>> duration(812.4), duration(12_300)
    ('812 ms', '12.3 s')
    """
    if ms is None:
        return UNKNOWN
    return f"{ms:,.0f} ms" if ms < 10_000 else f"{ms / 1000:,.1f} s"


def dollars(usd: float | None) -> str:
    """Return dollars, with four digits below one.

    >>> dollars(0.0123), dollars(12.5)
    ('$0.0123', '$12.50')
    """
    return UNKNOWN if usd is None else f"${usd:,.4f}" if usd < 1 else f"${usd:,.2f}"


def amount(value: float | None) -> str:
    """Return a count or another amount without a unit.

    >>> amount(1234), amount(0.5)
    ('1,234', '0.5')
    """
    if value is None:
        return UNKNOWN
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def megabytes(value: float | None) -> str:
    """Return megabytes.

    >>> megabytes(512.0)
    '512 MB'
    """
    return UNKNOWN if value is None else f"{value:,.0f} MB"


def between(
    interval: Sequence[float] | None, words: Callable[[float], str], dash: str = "–"
) -> str:
    """Return an interval in the words of its figure; nothing where there is none.

    >>> between((0.5, 0.75), percent), between((800, 12_000), duration)
    ('50.0–75.0 %', '800 ms–12.0 s')
    """
    if interval is None:
        return ""
    low, high = (words(end) for end in interval)
    unit = high.rpartition(" ")[2]
    if unit != high:
        low = low.removesuffix(f" {unit}")
    return f"{low}{dash}{high}"

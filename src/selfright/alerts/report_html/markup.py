"""Markup of the report: escaped text, tables, and the marks that say how something stands."""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from selfright.alerts.trouble import Kind

# A shape for each state, so that nothing rests on colour: circle, triangle, octagon with an
# exclamation mark, for a small octagon alone looks like a circle, and ring.
SHAPES: Final[dict[Kind, str]] = {
    "ok": '<circle cx="8" cy="8" r="6.5"/>',
    "warn": '<path d="M8 1.5 15 14.5H1z"/>',
    "crit": (
        '<path fill-rule="evenodd" stroke="none" '
        'd="M4.7 0h6.6L16 4.7v6.6L11.3 16H4.7L0 11.3V4.7zM6.9 3h2.2v6H6.9zM6.9 10.8h2.2V13H6.9z"/>'
    ),
    "none": '<circle cx="8" cy="8" r="5.5"/>',
}
# Characters of one text: so much that fifty alerts and fifty retrainings that consist of
# quotation marks, six bytes each, leave room for the agents.
_LONGEST: Final = 400
# What is to be typed stands between backticks in advice, as it does in the documentation.
_TYPED: Final = re.compile(r"`([^`]+)`")


def text(value: object, most: int = _LONGEST) -> str:
    """Return any value as text of the page: escaped, cut, and only what can be printed.

    >>> text("<b>"), text("a" * 9, most=5)
    ('&lt;b&gt;', 'aaaa…')
    """
    raw = str(value)
    if len(raw) > most:
        raw = f"{raw[: most - 1]}…"
    if not raw.isprintable():
        # What would turn the direction of the text, or cannot be encoded at all.
        raw = "".join(
            char if char.isprintable() else " " if char.isspace() else "\N{REPLACEMENT CHARACTER}"
            for char in raw
        )
    return escape(raw)


def advice(line: str) -> str:
    """Return advice as text of the page, with what is to be typed marked up.

    >>> advice("then `selfright retrain`")
    'then <code>selfright retrain</code>'
    """
    return _TYPED.sub(r"<code>\1</code>", text(line))


def symbols() -> str:
    """Return the shapes, to stand once in the page; ``mark`` refers to them."""
    shapes = "".join(
        f'<symbol id="{kind}" viewBox="0 0 16 16">{shape}</symbol>'
        for kind, shape in SHAPES.items()
    )
    return f'<svg class="symbols" aria-hidden="true">{shapes}</svg>'


def mark(kind: Kind, word: str, *, wraps: bool = False) -> str:
    """Return a state: shape and word."""
    css = f"state {kind} wraps" if wraps else f"state {kind}"
    return (
        f'<span class="{css}"><svg class="mark" aria-hidden="true"><use href="#{kind}"/></svg>'
        f"{text(word)}</span>"
    )


def number(shown: str, interval: str = "") -> str:
    """Return a cell with a figure and, below it, its interval."""
    below = f'<span class="interval">{text(interval)}</span>' if interval else ""
    return f'<td class="number">{text(shown)}{below}</td>'


def name_of(agent: object) -> str:
    """Return the head of a row that is about an agent; its name keeps its own direction."""
    return f'<th scope="row" class="name"><bdi>{text(agent)}</bdi></th>'


def table(caption: str, columns: Sequence[tuple[str, bool]], rows: Iterable[str]) -> str:
    """Return a table; ``columns`` are (name, is a figure), ``rows`` whole ``<tr>``."""
    head = "".join(
        f'<th scope="col"{" class=number" if figure else ""}>{text(name)}</th>'
        for name, figure in columns
    )
    return (
        f'<div class="scroll"><table><caption>{text(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{chr(10).join(rows)}\n</tbody></table></div>"
    )


def section(anchor: str, title: str, *parts: str) -> str:
    """Return a section with its heading."""
    body = "\n".join(part for part in parts if part)
    heading = f'<h2 id="{anchor}">{text(title)}</h2>'
    return f'<section aria-labelledby="{anchor}">{heading}\n{body}\n</section>'

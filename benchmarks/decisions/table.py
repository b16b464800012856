"""What is measured, beside its target: sections of lines, and the page made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np


@dataclass(frozen=True)
class Effort:
    """How much is simulated; a quick run shows that everything works, and no figures."""

    quick: bool = False

    def __call__(self, full: int, quick: int) -> int:
        """Return the one or the other."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Cell:
    """One measured figure as text; with a target also whether it is held."""

    text: str
    target: str = ""
    held: bool = True

    @property
    def shown(self) -> str:
        """The figure, and that it misses its target if it does."""
        return self.text if self.held else f"{self.text} **MISSED**"


@dataclass
class Section:
    """One scenario: a line for each detector, a column for each case."""

    name: str
    title: str
    about: str
    columns: Sequence[str]
    lines: list[tuple[str, list[Cell]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, who: str, cells: Sequence[Cell]) -> None:
        """Add a line, and print it."""
        self.lines.append((who, list(cells)))
        told = "  ".join(f"{c}: {cell.shown}" for c, cell in self._said(cells))
        print(f"  {who:38} {told}", flush=True)

    def note(self, text: str) -> None:
        """Add a remark, and print it."""
        self.notes.append(text)
        print(f"  ({text})", flush=True)

    def missed(self) -> list[str]:
        """Return what misses its target."""
        return [
            f"{self.name}, {who}, {column}: {cell.text}, target {cell.target}"
            for who, cells in self.lines
            for column, cell in self._said(cells)
            if not cell.held
        ]

    def targets(self) -> list[str]:
        """Return a row for each target, for the table at the head of the page."""
        return [
            f"| {self.title}: {_case(who, column)} | {cell.target} | {cell.shown} |"
            for who, cells in self.lines
            for column, cell in self._said(cells)
            if cell.target
        ]

    def page(self) -> str:
        """Return the section in Markdown."""
        head = f"| | {' | '.join(self.columns)} |\n|---|{'---|' * len(self.columns)}"
        rows = [
            f"| {who} | {' | '.join(cell.shown for cell in cells)} |" for who, cells in self.lines
        ]
        notes = [f"\n{note}" for note in self.notes]
        return "\n".join([f"## {self.title}\n", f"{self.about}\n", head, *rows, *notes])

    def _said(self, cells: Sequence[Cell]) -> list[tuple[str, Cell]]:
        pairs = zip(self.columns, cells, strict=True)
        return [(column, cell) for column, cell in pairs if cell.text]


def _case(who: str, column: str) -> str:
    return column if who == "Selfright" else f"{who.removeprefix('Selfright, ')}, {column}"


def bounded(text: str, value: float, most: float, target: str = "") -> Cell:
    """Return a figure that is to be ``most`` at most."""
    return Cell(text, target or f"<= {most:g}", held=bool(value <= most))


def short(value: float) -> str:
    """Return a number without more digits than it has.

    Examples
    --------
    >>> [short(value) for value in (0.0, 0.283, 14.52, 388.5, 2876.4, float("inf"))]
    ['0', '.28', '14.5', '388.5', '2,876', 'not found']
    """
    if value == np.inf:
        return "not found"
    if value >= 1000:
        return f"{value:,.0f}"
    text = f"{value:.2f}" if value < 10 else f"{value:.1f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return text.removeprefix("0") if text.startswith("0.") else text


def rate(value: float) -> str:
    """Return a rate with both of its digits: .80."""
    return f"{value:.2f}".removeprefix("0")


def delay(delays: Sequence[float]) -> str:
    """Return the median delay and, unless all were found, the share that was."""
    share = float(np.mean(np.isfinite(delays)))
    return short(median(delays)) + ("" if share == 1.0 else f" ({short(share)} found)")

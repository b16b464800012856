"""What an opened file promises, whatever its format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from selfright.events.batch import Bools, Ints
    from selfright.sources.arrange import Arrangement

# A list with None, or an array whose masked entries are missing, for each empty cell.
Cells = list[Any] | np.ndarray[Any, Any]


class Blocks(Protocol):
    """Rows that can be read block by block."""

    @property
    def typed(self) -> bool:
        """Whether cells have types of their own; if not, all are text."""
        ...

    def block(self, low: int, high: int) -> dict[str, Cells]:
        """Return rows ``low <= row < high``, field by field."""
        ...

    def numbers(self, low: int, high: int) -> Ints:
        """Return the number of each of these rows in the file, from 0."""
        ...

    def broken(self, low: int, high: int) -> dict[int, str]:
        """Return those of these rows, from 0, that could not be read, and why."""
        ...


class Rows(Blocks, Protocol):
    """An opened file of equal rows. Arrange it once, then read blocks of it in any order."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns, as the file has them."""
        ...

    @property
    def held(self) -> int:
        """Rows in the file."""
        ...

    def arrange(self, arrangement: Arrangement, column_of: Mapping[str, str]) -> int:
        """Select and order rows of the columns wanted; return how many rows there are."""
        ...

    def is_empty(self, field: str) -> bool:
        """Return whether no arranged row has a value in ``field``."""
        ...


@dataclass(frozen=True, slots=True)
class HeldRows:
    """A few rows in memory; see ``Blocks``. ``unfit`` are the broken ones."""

    columns: dict[str, Cells]
    number: Ints
    unfit: dict[int, str]
    typed: bool = True

    def block(self, low: int, high: int) -> dict[str, Cells]:
        """Return rows ``low <= row < high``, field by field."""
        return {field: cells[low:high] for field, cells in self.columns.items()}

    def numbers(self, low: int, high: int) -> Ints:
        """Return the number of each of these rows."""
        return self.number[low:high]

    def broken(self, low: int, high: int) -> dict[int, str]:
        """Return those of these rows, from 0, that are unfit, and why."""
        return {row - low: why for row, why in self.unfit.items() if low <= row < high}


def missing(cells: Cells) -> Bools:
    """Return the mask of the empty cells."""
    if isinstance(cells, list):
        return np.array([cell is None for cell in cells], dtype=np.bool_)
    return np.ma.getmaskarray(cells)


def picked(cells: Cells, rows: Ints) -> Cells:
    """Return the cells at ``rows``, in that order."""
    if isinstance(cells, list):
        return [cells[row] for row in rows.tolist()]
    taken: np.ndarray[Any, Any] = cells[rows]
    return taken

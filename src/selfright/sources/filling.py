"""What a file leaves out and replay needs, filled in by rule and counted.

``run_id``       the number of the row in the file, after the reader's prefix
``timestamp``    2000-01-01T00:00:00Z and a second more for each row; where only some rows
                 lack it, the time of the row before
``duration_ms``  unknown
``status``       success; an empty cell in a column of them: pending
``agent_type``   agent
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from selfright.errors import InvalidEventError
from selfright.events.timestamp import parse
from selfright.sources.rows import missing

if TYPE_CHECKING:
    from selfright.events.batch import Bools, Ints
    from selfright.sources.rows import Cells

US_PER_S: Final = 1_000_000
START_US: Final = 946_684_800 * US_PER_S  # 2000-01-01T00:00:00Z
# So that the order of the texts is that of the numbers: joins compare run ids as text.
_DIGITS: Final = 9


@dataclass(slots=True)
class Filling:
    """The rules, and how often each was needed.

    Parameters
    ----------
    spacing_us
        From one row to the next where times are filled in.
    own_times
        Whether the file has times.
    clocked
        Whether they are replaced, by wish, all of them.
    prefix
        Stands before the number in a run id.
    """

    spacing_us: int = US_PER_S
    own_times: bool = True
    clocked: bool = False
    prefix: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    _last: Any = None

    def anew(self) -> Filling:
        """Return the same rules with nothing counted."""
        return Filling(self.spacing_us, self.own_times, self.clocked, self.prefix)

    def times(self, cells: Cells | None, first: int, rows: int) -> Cells:
        """Return the times of ``rows`` rows from row ``first`` on."""
        if self.clocked:
            return self._even(first, rows)
        if cells is None or not self.own_times:
            self.counts["timestamp"] += rows
            return self._even(first, rows)
        blank = missing(cells)
        holes = int(blank.sum())
        self.counts["timestamp"] += holes
        filled = self._carried(cells, blank, first) if holes else cells
        for row in range(rows - 1, -1, -1):
            if not blank[row] and _is_time(cells[row]):
                self._last = cells[row]
                break
        return filled

    def run_columns(self, columns: dict[str, Cells], numbers: Ints) -> dict[str, Cells]:
        """Return the columns of runs, with nothing missing that a run must have."""
        n = len(numbers)
        filled = dict(columns)
        filled["run_id"] = self._run_ids(columns.get("run_id"), numbers)
        filled["agent_type"] = self._constant("agent_type", columns.get("agent_type"), "agent", n)
        if "status" in columns:
            cells = columns["status"]
            filled["status"] = ["pending" if cell is None else cell for cell in cells]
        else:
            filled["status"] = self._constant("status", None, "success", n)
        if "duration_ms" in columns:
            self.counts["duration_ms"] += int(missing(columns["duration_ms"]).sum())
        else:
            self.counts["duration_ms"] += n
        if "retry_count" in columns:
            filled["retry_count"] = _zero_where_missing(columns["retry_count"])
        return filled

    def _run_ids(self, cells: Cells | None, numbers: Ints) -> Cells:
        numbered = f"{self.prefix.replace('%', '%%')}%0{_DIGITS}d".__mod__
        if cells is None:
            self.counts["run_id"] += len(numbers)
            return list(map(numbered, numbers.tolist()))
        blank = missing(cells)
        if not blank.any():
            return cells
        self.counts["run_id"] += int(blank.sum())
        return [
            numbered(number) if cell is None else cell
            for cell, number in zip(list(cells), numbers.tolist(), strict=True)
        ]

    def _constant(self, name: str, cells: Cells | None, value: str, rows: int) -> Cells:
        if cells is None:
            self.counts[name] += rows
            return [value] * rows
        blank = missing(cells)
        if not blank.any():
            return cells
        self.counts[name] += int(blank.sum())
        return [value if cell is None else cell for cell in cells]

    def _even(self, first: int, rows: int) -> Cells:
        places = np.arange(first, first + rows, dtype=np.int64)
        return (START_US + places * self.spacing_us).astype("datetime64[us]")

    def _carried(self, cells: Cells, blank: Bools, first: int) -> Cells:
        """Return times in which each empty cell repeats the last good one before it."""
        times = list(cells)
        known = (cell for cell, empty in zip(times, blank, strict=True) if not empty)
        # Before the first: that one, for nothing says that the file began earlier.
        last = next(filter(_is_time, known), None) if self._last is None else self._last
        even = self._even(first, len(times))
        for row, empty in enumerate(blank.tolist()):
            if empty:
                times[row] = even[row] if last is None else last
            elif _is_time(times[row]):
                last = times[row]
        return times


def _is_time(cell: Any) -> bool:  # noqa: ANN401 - whatever is in the file
    try:
        parse(cell)
    except InvalidEventError:
        return False
    return True


def _zero_where_missing(cells: Cells) -> Cells:
    if isinstance(cells, list):
        return [0 if cell is None else cell for cell in cells]
    filled: np.ndarray[Any, Any] = np.ma.filled(cells, 0)
    return filled

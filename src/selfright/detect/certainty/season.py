"""The hour of the week, as far as the whole fleet shows that it matters.

A fleet that is worse every Monday morning is not degrading on Mondays. Once two weeks are there,
the hours at which the fleet was worse than on average in more than one week get a *credit*: an
outcome x counts as ``x + c (1 - x)``, with c such that the mean of that hour becomes the overall
one. A credit only ever lowers what is expected, so the guarantee stays; agents share it, for an
hour holds too few outcomes of one.

Hours that are over are all that is looked at, so the credit is known before its outcomes come.
"""

from __future__ import annotations

from math import sqrt
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

WEEK: Final = 168
_YOUNG: Final = 2 * WEEK  # hours of log before which nothing is credited
_FEWEST: Final = 100  # outcomes of an hour of the week
# An hour must be this many standard errors below the rest: of 168 hours some look bad by chance.
_DEVIATIONS: Final = 3.0
_MOST: Final = 0.9


class Season:
    """Sums by hour of the week, and the credit of the present hour, for several kinds of streams.

    Parameters
    ----------
    kinds
        How many kinds of outcomes are told apart.

    Notes
    -----
    Three numbers an hour and kind, 4 kB a kind. A new hour costs some microseconds a kind.
    """

    def __init__(self, kinds: int) -> None:
        self.credit: Floats = np.zeros(kinds)
        self._n: Floats = np.zeros((kinds, WEEK))
        self._total: Floats = np.zeros((kinds, WEEK))
        # Weeks in which the hour had outcomes.
        self._weeks: Floats = np.zeros((kinds, WEEK))
        self._now_n: Floats = np.zeros(kinds)  # of the present hour
        self._now_total: Floats = np.zeros(kinds)
        self._hour = self._first = -1

    def begin(self, hour: int) -> None:
        """Close the hour before, if another has begun, and work out the credits of this one."""
        if hour <= self._hour:
            return
        if self._hour >= 0:
            at = self._hour % WEEK
            self._n[:, at] += self._now_n
            self._total[:, at] += self._now_total
            self._weeks[:, at] += self._now_n > 0
        else:
            self._first = hour
        self._now_n[:] = self._now_total[:] = 0.0
        self._hour = hour
        old = hour - self._first >= _YOUNG
        for kind in range(len(self.credit)):
            self.credit[kind] = self._credit(kind, hour % WEEK) if old else 0.0

    def note(self, kind: int, n: int, total: float) -> None:
        """Add outcomes of the present hour."""
        self._now_n[kind] += n
        self._now_total[kind] += total

    def to_state(self) -> dict[str, Any]:
        """Return the exact state as arrays and plain values."""
        return {
            "sums": np.stack([self._n, self._total, self._weeks]),
            "now": np.stack([self._now_n, self._now_total, self.credit]),
            "hours": [self._hour, self._first],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``to_state`` returned."""
        self._n, self._total, self._weeks = state["sums"].copy()
        self._now_n, self._now_total, self.credit = state["now"].copy()
        self._hour, self._first = state["hours"]

    def _credit(self, kind: int, at: int) -> float:
        n, total = float(self._n[kind, at]), float(self._total[kind, at])
        if n < _FEWEST or self._weeks[kind, at] < 2:
            return 0.0
        rest_n = float(self._n[kind].sum()) - n
        if rest_n < _FEWEST:
            return 0.0
        mean, rest = total / n, (float(self._total[kind].sum()) - total) / rest_n
        error = sqrt(max(rest * (1.0 - rest), 1e-9) / n)
        if rest - mean < _DEVIATIONS * error or mean >= 1.0:
            return 0.0
        return min((rest - mean) / (1.0 - mean), _MOST)

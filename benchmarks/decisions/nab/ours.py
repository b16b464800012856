"""The detectors of quantities as they ship, on series that are no quantities of agents.

A series is taken for the tokens of an agent, for of these too little is news, too. What the log
holds of a quantity is at least 0 and counted in fine units, so values are given in millionths.
Where one of the first 200 values, which make the first baseline, is 0 or less, there is no
logarithm to speak of: such a series is read on a straight scale that these 200 values set, the
same ever after. Nothing else is chosen by series, and nothing looks ahead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from selfright.detect.certainty.budget import LEAST
from selfright.detect.certainty.fleet import Certainty, CertaintyPolicy, Rows
from selfright.detect.certainty.quantities import SIDES, Quantities
from selfright.detect.certainty.rank import FIRST, octaves
from selfright.detect.certainty.spike import LIMIT
from selfright.detect.detection import Kind, WatchedMetric

_FINE: Final = 1e6
_SPREADS: Final = 0.5  # octaves for each spread of the first values, on the straight scale
_MIDDLE, _HIGHEST = 20.0, 49.0  # octaves; amounts stay below 2^53


class Scores(NamedTuple):
    """What each detector says of each row, 0 to 1, from what came before and the row itself."""

    spike: np.ndarray
    rank: np.ndarray

    @property
    def either(self) -> np.ndarray:
        """The larger of both."""
        return np.maximum(self.spike, self.rank)


def quantity(values: np.ndarray) -> np.ndarray:
    """Return values as the log would hold them; see the head of the module."""
    first = values[:FIRST]
    if (first > 0.0).all():
        return np.maximum(values * _FINE, 0.0)
    low, median, high = np.quantile(first, [0.158655, 0.5, 0.841345])
    spread = (high - low) / 2.0 or float(first.std()) or max(abs(median), 1.0) / 20.0
    octave = _MIDDLE + _SPREADS * (values - median) / spread
    return 2.0 ** np.clip(octave, 0.0, _HIGHEST)


def scored(amounts: Sequence[np.ndarray]) -> list[Scores]:
    """Return the scores of every row of every series, each series as one agent.

    The spike detector scores |z| / (|z| + its limit). The rank detector scores the logarithm of
    its evidence over that of the level at which it alarms, 1 where it alarms; the larger of both
    sides. While an alarm stands both are silent, as they are towards an operator.
    """
    certainty = Certainty(CertaintyPolicy(run_length=LEAST), {})
    scores = [Scores(np.zeros(len(x)), np.zeros(len(x))) for x in amounts]
    for row in range(max(map(len, amounts))):
        there = np.flatnonzero([row < len(x) for x in amounts])
        _take(certainty, row, there, np.array([amounts[k][row] for k in there]), scores)
    return scores


def _take(
    certainty: Certainty, row: int, there: np.ndarray, values: np.ndarray, scores: list[Scores]
) -> None:
    # Nobody else looks at what a detector thinks of a value that is nothing to tell.
    inside = certainty._quantities  # noqa: SLF001
    silent = {stream.scope for stream in certainty.suspects()}
    # Baselines are numbered like the series, which all begin together.
    z = np.abs(inside.references.deviation(there, octaves(values)))
    columns = np.full((len(there), len(WatchedMetric)), -1.0)
    columns[:, WatchedMetric.TOKEN_USAGE] = values
    at = np.full(len(there), row, dtype=np.int64)
    # The clock stands still: hours of the week are learnt from a fleet, and this is none.
    found = certainty.feed(Rows(there, columns, at, at), 0)
    certainty.keep()
    if row < FIRST:
        return
    alarmed = {stream.scope for stream, one in found if one.kind is Kind.DRIFT}
    for k, deviation in zip(there.tolist(), z.tolist(), strict=True):
        if k not in silent:
            scores[k].spike[row] = deviation / (deviation + LIMIT)
            scores[k].rank[row] = 1.0 if k in alarmed else _evidence(inside, k)


def _evidence(inside: Quantities, baseline: int) -> float:
    most = max(inside.bank.lane(SIDES * baseline + side).weighed(0) for side in range(SIDES))
    return float(np.log1p(most) / np.log1p(LEAST))

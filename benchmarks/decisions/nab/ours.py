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

from selfright.detect.certainty.bets import RANK_BETS
from selfright.detect.certainty.budget import LEAST
from selfright.detect.certainty.quantities import SIDES, Quantities
from selfright.detect.certainty.rank import FIRST, octaves
from selfright.detect.certainty.spike import LIMIT
from selfright.detect.detection import Kind

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
    ours = Quantities()
    scores = [Scores(np.zeros(len(x)), np.zeros(len(x))) for x in amounts]
    for _ in amounts:
        ours.add(low=True)
    for row in range(max(map(len, amounts))):
        there = [k for k, x in enumerate(amounts) if row < len(x)]
        _take(ours, row, there, np.array([amounts[k][row] for k in there]), scores)
    return scores


def _take(
    ours: Quantities, row: int, there: list[int], values: np.ndarray, scores: list[Scores]
) -> None:
    of = np.array(there, dtype=np.int64)
    at = np.full(len(of), row, dtype=np.int64)
    ready = ours.references.ready(of)
    z = np.abs(ours.references.deviation(of, octaves(values)))
    silent = {slot // SIDES for slot in ours.episodes}
    found = ours.feed(of, values, at, at, LEAST)
    ours.keep()
    alarmed = {one.slot // SIDES for one in found if one.kind is Kind.DRIFT}
    for k, is_ready, deviation in zip(there, ready.tolist(), z.tolist(), strict=True):
        if not is_ready or k in silent:
            continue
        scores[k].spike[row] = deviation / (deviation + LIMIT)
        scores[k].rank[row] = 1.0 if k in alarmed else _evidence(ours, k)


def _evidence(ours: Quantities, baseline: int) -> float:
    most = max(
        sum(ours.bank.lane(SIDES * baseline + side).evidence[0]) / len(RANK_BETS)
        for side in range(SIDES)
    )
    return float(np.log1p(most) / np.log1p(LEAST))

"""What a challenger must not pay for its rewards with: errors, slow runs, cost.

Each run of a canary counts for both policies by its weights, as rewards do
(``off_policy``). A guard metric that is certainly worse than its margin ends the canary; one
that merely looks worse than its margin stands in the way of a promotion.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# By how much a challenger may be worse and still be taken for no worse: points of the error
# rate, points more runs above the champion's p95 (of which the champion has 5 %), and a
# share of the champion's cost.
_ERROR_MARGIN: Final = 0.05
_SLOW_MARGIN: Final = 0.05
_COST_MARGIN: Final = 0.2
_SLOW: Final = 0.95
# Standard errors beyond its margin from which on a guard is certainly worse. Simulated, 40
# looks at 2,000 runs: of 200 canaries that were no worse none was ended; of those with 20 %
# errors against 5 %, 83 %, and the rest stood no chance of promotion.
_CERTAIN: Final = 3.0
# Fewer effective runs of the challenger say nothing.
_FEWEST: Final = 20


class GuardedRun(NamedTuple):
    """A run of a canary: its weights under either policy, and its figures; -1: not reported."""

    champion: float
    challenger: float
    is_error: bool
    duration_us: int
    cost_nano_usd: int


class Guards:
    """Compares error rate, p95 latency and cost per run of two policies.

    Notes
    -----
    Keeps every run of the canary, at most a thousand or so.
    """

    def __init__(self) -> None:
        self._runs: list[GuardedRun] = []

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, run: GuardedRun) -> None:
        """Count a run."""
        self._runs.append(run)

    def worse(self, *, certainly: bool) -> str | None:
        """Return which metric is worse than its margin, with its figures; None if none is."""
        if not self._runs:
            return None
        table = np.array(self._runs, dtype=np.float64)
        weights, failed, duration, cost = table[:, :2], table[:, 2], table[:, 3], table[:, 4]
        timed, priced = duration >= 0, cost >= 0
        found = _compared(failed, weights, _ERROR_MARGIN, certainly=certainly)
        if found is not None:
            return f"error rate {found[1]:.2f}, the champion's {found[0]:.2f}"
        limit = _quantile(duration[timed], weights[timed, 0], _SLOW)
        slow = (duration[timed] > limit).astype(np.float64)
        found = _compared(slow, weights[timed], _SLOW_MARGIN, certainly=certainly)
        if found is not None:
            return f"{found[1]:.0%} of runs above the champion's p95 of {limit / 1e3:,.0f} ms"
        usd = cost[priced] / 1e9
        margin = _COST_MARGIN * _mean(usd, weights[priced, 0])
        found = _compared(usd, weights[priced], margin, certainly=certainly)
        if found is not None:
            return f"cost per run ${found[1]:.4g}, the champion's ${found[0]:.4g}"
        return None

    def to_state(self) -> list[list[Any]]:
        """Return the runs as plain values."""
        return [list(run) for run in self._runs]

    @classmethod
    def from_state(cls, state: list[list[Any]]) -> Guards:
        """Return the guards that ``to_state`` described."""
        guards = cls()
        guards._runs = [GuardedRun(*row) for row in state]
        return guards


def _compared(
    x: Floats, weights: Floats, margin: float, *, certainly: bool
) -> tuple[float, float] | None:
    """Return the means of champion and challenger if the latter is worse than the margin."""
    champion, challenger = weights[:, 0], weights[:, 1]
    squares = float((challenger**2).sum())
    if not squares or challenger.sum() ** 2 / squares < _FEWEST or not champion.sum():
        return None
    before, now = _mean(x, champion), _mean(x, challenger)
    # Linearised: how far each run moves the difference of the two weighted means.
    moves = challenger / challenger.sum() * (x - now) - champion / champion.sum() * (x - before)
    error = float(np.sqrt((moves**2).sum()))
    worse = now - before - margin > (_CERTAIN * error if certainly else 0.0)
    return (before, now) if worse else None


def _mean(x: Floats, weights: Floats) -> float:
    total = float(weights.sum())
    return float((x * weights).sum()) / total if total else 0.0


def _quantile(x: Floats, weights: Floats, share: float) -> float:
    if not len(x):
        return 0.0
    order = np.argsort(x)
    reached = np.cumsum(weights[order]) >= share * weights.sum()
    return float(x[order][int(np.argmax(reached))])

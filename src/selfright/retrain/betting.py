"""Evidence as the winnings of a bet, and bounds of a mean that hold at every n at once.

Suppose somebody bets, before each outcome, that the challenger will have the smaller
loss. If in truth it is no better, then whatever the strategy and whenever one stops, the
expected wealth is at most what was staked; so wealth of 100 would be a chance of at most
1 in 100 [1]_, no matter how often one looks. That is the evidence the gate waits for.

Bets are mixed because the best one depends on what is unknown: the wealth is the average
of several players, so that it lags the best of them only by a factor.

References
----------
.. [1] Ville's inequality; see Waudby-Smith and Ramdas, "Estimating means of bounded random
   variables by betting", JRSS B 86(1), 2024.
.. [2] Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory
   and asymptotic confidence sequences", Annals of Statistics 52(6), 2024.
"""

from __future__ import annotations

from math import exp, log, log1p, sqrt
from typing import Final

# The players stake fixed shares of the largest possible loss. The shares lie so close
# together that between two of them at most a tenth of the growth is lost.
_SHARES: Final = (0.05, 0.15, 0.35, 0.6, 0.9)
# Where the predictions say how probable each outcome is, one more player believes them.
# It is right more often than any share (simulated: 10 to 20 % fewer outcomes), yet when
# the challenger is still wrong about itself the others save the evidence.
_TRUST_IN_OWN: Final = 0.7
# Never everything: one surprise must not end a player for good.
_MOST: Final = 0.95


class Wager:
    """The wealth of a bet that one of two models is the better one.

    Parameters
    ----------
    with_own
        Whether ``update`` will be told a bet that follows from the predictions.

    Notes
    -----
    O(1): a logarithm per player and update. With d the difference of the losses and b
    the largest amount it can be negative, a player's wealth is the product of
    1 + share * d / b, which is never negative and, if d is not positive on average given
    the past, does not grow on average. Shares may depend on the past and on the
    predictions, not on the outcome.
    """

    __slots__ = ("_log_wealth", "_with_own")

    def __init__(self, *, with_own: bool) -> None:
        self._with_own = with_own
        if with_own:
            rest = (1 - _TRUST_IN_OWN) / len(_SHARES)
            self._log_wealth = [log(_TRUST_IN_OWN), *[log(rest)] * len(_SHARES)]
        else:
            self._log_wealth = [-log(len(_SHARES))] * len(_SHARES)

    def update(self, difference: float, most_lost: float, own: float) -> None:
        """Settle the bets on one outcome.

        Parameters
        ----------
        difference
            By how much the model that was bet on had the smaller loss.
        most_lost
            By how much it could at most have had the larger one; greater than 0.
        own
            The share that follows from the predictions; counts only ``with_own``.
        """
        # Rounding must not make a difference larger than the bound that it stems from.
        ratio = max(-1.0, difference / most_lost)
        wealth = self._log_wealth
        shares = (min(_MOST, max(0.0, own)), *_SHARES) if self._with_own else _SHARES
        for i, share in enumerate(shares):
            wealth[i] += log1p(share * ratio)

    @property
    def log_evidence(self) -> float:
        """The logarithm of the wealth won per unit staked."""
        top = max(self._log_wealth)
        return top + log(sum(exp(w - top) for w in self._log_wealth))

    def reaches(self, log_evidence: float) -> bool:
        """Return whether the evidence is at least ``exp(log_evidence)``."""
        # All players together have at most as many times the best one's wealth: cheap to
        # rule out, and nearly every outcome is.
        if max(self._log_wealth) + log(len(self._log_wealth)) < log_evidence:
            return False
        return self.log_evidence >= log_evidence

    def to_state(self) -> list[float]:
        """Return the players' log wealth."""
        return list(self._log_wealth)

    def restore(self, state: list[float]) -> None:
        """Take over what ``to_state`` returned. Raises ``ValueError`` for another's."""
        if len(state) != len(self._log_wealth):
            raise ValueError(f"{len(state)} players, expected {len(self._log_wealth)}")
        self._log_wealth = [float(w) for w in state]


def half_width(variance: float, largest: float, usual: float, error: float) -> float:
    """Return how far a sum may lie from the sum of its expectations, at every n at once.

    The normal mixture's bound with the variance as observed [2]_: an asymptotic
    confidence sequence. Padded with the largest range squared it also held at every n
    from 1 on in at least 1 - ``error`` of each simulated case.

    Parameters
    ----------
    variance
        Sum of the squared deviations of the terms from their mean.
    largest
        Largest range a term had.
    usual
        The variance at which the bound is to be tightest; does not change what it
        promises.
    error
        Chance of ever leaving the bound, on either side.
    """
    # Tightest at v for about v / (2 log(1/error) + log(1 + 2 log(1/error))).
    surprise = 2 * log(1 / error)
    rho = usual / (surprise + log1p(surprise))
    padded = variance + largest**2
    return sqrt((padded + rho) * (surprise + log1p(padded / rho)))

"""How wrong a prediction was, and how far two predictions can differ in it.

Two predictions bound by how much their losses can differ before the outcome is known.
The gate scales each bet by that bound: one fixed bound for all outcomes would have to be
the widest of them and cost about twice the outcomes.

Each loss is proper for what its models predict: the log loss for a probability, the
squared error for a mean, the absolute error for a median. No model can gain by
predicting anything else than what it believes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, log
from typing import Any, Final, NamedTuple, Protocol

from selfright.errors import ConfigError

# Beliefs drawn from a hundred outcomes cannot honestly lie beyond 1 %, and unclipped a
# single surprise (log 0) would outweigh all other outcomes together.
_SUREST: Final = 0.99
# Predictions nearer than this differ in their losses mostly by rounding, and a bet scaled
# by such a difference would be a bet on rounding.
_SAME: Final = 1e-9


class Comparison(NamedTuple):
    """Two predictions of one outcome, compared.

    Attributes
    ----------
    champion, challenger
        Their losses.
    most_gain, most_harm
        By how much the challenger's loss could have been the smaller and the larger one;
        known before the outcome. Both 0 where the predictions are the same, else both
        positive.
    own_better, own_worse
        Kelly's bets for "better" if the challenger's belief were the truth, and for
        "worse" if the champion's were, as shares of the largest possible loss of the
        bet. 0 where ``Loss.has_belief`` is False.
    """

    champion: float
    challenger: float
    most_gain: float = 0.0
    most_harm: float = 0.0
    own_better: float = 0.0
    own_worse: float = 0.0


class Loss(Protocol):
    """A proper loss, and what two predictions allow of it."""

    @property
    def name(self) -> str:
        """The word for it in ``GateRecord.loss``."""
        ...

    @property
    def has_belief(self) -> bool:
        """Whether a prediction says how probable each outcome is."""
        ...

    @property
    def usual_range(self) -> float:
        """How far apart the differences of two predictions usually lie; tunes intervals."""
        ...

    def compare(self, y: float, champion: float, challenger: float) -> Comparison:
        """Compare two predictions of the outcome ``y``; all three are finite."""
        ...

    def to_state(self) -> dict[str, Any]:
        """Return what ``loss_from`` makes the same loss of."""
        ...


@dataclass(frozen=True, slots=True)
class LogLoss:
    """``-y log p - (1 - y) log(1 - p)`` for a probability p of an outcome y in 0..1.

    Outcomes may be graded; beyond 0..1 they count as the bound. Probabilities are
    clipped to .01..0.99.
    """

    name = "log_loss"
    has_belief = True
    # Beliefs of .9 and .7 differ by .25 at y = 1 and by -1.10 at y = 0.
    usual_range = 1.35

    def compare(self, y: float, champion: float, challenger: float) -> Comparison:
        """See ``Loss``."""
        y = _clipped(y, 0.0, 1.0)
        p = _clipped(champion, 1 - _SUREST, _SUREST)
        q = _clipped(challenger, 1 - _SUREST, _SUREST)
        champion_loss = -y * log(p) - (1 - y) * log(1 - p)
        if abs(p - q) <= _SAME:
            return Comparison(champion_loss, champion_loss)
        # The difference is linear in y, so that its bounds lie at y = 0 and y = 1.
        at_1, at_0 = log(q / p), log((1 - q) / (1 - p))
        gain, harm = (at_1, -at_0) if q > p else (at_0, -at_1)
        return Comparison(
            champion_loss,
            -y * log(q) - (1 - y) * log(1 - q),
            gain,
            harm,
            own_better=(q * at_1 + (1 - q) * at_0) / gain,
            own_worse=-(p * at_1 + (1 - p) * at_0) / harm,
        )

    def to_state(self) -> dict[str, Any]:
        """See ``Loss``."""
        return {"name": self.name}


@dataclass(frozen=True, slots=True)
class SquaredError:
    """``(y - m)^2`` for a mean m of values in ``low..high``, such as a quality score.

    Outcomes and predictions beyond the bounds count as the bound.

    Raises
    ------
    ConfigError
        If the bounds are not finite or not in order.
    """

    low: float = 0.0
    high: float = 1.0

    name = "squared_error"
    has_belief = False

    def __post_init__(self) -> None:
        if not (isfinite(self.low) and isfinite(self.high) and self.low < self.high):
            raise ConfigError("squared error bounds", (self.low, self.high), "need low < high")

    @property
    def usual_range(self) -> float:
        """Means that lie a tenth of the bounds apart."""
        return 0.2 * (self.high - self.low) ** 2

    def compare(self, y: float, champion: float, challenger: float) -> Comparison:
        """See ``Loss``."""
        low, high = self.low, self.high
        y = _clipped(y, low, high)
        p, q = _clipped(champion, low, high), _clipped(challenger, low, high)
        champion_loss = (y - p) ** 2
        if abs(p - q) <= _SAME * (high - low):
            return Comparison(champion_loss, champion_loss)
        # (y - p)^2 - (y - q)^2 is linear in y as well.
        at_low, at_high = (q - p) * (2 * low - p - q), (q - p) * (2 * high - p - q)
        return Comparison(champion_loss, (y - q) ** 2, max(at_low, at_high), -min(at_low, at_high))

    def to_state(self) -> dict[str, Any]:
        """See ``Loss``."""
        return {"name": self.name, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class AbsoluteError:
    """``|y - m|`` for a median m of unbounded values, such as the logarithm of a latency.

    With another ``quantile`` than .5 it is twice the pinball loss of that quantile.
    Outcomes need no bounds: however far outside one lies, the two losses differ by no
    more than the predictions do.

    Raises
    ------
    ConfigError
        If ``quantile`` is not between 0 and 1.
    """

    quantile: float = 0.5

    has_belief = False
    # Medians .3 apart: of logarithms, a third more or less.
    usual_range = 0.6

    def __post_init__(self) -> None:
        if not 0.0 < self.quantile < 1.0:
            raise ConfigError("quantile", self.quantile, "must lie between 0 and 1")

    @property
    def name(self) -> str:
        """See ``Loss``."""
        return "absolute_error" if self.quantile == 0.5 else "pinball"

    def compare(self, y: float, champion: float, challenger: float) -> Comparison:
        """See ``Loss``."""
        champion_loss = self._of(y, champion)
        apart = abs(challenger - champion)
        if apart <= _SAME * max(1.0, abs(champion)):
            return Comparison(champion_loss, champion_loss)
        above, below = 2 * self.quantile * apart, 2 * (1 - self.quantile) * apart
        gain, harm = (above, below) if challenger > champion else (below, above)
        return Comparison(champion_loss, self._of(y, challenger), gain, harm)

    def _of(self, y: float, m: float) -> float:
        return 2 * (self.quantile * (y - m) if y >= m else (1 - self.quantile) * (m - y))

    def to_state(self) -> dict[str, Any]:
        """See ``Loss``."""
        return {"name": self.name, "quantile": self.quantile}


@dataclass(frozen=True, slots=True)
class ScoreGap:
    """How far two scores lie below the best one: of a model that judges itself.

    What is compared are scores in ``low..high``, higher is better, in place of
    predictions; the outcome plays no part.

    Raises
    ------
    ConfigError
        If the bounds are not finite or not in order.
    """

    low: float = 0.0
    high: float = 1.0

    name = "score"
    has_belief = False

    def __post_init__(self) -> None:
        if not (isfinite(self.low) and isfinite(self.high) and self.low < self.high):
            raise ConfigError("score bounds", (self.low, self.high), "need low < high")

    @property
    def usual_range(self) -> float:
        """Scores that lie a fifth of the bounds apart."""
        return 0.2 * (self.high - self.low)

    def compare(self, y: float, champion: float, challenger: float) -> Comparison:
        """See ``Loss``."""
        p = _clipped(champion, self.low, self.high)
        q = _clipped(challenger, self.low, self.high)
        if p == q:
            return Comparison(self.high - p, self.high - p)
        # Nothing about an event bounds a score before it is known, but the range does.
        most = self.high - self.low
        return Comparison(self.high - p, self.high - q, most, most)

    def to_state(self) -> dict[str, Any]:
        """See ``Loss``."""
        return {"name": self.name, "low": self.low, "high": self.high}


_LOSS_OF: Final[dict[str, Loss]] = {
    "agent_selection": LogLoss(),
    "routing": LogLoss(),
    "parameter_optimization": LogLoss(),
    "quality_prediction": SquaredError(),
    "latency_prediction": AbsoluteError(),  # of the logarithm
}


def loss_of(model_type: str) -> Loss:
    """Return the loss by which models of this type are judged; log loss for an unknown one."""
    return _LOSS_OF.get(model_type, LogLoss())


def loss_from(state: dict[str, Any]) -> Loss:
    """Return the loss that ``to_state`` described. Raises ``ValueError`` for another."""
    match state:
        case {"name": "log_loss"}:
            return LogLoss()
        case {"name": "squared_error", "low": low, "high": high}:
            return SquaredError(low, high)
        case {"name": "absolute_error" | "pinball", "quantile": quantile}:
            return AbsoluteError(quantile)
        case {"name": "score", "low": low, "high": high}:
            return ScoreGap(low, high)
    raise ValueError(f"no such loss: {state!r}")


def _clipped(value: float, low: float, high: float) -> float:
    return min(high, max(low, value))

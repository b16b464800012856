"""The nouns of detection: what is watched, and what a detector says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

SYSTEM: Final = -1  # the scope of the whole fleet; agents are 0, 1, 2, ...


class WatchedMetric(IntEnum):
    """What the watch follows. The integer is what checkpoints carry: never renumber."""

    SUCCESS_RATE = 0
    ERROR_RATE = 1
    ACCURACY = 2
    LATENCY = 3
    COST = 4
    MEMORY = 5
    TOKEN_USAGE = 6

    @property
    def word(self) -> str:
        """The metric as users write it."""
        return self.name.lower()

    @property
    def is_rate(self) -> bool:
        """Whether it is a share of outcomes, about which a probability can be stated."""
        return self <= WatchedMetric.ACCURACY


# The rates whose certain drop is worth a retraining; the limits only warn.
RETRAINING: Final = (
    WatchedMetric.SUCCESS_RATE,
    WatchedMetric.ERROR_RATE,
    WatchedMetric.ACCURACY,
)


class Kind(StrEnum):
    """What a detection says.

    The first pair is the windowed mean's, the second the Beta rule's; the others are said with
    certainty: a drop from what the agent was, within its threshold or not yet known to be
    beyond it; that a drift is more than that; that a drop is beyond the threshold; that it
    lasts; that hardly any outcomes come to tell whether it does; that it is over.
    """

    BEYOND = "beyond"
    CLEARED = "cleared"
    LIKELY = "likely"
    UNLIKELY = "unlikely"
    DRIFT = "drift"
    ESCALATED = "escalated"
    CERTAIN = "certain"
    CONFIRMED = "confirmed"
    CONTAINED = "contained"
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True)
class Detection:
    """A detector changed its mind about one metric of one agent (or of the fleet).

    Attributes
    ----------
    detector
        Name of the detector: ``window``, ``beta`` or ``e``.
    kind
        What it says now.
    scope
        Dense code of the agent, or ``SYSTEM``.
    metric
        What it is about.
    value
        The mean that was judged, in the unit of ``threshold``: a ratio for rates and for
        latency (the share of runs above the limit), else dollars, megabytes or tokens a run.
    interval
        95 % interval of a ratio (Wilson), None for amounts.
    n
        Outcomes behind ``value``.
    threshold
        What ``value`` was compared with.
    probability
        That the true rate lies beyond ``threshold``; None where the detector states none.
    ts_us, offset
        Event time and log offset of the outcome that tipped it.
    inputs
        Everything else the judgement was made from, for "why".
    """

    detector: str
    kind: Kind
    scope: int
    metric: WatchedMetric
    value: float
    interval: tuple[float, float] | None
    n: int
    threshold: float
    probability: float | None
    ts_us: int
    offset: int
    inputs: Mapping[str, float | int | str | None]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a detector judged from, in its own orientation (low is bad).

    ``total`` over ``n`` is the mean; ``inputs`` what else went into the judgement.
    """

    n: int
    total: float
    probability: float | None
    inputs: Mapping[str, float | int | str | None]


class Signal(IntEnum):
    """What a rule of the watch says when something changed.

    Those that name a ``Kind`` become a detection; ``STANDS`` and ``FADES`` only say
    whether a retraining may be asked for at this moment.
    """

    BEYOND = 1
    CLEARED = 2
    LIKELY = 3  # and stands
    UNLIKELY = 4  # and does not stand
    STANDS = 5
    FADES = 6

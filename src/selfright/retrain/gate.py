"""Whether a challenger may serve: it has to predict better than the champion, certainly.

The champion is the version as it stood when the challenger was made; it learns no more.
The challenger predicts each affected outcome *before* it learns from it. So both are
judged by outcomes that neither has seen, in the order of arrival, and a challenger that
starts out wrong but learns is judged by what it becomes.

For each outcome the gate compares the two losses and bets on the challenger and against
it (``betting``). Either bet may be looked at after every outcome: a challenger that is
no better is promoted with probability at most ``level``, one that is no worse is
rejected with at most that, however long the gate watches. A difference too small to be
certain of within ``max_outcomes`` or ``max_us`` ends inconclusive, which is not rejected.

================ ============================================================
verdict          when
================ ============================================================
``pending``      the gate watches
``promoted``     evidence for "better" reached 1 / level
``rejected``     evidence for "worse" reached 1 / level
``inconclusive`` neither in time
================ ============================================================

``emergency``, ``forced`` and ``none`` are given by those who act without the gate; ``canary``
and ``rolled_back`` by what follows it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import exp, log
from typing import Any, Final, Literal

from selfright.errors import ConfigError
from selfright.events.record import GateRecord
from selfright.retrain.betting import Wager, half_width
from selfright.retrain.loss import Loss, loss_from

Verdict = Literal[
    "pending",
    "promoted",
    "rejected",
    "inconclusive",
    "canary",
    "emergency",
    "forced",
    "rolled_back",
    "none",
]

# Each bound of the gain errs with at most 5 %, ever: together a 90 % confidence sequence.
_INTERVAL_ERROR: Final = 0.1
# Outcomes at which the gain's interval is to be tightest: about where verdicts fall.
_USUAL_OUTCOMES: Final = 100
# Nothing that we predict is that large, and sums of squares up to it stay finite.
_ABSURD: Final = 1e50


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """How certain the gate has to be, and how long it may watch.

    Parameters
    ----------
    level
        The chance that a challenger which is no better is promoted, and that one which
        is no worse is rejected. Per challenger: of 100 harmful ones, at most 1 passes.
    max_outcomes
        Affected outcomes after which the gate ends inconclusive.
    max_us
        Log time after which it does, microseconds.
    promotes
        Whether what is certainly better ends the watch. After a promotion it does not:
        then only harm ends it early.

    Raises
    ------
    ConfigError
        If ``level`` is not between 0 and .5, or a limit is below 1.
    """

    level: float = 0.01
    max_outcomes: int = 500
    max_us: int = 86_400_000_000
    promotes: bool = True

    def __post_init__(self) -> None:
        if not 0.0 < self.level < 0.5:
            raise ConfigError("gate.level", self.level, "must lie between 0 and 0.5")
        if self.max_outcomes < 1:
            raise ConfigError("gate.max_outcomes", self.max_outcomes, "must be at least 1")
        if self.max_us < 1:
            raise ConfigError("gate.max_us", self.max_us, "must be at least 1")


class PredictiveGate:
    """Watches one challenger beside its frozen champion and gives one verdict.

    Parameters
    ----------
    policy
        Level and limits.
    loss
        By what the two are compared; see ``loss.loss_of``.
    opened_us
        Log time at which the watch began, microseconds.

    Notes
    -----
    O(1) per outcome, some microseconds; twenty floats of state. A function of the
    sequence of updates alone. Outcomes for which both predict the same tell nothing:
    they count in ``n`` and in the mean gain but add no evidence, so that a copy of the
    champion is never promoted.

    Examples
    --------
    The champion expects 90 % successes, the challenger 60 %; half of the runs fail.

    >>> from selfright.retrain.loss import LogLoss
    >>> gate = PredictiveGate(GatePolicy(), LogLoss(), opened_us=0)
    >>> record = None
    >>> while record is None:
    ...     record = gate.update(float(gate.n % 2), p_champion=0.9, p_challenger=0.6)
    >>> record.verdict, record.n, round(record.gain, 2)
    ('promoted', 29, 0.52)
    """

    __slots__ = (
        "_better",
        "_challenger_loss",
        "_champion_loss",
        "_largest_range",
        "_squares",
        "_worse",
        "loss",
        "n",
        "opened_us",
        "policy",
        "verdict",
    )

    def __init__(self, policy: GatePolicy, loss: Loss, opened_us: int) -> None:
        self.policy = policy
        self.loss = loss
        self.opened_us = opened_us
        self.verdict: Verdict = "pending"
        self.n = 0
        self._champion_loss = 0.0
        self._challenger_loss = 0.0
        self._squares = 0.0
        self._largest_range = 0.0
        self._better = Wager(with_own=loss.has_belief)
        self._worse = Wager(with_own=loss.has_belief)

    def update(self, y: float, p_champion: float, p_challenger: float) -> GateRecord | None:
        """Take one affected outcome into account; return the record once decided.

        Both predictions must have been made before either model learnt from ``y``.
        After the verdict nothing changes any more and None is returned.
        """
        if self.verdict != "pending":
            return None
        self.n += 1
        if not _is_sane(p_challenger):
            # A challenger that has diverged must not serve, whatever the evidence.
            return self._close("rejected")
        if _is_sane(y) and _is_sane(p_champion):
            self._compare(y, p_champion, p_challenger)
        needed = -log(self.policy.level)
        if self.policy.promotes and self._better.reaches(needed):
            return self._close("promoted")
        if self._worse.reaches(needed):
            return self._close("rejected")
        return self._close("inconclusive") if self.n >= self.policy.max_outcomes else None

    def expire(self, now_us: int) -> GateRecord | None:
        """Return the record, inconclusive, if at log time ``now_us`` the watch is over."""
        if self.verdict != "pending" or now_us - self.opened_us < self.policy.max_us:
            return None
        return self._close("inconclusive")

    def record(self, verdict: Verdict | None = None) -> GateRecord:
        """Return the numbers so far, under the gate's verdict or another one given by hand."""
        n = self.n
        gain = low = high = champion = challenger = None
        if n:
            champion, challenger = self._champion_loss / n, self._challenger_loss / n
            gain = (self._champion_loss - self._challenger_loss) / n
            width = self._half_width()
            low, high = gain - width, gain + width
        return GateRecord(
            verdict=self.verdict if verdict is None else verdict,
            n=n,
            gain=gain,
            gain_low=low,
            gain_high=high,
            evidence_better=exp(self._better.log_evidence),
            evidence_worse=exp(self._worse.log_evidence),
            champion_loss=champion,
            challenger_loss=challenger,
            loss=self.loss.name,
            level=self.policy.level,
        )

    def to_state(self) -> dict[str, Any]:
        """Return everything as JSON-able values, for ``from_state``."""
        return {
            "policy": asdict(self.policy),
            "loss": self.loss.to_state(),
            "opened_us": self.opened_us,
            "verdict": self.verdict,
            "n": self.n,
            "champion_loss": self._champion_loss,
            "challenger_loss": self._challenger_loss,
            "squares": self._squares,
            "largest_range": self._largest_range,
            "better": self._better.to_state(),
            "worse": self._worse.to_state(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> PredictiveGate:
        """Return the gate that ``to_state`` described; it goes on as that one would have."""
        gate = cls(GatePolicy(**state["policy"]), loss_from(state["loss"]), state["opened_us"])
        gate.verdict = state["verdict"]
        gate.n = state["n"]
        gate._champion_loss = state["champion_loss"]
        gate._challenger_loss = state["challenger_loss"]
        gate._squares = state["squares"]
        gate._largest_range = state["largest_range"]
        gate._better.restore(state["better"])
        gate._worse.restore(state["worse"])
        return gate

    def _compare(self, y: float, p_champion: float, p_challenger: float) -> None:
        seen = self.loss.compare(y, p_champion, p_challenger)
        self._champion_loss += seen.champion
        self._challenger_loss += seen.challenger
        if not seen.most_harm:
            return
        difference = seen.champion - seen.challenger
        self._squares += difference * difference
        self._largest_range = max(self._largest_range, seen.most_gain + seen.most_harm)
        self._better.update(difference, seen.most_harm, seen.own_better)
        self._worse.update(-difference, seen.most_gain, seen.own_worse)

    def _half_width(self) -> float:
        total = self._champion_loss - self._challenger_loss
        variance = max(0.0, self._squares - total * total / self.n)
        usual = _USUAL_OUTCOMES * self.loss.usual_range**2 / 4
        return half_width(variance, self._largest_range, usual, _INTERVAL_ERROR) / self.n

    def _close(self, verdict: Verdict) -> GateRecord:
        self.verdict = verdict
        return self.record()


def _is_sane(value: float) -> bool:
    return abs(value) < _ABSURD  # False for NaN too

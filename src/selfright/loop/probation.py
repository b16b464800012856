"""A version on probation: watched over the runs after its promotion, its parent in shadow.

The gate errs now and then, an operator may force what it refused, and the world may turn
back. So the version that was replaced goes on learning in the shadow, and what serves is
compared with it in two ways:

- **predictions**: both predict each affected run before they learn from it; the gate's bets
  say when the new version is certainly the worse one;
- **rewards**, of models that choose: those of its decisions are compared with those of the
  parent's decisions before (``reward_watch``), where the two choose differently at all.

Certain harm ends the probation, and the parent serves again. Else it ends after so many
runs. Either way what it showed is the proof of the retraining.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isinf
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from selfright.errors import ConfigError
from selfright.events.record import Proof
from selfright.learn.choice import ChoiceModel
from selfright.learn.features import features_of
from selfright.learn.model import model_from_state
from selfright.loop.decided import group_of
from selfright.retrain.gate import GatePolicy, PredictiveGate
from selfright.retrain.loss import loss_of
from selfright.retrain.reward_watch import FEWEST_BEFORE, RewardWatch, comparable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfright.events.record import Decision, GateRecord
    from selfright.learn.model import Model
    from selfright.learn.samples import Samples
    from selfright.retrain.reward_watch import Earned

# Of the level, where rewards are watched too: a fifth for the predictions, for what they
# find they find many times over; the rest for the rewards, where each outcome counts.
_FOR_PREDICTIONS: Final = 0.2
# Where the two choose alike nine times of ten, the choices cannot have cost 15 points.
_LEAST_DIFFERENT: Final = 0.1
# A proof from fewer runs would be none.
_FEWEST: Final = 20
_REWARD: Final = "reward"

Harm = Literal["predictions", "rewards"]


@dataclass(frozen=True, slots=True)
class ProbationPolicy:
    """How long a promoted version is watched.

    Parameters
    ----------
    level
        The chance that a version which does no harm is rolled back.
    runs
        Decided runs after which the probation ends; 0: there is none.
    max_us
        Log time after which it does, microseconds.

    Raises
    ------
    ConfigError
        If ``level`` is not between 0 and .5, ``runs`` below 0 or ``max_us`` below 1.
    """

    level: float = 0.01
    runs: int = 200
    max_us: int = 7 * 86_400_000_000

    def __post_init__(self) -> None:
        if not 0.0 < self.level < 0.5:
            raise ConfigError("gate.level", self.level, "must lie between 0 and 0.5")
        if self.runs < 0:
            raise ConfigError("gate.watch_runs", self.runs, "must be 0 (no watch) or more")
        if self.max_us < 1:
            raise ConfigError("gate.watch_hours", self.max_us, "must be above 0")


class Probation:
    """Compares a version that serves with the parent that it replaced.

    Attributes
    ----------
    parent
        What serves again after certain harm; learns on meanwhile.
    retrain_id
        The retraining whose promotion it is, if any.
    versions
        Numbers that the version had before it was saved anew while on probation.
    """

    def __init__(
        self,
        *,
        parent: Model,
        parent_version: int | None,
        retrain_id: str | None,
        predicted: PredictiveGate,
        rewarded: RewardWatch | None,
    ) -> None:
        self.parent = parent
        self.parent_version = parent_version
        self.retrain_id = retrain_id
        self.versions: list[int] = []
        self._predicted = predicted
        self._rewarded = rewarded
        self._decisions = 0
        self._apart = 0.0

    @classmethod
    def begin(
        cls,
        policy: ProbationPolicy,
        parent: Model,
        parent_version: int | None,
        retrain_id: str | None,
        before: Sequence[Earned],
        now_us: int,
    ) -> Probation:
        """Return the probation of a version that serves from ``now_us`` on.

        ``before`` is what the parent's decisions earned, oldest first; where too few of them
        are comparable, rewards are not compared.
        """
        kind, level = parent.model_type.value, policy.level
        before, rewarded = comparable(before), None
        if isinstance(parent, ChoiceModel) and len(before) >= FEWEST_BEFORE:
            rewarded = RewardWatch(before, level * (1 - _FOR_PREDICTIONS), policy.runs)
            level *= _FOR_PREDICTIONS
        gate = GatePolicy(level, policy.runs, policy.max_us, promotes=False)
        return cls(
            parent=parent,
            parent_version=parent_version,
            retrain_id=retrain_id,
            predicted=PredictiveGate(gate, loss_of(kind), now_us),
            rewarded=rewarded,
        )

    # ---- what comes in ---------------------------------------------------------------

    def observe(self, samples: Samples, version: Model, told: np.ndarray) -> None:
        """Compare both on samples that neither has learnt yet; the parent then learns them.

        ``told`` are those by which the version is judged, bool[n].
        """
        index = np.flatnonzero(told).tolist()
        if index and self._predicted.verdict == "pending":
            arms, groups = [samples.arm[i] for i in index], [samples.group[i] for i in index]
            of = None if samples.features is None else [samples.features[i] for i in index]
            parent = self.parent.mean_of(arms, groups, of).tolist()
            found = version.mean_of(arms, groups, of).tolist()
            for i, before, now in zip(index, parent, found, strict=True):
                self._predicted.update(float(samples.y[i]), before, now)
        self.parent.update(samples)

    def note(self, decision: Decision, version: Model) -> None:
        """Take into account how far the parent would have chosen differently."""
        if self._rewarded is None or not isinstance(version, ChoiceModel):
            return
        assert isinstance(self.parent, ChoiceModel)  # of the same model type
        about = decision.candidates, group_of(decision), features_of(decision.context)
        chances = version.propensities(*about), self.parent.propensities(*about)
        self._apart += float(np.abs(chances[0] - chances[1]).sum()) / 2
        self._decisions += 1

    def earn(self, earned: Earned) -> None:
        """Take what one of the version's decisions earned into account."""
        if self._rewarded is not None:
            self._rewarded.update(earned)

    # ---- what it says ----------------------------------------------------------------

    @property
    def harm(self) -> Harm | None:
        """By what the version is certainly worse than its parent; None if by nothing."""
        if self._predicted.verdict == "rejected":
            return "predictions"
        rewarded, apart = self._rewarded, self._apart / max(1, self._decisions)
        if rewarded is not None and rewarded.is_harm and apart >= _LEAST_DIFFERENT:
            return "rewards"
        return None

    def is_over(self, now_us: int) -> bool:
        """Return whether so many runs, or so much time, have passed."""
        self._predicted.expire(now_us)
        rewarded = self._rewarded
        return self._predicted.verdict != "pending" or (
            rewarded is not None and rewarded.n >= rewarded.horizon
        )

    def proof(self) -> Proof:
        """Return what the probation has shown so far: by rewards where they can tell."""
        rewarded = self._rewarded
        by_rewards = rewarded is not None and rewarded.n >= _FEWEST
        if rewarded is not None and by_rewards and self.harm != "predictions":
            return _of_rewards(rewarded)
        return proof_of_predictions(self._predicted.record(), is_harm=self.harm == "predictions")

    # ---- state -----------------------------------------------------------------------

    def to_state(self) -> dict[str, Any]:
        """Return everything as plain values and arrays."""
        return {
            "parent": self.parent.to_state(),
            "parent_version": self.parent_version,
            "retrain_id": self.retrain_id,
            "versions": list(self.versions),
            "predicted": self._predicted.to_state(),
            "rewarded": None if self._rewarded is None else self._rewarded.to_state(),
            "decisions": self._decisions,
            "apart": self._apart,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Probation:
        """Return the probation that ``to_state`` described."""
        rewarded = state["rewarded"]
        found = cls(
            parent=model_from_state(state["parent"]),
            parent_version=state["parent_version"],
            retrain_id=state["retrain_id"],
            predicted=PredictiveGate.from_state(state["predicted"]),
            rewarded=None if rewarded is None else RewardWatch.from_state(rewarded),
        )
        found.versions = list(state["versions"])
        found._decisions, found._apart = state["decisions"], state["apart"]
        return found


def proof_of_predictions(record: GateRecord, *, is_harm: bool) -> Proof:
    """Return what the comparison of two versions on the same runs has shown.

    ``is_harm``: the watch has ended with a rollback, whatever the interval says.
    """
    verdict = _verdict(record.n, record.gain_low, record.gain_high)
    return Proof(
        verdict="worse" if is_harm else verdict,
        measure=record.loss,
        before=record.champion_loss,
        after=record.challenger_loss,
        gain=record.gain,
        gain_low=record.gain_low,
        gain_high=record.gain_high,
        n_before=record.n,
        n=record.n,
    )


def _of_rewards(watch: RewardWatch) -> Proof:
    value, low, high = watch.difference()
    before, after = watch.means
    finite = not isinf(low)
    return Proof(
        verdict=_verdict(watch.n, low, high) if finite else "unknown",
        measure=_REWARD,
        before=before,
        after=after,
        gain=value if finite else None,
        gain_low=low if finite else None,
        gain_high=high if finite else None,
        n_before=watch.n_before,
        n=watch.n,
    )


def _verdict(
    n: int, low: float | None, high: float | None
) -> Literal["improved", "no_change", "worse", "unknown"]:
    if n < _FEWEST or low is None or high is None:
        return "unknown"
    return "improved" if low > 0 else "worse" if high < 0 else "no_change"

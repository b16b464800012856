"""One model: what serves, its challenger, and the gate between them.

The served model only accumulates. Every change of mind is a new version, made by a
retraining, and this is where it proves itself: the challenger predicts each affected
outcome before it learns from it, beside the champion as it stood when the challenger
was made, and the gate compares them. In an emergency the challenger serves meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from selfright.events.record import RetrainFinished, decode_act, encode_act
from selfright.learn.choice import Choice, ChoiceModel
from selfright.learn.features import features_of
from selfright.learn.hierarchy.thompson import draw
from selfright.learn.model import model_from_state
from selfright.learn.model_type import ModelType
from selfright.loop.canary import Canary, Drawn
from selfright.loop.decided import Decided, group_of
from selfright.loop.probation import Probation
from selfright.retrain.gate import PredictiveGate
from selfright.retrain.reward_watch import Earned

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from selfright.events.record import Decision, GateRecord
    from selfright.learn.features import Features
    from selfright.learn.feed import DecidedRun, Rewarded
    from selfright.learn.model import Model
    from selfright.learn.samples import Samples

# Least share of an agent in doubt while a challenger serves on trial, and of all such
# agents together: 4 % of a few thousand tasks a day decide the gate within hours.
PROBE: Final = 0.04
PROBES_IN_ALL: Final = 0.2
# Two versions differ about an agent if what they expect of it is this far apart; less is
# what the shrinkage moves when another agent changes.
_DOUBT: Final = 0.02

# Decisions that are the champion's, alone or mixed with a canary.
_OWN_MODES: Final = frozenset({"thompson", "canary"})


@dataclass(slots=True)
class Challenger:
    """A retrained version on trial.

    Attributes
    ----------
    pending
        The record that opened the trial.
    frozen
        The champion as it stood at the start: what the challenger is compared with.
    serves
        True in an emergency: the challenger serves while the gate watches.
    policy
        Of a model that chooses: what decisions tell of both; see ``canary``.
    since_us
        Change point of the affected agents: what the champion earned before it did so
        with agents that were other than they are now. None: not known, or manual.
    before
        Of a challenger that serves: what the champion had earned until then.
    """

    pending: RetrainFinished
    model: Model
    frozen: Model
    gate: PredictiveGate
    serves: bool
    opened_us: int
    policy: Canary | None = None
    since_us: int | None = None
    before: tuple[Earned, ...] = ()

    @property
    def canary(self) -> Canary | None:
        """The comparison by a share of the decisions, if it has come to that."""
        return self.policy if self.policy is not None and self.policy.share else None

    @property
    def version(self) -> int:
        """The version on trial."""
        assert self.pending.version is not None  # a pending record always has one
        return self.pending.version


def with_probes(probabilities: np.ndarray, doubted: np.ndarray) -> np.ndarray:
    """Return ``probabilities`` with a least share for each arm of the mask ``doubted``.

    >>> import numpy as np
    >>> with_probes(np.array([0.0, 1.0]), np.array([True, False])).tolist()
    [0.04, 0.96]
    """
    count = int(doubted.sum())
    if not count:
        return probabilities
    least = min(PROBE, PROBES_IN_ALL / count)
    raised = np.where(doubted, np.maximum(probabilities, least), probabilities)
    others = ~doubted
    room = 1.0 - raised[doubted].sum()
    if raised[others].sum() > 0.0 and room > 0.0:
        raised[others] *= room / raised[others].sum()
    total: np.ndarray = raised / raised.sum()
    return total


class ModelSlot:
    """Holds one model type: the champion, and at most one challenger."""

    def __init__(self, model: Model, version: int | None = None) -> None:
        self.champion = model
        self.version = version
        self.challenger: Challenger | None = None
        self.probation: Probation | None = None
        self.watched: tuple[str, ...] = ()  # agents that the probation is about; none: all
        self.decided = Decided()  # by the champion
        self.rolled_back: set[int] = set()

    @property
    def model_type(self) -> ModelType:
        """Which model this is."""
        return self.champion.model_type

    @property
    def served(self) -> Model:
        """The model that decides now."""
        trial = self.challenger
        return trial.model if trial is not None and trial.serves else self.champion

    @property
    def served_version(self) -> int | None:
        """The version that decides now; None before the first one was saved."""
        trial = self.challenger
        return trial.version if trial is not None and trial.serves else self.version

    def affected(self, samples: Samples) -> np.ndarray:
        """Return which samples the trial is judged by, bool[n]; none without a trial."""
        if self.challenger is None:
            return np.zeros(len(samples), dtype=np.bool_)
        return self._about(self.challenger.pending.agents, samples)

    def _about(self, agents: Collection[str], samples: Samples) -> np.ndarray:
        if not agents or self.model_type is ModelType.ROUTING:
            # Routes have no agents: every routed run tells.
            return samples.weight > 0
        # Parameter sets are grouped by agent; for the others the agent is the arm.
        by_group = self.model_type is ModelType.PARAMETER_OPTIMIZATION
        names = samples.group if by_group else samples.arm
        mine = set(agents)
        found: np.ndarray = np.array([name in mine for name in names], dtype=np.bool_)
        return found & (samples.weight > 0)

    def learn(self, samples: Samples) -> GateRecord | None:
        """Predict, compare, then learn; return the gate's record once it has decided.

        After a verdict the caller closes the trial with ``close``.
        """
        verdict: GateRecord | None = None
        trial = self.challenger
        if trial is not None and len(samples):
            verdict = self._compare(trial, samples)
            trial.model.update(samples)
        if self.probation is not None:
            told = self._about(self.watched, samples)
            self.probation.observe(samples, self.champion, told)
        self.champion.update(samples)
        return verdict

    def note(self, decision: Decision) -> None:
        """Hear of a decision, and expect a reward of it if the champion made it."""
        served = self.served is self.champion
        if decision.mode not in _OWN_MODES or not served:
            return  # a cascade weighs costs as well: its rewards are another policy's
        if decision.model_version != (self.version or 0):
            return
        if self.challenger is not None:
            self._weigh(decision, self.challenger)
        if decision.challenger_probabilities is None:
            self.decided.note(decision)
            if self.probation is not None:
                self.probation.note(decision, self.champion)

    def _weigh(self, decision: Decision, trial: Challenger) -> None:
        """Note how probable a decision was, and would have been under either policy."""
        policy, model, theirs = trial.policy, trial.model, decision.challenger_probabilities
        if policy is None or decision.arm not in decision.candidates:
            return
        at, logged = decision.candidates.index(decision.arm), decision.probability
        if theirs is None and not policy.share:
            # Not known when it was made, but before anybody could know what came of it.
            assert isinstance(model, ChoiceModel)
            about = decision.candidates, group_of(decision), features_of(decision.context)
            challenger = float(model.propensities(*about)[at])
            policy.note(decision.act_id, Drawn(logged, logged, challenger))
        elif theirs is not None and policy.share and decision.challenger_version == trial.version:
            own = (logged - policy.share * theirs[at]) / (1 - policy.share)
            policy.note(decision.act_id, Drawn(logged, min(1.0, max(0.0, own)), theirs[at]))

    def ran(self, run: DecidedRun) -> None:
        """Hear how a run went that a decision led to."""
        policy = None if self.challenger is None else self.challenger.policy
        if policy is not None:
            policy.ran(run.decision_id, run.duration_us, run.cost_nano_usd, is_error=run.is_error)

    def earn(self, rewarded: Rewarded) -> GateRecord | None:
        """Hear what came of a decision, whoever made it; return a canary's verdict."""
        earned = self.decided.earn(*rewarded)
        if earned is not None and self.probation is not None:
            self.probation.earn(earned)
        policy = None if self.challenger is None else self.challenger.policy
        return None if policy is None else policy.earn(rewarded.decision_id, rewarded.reward)

    def restart(self, arms: tuple[str, ...], nothing: Samples) -> None:
        """Set aside what is believed of ``arms``, in the champion and on trial alike."""
        if arms:
            self.champion = self.champion.restart(arms, nothing)
            if self.challenger is not None:
                self.challenger.model = self.challenger.model.restart(arms, nothing)
            if self.probation is not None:
                self.probation.parent = self.probation.parent.restart(arms, nothing)

    def forget(self, agent: str, nothing: Samples) -> None:
        """Set aside all that is believed of an agent, in the champion and on trial alike.

        Not of routes: what an agent earned on one cannot be told apart there.
        """
        if self.model_type is ModelType.ROUTING:
            return
        by_group = self.model_type is ModelType.PARAMETER_OPTIMIZATION
        arms, groups = ((), (agent,)) if by_group else ((agent,), ())
        self.champion = self.champion.restart(arms, nothing, groups)
        trial = self.challenger
        if trial is not None:
            trial.model = trial.model.restart(arms, nothing, groups)
            trial.frozen = trial.frozen.restart(arms, nothing, groups)
        if self.probation is not None:
            self.probation.parent = self.probation.parent.restart(arms, nothing, groups)

    def open(self, challenger: Challenger) -> None:
        """Start a trial. One at a time: the trigger and the control see to that."""
        assert self.challenger is None
        self.challenger = challenger

    def choose(
        self,
        names: Sequence[str],
        group: str | None,
        rng: np.random.Generator,
        features: Features | None = None,
    ) -> Choice:
        """Choose one of ``names``; the probabilities are those it was drawn from.

        While a version serves on trial or on probation, an agent it turned away from gets
        at least 4 % of the choices, if the one it replaced still thinks it the best: without
        them nobody would learn which of the two is right, nor that the agent has recovered.
        """
        model = self.served
        assert isinstance(model, ChoiceModel)  # the faces choose by models that choose
        probabilities = model.propensities(names, group, features)
        replaced = self._replaced
        if replaced is not None:
            groups, of = [group] * len(names), [features] * len(names)
            believed = model.mean_of(names, groups, of)
            before = replaced.mean_of(names, groups, of)
            doubted = (before > believed.max()) & (before - believed > _DOUBT)
            probabilities = with_probes(probabilities, doubted)
        trial = self.challenger
        canary = None if trial is None else trial.canary
        if trial is None or canary is None:
            return Choice(draw(probabilities, rng), probabilities)
        assert isinstance(trial.model, ChoiceModel)  # others never become canaries
        theirs = trial.model.propensities(names, group, features)
        mixed = (1 - canary.share) * probabilities + canary.share * theirs
        return Choice(draw(mixed, rng), mixed, theirs)

    @property
    def mode(self) -> str:
        """How decisions are made now, in one word: thompson, trial or canary."""
        trial = self.challenger
        if trial is None:
            return "thompson"
        return "trial" if trial.serves else "thompson" if trial.canary is None else "canary"

    @property
    def _replaced(self) -> Model | None:
        """The model that would serve, were the one that does not on trial or on probation."""
        trial, probation = self.challenger, self.probation
        if trial is not None and trial.serves:
            return trial.frozen
        return None if probation is None else probation.parent

    def expired(self, now_us: int) -> GateRecord | None:
        """Return the gate's record if the trial has lasted too long."""
        trial = self.challenger
        if trial is None:
            return None
        return trial.gate.expire(now_us) if trial.canary is None else trial.canary.expire(now_us)

    def close(self, *, promoted: bool) -> Challenger:
        """End the trial; the challenger becomes the champion if it was promoted."""
        trial = self.challenger
        assert trial is not None
        self.challenger = None
        if promoted:
            self._replace(trial.model, trial.version)
        return trial

    def adopt(self, model: Model, version: int) -> Challenger | None:
        """Let ``model`` serve because an operator said so; return a trial this ends."""
        ended, self.challenger = self.challenger, None
        self._replace(model, version)
        self.rolled_back.discard(version)  # whoever names it knows better
        return ended

    def renumber(self, version: int) -> None:
        """Give the champion, which learns on, the number of what was saved of it."""
        if self.probation is not None and self.version is not None:
            self.probation.versions.append(self.version)
        self.version = version

    def roll_back(self) -> Probation:
        """Let the parent of the version on probation serve again; end the probation."""
        ended, version = self.probation, self.version
        assert ended is not None
        self.rolled_back.update(ended.versions)
        if version is not None:
            self.rolled_back.add(version)
        self._replace(ended.parent, ended.parent_version)
        return ended

    def _replace(self, model: Model, version: int | None) -> None:
        self.champion, self.version = model, version
        self.probation, self.watched = None, ()
        self.decided = Decided()

    def to_state(self) -> dict[str, Any]:
        """Return the champion, the trial and what serves as plain values and arrays."""
        trial = self.challenger
        return {
            "version": self.version,
            "champion": self.champion.to_state(),
            "probation": None if self.probation is None else self.probation.to_state(),
            "watched": list(self.watched),
            "decided": self.decided.to_state(),
            "rolled_back": sorted(self.rolled_back),
            "trial": None
            if trial is None
            else {
                "pending": encode_act(trial.pending),
                "model": trial.model.to_state(),
                "frozen": trial.frozen.to_state(),
                "gate": trial.gate.to_state(),
                "serves": trial.serves,
                "opened_us": trial.opened_us,
                "policy": None if trial.policy is None else trial.policy.to_state(),
                "since_us": trial.since_us,
                "before": [list(earned) for earned in trial.before],
            },
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> ModelSlot:
        """Return the slot that ``to_state`` described."""
        slot = cls(model_from_state(state["champion"]), state["version"])
        if state["probation"] is not None:
            slot.probation = Probation.from_state(state["probation"])
        slot.watched = tuple(state["watched"])
        slot.decided = Decided.from_state(state["decided"])
        slot.rolled_back = set(state["rolled_back"])
        trial = state["trial"]
        if trial is not None:
            pending = decode_act(trial["pending"])
            if not isinstance(pending, RetrainFinished):
                raise TypeError("a trial without the record that opened it")
            slot.challenger = Challenger(
                pending=pending,
                model=model_from_state(trial["model"]),
                frozen=model_from_state(trial["frozen"]),
                gate=PredictiveGate.from_state(trial["gate"]),
                serves=trial["serves"],
                opened_us=trial["opened_us"],
                policy=None if trial["policy"] is None else Canary.from_state(trial["policy"]),
                since_us=trial["since_us"],
                before=tuple(Earned(*earned) for earned in trial["before"]),
            )
        return slot

    def _compare(self, trial: Challenger, samples: Samples) -> GateRecord | None:
        told = np.flatnonzero(self.affected(samples))
        if not told.size:
            return None
        index = told.tolist()
        arms, groups = [samples.arm[i] for i in index], [samples.group[i] for i in index]
        of = None if samples.features is None else [samples.features[i] for i in index]
        believed = trial.frozen.mean_of(arms, groups, of)
        believed_now = trial.model.mean_of(arms, groups, of)
        for i, champion, challenger in zip(index, believed, believed_now, strict=True):
            record = trial.gate.update(float(samples.y[i]), float(champion), float(challenger))
            if record is not None:
                return record
        return None

"""Chooses by the models that serve, and has each decision written down."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import numpy as np

from selfright.errors import ConfigError
from selfright.events.record import Decision as DecisionRecord
from selfright.learn.cascade import choose
from selfright.learn.features import features_of
from selfright.learn.model_type import ModelType
from selfright.loop.chances import chances_of
from selfright.online_learning.arms import CHOOSING, arms_of, group_of
from selfright.online_learning.decision import Cascade, Decision
from selfright.online_learning.names import one_of_five

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from selfright.config import Settings
    from selfright.loop.control import Circle
    from selfright.online_learning.membership import Membership


class Choosing:
    """Draws choices from the models of a circle. Safe to use from any thread."""

    def __init__(self, member: Membership) -> None:
        self._member = member
        # Drawn from under the circle's lock only.
        self._rng = np.random.default_rng(member.settings.learn.seed)

    def select(
        self,
        model_type: ModelType | str,
        arms: Sequence[Any] | None,
        task_type: str | None,
        context: dict[str, Any] | None,
    ) -> Decision:
        """Choose one of ``arms``; the decision is recorded with its probability.

        Raises ``ConfigError`` for a model that chooses nothing, or nobody to choose from.
        """
        model_type = one_of_five(model_type)
        if model_type not in CHOOSING:
            raise ConfigError("model_type", model_type.value, "predicts; it chooses nothing")
        circle = self._member.circle
        self._member.settle()
        with circle.lock:
            slot = circle.fold.rooms.slots[model_type]
            names = arms_of(circle.fold, model_type, arms, slot.served)
            group = group_of(model_type, task_type, context)
            choice = slot.choose(names, group, self._rng, features_of(context))
            version = slot.served_version or 0
            mode = slot.mode
            trial = slot.challenger
        probabilities = dict(zip(names, choice.probabilities.tolist(), strict=True))
        arm = names[choice.index]
        decision = Decision(uuid.uuid4().hex, arm, probabilities[arm], probabilities, version, mode)
        challenger = None
        if trial is not None and choice.challenger is not None:
            challenger = trial.version, choice.challenger.tolist()
        _record(circle, model_type, decision, task_type, context, challenger)
        return decision

    def cascade(
        self,
        task_type: str | None,
        context: dict[str, Any] | None,
        candidates: Sequence[str] | None,
        *,
        success_value_usd: float | None,
        max_agents: int,
        costs_usd: Mapping[str, float] | None,
    ) -> Cascade:
        """Choose agents to try in turn; the decision on the first is recorded.

        Raises ``ConfigError`` for nobody to choose from, or a number out of range.
        """
        value_usd = _success_value_usd(self._member.settings, success_value_usd)
        if max_agents < 1:
            raise ConfigError("max_agents", max_agents, "must be at least 1")
        circle = self._member.circle
        self._member.settle()
        with circle.lock:
            slot = circle.fold.rooms.slots[ModelType.AGENT_SELECTION]
            names = arms_of(circle.fold, ModelType.AGENT_SELECTION, candidates, slot.served)
            believed = chances_of(circle, names, task_type, costs_usd or {})
            chain = choose(believed, value_usd, max_agents, slot.served.settings.floor, self._rng)
            version = slot.served_version or 0
        first = names[chain.members[0]]
        probabilities = dict(zip(names, chain.probabilities.tolist(), strict=True))
        decision = Decision(
            uuid.uuid4().hex, first, probabilities[first], probabilities, version, "cascade"
        )
        _record(circle, ModelType.AGENT_SELECTION, decision, task_type, context)
        members = tuple(names[i] for i in chain.members)
        return Cascade(decision, members, task_type, chain.success, chain.cost_usd)


def _record(
    circle: Circle,
    model_type: ModelType,
    decision: Decision,
    task_type: str | None,
    context: dict[str, Any] | None,
    challenger: tuple[int, list[float]] | None = None,
) -> None:
    """Have a decision written down; of a canary's with its version and probabilities."""
    version, theirs = challenger or (None, None)
    circle.inbox.put(
        DecisionRecord(
            act_id=decision.decision_id,
            ts_us=circle.clock.now_us(),
            model_type=model_type.value,
            arm=decision.arm,
            probability=decision.probability,
            candidates=list(decision.probabilities),
            probabilities=list(decision.probabilities.values()),
            model_version=decision.model_version,
            mode=decision.mode,
            task_type=task_type,
            context=context,
            challenger_version=version,
            challenger_probabilities=theirs,
        )
    )


def _success_value_usd(settings: Settings, given: float | None) -> float:
    learn = settings.learn
    usual = learn.w_success / learn.w_cost if learn.w_cost > 0 else 1.0
    value_usd = usual if given is None else given
    if not 0 < value_usd < float("inf"):
        raise ConfigError("success_value_usd", value_usd, "must be a finite number above 0")
    return value_usd

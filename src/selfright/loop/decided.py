"""What came of a model's own decisions: those that wait for a reward, and the newest rewards.

Only these tell how good the policy that serves is: of runs that nobody asked the model for
it decided nothing.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Final

from selfright.learn.model_type import ModelType
from selfright.retrain.reward_watch import Earned

if TYPE_CHECKING:
    from selfright.events.record import Decision, RetrainRequested

# Decisions that wait for a reward; of older ones none is expected any more.
_WAITING: Final = 10_000
# Rewards before a promotion that those after it are compared with: twice as many would find
# hardly more harm, half of it misses twice as much.
_KEPT: Final = 2_000


def group_of(decision: Decision) -> str | None:
    """Return within what a decision was made: its task type, or whose parameters they are."""
    if decision.model_type != ModelType.PARAMETER_OPTIMIZATION.value:
        return decision.task_type
    name = (decision.context or {}).get("agent_name")
    return name if isinstance(name, str) else None


def comparable_since(request: RetrainRequested) -> int | None:
    """Return from when on what the champion earned is comparable; None: all of it.

    An agent that fell earned more before, which no version can get back. Where nobody
    knows when it fell, only what came after the request is known to be comparable.
    """
    if not request.automatic:
        return None
    return max(request.since_us.values(), default=request.ts_us)


class Decided:
    """The decisions of one policy, from its adoption on."""

    def __init__(self) -> None:
        # Group and arm by the decision's id; times and rewards of what came.
        self._waiting: OrderedDict[str, tuple[str | None, str]] = OrderedDict()
        self._earned: deque[tuple[int, Earned]] = deque(maxlen=_KEPT)

    def __len__(self) -> int:
        return len(self._earned)

    def note(self, decision: Decision) -> None:
        """Expect a reward of a decision of this policy."""
        self._waiting[decision.act_id] = group_of(decision), decision.arm
        if len(self._waiting) > _WAITING:
            self._waiting.popitem(last=False)

    def earn(self, decision_id: str, reward: float, ts_us: int) -> Earned | None:
        """Keep the reward of a decision; None if it is not this policy's, or came before."""
        if decision_id not in self._waiting:
            return None
        earned = Earned(*self._waiting.pop(decision_id), reward)
        self._earned.append((ts_us, earned))
        return earned

    def since(self, ts_us: int | None) -> list[Earned]:
        """Return what was earned after ``ts_us``, or all that is kept, oldest first."""
        return [earned for at_us, earned in self._earned if ts_us is None or at_us > ts_us]

    def to_state(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return {
            "waiting": [[name, *about] for name, about in self._waiting.items()],
            "earned": [[at_us, *earned] for at_us, earned in self._earned],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Decided:
        """Return what ``to_state`` described."""
        decided = cls()
        decided._waiting.update((name, (group, arm)) for name, group, arm in state["waiting"])
        decided._earned.extend((at_us, Earned(*earned)) for at_us, *earned in state["earned"])
        return decided

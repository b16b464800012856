"""What the trigger asks of the evidence that stands."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, Protocol

from selfright.detect.certainty.episode import ENOUGH
from selfright.detect.detection import RETRAINING, SYSTEM, Detection, WatchedMetric

_WORTH_IT: Final = frozenset(RETRAINING)


class Standing(Protocol):
    """Where the evidence stands; a ``FleetWatch`` is one."""

    @property
    def standing_scopes(self) -> Collection[int]:
        """Scopes about which something stands at this moment."""
        ...

    def standing(self, scope: int) -> tuple[Detection, ...]:
        """Return what stands about ``scope``, with its figures."""
        ...

    def standing_metrics(self, scope: int) -> Collection[WatchedMetric]:
        """Return which metrics stand about ``scope``; cheap."""
        ...

    def seen(self, scope: int, metric: WatchedMetric) -> int:
        """Return how many outcomes of ``metric`` came ever."""
        ...

    def window(self, scope: int, metric: WatchedMetric) -> tuple[int, float]:
        """Return count and mean of the window."""
        ...


def asks(evidence: Standing, scope: int) -> bool:
    """Tell whether something stands that is worth a retraining."""
    return not _WORTH_IT.isdisjoint(evidence.standing_metrics(scope))


def rates_of(evidence: Standing, scope: int) -> list[Detection]:
    """Return what stands about the rates that are worth a retraining."""
    return [found for found in evidence.standing(scope) if found.metric in RETRAINING]


def new_outcomes(evidence: Standing, scope: int, before: Mapping[int, int]) -> int:
    """Return the new outcomes of that standing metric which got most of them."""
    most = 0
    for metric in evidence.standing_metrics(scope):
        most = max(most, evidence.seen(scope, metric) - before.get(metric, 0))
    return most


def is_explained(
    evidence: Standing, agents: Collection[int], certain: Mapping[int, Mapping[str, Any]]
) -> bool:
    """Tell whether the fleet without these agents is within its thresholds.

    So it is, too, if what is left has too few outcomes to say anything. ``certain`` is what
    is certain about the fleet by metric, beside what stands.
    """
    judged = {
        WatchedMetric(metric): (found["threshold"], found["value"], ENOUGH)
        for metric, found in certain.items()
    }
    for one in rates_of(evidence, SYSTEM):
        judged[one.metric] = one.threshold, one.value, int(one.inputs["min_n"] or 1)
    for metric, (threshold, value, min_n) in judged.items():
        n, mean = evidence.window(SYSTEM, metric)
        total = n * mean
        for scope in agents:
            agent_n, agent_mean = evidence.window(scope, metric)
            n, total = n - agent_n, total - agent_n * agent_mean
        if n >= min_n and (total / n < threshold) == (value < threshold):
            return False
    return bool(agents)


def seen_of(evidence: Standing, scope: int) -> dict[int, int]:
    """Return how many outcomes of each such rate came ever."""
    return {int(metric): evidence.seen(scope, metric) for metric in RETRAINING}

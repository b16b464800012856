"""How a model is retrained: gather evidence, refit, save, report.

Incremental: what is believed of the affected agents is set aside and learnt anew from
their newest outcomes; the rest of the champion stays. Full: everything is forgotten and
learnt from the newest runs in the log. Either way the result is a new version in the
registry, which the gate has yet to let serve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from selfright.clock import monotonic_s
from selfright.events.absent import without_deleted
from selfright.events.record import GateRecord, RetrainFinished
from selfright.learn.feed import Feed, RewardPolicy
from selfright.learn.model_type import ModelType
from selfright.learn.samples import Samples

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from selfright.clock import Clock
    from selfright.events.record import RetrainRequested
    from selfright.learn.model import Model
    from selfright.log.protocol import EventLog
    from selfright.retrain.registry import ModelRegistry

    Progress = Callable[[float], None]

# Rows read at first per sample wanted: a run, its outcome and now and then a decision.
_ROWS_PER_SAMPLE: Final = 3
# Agents whose beliefs a record lists; a fleet of thousands must not make a record of MB.
_LISTED: Final = 20


@dataclass(frozen=True, slots=True)
class JobPolicy:
    """How much a retraining learns from."""

    reward: RewardPolicy
    incremental_outcomes: int = 100
    full_outcomes: int = 10_000


class Job:
    """Makes challengers. Stateless between runs; one runs at a time per model type."""

    def __init__(self, registry: ModelRegistry, policy: JobPolicy) -> None:
        self.registry = registry
        self.policy = policy

    def run(
        self,
        request: RetrainRequested,
        champion: Model,
        parent_version: int | None,
        recent: Samples | None,
        log: EventLog,
        clock: Clock,
        progress: Progress | None = None,
        *,
        deleted: Mapping[str, int] | None = None,
    ) -> RetrainFinished:
        """Make, save and report a challenger; a failure is a result too.

        Parameters
        ----------
        champion
            A copy that nobody else updates.
        recent
            The newest samples of the affected agents; None where the log has to be read.
        progress
            Is told the share that is done, 0..1.
        deleted
            Agents that were deleted, and when: nothing is learnt of what was before.
        """
        started_s = monotonic_s()
        tell = progress or _nobody
        try:
            samples = self._gather(request, champion.model_type, recent, log, tell, deleted or {})
            if not len(samples):
                return self._failed(request, clock, started_s, "no outcomes to learn from yet")
            challenger = _refit(request, champion, samples)
            tell(0.8)
            version = self.registry.save(
                request.model_type,
                challenger.to_state(),
                parent=parent_version,
                meta={
                    "retrain_id": request.act_id,
                    "retrain_type": request.mode,
                    "reason": request.reason,
                    "samples": len(samples),
                    "agents": request.agents,
                    "offsets": [log.first_offset, log.next_offset],
                },
            )
            tell(1.0)
        except Exception as error:  # noqa: BLE001 - whatever stops an attempt is its result
            return self._failed(request, clock, started_s, f"{type(error).__name__}: {error}")
        listed = sorted(set(request.agents) or set(samples.arm))[:_LISTED]
        return RetrainFinished(
            act_id=f"{request.act_id}:pending",
            ts_us=clock.now_us(),
            retrain_id=request.act_id,
            model_type=request.model_type,
            retrain_type=request.mode,
            state="pending",
            reason=request.reason,
            automatic=request.automatic,
            agents=request.agents,
            events_processed=len(samples),
            agents_tracked=len(set(samples.arm)),
            duration_ms=(monotonic_s() - started_s) * 1e3,
            version=version,
            parent_version=parent_version,
            gate=GateRecord(verdict="pending"),
            before=_beliefs(champion, listed, samples),
            after=_beliefs(challenger, listed, samples),
        )

    def _gather(
        self,
        request: RetrainRequested,
        model_type: ModelType,
        recent: Samples | None,
        log: EventLog,
        tell: Progress,
        deleted: Mapping[str, int],
    ) -> Samples:
        if recent is not None:
            return _trusted(recent, request.since_us)
        policy = self.policy
        samples = read_samples(log, policy.reward, model_type, policy.full_outcomes, tell, deleted)
        samples = _trusted(samples, request.since_us)
        if request.mode == "full":
            return samples
        return _newest_per_agent(samples, request.agents, self.policy.incremental_outcomes)

    def _failed(
        self, request: RetrainRequested, clock: Clock, started_s: float, error: str
    ) -> RetrainFinished:
        return RetrainFinished(
            act_id=f"{request.act_id}:failed",
            ts_us=clock.now_us(),
            retrain_id=request.act_id,
            model_type=request.model_type,
            retrain_type=request.mode,
            state="failed",
            reason=request.reason,
            automatic=request.automatic,
            agents=request.agents,
            duration_ms=(monotonic_s() - started_s) * 1e3,
            error=error,
        )


def read_samples(
    log: EventLog,
    reward: RewardPolicy,
    model_type: ModelType,
    limit: int,
    tell: Progress | None = None,
    deleted: Mapping[str, int] | None = None,
) -> Samples:
    """Return the newest ``limit`` samples of the log as ``model_type`` sees them; 0: all.

    Reads back as far as needed and no further; 1 million runs take some seconds.
    """
    end, rows = log.next_offset, limit * _ROWS_PER_SAMPLE or log.next_offset
    while True:
        start = max(log.first_offset, end - rows)
        fed = _fed(log, reward, model_type, start, end, tell or _nobody, deleted or {})
        samples = _without_retractions(fed)
        if start <= log.first_offset or len(samples) >= limit:
            return samples.take(slice(max(0, len(samples) - limit) if limit else 0, None))
        rows *= 2


def _fed(
    log: EventLog,
    reward: RewardPolicy,
    model_type: ModelType,
    start: int,
    end: int,
    tell: Progress,
    deleted: Mapping[str, int],
) -> Samples:
    feed = Feed(reward)
    parts: list[Samples] = []
    at = start
    while at < end:
        commits = log.read(at)
        if not commits:
            break
        for commit in commits:
            fed = feed.take(without_deleted(commit, deleted))
            # What statuses taught is set aside where it was taught: in the rewards.
            if fed.restarted and model_type is ModelType.AGENT_SELECTION:
                dropped = set(fed.restarted)
                parts = [_without(part, dropped) for part in parts]
            parts.append(fed.samples[model_type])
            at = commit.next_offset
        tell(0.7 * (at - start) / max(1, end - start))
    return Samples.concat(parts)


def _without(samples: Samples, arms: set[str]) -> Samples:
    if arms.isdisjoint(samples.arm):
        return samples
    return samples.take(np.array([arm not in arms for arm in samples.arm], dtype=np.bool_))


def _without_retractions(samples: Samples) -> Samples:
    """Cancel each taken back sample against the one it takes back.

    Where that one lies before what was read, there is nothing to take back.
    """
    negative = np.flatnonzero(samples.weight < 0).tolist()
    if not negative:
        return samples
    kept = samples.weight > 0
    wanted: dict[tuple[Any, ...], int] = {}
    for i in negative:
        key = _key(samples, i)
        wanted[key] = wanted.get(key, 0) + 1
    for i in np.flatnonzero(kept).tolist():
        key = _key(samples, i)
        if wanted.get(key):
            wanted[key] -= 1
            kept[i] = False
    return samples.take(kept)


def _key(samples: Samples, i: int) -> tuple[Any, ...]:
    return samples.arm[i], samples.group[i], float(samples.y[i]), int(samples.ts_us[i])


def _trusted(samples: Samples, since_us: Mapping[str, int]) -> Samples:
    """Return the samples without those from before the change point of their agent."""
    if not since_us:
        return samples
    since = np.array([since_us.get(arm, -1) for arm in samples.arm], dtype=np.int64)
    return samples.take(samples.ts_us > since)


def _newest_per_agent(samples: Samples, agents: Sequence[str], limit: int) -> Samples:
    wanted = set(agents) or set(samples.arm[-limit:])
    left = dict.fromkeys(wanted, limit)
    kept = np.zeros(len(samples), dtype=np.bool_)
    for i in range(len(samples) - 1, -1, -1):
        arm = samples.arm[i]
        if left.get(arm):
            left[arm] -= 1
            kept[i] = True
    return samples.take(kept)


def _refit(request: RetrainRequested, champion: Model, samples: Samples) -> Model:
    if request.mode == "full":
        return champion.fit(samples, champion.settings, champion.strategy)
    if champion.model_type is ModelType.PARAMETER_OPTIMIZATION:
        # Parameter sets are shared; what is stale is what is believed of them for an agent.
        return champion.restart((), samples, sorted({str(group) for group in samples.group}))
    return champion.restart(sorted(set(samples.arm)), samples)


def _beliefs(model: Model, arms: Sequence[str], samples: Samples) -> dict[str, Any]:
    """Return what ``model`` expects of each arm, beside what was seen in ``samples``."""
    believed = model.mean_of(list(arms), [None] * len(arms))
    seen: dict[str, list[float]] = {arm: [] for arm in arms}
    for arm, y in zip(samples.arm, samples.y.tolist(), strict=True):
        if arm in seen:
            seen[arm].append(y)
    return {
        arm: {
            "expected": round(float(value), 6),
            "seen": round(float(np.mean(seen[arm])), 6) if seen[arm] else None,
            "n": len(seen[arm]),
        }
        for arm, value in zip(arms, believed, strict=True)
    }


def _nobody(_share: float) -> None:
    """Tell nobody."""

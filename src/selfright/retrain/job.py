"""How a model is retrained: gather evidence, refit, save, report.

Incremental: what is believed of the affected agents is set aside and learnt anew from
their newest outcomes; the rest of the champion stays. Full: everything is forgotten and
learnt from the newest runs in the log, or from all of it; with ``bayesian`` in parts
(``segments``), which may be worked on at once and survive a crash. Either way the result is
a new version in the registry, which the gate has yet to let serve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from selfright.clock import monotonic_s
from selfright.engines.in_process import InProcess
from selfright.engines.processes import LocalProcesses
from selfright.errors import SelfrightError
from selfright.events.record import GateRecord, RetrainFinished
from selfright.learn.feed import RewardPolicy
from selfright.learn.model_type import ModelType
from selfright.learn.strategy import UpdateStrategy
from selfright.retrain.gather import newest_per_agent, read_samples, trusted
from selfright.retrain.segments import SEGMENT_ROWS, Segments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from selfright.clock import Clock
    from selfright.engines.task import Engine
    from selfright.events.record import RetrainRequested
    from selfright.learn.model import Model
    from selfright.learn.samples import Samples
    from selfright.log.protocol import EventLog
    from selfright.retrain.registry import ModelRegistry

    Progress = Callable[[float], None]

# Agents whose beliefs a record lists; a fleet of thousands must not make a record of MB.
_LISTED: Final = 20


# A retraining that ends its process each time must not keep it from running for ever.
_ATTEMPTS: Final = 3
# Outcomes that an incremental retraining looks through where a full one reads all.
_LOOKED_THROUGH: Final = 10_000


class RetrainCancelled(SelfrightError):  # noqa: N818 - nothing went wrong
    """Raised by a progress function: somebody wants the retraining to end."""


@dataclass(frozen=True, slots=True)
class JobPolicy:
    """How much a retraining learns from, and how it is worked on.

    Parameters
    ----------
    full_outcomes
        Newest samples a full retraining learns from; 0: all in the log.
    processes
        Processes of this machine that condense a log on disk at once.
    segment_rows
        Rows of the log that are condensed together.
    """

    reward: RewardPolicy
    incremental_outcomes: int = 100
    full_outcomes: int = 10_000
    processes: int = 1
    segment_rows: int = SEGMENT_ROWS


class Job:
    """Makes challengers. One runs at a time.

    Parameters
    ----------
    engine
        Works on the parts of full retrainings; by default as the policy says.
    """

    def __init__(
        self, registry: ModelRegistry, policy: JobPolicy, engine: Engine | None = None
    ) -> None:
        self.registry = registry
        self.policy = policy
        self.engine: Engine = engine or (
            LocalProcesses(policy.processes) if policy.processes > 1 else InProcess()
        )
        self.spool = registry.spool()

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
            tell(0.0)
            samples = self._gather(request, champion, recent, log, tell, deleted or {})
            if not len(samples):
                return self._failed(request, clock, started_s, "no outcomes to learn from yet")
            challenger = _refit(request, champion, samples)
            tell(0.8)
            version = self._saved(request, champion, parent_version)
            if version is None:
                meta = {
                    "retrain_id": request.act_id,
                    "retrain_type": request.mode,
                    "reason": request.reason,
                    "samples": len(samples),
                    "agents": request.agents,
                    "offsets": [log.first_offset, log.next_offset],
                }
                version = self.registry.save(
                    request.model_type, challenger.to_state(), parent=parent_version, meta=meta
                )
            tell(1.0)
        except RetrainCancelled as stop:
            return self._failed(request, clock, started_s, str(stop), state="aborted")
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

    def forget(self, request_id: str) -> None:
        """Remove what is kept of a retraining, once its result stands in the log."""
        self.spool.discard(request_id)

    def _gather(
        self,
        request: RetrainRequested,
        champion: Model,
        recent: Samples | None,
        log: EventLog,
        tell: Progress,
        deleted: Mapping[str, int],
    ) -> Samples:
        if recent is not None:
            return trusted(recent, request.since_us)
        policy, model_type = self.policy, champion.model_type
        full = request.mode == "full"
        if full:
            segments = Segments(
                log,
                self.engine,
                model_type=model_type,
                reward=policy.reward,
                limit=policy.full_outcomes,
                deleted=deleted,
                rows=policy.segment_rows,
            )
            kept = segments.begin(self.spool, request.act_id)
            if kept.attempts > _ATTEMPTS:
                raise SelfrightError(f"the process ended during each of {_ATTEMPTS} attempts")
            if champion.strategy is UpdateStrategy.BAYESIAN:
                return segments.samples(kept, tell).trusted(request.since_us).samples()
            # In all other strategies the order counts.
        limit = policy.full_outcomes or (0 if full else _LOOKED_THROUGH)
        samples = read_samples(log, policy.reward, model_type, limit, tell, deleted)
        samples = trusted(samples, request.since_us)
        if full:
            return samples
        return newest_per_agent(samples, request.agents, policy.incremental_outcomes)

    def _saved(self, request: RetrainRequested, champion: Model, parent: int | None) -> int | None:
        """Return the version that an interrupted attempt has saved already.

        It learnt from the very same samples: the plan of the first attempt holds.
        """
        if request.mode != "full" or champion.strategy is not UpdateStrategy.BAYESIAN:
            return None
        for version in self.registry.versions(request.model_type):
            same = version.retrain_id == request.act_id and version.parent == parent
            if same and version.state in {"challenger", "archived"}:
                return version.version
        return None

    def _failed(
        self,
        request: RetrainRequested,
        clock: Clock,
        started_s: float,
        error: str,
        *,
        state: Literal["failed", "aborted"] = "failed",
    ) -> RetrainFinished:
        return RetrainFinished(
            act_id=f"{request.act_id}:{state}",
            ts_us=clock.now_us(),
            retrain_id=request.act_id,
            model_type=request.model_type,
            retrain_type=request.mode,
            state=state,
            cancelled=state == "aborted",
            reason=request.reason,
            automatic=request.automatic,
            agents=request.agents,
            duration_ms=(monotonic_s() - started_s) * 1e3,
            error=error,
        )


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

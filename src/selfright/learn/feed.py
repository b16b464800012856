"""From what happened to what the models learn: runs and outcomes to samples.

A run's *reward* is its real outcome where one is known, else its status. Which of the
two holds is decided per agent: from its first real outcome on, an agent is judged by
outcomes, and a run that merely says of itself that it succeeded teaches nothing more.
A failed or timed-out run is an outcome in itself (0) until a better one arrives for it.
The selection then sets aside what statuses taught; routes and parameter sets, where it can
no longer be told apart, keep it. Either way a failure counts once.

Cost and latency enter the reward by the weights of ``RewardPolicy``; the result is scaled
to 0..1 by declared bounds. What lies beyond a bound is counted in ``beyond_bounds``.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from selfright.events.batch import NANO_PER_USD, Q32, RUN_FIELD, US_PER_MS
from selfright.events.status import DECIDED, ERRORS, RunStatus
from selfright.learn.features import features_of
from selfright.learn.model_type import ModelType
from selfright.learn.recent import Recent, RewardRows
from selfright.learn.samples import Samples

if TYPE_CHECKING:
    from collections.abc import Iterable

    from selfright.events.batch import Commit, Ints, OutcomeBatch, RunBatch

# What a status alone is worth; those that are not here say nothing about the agent.
STATUS_SCORE: Final = {"success": 1.0, "partial": 0.5, "failure": 0.0, "timeout": 0.0}
_STATUS_SCORE: Final = np.array([STATUS_SCORE.get(status.word, np.nan) for status in RunStatus])
_IS_ERROR: Final = np.array([status in ERRORS for status in RunStatus])
_IS_DECIDED: Final = np.array([status in DECIDED for status in RunStatus])
# Failed runs per agent remembered until a real outcome replaces their 0.
WAITING_PER_AGENT: Final = 256
# Below a tenth of a microsecond nothing is measured; keeps the logarithm finite.
SHORTEST_MS: Final = 1e-3

_RUN_ID, _STATUS = RUN_FIELD["run_id"], RUN_FIELD["status"]
_TYPE, _ROUTE, _CONFIG = RUN_FIELD["task_type"], RUN_FIELD["route"], RUN_FIELD["config"]
_CONTEXT = RUN_FIELD["context"]
_COST, _DURATION = RUN_FIELD["cost_nano_usd"], RUN_FIELD["duration_us"]
_QUALITY, _DECISION = RUN_FIELD["quality_q32"], RUN_FIELD["decision_id"]


@dataclass(frozen=True, slots=True)
class RewardPolicy:
    """What a run is worth: ``w_success * score - w_cost * usd - w_latency * s``, scaled.

    The bounds are declared, never learnt, so that a reward means the same for ever.
    """

    w_success: float = 1.0
    w_cost: float = 0.0
    w_latency: float = 0.0
    cost_bound_usd: float = 1.0
    latency_bound_s: float = 60.0

    def rewards(
        self, score: np.ndarray, cost_nano_usd: np.ndarray, duration_us: np.ndarray
    ) -> np.ndarray:
        """Return the rewards, float64[n]; outside 0..1 where a bound was exceeded.

        An unreported cost or duration (-1) costs nothing.
        """
        if self.w_cost == 0.0 and self.w_latency == 0.0:
            return score
        lost = (
            self.w_cost * np.maximum(cost_nano_usd, 0) / NANO_PER_USD
            + self.w_latency * np.maximum(duration_us, 0) / 1e6
        )
        most_lost = self.w_cost * self.cost_bound_usd + self.w_latency * self.latency_bound_s
        scaled: np.ndarray = (self.w_success * score - lost + most_lost) / (
            self.w_success + most_lost
        )
        return scaled


class Rewarded(NamedTuple):
    """What came of a decision: a reward in 0..1, and when."""

    decision_id: str
    reward: float
    ts_us: int


class DecidedRun(NamedTuple):
    """How a run went that a decision led to; duration and cost are -1 where not reported."""

    decision_id: str
    is_error: bool
    duration_us: int
    cost_nano_usd: int


@dataclass(frozen=True, slots=True)
class Fed:
    """What a commit teaches.

    ``restarted`` are agents that became judged by outcomes: what their statuses taught the
    selection is set aside before ``samples`` are learnt. ``rewarded`` are the rewards of runs
    that name the decision that led to them.
    """

    samples: dict[ModelType, Samples]
    restarted: tuple[str, ...]
    rewarded: tuple[Rewarded, ...] = ()


class Feed:
    """Turns commits into samples; remembers each agent's newest ones.

    The newest samples per agent are what an incremental retraining learns from, so that
    it needs no read of the log. The samples are a function of the set of events, not of
    their batching.
    """

    def __init__(self, policy: RewardPolicy, *, recent: int = 100) -> None:
        self.policy = policy
        self.recent = Recent(recent)
        self.beyond_bounds = 0
        self._labelled: set[str] = set()
        # Per agent the failed runs that count as 0 and have no real outcome yet.
        self._waiting: dict[str, OrderedDict[str, tuple[Any, ...]]] = {}

    def take(self, commit: Commit) -> Fed:
        """Return what a commit teaches, and remember what later commits depend on."""
        rows, told = RewardRows(), RewardRows()
        self._take_runs(commit.retracted_runs, -1.0, rows)
        self._take_runs(commit.runs, 1.0, rows)
        restarted, others = self._newly_labelled(commit.outcomes), None
        if restarted:
            # What keeps what statuses taught has these failures already, from here or before.
            others = rows.without(restarted, but_failures=True)
            rows = rows.without(restarted)
            self._count_failures(restarted, rows)
        self._take_outcomes(commit.retracted_outcomes, -1.0, told)
        self._take_outcomes(commit.outcomes, 1.0, told)
        rows.extend(told)
        self.beyond_bounds += rows.bounded()
        if others is not None:
            others.extend(told)
            others.bounded()
        self.recent.add(rows)
        samples = rows.samples(others)
        samples[ModelType.QUALITY_PREDICTION] = _quality(commit)
        samples[ModelType.LATENCY_PREDICTION] = _latency(commit)
        return Fed(samples, restarted, _rewarded(rows))

    def forget(self, agent: str) -> None:
        """Drop what is remembered of an agent, as if it had never been seen."""
        self.recent.forget(agent)
        self._labelled.discard(agent)
        self._waiting.pop(agent, None)

    def _take_runs(self, runs: RunBatch, weight: float, rows: RewardRows) -> None:
        if not len(runs):
            return
        labelled = np.array([name in self._labelled for name in runs.agent_name])
        failed = _IS_ERROR[runs.status]
        kept = np.flatnonzero(_IS_DECIDED[runs.status] & (~labelled | failed))
        if not kept.size:
            return
        if failed.any():
            kept = self._remember_failures(runs, failed, labelled, kept, weight)
        score = _STATUS_SCORE[runs.status[kept]]
        reward = self.policy.rewards(score, runs.cost_nano_usd[kept], runs.duration_us[kept])
        listed = kept.tolist()
        more = RewardRows(
            agent=[runs.agent_name[i] for i in listed],
            group=[runs.task_type[i] for i in listed],
            route=[runs.route[i] for i in listed],
            config=[config_key(runs.config[i]) for i in listed],
            reward=reward.tolist(),
            ts_us=runs.ts_us[kept].tolist(),
            features=[features_of(runs.context[i]) for i in listed],
            decision=[runs.decision_id[i] for i in listed],
            failed=failed[kept].tolist(),
        )
        rows.add(more, weight)

    def _remember_failures(
        self, runs: RunBatch, failed: np.ndarray, labelled: np.ndarray, kept: Ints, weight: float
    ) -> Ints:
        """Note failed runs; return ``kept`` without retractions of what no longer counts."""
        gone: set[int] = set()
        rows = np.flatnonzero(failed)
        numbers = zip(
            runs.cost_nano_usd[rows].tolist(),
            runs.duration_us[rows].tolist(),
            runs.ts_us[rows].tolist(),
            strict=True,
        )
        for i, (cost, duration, ts_us) in zip(rows.tolist(), numbers, strict=True):
            name, run_id = runs.agent_name[i], runs.run_id[i]
            waiting = self._waiting.get(name)
            if waiting is None:
                waiting = self._waiting[name] = OrderedDict()
            if weight > 0:
                config = config_key(runs.config[i])
                about = features_of(runs.context[i])
                waiting[run_id] = (
                    runs.task_type[i], runs.route[i], config, cost, duration, ts_us, about
                )  # fmt: skip
                if len(waiting) > WAITING_PER_AGENT:
                    waiting.popitem(last=False)
            elif waiting.pop(run_id, None) is None and labelled[i]:
                gone.add(i)
        stay = [i for i in kept.tolist() if i not in gone]
        return kept if not gone else np.array(stay, dtype=np.int64)  # of integers when empty, too

    def _newly_labelled(self, outcomes: OutcomeBatch) -> tuple[str, ...]:
        """Switch agents to real outcomes, and return them."""
        new = tuple(
            name for name in dict.fromkeys(outcomes.agent_name) if name not in self._labelled
        )
        self._labelled.update(new)
        return new

    def _count_failures(self, agents: Iterable[str], rows: RewardRows) -> None:
        """Teach failures as 0 anew, where what statuses taught of these agents is set aside."""
        for name in agents:
            self.recent.forget(name)
            for found in self._waiting.get(name, {}).values():
                self._add_failure(name, found, 1.0, rows)

    def _add_failure(
        self, name: str, found: tuple[Any, ...], weight: float, rows: RewardRows
    ) -> None:
        """Add a failed run as worth nothing, or take it back."""
        group, route, config, cost, duration, ts_us, about = found
        reward = self.policy.rewards(np.zeros(1), np.array([cost]), np.array([duration]))
        more = RewardRows(
            [name],
            [group],
            [route],
            [config],
            reward=reward.tolist(),
            ts_us=[ts_us],
            features=[about],
        )
        rows.add(more, weight)

    def _take_outcomes(self, outcomes: OutcomeBatch, weight: float, rows: RewardRows) -> None:
        # Of several feedback sources on one run only the newest is the learners' reward.
        kept = [i for i, primary in enumerate(outcomes.primary.tolist()) if primary]
        if not kept:
            return
        joined = [outcomes.run[i] or _NO_RUN for i in kept]
        score = outcomes.score_q32[kept] / Q32
        cost = np.array([run[_COST] for run in joined], dtype=np.int64)
        duration = np.array([run[_DURATION] for run in joined], dtype=np.int64)
        names = [outcomes.agent_name[i] for i in kept]
        if weight > 0:
            self._replace_failures(names, joined, rows)
        more = RewardRows(
            agent=names,
            group=[run[_TYPE] for run in joined],
            route=[run[_ROUTE] for run in joined],
            config=[config_key(run[_CONFIG]) for run in joined],
            reward=self.policy.rewards(score, cost, duration).tolist(),
            ts_us=outcomes.ts_us[kept].tolist(),
            features=[features_of(run[_CONTEXT]) for run in joined],
            decision=[run[_DECISION] for run in joined],
        )
        rows.add(more, weight)

    def _replace_failures(
        self, names: list[str], joined: Iterable[tuple[Any, ...]], rows: RewardRows
    ) -> None:
        for name, run in zip(names, joined, strict=True):
            waiting = self._waiting.get(name)
            found = waiting.pop(run[_RUN_ID], None) if waiting else None
            if found is not None:
                self._add_failure(name, found, -1.0, rows)

    def to_state(self) -> dict[str, Any]:
        """Return the state as JSON-able values and numpy arrays."""
        return {
            "recent": self.recent.to_state(),
            "beyond_bounds": self.beyond_bounds,
            "labelled": sorted(self._labelled),
            "waiting": {
                name: [[run_id, *row] for run_id, row in runs.items()]
                for name, runs in self._waiting.items()
                if runs
            },
        }

    @classmethod
    def from_state(cls, policy: RewardPolicy, state: dict[str, Any]) -> Feed:
        """Return the feed that ``to_state`` described."""
        feed = cls(policy)
        feed.recent = Recent.from_state(state["recent"])
        feed.beyond_bounds = state["beyond_bounds"]
        feed._labelled = set(state["labelled"])
        feed._waiting = {
            name: OrderedDict((row[0], tuple(row[1:])) for row in runs)
            for name, runs in state["waiting"].items()
        }
        return feed


def _rewarded(rows: RewardRows) -> tuple[Rewarded, ...]:
    columns = zip(rows.decision, rows.reward, rows.ts_us, rows.weight, strict=True)
    return tuple(
        Rewarded(decision, reward, ts_us)
        for decision, reward, ts_us, weight in columns
        if decision is not None and weight > 0
    )


def decided_runs(runs: RunBatch) -> list[DecidedRun]:
    """Return how those runs went that name a decision and have ended."""
    if runs.decision_id.count(None) == len(runs):
        return []
    ended, failed = _IS_DECIDED[runs.status], _IS_ERROR[runs.status]
    return [
        DecidedRun(name, bool(failed[i]), int(runs.duration_us[i]), int(runs.cost_nano_usd[i]))
        for i, name in enumerate(runs.decision_id)
        if name is not None and ended[i]
    ]


def config_key(config: dict[str, Any] | None) -> str | None:
    """Return the canonical name of a parameter set: equal sets, equal names."""
    return None if not config else json.dumps(config, sort_keys=True, separators=(",", ":"))


def _run_without_anything() -> tuple[Any, ...]:
    row: list[Any] = [None] * len(RUN_FIELD)
    row[_COST] = row[_DURATION] = row[_QUALITY] = -1
    return tuple(row)


_NO_RUN: Final = _run_without_anything()


def _quality(commit: Commit) -> Samples:
    parts = [
        _of_runs(runs, runs.quality_q32 >= 0, runs.quality_q32 / Q32, weight)
        for runs, weight in ((commit.retracted_runs, -1.0), (commit.runs, 1.0))
    ]
    return Samples.concat(parts)


def _latency(commit: Commit) -> Samples:
    parts = []
    for runs, weight in ((commit.retracted_runs, -1.0), (commit.runs, 1.0)):
        known = (runs.duration_us >= 0) & _IS_DECIDED[runs.status]
        log_ms = np.log(np.maximum(runs.duration_us / US_PER_MS, SHORTEST_MS))
        parts.append(_of_runs(runs, known, log_ms, weight))
    return Samples.concat(parts)


def _of_runs(runs: RunBatch, kept: np.ndarray, y: np.ndarray, weight: float) -> Samples:
    listed = np.flatnonzero(kept).tolist()
    features = [features_of(runs.context[i]) for i in listed]
    return Samples(
        arm=[runs.agent_name[i] for i in listed],
        group=[runs.task_type[i] for i in listed],
        y=y[kept],
        weight=np.full(len(listed), weight),
        ts_us=runs.ts_us[kept],
        features=features if any(features) else None,
    )

"""The map of a full retraining: what one part of the log teaches, before it is joined.

What a run teaches depends on what came before it, perhaps in another part: whether its agent
is judged by outcomes yet, and which of its failed runs still wait for one (see ``feed``). So
a part is only *condensed*: to a row of numbers per run and outcome, with the ids of those
runs on which something may still depend. ``join`` decides the rest over all parts together.
Whatever the parts, joined they say what ``Feed`` says of the whole.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from selfright.events.batch import Q32, RUN_FIELD, US_PER_MS
from selfright.events.status import DECIDED, ERRORS, RunStatus
from selfright.learn.features import features_key, features_of
from selfright.learn.feed import SHORTEST_MS, STATUS_SCORE, config_key
from selfright.learn.model_type import ModelType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from selfright.events.batch import Commit, OutcomeBatch, RunBatch
    from selfright.learn.feed import RewardPolicy

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Codes: TypeAlias = npt.NDArray[np.int32]
Bools: TypeAlias = npt.NDArray[np.bool_]
Texts: TypeAlias = list[str | None]

_FORMAT: Final = 2
# Order of what one commit brings, as ``Feed`` takes it. ``ZEROS`` and ``REPLACED`` are rows
# that only the join can tell: failures that count again, and those an outcome replaces.
GONE_RUN, RUN, ZEROS, GONE_OUTCOME, REPLACED, OUTCOME = range(6)
STEPS: Final = 8  # of a step, ``step // STEPS`` is the first offset of its commit
REWARDED: Final = frozenset(
    {ModelType.AGENT_SELECTION, ModelType.ROUTING, ModelType.PARAMETER_OPTIMIZATION}
)
_SCORES: Final = np.array([STATUS_SCORE.get(status.word, np.nan) for status in RunStatus])
_IS_ERROR: Final = np.array([status in ERRORS for status in RunStatus])
_IS_DECIDED: Final = np.array([status in DECIDED for status in RunStatus])
_RUN_ID, _STATUS = RUN_FIELD["run_id"], RUN_FIELD["status"]
_TYPE, _ROUTE, _CONFIG = RUN_FIELD["task_type"], RUN_FIELD["route"], RUN_FIELD["config"]
_COST, _DURATION = RUN_FIELD["cost_nano_usd"], RUN_FIELD["duration_us"]
_CONTEXT = RUN_FIELD["context"]
_CODED: Final = frozenset({"agent", "arm", "group", "about", "judged"})

_DTYPES: Final = {
    "step": np.int64, "agent": np.int32, "arm": np.int32, "group": np.int32, "about": np.int32,
    "reward": np.float64, "weight": np.int8, "ts_us": np.int64, "failed": np.bool_,
    "watched": np.int64, "judged": np.int32, "judged_step": np.int64,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Extract:
    """n condensed rows of consecutive commits. 43 bytes a row, and some for each failed run.

    Attributes
    ----------
    names
        What the codes in ``agent``, ``arm``, ``group``, ``about`` and ``judged`` stand for;
        ``about`` are the features of a task, as JSON.
    step
        ``STEPS`` times the first offset of the row's commit, and what kind of row it is;
        int64[n], ascending.
    reward
        The target: a reward in 0..1, a quality, or the logarithm of a duration in ms.
    weight
        1 or -1: a row that takes an earlier one back.
    failed
        Of a run: it failed. Of an outcome: the run it belongs to did.
    watched, run_ids
        Places of the rows with ``failed`` among rewards, and their runs.
    judged, judged_step
        Agents with an outcome, in the order in which they first had one, and its step.
    """

    names: Texts
    step: Ints
    agent: Codes
    arm: Codes
    group: Codes
    about: Codes
    reward: Floats
    weight: npt.NDArray[np.int8]
    ts_us: Ints
    failed: Bools
    watched: Ints
    run_ids: list[str]
    judged: Codes
    judged_step: Ints

    def __len__(self) -> int:
        return len(self.step)

    def encode(self) -> bytes:
        """Return it as bytes that carry a checksum; equal extracts give equal bytes."""
        columns = [np.ascontiguousarray(getattr(self, name)).tobytes() for name in _DTYPES]
        body = msgspec.msgpack.encode([_FORMAT, self.names, self.run_ids, *columns])
        return zlib.crc32(body).to_bytes(4, "big") + body

    @classmethod
    def decode(cls, data: bytes) -> Extract:
        """Return what ``encode`` wrote. Raises ``ValueError`` if any byte is another."""
        body = memoryview(data)[4:]
        if len(data) < 4 or zlib.crc32(body) != int.from_bytes(data[:4], "big"):
            raise ValueError("the checksum of an extract is wrong")
        known, names, run_ids, *columns = msgspec.msgpack.decode(body)
        if known != _FORMAT:
            raise ValueError(f"extract of format {known!r}, not {_FORMAT}")
        values: dict[str, Any] = {
            name: np.frombuffer(column, dtype=dtype)
            for (name, dtype), column in zip(_DTYPES.items(), columns, strict=True)
        }
        return cls(names=names, run_ids=run_ids, **values)

    @classmethod
    def concat(cls, parts: Iterable[Extract]) -> Extract:
        """Return the rows of all parts, which must follow each other. 0.1 us a row."""
        listed = [part for part in parts if len(part) or len(part.judged)]
        if len(listed) == 1:
            return listed[0]
        index: dict[str | None, int] = {}
        tables = [_codes(part.names, index) for part in listed]
        starts = np.cumsum([0, *(len(part) for part in listed)]).tolist()
        columns: dict[str, list[Any]] = {name: [] for name in _DTYPES}
        for part, table, start in zip(listed, tables, starts, strict=False):
            for name in _DTYPES:
                column = getattr(part, name)
                if name in _CODED:
                    column = table[column]
                columns[name].append(column + start if name == "watched" else column)
        values: dict[str, Any] = {
            name: np.concatenate([np.empty(0, dtype), *columns[name]])
            for name, dtype in _DTYPES.items()
        }
        return cls(
            names=[*index],
            run_ids=[run_id for part in listed for run_id in part.run_ids],
            **values,
        )


def extract(commits: Sequence[Commit], model_type: ModelType, policy: RewardPolicy) -> Extract:
    """Return what ``commits`` teach ``model_type``, condensed. About .6 us a row."""
    made = _Columns(model_type, policy)
    made.take_runs(GONE_RUN, -1, [(c.first_offset, c.retracted_runs) for c in commits])
    made.take_runs(RUN, 1, [(c.first_offset, c.runs) for c in commits])
    if model_type in REWARDED:
        outcomes = [(c.first_offset, c.outcomes) for c in commits]
        gone = [(c.first_offset, c.retracted_outcomes) for c in commits]
        made.take_outcomes(GONE_OUTCOME, -1, gone)
        made.take_outcomes(OUTCOME, 1, outcomes)
    return made.extract()


class _Columns:
    """An extract under construction: blocks of rows of one kind, sorted at the end."""

    def __init__(self, model_type: ModelType, policy: RewardPolicy) -> None:
        self._type = model_type
        self._policy = policy
        self._index: dict[str | None, int] = {}
        self._blocks: list[tuple[np.ndarray, ...]] = []
        self._run_ids: list[list[str | None]] = []
        self._judged = np.empty(0, np.int32), np.empty(0, np.int64)

    def take_runs(self, phase: int, weight: int, found: list[tuple[int, RunBatch]]) -> None:
        found = [(first, runs) for first, runs in found if len(runs)]
        if not found:
            return
        batches = [runs for _, runs in found]
        status = np.concatenate([runs.status for runs in batches])
        duration = np.concatenate([runs.duration_us for runs in batches])
        if self._type is ModelType.QUALITY_PREDICTION:
            quality = np.concatenate([runs.quality_q32 for runs in batches])
            kept, target = np.flatnonzero(quality >= 0), quality / Q32
        elif self._type is ModelType.LATENCY_PREDICTION:
            kept = np.flatnonzero((duration >= 0) & _IS_DECIDED[status])
            target = np.log(np.maximum(duration / US_PER_MS, SHORTEST_MS))
        else:
            kept = np.flatnonzero(_IS_DECIDED[status])
            cost = np.concatenate([runs.cost_nano_usd for runs in batches])
            target = self._policy.rewards(_SCORES[status], cost, duration)
        agent = self._code(chain.from_iterable(runs.agent_name for runs in batches))
        failed = _IS_ERROR[status] & (self._type in REWARDED)
        task_type = self._code(chain.from_iterable(runs.task_type for runs in batches))
        arm, group = self._arms(
            agent, task_type,
            lambda: chain.from_iterable(batch.route for batch in batches),
            lambda: chain.from_iterable(batch.config for batch in batches),
        )  # fmt: skip
        about = self._about(chain.from_iterable(batch.context for batch in batches))
        ids = chain.from_iterable(runs.run_id for runs in batches)
        ts_us = np.concatenate([runs.ts_us for runs in batches])
        columns = (agent, arm, group, about, target, ts_us, failed)
        self._add(phase, weight, found, kept, columns, [*ids])

    def take_outcomes(self, phase: int, weight: int, found: list[tuple[int, OutcomeBatch]]) -> None:
        found = [(first, outcomes) for first, outcomes in found if len(outcomes)]
        if not found:
            return
        batches = [outcomes for _, outcomes in found]
        # Of several feedback sources on one run only the newest is the learners' reward.
        kept = np.flatnonzero(np.concatenate([outcomes.primary for outcomes in batches]))
        runs = [*chain.from_iterable(outcomes.run for outcomes in batches)]
        agent = self._code(chain.from_iterable(outcomes.agent_name for outcomes in batches))
        task_type = self._code([None if run is None else run[_TYPE] for run in runs])
        if phase == OUTCOME:
            _, first = np.unique(agent, return_index=True)
            first = np.sort(first)  # in the order of their first outcome
            self._judged = agent[first], _steps(found, phase)[first]
        arm, group = self._arms(
            agent, task_type,
            lambda: (None if run is None else run[_ROUTE] for run in runs),
            lambda: (None if run is None else run[_CONFIG] for run in runs),
        )  # fmt: skip
        status = np.array(
            [RunStatus.SUCCESS if run is None else run[_STATUS] for run in runs], dtype=np.int64
        )
        # Only what is added can replace a failure.
        failed = _IS_ERROR[status] & (phase == OUTCOME)
        score = np.concatenate([outcomes.score_q32 for outcomes in batches]) / Q32
        if self._policy.w_cost or self._policy.w_latency:
            score = self._policy.rewards(score, _joined(runs, _COST), _joined(runs, _DURATION))
        ts_us = np.concatenate([outcomes.ts_us for outcomes in batches])
        about = self._about(None if run is None else run[_CONTEXT] for run in runs)
        ids = [None if run is None else run[_RUN_ID] for run in runs]
        columns = (agent, arm, group, about, score, ts_us, failed)
        self._add(phase, weight, found, kept, columns, ids)

    def extract(self) -> Extract:
        columns = [np.concatenate(column) for column in zip(*self._blocks, strict=True)]
        if not columns:
            columns = [np.empty(0, _DTYPES[name]) for name in list(_DTYPES)[:9]]
        order = np.argsort(columns[0], kind="stable")
        step, agent, arm, group, about, reward, weight, ts_us, failed = (c[order] for c in columns)
        ids = [*chain.from_iterable(self._run_ids)]
        watched = np.flatnonzero(failed)
        run_ids = [str(ids[i]) for i in order[watched].tolist()]
        if self._type in REWARDED:
            reward = np.minimum(np.maximum(reward, 0.0), 1.0)
        return Extract(
            [*self._index], step, agent, arm, group, about, reward, weight, ts_us, failed,
            watched, run_ids, *self._judged,
        )  # fmt: skip

    def _add(
        self,
        phase: int,
        weight: int,
        found: Sequence[tuple[int, RunBatch | OutcomeBatch]],
        kept: Ints,
        columns: tuple[np.ndarray, ...],
        ids: Sequence[str | None],
    ) -> None:
        agent, arm, group, about, target, ts_us, failed = (column[kept] for column in columns)
        signs = np.full(len(kept), weight, np.int8)
        step = _steps(found, phase)[kept]
        self._blocks.append((step, agent, arm, group, about, target, signs, ts_us, failed))
        self._run_ids.append(
            list(ids) if len(kept) == len(ids) else [ids[i] for i in kept.tolist()]
        )

    def _arms(
        self,
        agent: Codes,
        task_type: Codes,
        routes: Callable[[], Iterable[str | None]],
        configs: Callable[[], Iterable[dict[str, Any] | None]],
    ) -> tuple[Codes, Codes]:
        if self._type is ModelType.ROUTING:
            return self._code(routes()), task_type
        if self._type is ModelType.PARAMETER_OPTIMIZATION:
            return self._code(config_key(config) for config in configs()), agent
        return agent, task_type

    def _about(self, contexts: Iterable[dict[str, Any] | None]) -> Codes:
        return self._code(features_key(features_of(context)) for context in contexts)

    def _code(self, names: Iterable[str | None]) -> Codes:
        return _codes(names, self._index)


def _codes(names: Iterable[str | None], index: dict[str | None, int]) -> Codes:
    listed = names if isinstance(names, list) else [*names]
    for name in dict.fromkeys(listed):
        index.setdefault(name, len(index))
    return np.fromiter(map(index.__getitem__, listed), np.int32, len(listed))


def _steps(found: Sequence[tuple[int, RunBatch | OutcomeBatch]], phase: int) -> Ints:
    firsts = np.array([first * STEPS + phase for first, _ in found], dtype=np.int64)
    return np.repeat(firsts, [len(batch) for _, batch in found])


def _joined(runs: list[tuple[Any, ...] | None], field: int) -> Ints:
    return np.array([-1 if run is None else run[field] for run in runs], dtype=np.int64)

"""How selection would have fared on a full matrix of rewards, shown only what it chose.

Every agent's reward on every task is known here, but the model is told the reward of the
chosen agent alone, as in life. Beside it stand what a random choice, the best single
agent, the best agent per task type and the best agent per task would have earned: the
last three know the future, and the last one cannot be reached.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from selfright.errors import ConfigError
from selfright.learn.choice import AgentSelection, ChoiceModel
from selfright.learn.features import Features
from selfright.learn.samples import Samples
from selfright.learn.settings import LearnSettings

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """Every agent's reward on every task.

    Parameters
    ----------
    agents, task_types
        Names of the rows; type of each column.
    reward
        float64[agents, tasks].
    cost_usd, latency_s
        Of the same shape where known; None: not known, or of no interest.
    features
        What is known of each task before it is done; None: nothing.

    Raises
    ------
    ValueError
        If shapes differ, there are no agents or tasks, or a value is not finite. A gap
        cannot be filled by a guess: drop the agent or the task.
    """

    agents: list[str]
    task_types: list[str | None]
    reward: Floats
    cost_usd: Floats | None = None
    latency_s: Floats | None = None
    features: list[Features | None] | None = None

    def __post_init__(self) -> None:
        shape = (len(self.agents), len(self.task_types))
        if 0 in shape:
            raise ValueError("a matrix needs at least one agent and one task")
        if self.features is not None and len(self.features) != len(self.task_types):
            raise ValueError(f"{len(self.task_types)} tasks, features of {len(self.features)}")
        for name in ("reward", "cost_usd", "latency_s"):
            value = getattr(self, name)
            if value is None:
                continue
            if value.shape != shape:
                raise ValueError(f"{name} has shape {value.shape}, expected {shape}")
            missing = ~np.isfinite(value)
            if missing.any():
                agent = self.agents[int(np.argwhere(missing)[0, 0])]
                raise ValueError(
                    f"{name} lacks {int(missing.sum())} of {value.size} values, first for {agent}"
                )


@dataclass(frozen=True, slots=True)
class Utility:
    """What a run is worth: ``w_success * reward - w_cost * usd - w_latency * s``.

    The model learns it scaled to 0..1 by the declared bounds; reports show it as it is.

    Parameters
    ----------
    cost_bound_usd, latency_bound_s
        Declared largest values; None: the largest of the matrix.
    """

    w_success: float = 1.0
    w_cost: float = 0.0
    w_latency: float = 0.0
    cost_bound_usd: float | None = None
    latency_bound_s: float | None = None

    def of(self, matrix: Matrix) -> tuple[Floats, Floats]:
        """Return the utility of each agent on each task, as it is and scaled to 0..1.

        Raises ``ConfigError`` where a weight has no column or a bound is exceeded:
        nothing is clipped in silence.
        """
        if min(self.w_success, self.w_cost, self.w_latency) < 0 or self.w_success == 0:
            raise ConfigError("w_success", self.w_success, "weights must not be negative, nor it 0")
        if matrix.reward.min() < 0 or matrix.reward.max() > 1:
            raise ConfigError("reward", float(matrix.reward.max()), "rewards must lie in 0..1")
        raw, most_lost = self.w_success * matrix.reward, 0.0
        for name, weight, values, bound in (
            ("cost", self.w_cost, matrix.cost_usd, self.cost_bound_usd),
            ("latency", self.w_latency, matrix.latency_s, self.latency_bound_s),
        ):
            if weight == 0:
                continue
            if values is None:
                raise ConfigError(f"w_{name}", weight, f"the matrix has no {name}; leave it at 0")
            largest = float(values.max())
            if values.min() < 0 or (bound is not None and largest > bound):
                raise ConfigError(f"{name} bound", bound, f"{name} goes up to {largest:g}")
            raw = raw - weight * values
            most_lost += weight * (largest if bound is None else bound)
        return raw, (raw + most_lost) / (self.w_success + most_lost)


@dataclass(frozen=True, slots=True, eq=False)
class Fared:
    """What the model earned: one value per seed, the seeds in the order given.

    Attributes
    ----------
    whole, last_quarter
        Mean utility of a decision over the whole stream, and over its last quarter.
    cost
        Mean cost of a decision over the whole stream, USD; None if not known.
    """

    whole: Floats
    last_quarter: Floats
    cost: Floats | None


@dataclass(frozen=True, slots=True)
class Reference:
    """What a simple policy earns per task on the whole matrix, and at what cost in USD."""

    utility: float
    cost: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """The model beside the policies it has to beat."""

    learned: Fared
    random: Reference
    best_single: Reference
    best_agent: str
    best_per_type: Reference
    oracle: Reference


def _alone() -> ChoiceModel:
    return AgentSelection(settings=LearnSettings.alone())


def backtest(
    matrix: Matrix,
    *,
    seeds: Sequence[int],
    decisions: int | None = None,
    utility: Utility | None = None,
    new_model: Callable[[], ChoiceModel] = _alone,
    progress: Callable[[float], None] | None = None,
) -> Report:
    """Return how a model fares on ``matrix`` from bandit feedback.

    Parameters
    ----------
    seeds
        One run each. The order of the tasks depends on the seed alone, so that two
        settings can be compared in pairs.
    decisions
        None: each task once, in random order. Else so many tasks drawn with replacement.
    new_model
        Makes the model under test.
    progress
        Is told the share that is done, 0..1.

    Notes
    -----
    Some .2 ms per decision with 10 agents, .4 ms with 80.
    """
    if decisions is not None and decisions < 1:
        raise ConfigError("decisions", decisions, "must be at least 1")
    if not seeds:
        raise ConfigError("seeds", list(seeds), "name at least one")
    raw, scaled = (utility or Utility()).of(matrix)
    whole, last, cost = [], [], []
    for done, seed in enumerate(seeds):
        task = _stream(len(matrix.task_types), seed, decisions)
        chosen = _run(matrix, scaled, task, new_model(), np.random.default_rng([seed, 1]))
        earned = raw[chosen, task]
        whole.append(float(earned.mean()))
        last.append(float(earned[-max(1, len(earned) // 4) :].mean()))
        if matrix.cost_usd is not None:
            cost.append(float(matrix.cost_usd[chosen, task].mean()))
        if progress is not None:
            progress((done + 1) / len(seeds))
    fared = Fared(np.array(whole), np.array(last), np.array(cost) if cost else None)
    single = int(raw.mean(axis=1).argmax())
    return Report(
        learned=fared,
        random=_reference(matrix, raw, None),
        best_single=_reference(matrix, raw, np.full(raw.shape[1], single)),
        best_agent=matrix.agents[single],
        best_per_type=_reference(matrix, raw, _best_per_type(matrix, raw)),
        oracle=_reference(matrix, raw, _best_per_task(matrix, raw)),
    )


def _stream(tasks: int, seed: int, decisions: int | None) -> Ints:
    rng = np.random.default_rng([seed, 0])
    if decisions is None:
        return rng.permutation(tasks).astype(np.int64)
    return rng.integers(tasks, size=decisions)


def _run(
    matrix: Matrix, scaled: Floats, stream: Ints, model: ChoiceModel, rng: np.random.Generator
) -> Ints:
    agents, types = matrix.agents, matrix.task_types
    chosen = np.empty(len(stream), dtype=np.int64)
    for step, task in enumerate(stream.tolist()):
        features = None if matrix.features is None else matrix.features[task]
        index = model.select(agents, types[task], rng, features).index
        chosen[step] = index
        earned = [scaled[index, task]]
        about = None if features is None else [features]
        model.update(Samples.of([agents[index]], [types[task]], earned, features=about))
    return chosen


def _reference(matrix: Matrix, raw: Floats, agent: Ints | None) -> Reference:
    """Return what choosing ``agent`` for each task earns; None: each agent as often."""
    if agent is None:
        cost = None if matrix.cost_usd is None else float(matrix.cost_usd.mean())
        return Reference(float(raw.mean()), cost)
    task = np.arange(len(agent))
    cost = None if matrix.cost_usd is None else float(matrix.cost_usd[agent, task].mean())
    return Reference(float(raw[agent, task].mean()), cost)


def _best_per_type(matrix: Matrix, raw: Floats) -> Ints:
    best = np.empty(raw.shape[1], dtype=np.int64)
    types = np.array([matrix.task_types.index(found) for found in matrix.task_types])
    for found in np.unique(types):
        best[types == found] = raw[:, types == found].mean(axis=1).argmax()
    return best


def _best_per_task(matrix: Matrix, raw: Floats) -> Ints:
    """Return the best agent of each task; of equal ones the cheapest."""
    if matrix.cost_usd is None:
        return np.asarray(raw.argmax(axis=0), dtype=np.int64)
    cost = np.where(raw == raw.max(axis=0), matrix.cost_usd, np.inf)
    return np.asarray(cost.argmin(axis=0), dtype=np.int64)

"""A fleet of simulated agents with known true quality, as an environment for everything.

``FleetModel`` says what is true: per agent how often it succeeds and is right, how long it
takes and what it costs, per task type where that matters, and the *shifts* that make an
agent better or worse on schedule. ``Fleet`` draws from it, seeded: tasks, the run of
whichever agent is picked for a task, and the real outcome of that run, which comes late
or never. It knows nothing of monitors and models; whoever plays against it records what
it answers.

Chance belongs to the task, not to the agent: a task that is unlucky for one agent is
unlucky for all. Two ways of picking agents therefore face the very same tasks, and the
difference between them is not noise.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from selfright.clock import US_PER_S
from selfright.errors import ConfigError, UnknownNameError, did_you_mean
from selfright.testing.clock import START_US

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Row = dict[str, Any]
    Chooser = Callable[["Task", int], str]

# Draws made per task, whichever agent gets it and whether or not it uses them all.
_DRAWS: Final = 6
_TASKS_AT_ONCE: Final = 1024
# A quarter of the runs that do not succeed time out, the others fail.
_TIMEOUT_SHARE: Final = 0.25


@dataclass(frozen=True, slots=True)
class AgentModel:
    """What is true of one agent.

    Attributes
    ----------
    success_rate
        Probability that a run ends in success.
    accuracy
        Probability that a run comes out right, for a task of a type that
        ``by_task_type`` does not name. Runs that fail or time out are never right, so
        it counts for no more than ``success_rate``.
    by_task_type
        Task type to accuracy, where the agent has strengths or weaknesses.
    latency_ms, latency_spread
        Median duration, and the standard deviation of its logarithm.
    cost_usd, tokens
        Mean cost and tokens of a run; both vary by a third with the task.
    """

    name: str
    agent_type: str = "agent"
    success_rate: float = 0.97
    accuracy: float = 0.90
    by_task_type: Mapping[str, float] = field(default_factory=dict)
    latency_ms: float = 800.0
    latency_spread: float = 0.4
    cost_usd: float = 0.01
    tokens: int = 900

    def __post_init__(self) -> None:
        for name in ("success_rate", "accuracy"):
            _share(f"{self.name}.{name}", getattr(self, name))
        for task_type, accuracy in self.by_task_type.items():
            _share(f"{self.name}.by_task_type[{task_type!r}]", accuracy)
        for name in ("latency_ms", "latency_spread", "cost_usd", "tokens"):
            _not_negative(f"{self.name}.{name}", getattr(self, name))


@dataclass(frozen=True, slots=True)
class Shift:
    """A change in one agent, from ``at_s`` seconds after the start until ``until_s``.

    A share that is not named stays as it was; ``accuracy`` replaces that of every task
    type. With ``ramp_s`` the change comes gradually over that time; it ends at once.
    """

    agent: str
    at_s: float
    until_s: float = math.inf
    ramp_s: float = 0.0
    accuracy: float | None = None
    success_rate: float | None = None
    latency_factor: float = 1.0
    cost_factor: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.at_s < self.until_s:
            raise ConfigError("until_s", self.until_s, f"must be later than at_s={self.at_s:g}")
        for name in ("accuracy", "success_rate"):
            value = getattr(self, name)
            if value is not None:
                _share(name, value)
        for name in ("ramp_s", "latency_factor", "cost_factor"):
            _not_negative(name, getattr(self, name))

    def strength(self, at_s: float) -> float:
        """Return how much of the change holds at ``at_s``, 0..1."""
        if not self.at_s <= at_s < self.until_s:
            return 0.0
        return 1.0 if self.ramp_s == 0.0 else min(1.0, (at_s - self.at_s) / self.ramp_s)


@dataclass(frozen=True, slots=True)
class FleetModel:
    """What is true of the whole fleet and of the tasks it gets.

    Attributes
    ----------
    task_types
        Task type to how often it comes, relative to the others.
    label_delay_s
        Mean time until the real outcome of a run is known; exponential. 0: at once.
    label_coverage
        Share of runs whose real outcome becomes known at all.
    """

    agents: tuple[AgentModel, ...]
    shifts: tuple[Shift, ...] = ()
    task_types: Mapping[str, float] = field(default_factory=lambda: {"task": 1.0})
    label_delay_s: float = 0.0
    label_coverage: float = 1.0

    def __post_init__(self) -> None:
        names = [agent.name for agent in self.agents]
        if not names or len(set(names)) < len(names):
            raise ConfigError("agents", names, "name at least one agent, and each once")
        for shift in self.shifts:
            if shift.agent not in names:
                raise UnknownNameError("agent", shift.agent, did_you_mean(shift.agent, names)[2:])
        if not self.task_types or not all(share > 0 for share in self.task_types.values()):
            raise ConfigError("task_types", self.task_types, "each must come with a share above 0")
        _not_negative("label_delay_s", self.label_delay_s)
        _share("label_coverage", self.label_coverage)


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of an agent at an instant, for one task type."""

    success_rate: float
    accuracy: float
    latency_ms: float
    cost_usd: float


@dataclass(frozen=True, slots=True)
class Task:
    """Something to do. ``draws`` is its luck: the same whoever does it."""

    task_id: str
    task_type: str
    draws: tuple[float, ...]


class Fleet:
    """Draws tasks, runs and outcomes from a ``FleetModel``. Same seed, same luck.

    Parameters
    ----------
    start_us
        When second 0 of the shifts is.

    Examples
    --------
    A fleet of one agent that degrades after a minute:

    >>> sick = Shift("solo", at_s=60, accuracy=0.5)
    >>> fleet = Fleet(FleetModel((AgentModel("solo"),), (sick,)), seed=1)
    >>> fleet.truth("solo", "task", at_s=59).accuracy
    0.9
    >>> fleet.truth("solo", "task", at_s=61).accuracy
    0.5
    >>> [row["kind"] for row in fleet.rows(2, every_s=1.0)]
    ['run', 'outcome', 'run', 'outcome']
    """

    def __init__(self, model: FleetModel, seed: int, *, start_us: int = START_US) -> None:
        self.model = model
        self.start_us = start_us
        self.names = tuple(agent.name for agent in model.agents)
        self._agents = {agent.name: agent for agent in model.agents}
        self._shifts = {
            name: tuple(shift for shift in model.shifts if shift.agent == name)
            for name in self.names
        }
        tasks, choice = np.random.SeedSequence(seed).spawn(2)
        self._rng = np.random.default_rng(tasks)
        self._choice = np.random.default_rng(choice)
        self._types = tuple(model.task_types)
        shares = np.array([model.task_types[name] for name in self._types], dtype=np.float64)
        # Without the last bound, which rounding may leave a hair below 1.
        self._bounds = np.cumsum(shares / shares.sum())[:-1]
        self._waiting: list[tuple[int, int, Row]] = []
        self._tasks = self._draw()
        self._labels = itertools.count()

    # ---- what is true ----------------------------------------------------------------

    def truth(self, agent: str, task_type: str, at_s: float) -> Truth:
        """Return what is true of ``agent`` for ``task_type``, ``at_s`` after the start."""
        model = self._agents.get(agent)
        if model is None:
            raise UnknownNameError("agent", agent, did_you_mean(agent, self.names)[2:])
        success = model.success_rate
        accuracy = model.by_task_type.get(task_type, model.accuracy)
        latency, cost = model.latency_ms, model.cost_usd
        for shift in self._shifts[agent]:
            strength = shift.strength(at_s)
            if shift.success_rate is not None:
                success = (1.0 - strength) * success + strength * shift.success_rate
            if shift.accuracy is not None:
                accuracy = (1.0 - strength) * accuracy + strength * shift.accuracy
            latency *= 1.0 + strength * (shift.latency_factor - 1.0)
            cost *= 1.0 + strength * (shift.cost_factor - 1.0)
        return Truth(success, min(accuracy, success), latency, cost)

    def best(self, task_type: str, at_s: float) -> str:
        """Return the agent that is most often right then; of equals the first."""
        return max(self.names, key=lambda name: self.truth(name, task_type, at_s).accuracy)

    # ---- what happens ----------------------------------------------------------------

    def task(self) -> Task:
        """Return the next task. They never end."""
        return next(self._tasks)

    def run(self, agent: str, task: Task, ts_us: int, **fields: object) -> Row:
        """Let ``agent`` do ``task``; return the run as ``record_agent_run`` takes it.

        ``fields`` are added to the run, e.g. ``decision_id``. The real outcome, where it
        becomes known, is found in ``due`` from its time on.
        """
        truth = self.truth(agent, task.task_type, (ts_us - self.start_us) / US_PER_S)
        model = self._agents[agent]
        luck, right, slow, dear, known, wait = task.draws
        row: Row = {
            "kind": "run",
            "run_id": f"run-{task.task_id}-{agent}",
            "agent_name": agent,
            "agent_type": model.agent_type,
            "status": _status(luck, truth.success_rate),
            "duration_ms": round(truth.latency_ms * math.exp(model.latency_spread * slow), 3),
            "tokens_used": round(model.tokens * _third(dear)),
            "cost": round(truth.cost_usd * _third(dear), 9),
            "task_id": task.task_id,
            "task_type": task.task_type,
            "timestamp": ts_us / US_PER_S,
            **fields,
        }
        if known < self.model.label_coverage:
            # Given success, so that over all runs the share is `accuracy`.
            is_right = row["status"] == "success" and right * truth.success_rate < truth.accuracy
            self._label(row, is_right, ts_us, wait)
        return row

    def due(self, ts_us: int) -> list[Row]:
        """Return the outcomes that became known by ``ts_us``, oldest first, each once.

        As ``record_accuracy`` takes them, but for ``kind`` and ``run_id``.
        """
        rows = []
        while self._waiting and self._waiting[0][0] <= ts_us:
            rows.append(heapq.heappop(self._waiting)[2])
        return rows

    def rows(
        self, count: int, *, every_s: float = 1.0, choose: Chooser | None = None
    ) -> Iterator[Row]:
        """Yield ``count`` runs, evenly spaced, and their outcomes, in order of arrival.

        ``choose(task, ts_us)`` picks the agent; None picks any, evenly. After the last run
        the outcomes that are still under way follow.
        """
        for index in range(count):
            ts_us = self.start_us + round(index * every_s * US_PER_S)
            yield from self.due(ts_us)
            task = self.task()
            yield self.run(choose(task, ts_us) if choose else self.anyone(), task, ts_us)
            yield from self.due(ts_us)
        while self._waiting:
            yield heapq.heappop(self._waiting)[2]

    def anyone(self) -> str:
        """Return an agent, each equally often."""
        return self.names[int(self._choice.integers(len(self.names)))]

    # ---- inside ----------------------------------------------------------------------

    def _draw(self) -> Iterator[Task]:
        for first in itertools.count(0, _TASKS_AT_ONCE):
            kinds = np.searchsorted(
                self._bounds, self._rng.random(_TASKS_AT_ONCE), side="right"
            ).tolist()
            luck = self._rng.random((_TASKS_AT_ONCE, _DRAWS))
            # Columns 2 and 3 spread durations and costs: normal, within 3 deviations.
            luck[:, 2:4] = np.clip(self._rng.standard_normal((_TASKS_AT_ONCE, 2)), -3.0, 3.0)
            for index, (kind, draws) in enumerate(zip(kinds, luck.tolist(), strict=True)):
                yield Task(f"task-{first + index:06d}", self._types[kind], tuple(draws))

    def _label(self, run: Row, right: bool, ts_us: int, wait: float) -> None:
        delay_s = -self.model.label_delay_s * math.log1p(-wait)
        known_us = ts_us + round(delay_s * US_PER_S)
        outcome: Row = {
            "kind": "outcome",
            "run_id": run["run_id"],
            "agent_name": run["agent_name"],
            "task_id": run["task_id"],
            "accuracy_score": 1.0 if right else 0.0,
            "feedback_source": "simulation",
            "timestamp": known_us / US_PER_S,
        }
        heapq.heappush(self._waiting, (known_us, next(self._labels), outcome))


def _status(luck: float, success_rate: float) -> str:
    if luck < success_rate:
        return "success"
    lost = (luck - success_rate) / (1.0 - success_rate)
    return "timeout" if lost < _TIMEOUT_SHARE else "failure"


def _third(draw: float) -> float:
    """Return a factor of mean 1 that varies by a third and is never negative."""
    return max(0.0, 1.0 + draw / 3.0)


def _share(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ConfigError(name, value, "must be a share between 0 and 1")


def _not_negative(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0.0):
        raise ConfigError(name, value, "must be a finite number, 0 or more")

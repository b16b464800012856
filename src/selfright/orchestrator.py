"""Runs agents, picks them by the learned model, and records everything.

An agent is a callable that takes a task, or an object with a ``run`` method; either may
be synchronous or a coroutine function. The same code serves ``run`` and ``arun``.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from selfright.errors import ConfigError, SelfrightError
from selfright.loop.measured import ending

if TYPE_CHECKING:
    from selfright.loop.measured import MeasuredRun
    from selfright.online_learning import RealTimeModelUpdater
    from selfright.performance_monitor import PerformanceMonitor

Strategy = Literal["select", "sequential", "parallel", "cascade"]
STRATEGIES: Final = ("select", "sequential", "parallel", "cascade")
# Tells whether an output will do; may be a coroutine function.
Check = Callable[[Any], Any]


class CheckFailedError(SelfrightError):
    """The agent returned, and the check refused what it returned."""


class RunnableAgent(Protocol):
    """An object with a ``run`` method."""

    def run(self, task: Any) -> Any:
        """Carry out the task; may return an awaitable."""
        ...


Agent = Callable[[Any], Any] | RunnableAgent


@dataclass(frozen=True, slots=True)
class AgentResult:
    """What one agent made of a task.

    Attributes
    ----------
    status
        As recorded: success, failure, timeout or cancelled.
    output
        What the agent returned; None unless ``status`` is success.
    error
        The exception that ended the run, if one did.
    """

    agent_name: str
    run_id: str
    status: str
    output: Any
    error: BaseException | None
    decision_id: str | None = None

    @property
    def ok(self) -> bool:
        """Whether the agent returned."""
        return self.error is None


@dataclass(frozen=True, slots=True)
class OrchestratedResult:
    """What came of a task: ``output`` of the first agent that succeeded, and all results."""

    task_id: str
    strategy: str
    output: Any
    results: tuple[AgentResult, ...]

    @property
    def ok(self) -> bool:
        """Whether any agent succeeded."""
        return any(result.ok for result in self.results)

    @property
    def agent_name(self) -> str | None:
        """The agent whose output this is; None if all failed."""
        return next((result.agent_name for result in self.results if result.ok), None)


class MonitoredOrchestrator:
    """Runs agents by name and records each run: time, memory, CPU, errors, timeouts.

    Parameters
    ----------
    agents
        Names to agents. At least one.
    monitor
        Where runs are recorded; None records nothing.
    updater
        What picks the agent; without one, ``select`` takes the agent with the best
        success rate so far, else the first.
    timeout_s
        Longest time an agent may take; None: as long as it likes. A synchronous agent
        that overruns cannot be stopped: its thread goes on, its result is dropped.
    cost_of
        Returns what a run cost, in dollars, from its output; None records no costs.

    Raises
    ------
    ConfigError
        If there is no agent, or one that cannot be run. The caller's fault.
    """

    def __init__(
        self,
        agents: Mapping[str, Agent],
        monitor: PerformanceMonitor | None = None,
        updater: RealTimeModelUpdater | None = None,
        timeout_s: float | None = None,
        cost_of: Callable[[Any], float] | None = None,
    ) -> None:
        if not agents:
            raise ConfigError("agents", agents, "name at least one agent")
        if timeout_s is not None and not timeout_s > 0:
            raise ConfigError("timeout_s", timeout_s, "must be greater than 0, or None")
        self._agents = {name: _runner(name, agent) for name, agent in agents.items()}
        self._types = {name: type(agent).__name__ for name, agent in agents.items()}
        self._monitor = monitor
        self._updater = updater
        self._timeout_s = timeout_s
        self._cost_of = cost_of

    def run(
        self,
        task: Any,
        task_type: str | None = None,
        context: dict[str, Any] | None = None,
        strategy: Strategy = "select",
        check: Check | None = None,
    ) -> OrchestratedResult:
        """Run the task and return what came of it. Not from within an event loop."""
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
            raise ConfigError("run", strategy, "an event loop is running: await arun(...)")
        return asyncio.run(self.arun(task, task_type, context, strategy, check))

    async def arun(
        self,
        task: Any,
        task_type: str | None = None,
        context: dict[str, Any] | None = None,
        strategy: Strategy = "select",
        check: Check | None = None,
    ) -> OrchestratedResult:
        """Run the task and return what came of it.

        ``select`` runs one agent, the learned model's choice; ``sequential`` one after
        the other until one succeeds; ``parallel`` all at once; ``cascade`` the agents that
        the updater expects most of for their cost, until the output of one passes
        ``check`` (see ``RealTimeModelUpdater.select_cascade``). A failing agent is a
        result, not an exception; cancelling this call cancels the agents.

        With ``check``, whatever the strategy, an agent whose output it refuses, or at
        which it raises, has failed and is recorded so.
        """
        if strategy not in STRATEGIES:
            raise ConfigError("strategy", strategy, f"must be one of {', '.join(STRATEGIES)}")
        task_id = uuid.uuid4().hex
        common = {
            "task_id": task_id, "task_type": task_type, "context": context, "check": check,
        }  # fmt: skip
        if strategy == "select":
            name, decision_id = self._choose(task_type, context)
            one = await self._one(name, task, {**common, "decision_id": decision_id})
            results: tuple[AgentResult, ...] = (one,)
        elif strategy == "sequential":
            results = await self._in_turn(task, common)
        elif strategy == "cascade":
            results = await self._cascade(task, common)
        else:
            runs = (self._one(name, task, common) for name in self._agents)
            results = tuple(await asyncio.gather(*runs))
        output = next((result.output for result in results if result.ok), None)
        return OrchestratedResult(task_id, strategy, output, results)

    def get_performance_summary(self) -> dict[str, Any]:
        """Return the fleet's and each agent's figures; empty without a monitor."""
        if self._monitor is None:
            return {"system": {}, "agents": {}}
        of_agents = self._monitor.get_all_agent_metrics()
        return {
            "system": self._monitor.get_system_metrics().to_dict(),
            "agents": {
                name: of_agents[name].to_dict() for name in self._agents if name in of_agents
            },
        }

    def _choose(
        self, task_type: str | None, context: dict[str, Any] | None
    ) -> tuple[str, str | None]:
        names = list(self._agents)
        if self._updater is not None:
            decision = self._updater.select_agent(task_type, context, names)
            return decision.agent_name, decision.decision_id
        if self._monitor is None:
            return names[0], None
        rates = {
            name: agent.metrics.success_rate
            for name, agent in self._monitor.get_all_agent_metrics().items()
        }
        # An agent nobody has tried yet goes first: only so does it get a rate.
        return max(names, key=lambda name: _or(rates.get(name), 1.1)), None

    async def _in_turn(self, task: Any, common: dict[str, Any]) -> tuple[AgentResult, ...]:
        results: list[AgentResult] = []
        for name in self._agents:
            results.append(await self._one(name, task, common))
            if results[-1].ok:
                break
        return tuple(results)

    async def _cascade(self, task: Any, common: dict[str, Any]) -> tuple[AgentResult, ...]:
        if self._updater is None or common["check"] is None:
            missing = "updater" if self._updater is None else "check"
            raise ConfigError(missing, None, 'strategy="cascade" needs an updater and a check')
        chosen = self._updater.select_cascade(
            common["task_type"], common["context"], list(self._agents)
        )
        results: list[AgentResult] = []
        decision_id: str | None = chosen.decision.decision_id
        for name, task_type in zip(chosen.agents, chosen.task_types, strict=True):
            fields = {**common, "task_type": task_type, "decision_id": decision_id}
            results.append(await self._one(name, task, fields))
            decision_id = None  # only the first was chosen with a known probability
            if results[-1].ok:
                break
        return tuple(results)

    async def _one(self, name: str, task: Any, fields: dict[str, Any]) -> AgentResult:
        run_id = uuid.uuid4().hex
        decision_id = fields.get("decision_id")
        about = {key: value for key, value in fields.items() if key != "check"}
        try:
            async with self._measured(name, run_id, about) as run:
                async with asyncio.timeout(self._timeout_s):
                    output = await self._agents[name](task)
                if self._cost_of is not None and run is not None:
                    run.cost(self._cost_of(output))
                await _checked(fields.get("check"), output)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - an agent may fail in any way; it is recorded
            return AgentResult(name, run_id, ending(error), None, error, decision_id)
        return AgentResult(name, run_id, "success", output, None, decision_id)

    def _measured(
        self, name: str, run_id: str, fields: dict[str, Any]
    ) -> contextlib.AbstractAsyncContextManager[MeasuredRun | None]:
        if self._monitor is None:
            return contextlib.nullcontext()
        return self._monitor.run(name, agent_type=self._types[name], run_id=run_id, **fields)


def _runner(name: str, agent: Agent) -> Callable[[Any], Awaitable[Any]]:
    call = agent if callable(agent) else getattr(agent, "run", None)
    if not callable(call):
        raise ConfigError(f"agents[{name!r}]", agent, "must be callable or have a method run(task)")
    target: Callable[[Any], Any] = call
    is_async = inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(
        getattr(target, "__call__", None)  # noqa: B004 - an object whose __call__ is a coroutine
    )

    async def run(task: Any) -> Any:
        if is_async:
            return await target(task)
        # In a thread, so that a blocking agent holds up neither the others nor the clock.
        result = await asyncio.to_thread(target, task)
        return await result if inspect.isawaitable(result) else result

    return run


async def _checked(check: Check | None, output: Any) -> None:
    """Raise ``CheckFailedError`` if there is a check and it refuses the output."""
    if check is None:
        return
    found = check(output)
    if inspect.isawaitable(found):
        found = await found
    if not found:
        raise CheckFailedError("the check refused the output")


def _or(value: float | None, default: float) -> float:
    return default if value is None else value

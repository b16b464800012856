"""The newest reward samples of every agent, in a few bytes each.

An incremental retraining learns from these, so it costs milliseconds and no I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from selfright.events.intern import Interner
from selfright.learn.features import Features
from selfright.learn.model_type import ModelType
from selfright.learn.samples import Samples

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


@dataclass(slots=True)
class RewardRows:
    """Reward samples under construction: one row serves the three choosing models."""

    agent: list[str] = field(default_factory=list)
    group: list[str | None] = field(default_factory=list)
    route: list[str | None] = field(default_factory=list)
    config: list[str | None] = field(default_factory=list)
    reward: list[float] = field(default_factory=list)
    weight: list[float] = field(default_factory=list)
    ts_us: list[int] = field(default_factory=list)
    features: list[Features | None] = field(default_factory=list)
    decision: list[str | None] = field(default_factory=list)
    failed: list[bool | None] = field(
        default_factory=list
    )  # runs that are an outcome in themselves

    def add(self, more: RewardRows, weight: float) -> None:
        """Append rows of one weight: 1 adds a sample, -1 takes back an earlier one."""
        n = len(more.agent)
        more.weight = [weight] * n
        for name in self.__dataclass_fields__:
            column = getattr(more, name)
            getattr(self, name).extend(column or [None] * n)

    def extend(self, more: RewardRows) -> None:
        """Append rows as they are."""
        for name in self.__dataclass_fields__:
            getattr(self, name).extend(getattr(more, name))

    def without(self, agents: Collection[str], *, but_failures: bool = False) -> RewardRows:
        """Return these rows without those of some agents.

        ``but_failures``: of theirs, those stay that take a sample back or are of failed runs.
        """
        kept = [
            i
            for i, name in enumerate(self.agent)
            if name not in agents or (but_failures and (self.failed[i] or self.weight[i] < 0))
        ]
        columns = {
            name: [getattr(self, name)[i] for i in kept] for name in self.__dataclass_fields__
        }
        return RewardRows(**columns)

    def bounded(self) -> int:
        """Pull rewards back into 0..1 and return how many lay beyond."""
        beyond = 0
        for i, reward in enumerate(self.reward):
            if not 0.0 <= reward <= 1.0:
                self.reward[i] = min(max(reward, 0.0), 1.0)
                beyond += 1
        return beyond

    def samples(self, others: RewardRows | None = None) -> dict[ModelType, Samples]:
        """Return the rows as the choosing models see them; ``others``: all but the selection."""
        if others is not None:
            return others.samples() | {ModelType.AGENT_SELECTION: self._of_agents()}
        agent = self._of_agents()
        return {
            ModelType.AGENT_SELECTION: agent,
            ModelType.ROUTING: _with_arm(self.route, self.group, agent),
            ModelType.PARAMETER_OPTIMIZATION: _with_arm(self.config, self.agent, agent),
        }

    def _of_agents(self) -> Samples:
        reward, weight = np.array(self.reward), np.array(self.weight)
        ts_us = np.array(self.ts_us, dtype=np.int64)
        features = [*self.features] if any(self.features) else None
        return Samples([*self.agent], [*self.group], reward, weight, ts_us, features)


# Stands for "no group / route / parameter set"; no name that passes the door equals it.
_NONE = "\0none"


class Recent:
    """Ring of the newest ``limit`` reward samples per agent: 28 bytes a sample."""

    def __init__(self, limit: int = 100) -> None:
        self.limit = limit
        self._agents = Interner(limit=1_000_000)
        self._names = Interner([_NONE], limit=100_000)  # groups, routes, parameter sets
        self._size = np.zeros(0, dtype=np.int64)
        self._next = np.zeros(0, dtype=np.int64)
        self._reward = np.zeros((0, limit))
        self._ts_us = np.zeros((0, limit), dtype=np.int64)
        self._keys = np.zeros((0, limit, 3), dtype=np.int32)
        # By agent and place; most fleets have none, and need no room for them.
        self._features: dict[int, dict[int, Features]] = {}

    def add(self, rows: RewardRows) -> None:
        """Remember added rows; a row taken back is found by its agent, time and reward."""
        if not rows.agent:
            return
        agent = self._agents.codes(rows.agent)
        if len(self._agents) > len(self._size):
            self._grow(len(self._agents))
        weight = np.array(rows.weight)
        for i in np.flatnonzero(weight < 0).tolist():
            self._take_back(int(agent[i]), rows.ts_us[i], rows.reward[i])
        added = np.flatnonzero(weight > 0)
        agent = agent[added]
        # Several rows of one agent take consecutive places, in their order.
        order = np.argsort(agent, kind="stable")
        first = np.searchsorted(agent[order], agent[order])
        rank = np.empty(len(agent), dtype=np.int64)
        rank[order] = np.arange(len(agent)) - first
        slot = (self._next[agent] + rank) % self.limit
        # Where one agent brings more rows than places, the last assignment wins: the newest.
        self._reward[agent, slot] = np.array(rows.reward)[added]
        self._ts_us[agent, slot] = np.array(rows.ts_us, dtype=np.int64)[added]
        for position, keys in enumerate((rows.group, rows.route, rows.config)):
            self._keys[agent, slot, position] = self._codes([keys[i] for i in added.tolist()])
        self._note_features(agent, slot, [rows.features[i] for i in added.tolist()])
        brought = np.bincount(agent, minlength=len(self._size))
        self._next = (self._next + brought) % self.limit
        self._size = np.minimum(self._size + brought, self.limit)

    def _note_features(
        self, agent: np.ndarray, slot: np.ndarray, features: list[Features | None]
    ) -> None:
        if not (self._features or any(features)):
            return
        for code, place, of in zip(agent.tolist(), slot.tolist(), features, strict=True):
            if of:
                self._features.setdefault(code, {})[place] = of
            elif code in self._features:
                self._features[code].pop(place, None)

    def _codes(self, keys: list[str | None]) -> np.ndarray:
        return self._names.codes([_NONE if key is None else key for key in keys])

    def forget(self, agent: str) -> None:
        """Drop the samples of one agent."""
        code = self._agents.get(agent)
        if code is not None and code < len(self._size):
            self._size[code] = 0
            self._features.pop(code, None)

    def newest_agents(self, limit: int) -> list[str]:
        """Return the agents of the fleet's newest ``limit`` samples."""
        stamped = sorted(
            ((int(ts), name) for name in self._agents.names for ts in self._times(name)),
            reverse=True,
        )[:limit]
        return list(dict.fromkeys(name for _, name in stamped))

    def means(self) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Return of every agent its name, how many samples are remembered, and their mean."""
        n = len(self._agents)
        age = (self._next[:n, None] - 1 - np.arange(self.limit)) % self.limit
        total = np.where(age < self._size[:n, None], self._reward[:n], 0.0).sum(axis=1)
        return (
            list(self._agents.names),
            self._size[:n].copy(),
            total / np.maximum(self._size[:n], 1),
        )

    def samples(self, model_type: ModelType, agents: Iterable[str]) -> Samples:
        """Return the newest samples of ``agents`` as ``model_type`` sees them, oldest first."""
        rows = RewardRows()
        for agent in agents:
            code = self._agents.get(agent)
            if code is None or code >= len(self._size):
                continue
            for slot in self._order(code).tolist():
                group, route, config = (
                    None if key == 0 else self._names.names[key]
                    for key in self._keys[code, slot].tolist()
                )
                one = RewardRows(
                    [agent],
                    [group],
                    [route],
                    [config],
                    reward=[float(self._reward[code, slot])],
                    ts_us=[int(self._ts_us[code, slot])],
                    features=[self._features.get(code, {}).get(slot)],
                )
                rows.add(one, 1.0)
        return rows.samples()[model_type]

    def count(self, agent: str) -> int:
        """Return how many samples of ``agent`` are remembered."""
        code = self._agents.get(agent)
        return 0 if code is None or code >= len(self._size) else int(self._size[code])

    def _order(self, code: int) -> np.ndarray:
        size = int(self._size[code])
        slots: np.ndarray = (int(self._next[code]) - size + np.arange(size)) % self.limit
        return slots

    def _times(self, agent: str) -> list[int]:
        code = self._agents.get(agent)
        if code is None or code >= len(self._size):
            return []
        times: list[int] = self._ts_us[code, self._order(code)].tolist()
        return times

    def _take_back(self, code: int, ts_us: int, reward: float) -> None:
        order = self._order(code)
        match = (self._ts_us[code, order] == ts_us) & (self._reward[code, order] == reward)
        found = np.flatnonzero(match)
        if not found.size:
            return
        # Close the gap: the newer samples move one place towards the removed one.
        for at in range(int(found[-1]), len(order) - 1):
            here, following = order[at], order[at + 1]
            self._reward[code, here] = self._reward[code, following]
            self._ts_us[code, here] = self._ts_us[code, following]
            self._keys[code, here] = self._keys[code, following]
            self._note_features(
                np.array([code]), np.array([here]), [self._features.get(code, {}).get(following)]
            )
        self._size[code] -= 1
        self._next[code] = (self._next[code] - 1) % self.limit

    def _grow(self, needed: int) -> None:
        size = max(needed, 2 * len(self._size), 16)
        for name in ("_size", "_next", "_reward", "_ts_us", "_keys"):
            old = getattr(self, name)
            new = np.zeros((size, *old.shape[1:]), dtype=old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)

    def to_state(self) -> dict[str, Any]:
        """Return the state as JSON-able values and numpy arrays."""
        n = len(self._agents)
        return {
            "limit": self.limit,
            "agents": [*self._agents.names],
            "names": [*self._names.names],
            "size": self._size[:n].copy(),
            "next": self._next[:n].copy(),
            "reward": self._reward[:n].copy(),
            "ts_us": self._ts_us[:n].copy(),
            "keys": self._keys[:n].copy(),
            "features": [
                [code, [[place, dict(of)] for place, of in sorted(found.items())]]
                for code, found in sorted(self._features.items())
            ],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """Return the ring that ``to_state`` described."""
        recent = cls(state["limit"])
        recent._agents = Interner(state["agents"], limit=1_000_000)
        recent._names = Interner(state["names"], limit=100_000)
        recent._size, recent._next = state["size"].copy(), state["next"].copy()
        recent._reward = state["reward"].copy()
        recent._ts_us, recent._keys = state["ts_us"].copy(), state["keys"].copy()
        recent._features = {code: dict(found) for code, found in state["features"]}
        return recent


def _with_arm(arm: list[str | None], group: list[Any], of: Samples) -> Samples:
    kept = [i for i, name in enumerate(arm) if name is not None]
    features = None if of.features is None else [of.features[i] for i in kept]
    return Samples(
        [str(arm[i]) for i in kept], [group[i] for i in kept],
        of.y[kept], of.weight[kept], of.ts_us[kept], features,
    )  # fmt: skip

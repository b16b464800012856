"""The merge of a full retraining: extracts of consecutive parts, joined to samples.

Says, sample by sample and in the same order, what ``Feed`` says commit by commit:

1. from the commit of its first outcome on, an agent is judged by outcomes: of its runs only
   failures count any more. Where what statuses taught is set aside, failures without an
   outcome count again, as 0; elsewhere they have been counted;
2. an outcome takes back the 0 of the failed run that it belongs to;
3. a sample taken back and the one it takes back cancel each other. Where that one lies
   before what was read, there is nothing to take back.

What is independent of other rows is done for all at once. Row by row go only the failed
runs, and the outcomes of failed runs, of agents that are judged by outcomes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from selfright.learn.features import features_from
from selfright.learn.feed import WAITING_PER_AGENT
from selfright.learn.model_type import ModelType
from selfright.learn.parts.extract import (
    GONE_OUTCOME,
    GONE_RUN,
    OUTCOME,
    REPLACED,
    REWARDED,
    RUN,
    STEPS,
    ZEROS,
    Extract,
)
from selfright.learn.samples import GRAIN, Samples

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from selfright.learn.features import Features
    from selfright.learn.parts.extract import Bools, Codes, Floats, Ints, Texts

_NEVER: Final = np.iinfo(np.int64).max
_MIXER: Final = np.uint64(0x9E3779B97F4A7C15)  # odd: no two numbers become one


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """n samples, as codes of ``names``, in order of arrival; all of them to be added."""

    names: Texts
    arm: Codes
    group: Codes
    about: Codes
    y: Floats
    ts_us: Ints

    def __len__(self) -> int:
        return len(self.arm)

    def take(self, chosen: slice | Bools) -> Joined:
        """Return the chosen ones."""
        return Joined(
            self.names, self.arm[chosen], self.group[chosen], self.about[chosen],
            self.y[chosen], self.ts_us[chosen],
        )  # fmt: skip

    def newest(self, limit: int) -> Joined:
        """Return the newest ``limit``; 0: all."""
        return self.take(slice(max(0, len(self) - limit) if limit else 0, None))

    def trusted(self, since_us: Mapping[str, int]) -> Joined:
        """Return those that came after the change point of their arm, where it has one."""
        if not since_us:
            return self
        since = np.array([since_us.get(str(name), -1) for name in self.names], dtype=np.int64)
        return self.take(self.ts_us > since[self.arm])

    def samples(self) -> Samples:
        """Return them with their names. About .1 us each."""
        names = np.array([*self.names, None], dtype=object)  # None keeps it one of objects
        return Samples(
            names[self.arm].tolist(),
            names[self.group].tolist(),
            self.y,
            np.ones(len(self)),
            self.ts_us,
            self._features(),
        )

    def _features(self) -> list[Features | None] | None:
        codes, at = np.unique(self.about, return_inverse=True)
        found = [features_from(self.names[code]) for code in codes.tolist()]
        return [found[i] for i in at.tolist()] if any(found) else None


def join(parts: Iterable[Extract], model_type: ModelType) -> Joined:
    """Return what consecutive parts of a log teach together.

    About .1 us a row; 1 us for each failed run of an agent that is judged by outcomes.
    Needs 40 bytes a row besides the parts.
    """
    found = Extract.concat(parts)
    if model_type in REWARDED:
        rows, weight = _judged(found, model_type)
    else:
        rows, weight = np.arange(len(found)), found.weight
    arm, group, about = found.arm[rows], found.group[rows], found.about[rows]
    ts_us, y = found.ts_us[rows], found.reward[rows]
    y = np.rint(y * GRAIN) / GRAIN
    nobody = found.names.index(None) if None in found.names else -1
    known = np.ones(len(arm), np.bool_) if model_type not in REWARDED else arm != nobody
    pair = arm.astype(np.int64) * len(found.names) + group
    kept = known & _uncancelled((pair, y, ts_us), weight, known)
    return Joined(found.names, arm[kept], group[kept], about[kept], y[kept], ts_us[kept])


def _judged(found: Extract, model_type: ModelType) -> tuple[Ints, np.ndarray]:
    """Return which rows count, in their order, and with which weight."""
    since = np.full(len(found.names) + 1, _NEVER)
    # The first of several parts that know an agent knows its first outcome.
    np.minimum.at(since, found.judged, found.judged_step // STEPS)
    commit, phase = found.step // STEPS, found.step % STEPS
    of_row = since[found.agent]
    # What statuses taught is set aside where it was taught: in the rewards of the agents.
    aside = model_type is ModelType.AGENT_SELECTION
    counts = of_row == _NEVER
    if not aside:
        counts |= commit < of_row
        counts |= (commit == of_row) & (found.failed | (phase == GONE_RUN))
    counts |= (commit > of_row) & found.failed
    counts |= phase >= GONE_OUTCOME
    extra, gone = _failures(found, since, of_row, aside=aside)
    counts[gone] = False
    rows = np.flatnonzero(counts)
    if not extra:
        return rows, found.weight[rows]
    extra.sort()
    step, _, _, row, sign = (np.array(column) for column in zip(*extra, strict=True))
    at = np.searchsorted(found.step[rows], step)
    signs = np.insert(found.weight[rows], at, sign.astype(np.int8))
    return np.insert(rows, at, row), signs


# Step, agent's rank or outcome's row, place among those, the failed run's row, weight.
_Extra = tuple[int, int, int, int, int]


def _failures(
    found: Extract, since: Ints, of_row: Ints, *, aside: bool
) -> tuple[list[_Extra], list[int]]:
    """Return what failed runs count besides, and retractions of what counts no more.

    Of the agents that are judged by outcomes; of the others each run counts as it is.
    ``aside``: what statuses taught is set aside, so that failures count again.
    """
    rank: dict[int, int] = {}
    for agent in found.judged.tolist():
        rank.setdefault(agent, len(rank))
    mine = np.flatnonzero(of_row[found.watched] != _NEVER)
    if not len(mine):
        return [], []
    agents = found.agent[found.watched[mine]]
    order = np.argsort(agents, kind="stable")
    mine, agents = mine[order], agents[order]
    edges = np.flatnonzero(np.diff(agents, prepend=-1)).tolist()
    extra: list[_Extra] = []
    gone: list[int] = []
    rows, steps = found.watched, found.step
    for first, last in zip(edges, [*edges[1:], len(mine)], strict=True):
        agent, places = int(agents[first]), mine[first:last]
        events = zip(
            rows[places].tolist(),
            steps[rows[places]].tolist(),
            [found.run_ids[i] for i in places.tolist()],
            strict=True,
        )
        zeros = _follow(events, int(since[agent]), rank[agent], extra, gone)
        extra += zeros if aside else []
    return extra, gone


def _follow(
    events: Iterable[tuple[int, int, str]],
    since: int,
    rank: int,
    extra: list[_Extra],
    gone: list[int],
) -> list[_Extra]:
    """Follow one agent's failed runs until an outcome replaces them, as ``Feed`` does.

    Returns those that had none when the first outcome came, as rows that count again.
    """
    waiting: dict[str, int] = {}
    counted_at = since * STEPS + ZEROS
    zeros: list[_Extra] | None = None
    for row, step, run_id in events:
        if zeros is None and step > counted_at:
            zeros = _zeros(waiting, counted_at, rank)
        phase = step % STEPS
        if phase == OUTCOME:
            replaced = waiting.pop(run_id, None)
            if replaced is not None:
                extra.append((step - OUTCOME + REPLACED, row, 0, replaced, -1))
        elif phase == RUN:
            waiting[run_id] = row
            if len(waiting) > WAITING_PER_AGENT:
                del waiting[next(iter(waiting))]
        elif phase == GONE_RUN and waiting.pop(run_id, None) is None and zeros is not None:
            gone.append(row)
    return _zeros(waiting, counted_at, rank) if zeros is None else zeros


def _zeros(waiting: Mapping[str, int], step: int, rank: int) -> list[_Extra]:
    return [(step, rank, place, row, 1) for place, row in enumerate(waiting.values())]


def _uncancelled(key: Sequence[np.ndarray], weight: np.ndarray, known: Bools) -> Bools:
    """Return which samples stay once those taken back are cancelled.

    Samples of equal keys are alike; of several the earliest goes.
    """
    stays: Bools = weight > 0
    negative = ~stays & known
    if not negative.any():
        return stays
    # Sorting all by four keys takes seconds for a million; few are alike a retraction's.
    marks = _marks(key)
    wanted = np.unique(marks[negative])
    at = np.minimum(np.searchsorted(wanted, marks), len(wanted) - 1)
    some = np.flatnonzero((wanted[at] == marks) & known)
    columns = [column[some] for column in key]
    order = np.lexsort(columns)
    changes = np.zeros(len(order), np.bool_)
    for column in columns:
        changes[1:] |= column[order][1:] != column[order][:-1]
    group = np.cumsum(changes)
    positive = stays[some][order]
    taken = np.bincount(group, weights=~positive).astype(np.int64)
    # Of each sample to be added: how many equal ones came before it.
    before: Ints = np.cumsum(positive) - positive
    first: Ints = before[np.flatnonzero(np.diff(group, prepend=-1))]
    stays[some[order]] = positive & (before - first[group] >= taken[group])
    return stays


def _marks(key: Sequence[np.ndarray]) -> np.ndarray:
    """Return one number for each key, uint64[n]: equal for equal keys, else hardly ever."""
    marks = np.zeros(len(key[0]), np.uint64)
    for column in key:
        # Zero is one number, whatever its sign.
        marks = (marks ^ (column + 0).view(np.uint64)) * _MIXER
    return marks

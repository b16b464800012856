"""The samples of a log, read in a row: for strategies in which their order counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from selfright.events.absent import without_deleted
from selfright.learn.feed import Feed, RewardPolicy
from selfright.learn.model_type import ModelType
from selfright.learn.samples import Samples
from selfright.retrain.segments import ROWS_PER_SAMPLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from selfright.log.protocol import EventLog

    Progress = Callable[[float], None]


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
    end, rows = log.next_offset, limit * ROWS_PER_SAMPLE or log.next_offset
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


def trusted(samples: Samples, since_us: Mapping[str, int]) -> Samples:
    """Return the samples without those from before the change point of their agent."""
    if not since_us:
        return samples
    since = np.array([since_us.get(arm, -1) for arm in samples.arm], dtype=np.int64)
    return samples.take(samples.ts_us > since)


def newest_per_agent(samples: Samples, agents: Sequence[str], limit: int) -> Samples:
    """Return the newest ``limit`` of each of ``agents``; none named: of the newest seen."""
    wanted = set(agents) or set(samples.arm[-limit:])
    left = dict.fromkeys(wanted, limit)
    kept = np.zeros(len(samples), dtype=np.bool_)
    for i in range(len(samples) - 1, -1, -1):
        arm = samples.arm[i]
        if left.get(arm):
            left[arm] -= 1
            kept[i] = True
    return samples.take(kept)


def _nobody(_share: float) -> None:
    """Tell nobody."""

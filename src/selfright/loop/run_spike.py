"""Spikes as users see them: which run was far from usual in what, in their units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from selfright.detect.policy import BOUNDS
from selfright.events.timestamp import iso

if TYPE_CHECKING:
    from selfright.detect.certainty.owners import Stream
    from selfright.detect.certainty.spike import Spike


class RunSpike(msgspec.Struct, frozen=True, kw_only=True):
    """One run that was far from all that is usual for its agent; worth a look, never an alert.

    Attributes
    ----------
    agent_name
        Whose run it was.
    metric
        ``latency``, ``cost``, ``memory`` or ``token_usage``.
    value, usual
        What the run took and the agent's median then: milliseconds, dollars, megabytes, tokens.
    z
        How far apart they are, in spreads of the logarithm; below 0: the run took too little.
    offset
        The run's place in the log, as lists of runs have it.
    timestamp
        When the run began, RFC 3339.
    """

    agent_name: str
    metric: str
    value: float
    usual: float
    z: float
    offset: int
    timestamp: str

    @property
    def key(self) -> str:
        """What tells it from all others."""
        return f"{self.offset}-{self.metric}"

    def to_dict(self) -> dict[str, Any]:
        """Return a plain dict."""
        return msgspec.structs.asdict(self)


def shown(agent_name: str, stream: Stream, spike: Spike) -> RunSpike:
    """Return a spike in a user's units."""
    unit = BOUNDS[stream.metric].unit
    return RunSpike(
        agent_name=agent_name,
        metric=stream.metric.word,
        value=spike.value / unit,
        usual=spike.usual / unit,
        z=spike.z,
        offset=spike.offset,
        timestamp=iso(spike.ts_us),
    )

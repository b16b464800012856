"""Watch, certainty and trigger together, for an agent that is the whole fleet.

The order is that of the fold: a row is judged, the trigger hears it, and may ask for a retraining.
What is asked for is rejected at once, which leaves the evidence as it was: the worst case for
attempts that are not needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from benchmarks.decisions.detection.ours import SECOND_US, THRESHOLD, rows
from benchmarks.decisions.detection.streams import Floats
from selfright.detect.certainty.fleet import Certainty, CertaintyPolicy
from selfright.detect.detection import Kind, WatchedMetric
from selfright.detect.policy import WatchPolicy
from selfright.detect.watch import FleetWatch
from selfright.events.record import GateRecord, RetrainFinished, RetrainRequested
from selfright.loop.evidence import Judged, judge
from selfright.retrain.trigger import Request, Trigger, TriggerPolicy

WATCH: Final = WatchPolicy(
    success_rate_min=0.8,
    error_rate_max=0.15,
    accuracy_min=THRESHOLD,
    latency_p95_max_ms=5000.0,
    cost_per_task_max=1.0,
    memory_max_mb=1024.0,
    token_per_task_max=5000.0,
)
_ALERTS: Final = frozenset({Kind.DRIFT, Kind.CERTAIN})


class Deed(NamedTuple):
    """What was done at an outcome: ``alert``, ``incremental`` or ``full``."""

    at: int
    what: str


def deeds(x: Floats, policy: CertaintyPolicy | None, step_s: int) -> Iterator[Deed]:
    """Yield what the whole policy does with one agent, an outcome every ``step_s`` seconds.

    Without a policy of certainty the Beta rule is alone.
    """
    watch, trigger = FleetWatch(WATCH), Trigger(TriggerPolicy())
    bounds = {} if policy is None else {WatchedMetric.ACCURACY: THRESHOLD}
    certainty = Certainty(policy or CertaintyPolicy(), bounds)
    block = rows(x[None, :], 0, WatchedMetric.ACCURACY)
    ts_us = block.offset * step_s * SECOND_US
    open_alerts: set[int] = set()
    judged = Judged(block._replace(ts_us=ts_us), ts_us)
    for row in judge(watch, certainty, judged, trigger.urgent):
        for detection in row.detections:
            trigger.observe(detection, _name(detection.scope))
            if detection.kind in _ALERTS and detection.scope not in open_alerts:
                open_alerts.add(detection.scope)
                yield Deed(row.offset, "alert")
            elif detection.kind is Kind.RECOVERED:
                open_alerts.discard(detection.scope)
        asked = trigger.decide(watch, row.agent, row.now_us, row.offset, _name)
        if isinstance(asked, Request):
            yield Deed(row.offset, asked.act.mode)
            trigger.note_started(asked.act, row.now_us)
            trigger.note_finished(_rejected(asked.act), row.now_us)


def numbers(done: list[list[Deed]], what: str) -> list[int]:
    """Return how often each agent saw it done."""
    return [sum(deed.what == what for deed in deeds_of) for deeds_of in done]


def first(done: list[list[Deed]], what: str, change: int) -> list[float]:
    """Return after how many outcomes behind ``change`` it was first done; inf: never."""
    return [
        next((d.at - change + 1.0 for d in deeds_of if d.what == what and d.at >= change), np.inf)
        for deeds_of in done
    ]


def _name(scope: int) -> str | None:
    return None if scope < 0 else "agent"


def _rejected(act: RetrainRequested) -> RetrainFinished:
    return RetrainFinished(
        act_id=f"{act.act_id}:done",
        ts_us=0,
        retrain_id=act.act_id,
        model_type=act.model_type,
        retrain_type=act.mode,
        state="done",
        reason="",
        automatic=True,
        agents=act.agents,
        gate=GateRecord(verdict="rejected"),
    )

"""Why a certain alert is there, worked out anew from the events in the log.

The alert keeps the reference that it was raised against and the place of its change point. From
these and the log's own rows the evidence is computed again, outcome by outcome: what
comes out is not a record of what was thought, but the thought itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from selfright.detect.certainty.bets import RATE_BETS, REFERENCE_GRID, TEMPER_GRID, values
from selfright.detect.certainty.fleet import RATES
from selfright.detect.certainty.lane import Lane
from selfright.detect.detection import WatchedMetric
from selfright.detect.policy import BOUNDS
from selfright.events.timestamp import iso
from selfright.loop.evidence import judged
from selfright.metrics.interval import wilson

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from selfright.events.batch import Commit
    from selfright.log.protocol import EventLog

# A drop that took longer is shown from its end: no reader looks at more.
_MOST_ROWS: Final = 20_000
_POINTS: Final = 200
_NAMED: Final = 20  # events that mattered most


@dataclass(frozen=True, slots=True)
class Judged:
    """One outcome of the agent as the detectors saw it; low ``x`` is bad for a rate."""

    offset: int
    ts_us: int
    x: float
    run_id: str | None


def explained(log: EventLog, agent_name: str | None, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a certain finding rests on, from the events in the log.

    Parameters
    ----------
    agent_name
        Whose alert it is; None: the fleet's, of which no single events are shown.
    found
        The finding as the alert keeps it: metric, value, inputs (see ``message.cause``).

    Returns
    -------
    ``guarantee`` in words; ``reference``, ``change_point``, ``before`` and ``after`` with 95 %
    intervals; ``evidence`` over the outcomes since the change point (1 is the level of an alarm);
    ``events`` that mattered most. The last two are empty where retention took the rows.
    """
    inputs = found["inputs"]
    metric = WatchedMetric[found["metric"].upper()]
    told = {
        "guarantee": _guarantee(inputs),
        "reference": inputs.get("reference", "own baseline of ranks"),
        "reference_value": inputs.get("reference_value", found["threshold"]),
        "change_point": {
            "offset": inputs["changed_offset"],
            # Else it was so from the first outcome on.
            "at": iso(inputs["changed_ts_us"]) if inputs["changed_offset"] >= 0 else None,
            "outcomes_since": found["n"],
            "began_before_outcomes": [inputs["began_before_most"], inputs["began_before_least"]],
        },
        "before": _mean(inputs.get("before"), inputs.get("before_n") or 0),
        "after": _mean(found["value"], found["n"]),
        "evidence": [],
        "events": [],
    }
    if agent_name is None:
        return told
    rows = list(_rows(log, agent_name, metric, inputs["changed_offset"], found["offset"]))
    if metric in RATES:
        told["evidence"], told["events"] = _evidence(rows, metric, inputs)
    else:
        told["events"] = _extremes(rows, metric, low=inputs["side"] == "low")
    return told


def _guarantee(inputs: Mapping[str, Any]) -> str:
    once = f"{inputs['run_length']:,.0f}"
    return (
        f"an agent that keeps its reference is suspected like this once in {once} updates of a "
        "detector at most, on average; how agents depend on each other does not matter"
    )


def _mean(value: float | None, n: int) -> dict[str, Any] | None:
    if value is None:
        return None
    inside = 0.0 <= value <= 1.0 and n > 0
    return {"value": value, "n": n, "interval": wilson(value * n, n) if inside else None}


def _rows(
    log: EventLog, agent_name: str, metric: WatchedMetric, after: int, until: int
) -> Iterator[Judged]:
    """Yield the agent's outcomes behind offset ``after`` up to ``until``, in the log's order."""
    at, left = max(after + 1, log.first_offset), _MOST_ROWS
    while at <= until and left > 0:
        commits = log.read(at)
        if not commits:
            return
        for commit in commits:
            part = commit.between(at, until + 1)
            for row in _of_commit(part, agent_name, metric):
                yield row
                left -= 1
            at = max(at, commit.next_offset)


def _of_commit(commit: Commit, agent_name: str, metric: WatchedMetric) -> Iterator[Judged]:
    runs = np.array([name != agent_name for name in commit.runs.agent_name], dtype=np.int32)
    outcomes = np.array([name != agent_name for name in commit.outcomes.agent_name], dtype=np.int32)
    rows = judged(commit, runs, outcomes, {}, 0, by_event=False).rows
    names: dict[int, str | None] = {}
    names.update(zip(commit.runs.seq.tolist(), commit.runs.run_id, strict=True))
    names.update(zip(commit.outcomes.seq.tolist(), commit.outcomes.run_id, strict=True))
    mine = np.flatnonzero((rows.agent == 0) & (rows.values[:, metric] >= 0))
    for offset, ts_us, value in zip(
        rows.offset[mine].tolist(),
        rows.ts_us[mine].tolist(),
        rows.values[mine, metric].tolist(),
        strict=True,
    ):
        yield Judged(offset, ts_us, value, names.get(offset))


def _evidence(
    rows: list[Judged], metric: WatchedMetric, inputs: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    turned = metric is WatchedMetric.ERROR_RATE
    bound = inputs["reference_value"]
    grade = (
        round((1.0 - bound if turned else bound) * REFERENCE_GRID),
        round(inputs["temper"] * TEMPER_GRID),
    )
    lane = Lane(1)
    lane.use(0, values(grade, RATE_BETS))
    course, weighed = [], []
    for row in rows:
        x = 1.0 - row.x if turned else row.x
        lane.update(x, inputs["run_length"], row.offset, row.ts_us)
        share = lane.weighed(0) / inputs["run_length"]
        course.append(
            {"at": iso(row.ts_us), "offset": row.offset, "outcome": row.x, "share": share}
        )
        weighed.append((x, -row.offset, row))
    step = max(1, -(-len(course) // _POINTS))
    shown = [point for i, point in enumerate(course) if (len(course) - 1 - i) % step == 0]
    worst = sorted(weighed)[:_NAMED]
    return shown, [_event(row, row.x) for x, _, row in worst if x < 1.0]


def _extremes(rows: list[Judged], metric: WatchedMetric, *, low: bool) -> list[dict[str, Any]]:
    unit = BOUNDS[metric].unit
    ordered = sorted(rows, key=lambda row: (row.x if low else -row.x, -row.offset))
    return [_event(row, row.x / unit) for row in ordered[:_NAMED]]


def _event(row: Judged, value: float) -> dict[str, Any]:
    return {"run_id": row.run_id, "offset": row.offset, "at": iso(row.ts_us), "value": value}

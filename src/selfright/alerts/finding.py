"""What detectors, retrainings and rollbacks found, as an alert shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from selfright.alerts.alert import AlertLevel
from selfright.alerts.entry import Evaluation
from selfright.alerts.message import cause, detection_says, retraining_says, rollback_says
from selfright.detect.detection import Kind, WatchedMetric
from selfright.events.timestamp import iso
from selfright.metrics.metric_type import MetricType

if TYPE_CHECKING:
    from selfright.detect.detection import Detection
    from selfright.events.record import ModelAdopted, RetrainFinished

# What each kind of detection does: the level at which it raises its rule's alert, or
# None where it takes that back. A further kind is one more line.
_RAISES: Final[Mapping[Kind, AlertLevel | None]] = {
    Kind.BEYOND: AlertLevel.WARNING,
    Kind.CLEARED: None,
    Kind.LIKELY: AlertLevel.WARNING,
    Kind.UNLIKELY: None,
    Kind.DRIFT: AlertLevel.WARNING,
    Kind.ESCALATED: None,
    Kind.CERTAIN: AlertLevel.CRITICAL,
    Kind.CONFIRMED: AlertLevel.CRITICAL,
    Kind.CONTAINED: AlertLevel.CRITICAL,
    Kind.RECOVERED: None,
}


def raises(detection: Detection) -> bool:
    """Tell whether the detection raises an alert; otherwise it takes one back."""
    return _RAISES[detection.kind] is not None


def of_detection(
    detection: Detection, agent_name: str | None, measured: float | None = None
) -> Evaluation:
    """Return what a detector found.

    ``measured`` is the quantity itself where the detector followed a share of it: p95 in
    milliseconds for latency. Then value and threshold are shown in that unit.
    """
    limit = detection.inputs.get("limit_ms")
    shown, threshold = detection.value, detection.threshold
    details = cause(detection, agent_name)
    if measured is not None and detection.metric is WatchedMetric.LATENCY:
        assert isinstance(limit, float)  # the watch says what the share is above
        shown, threshold = measured, limit
        details["measured"] = measured
    return Evaluation(
        rule=str(detection.inputs["setting"]),
        agent_name=agent_name,
        metric_type=MetricType(detection.metric.word),
        level=_RAISES[detection.kind] or AlertLevel.INFO,
        message=detection_says(detection, agent_name, details.get("measured")),
        finder=detection.detector,
        mark=detection.offset,
        current_value=shown,
        threshold=threshold,
        details=details,
        change_point=_change_point(detection),
    )


def _change_point(detection: Detection) -> dict[str, Any] | None:
    """Return where the change was: behind which row of the log; None if nobody can tell."""
    inputs = detection.inputs
    offset, ts_us = inputs.get("changed_offset"), inputs.get("changed_ts_us")
    if not isinstance(offset, int) or not isinstance(ts_us, int):
        return None
    return {
        "offset": offset,
        "at": iso(ts_us) if offset >= 0 else None,  # else it was so from the first outcome on
        "outcomes_since": detection.n,
        "began_before_most": inputs["began_before_most"],
        "began_before_least": inputs["began_before_least"],
    }


def of_retraining(
    finished: RetrainFinished, metric: MetricType, *, rolled_back: bool
) -> Evaluation:
    """Return what became of a retraining; ``metric`` is what it was asked for by."""
    level = AlertLevel.WARNING if finished.state == "aborted" else AlertLevel.INFO
    if finished.state == "failed" or rolled_back:
        level = AlertLevel.CRITICAL
    return Evaluation(
        rule="retraining",
        agent_name=finished.agents[0] if len(finished.agents) == 1 else None,
        metric_type=metric,
        level=level,
        message=retraining_says(finished) + ("; rolled back" if rolled_back else ""),
        finder=finished.model_type,
        mark=finished.act_id,
        details={**msgspec.to_builtins(finished), "rolled_back": rolled_back},
    )


def of_rollback(adopted: ModelAdopted, metric: MetricType) -> Evaluation:
    """Return that an earlier version serves again."""
    return Evaluation(
        rule="rollback",
        agent_name=None,
        metric_type=metric,
        level=AlertLevel.CRITICAL,
        message=rollback_says(adopted),
        finder=adopted.model_type,
        mark=adopted.act_id,
        details=msgspec.to_builtins(adopted),
    )

"""What certainty found, in a user's units and orientation."""

from __future__ import annotations

from typing import Final

from selfright.detect.certainty.fleet import AT_ONCE, RATES
from selfright.detect.certainty.found import Found
from selfright.detect.certainty.owners import Stream
from selfright.detect.certainty.rates import REFERENCES
from selfright.detect.detection import SYSTEM, Detection, Kind, WatchedMetric
from selfright.detect.policy import BOUNDS, WatchPolicy
from selfright.metrics.interval import wilson

# The names under which findings are told apart: a quantity may rise and fall at once.
DETECTOR: Final = "e"
LOW_DETECTOR: Final = "e_low"
_ONLY_DRIFT: Final = (None, Kind.DRIFT)


def drift_rule(metric: WatchedMetric) -> str:
    """Return the name of the alert rule of a certain change within the threshold."""
    return f"{metric.word}_drift"


def detections_of(stream: Stream, found: Found, policy: WatchPolicy) -> tuple[Detection, ...]:
    """Return what a finding says of its metric, one detection for each rule concerned."""
    metric = stream.metric
    if metric not in RATES:
        return (_of_quantity(stream, found),)
    rule, drift = BOUNDS[metric].setting, drift_rule(metric)
    match found.kind:
        case Kind.DRIFT:
            return (_of_rate(stream, found, found.kind, drift, policy),)
        case Kind.CERTAIN | Kind.CONFIRMED if found.said is Kind.DRIFT:
            # The drift is part of something worse, which has a rule of its own.
            return (
                _of_rate(stream, found, Kind.ESCALATED, drift, policy),
                _of_rate(stream, found, found.kind, rule, policy),
            )
        case Kind.RECOVERED if found.said in _ONLY_DRIFT:
            return (_of_rate(stream, found, found.kind, drift, policy),)
        case _:
            return (_of_rate(stream, found, found.kind, rule, policy),)


def _of_rate(stream: Stream, found: Found, kind: Kind, rule: str, policy: WatchPolicy) -> Detection:
    metric = stream.metric
    at_once = AT_ONCE if stream.scope == SYSTEM else 1
    n = found.n * at_once
    value = _turned(metric, found.mean)
    reference, wanted = REFERENCES[found.reference], policy.judged(metric)
    # The detectors round a reference down to their grid; a threshold is told as it was set.
    kept = wanted if reference == "threshold" else _turned(metric, found.bound)
    threshold = wanted if rule == BOUNDS[metric].setting else kept
    inputs: dict[str, float | int | str | None] = {
        "setting": rule,
        "reference": reference,
        "reference_value": kept,
        "before": None if found.before is None else _turned(metric, found.before),
        "before_n": found.before_n * at_once,
        "temper": found.temper,
        "probes": found.probes,
        **_place(found, at_once),
    }
    return Detection(
        detector=DETECTOR,
        kind=kind,
        scope=stream.scope,
        metric=metric,
        value=value,
        interval=wilson(value * n, n),
        n=n,
        threshold=threshold,
        probability=None,
        ts_us=found.here.ts_us,
        offset=found.here.offset,
        inputs=inputs,
    )


def _of_quantity(stream: Stream, found: Found) -> Detection:
    # A stream of the low side holds ranks, one of the high side one minus them.
    metric, low = stream.metric, stream.low
    mean, bound = (x if low else 1.0 - x for x in (found.mean, found.bound))
    unit = BOUNDS[metric].unit
    return Detection(
        detector=LOW_DETECTOR if low else DETECTOR,
        kind=found.kind,
        scope=stream.scope,
        metric=metric,
        value=mean,
        interval=None,
        n=found.n,
        threshold=bound,
        probability=None,
        ts_us=found.here.ts_us,
        offset=found.here.offset,
        inputs={
            "setting": drift_rule(metric),
            "side": "low" if low else "high",
            "usual_median": None if found.before is None else found.before / unit,
            **_place(found, 1),
        },
    )


def _place(found: Found, at_once: int) -> dict[str, float | int | str | None]:
    """Return where the change was, and how sure one is that there was one."""
    began = found.began or (None, None)
    return {
        "changed_offset": found.changed.offset,
        "changed_ts_us": found.changed.ts_us,
        "began_before_most": None if began[0] is None else began[0] * at_once,
        "began_before_least": None if began[1] is None else began[1] * at_once,
        "alarms": found.alarms,
        "run_length": found.level,
    }


def _turned(metric: WatchedMetric, goodness: float) -> float:
    return 1.0 - goodness if metric is WatchedMetric.ERROR_RATE else goodness

"""Sentences that an operator understands without the documentation."""

from __future__ import annotations

from dataclasses import replace

import pytest

from selfright.alerts.message import cause, detection_says, names, retraining_says
from selfright.detect.detection import Detection, Kind, WatchedMetric
from selfright.events.record import GateRecord, RetrainFinished

M = WatchedMetric


def detection(kind=Kind.BEYOND, metric=M.ACCURACY, value=0.61, **changes):
    """Return a detection with plausible figures."""
    rates = {M.ACCURACY: 0.7, M.SUCCESS_RATE: 0.8, M.ERROR_RATE: 0.15, M.LATENCY: 0.05}
    inputs = {"setting": "accuracy_min", "window_minutes": 60}
    if metric is M.LATENCY:
        inputs["limit_ms"] = 5000.0
    fields = {
        "detector": "window",
        "kind": kind,
        "scope": 0,
        "metric": metric,
        "value": value,
        "interval": (0.554, 0.671) if metric in rates else None,
        "n": 87,
        "threshold": rates.get(metric, 1.0),
        "probability": None,
        "ts_us": 0,
        "offset": 0,
        "inputs": inputs,
    }
    return Detection(**{**fields, **changes})


@pytest.mark.parametrize(
    ("found", "agent", "measured", "sentence"),
    [
        (
            detection(),
            "planner",
            None,
            (
                "planner: accuracy 0.61 [0.55, 0.67] is below 0.70 over the last 60 min (n = 87); "
                "not yet certain"
            ),
        ),
        (
            detection(Kind.LIKELY, probability=0.9731),
            "planner",
            None,
            (
                "planner: accuracy 0.61 [0.55, 0.67] is below 0.70 with 97 % probability over the "
                "latest 87 outcomes"
            ),
        ),
        (
            detection(Kind.LIKELY, probability=0.99997),
            None,
            None,
            (
                "the fleet: accuracy 0.61 [0.55, 0.67] is below 0.70 with >99 % "
                "probability over the "
                "latest 87 outcomes"
            ),
        ),
        (
            detection(metric=M.ERROR_RATE, value=0.23),
            "planner",
            None,
            (
                "planner: error rate 0.23 [0.55, 0.67] is above 0.15 over the last 60 "
                "min (n = 87); "
                "not yet certain"
            ),
        ),
        (
            detection(metric=M.LATENCY, value=0.083),
            "planner",
            None,
            (
                "planner: p95 latency (8.3 % of runs above the limit) is above 5,000 "
                "ms over the last "
                "60 min (n = 87)"
            ),
        ),
        (
            detection(metric=M.LATENCY, value=0.083),
            "planner",
            6210.4,
            "planner: p95 latency 6,210 ms is above 5,000 ms over the last 60 min (n = 87)",
        ),
        (
            detection(metric=M.COST, value=1.3249),
            "planner",
            None,
            "planner: cost per run $1.325 is above $1 over the last 60 min (n = 87)",
        ),
        (
            detection(Kind.CLEARED, value=0.74),
            "planner",
            None,
            (
                "planner: accuracy 0.74 [0.55, 0.67] is back on the good side of 0.70 "
                "over the last "
                "60 min (n = 87)"
            ),
        ),
        (
            detection(Kind.UNLIKELY, value=0.74, probability=0.4),
            "planner",
            None,
            (
                "planner: accuracy 0.74 [0.55, 0.67] is no longer likely to be below 0.70 over the "
                "latest 87 outcomes"
            ),
        ),
    ],
)
def test_what_a_detection_says(found, agent, measured, sentence):
    """Who, what, how much, by how many outcomes, and how sure."""
    assert detection_says(found, agent, measured) == sentence


def test_every_kind_of_every_metric_has_a_sentence():
    """No combination falls through."""
    for metric in WatchedMetric:
        kinds = Kind if metric.is_rate else (Kind.BEYOND, Kind.CLEARED)
        for kind in kinds:
            said = detection_says(detection(kind, metric, probability=0.96), "a")
            assert said.startswith("a: ")


def test_the_exact_inputs_are_kept():
    """A cause carries every figure of the judgement as plain values."""
    found = detection(Kind.LIKELY, probability=0.97, offset=11, ts_us=12)
    told = cause(found, "planner")
    assert told["agent_name"] == "planner"
    assert told["interval"] == [0.554, 0.671]
    assert (told["probability"], told["offset"], told["ts_us"]) == (0.97, 11, 12)
    assert told["inputs"] == dict(found.inputs)


def finished(**changes):
    """Return the record of a retraining that was promoted."""
    fields = {
        "act_id": "r1:done",
        "ts_us": 0,
        "retrain_id": "r1",
        "model_type": "agent_selection",
        "retrain_type": "incremental",
        "state": "done",
        "reason": "accuracy",
        "automatic": True,
        "agents": ["planner"],
        "events_processed": 100,
        "duration_ms": 12.4,
        "version": 4,
        "parent_version": 3,
        "promoted": True,
        "gate": GateRecord(verdict="promoted"),
    }
    return RetrainFinished(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, ("incremental retraining of agent_selection for planner: version 4 is promoted "
             "(100 outcomes, 12 ms)")),
        ({"promoted": False, "gate": GateRecord(verdict="rejected")},
         ("incremental retraining of agent_selection for planner: version 4 rejected, version 3 "
         "stays (100 outcomes, 12 ms)")),
        ({"state": "failed", "error": "disk full", "agents": []},
         "incremental retraining of agent_selection failed: disk full"),
    ],
)  # fmt: skip
def test_what_a_retraining_says(changes, sentence):
    """Verdict, versions and what it learnt from."""
    assert retraining_says(finished(**changes)) == sentence


def test_many_names_are_counted():
    """Three are named, the others counted."""
    assert names(["a", "b", "c"]) == "a, b, c"
    assert names(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (-1, "since its first outcome (n = 87): certainly below 0.70"),
        (40, "since the change (n = 87): it has certainly worsened, and is below 0.70"),
    ],
)
def test_who_was_never_better_has_not_changed(changed, sentence):
    """An agent that has been below its threshold from the start has no change to speak of."""
    found = detection(Kind.CERTAIN)
    inputs = {"changed_offset": changed, "before": None, "run_length": 1e4}
    said = detection_says(replace(found, detector="e", inputs=inputs), "planner", None)
    assert said == f"planner: accuracy 0.61 [0.55, 0.67] {sentence}"

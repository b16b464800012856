"""What is found is said in the user's units and orientation, under the rule it belongs to."""

from __future__ import annotations

import pytest

from selfright.detect.certainty.found import Found
from selfright.detect.certainty.lane import Mark
from selfright.detect.certainty.owners import Stream
from selfright.detect.certainty.said import detections_of
from selfright.detect.detection import SYSTEM, Detection, Kind, WatchedMetric
from selfright.detect.policy import WatchPolicy

POLICY = WatchPolicy(0.8, 0.15, 0.7, 5000.0, 1.0, 1024.0, 5000.0)
M = WatchedMetric
AGENT = 3


def found(kind: Kind, said: Kind | None = None, reference: int = 0, before: float = 0.9) -> Found:
    """Return a finding about 40 outcomes of which 24 are good; .88 was kept."""
    return Found(
        row=0,
        slot=0,
        kind=kind,
        here=Mark(540, 474.0, 77, 7_000_000),
        changed=Mark(500, 450.0, 33, 3_000_000),
        alarms=1,
        reference=reference,
        bound=0.88,
        temper=1.0,
        before=before,
        before_n=450,
        began=(60, 30),
        level=1e6,
        probes=0,
        said=said,
    )


def told(metric: M, one: Found, scope: int = AGENT, *, low: bool = False) -> list[Detection]:
    """Return what is said of it."""
    return list(detections_of(Stream(scope, metric, low), one, POLICY))


@pytest.mark.parametrize(
    ("metric", "value", "threshold", "reference", "before"),
    [
        (M.SUCCESS_RATE, 0.6, 0.8, 0.88, 0.9),
        (M.ERROR_RATE, 0.4, 0.15, 0.12, 0.1),
        (M.ACCURACY, 0.6, 0.7, 0.88, 0.9),
    ],
)
def test_rates_have_the_orientation_of_their_threshold(
    metric: M, value: float, threshold: float, reference: float, before: float
) -> None:
    """An error rate is what is left of goodness, all along."""
    (one,) = told(metric, found(Kind.CERTAIN))
    assert (one.kind, one.scope, one.metric, one.n) == (Kind.CERTAIN, AGENT, metric, 40)
    assert one.value == pytest.approx(value)
    assert one.threshold == pytest.approx(threshold)
    assert one.interval is not None
    assert one.interval[0] < one.value < one.interval[1]
    assert one.inputs["reference_value"] == pytest.approx(reference)
    assert one.inputs["before"] == pytest.approx(before)
    assert (one.inputs["began_before_most"], one.inputs["began_before_least"]) == (60, 30)
    assert (one.inputs["changed_offset"], one.inputs["changed_ts_us"]) == (33, 3_000_000)
    assert (one.inputs["run_length"], one.ts_us, one.offset) == (1e6, 7_000_000, 77)


@pytest.mark.parametrize(
    ("metric", "limit", "drift"),
    [
        (M.SUCCESS_RATE, "success_rate_min", "success_rate_drift"),
        (M.ERROR_RATE, "error_rate_max", "error_rate_drift"),
        (M.ACCURACY, "accuracy_min", "accuracy_drift"),
    ],
)
def test_each_rule_is_taken_back_under_its_own_name(metric: M, limit: str, drift: str) -> None:
    """Whatever course it takes, what was raised is taken back, and nothing twice."""

    def course(*kinds: Kind) -> set[str]:
        said: Kind | None = None
        open_: set[str] = set()
        for kind in kinds:
            for one in told(metric, found(kind, said)):
                rule = str(one.inputs["setting"])
                if kind_raises(one.kind):
                    open_.add(rule)
                else:
                    open_.remove(rule)
            said = kind
        return open_

    def kind_raises(kind: Kind) -> bool:
        return kind not in {Kind.ESCALATED, Kind.RECOVERED}

    assert course(Kind.DRIFT) == {drift}
    assert course(Kind.DRIFT, Kind.CERTAIN) == {limit}
    assert course(Kind.DRIFT, Kind.CONFIRMED) == {limit}
    assert course(Kind.CERTAIN, Kind.CONFIRMED) == {limit}
    for path in (
        (Kind.DRIFT,),
        (Kind.CERTAIN,),
        (Kind.DRIFT, Kind.CERTAIN),
        (Kind.DRIFT, Kind.CERTAIN, Kind.CONFIRMED),
        (Kind.DRIFT, Kind.CONFIRMED),
    ):
        assert course(*path, Kind.RECOVERED) == set()


def test_a_drift_is_compared_with_what_was_kept() -> None:
    """A threshold is told as it was set, not as the detector rounded it."""
    (kept,) = told(M.ACCURACY, found(Kind.DRIFT))
    assert (kept.threshold, kept.inputs["reference"]) == (0.88, "baseline")
    (wanted,) = told(M.ACCURACY, found(Kind.DRIFT, reference=2))
    assert (wanted.threshold, wanted.inputs["reference"]) == (0.7, "threshold")
    (errors,) = told(M.ERROR_RATE, found(Kind.DRIFT, reference=2))
    assert errors.threshold == errors.inputs["reference_value"] == 0.15


def test_the_fleet_counts_every_outcome() -> None:
    """Twenty are taken at once, and told as twenty."""
    (one,) = told(M.ACCURACY, found(Kind.CERTAIN), SYSTEM)
    assert (one.n, one.inputs["before_n"]) == (800, 9000)
    assert (one.inputs["began_before_most"], one.inputs["began_before_least"]) == (1200, 600)


@pytest.mark.parametrize(
    ("metric", "median", "shown"),
    [
        (M.LATENCY, 250_000.0, 250.0),  # stored in us, told in ms
        (M.COST, 4_000_000.0, 0.004),  # nano-dollars, dollars
        (M.MEMORY, 2048.0, 2.0),  # KiB, MB
        (M.TOKEN_USAGE, 215.0, 215.0),
    ],
)
def test_quantities_are_told_in_the_units_of_their_limits(
    metric: M, median: float, shown: float
) -> None:
    """With the usual median, and the share of the usual runs that are exceeded."""
    (high,) = told(metric, found(Kind.DRIFT, before=median))
    assert high.inputs["setting"] == f"{metric.word}_drift"
    assert high.inputs["usual_median"] == pytest.approx(shown)
    assert (high.inputs["side"], high.detector) == ("high", "e")
    assert (high.value, high.threshold) == (pytest.approx(0.4), pytest.approx(0.12))
    (low,) = told(metric, found(Kind.DRIFT, before=median), low=True)
    assert (low.inputs["side"], low.detector) == ("low", "e_low")
    assert (low.value, low.threshold) == (pytest.approx(0.6), pytest.approx(0.88))

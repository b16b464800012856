"""The health score is what its parts say, and unknown without data."""

from __future__ import annotations

import itertools

import pytest

from selfright.alerts.alert import AlertLevel
from selfright.alerts.health import ALERTS_WEIGHT, PARTS, score

LIMITS = {
    "success_rate_min": 0.8,
    "error_rate_max": 0.15,
    "accuracy_min": 0.7,
    "latency_p95_max_ms": 5000.0,
    "cost_per_task_max": 1.0,
    "memory_max_mb": 1024.0,
    "token_per_task_max": 5000.0,
}
PERFECT = {
    "success_rate": 1.0,
    "error_rate": 0.0,
    "accuracy": 1.0,
    "latency_p95_ms": 100.0,
    "cost_per_task": 0.01,
    "memory_mb": 10.0,
    "tokens_per_task": 100.0,
}
AT_THRESHOLD = {name: LIMITS[part.threshold] for name, part in PARTS.items()}


def test_the_weights_sum_to_one():
    """So that a full score is 100."""
    assert sum(part.weight for part in PARTS.values()) + ALERTS_WEIGHT == pytest.approx(1.0)


def test_no_data_is_unknown_not_healthy():
    """Neither nothing at all nor alerts alone make a score."""
    for values in ({}, dict.fromkeys(PERFECT)):
        found = score(values, LIMITS, [AlertLevel.CRITICAL])
        assert (found.score, found.status, found.parts) == (None, "unknown", ())
        assert found.to_dict()["health_score"] is None


def test_the_best_is_100_and_the_threshold_60():
    """Each part has 100 points at its best and 60 exactly at its threshold."""
    best = score(PERFECT, LIMITS, [])
    assert (best.score, best.status) == (100.0, "healthy")
    at = score(AT_THRESHOLD, LIMITS, [])
    assert {part.points for part in at.parts if part.name != "alerts"} == {60.0}
    assert at.score == 64.0
    assert at.status == "degraded"


@pytest.mark.parametrize("name", list(PARTS))
def test_worse_is_never_better(name):
    """Points fall from the best to the worst, without a jump at the threshold."""
    limit = LIMITS[PARTS[name].threshold]
    top = 1.0 if PARTS[name].shape != "limit" else 3 * limit
    values = [top * i / 200 for i in range(201)]
    if PARTS[name].shape == "high":
        values.reverse()
    points = [score({name: value}, LIMITS, []).parts[0].points for value in values]
    assert points == sorted(points, reverse=True)
    assert (points[0], points[-1]) == (100.0, 0.0)
    assert max(a - b for a, b in itertools.pairwise(points)) < 2.1


def test_what_is_unknown_is_left_out_and_the_rest_weighs_more():
    """Two known parts and the alerts share the whole weight in their proportion."""
    found = score({"success_rate": 0.9, "accuracy": None, "error_rate": 0.03}, LIMITS, [])
    assert [part.name for part in found.parts] == ["success_rate", "error_rate", "alerts"]
    assert [part.weight for part in found.parts] == pytest.approx([0.5, 0.3, 0.2])
    assert found.score == pytest.approx(0.5 * 80 + 0.3 * 92 + 0.2 * 100)


def test_a_part_beyond_its_threshold_is_degraded_whatever_the_score():
    """A good mean hides nothing; the reason is named."""
    found = score({**PERFECT, "accuracy": 0.65}, LIMITS, [])
    assert found.score > 85
    assert found.status == "degraded"
    assert found.reasons == ("accuracy 0.65 is beyond its threshold 0.7",)


def test_alerts_count():
    """A critical alert is degraded at best; many bring their part to zero."""
    found = score(PERFECT, LIMITS, [AlertLevel.CRITICAL, AlertLevel.WARNING, AlertLevel.INFO])
    assert found.parts[-1].points == 45.0
    assert found.status == "degraded"
    assert "1 critical alert" in found.reasons
    many = score(PERFECT, LIMITS, [AlertLevel.WARNING] * 50)
    assert (many.parts[-1].points, many.score) == (0.0, 90.0)


def test_unhealthy():
    """Far beyond the thresholds."""
    found = score({"success_rate": 0.5, "error_rate": 0.5, "accuracy": 0.4}, LIMITS, [])
    assert found.status == "unhealthy"


def test_thresholds_at_the_end_of_their_range_do_no_harm():
    """A minimum of 0 or 1, a maximum of 0 or 1, and no limit at all."""
    for edge in (0.0, 1.0):
        limits = {**LIMITS, "success_rate_min": edge, "error_rate_max": edge}
        for value in (0.0, 0.5, 1.0):
            found = score({"success_rate": value, "error_rate": value}, limits, [])
            assert 0.0 <= found.score <= 100.0
    assert score({"cost_per_task": 5.0}, {"cost_per_task_max": float("inf")}, []).score == 100.0
    assert score({"cost_per_task": 5.0}, {}, []).status == "unknown"

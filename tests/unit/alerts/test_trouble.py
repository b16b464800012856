"""Which agent is called in trouble, and on what grounds."""

from __future__ import annotations

import pytest

from selfright.alerts.alert import AlertLevel
from selfright.alerts.trouble import standing
from selfright.config import Thresholds
from selfright.metrics.interval import wilson

BEYOND = "beyond threshold"
LIMITS = Thresholds(success_rate_min=0.8, latency_p95_max_ms=5_000.0)


def figures(successes: int, runs: int, **more: object) -> dict[str, object]:
    """Return what is known of an agent."""
    return {
        "total_tasks": runs,
        "decided_tasks": runs,
        "success_rate": successes / runs,
        "success_rate_interval": wilson(successes, runs),
        **more,
    }


@pytest.mark.parametrize(
    ("known", "word"),
    [
        (figures(290, 300), "ok"),
        (figures(20, 33), BEYOND),  # 61 % [44-75]
        (figures(24, 33), "ok"),  # 73 % [56-85]: it may well be above 80 %
        (figures(12, 15), "collecting 15/20"),
        (figures(29, 30, p95_latency_ms=6e3, p95_latency_interval=(4e3, 9e3)), "ok"),
        (
            figures(29, 30, p95_latency_ms=6e3, p95_latency_interval=(5.5e3, 9e3)),
            BEYOND,
        ),
        (figures(29, 30, cost_per_task=9.0), BEYOND),  # a figure without interval
        ({}, "idle"),
    ],
)
def test_beyond_a_threshold_is_what_surely_is(known: dict[str, object], word: str) -> None:
    """Not what is beyond it by chance: the end of the interval that speaks for the agent counts."""
    assert standing(known.get, LIMITS, 20, None).word == word


def test_an_open_alert_says_more() -> None:
    """And sorts first."""
    alerted = standing(figures(290, 300).get, LIMITS, 20, AlertLevel.CRITICAL)
    beyond = standing(figures(20, 33).get, LIMITS, 20, None)
    assert alerted.word == "critical"
    assert alerted.place < beyond.place

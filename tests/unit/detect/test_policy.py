"""A threshold that makes no sense is refused by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from selfright.detect.detection import WatchedMetric
from selfright.detect.policy import WatchPolicy
from selfright.errors import ConfigError

POLICY = WatchPolicy(0.8, 0.15, 0.7, 5000.0, 1.0, 1024.0, 5000.0)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("success_rate_min", 0.0),
        ("success_rate_min", 80.0),
        ("error_rate_max", 1.0),
        ("accuracy_min", float("nan")),
        ("latency_p95_max_ms", 0.0),
        ("cost_per_task_max", -1.0),
        ("memory_max_mb", float("inf")),
        ("token_per_task_max", 0.0),
        ("window_minutes", 0),
        ("min_n", 0),
        ("min_n", 201),
        ("recent", 0),
        ("confidence", 0.5),
        ("confidence", 1.0),
        ("clear_margin", -0.1),
    ],
)
def test_refuses_what_lies_outside(setting, value):
    """The error names the setting."""
    with pytest.raises(ConfigError) as caught:
        replace(POLICY, **{setting: value})
    assert caught.value.setting == setting


def test_clear_thresholds_lie_on_the_good_side():
    """A rate clears .02 further on, or half-way to perfect if that is nearer."""
    clear = {metric: POLICY.clear(metric) for metric in WatchedMetric}
    assert clear == pytest.approx(
        {
            WatchedMetric.SUCCESS_RATE: 0.82,
            WatchedMetric.ERROR_RATE: 0.13,
            WatchedMetric.ACCURACY: 0.72,
            WatchedMetric.LATENCY: 0.03,
            WatchedMetric.COST: 0.96,
            WatchedMetric.MEMORY: 983.04,
            WatchedMetric.TOKEN_USAGE: 4800.0,
        }
    )
    strict = replace(POLICY, success_rate_min=0.99, error_rate_max=0.01)
    assert strict.clear(WatchedMetric.SUCCESS_RATE) == pytest.approx(0.995)
    assert strict.clear(WatchedMetric.ERROR_RATE) == pytest.approx(0.005)

"""Every rule has a next step."""

from __future__ import annotations

from selfright.alerts.alert import AlertLevel
from selfright.alerts.recommend import recommendation
from selfright.detect.policy import BOUNDS


def test_every_rule_has_a_next_step():
    """At both levels that call for one, with the agent's name in it."""
    for bound in BOUNDS.values():
        for level in (AlertLevel.WARNING, AlertLevel.CRITICAL):
            assert "planner" in recommendation(bound.setting, level, "planner")
    for level in AlertLevel:
        assert recommendation("retraining", level, None)
    assert recommendation("rollback", AlertLevel.CRITICAL, None)


def test_a_name_with_braces_is_only_a_name():
    """What an agent is called cannot break or read anything."""
    assert "{level.__class__}" in recommendation(
        "accuracy_min", AlertLevel.WARNING, "{level.__class__}"
    )


def test_the_fleet_is_called_so():
    """An alert without agent speaks of the fleet; an unknown rule of nothing."""
    assert "the fleet" in recommendation("accuracy_min", AlertLevel.WARNING, None)
    assert recommendation("something else", AlertLevel.CRITICAL, None) == ""

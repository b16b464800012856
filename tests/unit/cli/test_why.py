"""An alert and what it rests on, as people read it."""

from __future__ import annotations

from selfright.cli.why import lines_of


def _explained(offset: int) -> dict:
    mean = {"value": 1.0, "interval": [0.8, 1.0], "n": 20}
    return {
        "alert": {
            "alert_id": "alert-1",
            "level": "warning",
            "state": "firing",
            "message": "solver: error rate 1.00",
            "recommendation": "Look at solver.",
        },
        "why": {
            "opened_by": {"message": "solver: error rate 1.00"},
            "course": [],
            "runbook": "docs/performance_monitor.md",
            "certainty": {
                "guarantee": "once in 10,000 updates",
                "reference": "threshold",
                "reference_value": 0.15,
                "change_point": {
                    "offset": offset,
                    "at": "2026-01-02T03:04:05Z" if offset >= 0 else "1970-01-01T00:00:00Z",
                    "began_before_outcomes": [None, None],
                },
                "before": None,
                "after": mean,
                "evidence": [],
                "events": [],
            },
        },
    }


def _changed(offset: int) -> str:
    return next(line for line in lines_of(_explained(offset)) if line.startswith("changed"))


def test_a_change_has_its_time_and_place():
    """The event behind which it began."""
    assert _changed(7) == "changed   2026-01-02 03:04:05, behind event 7"


def test_what_was_never_better_has_no_time_of_change():
    """An agent bad from its first event on did not change in 1970."""
    assert "1970" not in _changed(-1)
    assert "first event" in _changed(-1)

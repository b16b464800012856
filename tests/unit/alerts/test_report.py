"""The report has its keys, advises once, and reads well in a terminal."""

from __future__ import annotations

from selfright.alerts.report import as_text, build_report, recommendations

SYSTEM = {
    "total_tasks": 1234,
    "success_rate": 0.912,
    "error_rate": 0.05,
    "avg_accuracy": 0.61,
    "p95_latency_ms": 1234.5,
    "total_tokens": None,
    "total_cost": 12.5,
}


def alert(level="warning", state="firing", advice="do this " * 30, message="planner: bad " * 12):
    """Return an alert as plain values."""
    return {
        "level": level,
        "state": state,
        "recommendation": advice,
        "message": message,
        "timestamp": "2026-01-01T00:00:00.000000Z",
    }


def report(**changes):
    """Return a report with one of everything."""
    parts = {
        "generated_at": "2026-01-01T00:00:00.000000Z",
        "time_window_minutes": 60,
        "system_metrics": SYSTEM,
        "health": {"health_score": 71.3, "status": "degraded", "reasons": ["accuracy is low"]},
        "agent_metrics": {"planner": {"metrics": SYSTEM}, "idle": {"metrics": {"total_tasks": 0}}},
        "alerts": [alert()],
        "trends": {"accuracy": {"direction": "degrading", "slope_per_h": -0.12, "interval": None}},
        "retrainings": [
            {
                "timestamp": "2026-01-01T00:00:00Z",
                "retrain_type": "incremental",
                "model_type": "agent_selection",
                "promoted": False,
                "gate": {"verdict": "rejected"},
                "reason": "accuracy",
            }
        ],
    }
    return build_report(**{**parts, **changes})


def test_the_promised_keys():
    """All of them, whatever is empty."""
    promised = {
        "generated_at", "time_window_minutes", "system_metrics", "health_score",
        "agent_metrics", "recent_alerts", "recommendations", "trends", "retrainings",
    }  # fmt: skip
    assert promised <= set(report())
    empty = report(
        system_metrics={}, health={}, agent_metrics={}, alerts=[], trends={}, retrainings=[]
    )
    assert promised <= set(empty)
    assert empty["health_score"] is None


def test_advice_is_given_once_most_urgent_first_and_only_for_what_is_open():
    """Critical before warning, newest first; nothing for what is resolved."""
    alerts = [
        alert(advice="old warning"),
        alert("critical", advice="critical"),
        alert(advice="new warning"),
        alert(advice="new warning"),
        alert("critical", "resolved", "over"),
        alert(advice=""),
    ]
    assert recommendations(alerts, SYSTEM) == ["critical", "new warning", "old warning"]


def test_what_is_missing_is_advised():
    """No runs, or no outcomes: the report says how to report them."""
    assert "record_agent_run" in recommendations([], {"total_tasks": 0})[0]
    assert "record_accuracy" in recommendations([], {**SYSTEM, "avg_accuracy": None})[0]
    assert recommendations([], SYSTEM) == []


def test_the_text_says_it_all():
    """Health with its reason, figures without what is unknown, and each block."""
    text = as_text(report())
    for expected in (
        "Health: 71 of 100 (degraded)",
        "because accuracy is low",
        "runs 1,234  success 91.2%  errors 5.0%  accuracy 61.0%  p95 1,234 ms  cost $12.50",
        "planner  runs 1,234",
        "degrading  -0.12 per hour",
        "incremental agent_selection: rejected  (accuracy)",
        "- do this",
    ):
        assert expected in text
    assert max(map(len, text.splitlines())) <= 100
    assert "tokens" not in text
    assert text.index("planner  runs") < text.index("idle")


def test_an_empty_report_reads_too():
    """Unknown health, no blocks for what there is none of."""
    text = as_text(
        report(system_metrics={}, health={}, agent_metrics={}, alerts=[], trends={}, retrainings=[])
    )
    assert "Health: unknown" in text
    assert "no data" in text
    assert "Alerts" not in text


def test_names_cannot_drive_the_terminal():
    """An agent called by an escape sequence is shown with a mark instead."""
    evil = "a\x1b[2Jb\nc"
    text = as_text(report(agent_metrics={evil: {"metrics": SYSTEM}}))
    assert "\x1b" not in text
    assert "a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}c" in text

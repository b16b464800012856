"""The report: everything at once, as plain values, and as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from textwrap import wrap
from typing import Any, Final

Plain = Mapping[str, Any]

_WIDTH: Final = 100
_MOST_ADVICE: Final = 20
_MOST_AGENTS: Final = 30
_OPEN: Final = frozenset({"firing", "acknowledged", "muted"})
_RANK: Final = {"critical": 0, "warning": 1, "info": 2}
_NOBODY: Final = (
    "No run was reported in this window: call `monitor.record_agent_run(...)` or POST to "
    "/api/performance/runs."
)
_NO_TRUTH: Final = (
    "No outcome was reported in this window, so accuracy is unknown: call "
    "`monitor.record_accuracy(...)` with what really came of the tasks."
)


def build_report(
    *,
    generated_at: str,
    time_window_minutes: float,
    system_metrics: Plain,
    health: Plain,
    agent_metrics: Mapping[str, Plain],
    alerts: Sequence[Plain],
    trends: Mapping[str, Plain],
    retrainings: Sequence[Plain],
) -> dict[str, Any]:
    """Return the report on a window from the figures of its parts.

    Parameters
    ----------
    generated_at
        RFC 3339 text.
    health
        With ``health_score`` and ``status``; the whole of it stands under ``health``.
    agent_metrics
        By agent name; empty where agents are not wanted.
    alerts, retrainings
        Newest last, as ``to_dict`` gives them.
    """
    return {
        "generated_at": generated_at,
        "time_window_minutes": time_window_minutes,
        "system_metrics": dict(system_metrics),
        "health_score": health.get("health_score"),
        "health": dict(health),
        "agent_metrics": {name: dict(metrics) for name, metrics in agent_metrics.items()},
        "recent_alerts": [dict(alert) for alert in alerts],
        "recommendations": recommendations(alerts, system_metrics),
        "trends": {name: dict(trend) for name, trend in trends.items()},
        "retrainings": [dict(result) for result in retrainings],
    }


def recommendations(alerts: Iterable[Plain], system_metrics: Plain) -> list[str]:
    """Return what to do next, most urgent first, each advice once.

    From the open alerts (critical before warning, newest first), and from what is missing.
    """
    open_ones = [alert for alert in alerts if alert.get("state") in _OPEN]
    open_ones.reverse()
    open_ones.sort(key=lambda alert: _RANK.get(str(alert.get("level")), len(_RANK)))
    advice = [str(alert["recommendation"]) for alert in open_ones if alert.get("recommendation")]
    if not system_metrics.get("total_tasks"):
        advice.append(_NOBODY)
    elif system_metrics.get("avg_accuracy") is None:
        advice.append(_NO_TRUTH)
    return list(dict.fromkeys(advice))[:_MOST_ADVICE]


def as_text(report: Plain) -> str:
    """Return a report of ``build_report`` for a terminal, 100 columns wide at most."""
    blocks = [
        _head(report),
        _block("Fleet", _system(report["system_metrics"])),
        _block("Agents", _agents(report["agent_metrics"])),
        _block("Alerts", [_alert(alert) for alert in report["recent_alerts"][-10:]]),
        _block("Trends", _trends(report["trends"])),
        _block("Retrainings", [_retraining(item) for item in report["retrainings"][-10:]]),
        _block("Recommendations", [f"- {text}" for text in report["recommendations"]]),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _head(report: Plain) -> str:
    health = report["health"]
    shown = "unknown" if report["health_score"] is None else f"{report['health_score']:.0f} of 100"
    lines = [
        f"Report of {report['generated_at']}, last {report['time_window_minutes']:g} minutes",
        f"Health: {shown} ({health.get('status', 'unknown')})",
    ]
    return "\n".join([*lines, *(f"  because {reason}" for reason in health.get("reasons", ()))])


def _block(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    wrapped = [
        wrap(_printable(line), _WIDTH, initial_indent="  ", subsequent_indent="      ")
        for line in lines
    ]
    return "\n".join([title, *(line for part in wrapped for line in part)])


def _printable(line: str) -> str:
    # Names come from outside: one with an escape sequence must not drive the terminal.
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)


# Label, field and form of the figures shown; what is unknown is left out.
_FIGURES: Final = (
    ("runs", "total_tasks", "{:,}"),
    ("success", "success_rate", "{:.1%}"),
    ("errors", "error_rate", "{:.1%}"),
    ("accuracy", "avg_accuracy", "{:.1%}"),
    ("p95", "p95_latency_ms", "{:,.0f} ms"),
    ("tokens", "total_tokens", "{:,}"),
    ("cost", "total_cost", "${:,.2f}"),
)


def _system(metrics: Plain) -> list[str]:
    return ["  ".join(_figures(metrics))]


def _agents(agents: Mapping[str, Plain]) -> list[str]:
    busiest = sorted(agents.items(), key=lambda item: (-_runs(item[1]), item[0]))
    width = max((len(name) for name, _ in busiest[:_MOST_AGENTS]), default=0)
    lines = [
        f"{name[:40]:<{min(width, 40)}}  {'  '.join(_figures(_metrics(agent)))}"
        for name, agent in busiest[:_MOST_AGENTS]
    ]
    if len(busiest) > _MOST_AGENTS:
        lines.append(f"and {len(busiest) - _MOST_AGENTS} more")
    return lines


def _metrics(agent: Plain) -> Plain:
    # An AgentPerformance carries its figures in `metrics`; plain figures stand for themselves.
    found: Plain = agent.get("metrics", agent) or {}
    return found


def _runs(agent: Plain) -> int:
    return int(_metrics(agent).get("total_tasks") or 0)


def _figures(metrics: Plain) -> list[str]:
    return [
        f"{label} {form.format(metrics[field])}"
        for label, field, form in _FIGURES
        if metrics.get(field) is not None
    ] or ["no data"]


def _alert(alert: Plain) -> str:
    return f"{alert['timestamp']}  {alert['level']:<8}  {alert['state']:<12}  {alert['message']}"


def _trends(trends: Mapping[str, Plain]) -> list[str]:
    known = {name: trend for name, trend in trends.items() if trend.get("slope_per_h") is not None}
    return [
        f"{name:<14}  {trend['direction']}  {trend['slope_per_h']:+.4g} per hour"
        for name, trend in known.items()
    ]


def _retraining(result: Plain) -> str:
    gate = result.get("gate") or {}
    verdict = "promoted" if result.get("promoted") else gate.get("verdict", result.get("state"))
    proof = (result.get("proof") or {}).get("verdict")
    if proof is not None:
        verdict = f"{verdict}, {proof.replace('_', ' ')}"
    return (
        f"{result.get('timestamp', '')}  {result.get('retrain_type')} {result.get('model_type')}: "
        f"{verdict}  ({result.get('reason')})"
    )

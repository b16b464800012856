"""The fleet at a glance: one page made on the server, readable without any script.

Everything that came from outside goes through ``html.escape``; the page has no style or
script of its own, so that nothing which slipped through could do anything.
"""

from __future__ import annotations

from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any, Final

from selfright.alerts.alert import AlertLevel
from selfright.alerts.life import AlertState
from selfright.alerts.report_html.markup import SHAPES, advice
from selfright.alerts.trouble import standing, worst_levels
from selfright.alerts.wording import UNKNOWN, dollars, duration, percent
from selfright.events.timestamp import iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from selfright.alerts.alert import PerformanceAlert
    from selfright.alerts.trouble import Kind
    from selfright.loop.retraining import RetrainResult
    from selfright.metrics.snapshot import PerformanceMetrics
    from selfright.performance_monitor import PerformanceMonitor
    from selfright.server.service import Service

_ROWS: Final = 200
_ALERTS: Final = 20
_RETRAININGS: Final = 10
_HEALTH: Final[dict[str, Kind]] = {
    "healthy": "ok",
    "degraded": "warn",
    "unhealthy": "crit",
    "unknown": "none",
}
_LEVELS: Final[dict[AlertLevel, Kind]] = {
    AlertLevel.INFO: "ok",
    AlertLevel.WARNING: "warn",
    AlertLevel.CRITICAL: "crit",
}
_OPEN: Final = frozenset({AlertState.FIRING, AlertState.ACKNOWLEDGED, AlertState.MUTED})


def render(service: Service, address: str, refresh_s: int, *, by_session: bool = False) -> str:
    """Return the whole page.

    ``address`` is where the reader reached the service; who came ``by_session`` can log out.
    """
    monitor = service.monitor
    health = monitor.get_health()
    fleet = monitor.get_system_metrics()
    retired = set(monitor.retired_agents())
    agents = {
        name: found.metrics
        for name, found in monitor.get_all_agent_metrics().items()
        if name not in retired
    }
    alerts = monitor.get_alerts(limit=1000)
    word = str(health["status"])
    body = [
        _header(word, monitor.circle.clock.now_us(), refresh_s, by_session=by_session),
        _tiles(monitor, health, fleet),
    ]
    if agents:
        body += [
            _agents(agents, alerts, monitor),
            _alerts(alerts),
            _retrainings(monitor.get_retrainings(_RETRAININGS)),
        ]
    else:
        body.append(_empty(address, refresh_s, keyed=service.keys.required))
    refresh = f'<meta http-equiv="refresh" content="{refresh_s}">\n' if refresh_s else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{refresh}<title>{escape(word)} · Selfright</title>\n"
        '<link rel="stylesheet" href="/static/style.css">\n'
        '<link rel="icon" href="/static/icon.svg">\n</head>\n<body>\n'
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _state(kind: Kind, word: str) -> str:
    mark = f'<svg class="mark" viewBox="0 0 16 16" aria-hidden="true">{SHAPES[kind]}</svg>'
    return f'<span class="state {kind}">{mark}{escape(word)}</span>'


def _header(word: str, now_us: int, refresh_s: int, *, by_session: bool) -> str:
    update = (
        f'every {refresh_s} s · <a href="/?refresh=0">hold</a>'
        if refresh_s
        else '<a href="/">keep it up to date</a>'
    )
    leave = (
        '<form method="post" action="/logout"><button type="submit">Log out</button></form>'
        if by_session
        else ""
    )
    return (
        f"<header><h1>Selfright</h1>{_state(_HEALTH[word], word)}"
        f'<span class="soft">as of {iso(now_us)[:19]} UTC · {update}</span>'
        f'<nav><a href="/docs">API</a> <a href="/metrics">Metrics</a>{leave}</nav></header>'
    )


def _tiles(
    monitor: PerformanceMonitor, health: Mapping[str, Any], fleet: PerformanceMetrics
) -> str:
    limits = monitor.settings.thresholds
    minutes = monitor.settings.windows.window_minutes
    score, outcomes = health["health_score"], f"{fleet.accuracy_sample_size:,}"
    tiles = (
        ("health", UNKNOWN if score is None else f"{score:.0f}", "of 100"),
        ("success", percent(fleet.success_rate), f"at least {percent(limits.success_rate_min)}"),
        (
            "accuracy",
            percent(fleet.avg_accuracy),
            f"at least {percent(limits.accuracy_min)}, from {outcomes} outcomes",
        ),
        (
            "p95 latency",
            duration(fleet.p95_latency_ms),
            f"at most {duration(limits.latency_p95_max_ms)}",
        ),
        ("cost", dollars(fleet.total_cost), f"in {minutes} min"),
        ("runs", f"{fleet.total_tasks:,}", f"in {minutes} min"),
    )
    items = "".join(
        f'<li><span class="name">{name}</span><span class="value">{value}</span>'
        f'<span class="note">{note}</span></li>'
        for name, value, note in tiles
    )
    return f'<ul class="tiles">{items}</ul>'


def _empty(address: str, refresh_s: int, *, keyed: bool) -> str:
    # What the shell puts in: a page that shows a key shows it to whoever looks on.
    key = ' -H "Authorization: Bearer $SELFRIGHT_KEY"' if keyed else ""
    curl = f"curl -H 'Content-Type: application/json'{key} {address}"
    runs = (
        f"{curl}/api/performance/runs -d "
        '\'{"run_id": "run-1", "agent_name": "planner", "status": "success", '
        '"duration_ms": 812, "task_id": "task-1"}\''
    )
    outcome = (
        f"{curl}/api/performance/accuracy -d "
        '\'{"agent_name": "planner", "task_id": "task-1", "accuracy_score": 0.9}\''
    )
    waiting = "This page will show it by itself." if refresh_s else ""
    return (
        "<main><h2>Waiting for the first run</h2>"
        f"<p>Tell Selfright what an agent did. {waiting}</p>"
        f'<pre class="copy" tabindex="0">{escape(runs)}</pre>'
        "<p>Accuracy needs the truth: tell later what really came of it.</p>"
        f'<pre class="copy" tabindex="0">{escape(outcome)}</pre>'
        '<p>Everything else stands in the <a href="/docs">API</a>.</p></main>'
    )


def _agents(
    agents: Mapping[str, PerformanceMetrics],
    alerts: Iterable[PerformanceAlert],
    monitor: PerformanceMonitor,
) -> str:
    limits, enough = monitor.settings.thresholds, monitor.settings.windows.min_outcomes
    worst = worst_levels(
        (alert.agent_name, alert.level) for alert in alerts if alert.state in _OPEN
    )
    rows = sorted(
        (
            (standing(partial(getattr, metrics), limits, enough, worst.get(name)), name, metrics)
            for name, metrics in agents.items()
        ),
        key=lambda row: (row[0].place, row[1]),
    )
    cells = "".join(_row(name, how.kind, how.word, m) for how, name, m in rows[:_ROWS])
    more = len(rows) - _ROWS
    rest = (
        f'<p class="soft">… and {more:,} more: '
        '<a href="/api/performance/agents/metrics">all of them</a></p>'
        if more > 0
        else ""
    )
    head = "".join(
        f'<th scope="col"{css}>{name}</th>'
        for name, css in (
            ("state", ""),
            ("agent", ""),
            *(
                (name, ' class="number"')
                for name in (
                    "success",
                    "accuracy",
                    "latency p50 / p95",
                    "errors",
                    "cost / run",
                    "runs / min",
                )
            ),
        )
    )
    return (
        f"<main><h2>Agents, most in trouble first</h2>"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{cells}</tbody></table></div>{rest}</main>"
    )


def _row(name: str, kind: Kind, word: str, metrics: PerformanceMetrics) -> str:
    cells = (
        percent(metrics.success_rate) + _interval(metrics.success_rate_interval),
        percent(metrics.avg_accuracy)
        + _interval(metrics.accuracy_interval, metrics.accuracy_sample_size),
        f"{duration(metrics.p50_latency_ms)} / {duration(metrics.p95_latency_ms)}",
        percent(metrics.error_rate),
        dollars(metrics.cost_per_task),
        f"{metrics.runs_per_minute:.1f}",
    )
    numbers = "".join(f'<td class="number">{cell}</td>' for cell in cells)
    return f'<tr><td>{_state(kind, word)}</td><td class="name">{escape(name)}</td>{numbers}</tr>'


def _alerts(alerts: Sequence[PerformanceAlert]) -> str:
    open_ = [alert for alert in alerts if alert.state in _OPEN]
    firing = sum(alert.state is AlertState.FIRING for alert in open_)
    rows = "".join(
        f"<tr><td>{_state(_LEVELS[alert.level], alert.level.value)}</td>"
        f'<td class="state">{escape(alert.state.value)}</td>'
        f'<td class="name">{escape(alert.agent_name or "the fleet")}</td>'
        f'<td class="text">{escape(alert.message)}<br>'
        f'<span class="soft">{advice(alert.recommendation)}</span></td>'
        f'<td class="number" data-name="times">{alert.count}</td></tr>'
        for alert in reversed(open_[-_ALERTS:])
    )
    table = (
        '<div class="scroll"><table class="told"><thead><tr><th scope="col">level</th>'
        '<th scope="col">state</th><th scope="col">agent</th>'
        '<th scope="col">what and what to do</th>'
        f'<th scope="col" class="number">times</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )
    return f"<section><h2>Alerts: {firing} firing</h2>{table if rows else ''}</section>"


def _retrainings(results: Sequence[RetrainResult]) -> str:
    rows = "".join(
        f'<tr><td class="state">{escape(str(result["timestamp"])[:19])}</td>'
        f"<td>{escape(str(result['model_type']))}, {escape(str(result['retrain_type']))}</td>"
        f'<td class="text">{escape(str(result["reason"]))}</td>'
        f'<td class="number" data-name="outcomes">{result["events_processed"] or 0:,}</td>'
        f"<td>{_verdict(result)}</td></tr>"
        for result in reversed(results)
    )
    table = (
        '<div class="scroll"><table class="told"><thead><tr><th scope="col">when (UTC)</th>'
        '<th scope="col">model</th><th scope="col">why</th>'
        '<th scope="col" class="number">outcomes</th><th scope="col">what became of it</th>'
        f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )
    nothing = '<p class="soft">None yet.</p>'
    return f"<section><h2>Retrainings</h2>{table if rows else nothing}</section>"


def _verdict(result: RetrainResult) -> str:
    gate = result["gate"] or {}
    if result["state"] in {"failed", "aborted"}:
        return _state("crit", f"{result['state']}: {result['error']}")
    if result["promoted"]:
        return _state("ok", f"promoted, version {result['version']}")
    if result["state"] == "pending":
        return _state("none", "the gate is watching")
    return _state("none", str(gate.get("verdict", result["state"])))


def _interval(interval: tuple[float, float] | None, n: int | None = None) -> str:
    if interval is None:
        return ""
    count = "" if n is None else f", n = {n:,}"
    return f' <span class="interval">[{interval[0]:.0%}–{interval[1]:.0%}{count}]</span>'

"""The fleet at a glance: one page made on the server, readable without any script.

Everything that came from outside goes through ``html.escape``; the page has no style or
script of its own, so that nothing which slipped through could do anything.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from selfright.alerts.alert import AlertLevel
from selfright.alerts.life import AlertState
from selfright.events.timestamp import iso

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from selfright.alerts.alert import PerformanceAlert
    from selfright.config import Thresholds
    from selfright.loop.retraining import RetrainResult
    from selfright.metrics.snapshot import PerformanceMetrics
    from selfright.performance_monitor import PerformanceMonitor
    from selfright.server.service import Service

_ROWS: Final = 200
_ALERTS: Final = 20
_RETRAININGS: Final = 10
_UNKNOWN: Final = "–"
_SHAPES: Final = {
    "ok": '<circle cx="8" cy="8" r="7"/>',
    "warn": '<path d="M8 1 15.5 15H.5z"/>',
    "crit": '<path d="M5 0h6l5 5v6l-5 5H5l-5-5V5z"/>',
    "none": '<circle cx="8" cy="8" r="6"/>',
}
_HEALTH: Final = {"healthy": "ok", "degraded": "warn", "unhealthy": "crit", "unknown": "none"}
_LEVELS: Final = {AlertLevel.INFO: "ok", AlertLevel.WARNING: "warn", AlertLevel.CRITICAL: "crit"}
_OPEN: Final = frozenset({AlertState.FIRING, AlertState.ACKNOWLEDGED, AlertState.MUTED})


class Trouble(NamedTuple):
    """How an agent stands: sorts worst first when reversed."""

    severity: int
    beyond: float
    runs: int


def render(service: Service, address: str, refresh_s: int) -> str:
    """Return the whole page. ``address`` is where the reader reached the service."""
    monitor = service.monitor
    health = monitor.get_health()
    fleet = monitor.get_system_metrics()
    agents = {name: found.metrics for name, found in monitor.get_all_agent_metrics().items()}
    alerts = monitor.get_alerts(limit=1000)
    word = str(health["status"])
    body = [
        _header(word, monitor.circle.clock.now_us(), refresh_s),
        _tiles(monitor, health, fleet),
    ]
    if agents:
        body += [
            _agents(agents, alerts, monitor),
            _alerts(alerts),
            _retrainings(monitor.get_retrainings(_RETRAININGS)),
        ]
    else:
        body.append(_empty(address, refresh_s))
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


def _state(kind: str, word: str) -> str:
    mark = f'<svg class="mark" viewBox="0 0 16 16" aria-hidden="true">{_SHAPES[kind]}</svg>'
    return f'<span class="state {kind}">{mark}{escape(word)}</span>'


def _header(word: str, now_us: int, refresh_s: int) -> str:
    update = (
        f'every {refresh_s} s · <a href="/?refresh=0">hold</a>'
        if refresh_s
        else '<a href="/">keep it up to date</a>'
    )
    return (
        f"<header><h1>Selfright</h1>{_state(_HEALTH[word], word)}"
        f'<span class="soft">as of {iso(now_us)[:19]} UTC · {update}</span>'
        '<nav><a href="/docs">API</a> <a href="/metrics">Metrics</a></nav></header>'
    )


def _tiles(
    monitor: PerformanceMonitor, health: Mapping[str, Any], fleet: PerformanceMetrics
) -> str:
    limits = monitor.settings.thresholds
    minutes = monitor.settings.windows.window_minutes
    score = health["health_score"]
    tiles = (
        ("health", _UNKNOWN if score is None else f"{score:.0f}", "of 100"),
        ("success", _percent(fleet.success_rate), f"at least {_percent(limits.success_rate_min)}"),
        (
            "accuracy",
            _percent(fleet.avg_accuracy),
            f"at least {_percent(limits.accuracy_min)}, from {fleet.accuracy_sample_size} outcomes",
        ),
        (
            "p95 latency",
            _duration(fleet.p95_latency_ms),
            f"at most {_duration(limits.latency_p95_max_ms)}",
        ),
        ("cost", _dollars(fleet.total_cost), f"in {minutes} min"),
        ("runs", f"{fleet.total_tasks:,}", f"in {minutes} min"),
    )
    items = "".join(
        f'<li><span class="name">{name}</span><span class="value">{value}</span>'
        f'<span class="note">{note}</span></li>'
        for name, value, note in tiles
    )
    return f'<ul class="tiles">{items}</ul>'


def _empty(address: str, refresh_s: int) -> str:
    runs = (
        f"curl -H 'Content-Type: application/json' {address}/api/performance/runs -d "
        '\'{"run_id": "run-1", "agent_name": "planner", "status": "success", '
        '"duration_ms": 812, "task_id": "task-1"}\''
    )
    outcome = (
        f"curl -H 'Content-Type: application/json' {address}/api/performance/accuracy -d "
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
    worst: dict[str, AlertLevel] = {}
    for alert in alerts:
        name = alert.agent_name
        if name is None or alert.state not in _OPEN or alert.level is AlertLevel.INFO:
            continue
        if name not in worst or alert.level.rank > worst[name].rank:
            worst[name] = alert.level
    rows = []
    for name, metrics in agents.items():
        beyond = _beyond(metrics, limits) if metrics.decided_tasks >= enough else 0.0
        kind, word = _judged(worst.get(name), beyond, metrics, enough)
        severity = ("none", "ok", "warn", "crit").index(kind)
        rows.append((Trouble(severity, beyond, metrics.total_tasks), name, kind, word, metrics))
    rows.sort(key=lambda row: (-row[0].severity, -row[0].beyond, -row[0].runs, row[1]))
    cells = "".join(_row(name, kind, word, m) for _, name, kind, word, m in rows[:_ROWS])
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
                    "p50 / p95",
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


def _judged(
    level: AlertLevel | None, beyond: float, metrics: PerformanceMetrics, enough: int
) -> tuple[str, str]:
    if level is AlertLevel.CRITICAL:
        return "crit", "critical"
    if level is AlertLevel.WARNING:
        return "warn", "warning"
    if not metrics.total_tasks:
        return "none", "idle"
    if metrics.decided_tasks < enough:
        return "none", f"collecting {metrics.decided_tasks}/{enough}"
    return ("warn", "beyond threshold") if beyond > 0 else ("ok", "ok")


def _beyond(metrics: PerformanceMetrics, limits: Thresholds) -> float:
    """Return how far the worst figure lies beyond its threshold, as a share of it."""
    figures = (
        (limits.success_rate_min, metrics.success_rate, -1),
        (limits.error_rate_max, metrics.error_rate, 1),
        (limits.accuracy_min, metrics.avg_accuracy, -1),
        (limits.latency_p95_max_ms, metrics.p95_latency_ms, 1),
        (limits.cost_per_task_max, metrics.cost_per_task, 1),
        (limits.memory_max_mb, metrics.avg_memory_mb, 1),
        (limits.token_per_task_max, metrics.tokens_per_task, 1),
    )
    shares = [
        sign * (value - limit) / limit
        for limit, value, sign in figures
        if value is not None and limit > 0
    ]
    return max(shares, default=0.0)


def _row(name: str, kind: str, word: str, metrics: PerformanceMetrics) -> str:
    cells = (
        _percent(metrics.success_rate) + _interval(metrics.success_rate_interval),
        _percent(metrics.avg_accuracy)
        + _interval(metrics.accuracy_interval, metrics.accuracy_sample_size),
        f"{_duration(metrics.p50_latency_ms)} / {_duration(metrics.p95_latency_ms)}",
        _percent(metrics.error_rate),
        _dollars(metrics.cost_per_task),
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
        f"<td>{escape(alert.message)}<br>"
        f'<span class="soft">{escape(alert.recommendation)}</span></td>'
        f'<td class="number">{alert.count}</td></tr>'
        for alert in reversed(open_[-_ALERTS:])
    )
    table = (
        '<div class="scroll"><table><thead><tr><th scope="col">level</th><th scope="col">state</th>'
        '<th scope="col">agent</th><th scope="col">what and what to do</th>'
        f'<th scope="col" class="number">times</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )
    return f"<section><h2>Alerts: {firing} firing</h2>{table if rows else ''}</section>"


def _retrainings(results: Sequence[RetrainResult]) -> str:
    rows = "".join(
        f'<tr><td class="state">{escape(str(result["timestamp"])[:19])}</td>'
        f"<td>{escape(str(result['model_type']))}, {escape(str(result['retrain_type']))}</td>"
        f"<td>{escape(str(result['reason']))}</td>"
        f'<td class="number">{result["events_processed"] or 0:,}</td>'
        f"<td>{_verdict(result)}</td></tr>"
        for result in reversed(results)
    )
    table = (
        '<div class="scroll"><table><thead><tr><th scope="col">when (UTC)</th>'
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


def _percent(ratio: float | None) -> str:
    return _UNKNOWN if ratio is None else f"{ratio:.1%}".replace("%", " %")


def _interval(interval: tuple[float, float] | None, n: int | None = None) -> str:
    if interval is None:
        return ""
    count = "" if n is None else f", n = {n:,}"
    return f' <span class="interval">[{interval[0]:.0%}–{interval[1]:.0%}{count}]</span>'


def _duration(ms: float | None) -> str:
    if ms is None:
        return _UNKNOWN
    return f"{ms:,.0f} ms" if ms < 10_000 else f"{ms / 1000:,.1f} s"


def _dollars(usd: float | None) -> str:
    return _UNKNOWN if usd is None else f"${usd:,.4f}" if usd < 1 else f"${usd:,.2f}"

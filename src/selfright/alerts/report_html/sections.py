"""The sections of the report that are about the fleet: each is a heading and a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from selfright.alerts.alert import AlertLevel
from selfright.alerts.health import AT_THRESHOLD
from selfright.alerts.report_html.markup import (
    advice,
    mark,
    name_of,
    number,
    section,
    table,
    text,
)
from selfright.alerts.wording import (
    UNKNOWN,
    amount,
    between,
    dollars,
    duration,
    megabytes,
    percent,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from selfright.alerts.trouble import Kind
    from selfright.config import Thresholds

    Plain = Mapping[str, Any]
    Words = Callable[[float | None], str]

_STATUS: Final[dict[str, Kind]] = {"healthy": "ok", "degraded": "warn", "unhealthy": "crit"}
_LEVELS: Final[dict[str, Kind]] = {
    AlertLevel.INFO: "ok",
    AlertLevel.WARNING: "warn",
    AlertLevel.CRITICAL: "crit",
}
_OF_PROOF: Final[dict[str, Kind]] = {"improved": "ok", "worse": "crit"}
_DIRECTIONS: Final[dict[str, Kind]] = {"improving": "ok", "stable": "ok", "degrading": "warn"}
_PARTS: Final[dict[str, tuple[str, Words]]] = {
    "success_rate": ("success rate", percent),
    "error_rate": ("error rate", percent),
    "accuracy": ("accuracy", percent),
    "latency_p95_ms": ("p95 latency", duration),
    "cost_per_task": ("cost per run", dollars),
    "memory_mb": ("memory", megabytes),
    "tokens_per_task": ("tokens per run", amount),
    "alerts": ("open alerts", amount),
}
# What is shown of the fleet: label, field, words, field of the interval, threshold and how
# it bounds.
_FIGURES: Final[tuple[tuple[str, str, Words, str, str, str], ...]] = (
    ("runs", "total_tasks", amount, "", "", ""),
    ("decided runs", "decided_tasks", amount, "", "", ""),
    ("runs per minute", "runs_per_minute", amount, "", "", ""),
    ("success rate", "success_rate", percent, "success_rate_interval", "success_rate_min", ">="),
    ("error rate", "error_rate", percent, "error_rate_interval", "error_rate_max", "<="),
    ("timeout rate", "timeout_rate", percent, "", "", ""),
    ("retry rate", "retry_rate", percent, "", "", ""),
    ("accuracy", "avg_accuracy", percent, "accuracy_interval", "accuracy_min", ">="),
    ("outcomes known", "accuracy_coverage", percent, "", "", ""),
    ("outcomes", "accuracy_sample_size", amount, "", "", ""),
    ("p50 latency", "p50_latency_ms", duration, "", "", ""),
    ("p95 latency", "p95_latency_ms", duration, "p95_latency_interval", "latency_p95_max_ms", "<="),
    ("p99 latency", "p99_latency_ms", duration, "", "", ""),
    ("cost per run", "cost_per_task", dollars, "", "cost_per_task_max", "<="),
    ("total cost", "total_cost", dollars, "", "", ""),
    ("tokens per run", "tokens_per_task", amount, "", "token_per_task_max", "<="),
    ("memory of a run", "avg_memory_mb", megabytes, "", "memory_max_mb", "<="),
    ("quality as reported", "avg_quality_score", percent, "", "", ""),
    ("confidence as reported", "avg_confidence", percent, "", "", ""),
)


def status(word: object) -> str:
    """Return the word for the health of the fleet with its mark."""
    return mark(_STATUS.get(str(word), "none"), str(word))


def health_section(report: Plain) -> str:
    """Return the score, its reasons and the parts that make it."""
    health, score = report["health"], report["health_score"]
    shown = UNKNOWN if score is None else f"{score:.0f}"
    word = status(health.get("status", "unknown"))
    reasons = "".join(f"<li>{text(reason)}</li>" for reason in health.get("reasons", ()))
    rows = [_part(part) for part in health.get("parts", ())]
    caption = "Points: 100 could not be better, 60 is exactly at the threshold, 0 the worst."
    columns = (
        ("part", False), ("state", False), ("value", True), ("threshold", True),
        ("points", True), ("weight", True),
    )  # fmt: skip
    return section(
        "health",
        "Health",
        f'<p><span class="score">{shown}</span> of 100, {word}</p>',
        f"<ul>{reasons}</ul>" if reasons else "",
        table(caption, columns, rows) if rows else "",
    )


def _part(part: Plain) -> str:
    label, words = _PARTS.get(part["name"], (str(part["name"]), amount))
    value = int(part["value"]) if part["name"] == "alerts" else part["value"]
    good = part["points"] >= AT_THRESHOLD
    threshold = part["threshold"]
    beyond = "too many" if threshold is None else "beyond threshold"
    return (
        f'<tr><th scope="row">{text(label)}</th>'
        f"<td>{mark('ok', 'ok') if good else mark('warn', beyond)}</td>"
        + number(words(value))
        + number(UNKNOWN if threshold is None else words(threshold))
        + number(f"{part['points']:.0f}")
        + number(f"{part['weight']:.0%}".replace("%", " %"))
        + "</tr>"
    )


def fleet_section(metrics: Plain, limits: Thresholds) -> str:
    """Return the figures of the whole fleet with intervals, thresholds and coverage."""
    rows = [
        _figure(label, metrics, field, words, interval, _limit(limits, threshold), bounds)
        for label, field, words, interval, threshold, bounds in _FIGURES
        if metrics.get(field) is not None
    ]
    caption = (
        "The whole fleet in the window. Rates are over decided runs, accuracy over the runs "
        "whose real outcome is known; what nobody reported is left out."
    )
    columns = (
        ("figure", False), ("value", True), ("95 % interval", True), ("threshold", True),
        ("state", False),
    )  # fmt: skip
    return section("fleet", "Fleet", table(caption, columns, rows))


def _limit(limits: Thresholds, name: str) -> float | None:
    return getattr(limits, name) if name else None


def _figure(
    label: str, metrics: Plain, field: str, words: Words, interval: str, limit: float | None,
    bounds: str,
) -> str:  # fmt: skip
    value = metrics[field]
    bound, state = UNKNOWN, ""
    if limit is not None:
        beyond = value < limit if bounds == ">=" else value > limit
        bound = f"{'at least' if bounds == '>=' else 'at most'} {words(limit)}"
        state = mark("warn", "beyond threshold") if beyond else mark("ok", "ok")
    between_ends = between(metrics.get(interval), words) if interval else ""
    return (
        f'<tr><th scope="row">{text(label)}</th>{number(words(value))}'
        f"{number(between_ends or UNKNOWN)}{number(bound)}<td>{state or UNKNOWN}</td></tr>"
    )


def alerts_section(alerts: Sequence[Plain]) -> str:
    """Return the recent alerts, the newest first."""
    firing = sum(alert["state"] == "firing" for alert in alerts)
    rows = [
        f"<tr><td>{mark(_LEVELS.get(alert['level'], 'none'), alert['level'])}</td>"
        f"<td>{text(alert['state'])}</td>"
        f"{name_of(alert.get('agent_name') or 'the fleet')}"
        f'<td class="text">{text(alert["message"])}</td>'
        f'<td class="text">{advice(alert.get("recommendation") or UNKNOWN)}</td>'
        f"{number(amount(alert.get('count') or 1))}"
        f'<td class="number">{text(_time(alert["timestamp"]))}</td></tr>'
        for alert in reversed(alerts)
    ]
    columns = (
        ("level", False), ("state", False), ("agent", False), ("what", False),
        ("what to do", False), ("times", True), ("since (UTC)", False),
    )  # fmt: skip
    found = table("The newest alerts, the newest first.", columns, rows)
    return section(
        "alerts", f"Alerts: {firing} firing", found if rows else "<p>There were none.</p>"
    )


def advice_section(lines: Sequence[str]) -> str:
    """Return what to do next, most urgent first."""
    items = "".join(f"<li>{advice(line)}</li>" for line in lines)
    body = f"<ol>{items}</ol>" if items else "<p>Nothing needs to be done.</p>"
    return section("recommendations", "Recommendations", body)


def retrainings_section(results: Sequence[Plain]) -> str:
    """Return the retrainings with the gate's verdict, the newest first."""
    rows = [_retraining(result) for result in reversed(results)]
    columns = (
        ("at (UTC)", False), ("model", False), ("type", False), ("why", False),
        ("outcomes", True), ("verdict", False), ("gain per outcome", True), ("judged by", True),
        ("version", True), ("what it was worth", False),
    )  # fmt: skip
    caption = (
        "The gate lets a new version serve only if it predicts better than the one before; "
        "the gain is in the gate's loss, positive where the new one is better."
    )
    found = table(caption, columns, rows)
    return section("retrainings", "Retrainings", found if rows else "<p>There were none.</p>")


def _retraining(result: Plain) -> str:
    gate = result.get("gate") or {}
    gain, low, high = (gate.get(name) for name in ("gain", "gain_low", "gain_high"))
    interval = "" if low is None or high is None else between((low, high), _signed, " to ")
    return (
        f'<tr><td class="number">{text(_time(result.get("timestamp")))}</td>'
        f'<th scope="row">{text(result.get("model_type"))}</th>'
        f"<td>{text(result.get('retrain_type'))}</td>"
        f'<td class="text">{text(result.get("reason") or UNKNOWN)}</td>'
        f"{number(amount(result.get('events_processed') or 0))}<td>{_verdict(result, gate)}</td>"
        f"{number(_signed(gain), interval)}"
        f"{number(amount(gate.get('n') or 0))}{number(amount(result.get('version')))}"
        f"<td>{_proof(result.get('proof') or {})}</td></tr>"
    )


def _proof(proof: Plain) -> str:
    """Return what a promotion was worth, with the means that say so."""
    verdict = proof.get("verdict")
    if verdict is None:
        return text(UNKNOWN)
    told = verdict.replace("_", " ")
    before, after = proof.get("before"), proof.get("after")
    if before is not None and after is not None:
        measure = str(proof.get("measure")).replace("_", " ")
        told += f": {measure} {before:.2f} before, {after:.2f} since (n = {proof.get('n')})"
    return mark(_OF_PROOF.get(verdict, "none"), told, wraps=True)


def _verdict(result: Plain, gate: Plain) -> str:
    state = str(result.get("state"))
    if state in {"failed", "aborted"}:
        return mark("crit", f"{state}: {result.get('error')}", wraps=True)
    if result.get("promoted"):
        return mark("ok", f"{gate.get('verdict', 'promoted')}")
    if state == "pending":
        return mark("none", "the gate is watching")
    return mark("none", str(gate.get("verdict", state)))


def trends_section(trends: Mapping[str, Plain]) -> str:
    """Return where each metric is heading."""
    rows = [
        f'<tr><th scope="row">{text(name.replace("_", " "))}</th>'
        f"<td>{mark(_DIRECTIONS.get(trend['direction'], 'none'), trend['direction'])}</td>"
        f"{number(_signed(trend['slope_per_h']))}"
        f"{number(between(trend['interval'], _signed, ' to ') or UNKNOWN)}</tr>"
        for name, trend in trends.items()
        if trend.get("slope_per_h") is not None
    ]
    columns = (
        ("metric", False), ("direction", False), ("change per hour", True),
        ("95 % interval", True),
    )  # fmt: skip
    caption = "Of the fleet in the window, in the metric's own unit (ratios, ms, $, MB)."
    nothing = "<p>Too little time has passed to tell.</p>"
    return section("trends", "Trends", table(caption, columns, rows) if rows else nothing)


def _signed(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:+.3g}".replace("-", "−")


def _time(stamp: object) -> str:
    return UNKNOWN if not stamp else str(stamp).replace("T", " ")[:19]

"""The whole report as one page: ``as_html``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from selfright.alerts.alert import AlertLevel
from selfright.alerts.report_html import sections
from selfright.alerts.report_html.agents import agents_section, sorted_agents
from selfright.alerts.report_html.markup import symbols, text
from selfright.alerts.report_html.style import POLICY, STYLE
from selfright.alerts.trouble import worst_levels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from selfright.config import Thresholds

    Plain = Mapping[str, Any]

MOST_BYTES: Final = 1_000_000
# For what stands between the sections.
_MARGIN: Final = 4_000
_PARTS: Final = (
    "health", "fleet", "agents", "alerts", "recommendations", "retrainings", "trends",
)  # fmt: skip


def as_html(
    report: Plain, *, thresholds: Thresholds, fewest: int, open_alerts: Iterable[Plain]
) -> str:
    """Return a report of ``build_report`` as one self-contained page below 1 MB.

    Parameters
    ----------
    thresholds
        Marked in the charts and held against the figures.
    fewest
        Decided runs below which an agent is still *collecting*: neither good nor bad.
    open_alerts
        All of them, as ``to_dict`` gives them: they say which agent is most in trouble.

    Notes
    -----
    Whatever came from outside is escaped; the page holds no script, and its policy would
    not run one. About 20 ms for 200 agents.
    """
    levels = worst_levels(
        (alert.get("agent_name"), AlertLevel(alert["level"])) for alert in open_alerts
    )
    agents = sorted_agents(report["agent_metrics"], thresholds, fewest, levels)
    before = [
        sections.health_section(report),
        sections.fleet_section(report["system_metrics"], thresholds),
    ]
    behind = [
        sections.alerts_section(report["recent_alerts"]),
        sections.advice_section(report["recommendations"]),
        sections.retrainings_section(report["retrainings"]),
        sections.trends_section(report["trends"]),
    ]
    head = _head(report)
    used = sum(len(part.encode()) for part in (head, *before, *behind))
    shown = agents_section(agents, thresholds, MOST_BYTES - _MARGIN - used)
    return "\n".join([head, *before, shown, *behind, "</main>\n</body>\n</html>\n"])


def _head(report: Plain) -> str:
    health = report["health"]
    links = "".join(f'<a href="#{name}">{name}</a>' for name in _PARTS)
    at = str(report["generated_at"]).replace("T", " ")[:19]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{text(POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Selfright report, {text(at)} UTC</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{symbols()}\n<header><h1>Selfright report</h1>"
        f"{sections.status(health.get('status', 'unknown'))}"
        f'<span class="soft">{text(at)} UTC, the last {report["time_window_minutes"]:g} minutes'
        f'</span></header>\n<nav aria-label="Sections">{links}</nav>\n<main>'
    )

"""The agents of the report, most in trouble first: charts of the worst, a table of all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from selfright.alerts.report_html.chart import Latency, Rate, latencies, rates
from selfright.alerts.report_html.markup import mark, name_of, number, section, table
from selfright.alerts.trouble import Standing, standing
from selfright.alerts.wording import UNKNOWN, between, dollars, duration, percent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from selfright.alerts.alert import AlertLevel
    from selfright.alerts.trouble import Kind
    from selfright.config import Thresholds

    Plain = Mapping[str, Any]

DRAWN: Final = 50
_LEGEND: Final[tuple[tuple[Kind, str], ...]] = (
    ("crit", "critical alert"),
    ("warn", "warning, or beyond a threshold"),
    ("ok", "ok"),
    ("none", "idle, or too few runs to tell"),
)
_COLUMNS: Final = (
    ("state", False), ("agent", False), ("runs", True), ("success", True), ("accuracy", True),
    ("known", True), ("errors", True), ("p50", True), ("p95", True), ("p99", True),
    ("cost / run", True), ("last run", True),
)  # fmt: skip


class Agent(NamedTuple):
    """An agent of the report: its name, how it stands, its figures, its newest run."""

    name: str
    how: Standing
    figures: Plain
    last_run: str | None


def sorted_agents(
    found: Mapping[str, Plain], limits: Thresholds, fewest: int, levels: Mapping[str, AlertLevel]
) -> list[Agent]:
    """Return the agents of a report, the one most in trouble first."""
    agents = []
    for name, plain in found.items():
        figures = plain.get("metrics", plain) or {}
        how = standing(figures.get, limits, fewest, levels.get(name))
        agents.append(Agent(name, how, figures, plain.get("last_run")))
    return sorted(agents, key=lambda agent: (agent.how.place, agent.name))


def agents_section(agents: Sequence[Agent], limits: Thresholds, most_bytes: int) -> str:
    """Return charts of the ``DRAWN`` worst and a table of all, of ``most_bytes`` at most.

    A fleet of thousands has no room in one page: those least in trouble are left out of
    the table then, and the page says how many.
    """
    if not agents:
        return section("agents", "Agents", "<p>No agent has reported a run yet.</p>")
    charts = _charts(agents[:DRAWN], len(agents), limits)
    rows = list(_fitting(agents, most_bytes - len(charts.encode())))
    left = len(agents) - len(rows)
    caption = (
        "Figures of the window with their 95 % intervals; known: the share of runs whose real "
        "outcome is known."
    )
    if left:
        caption += f" {left:,} agents in less trouble are left out: the page is full."
    title = f"Agents, most in trouble first ({len(agents):,})"
    return section("agents", title, charts, table(caption, _COLUMNS, rows))


def _fitting(agents: Sequence[Agent], most_bytes: int) -> Iterator[str]:
    used = 0
    for agent in agents:
        row = _row(agent)
        used += len(row.encode()) + 1
        if used > most_bytes:
            return
        yield row


def _row(agent: Agent) -> str:
    get = agent.figures.get
    known, n = get("accuracy_coverage"), get("accuracy_sample_size")
    cells = (
        number(f"{get('total_tasks') or 0:,}"),
        number(percent(get("success_rate")), between(get("success_rate_interval"), percent)),
        number(percent(get("avg_accuracy")), between(get("accuracy_interval"), percent)),
        number(percent(known), f"n = {n:,}" if n else ""),
        number(percent(get("error_rate")), between(get("error_rate_interval"), percent)),
        number(duration(get("p50_latency_ms"))),
        number(duration(get("p95_latency_ms")), between(get("p95_latency_interval"), duration)),
        number(duration(get("p99_latency_ms"))),
        number(dollars(get("cost_per_task"))),
    )
    stamp = agent.last_run
    last, at = (UNKNOWN, "") if stamp is None else (stamp[:10], f"{stamp[11:19]} UTC")
    return (
        f"<tr><td>{mark(agent.how.kind, agent.how.word)}</td>"
        f"{name_of(agent.name)}"
        f"{''.join(cells)}{number(last, at)}</tr>"
    )


def _charts(worst: Sequence[Agent], in_all: int, limits: Thresholds) -> str:
    which = f"The {len(worst)} of {in_all:,} agents most in trouble. " if in_all > DRAWN else ""
    whiskers = f"{which}Bar and mark: the rate; whiskers: its 95 % interval; dashed: the threshold"
    parts = [
        rates(
            "chart-success",
            "Success rate",
            [
                Rate(a.name, a.how.kind, a.figures.get("success_rate"),
                     a.figures.get("success_rate_interval"))
                for a in worst
            ],
            limits.success_rate_min,
            f"{whiskers}, at least {percent(limits.success_rate_min)}.",
        ),
        rates(
            "chart-accuracy",
            "Accuracy against real outcomes",
            [
                Rate(a.name, a.how.kind, a.figures.get("avg_accuracy"),
                     a.figures.get("accuracy_interval"))
                for a in worst
            ],
            limits.accuracy_min,
            f"{whiskers}, at least {percent(limits.accuracy_min)}.",
        ),
        latencies(
            "chart-latency",
            "Latency",
            [
                Latency(a.name, a.how.kind,
                        *(a.figures.get(f"{q}_latency_ms") for q in ("p50", "p95", "p99")))
                for a in worst
            ],
            limits.latency_p95_max_ms,
            f"{which}Line: from p50 to p99; mark and figure: p95, on a scale of powers of ten; "
            f"dashed: the threshold of p95, at most {duration(limits.latency_p95_max_ms)}.",
        ),
    ]  # fmt: skip
    legend = "".join(mark(kind, word) for kind, word in _LEGEND)
    return f'<p class="legend">{legend}</p><div class="charts">{"".join(parts)}</div>'

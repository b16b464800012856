"""Figures in the text format that Prometheus scrapes; the names are a public contract.

Per-agent series are written for the busiest agents, the rest are added up under
``_other``: a scrape stays small however many names a fleet invents.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
BUSIEST: Final = 500
OTHER: Final = "_other"
# Upper edges in seconds: from a cached answer to an agent that works for an hour.
DURATION_EDGES_S: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AgentFigures:
    """What one agent amounts to.

    Attributes
    ----------
    runs
        Runs ever, by status.
    tokens
        Tokens ever, by type: input, output, unspecified.
    cost_usd
        Dollars ever spent.
    successes, decided
        Runs of the window: their ratio is the success rate.
    accuracy_sum, labelled
        Scores of the window's outcomes added up, and how many there are.
    """

    name: str
    runs: Mapping[str, int]
    tokens: Mapping[str, int]
    cost_usd: float
    successes: int
    decided: int
    accuracy_sum: float
    labelled: int


@dataclass(frozen=True, slots=True)
class FleetFigures:
    """Everything one scrape shows.

    Attributes
    ----------
    duration_counts
        Cumulative counts of decided runs at ``DURATION_EDGES_S``.
    duration_count, duration_sum_s
        How many durations there are, and their sum in seconds.
    health_ratio
        0..1; None while unknown.
    firing
        Alerts that fire, by severity.
    retrains
        Retrainings by (mode, trigger, result).
    ingest
        Values by full name of the metric; names that end in ``_total`` are counters.
    """

    agents: Sequence[AgentFigures]
    duration_counts: Sequence[int]
    duration_count: int
    duration_sum_s: float
    health_ratio: float | None
    firing: Mapping[str, int]
    retrains: Mapping[tuple[str, str, str], int]
    ingest: Mapping[str, float] = field(default_factory=dict)


# Help of the metrics of the way in; their types follow from their names.
INGEST_HELP: Final = {
    "selfright_ingest_accepted_total": "Events the log has taken.",
    "selfright_ingest_duplicate_total": "Events that were known already.",
    "selfright_ingest_rejected_total": "Records refused because a field was wrong.",
    "selfright_ingest_late_total": "Events that came after their minute was forgotten.",
    "selfright_ingest_dead_lettered_total": "Events that were put aside or dropped.",
    "selfright_ingest_queue_depth": "Events recorded and not in the log yet.",
    "selfright_ingest_last_commit_age_seconds": "Seconds since the log last took an event.",
}


def render(figures: FleetFigures, busiest: int = BUSIEST) -> str:
    """Return the exposition of all figures. About 10 us per agent shown."""
    agents = with_rest(figures.agents, busiest)
    lines: list[str] = []
    lines += _family(
        "selfright_agent_runs_total", "counter", "Runs by how they ended.",
        (
            (_labels(agent=agent.name, status=status), count)
            for agent in agents
            for status, count in agent.runs.items()
        ),
    )  # fmt: skip
    lines += _duration(figures)
    lines += _family(
        "selfright_agent_tokens_total", "counter", "Tokens used by runs that reported them.",
        (
            (_labels(agent=agent.name, type=kind), count)
            for agent in agents
            for kind, count in agent.tokens.items()
        ),
    )  # fmt: skip
    lines += _family(
        "selfright_agent_cost_dollars_total", "counter", "Cost of runs that reported it.",
        ((_labels(agent=agent.name), agent.cost_usd) for agent in agents),
    )  # fmt: skip
    lines += _family(
        "selfright_agent_success_ratio", "gauge", "Successes over decided runs of the window.",
        (
            (_labels(agent=agent.name), agent.successes / agent.decided)
            for agent in agents
            if agent.decided
        ),
    )  # fmt: skip
    lines += _family(
        "selfright_agent_accuracy_ratio", "gauge", "Mean score of the window's real outcomes.",
        (
            (_labels(agent=agent.name), agent.accuracy_sum / agent.labelled)
            for agent in agents
            if agent.labelled
        ),
    )  # fmt: skip
    lines += _family(
        "selfright_health_score_ratio", "gauge", "Health of the fleet; absent while unknown.",
        [] if figures.health_ratio is None else [("", figures.health_ratio)],
    )  # fmt: skip
    lines += _family(
        "selfright_alerts_firing", "gauge", "Alerts that fire, by severity.",
        ((_labels(severity=level), count) for level, count in figures.firing.items()),
    )  # fmt: skip
    lines += _family(
        "selfright_retrains_total", "counter", "Retrainings by what became of them.",
        (
            (_labels(mode=mode, trigger=trigger, result=result), count)
            for (mode, trigger, result), count in sorted(figures.retrains.items())
        ),
    )  # fmt: skip
    for name, value in figures.ingest.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        lines += _family(name, kind, INGEST_HELP[name], [("", value)])
    lines.append("")
    return "\n".join(lines)


def with_rest(agents: Iterable[AgentFigures], busiest: int = BUSIEST) -> list[AgentFigures]:
    """Return the agents with most runs and, as ``_other``, the sum of all the rest."""
    ordered = sorted(agents, key=lambda agent: (-sum(agent.runs.values()), agent.name))
    named = [agent for agent in ordered if agent.name != OTHER]
    rest = named[busiest:] + [agent for agent in ordered if agent.name == OTHER]
    shown = named[:busiest]
    return [*shown, _sum(rest)] if rest else shown


def _sum(agents: Sequence[AgentFigures]) -> AgentFigures:
    runs: dict[str, int] = {}
    tokens: dict[str, int] = {}
    for agent in agents:
        for status, count in agent.runs.items():
            runs[status] = runs.get(status, 0) + count
        for kind, count in agent.tokens.items():
            tokens[kind] = tokens.get(kind, 0) + count
    return AgentFigures(
        OTHER,
        runs,
        tokens,
        sum(agent.cost_usd for agent in agents),
        sum(agent.successes for agent in agents),
        sum(agent.decided for agent in agents),
        sum(agent.accuracy_sum for agent in agents),
        sum(agent.labelled for agent in agents),
    )


def _duration(figures: FleetFigures) -> Iterator[str]:
    name = "selfright_agent_run_duration_seconds"
    yield from _head(name, "histogram", "Durations of decided runs.")
    for edge_s, count in zip(DURATION_EDGES_S, figures.duration_counts, strict=True):
        yield f'{name}_bucket{{le="{_number(edge_s)}"}} {count}'
    yield f'{name}_bucket{{le="+Inf"}} {figures.duration_count}'
    yield f"{name}_sum {_number(figures.duration_sum_s)}"
    yield f"{name}_count {figures.duration_count}"


def _family(name: str, kind: str, text: str, samples: Iterable[tuple[str, float]]) -> Iterator[str]:
    yield from _head(name, kind, text)
    for labels, value in samples:
        yield f"{name}{labels} {_number(value)}"


def _head(name: str, kind: str, text: str) -> tuple[str, str]:
    return f"# HELP {name} {text}", f"# TYPE {name} {kind}"


def _labels(**labels: str) -> str:
    return "{" + ",".join(f'{name}="{escape(value)}"' for name, value in labels.items()) + "}"


def escape(value: str) -> str:
    """Return a label value such that it stays within its quotes and its line.

    The format knows three escapes; other control characters would still break a line in
    some reader, and lone surrogates cannot be encoded, so they become spaces.
    """
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    if escaped.isprintable():
        return escaped
    return "".join(char if char.isprintable() else " " for char in escaped)


def _number(value: float) -> str:
    if isinstance(value, int) or (isfinite(value) and value == int(value)):
        return str(int(value))
    return repr(float(value)) if isfinite(value) else "NaN"

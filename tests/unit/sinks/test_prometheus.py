"""What Prometheus scrapes: names as promised, labels that stay in their quotes, a bounded size."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from selfright.sinks.prometheus import (
    DURATION_EDGES_S,
    INGEST_HELP,
    AgentFigures,
    FleetFigures,
    render,
    with_rest,
)

STATUSES = ("success", "failure", "partial", "timeout")


def _agent(name: str, runs: int = 4, **more: float) -> AgentFigures:
    return AgentFigures(
        name,
        {"success": runs - 1, "failure": 1},
        {"input": 10, "output": 5, "unspecified": 0},
        0.25,
        successes=runs - 1,
        decided=runs,
        accuracy_sum=more.get("accuracy_sum", 1.5),
        labelled=int(more.get("labelled", 2)),
    )


def _fleet(*agents: AgentFigures) -> FleetFigures:
    return FleetFigures(
        agents,
        duration_counts=list(range(len(DURATION_EDGES_S))),
        duration_count=40,
        duration_sum_s=12.5,
        health_ratio=0.875,
        firing={"warning": 0, "critical": 1},
        retrains={("incremental", "automatic", "promoted"): 2},
        ingest=dict.fromkeys(INGEST_HELP, 7.0),
    )


def _parsed(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_every_promised_name_is_there_and_its_value_is_right() -> None:
    """The reference parser reads exactly what was put in."""
    found = _parsed(render(_fleet(_agent("planner"))))
    agent = ("agent", "planner")
    assert found["selfright_agent_runs_total", (agent, ("status", "failure"))] == 1
    assert found["selfright_agent_tokens_total", (agent, ("type", "input"))] == 10
    assert found["selfright_agent_cost_dollars_total", (agent,)] == 0.25
    assert found["selfright_agent_success_ratio", (agent,)] == 0.75
    assert found["selfright_agent_accuracy_ratio", (agent,)] == 0.75
    assert found["selfright_health_score_ratio", ()] == 0.875
    assert found["selfright_alerts_firing", (("severity", "critical"),)] == 1
    retrain = (("mode", "incremental"), ("result", "promoted"), ("trigger", "automatic"))
    assert found["selfright_retrains_total", retrain] == 2
    assert found["selfright_agent_run_duration_seconds_count", ()] == 40
    assert found["selfright_agent_run_duration_seconds_sum", ()] == 12.5
    assert found["selfright_agent_run_duration_seconds_bucket", (("le", "+Inf"),)] == 40
    assert found["selfright_agent_run_duration_seconds_bucket", (("le", "1"),)] == 7
    for name in INGEST_HELP:
        assert found[name, ()] == 7


@pytest.mark.parametrize(
    "name",
    [
        'a"b',
        "a\\b",
        "a\nb",
        "a\rb",
        "a\u2028b",
        "\x1b[31m",
        "<script>alert(1)</script>",
        '"} 1\nselfright_agent_cost_dollars_total{agent="planted',
        "naïve/агент/🤖",
        "=cmd|'/c calc'!A1",
    ],
)
def test_a_hostile_name_changes_neither_the_lines_nor_the_samples(name: str) -> None:
    """Whatever an agent is called, the scrape has as many lines and samples as for any other."""
    plain, hostile = render(_fleet(_agent("planner"))), render(_fleet(_agent(name)))
    assert len(hostile.splitlines()) == len(plain.splitlines())
    assert len(_parsed(hostile)) == len(_parsed(plain))
    assert "planted" not in {dict(labels).get("agent") for _, labels in _parsed(hostile)}


def test_what_is_unknown_is_absent_not_zero() -> None:
    """No outcome, no accuracy; no data, no health."""
    fleet = FleetFigures(
        [AgentFigures("a", {}, {}, 0.0, 0, 0, 0.0, 0)],
        [0] * len(DURATION_EDGES_S), 0, 0.0, None, {}, {},
    )  # fmt: skip
    names = {name for name, _ in _parsed(render(fleet))}
    assert "selfright_agent_accuracy_ratio" not in names
    assert "selfright_agent_success_ratio" not in names
    assert "selfright_health_score_ratio" not in names


def test_the_busiest_are_named_and_the_rest_adds_up_under_other() -> None:
    """A thousand agents make 500 names and one sum, and no run is lost."""
    agents = [_agent(f"agent-{i:04}", runs=i + 2) for i in range(1_000)]
    shown = with_rest([*agents, _agent("_other", runs=3)])
    assert len(shown) == 501
    assert shown[0].name == "agent-0999"
    assert shown[-1].name == "_other"
    total = sum(sum(agent.runs.values()) for agent in [*agents, _agent("_other", runs=3)])
    assert sum(sum(agent.runs.values()) for agent in shown) == total
    assert shown[-1].decided == sum(i + 2 for i in range(500)) + 3


def test_ten_thousand_agents_stay_under_a_megabyte() -> None:
    """With every series there is and names of sixty characters."""
    agents = [
        replace(_agent(f"{i:06}" + "x" * 54), runs=dict.fromkeys(STATUSES, 10**9))
        for i in range(10_000)
    ]
    assert len(render(_fleet(*agents)).encode()) < 1_000_000

"""Probes, figures for Prometheus, pages and the description of it all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from selfright.alerts.alert import PerformanceAlert
from selfright.metrics.snapshot import AgentPerformance, PerformanceMetrics
from selfright.retrain.manifest import ModelVersion
from selfright.server.shape import Health, Readiness, RetrainAnswer

PERFORMANCE, LEARNING = "/api/performance", "/api/learning"
Check = Callable[..., dict[str, Any]]
Pages = Callable[..., list[Any]]


# ---- machines and pages ---------------------------------------------------------------


def test_probes_answer(filled: httpx.Client) -> None:
    """Alive and ready."""
    assert filled.get("/healthz").json() == {"status": "alive"}
    ready = filled.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "reasons": []})


def test_prometheus_finds_the_promised_names(
    filled: httpx.Client, hostile_names: list[str]
) -> None:
    """The reference parser reads the figures of the fleet."""
    from prometheus_client.parser import text_string_to_metric_families

    answer = filled.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    failing = ("agent", "failing")
    assert found["selfright_agent_runs_total", (failing, ("status", "failure"))] == 30
    assert found["selfright_agent_success_ratio", (failing,)] == 0.5
    assert found["selfright_agent_accuracy_ratio", (failing,)] == pytest.approx(0.2)
    assert found["selfright_agent_tokens_total", (failing, ("type", "input"))] == 6000
    assert found["selfright_agent_cost_dollars_total", (failing,)] == pytest.approx(0.6)
    for name in hostile_names:
        assert found["selfright_agent_runs_total", (("agent", name), ("status", "success"))] == 60
    runs = 60 * (2 + len(hostile_names))
    # Outcomes of decisions, which other tests report, are runs without a duration.
    assert found["selfright_agent_run_duration_seconds_count", ()] == runs
    bucket = "selfright_agent_run_duration_seconds_bucket"
    assert found[bucket, (("le", "0.1"),)] == 2 + len(hostile_names)
    assert found[bucket, (("le", "0.25"),)] == runs
    assert found["selfright_agent_run_duration_seconds_sum", ()] == pytest.approx(
        (2 + len(hostile_names)) * sum(0.1 + i / 1000 for i in range(60)), rel=1e-6
    )


def test_the_status_page_shows_the_fleet_and_runs_nothing(filled: httpx.Client) -> None:
    """Names are text, not markup; the policy forbids scripts anyway."""
    answer = filled.get("/")
    assert answer.status_code == 200
    assert "script-src" not in answer.headers["content-security-policy"]
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    page = answer.text
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "a&quot;b&#x27;c&amp;d" in page
    assert page.index(">failing<") < page.index(">good<"), "trouble comes first"
    assert '<meta http-equiv="refresh"' in page
    assert '<meta http-equiv="refresh"' not in filled.get("/?refresh=0").text


def test_advice_shows_what_is_to_be_typed_as_such(filled: httpx.Client) -> None:
    """A command in an alert's advice is marked up, not between backticks."""
    page = filled.get("/").text
    assert "<code>selfright retrain --full</code>" in page
    assert "`" not in page


def test_an_empty_fleet_is_told_how_to_begin(empty: httpx.Client) -> None:
    """With the address at which the reader really reached it."""
    page = empty.get("/").text
    assert f"{empty.base_url}".rstrip("/") + "/api/performance/runs" in page
    assert "Waiting for the first run" in page


def test_nothing_that_is_served_names_another_site(filled: httpx.Client) -> None:
    """Pages, styles and scripts work without any network."""
    for path in ("/", "/docs", "/static/style.css", "/static/docs.js"):
        answer = filled.get(path)
        assert answer.status_code == 200
        assert len(answer.content) < 500_000
        assert "https://" not in answer.text
        assert "http://" not in answer.text.replace(str(filled.base_url).rstrip("/"), "")
    icon = filled.get("/static/icon.svg")
    again = filled.get("/static/icon.svg", headers={"If-None-Match": icon.headers["etag"]})
    assert again.status_code == 304


# ---- the description ------------------------------------------------------------------


def _operations(client: httpx.Client) -> list[tuple[str, str, dict[str, Any]]]:
    document = client.get("/openapi.json").json()
    return [
        (method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


PROMISED = {
    ("get", f"{PERFORMANCE}/{path}")
    for path in (
        "health", "system-metrics", "agent-metrics/{agent_name}", "agents/metrics", "alerts",
        "alerts/{alert_id}/explain", "report", "stats", "trends", "retrainings",
        "retrainings/{retrain_id}", "runs", "spikes",
    )
} | {
    ("post", f"{PERFORMANCE}/{path}")
    for path in (
        "runs", "accuracy", "sync", "trigger-retraining", "alerts/{alert_id}/acknowledge",
        "alerts/{alert_id}/mute", "agents/{agent_name}/retire",
        "retrainings/{retrain_id}/cancel",
    )
} | {
    ("get", f"{LEARNING}/{path}")
    for path in (
        "status", "metrics", "models", "models/{model_type}", "models/{model_type}/versions",
        "models/{model_type}/promotions", "models/{model_type}/diff",
    )
} | {
    ("post", f"{LEARNING}/{path}")
    for path in (
        "select", "predict/agent-selection", "outcomes", "predict/{model_type}",
        "models/{model_type}/rollback", "models/{model_type}/retrain", "models/save",
    )
} | {
    ("delete", f"{PERFORMANCE}/agents/{{agent_name}}"),
    ("post", "/login"), ("post", "/logout"), ("get", "/api/access"), ("get", "/api/access/keys"),
    ("post", "/api/access/keys"), ("delete", "/api/access/keys/{prefix}"),
    ("get", "/metrics"), ("get", "/healthz"), ("get", "/readyz"),
}  # fmt: skip


def test_the_description_names_exactly_the_promised_routes(empty: httpx.Client) -> None:
    """None missing, none that nobody promised; each with a scope and an id of its own."""
    operations = _operations(empty)
    assert {(method, path) for method, path, _ in operations} == PROMISED
    ids = [operation["operationId"] for _, _, operation in operations]
    assert len(set(ids)) == len(ids)
    for _, path, operation in operations:
        scope = operation["x-scope"]
        assert scope in {"public", "any", "ingest", "read", "operate", "admin"}, path
        assert operation["security"] == (
            [] if scope == "public" else [{"key": []}, {"session": []}]
        ), path
        assert operation["summary"], path
        assert operation["description"], path


def test_every_reference_in_the_description_leads_somewhere(empty: httpx.Client) -> None:
    """Also those of the bodies that FastAPI does not know."""
    text = empty.get("/openapi.json").text
    document = msgspec.json.decode(text)
    refs = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert refs
    assert refs <= set(document["components"]["schemas"])
    runs = document["paths"][f"{PERFORMANCE}/runs"]["post"]["requestBody"]["content"]
    assert set(runs) == {"application/json", "application/x-ndjson", "application/msgpack"}


@pytest.mark.parametrize("fleet", ["empty", "filled"])
def test_answers_have_the_form_that_is_described(
    fleet: str, request: pytest.FixtureRequest
) -> None:
    """What the description promises can be read back as the record it names."""
    client: httpx.Client = request.getfixturevalue(fleet)
    for path, record in (
        (f"{PERFORMANCE}/system-metrics", PerformanceMetrics),
        (f"{PERFORMANCE}/health", Health),
        ("/readyz", Readiness),
    ):
        msgspec.json.decode(client.get(path).content, type=record)
    for path, record in (
        (f"{PERFORMANCE}/agents/metrics", AgentPerformance),
        (f"{PERFORMANCE}/alerts", PerformanceAlert),
        (f"{PERFORMANCE}/retrainings", RetrainAnswer),
        (f"{LEARNING}/models/agent_selection/versions", ModelVersion),
    ):
        items = msgspec.json.decode(client.get(path).content)["items"]
        assert items or fleet == "empty", path
        for item in items:
            msgspec.convert(item, record)


@pytest.mark.parametrize("fleet", ["empty", "filled"])
def test_no_documented_question_breaks_the_service(
    fleet: str, request: pytest.FixtureRequest
) -> None:
    """Every GET, with and without each of its parameters, answers below 500."""
    client: httpx.Client = request.getfixturevalue(fleet)
    values = {"agent_name": "good", "alert_id": "x", "retrain_id": "x", "model_type": "routing"}
    for method, path, operation in _operations(client):
        if method != "get":
            continue
        place = path.format(**values)
        names = [item["name"] for item in operation.get("parameters", ()) if item["in"] == "query"]
        for query in [{}, *({name: text} for name in names for text in ("1", "x", "\u2028"))]:
            answer = client.get(place, params=query)
            assert answer.status_code < 500, f"{place} {query}: {answer.text}"


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b'"x"', b"{", b"\xff\xfe", b"[[[["])
def test_no_body_breaks_the_service(empty: httpx.Client, body: bytes) -> None:
    """Every POST answers nonsense below 500."""
    values = {"agent_name": "good", "alert_id": "x", "retrain_id": "x", "model_type": "routing"}
    for method, path, _ in _operations(empty):
        if method == "post" and not path.endswith(("retraining", "/retrain", "models/save")):
            answer = empty.post(
                path.format(**values), content=body, headers={"Content-Type": "application/json"}
            )
            assert answer.status_code < 500, f"{path}: {answer.text}"

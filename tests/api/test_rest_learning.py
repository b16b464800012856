"""Models are asked, told and rolled back over REST."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

PERFORMANCE, LEARNING = "/api/performance", "/api/learning"
Check = Callable[..., dict[str, Any]]
Pages = Callable[..., list[Any]]


# ---- learning -------------------------------------------------------------------------


def test_models_are_listed_and_described(filled: httpx.Client, problem: Check) -> None:
    """All five, with what they learnt."""
    status = filled.get(f"{LEARNING}/status").json()
    assert (status["connected"], status["running"]) == (True, True)
    models = {row["model_type"]: row for row in filled.get(f"{LEARNING}/models").json()["items"]}
    assert len(models) == 5
    assert models["agent_selection"]["updates"] > 0
    one = filled.get(f"{LEARNING}/models/agent_selection").json()
    assert one["model_type"] == "agent_selection"
    assert filled.get(f"{LEARNING}/metrics").json()["updates"]["agent_selection"] > 0
    problem(filled.get(f"{LEARNING}/models/astrology"), 422, "model_type")
    problem(filled.get(f"{LEARNING}/models/astrology/versions"), 422, "model_type")


@pytest.mark.parametrize("path", ["select", "predict/agent-selection"])
def test_a_choice_comes_with_its_probability(filled: httpx.Client, path: str) -> None:
    """Drawn from exactly the distribution that is returned."""
    body = {"task_type": "plan", "candidates": ["good", "failing"]}
    chosen = filled.post(f"{LEARNING}/{path}", json=body).json()
    assert chosen["agent_name"] in {"good", "failing"}
    assert sum(chosen["probabilities"].values()) == pytest.approx(1.0)
    assert chosen["probability"] == chosen["probabilities"][chosen["agent_name"]]


def test_outcomes_of_decisions_are_taken_one_or_many(filled: httpx.Client, problem: Check) -> None:
    """A bad one among many is refused by its index; alone it is refused altogether."""
    body = {"candidates": ["good"]}
    ids = [filled.post(f"{LEARNING}/select", json=body).json()["decision_id"] for _ in range(3)]
    one = filled.post(f"{LEARNING}/outcomes", json={"decision_id": ids[0], "reward": 1.0})
    assert one.status_code == 202, one.text
    many = [
        {"decision_id": ids[1], "status": "success", "cost": 0.1},
        {"decision_id": "never made", "reward": 1.0},
        {"decision_id": ids[2], "reward": 7},
        {"decision_id": ids[2]},
        {"decision_id": ids[2], "accuracy_score": 0.5},
        5,
    ]
    answer = filled.post(f"{LEARNING}/outcomes", json=many).json()
    assert answer["accepted"] == 2
    assert [item["index"] for item in answer["rejected"]] == [1, 2, 3, 5]
    problem(
        filled.post(f"{LEARNING}/outcomes", json={"decision_id": "never made", "reward": 1}), 404
    )
    problem(filled.post(f"{LEARNING}/outcomes", json={"reward": 1}), 422, "decision_id")
    problem(filled.post(f"{LEARNING}/outcomes", json={"decision_id": ids[0]}), 422, "reward")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("select", {"candidates": []}, "candidates"),
        ("select", {"candidates": ["a", "a"]}, "candidates"),
        ("select", {"candidates": "good"}, "candidates"),
        ("select", {"candidates": [{"a": 1}]}, "candidates"),
        ("select", {"model_type": "parameter_optimization", "candidates": ["hot"]}, "candidates"),
        ("select", {"model_type": "latency_prediction"}, "model_type"),
        ("select", {"agents": ["good"]}, "agents"),
        ("predict/astrology", {}, "model_type"),
        ("predict/agent_selection", {"top_k": 0}, "top_k"),
        ("predict/latency_prediction", {}, "agent_name"),
        ("models/astrology/rollback", {}, "model_type"),
        ("models/agent_selection/rollback", {"version": -1}, "version"),
    ],
)
def test_a_bad_question_to_a_model_is_refused(
    filled: httpx.Client, path: str, body: dict[str, Any], field: str, problem: Check
) -> None:
    """422 names the field."""
    problem(filled.post(f"{LEARNING}/{path}", json=body), 422, field)


@pytest.mark.parametrize(
    ("model_type", "body"),
    [
        ("agent_selection", {"task_type": "plan", "top_k": 2}),
        ("quality_prediction", {"agent_name": "good", "task_type": "plan"}),
        ("latency_prediction", {"agent_name": "good"}),
        ("routing", {}),
        ("parameter_optimization", {"agent_name": "good"}),
    ],
)
def test_every_model_predicts(filled: httpx.Client, model_type: str, body: dict[str, Any]) -> None:
    """Each in its own form; what it cannot know yet is null."""
    answer = filled.post(f"{LEARNING}/predict/{model_type}", json=body)
    assert answer.status_code == 200, answer.text
    found = answer.json()["prediction"]
    if model_type == "agent_selection":
        assert len(found) == 2
        assert set(found[0]) == {"agent_name", "score"}
    elif model_type.endswith("_prediction"):
        assert found["low"] <= found["value"] <= found["high"]


def test_an_unknown_version_is_not_found(filled: httpx.Client, problem: Check) -> None:
    """A rollback to nowhere changes nothing."""
    problem(filled.post(f"{LEARNING}/models/routing/rollback", json={"version": 99}), 404)


def test_without_an_updater_learning_says_so(
    serve_new: Callable[..., httpx.Client], problem: Check
) -> None:
    """Figures are served; asking a model is a conflict with how the service was started."""
    client = serve_new(learns=False)
    assert client.get(f"{LEARNING}/status").json()["connected"] is False
    problem(client.get(f"{LEARNING}/models"), 409)
    problem(client.post(f"{LEARNING}/select"), 409)
    result = client.post(f"{PERFORMANCE}/trigger-retraining", json={}).json()
    assert result["success"] is False
    assert "updater" in result["error"]


def test_a_number_that_json_does_not_have_is_refused_by_its_field(
    filled: httpx.Client, problem: Check
) -> None:
    """A NaN is no malformed body, and spoils none of its neighbours."""
    kind = {"Content-Type": "application/json"}
    path = f"{LEARNING}/outcomes"
    one = filled.post(path, content=b'{"decision_id": "x", "reward": NaN}', headers=kind)
    assert problem(one, 422, "reward")["detail"] == "must be a finite number"
    made = filled.post(f"{LEARNING}/select", json={"candidates": ["good"]}).json()["decision_id"]
    many = f'[{{"decision_id": "x", "reward": Infinity}}, {{"decision_id": "{made}", "reward": 1}}]'
    answer = filled.post(path, content=many.encode(), headers=kind).json()
    assert answer["accepted"] == 1
    assert [(item["index"], item["field"]) for item in answer["rejected"]] == [(0, "reward")]
    alert = filled.get("/api/performance/alerts").json()["items"][0]["alert_id"]
    mute = f"/api/performance/alerts/{alert}/mute"
    problem(filled.post(mute, content=b'{"for_s": NaN}', headers=kind), 422, "for_s")
    problem(filled.post(mute, content=b'{"for_s": NaN', headers=kind), 422, "body")


def test_what_served_when_and_why_is_told(
    serve_new: Callable[..., httpx.Client], all_pages: Pages, problem: Check
) -> None:
    """The promotion log in pages; what served at a moment; what two versions differ in."""
    client = serve_new()
    for failures in (0, 5):
        runs = [
            {
                "run_id": f"{failures}-{i}",
                "agent_name": "a",
                "status": "failure" if i < failures else "success",
            }
            for i in range(50)
        ]
        assert client.post(f"{PERFORMANCE}/runs", json=runs).status_code == 202
        assert client.post(f"{LEARNING}/models/save", json={}).status_code == 200
    path = f"{LEARNING}/models/agent_selection"
    assert client.post(f"{path}/rollback", json={}).json()["version"] == 1
    log = all_pages(client, f"{path}/promotions", limit=2)
    assert [(e["version"], e["previous"], e["reason"]) for e in log] == [
        (1, None, "saved"),
        (2, 1, "saved"),
        (1, 2, "rollback"),
    ]
    served = client.get(f"{LEARNING}/models", params={"at": log[1]["at"]}).json()["items"]
    assert {row["model_type"]: row["version"] for row in served}["agent_selection"] == 2
    found = client.get(f"{path}/diff", params={"before": 1, "after": 2}).json()
    (change,) = found["differences"]
    assert change["change"] < -0.02
    assert (change["n_before"], change["n_after"]) == (50, 100)
    problem(client.get(f"{path}/diff", params={"before": 1, "after": 7}), 404)
    problem(client.get(f"{path}/diff", params={"before": 1}), 422, "after")
    problem(client.get(f"{LEARNING}/models", params={"at": "soon"}), 422, "at")
    problem(client.get(f"{LEARNING}/models/astrology/promotions"), 422, "model_type")
    problem(client.get(f"{LEARNING}/models/astrology/diff?before=1&after=2"), 422, "model_type")


def test_a_model_is_retrained_by_its_name(filled: httpx.Client, problem: Check) -> None:
    """One that nobody registered is named, with those there are."""
    path = f"{LEARNING}/models/latency_prediction/retrain"
    result = filled.post(path, json={"reason": "why not"}).json()
    assert (result["success"], result["reason"]) == (True, "why not")
    problem(filled.post(f"{LEARNING}/models/mine/retrain", json={}), 422, "model_type")


@pytest.mark.parametrize(
    ("model_type", "candidates", "context"),
    [
        ("routing", ["fast", "slow"], None),
        ("parameter_optimization", [{"t": 0}, {"t": 1}], {"agent_name": "good"}),
    ],
)
def test_routes_and_parameters_are_chosen_and_judged(
    serve_new: Callable[..., httpx.Client], model_type: str, candidates: list[Any], context: Any
) -> None:
    """By the same routes as agents; outcomes in reverse order teach the model."""
    client = serve_new()
    body = {"model_type": model_type, "candidates": candidates, "context": context}
    made = [client.post(f"{LEARNING}/select", json=body).json() for _ in range(20)]
    assert all(sum(one["probabilities"].values()) == pytest.approx(1.0) for one in made)
    best = next(iter(made[0]["probabilities"]))
    outcomes = [
        {"decision_id": one["decision_id"], "reward": float(one["agent_name"] == best)}
        for one in reversed(made)
    ]
    answer = client.post(f"{LEARNING}/outcomes", json=outcomes)
    assert answer.json()["accepted"] == 20, answer.text
    about = {"agent_name": "good"} if context else {}
    found = client.post(f"{LEARNING}/predict/{model_type}", json=about).json()["prediction"]
    assert found == {"t": 0} if context else found["route"] == "fast"
    counts = client.get(f"{LEARNING}/metrics").json()["updates"]
    assert counts[model_type] == 20

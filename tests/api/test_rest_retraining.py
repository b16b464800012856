"""A retraining over REST: its result, its id, one at a time, and the same key twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

PATH = "/api/performance/trigger-retraining"
LIST = "/api/performance/retrainings"
Check = Callable[..., dict[str, Any]]
Serve = Callable[..., httpx.Client]


@pytest.fixture
def client(serve_new: Serve) -> httpx.Client:
    """Serve a fleet with something to learn from."""
    made = serve_new()
    _feed(made)
    return made


def _feed(client: httpx.Client) -> None:
    # Healthy, so that nothing is retrained but what a test asks for.
    runs = [
        {"run_id": f"{name}-{i}", "agent_name": name, "task_id": f"t{i}", "task_type": "plan",
         "status": "success" if i % (20 + len(name)) else "failure", "duration_ms": 50.0}
        for name in ("a", "bb", "ccc")
        for i in range(200)
    ]  # fmt: skip
    assert client.post("/api/performance/runs", json=runs).json()["accepted"] == 600


def _ask(client: httpx.Client, key: str | None = None, **body: Any) -> httpx.Response:
    return client.post(PATH, json=body, headers={} if key is None else {"Idempotency-Key": key})


def test_a_retraining_answers_with_its_result(client: httpx.Client) -> None:
    """A new version exists, and the gate watches it."""
    result = _ask(client, reason="tried by hand").json()
    assert result["success"] is True
    assert result["retrain_type"] == "incremental"
    assert result["reason"] == "tried by hand"
    assert result["events_processed"] > 0
    assert result["version"] is not None
    found = client.get(f"{LIST}/{result['retrain_id']}").json()
    assert found["version"] == result["version"]
    listed = client.get(LIST).json()["items"]
    assert [item["retrain_id"] for item in listed] == [result["retrain_id"]]
    versions = client.get("/api/learning/models/agent_selection/versions").json()["items"]
    assert result["version"] in [item["version"] for item in versions]


def test_a_full_one_replays_more_than_an_incremental_one(client: httpx.Client) -> None:
    """All runs of the log against the newest hundred per agent."""
    full = _ask(client, force_full_retrain=True).json()
    assert (full["retrain_type"], full["events_processed"]) == ("full", 600)


def test_one_at_a_time_and_the_refusal_names_the_other(
    client: httpx.Client, problem: Check
) -> None:
    """409 with the id that is under way or on trial; another model may go on."""
    first = _ask(client).json()
    assert first["state"] == "pending"
    said = problem(_ask(client), 409)
    assert said["retrain_id"] == first["retrain_id"]
    assert _ask(client, model_type="latency_prediction").status_code == 200


def test_the_same_key_is_the_same_retraining(client: httpx.Client, problem: Check) -> None:
    """Sent again it answers with the first one's result; a new key is a new request."""
    first = _ask(client, "monday")
    assert first.status_code == 200
    again = _ask(client, "monday")
    assert (again.status_code, again.json()["retrain_id"]) == (200, first.json()["retrain_id"])
    assert len(client.get(LIST).json()["items"]) == 1
    problem(_ask(client, "tuesday"), 409)
    problem(_ask(client, "monday", force_full_retrain=True), 422, "Idempotency-Key")


def test_many_askers_start_one(client: httpx.Client) -> None:
    """Of twelve at once one is let in; with one key all hear of the same."""
    for key, codes in ((None, {200, 409}), ("k", {200})):
        answers: list[httpx.Response] = []
        model = "agent_selection" if key is None else "quality_prediction"
        threads = [
            threading.Thread(target=lambda: answers.append(_ask(client, key, model_type=model)))  # noqa: B023
            for _ in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert {answer.status_code for answer in answers} <= codes
        assert len({answer.json()["retrain_id"] for answer in answers}) == 1
    assert len(client.get(LIST).json()["items"]) == 2


def test_without_time_to_wait_the_answer_is_an_id(serve_new: Serve) -> None:
    """202 with a place to ask at, where the result then is."""
    client = serve_new(server__retrain_wait_s=0.0)
    _feed(client)
    answer = _ask(client, force_full_retrain=True)
    assert answer.status_code in {200, 202}
    place = answer.headers.get("location", f"{LIST}/{answer.json()['retrain_id']}")
    for _ in range(200):
        found = client.get(place).json()
        if found["state"] != "running":
            break
        threading.Event().wait(0.05)
    assert found["state"] == "pending"
    assert found["success"] is True


def test_with_nothing_to_learn_from_the_attempt_fails_in_words(serve_new: Serve) -> None:
    """A failed attempt is a result, not an error of the service."""
    result = _ask(serve_new()).json()
    assert (result["success"], result["state"]) == (False, "failed")
    assert result["error"]


def test_an_unknown_retraining_is_not_found(empty: httpx.Client, problem: Check) -> None:
    """Also one whose name looks like a path."""
    problem(empty.get(f"{LIST}/retrain-0000"), 404)
    problem(empty.get(f"{LIST}/a%2Fb"), 404)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"reason": 5}, "reason"),
        ({"reason": "x" * 1001}, "reason"),
        ({"model_type": "astrology"}, "model_type"),
        ({"force_full_retrain": "yes"}, "force_full_retrain"),
        ({"full": True}, "full"),
    ],
)
def test_a_bad_request_starts_nothing(
    empty: httpx.Client, problem: Check, body: dict[str, Any], field: str
) -> None:
    """422 names the field."""
    problem(empty.post(PATH, json=body), 422, field)


@pytest.mark.parametrize("key", ["", "x" * 201, "with space"])
def test_a_key_is_a_short_word(empty: httpx.Client, problem: Check, key: str) -> None:
    """422 names the header."""
    problem(_ask(empty, key), 422, "Idempotency-Key")


def test_who_does_not_want_to_wait_is_told_how_far_it_is(client: httpx.Client) -> None:
    """`Prefer: respond-async` answers 202 at once; the id leads to the rest."""
    asked = client.post(
        PATH, json={"force_full_retrain": True}, headers={"Prefer": "respond-async"}
    )
    assert asked.status_code in {200, 202}  # a quick one may be done
    found = asked.json()
    assert found["state"] in {"running", "pending"}
    if found["state"] == "running":
        assert 0.0 <= found["progress"] <= 1.0
    tick = threading.Event()
    while found["state"] == "running":
        tick.wait(0.05)
        found = client.get(f"{LIST}/{found['retrain_id']}").json()
    assert (found["state"], found["progress"]) == ("pending", None)


def test_only_one_that_runs_can_be_cancelled(client: httpx.Client, problem: Check) -> None:
    """What is on trial, and what is unknown, is refused with what to do instead."""
    first = _ask(client).json()
    path = f"{LIST}/{first['retrain_id']}/cancel"
    assert "on trial" in problem(client.post(path, json={}), 422, "retrain_id")["detail"]
    problem(client.post(f"{LIST}/retrain-nobody/cancel"), 404)
    problem(client.post(path, json={"why": "x"}), 422, "why")

"""Runs and outcomes come in: what is bad is refused alone, what is good counts once."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from selfright.errors import BackpressureError, StorageError
from selfright.events.wire import MAX_EVENT_BYTES
from selfright.server.error_map import problem_of
from selfright.server.ingest import Admission

RUNS, ACCURACY = "/api/performance/runs", "/api/performance/accuracy"
Check = Callable[..., dict[str, Any]]
Serve = Callable[..., httpx.Client]


@pytest.fixture(scope="module")
def client(filled: httpx.Client) -> httpx.Client:
    """Return a service that may be written to."""
    return filled


def _run(run_id: str, **more: Any) -> dict[str, Any]:
    return {"run_id": run_id, "agent_name": "planner", "status": "success", **more}


def _send(client: httpx.Client, body: bytes, kind: str = "application/json", **headers: str) -> Any:
    return client.post(RUNS, content=body, headers={"Content-Type": kind, **headers})


def _kept(client: httpx.Client, prefix: str) -> list[str]:
    found = client.get(RUNS, params={"limit": 1000}).json()["items"]
    return sorted(run["run_id"] for run in found if run["run_id"].startswith(prefix))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("form", "kind", "encode"),
    [
        ("json", "application/json", json.dumps),
        ("ndjson", "application/x-ndjson", lambda runs: "\n".join(map(json.dumps, runs))),
        ("msgpack", "application/msgpack", msgspec.msgpack.encode),
        ("xmsgpack", "application/x-msgpack", msgspec.msgpack.encode),
    ],
)
def test_a_batch_is_taken_in_every_form(
    client: httpx.Client, form: str, kind: str, encode: Callable[[Any], Any], packed: bool
) -> None:
    """JSON, NDJSON and msgpack, plain and in gzip; sent again it is all duplicates."""
    prefix = f"{form}-{packed}-"
    runs = [_run(f"{prefix}{i}", duration_ms=i + 0.5) for i in range(5)]
    body = encode(runs)
    body = body.encode() if isinstance(body, str) else body
    headers = {"Content-Encoding": "gzip"} if packed else {}
    body = gzip.compress(body) if packed else body
    first = _send(client, body, kind, **headers)
    assert (first.status_code, first.json()) == (
        202, {"accepted": 5, "duplicates": 0, "rejected": []},
    )  # fmt: skip
    again = _send(client, body, kind, **headers)
    assert again.json() == {"accepted": 0, "duplicates": 5, "rejected": []}
    assert _kept(client, prefix) == [f"{prefix}{i}" for i in range(5)]


def test_a_single_object_is_taken(client: httpx.Client) -> None:
    """One run, one outcome."""
    assert client.post(RUNS, json=_run("single")).json()["accepted"] == 1
    outcome = {"agent_name": "planner", "predicted_outcome": {"a": 1}, "actual_outcome": {"a": 1}}
    assert client.post(ACCURACY, json=outcome).json()["accepted"] == 1


BAD = [
    ("cost", b"NaN"),
    ("cost", b"Infinity"),
    ("cost", b"-Infinity"),
    ("cost", b"1e999"),
    ("cost", b"-0.01"),
    ("cost", b'"nan"'),
    ("duration_ms", b"-1"),
    ("duration_ms", b"100000000000000000000"),
    ("tokens_used", b"1.5"),
    ("tokens_used", b"true"),
    ("quality_score", b"1.01"),
    ("retry_count", b"-1"),
    ("status", b'"splendid"'),
    ("agent_name", b'""'),
    ("agent_name", b'"a\\u0000b"'),
    ("agent_name", b'"a\\nb"'),
    ("agent_name", b"5"),
    ("agent_name", b'"\\ud800"'),
    ("agent_name", b'"' + b"x" * 201 + b'"'),
    ("timestamp", b'"yesterday"'),
    ("timestamp", b"1e300"),
    ("context", b"[1]"),
    ("context", b'{"a": ' * 70 + b"1" + b"}" * 70),
    ("nonsense", b"1"),
]


@pytest.mark.parametrize(("field", "value"), BAD)
def test_a_bad_record_is_refused_by_its_index_and_its_neighbours_count(
    client: httpx.Client, field: str, value: bytes
) -> None:
    """Whatever is wrong with one, the others of the batch are kept; alone it is a 422."""
    key = f"bad-{field}-{hash(value)}-"
    fields = {"agent_name": b'"planner"', field: value}
    inner = b", ".join(b'"%s": %s' % (name.encode(), text) for name, text in fields.items())
    bad = b'{"run_id": "%s1", %s}' % (key.encode(), inner)
    good = [json.dumps(_run(f"{key}{i}")).encode() for i in (0, 2)]
    answer = _send(client, b"[%s, %s, %s]" % (good[0], bad, good[1]))
    assert answer.status_code == 202, answer.text
    assert answer.json()["accepted"] == 2
    (refused,) = answer.json()["rejected"]
    assert refused["index"] == 1
    assert refused["reason"]
    assert refused["field"].split(".")[0] in {field, "body"}
    assert _kept(client, key) == [f"{key}0", f"{key}2"]
    alone = _send(client, bad)
    assert alone.status_code == 422
    assert alone.headers["content-type"] == "application/problem+json"
    assert alone.json()["field"] == refused["field"]


def test_a_batch_is_answered_even_if_every_record_is_refused(client: httpx.Client) -> None:
    """202 with as many refusals as records; an empty batch is no error either."""
    answer = client.post(RUNS, json=[{}, {"run_id": "x"}, 5])
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 0
    assert [item["index"] for item in answer.json()["rejected"]] == [0, 1, 2]
    assert client.post(RUNS, json=[]).json() == {"accepted": 0, "duplicates": 0, "rejected": []}


def test_a_broken_line_spoils_no_other(client: httpx.Client) -> None:
    """NDJSON is split before it is read; blank lines do not count."""
    lines = [json.dumps(_run("line-0")), "{broken", "", json.dumps(_run("line-2"))]
    answer = _send(client, "\r\n".join(lines).encode(), "application/x-ndjson").json()
    assert answer["accepted"] == 2
    assert [item["index"] for item in answer["rejected"]] == [1]


def test_an_outcome_must_say_something(client: httpx.Client, problem: Check) -> None:
    """A score, or something to score; a NaN counts as a bad score, not as zero."""
    problem(client.post(ACCURACY, json={"agent_name": "planner"}), 422, "accuracy_score")
    body = b'[{"agent_name": "a", "accuracy_score": NaN}, {"agent_name": "a", "accuracy_score": 1}]'
    answer = client.post(ACCURACY, content=body, headers={"Content-Type": "application/json"})
    assert answer.json()["accepted"] == 1
    assert answer.json()["rejected"][0]["index"] == 0


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b"\xff\xfe", b"[" * 100_000, b"[1, 2"])
def test_what_is_no_data_is_refused_whole(
    client: httpx.Client, problem: Check, body: bytes
) -> None:
    """422 about the body."""
    problem(_send(client, body), 422, "body")


def test_an_event_beyond_its_limit_is_refused_alone(client: httpx.Client) -> None:
    """1 MiB for one; its neighbours pass."""
    large = _run("large-1", metadata={"text": "x" * MAX_EVENT_BYTES})
    answer = client.post(RUNS, json=[_run("large-0"), large, _run("large-2")]).json()
    assert answer["accepted"] == 2
    assert answer["rejected"][0]["index"] == 1


def test_an_event_of_a_body_that_is_no_json_has_the_same_limit(client: httpx.Client) -> None:
    """A NaN beside it makes the body no JSON, and still nothing over 1 MiB is taken."""
    large = json.dumps(_run("over", metadata={"text": "x" * (MAX_EVENT_BYTES - 60)}))
    assert len(large) > MAX_EVENT_BYTES
    body = f'[{large}, {{"run_id": "nan", "agent_name": "a", "duration_ms": NaN}}]'
    answer = _send(client, body.encode()).json()
    assert answer["accepted"] == 0
    assert [item["index"] for item in answer["rejected"]] == [0, 1]
    assert "larger than" in answer["rejected"][0]["reason"]


def test_the_setting_rules_how_large_an_event_may_be(serve_new: Serve, problem: Check) -> None:
    """With 2 KiB in `server.max_event_bytes` 3 KiB are refused, in every form."""
    client = serve_new(server__max_event_bytes=2048)
    large, small = _run("large", metadata={"text": "x" * 3000}), _run("small")
    answer = client.post(RUNS, json=[large, small]).json()
    assert answer["accepted"] == 1
    assert answer["rejected"][0]["reason"] == "is larger than 2048 bytes"
    assert "2048" in problem(client.post(RUNS, json=large), 422, "body")["detail"]
    outcome = {"agent_name": "a", "accuracy_score": 1.0, "metadata": {"text": "x" * 3000}}
    problem(client.post(ACCURACY, json=outcome), 422, "body")


def test_a_body_beyond_its_limit_is_refused(serve_new: Serve, problem: Check) -> None:
    """413 for what says so, for what does not, and for what inflates to it."""
    client = serve_new(server__max_batch_bytes=4096)
    runs = json.dumps([_run(f"r{i}") for i in range(100)]).encode()
    problem(_send(client, runs), 413, "body")
    kind = {"Content-Type": "application/json"}
    problem(client.post(RUNS, content=iter([runs]), headers=kind), 413, "body")
    problem(_send(client, gzip.compress(runs), **{"Content-Encoding": "gzip"}), 413, "body")
    assert client.get(RUNS).json()["items"] == []
    assert client.post(RUNS, json=_run("small")).status_code == 202


@pytest.mark.parametrize(
    ("kind", "headers", "field"),
    [
        ("text/plain", {}, "Content-Type"),
        ("application/x-www-form-urlencoded", {}, "Content-Type"),
        ("application/json", {"Content-Encoding": "br"}, "Content-Encoding"),
    ],
)
def test_another_form_is_refused(
    client: httpx.Client, problem: Check, kind: str, headers: dict[str, str], field: str
) -> None:
    """415 says what to send instead."""
    problem(_send(client, b"{}", kind, **headers), 415, field)


def test_a_full_house_asks_clients_to_come_back() -> None:
    """What is in flight is bounded by bytes and by requests; room comes back."""
    gate = Admission(max_bytes=100, max_requests=2)
    with gate.admit(60):
        with pytest.raises(BackpressureError), gate.admit(60):
            pass
        with gate.admit(40), pytest.raises(BackpressureError), gate.admit(0):
            pass
    with gate.admit(100):
        pass


def test_errors_of_the_log_tell_when_to_come_back() -> None:
    """429 for a full queue, 507 for a full disk, both with whole seconds to wait."""
    busy, full = (
        problem_of(BackpressureError(0.2)),
        problem_of(StorageError("/secret/x.db", "full")),
    )
    assert (busy.status, busy.headers["Retry-After"]) == (429, "1")
    assert full.status == 507
    assert int(full.headers["Retry-After"]) > 0
    assert "/secret" not in full.detail


def test_what_was_acknowledged_is_counted_in_the_next_answer(client: httpx.Client) -> None:
    """A reader sees what any writer was told is kept."""
    for i in range(20):
        name = f"fresh-{i}"
        assert client.post(RUNS, json=_run(f"now-{i}", agent_name=name)).status_code == 202
        found = client.get(f"/api/performance/agent-metrics/{name}").json()
        assert found["metrics"]["total_tasks"] == 1


def test_many_at_once_lose_nothing_and_count_nothing_twice(client: httpx.Client) -> None:
    """Eight clients send overlapping batches: each run counts once, in one answer only."""
    accepted: list[int] = []

    def send(part: int) -> None:
        with httpx.Client(base_url=client.base_url, timeout=20) as own:
            for start in range(0, 400, 50):
                runs = [_run(f"shared-{i}") for i in range(start, start + 50)]
                runs += [_run(f"own-{part}-{i}") for i in range(start, start + 10)]
                answer = own.post(RUNS, json=runs)
                assert answer.status_code == 202, answer.text
                accepted.append(answer.json()["accepted"])

    threads = [threading.Thread(target=send, args=(part,)) for part in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(accepted) == 400 + 8 * 80


def test_a_full_queue_turns_clients_away_and_loses_nothing(serve_new: Serve) -> None:
    """429 says when to come back; who does is taken, and every run counts once."""
    client = serve_new(log__queue_rows=10)
    turned_away: list[int] = []
    accepted: list[int] = []

    def send(part: int) -> None:
        with httpx.Client(base_url=client.base_url, timeout=20) as own:
            for start in range(0, 300, 30):
                runs = [_run(f"q{part}-{start + i}") for i in range(30)]
                while (answer := own.post(RUNS, json=runs)).status_code == 429:
                    turned_away.append(int(answer.headers["retry-after"]))
                    threading.Event().wait(0.01)
                assert answer.status_code == 202, answer.text
                accepted.append(answer.json()["accepted"])

    threads = [threading.Thread(target=send, args=(part,)) for part in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert turned_away
    assert min(turned_away) >= 1
    assert sum(accepted) == 12 * 300
    metrics = client.get("/api/performance/system-metrics").json()
    assert metrics["total_tasks"] == 12 * 300

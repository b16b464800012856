"""Models of the user's own over REST, and from the command line beside such a service."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from selfright import RealTimeModelUpdater
from selfright.cli.app import app

MINE = "mine"


class Rate:
    """Expects a rate of everybody: the one it was given, and once refitted another one."""

    def __init__(self, before: float, after: float) -> None:
        self.rate, self.after = before, after

    def refit(self, events: list[Any]) -> None:
        self.rate = self.after

    def update(self, events: list[Any]) -> None:
        pass

    def score(self, events: list[Any]) -> list[float]:
        return [1.0 - (float(event.status == "success") - self.rate) ** 2 for event in events]

    def save(self, folder: str) -> None:
        (Path(folder) / "all.json").write_text(json.dumps([self.rate, self.after]))

    def load(self, folder: str) -> None:
        self.rate, self.after = json.loads((Path(folder) / "all.json").read_text())


def _run(client: httpx.Client, first: int, n: int) -> None:
    rows = [
        {"run_id": f"r{i}", "agent_name": "a", "status": "success", "duration_ms": 1.0}
        for i in range(first, first + n)
    ]
    assert client.post("/api/performance/runs", json=rows).status_code == 202


def _until(client: httpx.Client, retrain_id: str, holds: Callable[[dict[str, Any]], bool]) -> Any:
    """Return what became of a retraining once it ``holds``."""
    for _ in range(400):
        found = client.get(f"/api/performance/retrainings/{retrain_id}").json()
        if holds(found):
            return found
        threading.Event().wait(0.05)
    raise AssertionError(found)


def _selfright(client: httpx.Client, *words: str, code: int = 0) -> Any:
    """Return the JSON that a command prints of a service, or what it says of a mistake."""
    done = CliRunner().invoke(app, [*words, "--url", str(client.base_url).rstrip("/"), "--json"])
    assert done.exit_code == code, done.stderr
    return json.loads(done.stdout) if code == 0 else " ".join(done.stderr.split())


@pytest.fixture
def client(serve_new: Callable[..., httpx.Client]) -> httpx.Client:
    """Serve a fleet with a model that gets better by a refit, and has learnt 100 runs."""
    found = serve_new(own={MINE: Rate(0.5, 0.9)})
    _run(found, 0, 100)
    return found


def test_its_retrainings_are_listed_with_verdict_and_proof(client: httpx.Client) -> None:
    """Among those of the five, by id too, and as an alert."""
    made = client.post(f"/api/learning/models/{MINE}/retrain", json={"reason": "because"}).json()
    assert (made["success"], made["state"], made["model_type"]) == (True, "pending", MINE)
    items = client.get("/api/performance/retrainings").json()["items"]
    assert [item["retrain_id"] for item in items] == [made["retrain_id"]]
    _run(client, 100, 100)
    done = _until(client, made["retrain_id"], lambda found: found["state"] == "done")
    assert (done["gate"]["verdict"], done["promoted"]) == ("promoted", True)
    _run(client, 200, 300)
    proved = _until(client, made["retrain_id"], lambda found: found["proof"] is not None)
    assert (proved["proof"]["verdict"], proved["proof"]["n"]) == ("improved", 200)
    alerts = client.get("/api/performance/alerts").json()["items"]
    assert any("retraining of mine" in alert["message"] for alert in alerts)
    assert "selfright_retrains_total{" in client.get("/metrics").text


def test_the_command_line_retrains_it_by_its_name(client: httpx.Client) -> None:
    """Where the service has it registered; one at a time, with the reason why not."""
    made = _selfright(client, "retrain", MINE, "--reason", "because")
    assert (made["model_type"], made["retrain_type"]) == (MINE, "full")
    assert (made["state"], made["reason"]) == ("pending", "because")
    done = CliRunner().invoke(app, ["retrain", MINE, "--url", str(client.base_url)])
    assert done.exit_code == 1
    assert "on trial" in " ".join(done.stdout.split())
    ours = _selfright(client, "retrain", "agent-selection")
    assert ours["model_type"] == "agent_selection"


def test_a_name_nobody_has_is_explained(client: httpx.Client) -> None:
    """Which names there are, the nearest, and where one of your own would be known."""
    said = _selfright(client, "retrain", "mien", code=2)
    assert "model_type='mien': must be one of agent_selection" in said
    assert "did you mean mine?" in said
    assert "register_model" in said


def _saved(models: Path) -> None:
    """Leave versions of the model alone in a folder, as another program did."""
    updater = RealTimeModelUpdater(model_storage_path=str(models))
    updater.register_model(MINE, Rate(0.5, 0.9))
    updater.submit({"agent_name": "a", "status": "success"})
    assert updater.trigger_retraining(MINE).parent_version == 1


def test_versions_without_their_model_are_explained(
    serve_new: Callable[..., httpx.Client], tmp_path: Path
) -> None:
    """A service that did not register it has its versions and not its code."""
    _saved(tmp_path / "models")
    said = _selfright(serve_new(), "retrain", MINE, code=1)
    assert "no registered model 'mine'" in said
    assert "has not registered the model itself: call register_model('mine', model)" in said


def test_a_directory_that_nobody_serves_says_who_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its versions are there, its code is not; and a misspelt name of the five is told apart."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs.csv").write_text("run_id,agent_name,status,duration_ms\nr1,a,success,1\n")
    assert CliRunner().invoke(app, ["import", "runs.csv"]).exit_code == 0
    _saved(tmp_path / "selfright-data" / "models")
    for name, said in (
        (MINE, ("is a model of your own", "--url", "updater.trigger_retraining('mine')")),
        ("agent_selectoin", ("did you mean agent_selection?", "--url")),
    ):
        done = CliRunner().invoke(app, ["retrain", name])
        assert done.exit_code == 2, done.stderr
        assert "Traceback" not in done.stderr
        for words in said:
            assert words in " ".join(done.stderr.split())

"""A model of the user's own joins the loop: it learns, proves itself, serves, and harms nobody."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfright import ModelType, OutcomeEvent, PerformanceMonitor, RealTimeModelUpdater
from selfright.clock import monotonic_s
from selfright.config import Settings, with_values
from selfright.errors import ConfigError, UnknownNameError

MINE = "mine"


class Rate:
    """Predicts each agent's success rate; a score is 1 less the squared error."""

    def __init__(self, wrong: float = 0.0) -> None:
        self.counts: dict[str, list[float]] = {}
        self.batches: list[int] = []
        self.wrong = wrong  # added to what it predicts after a refit

    def refit(self, events: list[OutcomeEvent]) -> None:
        self.counts = {}
        self.update(events)

    def update(self, events: list[OutcomeEvent]) -> None:
        self.batches.append(len(events))
        for event in events:
            won, n = self.counts.get(event.agent_name, [0.0, 0.0])
            self.counts[event.agent_name] = [won + (event.status == "success"), n + 1.0]

    def score(self, events: list[OutcomeEvent]) -> list[float]:
        return [
            1.0 - (float(event.status == "success") - self.rate(event.agent_name)) ** 2
            for event in events
        ]

    def rate(self, name: str) -> float:
        won, n = self.counts.get(name, [0.0, 0.0])
        return min(1.0, max(0.0, (won + 1.0) / (n + 2.0) + self.wrong))

    def save(self, folder: str) -> None:
        (Path(folder) / "deep").mkdir()
        (Path(folder) / "deep" / "counts.json").write_text(json.dumps(self.counts))

    def load(self, folder: str) -> None:
        self.counts = json.loads((Path(folder) / "deep" / "counts.json").read_text())


class Newest(Rate):
    """Learns in a refit from the newest 60 events alone: quick to change its mind."""

    def refit(self, events: list[OutcomeEvent]) -> None:
        super().refit(events[-60:])


class Worse(Rate):
    """Is wrong after each refit."""

    def refit(self, events: list[OutcomeEvent]) -> None:
        super().refit(events)
        self.wrong = -0.6


class Raising(Rate):
    """Raises where it is told to."""

    def __init__(self, *where: str) -> None:
        super().__init__()
        self.where = set(where)

    def __getattribute__(self, name: str) -> Any:
        if name in {"refit", "update", "score", "save", "load"} and name in self.where:

            def fail(*_: Any) -> Any:
                raise RuntimeError(f"{name} is broken")

            return fail
        return super().__getattribute__(name)


def _settings(**values: Any) -> Settings:
    return with_values(Settings(), values)


def _updater(folder: Path, settings: Settings | None = None) -> RealTimeModelUpdater:
    return RealTimeModelUpdater(model_storage_path=str(folder), settings=settings)


def _runs(start: int, n: int, rate: float, agent: str = "a") -> list[OutcomeEvent]:
    rng = np.random.default_rng(start)
    return [
        OutcomeEvent(
            run_id=f"{agent}-{start + i}",
            agent_name=agent,
            task_type="plan",
            status="success" if rng.random() < rate else "failure",
        )
        for i in range(n)
    ]


def _row(updater: RealTimeModelUpdater) -> dict[str, Any]:
    return next(row for row in updater.models() if row["model_type"] == MINE)


def test_it_learns_every_event_in_batches(tmp_path: Path) -> None:
    """Whether it came before the registration or after; it never holds up who records."""
    updater = _updater(tmp_path)
    updater.submit_many(_runs(0, 700, 0.9))
    updater.register_model(MINE, Rate())
    updater.submit_many(_runs(1000, 100, 0.9))
    assert _row(updater)["updates"] == 800
    model = updater.get_model(MINE)
    assert model.counts["a"][1] == 800
    assert max(model.batches) > 100
    assert model.rate("a") == pytest.approx(0.9, abs=0.05)


def test_outcomes_carry_what_their_run_told(tmp_path: Path) -> None:
    """Task type, context, parameters and route; a correction is learnt, and judged once."""
    seen: list[OutcomeEvent] = []

    class Listener(Rate):
        def update(self, events: list[OutcomeEvent]) -> None:
            seen.extend(events)

    monitor = PerformanceMonitor(model_updater=(updater := _updater(tmp_path)))
    updater.register_model(MINE, Listener())
    monitor.record_agent_run(
        "r", "a", "llm", "success", 120.0, cost=0.5, task_id="t", task_type="plan",
        context={"k": 1}, config={"temperature": 0}, route="fast",
    )  # fmt: skip
    monitor.record_accuracy("a", "t", 1, 1)
    monitor.flush()
    updater.models()
    run, outcome = seen
    assert (run.kind, outcome.kind) == ("run", "outcome")
    for event in seen:
        assert (event.run_id, event.task_id, event.task_type) == ("r", "t", "plan")
        assert (event.duration_ms, event.cost_estimate, event.route) == (120.0, 0.5, "fast")
        assert (event.context_snapshot, event.config_snapshot) == ({"k": 1}, {"temperature": 0})
    assert (run.accuracy_score, outcome.accuracy_score) == (None, 1.0)
    assert (outcome.predicted_outcome, outcome.actual_outcome) == (1, 1)
    monitor.close()


def test_a_better_challenger_is_promoted_by_its_own_scores(tmp_path: Path) -> None:
    """Gated event by event; then it serves, with its parent kept to go back to."""
    updater = _updater(tmp_path)
    updater.register_model(MINE, Newest())
    updater.submit_many(_runs(0, 600, 0.95))
    updater.submit_many(_runs(1000, 60, 0.05))
    result = updater.trigger_retraining(MINE, "it fell")
    assert (result.success, result.state, result.retrain_type) == (True, "pending", "full")
    assert _row(updater)["on_trial"]
    second = updater.trigger_retraining(MINE)
    assert not second.success
    assert "on trial" in second.error
    updater.submit_many(_runs(2000, 200, 0.05))
    assert _row(updater)["version"] == result.version
    assert not _row(updater)["on_trial"]
    parent, challenger = updater.versions(MINE)
    assert (parent.state, challenger.state) == ("archived", "champion")
    assert challenger.gate.verdict == "promoted"
    assert challenger.gate.loss == "score"
    assert challenger.parent == parent.version == result.parent_version
    promoted = updater.get_model(MINE)
    assert promoted.rate("a") < 0.2
    assert promoted.counts["a"][1] == 260  # each event since its refit once
    assert updater.rollback(MINE).version == parent.version
    back = updater.get_model(MINE)
    # What served before, and all that came since.
    assert back.counts["a"][1] == 860
    assert back.rate("a") > 0.5


def test_a_worse_challenger_is_rejected(tmp_path: Path) -> None:
    """And what served serves on."""
    updater = _updater(tmp_path)
    updater.register_model(MINE, Worse())
    updater.submit_many(_runs(0, 300, 0.9))
    result = updater.trigger_retraining(MINE)
    updater.submit_many(_runs(1000, 200, 0.9))
    assert _row(updater)["version"] == result.parent_version
    assert updater.versions(MINE)[-1].gate.verdict == "rejected"
    assert updater.get_model(MINE).rate("a") > 0.8


def test_an_equal_challenger_is_never_promoted(tmp_path: Path) -> None:
    """A copy scores the same: nothing speaks for it."""

    class Same(Rate):
        def refit(self, events: list[OutcomeEvent]) -> None:
            pass

    updater = _updater(tmp_path)
    updater.register_model(MINE, Same())
    updater.submit_many(_runs(0, 300, 0.9))
    result = updater.trigger_retraining(MINE)
    updater.submit_many(_runs(1000, 600, 0.9))
    assert _row(updater)["version"] == result.parent_version
    assert updater.versions(MINE)[-1].gate.verdict == "inconclusive"


def test_a_restart_replays_what_is_missing(tmp_path: Path) -> None:
    """From the offset that its version covers, no event twice; a trial goes on."""

    def open_() -> tuple[PerformanceMonitor, RealTimeModelUpdater]:
        updater = _updater(tmp_path / "models")
        url = f"sqlite:///{tmp_path / 'log.db'}"
        return PerformanceMonitor(database_url=url, model_updater=updater), updater

    monitor, updater = open_()
    updater.register_model(MINE, Newest())
    updater.submit_many(_runs(0, 300, 0.95))
    updater.save()
    updater.submit_many(_runs(1000, 50, 0.95))
    monitor.close()

    monitor, updater = open_()
    updater.register_model(MINE, Newest())
    assert updater.get_model(MINE).counts["a"][1] == 350
    updater.submit_many(_runs(2000, 60, 0.05))
    result = updater.trigger_retraining(MINE)
    updater.submit_many(_runs(3000, 3, 0.05))
    assert updater.save()[MINE] == result.parent_version  # not while one is on trial
    monitor.close()

    monitor, updater = open_()
    updater.register_model(MINE, Newest())
    assert _row(updater)["on_trial"]
    updater.submit_many(_runs(4000, 150, 0.05))
    assert _row(updater)["version"] == result.version
    gate = updater.versions(MINE)[-1].gate
    assert gate.verdict == "promoted"
    # The three before the restart were judged, too, from the log.
    assert gate.n >= 4
    monitor.close()


def test_a_registered_model_is_listed_with_its_promotions(tmp_path: Path) -> None:
    """As any other: versions, log, moment, copies; two versions are the user's to compare."""
    updater = _updater(tmp_path)
    updater.register_model(MINE, Rate())
    updater.submit_many(_runs(0, 20, 0.9))
    assert updater.save()[MINE] == 1
    assert updater.save()[MINE] == 1  # nothing new was learnt
    (entry,) = updater.promotions(MINE)
    assert (entry.event, entry.reason) == ("promoted", "saved")
    assert updater.serving_at(entry.at, MINE)[0].version == 1
    with pytest.raises(ConfigError, match="the user's own"):
        updater.compare(MINE, 1, 1)
    with pytest.raises(UnknownNameError, match="mine has 1"):
        updater.rollback(MINE, 9)


@pytest.mark.parametrize("where", ["update", "score", "refit", "save"])
@pytest.mark.allow_errors
def test_a_model_that_raises_harms_nobody(tmp_path: Path, where: str) -> None:
    """It is counted and named; the five go on, and so does another of the user's."""
    updater = _updater(tmp_path)
    updater.register_model(MINE, Raising(where))
    updater.register_model("other", Rate())
    updater.submit_many(_runs(0, 100, 0.9))
    result = updater.trigger_retraining(MINE)
    if where in {"refit", "save"}:
        assert (result.success, result.state) == (False, "failed")
        assert f"{where} is broken" in result.error
    updater.submit_many(_runs(1000, 100, 0.9))
    assert _row(updater)["failures"] > 0
    assert f"{where} is broken" in _row(updater)["last_failure"]
    assert updater.get_model("other").counts["a"][1] == 200
    assert updater.get_metrics().updates["agent_selection"] == 200
    assert updater.trigger_retraining(ModelType.AGENT_SELECTION).success


@pytest.mark.allow_errors
def test_what_goes_on_raising_is_switched_off(tmp_path: Path) -> None:
    """After five failures in a row, with a message; mended it is registered again."""
    updater = _updater(tmp_path)
    updater.register_model(MINE, Raising("update"))
    for i in range(8):
        updater.submit_many(_runs(i * 100, 10, 0.9))
        row = _row(updater)
        assert row["failures"] == min(i + 1, 5)
        assert (row["disabled"] is not None) == (i >= 4)
    assert "5 failures in a row" in row["disabled"]
    assert "update is broken" in row["disabled"]
    assert "switched off" in updater.circle.last_failure
    refused = updater.trigger_retraining(MINE)
    assert (refused.success, refused.error) == (False, row["disabled"])
    updater.register_model(MINE, Rate())
    assert updater.get_model(MINE).counts["a"][1] == 80


@pytest.mark.allow_errors
def test_a_challenger_that_raises_is_rejected(tmp_path: Path) -> None:
    """The champion learns and serves on."""

    class Fragile(Rate):
        refitted = False

        def refit(self, events: list[OutcomeEvent]) -> None:
            super().refit(events)
            self.refitted = True

        def score(self, events: list[OutcomeEvent]) -> list[float]:
            if self.refitted:
                raise RuntimeError("no scores any more")
            return super().score(events)

    updater = _updater(tmp_path)
    updater.register_model(MINE, Fragile())
    updater.submit_many(_runs(0, 100, 0.9))
    result = updater.trigger_retraining(MINE)
    updater.submit_many(_runs(1000, 100, 0.9))
    assert updater.versions(MINE)[-1].gate.verdict == "rejected"
    assert _row(updater)["version"] == result.parent_version
    assert updater.get_model(MINE).counts["a"][1] == 200


@pytest.mark.parametrize(
    ("scores", "said"),
    [([0.5], "1 numbers for"), ([2.0], "outside score_range"), (["x"], "could not convert")],
)
def test_scores_that_cannot_be_are_failures(tmp_path: Path, scores: list[Any], said: str) -> None:
    """Another number of them, or one beyond the range that bets rest on."""

    class Odd(Rate):
        def score(self, events: list[OutcomeEvent]) -> list[Any]:
            return scores if scores == [0.5] else scores * len(events)

    updater = _updater(tmp_path)
    updater.register_model(MINE, Odd())
    updater.submit_many(_runs(0, 50, 0.9))
    updater.trigger_retraining(MINE)
    updater.submit_many(_runs(1000, 10, 0.9))
    assert said in _row(updater)["last_failure"]
    assert updater.versions(MINE)[-1].gate.verdict == "rejected"


def test_a_full_retraining_of_the_fleet_retrains_it_too(tmp_path: Path) -> None:
    """What an alert escalated to reaches it through the log."""
    updater = _updater(tmp_path, _settings(**{"gate.max_outcomes": 100_000}))
    with PerformanceMonitor(model_updater=updater) as monitor:
        updater.register_model(MINE, Rate())
        for start in range(0, 3000, 20):
            for event in _runs(start, 20, 0.95 if start < 1000 else 0.3):
                updater.submit(event)
            monitor.circle.settle()
        updater.get_model(MINE)  # has learnt all that is in the log
        monitor.flush()
        full = [r for r in monitor.get_retrainings() if r.retrain_type == "full" and r.automatic]
        asked = [r.reason for r in full if r.model_type != MINE]
        assert asked
        made = [v for v in updater.versions(MINE) if v.retrain_type == "full"]
        assert [v.reason for v in made] == asked
        assert [r.reason for r in full if r.model_type == MINE] == asked


def test_while_started_it_learns_in_a_thread_of_its_own(tmp_path: Path) -> None:
    """Nobody waits for it, and a stop does not wait for ever for one that hangs."""
    learnt, enough = threading.Event(), threading.Event()
    names: set[str] = set()

    class Slow(Rate):
        def update(self, events: list[OutcomeEvent]) -> None:
            names.add(threading.current_thread().name)
            learnt.set()
            enough.wait(30)

    updater = _updater(tmp_path, _settings(**{"log.stop_s": 0.5}))
    monitor = PerformanceMonitor(model_updater=updater)
    monitor.start()
    updater.register_model(MINE, Slow())
    updater.submit_many(_runs(0, 10, 0.9))
    monitor.flush()
    assert learnt.wait(10)
    assert monitor.get_system_metrics().total_tasks == 10
    began_s = monotonic_s()
    monitor.close()
    assert monotonic_s() - began_s < 10
    assert names == {"selfright-own"}
    enough.set()


@pytest.mark.parametrize(
    ("name", "model", "said"),
    [
        ("My Model", Rate(), "lower-case"),
        ("../up", Rate(), "lower-case"),
        ("routing", Rate(), "one of the five"),
        (MINE, object(), "needs methods refit, update, score, save, load"),
    ],
)
def test_what_cannot_be_registered_is_refused(
    tmp_path: Path, name: str, model: Any, said: str
) -> None:
    """The message says why."""
    updater = _updater(tmp_path)
    with pytest.raises(ConfigError, match=said):
        updater.register_model(name, model)
    updater.register_model(MINE, Rate())
    with pytest.raises(ConfigError, match="registered already"):
        updater.register_model(MINE, Rate())
    odd = Rate()
    odd.score_range = (1.0, 0.0)  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="score_range"):
        updater.register_model("odd", odd)


def test_a_version_that_cannot_be_loaded_says_so(tmp_path: Path) -> None:
    """At the registration, not at some later time; a damaged one gives way to its parent."""
    updater = _updater(tmp_path)
    updater.register_model(MINE, Rate())
    for start in (0, 1000):
        updater.submit_many(_runs(start, 20, 0.9))
        updater.save()
    again = _updater(tmp_path)
    with pytest.raises(ConfigError, match="load is broken"):
        again.register_model(MINE, Raising("load"))
    path = tmp_path / MINE / "2" / "model.npz"
    path.write_bytes(path.read_bytes()[:-9])
    again = _updater(tmp_path)
    again.register_model(MINE, Rate())
    assert again.get_model(MINE).counts["a"][1] == 20
    assert [v.state for v in again.versions(MINE)] == ["champion", "quarantined"]


def test_a_rollback_of_a_model_nobody_registered_says_so(tmp_path: Path) -> None:
    """Its versions can be read without it; serving them takes the model."""
    updater = _updater(tmp_path)
    updater.register_model(MINE, Rate())
    updater.submit_many(_runs(0, 20, 0.9))
    updater.save()
    again = _updater(tmp_path)
    assert [v.version for v in again.versions(MINE)] == [1]
    with pytest.raises(UnknownNameError, match="register_model"):
        again.rollback(MINE, 1)


def test_a_deleted_agent_is_not_learnt_of_again(tmp_path: Path) -> None:
    """A refit leaves out what was before the act."""
    monitor = PerformanceMonitor(model_updater=(updater := _updater(tmp_path)))
    updater.register_model(MINE, Rate())
    updater.submit_many(_runs(0, 30, 0.9, "gone") + _runs(1000, 30, 0.9, "here"))
    monitor.delete_agent("gone")
    result = updater.trigger_retraining(MINE)
    assert (result.events_processed, result.agents_tracked) == (30, 1)
    monitor.close()

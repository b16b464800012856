"""A retired agent is hidden until it runs again; a deleted one was never there."""

from __future__ import annotations

import pytest

from selfright import ModelType, PerformanceMonitor, RealTimeModelUpdater
from selfright.assemble import Learning, open_circle
from selfright.config import Settings, with_values
from selfright.errors import ConfigError, UnknownNameError
from selfright.events.record import OperatorAct, RetrainRequested
from selfright.learn.strategy import UpdateStrategy
from selfright.loop.saved import encode_state
from selfright.retrain.registry import FileRegistry
from selfright.testing.clock import ManualClock

EVERY_STRATEGY = list(UpdateStrategy)


@pytest.fixture
def made(tmp_path):
    """Return a function that makes a monitor with an updater of a strategy, not started."""

    def make(strategy=UpdateStrategy.BAYESIAN, **changes):
        updater = RealTimeModelUpdater(
            model_storage_path=str(tmp_path / "models"), update_strategy=strategy
        )
        monitor = PerformanceMonitor(model_updater=updater, **changes)
        _runs(monitor, "good", 60)
        _runs(monitor, "bad", 60, right=0.0)
        return monitor, updater

    return make


def _runs(monitor, name, count, right=1.0, start=0, **fields):
    for i in range(start, start + count):
        monitor.record_agent_run(
            f"{name}-{i}", name, "llm", "success", 100.0, quality_score=right, task_type="t",
            config={"k": 1}, route="r", **fields,
        )  # fmt: skip
        monitor.record_accuracy(name, None, None, None, run_id=f"{name}-{i}", accuracy_score=right)
    monitor.flush()


def _open(monitor, name):
    return [a for a in monitor.get_alerts(agent_name=name) if a.state.value != "resolved"]


def test_a_retired_agent_is_no_candidate_and_its_alerts_are_resolved(made):
    """Its figures stay, in those of the fleet too."""
    monitor, updater = made()
    assert _open(monitor, "bad")
    before = monitor.get_system_metrics().total_tasks
    monitor.retire_agent("bad")
    assert monitor.retired_agents() == ["bad"]
    assert _open(monitor, "bad") == []
    assert set(updater.select_agent(task_type="t").probabilities) == {"good"}
    assert [name for name, _ in updater.predict(ModelType.AGENT_SELECTION, top_k=1)] == ["good"]
    assert monitor.get_agent_metrics("bad").metrics.total_tasks == 60
    assert monitor.get_system_metrics().total_tasks == before
    assert set(monitor.generate_report()["agent_metrics"]) == {"good"}
    assert monitor.get_stats()["agents_retired"] == 1


def test_whoever_is_named_is_taken_to_be_there(made):
    """The caller knows better than the list of those seen so far."""
    monitor, updater = made()
    monitor.retire_agent("bad")
    named = updater.select_agent(task_type="t", candidates=["good", "bad"])
    assert set(named.probabilities) == {"good", "bad"}


def test_late_words_about_a_retired_agent_raise_nothing(made):
    """Outcomes of runs from before are counted, and held against nobody."""
    monitor, _ = made()
    monitor.retire_agent("bad")
    for i in range(60):
        monitor.record_accuracy(
            "bad", None, None, None, "audit", run_id=f"bad-{i}", accuracy_score=0.0
        )
    monitor.record_agent_run("late", "bad", "llm", "failure", 9.0, timestamp="2020-01-01T00:00:00Z")
    monitor.flush()
    assert _open(monitor, "bad") == []
    assert monitor.retired_agents() == ["bad"]


def test_it_comes_back_by_itself_when_it_runs_again(made):
    """And is judged from there on, anew."""
    monitor, updater = made()
    monitor.retire_agent("bad")
    _runs(monitor, "bad", 1, right=1.0, start=100)
    assert monitor.retired_agents() == []
    assert _open(monitor, "bad") == []
    assert set(updater.select_agent(task_type="t").probabilities) == {"good", "bad"}
    _runs(monitor, "bad", 40, right=0.0, start=200)
    assert _open(monitor, "bad")


def test_a_trial_about_retired_agents_ends(made):
    """No outcome of theirs would ever decide it, and it would block every other retraining."""
    monitor, _ = made()
    asked = RetrainRequested(
        act_id="asked", ts_us=1, model_type="agent_selection", mode="incremental",
        reason="it fell", automatic=True, agents=["bad"], causes=[],
    )  # fmt: skip
    assert monitor.circle.retrain(asked).state == "pending"
    assert "on trial" in monitor.trigger_retraining()["error"]
    monitor.retire_agent("bad")
    (done,) = (r for r in monitor.get_retrainings() if r["retrain_id"] == "asked")
    assert (done["state"], done["gate"]["verdict"]) == ("done", "inconclusive")
    assert monitor.trigger_retraining().state == "pending"


def test_nobody_left_to_choose_from_is_said(made):
    """A fleet whose agents are all retired."""
    monitor, updater = made()
    for name in ("good", "bad"):
        monitor.retire_agent(name)
    with pytest.raises(ConfigError, match="nobody to choose from"):
        updater.select_agent()


@pytest.mark.parametrize("strategy", EVERY_STRATEGY)
def test_a_deleted_agent_was_never_there(made, strategy):
    """Neither figures nor alerts nor beliefs remain, and no full retraining brings it back."""
    monitor, updater = made(strategy)
    monitor.delete_agent("bad")
    assert monitor.get_agent_metrics("bad").status == "unknown"
    assert set(monitor.get_all_agent_metrics()) == {"good"}
    assert monitor.get_system_metrics().total_tasks == 60
    assert _open(monitor, "bad") == []
    assert monitor.get_stats()["agents_tracked"] == 1
    assert monitor.retired_agents() == []
    for kind in (
        ModelType.AGENT_SELECTION,
        ModelType.QUALITY_PREDICTION,
        ModelType.LATENCY_PREDICTION,
    ):
        assert updater.get_model(kind).arm_names() == ["good"]
        result = updater.trigger_retraining(kind, force_full_retrain=True)
        assert (result["events_processed"], result["agents_tracked"]) == (60, 1)
    with pytest.raises(UnknownNameError):
        monitor.delete_agent("bad")


def test_what_was_before_its_deletion_counts_no_more(made):
    """However late it is reported, and whatever is corrected."""
    monitor, updater = made()
    monitor.delete_agent("bad")
    for i in range(30):
        monitor.record_accuracy("bad", None, None, None, run_id=f"bad-{i}", accuracy_score=1.0)
    monitor.record_agent_run("late", "bad", "llm", "failure", 9.0, timestamp="2020-01-01T00:00:00Z")
    monitor.flush()
    assert monitor.get_agent_metrics("bad").status == "unknown"
    assert updater.get_model(ModelType.AGENT_SELECTION).arm_names() == ["good"]


def test_a_deleted_agent_that_runs_again_begins_anew(made):
    """Nothing of before is in its figures or held for or against it."""
    monitor, updater = made()
    monitor.delete_agent("bad")
    _runs(monitor, "bad", 30, right=1.0, start=500)
    metrics = monitor.get_agent_metrics("bad").metrics
    assert (metrics.total_tasks, metrics.avg_accuracy) == (30, 1.0)
    assert set(updater.select_agent(task_type="t").probabilities) == {"good", "bad"}
    assert updater.get_model(ModelType.AGENT_SELECTION).update_count == 90
    monitor.record_accuracy("bad", None, None, None, run_id="bad-1", accuracy_score=1.0)
    monitor.flush()
    assert monitor.get_agent_metrics("bad").metrics.accuracy_sample_size == 30


def test_an_agent_nobody_saw_is_refused_with_a_hint(made):
    """By both."""
    monitor, _ = made()
    for act in (monitor.retire_agent, monitor.delete_agent):
        with pytest.raises(UnknownNameError, match="did you mean good"):
            act("goood")


@pytest.mark.parametrize("at", [0, 40, 130, 10_000])
def test_a_restart_agrees_with_the_whole_log(tmp_path, at):
    """From a checkpoint anywhere, before or behind the acts: the same state, byte for byte."""
    clock = ManualClock(1_700_000_000_000_000)
    url = f"sqlite:///{tmp_path / 'e.db'}"

    def opened(name):
        learning = Learning(FileRegistry(tmp_path / name, clock), UpdateStrategy.BAYESIAN)
        return open_circle(Settings(), database_url=url, learning=learning, clock=clock)

    circle = opened("models")
    for i in range(200):
        clock.advance(1.0)
        status = "failure" if i % 4 else "success"
        circle.inbox.put(_row(circle.door, str(i), ("a", "b", "c")[i % 3], status, clock.now_us()))
        if i in {60, 90, 120}:
            circle.pump()
            verb, target = {60: ("retire", "a"), 90: ("delete", "b"), 120: ("delete", "a")}[i]
            circle.act(_act(f"{verb}-{i}", clock.now_us(), verb, target))
        if i == at:
            circle.pump()
            circle.checkpoint()
    circle.pump()
    whole = encode_state(circle.fold.to_state())
    circle.log.close()
    again = opened("models")
    assert encode_state(again.fold.to_state()) == whole
    assert again.fold.rooms.absent.deleted.keys() == {"a", "b"}


def _row(door, run_id, name, status, now_us):
    return door.run(
        run_id, name, "llm", status, 5.0, *[None] * 12, 0, *[None] * 9, now_us
    )  # fmt: skip


def _act(act_id, ts_us, verb, target):
    return OperatorAct(act_id=act_id, ts_us=ts_us, verb=verb, target=target, arguments={})


@pytest.mark.parametrize("verb", ["accept_as_normal", "retire", "delete"])
def test_the_fleet_is_not_held_against_what_it_was_with_that_agent(kept, verb):
    """Its drift is over with the agent's, and what is normal for it is learnt anew."""
    kept.settings = with_values(kept.settings, {"detect.min_drop": 0.0})
    circle = kept.open()
    for success in (1.0, 0.9):
        for _ in range(12):
            kept.runs(circle, "a", 400, success)
    circle.pump()

    def drifting():
        open_ = circle.fold.rooms.book.active()
        return {alert.agent_name for alert in open_ if alert.rule.startswith("success_rate")}

    assert drifting() == {"a", None}
    act = OperatorAct(
        act_id="by-hand", ts_us=kept.clock.now_us(), verb=verb, target="a", arguments={}
    )
    circle.act(act)
    circle.pump()
    assert drifting() == set()
    assert not list(circle.fold.rooms.certainty.suspects())
    for _ in range(12):
        kept.runs(circle, "b", 400, 0.9)
    circle.pump()
    assert None not in drifting()

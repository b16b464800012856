"""The circle itself: inbox, state, recovery."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from selfright import PerformanceMonitor, RealTimeModelUpdater
from selfright.assemble import Learning, open_circle
from selfright.config import Settings, with_values
from selfright.events.batch import Intake
from selfright.events.raw import run_batch
from selfright.events.record import OperatorAct, RetrainRequested, SettingsApplied
from selfright.learn.model_type import ModelType
from selfright.learn.strategy import UpdateStrategy
from selfright.log.memory import MemoryLog
from selfright.loop.inbox import Inbox
from selfright.loop.saved import decode_state, encode_state
from selfright.retrain.registry import FileRegistry, MemoryRegistry
from selfright.testing.clock import ManualClock


def test_a_full_inbox_drops_and_counts() -> None:
    """It never grows beyond its limit and never waits."""
    inbox = Inbox(2)
    acts = [
        OperatorAct(act_id=str(i), ts_us=0, verb="mute", target="x", arguments={}) for i in range(3)
    ]
    assert [inbox.put(act) for act in acts] == [True, True, False]
    assert (len(inbox), inbox.dropped) == (2, 1)
    intake = inbox.take()
    assert intake is not None
    assert [act.act_id for _, act in intake.acts] == ["0", "1"]
    assert inbox.take() is None


def test_a_state_tree_survives_as_bytes() -> None:
    """Arrays keep dtype and shape; equal trees have equal bytes."""
    tree = {"a": np.arange(6, dtype=np.int32).reshape(2, 3), "b": [1, None, "x"], "c": {"d": 0.5}}
    again = decode_state(encode_state(tree))
    assert encode_state(again) == encode_state(tree)
    assert again["a"].dtype == np.int32
    assert again["a"].tolist() == tree["a"].tolist()  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="saved state"):
        decode_state(b"\xc1")
    with pytest.raises((TypeError, NotImplementedError)):
        encode_state({"a": object()})


def test_a_retraining_cut_short_is_recorded_as_aborted(tmp_path: Path) -> None:
    """After a restart; and the next one is free to start."""
    clock = ManualClock(1_700_000_000_000_000)
    log = MemoryLog()
    learning = Learning(FileRegistry(tmp_path, clock), UpdateStrategy.BAYESIAN)
    circle = open_circle(Settings(), log=log, learning=learning, clock=clock)
    request = RetrainRequested(
        act_id="cut", ts_us=0, model_type="agent_selection", mode="incremental", reason="x",
        automatic=True, agents=[], causes=[],
    )  # fmt: skip
    circle.act(request)  # the process ends before anything is folded
    again = open_circle(Settings(), log=log, learning=learning, clock=clock)
    (result,) = again.fold.trials.retrainings.values()
    assert (result.retrain_id, result.state) == ("cut", "aborted")
    assert again.fold.trials.unfinished() == []
    third = open_circle(Settings(), log=log, learning=learning, clock=clock)
    assert len(third.fold.trials.retrainings) == 1


def test_a_checkpoint_and_the_rest_equal_the_whole(tmp_path: Path) -> None:
    """The state after a restart is that of a fold from the first event, byte for byte."""
    url = f"sqlite:///{tmp_path / 'e.db'}"
    updater = RealTimeModelUpdater(model_storage_path=str(tmp_path / "m"))
    monitor = PerformanceMonitor(database_url=url, model_updater=updater)
    rng = np.random.default_rng(1)
    for part in range(4):
        for i in range(60):
            status = "success" if rng.random() < 0.7 else "failure"
            monitor.record_agent_run(f"{part}-{i}", f"a{i % 3}", "llm", status, 10.0, task_type="t")
        monitor.flush()
        if part == 1:
            monitor.circle.checkpoint()
    whole = encode_state(monitor.circle.fold.to_state())
    log = monitor.circle.log
    resumed = open_circle(
        monitor.settings, log=log, learning=Learning(updater.registry, UpdateStrategy.BAYESIAN)
    )
    assert encode_state(resumed.fold.to_state()) == whole
    monitor.close()


def test_a_checkpoint_of_another_log_is_not_taken() -> None:
    """The log is folded anew instead."""
    clock = ManualClock(1_700_000_000_000_000)
    one, other = MemoryLog(), MemoryLog()
    circle = open_circle(Settings(), log=one, clock=clock)
    other.save_checkpoint(0, encode_state(circle.fold.to_state()))
    assert open_circle(Settings(), log=other, clock=clock).fold.applied == 0


@pytest.mark.parametrize("change", [{"layout": 1}, {"layout": None}])
def test_a_checkpoint_of_another_version_is_not_taken(change: dict[str, object]) -> None:
    """What a room saves may mean something else there; the log is folded anew."""
    clock = ManualClock(1_700_000_000_000_000)
    log = MemoryLog()
    circle = open_circle(Settings(), log=log, clock=clock)
    given = ("r", "a", "llm", "success", 5.0, *[None] * 12, 0, *[None] * 9)
    circle.submit(Intake.of(runs=run_batch([circle.door.run(*given, clock.now_us())])))
    circle.flush()
    with pytest.raises(ValueError, match="another version"):
        circle.fold.restore({**circle.fold.to_state(), **change})
    log.save_checkpoint(1, encode_state({**circle.fold.to_state(), **change}))
    again = open_circle(Settings(), log=log, clock=clock)
    snapshot = again.fold.rooms.metrics.snapshot(None, clock.now_us(), float("inf"))
    assert snapshot.total_tasks == 1


def test_thresholds_at_the_end_of_their_range_switch_a_rule_off() -> None:
    """0 % success is never too low, 100 % errors never too high."""
    settings = with_values(
        Settings(), {"thresholds.success_rate_min": 0.0, "thresholds.error_rate_max": 1.0}
    )
    monitor = PerformanceMonitor(settings=settings)
    for i in range(50):
        monitor.record_agent_run(str(i), "a", "llm", "failure", 10.0)
    assert monitor.get_alerts() == []


def test_a_checkpoint_that_fits_by_half_is_not_taken_by_half() -> None:
    """One that lacks what is needed is passed over wholly: nothing counts twice."""
    log = MemoryLog()
    clock = ManualClock(1_700_000_000_000_000)
    plain = open_circle(Settings(), log=log, clock=clock)
    given = ("r", "a", "llm", "success", 5.0, *[None] * 12, 0, *[None] * 9)
    row = plain.door.run(*given, clock.now_us())
    plain.submit(Intake.of(runs=run_batch([row])))
    plain.flush()
    plain.checkpoint()  # knows nothing of models
    learning = Learning(MemoryRegistry(clock), UpdateStrategy.BAYESIAN)
    learns = open_circle(Settings(), log=log, learning=learning, clock=clock)
    now_us = clock.now_us()
    assert learns.fold.rooms.metrics.snapshot(None, now_us, float("inf")).total_tasks == 1
    assert learns.fold.rooms.slots[ModelType.AGENT_SELECTION].served.update_count == 1


def test_a_circle_that_was_killed_triggers_nothing_until_it_is_started() -> None:
    """Whoever opens the log next may only want to read it."""
    log = MemoryLog()
    clock = ManualClock(1_700_000_000_000_000)
    circle = open_circle(Settings(), log=log, clock=clock)
    circle.act(SettingsApplied(act_id="on", ts_us=clock.now_us(), settings={"automatic": True}))
    assert not open_circle(Settings(), log=log, clock=clock).fold.automatic

"""Threads that die are started anew and missed meanwhile; a stop waits for none for ever."""

from __future__ import annotations

import threading

import pytest

from selfright.clock import monotonic_s
from selfright.config import Settings, with_values
from selfright.errors import StorageError
from selfright.learn.model_type import ModelType
from selfright.log.memory import MemoryLog
from selfright.loop.keeper import Keeper
from selfright.loop.keeper import Kept as Watched
from selfright.loop.worker import Worker
from selfright.retrain.registry import MemoryRegistry

pytestmark = pytest.mark.allow_errors


class Deadly(MemoryLog):
    """A log in which something ends the thread that appends or reads, as often as wanted."""

    def __init__(self):
        super().__init__()
        self.appends = self.reads = 0

    def append(self, intake, now_us):
        if self.appends:
            self.appends -= 1
            raise SystemExit
        return super().append(intake, now_us)

    def read(self, after, limit=100):
        if self.reads and threading.current_thread().name == "selfright-drain":
            self.reads -= 1
            raise SystemExit
        return super().read(after, limit)


class Slow(MemoryRegistry):
    """A registry that keeps a retraining for as long as nobody lets it go."""

    def __init__(self, clock):
        super().__init__(clock)
        self.reached, self.free = threading.Event(), threading.Event()

    def save(self, *arguments, **named):
        self.reached.set()
        assert self.free.wait(60)
        return super().save(*arguments, **named)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_writer_that_died_is_started_anew(kept, until):
    """Within two seconds; who waited is told, who comes meanwhile is served."""
    log = kept.log = Deadly()
    circle = kept.open()
    circle.start()
    assert circle.missing() == []
    log.appends = 1
    with pytest.raises(StorageError, match="died"):
        kept.runs(circle, "a", 5, 1.0)
    assert until(lambda: not circle._writer.alive or "writes the log" in circle.missing())
    died_s = monotonic_s()
    kept.runs(circle, "a", 5, 1.0)
    assert monotonic_s() - died_s < 2.0
    assert circle.failures == 1
    assert until(lambda: circle.missing() == [])
    with circle.reading() as fold:
        assert fold.rooms.metrics.snapshot(None, kept.clock.now_us()).total_tasks == 5


def test_a_drain_that_died_is_started_anew(kept, until):
    """The circle goes on by itself, and nothing is folded twice."""
    log = kept.log = Deadly()
    circle = kept.open()
    circle.start()
    log.reads = 3
    kept.runs(circle, "a", 5, 1.0)
    assert until(lambda: "folds the log" in circle.missing())
    assert until(lambda: not log.reads and circle.missing() == [])
    assert until(lambda: circle.fold.applied == log.next_offset)
    assert circle.failures >= 3
    assert circle.last_failure is not None
    assert circle.running


def test_a_worker_that_died_goes_on_with_the_next_task(until):
    """The task that ended it is not tried again; its owner is told why."""
    done: list[int] = []
    told: list[BaseException] = []

    def do(task: int):
        if task == 1:
            raise SystemExit("one")
        done.append(task)

    worker = Worker("test", do, told.append)
    for task in range(4):
        worker.submit(task)
    worker.start()
    assert until(lambda: not worker.well)
    assert (done, [str(error) for error in told]) == ([0], ["one"])
    keeper = Keeper([Watched("counts", lambda: worker.well, worker.start)], lambda _: None)
    keeper.look()
    assert worker.settle(30.0)
    assert done == [0, 2, 3]
    assert worker.stop(30.0)


def test_what_dies_again_and_again_stays_missing():
    """It must not look sound between two deaths."""
    alive = [False]
    died: list[str] = []
    keeper = Keeper([Watched("counts", lambda: alive[0], lambda: alive.append(True))], died.append)
    assert keeper.missing() == ["counts"]
    keeper.look()
    alive[0] = True  # started anew
    assert (keeper.missing(), died) == (["counts"], ["counts"])
    keeper.look()
    assert (keeper.missing(), died) == ([], ["counts"])


def test_a_stop_leaves_a_retraining_behind_that_does_not_end(kept):
    """Who waits for it is told, the log can be closed, and the next start records the end."""
    kept.settings = with_values(Settings(), {"log.stop_s": 0.4})
    registry = kept.registry = Slow(kept.clock)
    circle = kept.open()
    kept.runs(circle, "a", 50, 0.5)
    circle.start()
    told = []
    waiting = threading.Thread(
        target=lambda: told.append(circle.retrain(kept.request("endless", "a")))
    )
    waiting.start()
    assert registry.reached.wait(30)
    begun_s = monotonic_s()
    circle.stop()
    assert monotonic_s() - begun_s < 5.0
    waiting.join(30)
    assert [result.state for result in told] == ["aborted"]
    again = kept.open()
    assert again.fold.trials.retrainings["endless"].state == "aborted"
    registry.free.set()
    assert again.fold.trials.running(ModelType.AGENT_SELECTION) is None
    assert registry.current("agent_selection") is None


def test_a_circle_that_is_started_again_does_not_wait_for_what_was_left_behind(kept):
    """The model can be retrained at once."""
    kept.settings = with_values(Settings(), {"log.stop_s": 0.4})
    registry = kept.registry = Slow(kept.clock)
    circle = kept.open()
    kept.runs(circle, "a", 50, 0.5)
    circle.start()
    assert circle.retrain(kept.request("endless", "a"), 0.0) is None
    assert registry.reached.wait(30)
    circle.stop()
    registry.free.set()
    circle.start()
    assert circle.fold.trials.retrainings["endless"].state == "aborted"
    finished = circle.retrain(kept.request("next", "a"), 30.0)
    assert finished is not None
    assert finished.state == "pending"


def test_alerts_do_not_wait_for_a_retraining(kept, until):
    """A long one must not keep an operator from being told what goes wrong meanwhile."""
    registry = kept.registry = Slow(kept.clock)
    kept.settings = with_values(Settings(), {"log.stop_s": 0.4})
    circle = kept.open()
    kept.runs(circle, "b", 50, 1.0)
    told: list[str] = []
    circle.notifier.subscribe(lambda alert: told.append(alert.agent_name or "fleet"))
    circle.start()
    assert circle.retrain(kept.request("endless", "b"), 0.0) is None
    assert registry.reached.wait(30)
    kept.runs(circle, "a", 100, 0.2)
    assert until(lambda: "a" in told)
    registry.free.set()


def test_a_record_that_the_disk_refuses_is_offered_again(kept):
    """A result that got lost would keep the model from being retrained ever again."""

    class Full(MemoryLog):
        refuses = 0

        def append(self, intake, now_us):
            if self.refuses and any(act.act_id == "x:pending" for _, act in intake.acts):
                self.refuses -= 1
                raise StorageError("disk", "full")
            return super().append(intake, now_us)

    log = kept.log = Full()
    circle = kept.open()
    kept.runs(circle, "a", 50, 0.5)
    circle.start()
    log.refuses = 1
    finished = circle.retrain(kept.request("x", "a"), 30.0)
    assert finished is not None
    assert finished.state == "pending"
    assert log.find_act("x:pending") is not None
    assert circle.failures == 1


def test_a_checkpoint_vouches_for_nothing_that_was_not_written_down(kept, until):
    """What the log refused at the end, the next start finds again and writes."""

    class Full(MemoryLog):
        full = False

        def append(self, intake, now_us):
            if self.full and intake.acts:
                raise StorageError("disk", "full")
            return super().append(intake, now_us)

    log = kept.log = Full()
    kept.settings = with_values(Settings(), {"log.stop_s": 0.4})
    circle = kept.open()
    circle.start()
    log.full = True
    kept.runs(circle, "a", 100, 0.2)
    assert until(lambda: circle.failures > 0)  # an alert cannot be written down
    circle.stop()
    assert log.latest_checkpoint() is None
    acts = log.next_offset
    log.full = False
    kept.open()
    assert log.next_offset > acts

"""A full retraining in parts: the same bytes whoever works on them, and after each crash."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from selfright.engines.in_process import InProcess
from selfright.engines.processes import EngineError, LocalProcesses
from selfright.events.batch import Intake
from selfright.events.columns import outcome_columns, run_columns
from selfright.events.record import RetrainRequested
from selfright.learn.feed import RewardPolicy
from selfright.learn.model import Model, new_model
from selfright.learn.model_type import ModelType
from selfright.learn.strategy import UpdateStrategy
from selfright.log.protocol import EventLog
from selfright.log.sqlite import SqliteLog
from selfright.retrain.gather import read_samples
from selfright.retrain.job import Job, JobPolicy, RetrainCancelled
from selfright.retrain.registry import FileRegistry
from selfright.testing.clock import ManualClock

NOW = 1_700_000_000_000_000
SELECTION = ModelType.AGENT_SELECTION
ROWS = 4_000


def fill(log: EventLog) -> None:
    """Record runs of 7 agents; of most outcomes, of which some come late and some twice."""
    rng = np.random.default_rng(3)
    late: list[str] = []
    for first in range(0, ROWS, 250):
        names = [f"r{first + i}" for i in range(250)]
        agents = [f"a{i % 7}" for i in range(250)]
        failed = rng.random(250) < 0.3
        runs, _ = run_columns(
            {
                "run_id": names, "agent_name": agents,
                "status": ["failure" if one else "success" for one in failed],
                "task_type": [f"t{i % 3}" for i in range(250)], "duration_ms": np.full(250, 9.0),
            },
            NOW + first,
        )  # fmt: skip
        told = [*names[::2], *late]
        late = names[1::4]
        outcomes, _ = outcome_columns(
            {
                "agent_name": [f"a{int(name[1:]) % 250 % 7}" for name in told], "run_id": told,
                "accuracy_score": rng.integers(0, 3, len(told)) / 2,
            },
            NOW + first + 1,
        )  # fmt: skip
        log.append(Intake.of(runs, outcomes.numbered(250 + np.arange(len(told)))), NOW + first)
    again, _ = outcome_columns(
        {"agent_name": ["a0", "a1"], "run_id": ["r0", "r1"], "accuracy_score": [0.25, 0.75]},
        NOW + ROWS,
    )
    log.append(Intake.of(outcomes=again), NOW + ROWS)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> EventLog:
    """Return a log on disk, filled."""
    found = SqliteLog(tmp_path_factory.mktemp("log") / "e.db")
    fill(found)
    return found


def full(name: str = "retrain-1") -> RetrainRequested:
    """Return a request for a full retraining."""
    return RetrainRequested(
        act_id=name, ts_us=NOW, model_type=SELECTION.value, mode="full", reason="a test",
        automatic=False, agents=[], causes=[],
    )  # fmt: skip


def champion(strategy: UpdateStrategy = UpdateStrategy.BAYESIAN) -> Model:
    """Return a model that knows nothing."""
    return new_model(SELECTION, strategy)


def made(folder: Path, log: EventLog, job: Job) -> bytes:
    """Return the bytes of the model that a job makes."""
    result = job.run(full(), champion(), None, None, log, ManualClock())
    assert result.error is None
    assert result.version is not None
    return (folder / SELECTION.value / str(result.version) / "model.npz").read_bytes()


@pytest.mark.parametrize("limit", [0, 500, 3_000])
def test_every_engine_and_any_number_of_segments_make_the_same_bytes(
    tmp_path: Path, log: EventLog, limit: int
) -> None:
    """As the samples read in a row do, too."""
    policy = JobPolicy(RewardPolicy(), full_outcomes=limit)
    row = read_samples(log, policy.reward, SELECTION, limit)
    assert len(row) == limit or not limit
    found = []
    for number, (rows, engine) in enumerate(
        [(100, InProcess()), (777, InProcess()), (10**6, InProcess()), (900, LocalProcesses(2))]
    ):
        folder = tmp_path / str(number)
        registry = FileRegistry(folder, ManualClock())
        cut = JobPolicy(RewardPolicy(), full_outcomes=limit, segment_rows=rows)
        found.append(made(folder, log, Job(registry, cut, engine)))
        version = registry.load(SELECTION.value, 1)
        expected = champion().fit(row).to_state()
        for name, value in expected.items():
            same = version.state[name] == value
            assert same.all() if isinstance(value, np.ndarray) else same, name
    assert len(set(found)) == 1


@pytest.mark.parametrize("engine", [InProcess(), LocalProcesses(2)], ids=["here", "processes"])
def test_what_was_before_a_deletion_is_left_out(
    tmp_path: Path, log: EventLog, engine: InProcess | LocalProcesses
) -> None:
    """By every engine, as where the log is read in a row."""
    deleted = {"a1": NOW + ROWS // 2, "a2": NOW + ROWS}
    registry = FileRegistry(tmp_path, ManualClock())
    policy = JobPolicy(RewardPolicy(), full_outcomes=0, segment_rows=900)
    result = Job(registry, policy, engine).run(
        full(), champion(), None, None, log, ManualClock(), deleted=deleted
    )
    row = read_samples(log, policy.reward, SELECTION, 0, deleted=deleted)
    assert "a2" not in row.arm
    assert result.events_processed == len(row)
    saved = registry.load(SELECTION.value, 1).state
    expected = champion().fit(row).to_state()
    assert all(np.array_equal(saved[name], value) for name, value in expected.items())


class Interrupted(BaseException):
    """Stands for the end of the process: nothing catches it."""


def test_what_was_done_before_a_crash_is_not_done_again(tmp_path: Path, log: EventLog) -> None:
    """The resumed retraining makes what an undisturbed one would have made, then."""
    registry = FileRegistry(tmp_path / "a", ManualClock())
    policy = JobPolicy(RewardPolicy(), full_outcomes=0, segment_rows=500)
    job = Job(registry, policy)

    def ends(share: float) -> None:
        if share > 0.35:
            raise Interrupted

    with pytest.raises(Interrupted):
        job.run(full(), champion(), None, None, log, ManualClock(), ends)
    (folder,) = (tmp_path / "a" / ".retraining").iterdir()
    done = sorted(path.name for path in folder.iterdir() if path.name != "plan.json")
    assert len(done) >= 5
    read = Counting()
    again = Job(FileRegistry(tmp_path / "a", ManualClock()), policy, read)
    resumed = made(tmp_path / "a", log, again)
    whole = Counting()
    other = Job(FileRegistry(tmp_path / "b", ManualClock()), policy, whole)
    assert resumed == made(tmp_path / "b", log, other)
    assert read.tasks == whole.tasks - len(done)
    again.forget("retrain-1")
    assert not folder.exists()


class Counting(InProcess):
    """Counts the tasks it is given."""

    tasks = 0

    def map(self, log, tasks, pulse):
        """Count, then work."""
        self.tasks += len(tasks)
        return super().map(log, tasks, pulse)


def test_a_damaged_segment_is_read_again(tmp_path: Path, log: EventLog) -> None:
    """One flipped byte is enough; so is another setting, for which none of it holds."""
    registry = FileRegistry(tmp_path, ManualClock())
    policy = JobPolicy(RewardPolicy(), full_outcomes=0, segment_rows=500)
    first = made(tmp_path, log, Job(registry, policy))
    (folder,) = (tmp_path / ".retraining").iterdir()
    kept = sorted(path for path in folder.iterdir() if path.name != "plan.json")
    data = bytearray(kept[0].read_bytes())
    data[len(data) // 2] ^= 1
    kept[0].write_bytes(bytes(data))
    read = Counting()
    assert made(tmp_path, log, Job(registry, policy, read)) == first
    assert read.tasks == 1
    other = JobPolicy(RewardPolicy(w_cost=1.0), full_outcomes=0, segment_rows=500)
    read = Counting()
    Job(registry, other, read).run(full(), champion(), None, None, log, ManualClock())
    assert read.tasks == len(kept)


def test_a_retraining_that_always_ends_the_process_is_given_up(
    tmp_path: Path, log: EventLog
) -> None:
    """After three attempts it is recorded as failed."""
    job = Job(FileRegistry(tmp_path, ManualClock()), JobPolicy(RewardPolicy()))

    def ends(share: float) -> None:
        if share > 0.0:
            raise Interrupted

    for _ in range(3):
        with pytest.raises(Interrupted):
            job.run(full(), champion(), None, None, log, ManualClock(), ends)
    result = job.run(full(), champion(), None, None, log, ManualClock(), ends)
    assert (result.state, result.error) == (
        "failed", "SelfrightError: the process ended during each of 3 attempts",
    )  # fmt: skip


def test_a_version_saved_before_the_crash_is_not_saved_twice(tmp_path: Path, log: EventLog) -> None:
    """The retraining is resumed to the same version."""
    registry = FileRegistry(tmp_path, ManualClock())
    job = Job(registry, JobPolicy(RewardPolicy()))
    versions = [
        job.run(full(), champion(), None, None, log, ManualClock()).version for _ in range(2)
    ]
    assert versions == [1, 1]


def test_a_cancelled_one_is_aborted_with_its_reason(tmp_path: Path, log: EventLog) -> None:
    """With processes at work, too: none is left behind."""
    policy = JobPolicy(RewardPolicy(), full_outcomes=0, segment_rows=500, processes=2)
    job = Job(FileRegistry(tmp_path, ManualClock()), policy)

    def stops(share: float) -> None:
        if share > 0.2:
            raise RetrainCancelled("not now")

    result = job.run(full(), champion(), None, None, log, ManualClock(), stops)
    assert (result.state, result.error, result.cancelled) == ("aborted", "not now", True)


def test_other_strategies_learn_in_the_order_of_the_log(tmp_path: Path, log: EventLog) -> None:
    """The order counts there, so the log is read in a row."""
    model = champion(UpdateStrategy.GRADIENT)
    registry = FileRegistry(tmp_path, ManualClock())
    job = Job(registry, JobPolicy(RewardPolicy(), full_outcomes=500))
    assert job.run(full(), model, None, None, log, ManualClock()).version == 1
    row = read_samples(log, RewardPolicy(), SELECTION, 500)
    expected = model.fit(row, model.settings, model.strategy).to_state()
    saved = registry.load(SELECTION.value, 1).state
    assert all(np.array_equal(saved[name], value) for name, value in expected.items())


def test_a_log_that_cannot_be_read_fails_the_retraining(tmp_path: Path) -> None:
    """What went wrong in another process is said here."""
    path = tmp_path / "e.db"
    log = SqliteLog(path)
    fill(log)
    log.close()
    path.unlink()

    class Gone:
        next_offset, first_offset, log_id = 4_000, 0, "x"

        def __init__(self) -> None:
            self.path = path

        def read(self, _after: int, _limit: int) -> list[object]:
            return []

    policy = JobPolicy(RewardPolicy(), full_outcomes=0, segment_rows=500, processes=2)
    job = Job(FileRegistry(tmp_path / "m", ManualClock()), policy)
    result = job.run(full(), champion(), None, None, Gone(), ManualClock())  # type: ignore[arg-type]
    assert result.state == "failed"
    assert result.error is not None
    assert result.error.startswith(EngineError.__name__)

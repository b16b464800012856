"""kill -9 in every phase of a full retraining: what serves is whole, and nothing stays undone.

The retraining runs in a process of its own whose disk and database count what is asked of
them, and which kills itself at one of those moments. Nothing in the library knows of it.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

# Reads commands, forks a child for each: so a life costs no interpreter and no imports. The
# child reports through its exit and a file.
ZYGOTE = '''
import json, os, signal, sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from selfright.assemble import Learning, job_policy, open_circle
from selfright.clock import SystemClock
from selfright.config import Settings, with_values
from selfright.events.batch import Intake
from selfright.events.columns import run_columns
from selfright.events.record import OperatorAct, RetrainRequested
from selfright.learn.model_type import ModelType
from selfright.learn.strategy import UpdateStrategy
from selfright.log import schema
from selfright.log.sqlite import SqliteLog
from selfright.retrain.fs import DiskFs
from selfright.retrain.job import Job
from selfright.retrain.registry import FileRegistry

SELECTION = ModelType.AGENT_SELECTION
NAME = "retrain-kill"
SETTINGS = with_values(Settings(), {"learn.full_outcomes": 400, "gate.max_outcomes": 500})


class Moments:
    """Counts moments, and makes one of them the last."""

    def __init__(self, last, recorded):
        self.last, self.recorded, self.count, self.armed = last, recorded, 0, False

    def __call__(self, what):
        if not self.armed:
            return
        if self.recorded is not None:
            self.recorded.write(what + "\\n")
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1


class Disk(DiskFs):
    """A disk whose every call is a moment; files are half written for one, too."""

    def __init__(self, moment):
        self.moment = moment

    def write(self, path, data):
        self.moment(f"write {path.name} in {path.parent.name}")
        super().write(path, data[: len(data) // 2])
        self.moment(f"half {path.name} in {path.parent.name}")
        super().write(path, data)

    def append(self, path, data):
        self.moment(f"append {path.name}")
        super().append(path, data[:9])
        self.moment(f"half-append {path.name}")
        super().append(path, data[9:])

    def replace(self, source, target):
        self.moment(f"replace {target.name} in {target.parent.name}")
        super().replace(source, target)

    def remove(self, path):
        self.moment(f"remove {path.name}")
        super().remove(path)

    def sync_dir(self, path):
        self.moment(f"sync {path.name}")
        super().sync_dir(path)


class Database:
    """A connection whose every statement is a moment."""

    def __init__(self, connection, moment):
        self.connection, self.moment = connection, moment

    def execute(self, sql, *parameters):
        self.moment("sql " + " ".join(sql.split()[:4]))
        return self.connection.execute(sql, *parameters)

    def executemany(self, sql, rows):
        rows = list(rows)
        kinds = sorted({row[1] for row in rows}) if "events" in sql else ""
        self.moment(f"sql {' '.join(sql.split()[:3])} {kinds}")
        return self.connection.executemany(sql, rows)

    def close(self):
        self.connection.close()


def opened(folder, moment):
    log = SqliteLog(
        folder / "events.db", connect=lambda target: Database(schema.connect(target), moment)
    )
    clock = SystemClock()
    registry = FileRegistry(folder / "models", clock, Disk(moment))
    circle = open_circle(SETTINGS, log=log, learning=Learning(registry, UpdateStrategy.BAYESIAN))
    policy = replace(job_policy(SETTINGS), segment_rows=300)
    circle.performer.job = Job(registry, policy)
    circle.performer.watch = lambda name, share: moment(f"progress {share:.2f}")
    return circle, registry


def runs(circle, agent, count, success):
    first = circle.log.next_offset
    chance = np.random.default_rng(first).random(count)
    batch, _ = run_columns(
        {
            "run_id": [f"r{first + i}" for i in range(count)], "agent_name": [agent] * count,
            "status": ["success" if one < success else "failure" for one in chance],
        },
        circle.clock.now_us(),
    )
    circle.submit(Intake.of(runs=batch))


def prepare(folder, saved):
    circle, registry = opened(folder, Moments(-1, None))
    for _ in range(10):
        runs(circle, "a", 150, 0.95)
        runs(circle, "b", 50, 0.7)
    circle.flush()
    if saved:
        state = circle.fold.rooms.slots[SELECTION].champion.to_state()
        version = registry.save(SELECTION.value, state)
        circle.act(OperatorAct(
            act_id="saved", ts_us=circle.clock.now_us(), verb="promote", target=SELECTION.value,
            arguments={"version": version, "saved": True},
        ))
        circle.flush()
    circle.checkpoint()
    for _ in range(4):
        runs(circle, "a", 100, 0.3)
        runs(circle, "b", 50, 0.7)
    circle.flush()
    circle.close()


def agreed(circle, registry):
    """Check that what serves is whole, committed, and the same for the log and the registry."""
    slot, current = circle.fold.rooms.slots[SELECTION], registry.current(SELECTION.value)
    assert slot.served_version == current, (slot.served_version, current)
    loaded = registry.load_current(SELECTION.value)
    assert not loaded.skipped, loaded.skipped
    assert (loaded.model is None) == (current is None)
    versions = {v.version: v.state for v in registry.versions(SELECTION.value)}
    assert current is None or versions[current] == "champion", versions
    assert "quarantined" not in versions.values(), versions
    if current is not None:
        adopted = [act.version for act in circle.fold.trials.adoptions]
        assert adopted[-1] == current, (adopted, current)
    return current


def live(folder, last, record, from_start):
    recorded = None if record is None else open(record, "w", buffering=1)
    moment = Moments(last, recorded)
    moment.armed = from_start
    circle, registry = opened(folder, moment)
    found = {"served_at_start": agreed(circle, registry)}
    moment.armed = True
    trials = circle.fold.trials
    circle.go_on()
    found["resumed"] = NAME in trials.retrainings
    if circle.log.find_act(NAME) is None:
        circle.retrain(RetrainRequested(
            act_id=NAME, ts_us=circle.clock.now_us(), model_type=SELECTION.value, mode="full",
            reason="a test", automatic=False, agents=[], causes=[],
        ))
    while circle.fold.rooms.slots[SELECTION].challenger is not None:
        runs(circle, "a", 10, 0.3)
        circle.pump()
    circle.settle()
    found["served"] = agreed(circle, registry)
    assert not trials.unfinished() and trials.running(SELECTION) is None
    (result,) = trials.retrainings.values()
    found.update(state=result.state, error=result.error, promoted=result.promoted,
                 version=result.version,
                 versions=len(registry.versions(SELECTION.value)))
    spool = folder / "models" / ".retraining"
    found["spooled"] = [path.name for path in spool.iterdir()] if spool.exists() else []
    circle.close()
    found["moments"] = moment.count
    return found


print("ready", flush=True)
for line in sys.stdin:
    command = json.loads(line)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            folder = Path(command["folder"])
            if command["do"] == "prepare":
                prepare(folder, command["saved"])
                found = {}
            else:
                found = live(folder, command["last"], command["record"], command["from_start"])
            Path(command["answer"]).write_text(json.dumps(found))
            code = 0
        except BaseException:
            import traceback
            Path(command["answer"]).write_text(json.dumps({"broken": traceback.format_exc()}))
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    print(status, flush=True)
'''

# One moment at least in each phase: the first that fits, and what comes before it is done.
PHASES = {
    "asked, not in the log yet": r"sql BEGIN IMMEDIATE",
    "asked, in the log": r"write plan\.json",
    "the plan half written": r"half plan\.json",
    "gathering": r"progress 0\.\d[1-9]",
    "a segment done": r"write \d+-\d+\.unfinished",
    "a segment half written": r"half \d+-\d+\.unfinished",
    "a segment not yet in place": r"replace \d+-\d+ in",
    "fitted": r"progress 0\.80",
    "the model half written": r"half model\.npz",
    "the manifest half written": r"half manifest\.json",
    "the version not yet in place": r"replace \d+ in agent_selection",
    "saved, not reported": r"progress 1\.00",
    "pending": r"remove \d+-\d+",
    "pending, its plan left": r"remove plan\.json",
    "promotion half written": r"half-append promotions\.jsonl",
    "promotion written, CURRENT not": r"write .*CURRENT.* in agent_selection",
    "CURRENT half written": r"half .*CURRENT.* in agent_selection",
    "CURRENT not yet in place": r"replace CURRENT in",
}
RANDOM_KILLS = 32


class Lives:
    """Lives of one process after the other, on copies of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-c", ZYGOTE],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def do(self, what: str, folder: Path, **more: object) -> tuple[int, dict]:
        """Return the status that a child ended with, and what it found."""
        answer = self.folder / "answer.json"
        answer.unlink(missing_ok=True)
        command = {"do": what, "folder": str(folder), "answer": str(answer), **more}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        found = json.loads(answer.read_text()) if answer.exists() else {}
        assert "broken" not in found, found["broken"]
        return status, found

    def live(
        self, folder: Path, last: int = -1, *, record: Path | None = None, from_start: bool = False
    ) -> tuple[int, dict]:
        """Live until moment ``last``; -1: to the end. Return how it ended, and what was found."""
        record_at = None if record is None else str(record)
        return self.do("live", folder, last=last, record=record_at, from_start=from_start)

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=30)


@pytest.fixture(scope="module")
def lives(tmp_path_factory):
    """Return lives; two folders are prepared: one where nothing serves yet, one with a version."""
    found = Lives(tmp_path_factory.mktemp("lives"))
    try:
        for saved in (False, True):
            assert found.do("prepare", found.folder / f"saved-{saved}", saved=saved)[0] == 0
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def moments(lives):
    """Return the moments of an undisturbed life, for either folder."""
    found = {}
    for saved in (False, True):
        folder, record = copied(lives, saved, "undisturbed"), lives.folder / "record"
        status, told = lives.live(folder, record=record)
        assert status == 0
        assert (told["state"], told["promoted"], told["spooled"]) == ("done", True, [])
        assert told["served_at_start"] == (1 if saved else None)
        found[saved] = record.read_text().splitlines()
        assert len(found[saved]) == told["moments"]
    return found


def copied(lives, saved: bool, name: str) -> Path:
    """Return a fresh copy of what was prepared."""
    folder = lives.folder / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(lives.folder / f"saved-{saved}", folder)
    return folder


def survives(lives, saved: bool, kills: list[int]) -> None:
    """Kill at these moments, life after life, then live to the end and look."""
    folder = copied(lives, saved, "killed")
    killed = 0
    for number, last in enumerate(kills):
        status, told = lives.live(folder, last, from_start=number > 0)
        assert status in {9, 0}, status
        killed += status == 9
        if status == 0:  # it was done before that moment
            assert told["state"] == "done"
    assert killed, "nothing was killed"
    status, told = lives.live(folder)
    assert status == 0, kills
    assert told["state"] in {"done", "failed", "aborted"}, told
    if killed < 3:  # after three attempts it may be given up
        assert (told["state"], told["promoted"]) == ("done", True), told
        assert told["served"] == told["version"]
        # What one attempt has saved the next one takes.
        assert told["versions"] == (2 if saved else 1)
    assert told["spooled"] == []


@pytest.mark.acceptance
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("saved", [False, True], ids=["nothing serves", "a version serves"])
def test_a_kill_in_each_phase_is_survived(lives, moments, saved, phase):
    """The retraining finishes, its version is whole, log and registry agree at every start."""
    found = [i for i, what in enumerate(moments[saved]) if re.match(PHASES[phase], what)]
    assert found, f"no moment of phase {phase!r} any more"
    survives(lives, saved, [found[len(found) // 2 if "segment" in phase else 0]])


@pytest.mark.acceptance
def test_a_kill_after_each_segment_is_survived(lives, moments):
    """However many of them are done."""
    done = [i for i, what in enumerate(moments[True]) if re.match(r"sync [0-9a-f]{32}$", what)]
    assert len(done) >= 4
    for last in done:
        survives(lives, True, [last])


@pytest.mark.acceptance
def test_kills_at_any_moment_are_survived(lives, moments):
    """Of the retraining, of the recovery after it, and of the recovery after that."""
    rng = np.random.default_rng(11)
    kills = 0
    while kills < RANDOM_KILLS:
        saved = bool(rng.integers(2))
        most = len(moments[saved])
        chosen = [int(rng.integers(most)), *(int(rng.integers(most // 3)) for _ in range(1))]
        survives(lives, saved, chosen)
        kills += len(chosen)

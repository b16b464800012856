"""At whatever moment the disk, the process or the power fails: a committed version serves."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from selfright.errors import CorruptLogError, StorageError
from selfright.events.record import GateRecord
from selfright.retrain.fs import MemoryFs
from selfright.retrain.registry import FileRegistry
from selfright.testing.clock import ManualClock

TYPE = "agent_selection"
ROOT = Path("/models")


def _state(tag):
    return {"mean": np.full((10, 13), float(tag)), "agents": ["a", "b"], "tag": tag}


def _is_state(state, tag):
    return state["tag"] == tag and state["mean"].tobytes() == _state(tag)["mean"].tobytes()


class Crash(BaseException):
    """The process ended here. No handler of ours may survive it."""


class Faulty:
    """Passes calls on to a disk until the N-th, which goes wrong.

    ``before``: refused. ``part``: writes leave half of their bytes, then fail. ``after``:
    done, yet reported as failed. With ``crash`` nothing happens after that call; with
    ``dead`` every later change fails as well.
    """

    CHANGES = ("make_dir", "write", "append", "truncate", "replace", "remove", "sync_dir")

    def __init__(self, inner, at, how, *, crash=False, dead=False):
        self.inner, self.at, self.how, self.crash, self.dead = inner, at, how, crash, dead
        self.calls = 0
        self.crashed = False

    def __getattr__(self, name):
        method = getattr(self.inner, name)

        def call(*args):
            if self.crashed:
                raise Crash
            self.calls += 1
            change = name in self.CHANGES
            if self.calls == self.at or (self.dead and change and self.calls > self.at):
                self._fail(name, method, args)
            return method(*args)

        return call

    def _fail(self, name, method, args):
        if self.how == "after":
            method(*args)
        elif self.how == "part" and name in {"write", "append"}:
            method(args[0], args[1][: len(args[1]) // 2])
        if self.crash:
            self.crashed = True
            raise Crash
        raise OSError(errno.EIO, "injected", str(args[0]))


def _attempt(act):
    """Return what a step of a story returned, None if the disk refused it."""
    try:
        return act()
    except StorageError:
        return None


class Journal:
    """What was acknowledged: versions by number, and what may serve."""

    def __init__(self):
        self.saved = {}
        self.may_serve = {None}

    def save(self, registry, tag):
        version = _attempt(lambda: registry.save(TYPE, _state(tag), parent=registry.current(TYPE)))
        if version is not None:
            assert version not in self.saved
            self.saved[version] = tag
        return version

    def promote(self, registry, version):
        # From here on it may serve, acknowledged or not; then it alone does.
        self.may_serve.add(version)
        if _attempt(lambda: registry.promote(TYPE, version, "promoted", version) or True):
            self.may_serve = {version}


def _open(fs):
    return FileRegistry(ROOT, ManualClock(), fs)


def _chain(registry, journal):
    """Three versions, each promoted; a verdict; one step back."""
    for tag in (1, 2, 3):
        version = journal.save(registry, tag)
        if version is not None:
            journal.promote(registry, version)
    version = journal.save(registry, 4)
    if version is not None:
        _attempt(lambda: registry.settle(TYPE, version, GateRecord(verdict="rejected", n=9), 5))
    if registry.current(TYPE) == 3 and 2 in journal.saved:
        journal.promote(registry, 2)


def _every_call_failing(how, end, prepare, act, check):
    """Act on a disk whose N-th call fails, for every N; then check on a healthy one."""
    at = 0
    while True:
        at += 1
        disk = MemoryFs()
        journal = Journal()
        prepare(disk, journal)
        faulty = Faulty(disk, at, how, crash=end == "crash", dead=end == "dead")
        with contextlib.suppress(Crash, StorageError):
            registry = _open(faulty)
            act(registry, journal)
        if faulty.calls < at:
            return at - 1
        note = f"call {at}, {how}, {end}"
        registry = _open(disk)
        for version, tag in journal.saved.items():
            assert _is_state(registry.load(TYPE, version).state, tag), note
        check(registry, journal, note)
        # Service goes on: a new version, a new number, and a restart.
        known = [0, *journal.saved, *(v.version for v in registry.versions(TYPE))]
        version = registry.save(TYPE, _state(9))
        assert version > max(known), note
        registry.promote(TYPE, version, "promoted", 9)
        assert _is_state(_open(disk).load_current(TYPE).model.state, 9), note


@pytest.fixture(params=["before", "part", "after"])
def how(request):
    """How a call goes wrong."""
    return request.param


@pytest.fixture(params=["error", "crash", "dead"])
def end(request):
    """What happens then: an error and on, the end of the process, a disk dead for good."""
    return request.param


def test_saving_and_promoting(how, end):
    """Everything acknowledged is there and serves, nothing half is."""

    def check(registry, journal, note):
        assert registry.current(TYPE) in journal.may_serve, note
        loaded = registry.load_current(TYPE)
        assert loaded.version == registry.current(TYPE), note
        assert loaded.skipped == (), note
        assert {v.state for v in registry.versions(TYPE)} <= {"champion", "challenger", "archived"}

    calls = _every_call_failing(how, end, lambda *_: None, _chain, check)
    print(f"\nsaving and promoting: {calls} calls, {how}, {end}")
    assert calls > 40


def test_setting_a_damaged_champion_aside(how, end):
    """Its parent serves, whichever step of the quarantine failed."""

    def prepare(disk, journal):
        registry = _open(disk)
        for tag in (1, 2, 3):
            journal.promote(registry, journal.save(registry, tag))
        path = ROOT / TYPE / "3" / "model.npz"
        disk.write(path, disk.read(path)[:-1] + b"?")
        del journal.saved[3]

    def act(registry, journal):
        loaded = registry.load_current(TYPE)
        assert _is_state(loaded.model.state, 2)
        assert registry.current(TYPE) == 2

    def check(registry, journal, note):
        loaded = registry.load_current(TYPE)
        assert _is_state(loaded.model.state, 2), note
        with pytest.raises(CorruptLogError):
            registry.load(TYPE, 3)
        states = {v.version: v.state for v in registry.versions(TYPE)}
        assert states == {1: "archived", 2: "champion", 3: "quarantined"}, note

    calls = _every_call_failing(how, end, prepare, act, check)
    print(f"\nquarantine: {calls} calls, {how}, {end}")
    assert calls > 15


def test_deleting_old_versions(how, end):
    """What was to be kept is kept; what was to go is there wholly or not at all."""

    def prepare(disk, journal):
        registry = _open(disk)
        journal.promote(registry, journal.save(registry, 1))
        for tag in (2, 3, 4, 5):
            version = journal.save(registry, tag)
            registry.settle(TYPE, version, GateRecord(verdict="rejected"), tag)
        for tag in (2, 3, 4):
            del journal.saved[tag]

    def act(registry, journal):
        journal.gone = _attempt(lambda: registry.prune(TYPE, keep=1))
        assert journal.gone in ([2, 3, 4], None)

    def check(registry, journal, note):
        left = {v.version: v.state for v in registry.versions(TYPE)}
        assert set(left.values()) <= {"champion", "archived"}, note
        for version in set(left) - {1, 5}:
            assert getattr(journal, "gone", None) is None, note
            assert _is_state(registry.load(TYPE, version).state, version), note
        assert registry.current(TYPE) == 1, note

    calls = _every_call_failing(how, end, prepare, act, check)
    print(f"\ndeleting: {calls} calls, {how}, {end}")
    assert calls > 25


class Disk:
    """A disk with a cache: what was not synced may be lost when the power goes.

    A file's bytes are durable once written (every write of the seam syncs); a name is
    durable once its folder was synced.
    """

    def __init__(self):
        self.top = _Folder()
        self.calls = 0
        self.cut_at = None

    def _folder(self, path):
        folder = self.top
        for name in path.parts:
            folder = folder.live.get(name)
            if not isinstance(folder, _Folder):
                raise FileNotFoundError(errno.ENOENT, "no such folder", str(path))
        return folder

    def _count(self):
        self.calls += 1
        if self.calls == self.cut_at:
            raise Crash

    def make_dir(self, path):
        self._count()
        folder = self.top
        for name in path.parts:
            folder = folder.live.setdefault(name, _Folder())

    def list_dir(self, path):
        try:
            return sorted(self._folder(path).live)
        except FileNotFoundError:
            return []

    def read(self, path):
        found = self._folder(path.parent).live.get(path.name)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        return found[0]

    def write(self, path, data):
        live = self._folder(path.parent).live
        # An existing file keeps its name and changes its bytes.
        file = live.setdefault(path.name, [b""])
        file[0] = b"\x00" * (len(data) // 2)
        self._count()
        file[0] = bytes(data)

    def append(self, path, data):
        live = self._folder(path.parent).live
        file = live.setdefault(path.name, [b""])
        before = file[0]
        file[0] = before + data[: len(data) // 3] + b"\x00" * 5
        self._count()
        file[0] = before + bytes(data)

    def truncate(self, path, size):
        self._count()
        self._folder(path.parent).live[path.name][0] = self.read(path)[:size]

    def replace(self, source, target):
        self._count()
        folder = self._folder(source.parent).live
        self._folder(target.parent).live[target.name] = folder.pop(source.name)

    def remove(self, path):
        self._count()
        if self._folder(path.parent).live.pop(path.name, None) is None:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))

    def sync_dir(self, path):
        self._count()
        folder = self._folder(path)
        folder.durable = dict(folder.live)

    def lose_power(self, keeps):
        """Keep each folder's names as they are, or as last synced, as ``keeps`` says."""
        self.cut_at = None
        self.top.settle(keeps)


class _Folder:
    def __init__(self):
        self.live, self.durable = {}, {}

    def settle(self, keeps):
        if not keeps():
            self.live = dict(self.durable)
        self.durable = dict(self.live)
        for inner in self.live.values():
            if isinstance(inner, _Folder):
                inner.settle(keeps)


def _power_story(registry, acknowledged):
    acknowledged["saved"][registry.save(TYPE, _state(0))] = 0
    registry.settle(TYPE, 1, GateRecord(verdict="rejected"), 0)
    acknowledged["settled"] = True
    for tag in (1, 2, 3, 4):
        version = registry.save(TYPE, _state(tag), parent=registry.current(TYPE))
        acknowledged["saved"][version] = tag
        registry.promote(TYPE, version, "promoted", tag)
        acknowledged["current"] = version


@pytest.mark.parametrize("what_was_not_synced", ["is lost", "is kept", "is a gamble"])
def test_acknowledged_means_synced(what_was_not_synced):
    """The power goes at every single change: nothing acknowledged is lost, nothing is half."""
    rng = np.random.default_rng(3)
    keeps = {
        "is lost": lambda: False,
        "is kept": lambda: True,
        "is a gamble": lambda: rng.random() < 0.5,
    }[what_was_not_synced]
    at, done = 0, False
    while not done:
        at += 1
        disk = Disk()
        # The folder above the models is the operator's: it was there before.
        disk.make_dir(ROOT)
        disk.sync_dir(Path("/"))
        disk.top.durable = dict(disk.top.live)
        disk.calls, disk.cut_at = 0, at
        acknowledged = {"saved": {}, "current": None, "settled": False}
        try:
            _power_story(FileRegistry(ROOT, ManualClock(), disk), acknowledged)
            done = True
        except Crash:
            pass
        disk.lose_power(keeps)
        registry = FileRegistry(ROOT, ManualClock(), disk)
        for version, tag in acknowledged["saved"].items():
            assert _is_state(registry.load(TYPE, version).state, tag), at
        if acknowledged["settled"]:
            assert registry.versions(TYPE)[0].gate is not None, at
        # A promotion that was under way may have been done, but none may be undone.
        promised = acknowledged["current"]
        newest = max(acknowledged["saved"], default=None)
        assert registry.current(TYPE) in {promised, None if newest == 1 else newest}, at
        assert not [v for v in registry.versions(TYPE) if v.state == "quarantined"], at
        assert registry.save(TYPE, _state(9)) > max([0, *acknowledged["saved"]]), at
    print(f"\npower cut at each of {at - 1} changes; unsynced {what_was_not_synced}")
    assert at > 40


CHILD = """
import sys
import numpy as np
from selfright.clock import SystemClock
from selfright.retrain.registry import FileRegistry

registry = FileRegistry(sys.argv[1], SystemClock())
rng = np.random.default_rng()
print("ready", flush=True)
while True:
    tag = int(rng.integers(1 << 30))
    state = {"tag": tag, "mean": np.full((10, 13, 13), float(tag))}
    version = registry.save("agent_selection", state, parent=registry.current("agent_selection"))
    print("saved", version, tag, flush=True)
    registry.promote("agent_selection", version, "promoted", version)
    print("promoted", version, tag, flush=True)
    if version % 7 == 0:
        registry.rollback("agent_selection", version)
        print("promoted", registry.current("agent_selection"), 0, flush=True)
"""


@pytest.mark.slow
def test_a_killed_process_leaves_a_committed_version(tmp_path):
    """Killed at random moments of saving: all that was acknowledged loads, no empty file."""
    rng = np.random.default_rng(11)
    tags, kills = {}, 8
    serving = None
    for _ in range(kills):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        lines = []
        # So many acknowledgements, then a moment that is no line's end: the pipe is read
        # after the kill, so that the child never waits for us.
        wanted = int(rng.integers(1, 60))
        for line in child.stdout:
            lines.append(line)
            if len(lines) >= wanted:
                break
        os.kill(child.pid, signal.SIGKILL)
        lines += child.stdout.readlines()
        child.wait()
        child.stdout.close()
        said = [line.split() for line in lines if line.endswith("\n")]
        for word, *rest in said:
            if word == "saved":
                assert int(rest[0]) not in tags, "a number was given twice"
                tags[int(rest[0])] = int(rest[1])
            elif word == "promoted":
                serving = int(rest[0])
        assert all(
            p.stat().st_size > 0
            for p in tmp_path.rglob("*")
            if p.is_file() and ".unfinished" not in str(p)
        )
        registry = FileRegistry(tmp_path, ManualClock())
        assert not [v for v in registry.versions(TYPE) if v.state == "quarantined"]
        for version, tag in list(tags.items())[-40:]:
            state = registry.load(TYPE, version).state
            assert (state["tag"], float(state["mean"][9, 12, 12])) == (tag, float(tag))
        # What was acknowledged serves, or what was under way when the kill came.
        newest = max(registry.versions(TYPE), key=lambda v: v.version).version
        loaded = registry.load_current(TYPE)
        assert loaded.skipped == ()
        assert loaded.version in {serving, newest, newest - 1}
        serving = loaded.version
    print(f"\n{kills} kills, {len(tags)} versions acknowledged, all of them there")
    assert len(tags) > kills

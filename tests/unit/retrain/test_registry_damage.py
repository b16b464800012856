"""Whatever became of the files: what loads is what was saved, the rest is set aside."""

from __future__ import annotations

import errno
import logging
import shutil

import numpy as np
import pytest

from selfright.errors import CorruptLogError, StorageError
from selfright.events.record import GateRecord
from selfright.retrain.fs import DiskFs, MemoryFs
from selfright.retrain.manifest import Skipped
from selfright.retrain.registry import FileRegistry
from selfright.testing.clock import ManualClock

TYPE = "agent_selection"
FLIPS = 1_000


def _state(version):
    rng = np.random.default_rng(version)
    return {"mean": rng.normal(size=(10, 13)), "agents": [f"agent-{version}"], "n": version}


def _is_state(state, version):
    wanted = _state(version)
    return (
        state.keys() == wanted.keys()
        and state["mean"].tobytes() == wanted["mean"].tobytes()
        and (state["agents"], state["n"]) == (wanted["agents"], wanted["n"])
    )


@pytest.fixture
def folder(tmp_path):
    """Four versions in a chain, 3 serves, 4 was rejected."""
    registry = FileRegistry(tmp_path, ManualClock())
    for version in (1, 2, 3):
        registry.save(TYPE, _state(version), parent=version - 1 or None)
        registry.promote(TYPE, version, "promoted", version)
    registry.save(TYPE, _state(4), parent=3)
    registry.settle(TYPE, 4, GateRecord(verdict="rejected"), 4)
    return tmp_path / TYPE


def _open(folder, fs=None):
    return FileRegistry(folder.parent, ManualClock(), fs)


def _loads(registry):
    """Return which versions load; fail on any that loads as something else."""
    found = {}
    for version in range(1, 5):
        try:
            state = registry.load(TYPE, version).state
        except CorruptLogError:
            found[version] = False
        else:
            assert _is_state(state, version)
            found[version] = True
    return found


def _serves(registry):
    loaded = registry.load_current(TYPE)
    if loaded.model is not None:
        assert _is_state(loaded.model.state, loaded.version)
    assert loaded.version == registry.current(TYPE)
    return loaded.version


def _flip(whole, rng):
    """Return the files with one to eight bytes changed, and how many were."""
    names, files = sorted(whole), {name: bytearray(data) for name, data in whole.items()}
    # Half of them by size, half by file: small files matter as much.
    sizes = np.array([len(whole[name]) for name in names], dtype=float)
    weights = sizes / sizes.sum() if rng.random() < 0.5 else None
    flips = 1 if rng.random() < 0.6 else int(rng.integers(2, 9))
    for _ in range(flips):
        data = files[names[int(rng.choice(len(names), p=weights))]]
        data[int(rng.integers(len(data)))] ^= int(rng.integers(1, 256))
    return files, flips


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "trials"), [("disk", FLIPS // 10), ("memory", FLIPS - FLIPS // 10)]
)
def test_flipped_bytes_never_crash_and_never_load(folder, tmp_path, caplog, where, trials):
    """1,000 times one to eight bytes anywhere in the files: right, or quarantined."""
    caplog.set_level(logging.CRITICAL)  # thousands of warnings are not the point
    rng = np.random.default_rng([5, trials])
    paths = [p for p in folder.rglob("*") if p.is_file()]
    whole = {p.relative_to(folder.parent): p.read_bytes() for p in paths}
    served = {1: 0, 2: 0, 3: 0, None: 0}
    quarantined = 0
    for trial in range(trials):
        fs = DiskFs() if where == "disk" else MemoryFs()
        root = tmp_path / str(trial)
        files, flips = _flip(whole, rng)
        for name, data in files.items():
            fs.make_dir((root / name).parent)
            fs.write(root / name, data)
        registry = FileRegistry(root, ManualClock(), fs)
        loads = _loads(registry)
        serving = _serves(registry)
        served[serving] += 1
        if flips == 1:
            # 3 or, where that is damaged, its parent. Several may hit both of its records.
            assert serving == (3 if loads[3] else 2)
        assert serving in {None, *(v for v in (1, 2, 3) if loads[v])}
        states = {v.version: v.state for v in registry.versions(TYPE)}
        assert {v for v, state in states.items() if state == "quarantined"} == {
            v for v, intact in loads.items() if not intact
        }
        quarantined += sum(not intact for intact in loads.values())
        assert registry.save(TYPE, _state(5)) == 5
    print(f"\n{trials} flips in {where}: served {served}, quarantined {quarantined}")
    assert served[3] > trials / 3
    assert quarantined > trials / 3


@pytest.mark.parametrize("file", ["model.npz", "manifest.json"])
@pytest.mark.parametrize("how", ["empty", "cut", "longer", "gone", "folder"])
def test_a_damaged_champion_gives_way_to_its_parent(folder, file, how):
    """Named, quarantined, logged; and so it stays after a restart."""
    path = folder / "3" / file
    data = path.read_bytes()
    path.unlink()
    if how == "folder":
        path.mkdir()
    elif how != "gone":
        path.write_bytes({"empty": b"", "cut": data[:-2], "longer": data + b"\x00"}[how])
    registry = _open(folder)
    loaded = registry.load_current(TYPE)
    assert loaded.version == registry.current(TYPE) == 2
    assert _is_state(loaded.model.state, 2)
    assert [skipped.version for skipped in loaded.skipped] == [3]
    assert not (folder / "3").exists()
    assert (folder / "quarantine" / "3").exists()
    assert [(e.event, e.version, e.previous) for e in registry.promotions(TYPE)[-2:]] == [
        ("quarantined", 3, 3),
        ("promoted", 2, 3),
    ]
    if how in {"cut", "longer"} and file == "model.npz":
        assert "bytes instead of" in loaded.skipped[0].reason
    again = _open(folder)
    assert again.load_current(TYPE).skipped == ()
    assert again.current(TYPE) == 2
    (third,) = [v for v in again.versions(TYPE) if v.version == 3]
    assert (third.state, third.parent, third.reason) == ("quarantined", 2, loaded.skipped[0].reason)
    with pytest.raises(CorruptLogError, match="quarantined"):
        again.load(TYPE, 3)
    with pytest.raises(CorruptLogError, match="quarantined"):
        again.promote(TYPE, 3, "promoted", 9)
    assert again.save(TYPE, _state(5), parent=2) == 5


def test_a_damaged_version_is_kept_as_it_was_found(folder):
    """Somebody may want to look at it."""
    path = folder / "4" / "model.npz"
    path.write_bytes(path.read_bytes()[:100] + b"?" + path.read_bytes()[101:])
    found = path.read_bytes()
    registry = _open(folder)
    with pytest.raises(CorruptLogError) as corrupt:
        registry.load(TYPE, 4)
    assert "agent_selection version 4" in str(corrupt.value)
    assert "checksum" in str(corrupt.value)
    assert (folder / "quarantine" / "4" / "model.npz").read_bytes() == found
    assert registry.current(TYPE) == 3
    assert registry.load_current(TYPE).skipped[0].version == 4


def test_the_walk_goes_up_as_far_as_needed(folder):
    """3 and 2 are damaged, one seen at the opening, one only when it is read."""
    (folder / "3" / "manifest.json").write_bytes(b"{}")
    (folder / "2" / "model.npz").write_bytes(b"")
    registry = _open(folder)
    loaded = registry.load_current(TYPE)
    assert loaded.version == 1
    assert [skipped.version for skipped in loaded.skipped] == [3, 2]
    assert _open(folder).current(TYPE) == 1


def test_without_an_intact_ancestor_nothing_serves(folder):
    """A rejected challenger must not serve just because it is the only one left."""
    for version in "123":
        (folder / version / "model.npz").write_bytes(b"")
    registry = _open(folder)
    loaded = registry.load_current(TYPE)
    assert loaded.model is None
    assert len(loaded.skipped) == 3
    assert registry.current(TYPE) is None
    assert registry.save(TYPE, _state(5)) == 5
    registry.promote(TYPE, 5, "promoted", 9)
    assert _serves(_open(folder)) == 5


def test_a_version_whose_folder_is_gone_gives_way_too(folder):
    """Deleted by hand: its parent serves."""
    shutil.rmtree(folder / "3")
    registry = _open(folder)
    assert registry.load_current(TYPE).skipped == (Skipped(3, "its folder is missing"),)
    assert registry.current(TYPE) == 2
    assert registry.save(TYPE, _state(5)) == 5


def test_a_version_in_another_ones_place_is_damaged(folder):
    """Intact bytes, wrong folder: the manifest knows better."""
    shutil.rmtree(folder / "3")
    shutil.copytree(folder / "4", folder / "3")
    registry = _open(folder)
    assert _serves(registry) == 2
    assert "version 4" in registry.versions(TYPE)[2].reason


@pytest.mark.parametrize("lost", ["CURRENT", "promotions.jsonl"])
@pytest.mark.parametrize("how", ["gone", "empty", "flipped"])
def test_the_pointer_and_the_log_stand_in_for_each_other(folder, lost, how):
    """Either may be lost; what serves stays known and both are whole again afterwards."""
    path = folder / lost
    data = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        at = data.rindex(b'"version":3')
        path.write_bytes(b"" if how == "empty" else data[:at] + b'"version":2' + data[at + 11 :])
    registry = _open(folder)
    assert _serves(registry) == 3
    (folder / ("CURRENT" if lost == "promotions.jsonl" else "promotions.jsonl")).unlink()
    assert _serves(_open(folder)) == 3


def test_without_pointer_and_log_nothing_is_made_up(folder):
    """Nobody knows what served: nothing does, and the versions are still there."""
    (folder / "CURRENT").unlink()
    (folder / "promotions.jsonl").unlink()
    registry = _open(folder)
    assert registry.current(TYPE) is None
    assert all(_loads(registry).values())
    assert registry.save(TYPE, _state(5)) == 5


@pytest.mark.parametrize("torn", [1, 40, 150])
def test_a_torn_last_line_is_cut_off(folder, torn):
    """A line that was never acknowledged does not count, and the next one follows cleanly."""
    path = folder / "promotions.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines(keepends=True)[1][:torn])
    registry = _open(folder)
    assert path.read_bytes() == whole
    registry.promote(TYPE, 1, "by hand", 9)
    assert [e.version for e in _open(folder).promotions(TYPE)] == [1, 2, 3, 4, 1]


def test_a_damaged_line_in_the_middle_costs_only_itself(folder):
    """The others still tell what served when."""
    path = folder / "promotions.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b"promoted", b"demoted!")
    path.write_bytes(b"".join(lines))
    registry = _open(folder)
    assert [registry.serving_at(TYPE, ts) for ts in (1, 2, 3)] == [1, 1, 3]
    assert _serves(registry) == 3


def test_what_an_unfinished_save_left_is_cleared_but_its_number_stays_taken(folder):
    """A kill half-way through version 5, and one half-way through a deletion of 2."""
    unfinished = folder / ".unfinished-5"
    unfinished.mkdir()
    (unfinished / "model.npz").write_bytes(b"half a mod")
    going = folder / ".going-9"
    shutil.copytree(folder / "4", going)
    registry = _open(folder)
    assert [v.version for v in registry.versions(TYPE)] == [1, 2, 3, 4]
    assert not unfinished.exists()
    assert not going.exists()
    assert not list(folder.rglob("half*"))
    assert registry.save(TYPE, _state(10)) == 10  # 9 once was, too
    (folder / "10").rename(folder / ".unfinished-10")
    _open(folder)
    assert _open(folder).save(TYPE, _state(11)) == 11
    assert _open(folder).save(TYPE, _state(12)) == 12


def test_foreign_files_are_left_alone(folder):
    """Names that are not ours mean nothing."""
    for name in ("notes.txt", "007", "1e3", "٣", "-1", "3.bak"):
        (folder / name).write_text("mine")
    (folder.parent / "README.md").write_text("mine")
    (folder.parent / "lost+found").mkdir()
    registry = _open(folder)
    assert [v.version for v in registry.versions(TYPE)] == [1, 2, 3, 4]
    assert (folder / "007").read_text() == "mine"


class ReadsFail(DiskFs):
    """A disk whose reads of one file fail a number of times."""

    def __init__(self, name, code, times):
        self.name, self.code, self.left = name, code, times

    def read(self, path):
        if path.as_posix().endswith(self.name) and self.left:
            self.left -= 1
            raise OSError(self.code, "no", str(path))
        return super().read(path)


@pytest.mark.parametrize("name", ["3/model.npz", "3/manifest.json", "CURRENT"])
def test_a_passing_read_error_changes_nothing(folder, name):
    """One failed read is tried again."""
    registry = _open(folder, ReadsFail(name, errno.EIO, 1))
    assert _serves(registry) == 3
    assert (folder / "3").exists()


@pytest.mark.parametrize("name", ["3/model.npz", "3/manifest.json"])
def test_a_lasting_read_error_is_damage(folder, name):
    """A bad sector: the parent serves."""
    registry = _open(folder, ReadsFail(name, errno.EIO, -1))
    assert _serves(registry) == 2


@pytest.mark.parametrize("name", ["3/model.npz", "3/manifest.json", "CURRENT", "promotions.jsonl"])
def test_trouble_of_our_own_is_no_damage(folder, name):
    """Out of descriptors: an error to the caller, and nothing is moved."""
    fs = ReadsFail(name, errno.EMFILE, -1)
    with pytest.raises(StorageError):
        _open(folder, fs).load_current(TYPE)
    assert not (folder / "quarantine").exists()
    assert _serves(_open(folder)) == 3


class TornAppend(DiskFs):
    """A disk that is full in the middle of one append, and cannot be cut back at once."""

    def __init__(self):
        self.full = False

    def append(self, path, data):
        if self.full:
            super().append(path, data[:50])
            raise OSError(errno.ENOSPC, "full", str(path))
        super().append(path, data)

    def truncate(self, path, size):
        if self.full:
            raise OSError(errno.EIO, "no", str(path))
        super().truncate(path, size)


def test_nothing_is_appended_to_half_a_line(folder):
    """The rest of a refused line is cut off before the next one is written."""
    fs = TornAppend()
    registry = _open(folder, fs)
    fs.full = True
    with pytest.raises(StorageError):
        registry.promote(TYPE, 1, "refused", 8)
    assert registry.current(TYPE) == 3
    fs.full = False
    registry.promote(TYPE, 2, "by hand", 9)
    assert [e.reason for e in _open(folder).promotions(TYPE)[4:]] == ["by hand"]
    assert len((folder / "promotions.jsonl").read_bytes().splitlines()) == 5


class ReadOnly(DiskFs):
    """A disk that refuses every change."""

    def _refuse(self, *_):
        raise OSError(errno.EROFS, "read-only")

    make_dir = write = append = truncate = replace = remove = sync_dir = _refuse


def test_a_disk_that_refuses_writes_still_serves(folder):
    """Even with a damaged champion, for as long as the process lives."""
    (folder / "3" / "model.npz").write_bytes(b"")
    registry = _open(folder, LateReadOnly())
    assert _serves(registry) == 2
    assert _serves(registry) == 2
    with pytest.raises(StorageError):
        registry.save(TYPE, _state(5))
    with pytest.raises(StorageError):
        registry.promote(TYPE, 1, "by hand", 9)
    assert _serves(registry) == 2
    assert _serves(_open(folder)) == 2


class LateReadOnly(ReadOnly):
    """Lets the root folder be there, as it is."""

    def make_dir(self, path):
        if not path.exists():
            self._refuse()

    def sync_dir(self, path):
        """Nothing is pending on it."""

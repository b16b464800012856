"""The registry keeps every version with its lineage and knows what served when."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
import threading
from enum import Enum
from pathlib import Path

import msgspec
import numpy as np
import pytest

from selfright.errors import ConfigError, StorageError, UnknownNameError
from selfright.events.record import GateRecord
from selfright.retrain.manifest import VersionMeta
from selfright.retrain.registry import FileRegistry, MemoryRegistry, ModelRegistry
from selfright.retrain.sealed import seal, unseal
from selfright.testing.clock import ManualClock

TYPE = "agent_selection"
SECOND_US = 1_000_000


def state_of(seed, agents=10):
    """Return a state as an agent selection model of ten agents and twelve features has."""
    rng = np.random.default_rng(seed)
    return {
        "agents": [f"agent-{i}" for i in range(agents)],
        "precision": rng.normal(size=(agents, 13, 13)),
        "mean": rng.normal(size=(agents, 13)),
        "count": rng.integers(0, 1000, size=agents),
        "strategy": "bayesian",
        "settings": {"prior": 0.25, "floor": 0.002, "forget": None},
    }


def same(a, b):
    """Return whether two states are equal, arrays bit by bit."""
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return type(a) is type(b) and a == b


@pytest.fixture
def clock() -> ManualClock:
    """A clock that only tests move."""
    return ManualClock()


@pytest.fixture(params=["file", "memory"])
def registry(request, tmp_path, clock) -> ModelRegistry:
    """Both kinds must keep every promise."""
    if request.param == "memory":
        return MemoryRegistry(clock)
    return FileRegistry(tmp_path / "models", clock)


def _three(registry):
    """Save a chain of three versions, the last of which serves."""
    for seed in (1, 2, 3):
        parent = registry.current(TYPE)
        version = registry.save(TYPE, state_of(seed), parent=parent)
        registry.promote(TYPE, version, "promoted", seed * SECOND_US)


def test_nothing_serves_before_something_was_promoted(registry):
    """An empty registry is no error."""
    assert registry.current(TYPE) is None
    assert registry.load_current(TYPE).model is None
    assert registry.versions(TYPE) == registry.promotions(TYPE) == []
    assert registry.serving_at(TYPE, 0) is None


def test_a_version_comes_back_as_it_was_saved(registry):
    """Arrays bit by bit, the rest equal, with a manifest that says how it was made."""
    meta = {"samples": 100, "agents": ["a"], "reason": "drift", "scores": {"log_loss": 0.5}}
    version = registry.save(TYPE, state_of(1), meta=meta)
    stored = registry.load(TYPE, version)
    assert same(stored.state, state_of(1))
    assert (stored.manifest.version, stored.manifest.parent) == (1, None)
    assert stored.manifest.meta == msgspec.convert(meta, VersionMeta)
    assert set(stored.manifest.libraries) == {"selfright", "python", "numpy"}
    assert stored.manifest.libraries["numpy"] == np.__version__


def test_what_was_loaded_may_be_changed_without_harm(registry):
    """A model that goes on learning must not change the version it came from."""
    version = registry.save(TYPE, state_of(1))
    registry.load(TYPE, version).state["mean"] += 1.0
    assert same(registry.load(TYPE, version).state, state_of(1))


def test_saving_does_not_promote(registry):
    """A challenger is kept, and the champion goes on serving."""
    _three(registry)
    assert registry.save(TYPE, state_of(4), parent=3) == 4
    assert registry.current(TYPE) == 3
    assert registry.load_current(TYPE).version == 3


def test_versions_tell_lineage_and_state(registry, clock):
    """Champion, challenger, archived; parents; when each was made and promoted."""
    _three(registry)
    clock.advance(60)
    registry.save(TYPE, state_of(4), parent=3, meta={"samples": 200, "agents": ["x"]})
    found = registry.versions(TYPE)
    assert [v.version for v in found] == [1, 2, 3, 4]
    assert [v.parent for v in found] == [None, 1, 2, 3]
    assert [v.state for v in found] == ["archived", "archived", "champion", "challenger"]
    assert [v.created_at for v in found[2:]] == [
        "2000-01-01T00:00:00.000000Z",
        "2000-01-01T00:01:00.000000Z",
    ]
    assert (found[2].promoted_at, found[3].promoted_at) == ("1970-01-01T00:00:03.000000Z", None)
    assert (found[3].samples, found[3].agents) == (200, ("x",))


def test_a_verdict_archives_a_challenger(registry):
    """A rejected one is no challenger any more, and its record shows the verdict."""
    _three(registry)
    registry.save(TYPE, state_of(4), parent=3)
    verdict = GateRecord(verdict="rejected", n=80, gain=-0.1)
    registry.settle(TYPE, 4, verdict, 9 * SECOND_US)
    (found,) = [v for v in registry.versions(TYPE) if v.version == 4]
    assert (found.state, found.gate) == ("archived", verdict)
    assert registry.current(TYPE) == 3


def test_a_version_as_a_dict_is_json_and_names_no_path(registry):
    """What leaves over REST."""
    registry.save(TYPE, state_of(1), meta={"agents": ["a"]})
    registry.promote(TYPE, 1, "promoted", 5, GateRecord(verdict="promoted", n=70))
    (found,) = registry.versions(TYPE)
    shown = json.loads(json.dumps(found.to_dict()))
    assert shown["gate"]["verdict"] == "promoted"
    assert shown["agents"] == ["a"]
    assert shown["state"] == "champion"
    assert "models" not in json.dumps(shown)


def test_rollback_promotes_the_parent(registry):
    """One call, and again one further back; in the end there is nothing to go back to."""
    _three(registry)
    assert registry.rollback(TYPE, 4 * SECOND_US) == 2
    assert registry.rollback(TYPE, 5 * SECOND_US, reason="worse") == 1
    assert registry.current(TYPE) == 1
    with pytest.raises(UnknownNameError, match="no ancestor"):
        registry.rollback(TYPE, 6 * SECOND_US)
    assert [v.state for v in registry.versions(TYPE)] == ["champion", "archived", "archived"]


def test_rollback_goes_to_a_given_version(registry):
    """Also forwards again."""
    _three(registry)
    assert registry.rollback(TYPE, 4 * SECOND_US, version=1) == 1
    assert registry.rollback(TYPE, 5 * SECOND_US, version=3) == 3
    with pytest.raises(UnknownNameError, match=r"no version 7; agent_selection has 1, 2, 3"):
        registry.rollback(TYPE, 6 * SECOND_US, version=7)
    assert registry.current(TYPE) == 3


def test_what_serves_can_be_withdrawn(registry):
    """Then nothing serves, until something is promoted again; what is past stays told."""
    registry.withdraw(TYPE, "nothing to withdraw", 0)
    _three(registry)
    registry.withdraw(TYPE, "reverted", 4 * SECOND_US)
    registry.withdraw(TYPE, "again", 5 * SECOND_US)
    assert registry.current(TYPE) is None
    assert registry.load_current(TYPE).model is None
    assert [v.state for v in registry.versions(TYPE)] == ["archived"] * 3
    served = [registry.serving_at(TYPE, s * SECOND_US) for s in (3, 4, 9)]
    assert served == [3, None, None]
    last = registry.promotions(TYPE)[-1]
    assert (last.event, last.version, last.previous, last.reason) == (
        "withdrawn",
        3,
        3,
        "reverted",
    )
    registry.promote(TYPE, 2, "promoted", 6 * SECOND_US)
    assert registry.current(TYPE) == 2


@pytest.mark.parametrize("lost", ["promotions.jsonl", "CURRENT", None])
def test_a_withdrawal_outlasts_the_process_and_the_loss_of_a_file(tmp_path, lost):
    """Either file says that nothing serves."""
    clock = ManualClock()
    registry = FileRegistry(tmp_path, clock)
    _three(registry)
    registry.withdraw(TYPE, "reverted", 4 * SECOND_US)
    if lost is not None:
        (tmp_path / TYPE / lost).unlink()
    again = FileRegistry(tmp_path, clock)
    assert again.current(TYPE) is None
    assert again.promotions(TYPE)[-1].event == "withdrawn"
    assert FileRegistry(tmp_path, clock).current(TYPE) is None


def test_the_log_tells_what_served_when(registry):
    """At every instant, with reason and predecessor."""
    _three(registry)
    registry.rollback(TYPE, 9 * SECOND_US)
    served = [registry.serving_at(TYPE, s * SECOND_US) for s in (0, 1, 2, 3, 8, 9, 99)]
    assert served == [None, 1, 2, 3, 3, 2, 2]
    assert [(e.version, e.previous, e.reason) for e in registry.promotions(TYPE)] == [
        (1, None, "promoted"),
        (2, 1, "promoted"),
        (3, 2, "promoted"),
        (2, 3, "rollback"),
    ]


def test_model_types_do_not_share_numbers(registry):
    """Each has its own versions and its own champion."""
    _three(registry)
    assert registry.save("routing", state_of(9)) == 1
    assert registry.current("routing") is None
    assert registry.current(TYPE) == 3


@pytest.mark.parametrize(
    "name", ["", "..", "a/b", "Agent", "a-b", "a.b", "a\n", "a1", "é", "a" * 65, "/etc", "a\x00"]
)
def test_a_model_type_cannot_name_a_path(registry, name):
    """Lower-case letters and underscores, nothing else."""
    for call in (
        lambda: registry.save(name, {}),
        lambda: registry.load(name, 1),
        lambda: registry.versions(name),
        lambda: registry.promote(name, 1, "", 0),
    ):
        with pytest.raises(ConfigError) as refused:
            call()
        assert refused.value.setting == "model_type"


def test_a_model_type_may_be_an_enum(registry):
    """However its members format: the folder is named by the text."""

    class Kind(str, Enum):  # noqa: UP042 - a StrEnum formats as its text
        SELECTION = "agent_selection"

    registry.save(Kind.SELECTION, state_of(1))
    assert [v.version for v in registry.versions(TYPE)] == [1]


def test_unknown_versions_and_parents_are_refused(registry):
    """With what there is."""
    _three(registry)
    for call in (
        lambda: registry.load(TYPE, 4),
        lambda: registry.load(TYPE, 0),
        lambda: registry.promote(TYPE, 4, "", 0),
        lambda: registry.settle(TYPE, 4, GateRecord(verdict="rejected"), 0),
        lambda: registry.save(TYPE, {}, parent=4),
        lambda: registry.save(TYPE, {}, parent=-1),
    ):
        with pytest.raises(UnknownNameError, match="agent_selection has 1, 2, 3"):
            call()
    assert registry.save(TYPE, state_of(4)) == 4


@pytest.mark.parametrize(
    "meta", [{"samples": "many"}, {"colour": "red"}, {"scores": {"a": float("nan")}}]
)
def test_a_meta_that_cannot_be_kept_is_refused(registry, meta):
    """Before anything is written."""
    with pytest.raises(ConfigError) as refused:
        registry.save(TYPE, {}, meta=meta)
    assert refused.value.setting == "meta"
    assert registry.versions(TYPE) == []


def test_pruning_spares_what_serves_its_ancestors_and_the_newest(registry):
    """Of ten rejected challengers the newest are kept."""
    _three(registry)
    for seed in range(4, 14):
        version = registry.save(TYPE, state_of(seed), parent=3)
        registry.settle(TYPE, version, GateRecord(verdict="rejected"), seed)
    assert registry.prune(TYPE, keep=3) == [4, 5, 6, 7, 8, 9, 10]
    assert [v.version for v in registry.versions(TYPE)] == [1, 2, 3, 11, 12, 13]
    assert registry.prune(TYPE, keep=0) == [11, 12]
    assert registry.prune(TYPE, keep=100) == []
    assert registry.save(TYPE, state_of(0)) == 14
    assert same(registry.load(TYPE, 1).state, state_of(1))


def test_pruning_spares_the_lineage_after_a_rollback(registry):
    """Ancestors of what serves now, not of what served."""
    _three(registry)
    registry.rollback(TYPE, 9, version=1)
    registry.save(TYPE, state_of(4), parent=1)
    registry.promote(TYPE, 4, "promoted", 10)
    assert registry.prune(TYPE, keep=1) == [2, 3]
    assert registry.rollback(TYPE, 11) == 1


def test_several_threads_get_different_numbers(registry):
    """Saves and promotions from eight threads: nothing lost, nothing doubled."""
    numbers, errors = [], []

    def work(seed):
        try:
            for _ in range(5):
                version = registry.save(TYPE, {"seed": np.array([seed])})
                registry.promote(TYPE, version, "promoted", version)
                numbers.append(version)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(numbers) == list(range(1, 41))
    assert registry.promotions(TYPE)[-1].version == registry.current(TYPE)


def test_a_new_registry_over_the_folder_knows_everything(tmp_path, clock):
    """Versions, champion, log and verdicts survive a restart."""
    first = FileRegistry(tmp_path, clock)
    _three(first)
    first.save(TYPE, state_of(4), parent=3)
    first.settle(TYPE, 4, GateRecord(verdict="inconclusive", n=500), 7)
    second = FileRegistry(tmp_path, clock)
    assert second.versions(TYPE) == first.versions(TYPE)
    assert second.promotions(TYPE) == first.promotions(TYPE)
    assert second.load_current(TYPE).version == 3
    assert second.save(TYPE, state_of(5), parent=3) == 5


def test_a_version_loads_in_a_new_process(tmp_path, clock):
    """Another interpreter reads the same arrays, and no file is empty."""
    registry = FileRegistry(tmp_path, clock)
    registry.save(TYPE, state_of(7))
    registry.promote(TYPE, 1, "promoted", 0)
    program = """
import hashlib, sys
from selfright.clock import SystemClock
from selfright.retrain.registry import FileRegistry
loaded = FileRegistry(sys.argv[1], SystemClock()).load_current("agent_selection")
for name, value in sorted(loaded.model.state.items()):
    data = value.tobytes() if hasattr(value, "tobytes") else repr(value).encode()
    print(name, hashlib.sha256(data).hexdigest())
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

    def digest(value):
        data = value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode()
        return hashlib.sha256(data).hexdigest()

    expected = {name: digest(value) for name, value in state_of(7).items()}
    assert dict(line.split() for line in done.stdout.splitlines()) == expected
    assert all(path.stat().st_size > 0 for path in tmp_path.rglob("*") if path.is_file())


def test_only_the_owner_may_read(tmp_path, clock):
    """Files 0600, folders 0700, whatever the umask allows."""
    before = os.umask(0)
    try:
        registry = FileRegistry(tmp_path / "data" / "models", clock)
        _three(registry)
    finally:
        os.umask(before)
    found = {p: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "data").rglob("*")}
    found[tmp_path / "data"] = stat.S_IMODE((tmp_path / "data").stat().st_mode)
    assert {mode for path, mode in found.items() if path.is_file()} == {0o600}
    assert {mode for path, mode in found.items() if path.is_dir()} == {0o700}


def test_the_folder_holds_what_the_format_says(tmp_path, clock):
    """Names and contents as documented; numpy and any JSON tool read them."""
    registry = FileRegistry(tmp_path, clock)
    registry.save(TYPE, state_of(1))
    registry.promote(TYPE, 1, "promoted", 5)
    folder = tmp_path / TYPE
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*")) == [
        "1",
        "1/manifest.json",
        "1/model.npz",
        "CURRENT",
        "promotions.jsonl",
    ]
    manifest = json.loads((folder / "1" / "manifest.json").read_text())
    assert manifest["format"] == 1
    assert manifest["arrays"]["mean"] == {"dtype": "<f8", "shape": [10, 13]}
    assert (folder / "CURRENT").read_bytes() == (folder / "promotions.jsonl").read_bytes()
    assert json.loads((folder / "CURRENT").read_text())["version"] == 1
    with np.load(folder / "1" / "model.npz", allow_pickle=False) as arrays:
        assert arrays["mean"].tobytes() == state_of(1)["mean"].tobytes()


def test_a_path_that_is_no_folder_is_a_storage_error(tmp_path, clock):
    """It names the path."""
    (tmp_path / "models").write_text("not a folder")
    with pytest.raises(StorageError) as refused:
        FileRegistry(tmp_path / "models", clock)
    assert Path(refused.value.path) == tmp_path / "models"


def test_what_a_newer_selfright_wrote_is_left_alone(tmp_path, clock):
    """A manifest of a later format is refused with the remedy, not quarantined."""
    registry = FileRegistry(tmp_path, clock)
    _three(registry)
    path = tmp_path / TYPE / "2" / "manifest.json"
    newer = unseal(path.read_bytes()[:-1]) | {"format": 2}
    path.write_bytes(seal(newer) + b"\n")
    with pytest.raises(ConfigError, match="newer Selfright"):
        FileRegistry(tmp_path, clock)
    assert path.exists()

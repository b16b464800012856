"""What the second face tells of its versions: what served when, why, and what they differ in."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from selfright import ModelType, OutcomeEvent, RealTimeModelUpdater, UpdateStrategy
from selfright.errors import ConfigError, CorruptLogError, UnknownNameError
from selfright.retrain.sealed import seal, unseal

SELECTION = ModelType.AGENT_SELECTION


def _updater(folder: Path, **parameters: object) -> RealTimeModelUpdater:
    return RealTimeModelUpdater(model_storage_path=str(folder), **parameters)


def _learn(updater: RealTimeModelUpdater, rates: dict[str, float], n: int = 100) -> None:
    updater.submit_many(
        OutcomeEvent(
            agent_name=name, action_type="plan", status="success" if i < n * rate else "failure"
        )
        for i in range(n)
        for name, rate in rates.items()
    )


@pytest.fixture
def saved(tmp_path: Path) -> RealTimeModelUpdater:
    """Return an updater with two saved versions; between them `fallen` fell."""
    updater = _updater(tmp_path)
    _learn(updater, {"fallen": 0.9, "steady": 0.8})
    updater.save()
    _learn(updater, {"fallen": 0.1})
    updater.save()
    return updater


def test_the_log_says_what_served_when_and_why(saved: RealTimeModelUpdater) -> None:
    """Every promotion in order, with what it replaced and its reason."""
    saved.rollback(SELECTION)
    found = saved.promotions(SELECTION)
    assert [(e.event, e.version, e.previous, e.reason) for e in found] == [
        ("promoted", 1, None, "saved"),
        ("promoted", 2, 1, "saved"),
        ("promoted", 1, 2, "rollback"),
    ]
    times = [datetime.fromisoformat(e.at) for e in found]
    assert times == sorted(times)
    assert json.dumps([e.to_dict() for e in found])


def test_what_served_at_a_moment(saved: RealTimeModelUpdater) -> None:
    """By the promotion that held then; before the first one no version did."""
    first, second = saved.promotions(SELECTION)
    (at_first,) = saved.serving_at(first.at, SELECTION)
    assert (at_first.version, at_first.since, at_first.reason) == (1, first.at, "saved")
    assert saved.serving_at(second.at, SELECTION)[0].version == 2
    before = datetime.fromisoformat(first.at) - timedelta(seconds=1)
    for moment in (before, before.timestamp(), before.isoformat(), str(before.timestamp())):
        assert saved.serving_at(moment, SELECTION)[0].version is None
    assert {each.model_type for each in saved.serving_at(second.at)} == set(ModelType)


@pytest.mark.parametrize("moment", ["yesterday", float("nan"), "nan", -1, True])
def test_what_is_no_time_is_refused(saved: RealTimeModelUpdater, moment: object) -> None:
    """The message says what is one."""
    with pytest.raises(ConfigError, match="RFC 3339"):
        saved.serving_at(moment)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="still to come"):
        saved.serving_at(datetime.now(UTC) + timedelta(days=1))


def test_two_versions_are_compared_arm_by_arm(saved: RealTimeModelUpdater) -> None:
    """What changed most stands first; expectations, counts, samples and settings are there."""
    found = saved.compare(SELECTION, 1, 2)
    assert [(d.arm, d.group) for d in found.differences] == [("fallen", "plan"), ("steady", "plan")]
    fallen, steady = found.differences
    assert fallen.change < -0.2
    assert (fallen.n_before, fallen.n_after) == (100, 200)
    assert (steady.n_before, steady.n_after) == (100, 100)
    assert abs(steady.change) < 0.05
    assert (found.before.samples, found.after.samples) == (200, 300)
    assert (found.unit, found.hyperparameters) == ("reward", {})
    back = saved.compare(SELECTION, 2, 1)
    assert back.differences[0].change == -fallen.change
    assert json.dumps(found.to_dict())
    same = saved.compare(SELECTION, 2, 2)
    assert [d.change for d in same.differences] == [0.0, 0.0]


def test_latencies_are_compared_in_milliseconds_and_strategies_by_name(tmp_path: Path) -> None:
    """A new arm was expected to be like the others; what differs in settings is named."""
    for strategy, ms in ((UpdateStrategy.BAYESIAN, 100.0), (UpdateStrategy.EXPONENTIAL, 400.0)):
        updater = _updater(tmp_path / strategy, update_strategy=strategy)
        updater.submit_many(OutcomeEvent(agent_name="a", duration_ms=ms) for _ in range(50))
        updater.save()
    other = _updater(tmp_path / "bayesian").registry.load("latency_prediction", 1)
    updater.registry.save("latency_prediction", other.state, parent=1)
    found = updater.compare(ModelType.LATENCY_PREDICTION, 2, 1)
    assert found.unit == "ms"
    assert found.differences[0].before == pytest.approx(100, rel=0.1)
    assert found.differences[0].after == pytest.approx(400, rel=0.1)
    assert found.hyperparameters == {"strategy": ("bayesian", "exponential")}


def test_unknown_versions_and_models_are_named(saved: RealTimeModelUpdater) -> None:
    """With what there is instead."""
    with pytest.raises(UnknownNameError, match=r"no version 9; agent_selection has 1, 2"):
        saved.compare(SELECTION, 1, 9)
    for ask in (saved.versions, saved.promotions, saved.rollback):
        with pytest.raises(ConfigError, match="did you mean routing"):
            ask("ruoting")
    with pytest.raises(UnknownNameError, match="has 1, 2"):
        saved.rollback(SELECTION, 7)


def _truncated(folder: Path) -> None:
    data = (folder / "model.npz").read_bytes()
    (folder / "model.npz").write_bytes(data[: len(data) // 2])


def _other_bytes(folder: Path) -> None:
    data = bytearray((folder / "model.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.npz").write_bytes(bytes(data))


def _resealed(folder: Path, change: str) -> None:
    """Write another array with a manifest whose checksums fit it."""
    manifest = unseal((folder / "manifest.json").read_bytes().removesuffix(b"\n"))
    with np.load(folder / "model.npz", allow_pickle=False) as found:
        arrays = {name: found[name] for name in found.files if name != "tree.json"}
        tree = bytes(found["tree.json"])
    name = next(name for name, array in arrays.items() if array.dtype.kind == "f" and array.size)
    if change == "nan":
        arrays[name] = np.full_like(arrays[name], np.nan)
    else:
        arrays[name] = np.concatenate([arrays[name], arrays[name]])
    buffer = BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    import zipfile

    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("tree.json", tree)
    data = buffer.getvalue()
    (folder / "model.npz").write_bytes(data)
    file = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (folder / "manifest.json").write_bytes(seal({**manifest, "files": {"model.npz": file}}) + b"\n")


DAMAGE = {
    "truncated": (_truncated, "bytes instead of"),
    "hash": (_other_bytes, "checksum of model.npz is wrong"),
    "nan": (lambda folder: _resealed(folder, "nan"), "NaN or infinity"),
    "shape": (lambda folder: _resealed(folder, "shape"), "dtype and shape"),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_damaged_version_is_quarantined_and_its_parent_serves(tmp_path: Path, how: str) -> None:
    """At the next start, in the model itself and in all that is told of it."""
    damage, reason = DAMAGE[how]
    updater = _updater(tmp_path)
    _learn(updater, {"a": 0.9})
    updater.save()
    parent = updater.predict(SELECTION, top_k=1)
    _learn(updater, {"a": 0.1})
    updater.save()
    damage(tmp_path / "agent_selection" / "2")
    again = _updater(tmp_path)
    assert again.predict(SELECTION, top_k=1) == parent
    assert again.get_metrics().versions["agent_selection"] == 1
    first, second = again.versions(SELECTION)
    assert (first.state, second.state) == ("champion", "quarantined")
    assert reason in second.reason
    last = again.promotions(SELECTION)[-2:]
    assert [(e.event, e.version) for e in last] == [("quarantined", 2), ("promoted", 1)]
    assert "version 2 is damaged" in last[-1].reason
    for refused in (again.rollback, again.promote):
        with pytest.raises(ConfigError, match="quarantined"):
            refused(SELECTION, 2)
    with pytest.raises(CorruptLogError, match=reason):
        again.compare(SELECTION, 1, 2)
    assert again.save()["agent_selection"] == 3

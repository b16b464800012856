"""Runs that were kept are taken for what they are, and for nothing else."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = "benchmarks.decisions.learning"


@pytest.fixture
def module(monkeypatch):
    """Return a function from a name to that module of the benchmark."""
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: importlib.import_module(f"{PACKAGE}.{name}")


@pytest.fixture
def job(module):
    """Return a job that takes no time."""
    return module("season").Job("LinUCB", {"alpha": 0.2}, "abrupt", 3, 400)


def test_what_was_kept_is_found_by_another_process(module, job, tmp_path):
    """All of it, a return that never happened included."""
    kept, path = module("kept").Kept, tmp_path / "runs.jsonl"
    played = module("play").Played(0.91, 12.5, {"first": [100.0, np.inf]})
    kept(path).add(job, played)
    assert kept(path).find(job) == played


@pytest.mark.parametrize(
    "other",
    [{"settings": {"alpha": 0.3}}, {"scenario": "late"}, {"seed": 4}, {"who": "success rate"}],
)
def test_another_job_was_not_played(module, job, tmp_path, other):
    """Settings, scenario, seed and contestant tell jobs apart."""
    kept = module("kept").Kept(tmp_path / "runs.jsonl")
    kept.add(job, module("play").Played(0.91, 12.5, {}))
    names = {"success rate": "success rate, epsilon .1"}
    changed = {key: names.get(str(value), value) for key, value in other.items()}
    assert kept.find(job._replace(**changed)) is None


def test_other_code_is_another_player(module, job, tmp_path, monkeypatch):
    """Once the code of the problems has changed nothing that was kept is taken."""
    kept, path = module("kept"), tmp_path / "runs.jsonl"
    kept.Kept(path).add(job, module("play").Played(0.91, 12.5, {}))
    monkeypatch.setattr(kept, "_PROBLEM", ("problems.py",))
    kept._code.cache_clear()
    assert kept.Kept(path).find(job) is None
    kept._code.cache_clear()


def test_a_line_that_was_cut_off_costs_one_run(module, job, tmp_path):
    """What stands before it is still known."""
    kept, path = module("kept").Kept, tmp_path / "runs.jsonl"
    played = module("play").Played(0.91, 12.5, {})
    kept(path).add(job, played)
    with path.open("a") as file:
        file.write('["half a li')
    assert kept(path).find(job) == played


def test_a_season_plays_only_what_is_missing(module, job, tmp_path):
    """What is known comes from the file, the rest from the players, in the order asked for."""
    season, kept = module("season"), module("kept").Kept(tmp_path / "runs.jsonl")
    kept.add(job, module("play").Played(0.5, 1.0, {}))
    other = job._replace(seed=4)

    class Here:
        def map(self, play, jobs):
            return map(play, jobs)

    found = season.season(Here(), [other, job], kept)
    assert found[1].score == 0.5
    assert found[0].score > 0.5
    assert kept.find(other) == found[0]

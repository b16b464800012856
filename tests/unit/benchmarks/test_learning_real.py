"""The benchmark on real data reads what it says it reads, and says when it is not there."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def real(monkeypatch):
    """Return the module."""
    monkeypatch.syspath_prepend(ROOT)
    return importlib.import_module("benchmarks.decisions.learning.real")


@pytest.fixture
def play(real):
    """Return the module of what is played."""
    return importlib.import_module("benchmarks.decisions.learning.real_play")


def test_missing_data_is_said_and_nothing_is_claimed(real, monkeypatch, tmp_path, capsys):
    """One line with the files and the remedy; no table."""
    monkeypatch.setenv("SELFRIGHT_SHARED_DATA", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["real"])
    assert real.main() == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("Nothing is measured: no llmrouter_default.parquet and ")
    assert line.endswith(
        f"in {tmp_path}; set SELFRIGHT_SHARED_DATA to the folder that has the data."
    )


def test_a_matrix_is_the_published_one(play, shared_data):
    """25 agents on 315 tasks, whose best single agent solves three quarters."""
    shared_data("swebench_verified_mini.parquet")
    matrix = play.matrix_of("SWE-bench")
    assert matrix.reward.shape == (25, 315)
    report = play.play(("SWE-bench", 200, 0, 0.0))
    assert report.best_single.utility == pytest.approx(0.752, abs=0.001)
    assert 0.4 < report.learned.whole[0] < 0.8


def test_a_dollar_counts_where_it_is_asked_to(play, shared_data):
    """The best single agent costs a fifth of a task, and one that costs less is best then."""
    shared_data("swebench_verified_mini.parquet")
    plain, priced = (play.play(("SWE-bench", 50, 0, price)) for price in (0.0, 1.0))
    assert priced.best_single.utility < plain.best_single.utility - 0.1


def test_phases_are_the_old_and_the_new_versions(play, shared_data):
    """GPT-4 answers nearly all opinion questions in March and a quarter in June."""
    shared_data("llmdrift.parquet")
    old, new = play.phases_of("opinion_survey")
    rates = [np.mean([r for r in phase["gpt-4"].values() if r is not None]) for phase in (old, new)]
    assert rates == pytest.approx([0.977, 0.237], abs=0.001)


def test_solvers_have_features_and_no_holes(play, shared_data):
    """Tasks that some solver lacks are left out, and with them their features."""
    shared_data("aslib.parquet")
    matrix = play.solvers_of("CPMP-2015")
    assert np.isfinite(matrix.reward).all()
    assert len(matrix.features) == matrix.reward.shape[1]
    assert all(len(of) > 10 for of in matrix.features if of)


def test_the_best_budget_leaves_no_gap(play, shared_data):
    """None is negative, and each agent of the file has one."""
    shared_data("mint.parquet")
    gaps = play.play_parameters(0)
    assert len(gaps) == 53
    assert min(gaps) >= 0.0

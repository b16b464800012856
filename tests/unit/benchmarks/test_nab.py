"""The scoring of labelled anomalies agrees with sums made by hand and with what was published."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from math import exp
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = "benchmarks.decisions.nab"
FIRST, LAST = 10, 14


@pytest.fixture
def module(monkeypatch):
    """Return a function from a name to that module of the benchmark."""
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: importlib.import_module(f"{PACKAGE}.{name}")


@pytest.fixture
def score(module):
    """Return a function from detected rows to the score; one window of five rows among thirty."""
    series = module("corpus").Series("made up", np.zeros(30), 300.0, [(FIRST, LAST)], 2)

    def of(*rows):
        scores = np.zeros(30)
        scores[list(rows)] = 1.0
        return module("scoring").best([series], [scores]).score

    return of


def sigmoid(position):
    """Return what the benchmark's paper gives for a position in widths of a window."""
    return 2.0 / (1.0 + exp(5.0 * position)) - 1.0


def test_the_first_row_of_a_window_is_worth_all(score) -> None:
    """And further detections in it add nothing."""
    assert score(FIRST) == pytest.approx(100.0)
    assert score(FIRST, FIRST + 1, LAST) == pytest.approx(100.0)


def test_a_later_row_is_worth_less(score) -> None:
    """By the sigmoid of its distance from the end; the last row is worth something still."""
    assert score(12) == pytest.approx(50.0 * (1.0 + sigmoid(-0.6) / sigmoid(-1.0)))
    assert score(12, LAST) == score(12)
    assert score(LAST) == pytest.approx(50.0 * (1.0 + sigmoid(-0.2) / sigmoid(-1.0)))


def test_a_false_positive_costs_more_the_further_behind_a_window(score) -> None:
    """Before any window, and three widths behind one, it costs all."""
    assert score(5, FIRST) == pytest.approx(100.0 - 50.0 * 0.11)
    assert score(FIRST, 16) == pytest.approx(100.0 + 50.0 * 0.11 * sigmoid(0.5))
    assert score(FIRST, 26) == score(FIRST, 29) == pytest.approx(100.0 - 50.0 * 0.11)


def test_probation_counts_nothing(score) -> None:
    """What is said while a detector may learn is not held against it."""
    assert score(0, 1, FIRST) == pytest.approx(100.0)


def test_one_threshold_holds_for_all_series(module) -> None:
    """What one series needs the other pays for; nobody is worse than silent."""
    corpus, best = module("corpus"), module("scoring").best
    two = [corpus.Series(name, np.zeros(30), 300.0, [(FIRST, LAST)], 2) for name in "ab"]
    low, high = np.zeros(30), np.full(30, 0.4)
    low[FIRST], high[FIRST] = 0.3, 0.9
    result = best(two, [low, high])
    assert (result.score, result.threshold, result.found) == (pytest.approx(50.0), 0.9, 1)
    assert best(two, [np.ones(30) - np.eye(30)[FIRST]] * 2).score == 0.0


def test_only_new_heights_are_said(module) -> None:
    """A score that comes again within the rows looked back on is not said again."""
    scores = np.array([0.0, 2.0, 2.0, 3.0, 1.0, 1.0, 0.0, 1.0])
    assert module("once").once(scores, 2).tolist() == [0.0, 2.0, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0]


def test_the_past_alone_decides_how_a_series_is_read(module) -> None:
    """On a straight scale where one of the first 200 values has no logarithm, else as it is."""
    quantity = module("ours").quantity
    values = np.linspace(1.0, 2.0, 300)
    assert quantity(values).tolist() == (1e6 * values).tolist()
    values[250] = -1.0
    assert quantity(values)[250] == 0.0
    below = np.linspace(-1.0, 1.0, 300)
    straight = np.log2(quantity(below))
    assert np.diff(straight) == pytest.approx(np.diff(straight)[0])
    assert quantity(below[:210]).tolist() == quantity(below)[:210].tolist()


def test_nothing_looks_ahead(module) -> None:
    """Scores of a series do not change when more of it comes."""
    rng = np.random.default_rng(5)
    values = 1e6 * rng.lognormal(0.0, 0.3, 900)
    values[700:] *= 4.0
    long, short = (module("ours").scored([x])[0] for x in (values, values[:720]))
    assert long.spike[:720].tolist() == short.spike.tolist()
    assert long.rank[:720].tolist() == short.rank.tolist()
    assert (long.rank == 1.0).sum() == 1


def test_what_was_published_comes_out(module, shared_data) -> None:
    """On the real series: silence 0, perfection 100, chance about 11, the Gaussian 39.6."""
    for name in ("nab_series.parquet", "nab_windows.parquet"):
        shared_data(name)
    best, references = module("scoring").best, module("references")
    corpus = module("corpus").corpus()
    assert (len(corpus), sum(len(one.windows) for one in corpus)) == (58, 116)
    rng = np.random.default_rng(1)
    drawn = [best(corpus, [references.chance(one, rng) for one in corpus]) for _ in range(10)]
    assert 6.0 < np.mean([one.score for one in drawn]) < 16.0
    for name, published in (("silent", 0.0), ("perfect", 100.0), ("windowed_gaussian", 39.6)):
        scores = [getattr(references, name)(one) for one in corpus]
        assert best(corpus, scores).score == pytest.approx(published, abs=0.06), name


def test_without_the_data_it_says_where_it_looked(tmp_path) -> None:
    """And what to set."""
    done = subprocess.run(
        [sys.executable, "-m", PACKAGE],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
            "SELFRIGHT_SHARED_DATA": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert f"no nab_series.parquet and nab_windows.parquet in {tmp_path}" in done.stderr
    assert "SELFRIGHT_SHARED_DATA" in done.stderr

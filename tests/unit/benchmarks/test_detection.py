"""The detection benchmark: it runs without its peers, counts as it says, and hides no miss."""

from __future__ import annotations

import doctest
import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = "benchmarks.decisions.detection"
WITHOUT_RIVER = f"""
import runpy, sys
sys.modules["river"] = None
sys.argv = ["detection", *sys.argv[1:]]
runpy.run_module("{PACKAGE}", run_name="__main__")
"""


@pytest.fixture
def module(monkeypatch):
    """Return a function from a name to that module of the benchmark, or to one that it shares."""
    monkeypatch.syspath_prepend(ROOT)
    shared = {"table": "benchmarks.decisions.table"}
    return lambda name: importlib.import_module(shared.get(name, f"{PACKAGE}.{name}"))


def run(*arguments, folder):
    """Run the benchmark where River is not to be had, and no real data either."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_RIVER, *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
            "SELFRIGHT_SHARED_DATA": str(folder),
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_a_quick_run_needs_neither_river_nor_data(tmp_path):
    """Every scenario runs, and what is left out is said."""
    done = run("--quick", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    for name in ("steady", "uneven", "drops", "fleet", "healthy", "attempts", "dips"):
        assert f"{name} ..." in done.stdout
    for name in ("creeping", "real", "latency", "cost", "memory"):
        assert f"{name} ..." in done.stdout
    assert "River is not installed" in done.stdout
    assert "no llmdrift.parquet" in done.stdout
    assert "ADWIN" not in done.stdout
    assert "too little for its figures" in done.stdout


def test_a_page_is_not_written_without_the_peers(tmp_path):
    """What is published is all of it."""
    done = run("--write", folder=tmp_path)
    assert done.returncode == 2
    assert "River is not installed" in done.stderr


def test_a_missed_target_is_visible(module):
    """On the page and in the list, with its target."""
    table, page = module("table"), module("page")
    section = table.Section("drops", "Delay", "About.", ["fast", "slow"])
    section.add("Selfright", [table.bounded("30", 30, 40), table.bounded("200", 200, 165)])
    assert section.missed() == ["drops, Selfright, slow: 200, target <= 165"]
    written = page.page([section], {"numpy": "2"})
    assert "1 of 2 targets are missed" in written
    assert "| Delay: slow | <= 165 | 200 **MISSED** |" in written
    assert "| Selfright | 30 | 200 **MISSED** |" in written


def test_a_window_rule_starts_anew_after_an_alarm(module):
    """Each alarm needs a whole window of its own; a mean at the threshold is none."""
    peers = module("peers")
    rule = peers.Peer("mean of the last 10", window=10)
    assert list(peers.alarms(rule, np.zeros(35), 0.7)) == [9, 19, 29]
    assert list(peers.alarms(rule, np.tile([1.0] * 7 + [0.0] * 3, 3), 0.7)) == []
    assert peers.delays(rule, np.zeros((1, 35)), 15, 20, 0.7) == [5.0]


def test_the_streams_are_what_they_claim(module):
    """Bursts keep the rate and repeat failures; the same scenario draws the same."""
    streams = module("streams")
    x = streams.bursts(streams.chance("test"), 0.9, 0.5, 50, 4000)
    failed = x == 0.0
    assert failed.mean() == pytest.approx(0.1, abs=0.005)
    assert failed[:, 1:][failed[:, :-1]].mean() == pytest.approx(0.5, abs=0.02)
    again = streams.bursts(streams.chance("test"), 0.9, 0.5, 50, 4000)
    assert np.array_equal(x, again)


@pytest.mark.parametrize("name", ["limits", "streams", "table"])
def test_the_examples_hold(module, name):
    """The doctests lie outside of the folders that pytest collects them from."""
    found = doctest.testmod(module(name))
    assert found.attempted
    assert not found.failed

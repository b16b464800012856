"""The benchmark of the gate simulates what it says it does."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def gate(monkeypatch):
    """Return the module."""
    monkeypatch.syspath_prepend(ROOT)
    return importlib.import_module("benchmarks.decisions.learning.gate")


def test_clearly_better_is_better_and_a_copy_never_is(gate):
    """Ten of each: a gain of .2 nats is promoted, the champion over itself never."""
    rng = np.random.default_rng(1)
    better = [found for _ in range(10) if (found := gate._one_retraining("better", rng))]
    assert better
    assert {verdict for verdict, _ in better} == {"promoted"}
    assert {gate._one_retraining("copy", rng)[0] for _ in range(3)} == {"inconclusive"}


def test_a_planted_promotion_is_rolled_back_and_a_sound_one_is_not(gate):
    """Thirty points of harm; none."""
    rng = np.random.default_rng(2)
    harmful, n, proof = gate._one_promotion("misled", 0.3, rng)
    assert harmful
    assert n < 200
    assert proof == "worse"
    assert not gate._one_promotion("sound", 0.0, rng)[0]


def test_a_missing_log_is_said(gate, monkeypatch, tmp_path):
    """Without the real data there is a note, and no figure."""
    monkeypatch.setenv("SELFRIGHT_SHARED_DATA", str(tmp_path))
    section = gate._off_policy(gate.Effort(quick=True))
    assert section.lines == []
    assert "SELFRIGHT_SHARED_DATA" in section.notes[0]

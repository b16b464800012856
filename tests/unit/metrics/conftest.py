"""Batches from a few words, for tests that look at one thing at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest

from selfright.events.batch import RUN_COLUMNS, OutcomeBatch, RunBatch

DTYPES = {"Ints": np.int64, "Codes": np.int8, "Bools": np.bool_}
UNKNOWN = {
    "duration_us": -1,
    "tokens": -1,
    "tokens_in": -1,
    "tokens_out": -1,
    "api_calls": -1,
    "cost_nano_usd": -1,
    "memory_kib": -1,
    "cpu_us": -1,
    "quality_q32": -1,
    "confidence_q32": -1,
}


def columns(cls: type, n: int, given: dict) -> object:
    """Return a batch of ``n`` rows; a single value stands for all of them."""
    made = {}
    for spec in fields(cls):
        value = given.pop(spec.name, UNKNOWN.get(spec.name))
        dtype = DTYPES.get(spec.type)
        if dtype is None:
            made[spec.name] = list(value) if isinstance(value, list) else [value] * n
        else:
            filled = np.asarray(0 if value is None else value).astype(dtype)
            made[spec.name] = np.broadcast_to(filled, (n,)).copy()
    assert not given, f"no such columns: {given}"
    return cls(**made)


@pytest.fixture
def make_runs() -> Callable[..., RunBatch]:
    """Return a function from columns of runs to a batch; what is left out is unknown."""
    return lambda n=1, **given: columns(RunBatch, n, given)


@pytest.fixture
def make_outcomes() -> Callable[..., OutcomeBatch]:
    """Return a function from columns of outcomes to a batch; ``run`` takes mappings."""

    def make(n: int = 1, **given: object) -> OutcomeBatch:
        run = given.get("run")
        rows = run if isinstance(run, list) else [run] * n
        given["run"] = [
            None if row is None else tuple(row.get(name) for name in RUN_COLUMNS) for row in rows
        ]
        given.setdefault("primary", True)
        given.setdefault("feedback_source", "user")
        return columns(OutcomeBatch, n, given)

    return make


@pytest.fixture
def codes() -> Callable[..., np.ndarray]:
    """Return a function from agents to the array that a store is given."""
    return lambda *agents: np.array(agents, dtype=np.int32)

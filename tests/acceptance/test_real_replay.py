"""Replays of real files, held against figures that numpy and DuckDB get from the same rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from selfright.cli.replay import open_file, simulate
from selfright.config import Settings

pytestmark = pytest.mark.acceptance

SharedData = Callable[[str], Path]
SEEDS = 50
AT_LEAST = 48
HISTOGRAM_ERROR = 0.011


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_large_file_is_measured_as_numpy_measures_it(shared_data: SharedData) -> None:
    """122,330 runs of 77 agents: rates are equal, quantiles within 1.1 %, counts complete."""
    path = shared_data("bfcl.parquet")
    table = open_file(path, mapping="duration_ms=latency_ms")
    found = simulate(Settings(), table, path.name)["agent_metrics"]
    rows = duckdb.sql(f"select agent_name, status, latency_ms from '{path}'").fetchnumpy()
    names = np.asarray(rows["agent_name"], dtype=object)
    assert set(found) == set(names)
    for name, metrics in found.items():
        mine = names == name
        _same_rates(metrics, np.asarray(rows["status"], dtype=object)[mine])
        latency = np.ma.filled(np.ma.asarray(rows["latency_ms"])[mine].astype(float), np.nan)
        _same_quantiles(metrics, latency[~np.isnan(latency)])


def _same_rates(metrics: dict[str, Any], status: np.ndarray[Any, Any]) -> None:
    success, failure = (int((status == word).sum()) for word in ("success", "failure"))
    assert metrics["total_tasks"] == len(status)
    assert metrics["success_rate"] == success / len(status)
    assert metrics["error_rate"] == failure / len(status)
    assert success + failure == len(status)


def _same_quantiles(metrics: dict[str, Any], latency: np.ndarray[Any, Any]) -> None:
    for q, name in ((0.5, "p50_latency_ms"), (0.95, "p95_latency_ms")):
        if not len(latency):
            assert metrics[name] is None
            continue
        exact = np.quantile(latency, q, method="inverted_cdf")
        assert metrics[name] == pytest.approx(exact, rel=HISTOGRAM_ERROR)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_real_degradation_is_noticed_and_acted_upon_and_nothing_before(
    shared_data: SharedData,
) -> None:
    """GPT-4 falls from .84 to .50 with a new version: alert and retraining follow, none precedes.

    Only the accuracy is told. Within a version the order is drawn anew for each of 50 seeds.
    """
    path = shared_data("llmdrift.parquet")
    where = "task_type = 'prime' and agent_name = 'gpt-4'"
    reward = "avg(reward), count(*)"
    version = f"{where} and agent_version"
    mean, total = duckdb.sql(f"select {reward} from '{path}' where {where}").fetchall()[0]
    switch = duckdb.sql(
        f"select count(*) from '{path}' where {version} = "
        f"(select min(agent_version) from '{path}' where {where})"
    ).fetchall()[0][0]
    good = 0
    for seed in range(SEEDS):
        table = open_file(
            path,
            mapping="accuracy_score=reward,status=",
            where=where,
            order_by="agent_version",
            shuffle_within="agent_version",
            seed=seed,
            clock_s=10.0,
        )
        found = simulate(Settings(), table, path.name)
        metrics = found["agent_metrics"]["gpt-4"]
        assert metrics["accuracy_sample_size"] == total
        assert metrics["avg_accuracy"] == pytest.approx(mean, abs=1e-9)
        good += _follows(found, switch)
    assert good >= AT_LEAST, f"{good} of {SEEDS}"


def _follows(found: dict[str, Any], switch: int) -> bool:
    alerts = [a["at_event"] for a in found["alerts"] if a["rule"] == "accuracy_min"]
    retrained = [r["at_event"] for r in found["retrainings"]]
    return bool(alerts and retrained) and min(alerts) >= switch and min(retrained) >= switch

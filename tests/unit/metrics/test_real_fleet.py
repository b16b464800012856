"""A real fleet of 75 and more function callers, 122,330 runs: the figures are numpy's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from selfright.metrics.store import MetricsPolicy, MetricsStore

duckdb = pytest.importorskip("duckdb", reason="reads Parquet; extra `analytics`")

START = 946_684_800 * 1_000_000


def test_rates_and_percentiles_equal_numpys(shared_data, make_runs):
    """Rates exactly, p50 and p95 within 1.1 %, for every agent, over the whole file."""
    columns = duckdb.sql(
        f"select agent_name, status, latency_ms from '{shared_data('bfcl.parquet')}'"
    ).fetchnumpy()
    names, agents = np.unique(columns["agent_name"].astype(str), return_inverse=True)
    n = len(agents)
    status = (columns["status"].astype(str) != "success").astype(int)
    latency = np.ma.filled(columns["latency_ms"].astype(float), -0.001)
    duration = np.round(latency * 1000).astype(np.int64)
    runs = make_runs(n, ts_us=START + np.arange(n) * 1_000_000, status=status, duration_us=duration)
    store = MetricsStore(MetricsPolicy())
    for at in range(0, n, 1024):
        store.update_runs(agents[at : at + 1024].astype(np.int32), runs.take(slice(at, at + 1024)))
    found = store.snapshots(int(runs.ts_us[-1]), math.inf)
    assert n > 100_000
    assert len(found) == len(names) >= 75
    for agent, metrics in found.items():
        mine = agents == agent
        timed = duration[mine & (duration >= 0)]
        assert metrics.total_tasks == mine.sum()
        assert metrics.success_rate == (status[mine] == 0).mean()
        assert metrics.avg_latency_ms == (
            pytest.approx(timed.mean() / 1000) if len(timed) else None
        )
        if len(timed):
            exact = np.quantile(timed, [0.5, 0.95], method="inverted_cdf") / 1000
            percentiles = [metrics.p50_latency_ms, metrics.p95_latency_ms]
            assert percentiles == pytest.approx(exact.tolist(), rel=0.011)

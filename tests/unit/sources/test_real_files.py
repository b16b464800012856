"""Real data through the door: nothing is lost, doubled or moved."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from selfright.events.batch import OutcomeBatch, RunBatch
from selfright.sources.mapping import parse_mapping
from selfright.sources.tabular import open_table

SharedData = Callable[[str], Path]
MAPPING = parse_mapping("accuracy_score=reward,duration_ms=latency_ms,timestamp=ts,cost=cost_usd")
FILES = {
    "alibaba_genai_requests": 15,  # rows without an agent's name
    "aslib": 0,
    "azure_llm_2023_code": 0,
    "bfcl": 0,
    "llmdrift": 0,
    "llmperf_endpoints": 0,
    "llmrouter_default": 0,
    "mint": 0,
    "obd_men": 0,
    "routellm_mmlu": 0,
    "swebench_verified_mini": 0,
    "tau_bench_gpt4o_airline": 0,
}


def facts(path: Path, *columns: str) -> list[tuple[Any, ...]]:
    """Return columns of a file, in its order, as DuckDB has them."""
    query = f"SELECT {', '.join(columns)} FROM '{path}' ORDER BY file_row_number"
    connection = duckdb.connect(config={"threads": 1})
    source = f"read_parquet('{path}', file_row_number = true)"
    return connection.execute(query.replace(f"'{path}'", source)).fetchall()


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_event_file_can_be_read(shared_data: SharedData, name: str) -> None:
    """Absent quantities stay absent, and what is refused is counted."""
    path = shared_data(f"{name}.parquet")
    table = open_table(path, mapping=MAPPING)
    pieces = list(table)
    runs = RunBatch.concat(piece.intake.runs for piece in pieces)
    outcomes = OutcomeBatch.concat(piece.intake.outcomes for piece in pieces)
    expected = facts(
        path,
        "agent_name",
        "coalesce(round(latency_ms::DOUBLE * 1000), -1)::BIGINT",
        "coalesce(round(cost_usd::DOUBLE * 1e9), -1)::BIGINT",
        "coalesce(tokens_out, -1)",
        "round(reward::DOUBLE * 4294967296)::BIGINT",
    )
    named = [row for row in expected if row[0]]
    assert (table.refused, len(expected)) == (FILES[name], table.rows_total)
    assert runs.agent_name == [row[0] for row in named]
    # Half a unit may round either way.
    for column, at in ((runs.duration_us, 1), (runs.cost_nano_usd, 2), (runs.tokens_out, 3)):
        assert np.abs(column - np.array([row[at] for row in named])).max() <= 1
    scores = [row[4] for row in named if row[4] is not None]
    assert outcomes.score_q32.tolist() == scores
    of_row = [row for piece in pieces for row in piece.row_of.tolist()]
    assert of_row == sorted(of_row)


def test_the_story_of_a_real_degradation_is_told_in_order(shared_data: SharedData) -> None:
    """The old version before the new one, shuffled within each, ten seconds apart."""
    orders = []
    for seed in (1, 2):
        table = open_table(
            shared_data("llmdrift.parquet"),
            mapping=parse_mapping("accuracy_score=reward,status="),
            where="task_type = 'prime' and agent_name = 'gpt-4'",
            order_by="agent_version",
            shuffle_within="agent_version",
            seed=seed,
            clock_s=10,
        )
        pieces = list(table)
        runs = RunBatch.concat(piece.intake.runs for piece in pieces)
        outcomes = OutcomeBatch.concat(piece.intake.outcomes for piece in pieces)
        assert runs.agent_version == ["0314"] * 1000 + ["0613"] * 1000
        assert set(np.diff(runs.ts_us).tolist()) == {10_000_000}
        assert outcomes.run_id == runs.run_id
        scores = outcomes.score_q32 / 2**32
        assert scores[:1000].mean() == pytest.approx(0.840, abs=5e-4)
        assert scores[1000:].mean() == pytest.approx(0.502, abs=5e-4)
        orders.append(outcomes.task_id)
    assert orders[0] != orders[1]
    assert sorted(map(str, orders[0])) == sorted(map(str, orders[1]))

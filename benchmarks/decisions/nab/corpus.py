"""The series of the Numenta Anomaly Benchmark 1.1, with the windows in which to find something."""

from __future__ import annotations

import json
from typing import Final, NamedTuple

import numpy as np

from benchmarks.decisions import real_data

_FILES: Final = ("nab_series.parquet", "nab_windows.parquet")


class Series(NamedTuple):
    """One series; ``windows`` are its first and last rows, ``probation`` rows are not scored."""

    name: str
    values: np.ndarray
    step_s: float
    windows: list[tuple[int, int]]
    probation: int


def absent() -> str | None:
    """Return what to say if the data is not there; None if it is."""
    return real_data.absent(*_FILES)


def corpus() -> list[Series]:
    """Return all series, in the order of their names."""
    import duckdb

    series, windows = (real_data.file(name) for name in _FILES)
    rows = duckdb.sql(
        f"select series, list(value order by time_index) as value, "
        f"list(epoch_us(timestamp) order by time_index) as at from '{series}' group by series"
    ).fetchall()
    columns = {name: (np.array(value, dtype=float), at) for name, value, at in rows}
    labels = duckdb.sql(
        f"select series, windows, probation_rows, step_s from '{windows}' order by series"
    ).fetchall()
    return [
        Series(name, columns[name][0], step_s, _rows(columns[name][1], text), probation)
        for name, text, probation, step_s in labels
    ]


def _rows(at_us: list[int], text: str) -> list[tuple[int, int]]:
    # Where clocks were set back a time stands twice: the benchmark takes the first.
    def row(end: str) -> int:
        return at_us.index(int(np.datetime64(end, "us").astype(int)))

    return [(row(first), row(last)) for first, last in json.loads(text)]

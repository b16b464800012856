"""Score every detector on the series of the Numenta Anomaly Benchmark; print the table.

``python -m benchmarks.decisions.nab [--write]``. Exit code 1 if the scoring itself is off: silence
has to score 0, perfection 100, and the windowed Gaussian what was published.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from benchmarks.decisions.nab import once, ours, references
from benchmarks.decisions.nab.corpus import Series, absent, corpus
from benchmarks.decisions.nab.page import CHANCES, Line, page, table
from benchmarks.decisions.nab.scoring import Result, best

PAGE = Path(__file__).resolve().parents[3] / "docs" / "benchmarks" / "nab.md"


def main() -> int:
    """Score the detectors; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions.nab", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the page of the documentation")
    options = parser.parse_args()
    why = absent()
    if why is not None:
        print(why, file=sys.stderr)
        return 2
    lines = _lines(corpus())
    print(table(lines))
    if options.write:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(lines), encoding="utf-8")
        print(f"Written: {PAGE.relative_to(PAGE.parents[2])}")
    whole = {line.name: line.whole.score for line in lines}
    off = abs(whole["windowed Gaussian"] - references.BOARD["windowed Gaussian"]) > 0.1
    return int(off or whole["null"] != 0.0 or abs(whole["perfect"] - 100.0) > 1e-9)


def _lines(all_series: list[Series]) -> list[Line]:
    chances = [np.random.default_rng(seed) for seed in range(CHANCES)]
    as_shipped = ours.scored([ours.quantity(series.values) for series in all_series])
    gaussian = [references.windowed_gaussian(one) for one in all_series]
    scores = {
        "spike detector, as it ships": [one.spike for one in as_shipped],
        "rank detector, as it ships": [one.rank for one in as_shipped],
        "the larger of both": [one.either for one in as_shipped],
        "spike detector alone": [once.spike(one.values) for one in all_series],
        "the same, said once": [once.once(once.spike(one.values)) for one in all_series],
        "values and steps, said once": [
            once.once(once.spike_or_step(one.values)) for one in all_series
        ],
        "windowed Gaussian": gaussian,
        "windowed Gaussian, said once": [once.once(scores) for scores in gaussian],
        "null": [references.silent(one) for one in all_series],
        "perfect": [references.perfect(one) for one in all_series],
    }
    lines = [Line(name, *_thrice(all_series, by_row)) for name, by_row in scores.items()]
    drawn = [
        Line("random", *_thrice(all_series, [references.chance(one, rng) for one in all_series]))
        for rng in chances
    ]
    return [*lines, Line.mean(drawn)]


def _thrice(all_series: list[Series], by_row: list[np.ndarray]) -> list[Result]:
    halves = (slice(0, None, 2), slice(1, None, 2), slice(None))
    return [best(all_series[half], by_row[half]) for half in halves]


if __name__ == "__main__":
    raise SystemExit(main())

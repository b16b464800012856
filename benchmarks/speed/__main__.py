"""Measure every budget in one run and print it beside its limit.

``python -m benchmarks.speed [--json]``. Exit code 1 if a budget is missed.
"""

from __future__ import annotations

import argparse
import json
import sys

from benchmarks.speed.measures import MEASURES, Figure


def main() -> int:
    """Run the measures and print the table; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON array")
    parser.add_argument("--only", default="", help="run measures whose name contains this")
    options = parser.parse_args()
    figures: list[Figure] = []
    for name, measure in MEASURES.items():
        if options.only not in name:
            continue
        print(f"... {name}", file=sys.stderr, flush=True)
        figures.extend(measure())
    if options.json:
        print(json.dumps([figure.to_dict() for figure in figures], indent=1))
    else:
        print(f"{'what':58} {'measured':>12} {'limit':>12}  ")
        for figure in figures:
            print(figure.line())
    return 0 if all(figure.held for figure in figures) else 1


if __name__ == "__main__":
    raise SystemExit(main())

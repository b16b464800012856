"""Simulate every scenario and print what is measured beside its target.

``python -m benchmarks.decisions.detection [--quick] [--only SCENARIO] [--write]``. Exit code 1 if
a target is missed. River's detectors take part where River is installed (extra ``benchmarks``).
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from pathlib import Path

import numpy as np

import selfright
from benchmarks.decisions.detection.page import page
from benchmarks.decisions.detection.peers import WITHOUT, river_version
from benchmarks.decisions.detection.scenarios import SCENARIOS
from benchmarks.decisions.table import Effort, Section

PAGE = Path(__file__).resolve().parents[3] / "docs" / "benchmarks" / "detection.md"


def main() -> int:
    """Run the scenarios; return the exit code."""
    options = _options()
    versions = {
        "Selfright": selfright.__version__,
        "River": river_version(),
        "numpy": np.__version__,
        "Python": platform.python_version(),
    }
    if versions["River"] is None:
        print(f"Note: {WITHOUT}.", flush=True)
    sections: list[Section] = []
    for name in options.only or SCENARIOS:
        print(f"{name} ...", flush=True)
        started = time.perf_counter()
        sections += SCENARIOS[name](Effort(options.quick))
        print(f"  {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    if options.write:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(sections, versions), encoding="utf-8")
        print(f"Written: {PAGE.relative_to(PAGE.parents[2])}")
    missed = [line for section in sections for line in section.missed()]
    print(f"\n{len(missed)} missed" + "".join(f"\nMISSED  {line}" for line in missed))
    if options.quick:
        print("A quick run simulates too little for its figures to mean anything.")
        return 0
    return 1 if missed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.decisions.detection", description=__doc__
    )
    parser.add_argument("--quick", action="store_true", help="seconds; shows that it works")
    parser.add_argument(
        "--only", action="append", choices=list(SCENARIOS), help="this scenario; may be repeated"
    )
    parser.add_argument("--write", action="store_true", help="write the page of the documentation")
    options = parser.parse_args()
    if options.write and (options.quick or options.only):
        parser.error("--write wants all of it: without --quick and --only")
    if options.write and river_version() is None:
        parser.error(f"--write wants the peers, too: {WITHOUT}")
    return options


if __name__ == "__main__":
    raise SystemExit(main())

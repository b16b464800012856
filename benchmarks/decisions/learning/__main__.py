"""Let all policies play all scenarios and print what they earned, beside the targets of ours.

``python -m benchmarks.decisions.learning [--quick] [--scenario NAME] [--policy NAME] [--runs N]
[--tune] [--write] [--keep FILE]``. Exit code 1 if a target is missed. Libraries take part where
they are installed (extra ``benchmarks``).
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

import selfright
from benchmarks.decisions.learning import peers, references, tuning
from benchmarks.decisions.learning.kept import Kept
from benchmarks.decisions.learning.page import page, section
from benchmarks.decisions.learning.problems import DECISIONS
from benchmarks.decisions.learning.roster import ROSTER, present
from benchmarks.decisions.learning.scenarios import SCENARIOS, of
from benchmarks.decisions.learning.season import Job, processes, season
from benchmarks.decisions.table import Effort, Section

PAGE = Path(__file__).resolve().parents[3] / "docs" / "benchmarks" / "learning.md"


def main() -> int:
    """Run what is asked for; return the exit code."""
    options = _options()
    absent = [name for name in peers.PACKAGES if peers.version(name) is None]
    if absent:
        print(f"Note: {_without(absent)}.", flush=True)
    names = [name for name in present() if name in (options.policy or ROSTER)]
    if not names:
        print("error: none of these policies is installed", file=sys.stderr)
        return 2
    untuned = tuning.untuned(names, tuning.tuned())
    if untuned and not options.tune:
        print(f"Note: not tuned, at their first settings: {'; '.join(untuned)}.", flush=True)
    with processes() as pool:
        if options.tune:
            tuning.tune(pool, names, _kept(options))
            print(f"Written: {tuning.FILE.name}")
            return 0
        sections = [_scenario(pool, name, names, options) for name in _scenarios(options)]
    if options.write:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(sections, _versions(), tuning.tuned()), encoding="utf-8")
        print(f"Written: {PAGE.relative_to(PAGE.parents[2])}")
    missed = [line for one in sections for line in one.missed()]
    print(f"\n{len(missed)} missed" + "".join(f"\nMISSED  {line}" for line in missed))
    if options.quick:
        print("A quick run decides too little for its figures to mean anything.")
        return 0
    return 1 if missed else 0


def _scenario(
    pool: ProcessPoolExecutor, name: str, names: Sequence[str], options: argparse.Namespace
) -> Section:
    print(f"{name} ...", flush=True)
    began, effort, chosen = time.monotonic(), Effort(options.quick), tuning.tuned()
    runs = options.runs or effort(SCENARIOS[name].runs, 2)
    decisions = effort(DECISIONS, 300)
    problems = (of(name, seed, decisions) for seed in range(runs))
    jobs = [
        Job(who, tuning.settings_of(who, name, chosen), name, seed, decisions)
        for who in names
        for seed in range(ROSTER[who].runs(runs))
    ]
    played = season(pool, jobs, _kept(options))
    fared = {
        who: [one for job, one in zip(jobs, played, strict=True) if job.who == who] for who in names
    }
    known = references.known(problems)
    made = section(name, SCENARIOS[name], known, fared)
    print(f"  {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return made


def _kept(options: argparse.Namespace) -> Kept | None:
    return None if options.keep is None else Kept(options.keep)


def _scenarios(options: argparse.Namespace) -> Sequence[str]:
    return options.scenario or list(SCENARIOS)


def _versions() -> dict[str, str | None]:
    return {
        "Selfright": selfright.__version__,
        **{name: peers.version(name) for name in peers.PACKAGES},
        "numpy": np.__version__,
        "Python": platform.python_version(),
    }


def _without(absent: Sequence[str]) -> str:
    return f"not installed and left out: {', '.join(absent)}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.decisions.learning", description=__doc__
    )
    parser.add_argument("--quick", action="store_true", help="seconds; shows that it works")
    parser.add_argument(
        "--scenario", action="append", choices=list(SCENARIOS), help="may be repeated"
    )
    parser.add_argument("--policy", action="append", choices=list(ROSTER), help="may be repeated")
    parser.add_argument("--runs", type=int, help="problems of each scenario; default 30 or 100")
    parser.add_argument("--tune", action="store_true", help="choose settings anew, and keep them")
    parser.add_argument("--write", action="store_true", help="write the page of the documentation")
    parser.add_argument(
        "--keep", type=Path, metavar="FILE",
        help="keep every run in a file, and take from it what was played before by the same code",
    )  # fmt: skip
    options = parser.parse_args()
    if options.runs is not None and options.runs < 1:
        parser.error(f"--runs {options.runs}: must be at least 1")
    if options.tune and (options.quick or options.scenario or options.write):
        parser.error("--tune goes with --policy alone")
    if options.write and (options.quick or options.scenario or options.policy or options.runs):
        parser.error("--write wants all of it: no --quick, --scenario, --policy or --runs")
    absent = [name for name in peers.PACKAGES if peers.version(name) is None]
    if options.write and absent:
        parser.error(f"--write wants the peers, too; {_without(absent)}")
    untuned = tuning.untuned(ROSTER, tuning.tuned())
    if options.write and untuned:
        parser.error(f"--write wants all tuned; --tune first: {'; '.join(untuned)}")
    return options


if __name__ == "__main__":
    raise SystemExit(main())

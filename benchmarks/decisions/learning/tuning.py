"""The settings of every contestant, chosen on problems that are never reported.

Everyone has the same budget: eight settings, each on the same five problems, one of each of five
scenarios; the best mean wins and serves in all scenarios, for who chooses agents does not know
what will happen to them. Who is marked ``hindsight`` has eight settings and five problems for
every scenario. What was chosen is kept in ``tuned.json``, as choosing takes as long as measuring.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from benchmarks.decisions.learning.kept import Kept
from benchmarks.decisions.learning.problems import DECISIONS
from benchmarks.decisions.learning.roster import ROSTER, Settings
from benchmarks.decisions.learning.scenarios import SCENARIOS
from benchmarks.decisions.learning.season import Job, season

FILE: Final = Path(__file__).parent / "tuned.json"
ALL: Final = "all"
PROBLEMS: Final = ("stationary", "abrupt", "flux", "late", "cost")
# Far from the seeds that are reported, which count from 0.
FIRST_SEED: Final = 10_000

Tuned = dict[str, dict[str, dict[str, Any]]]


def tuned() -> Tuned:
    """Return what was chosen: by contestant, and by scenario or ``ALL``."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}


def settings_of(who: str, scenario: str, chosen: Tuned) -> Settings:
    """Return the settings with which a contestant enters a scenario; untuned, its first."""
    mine: Mapping[str, dict[str, Any]] = chosen.get(who, {})
    found = mine.get(scenario if ROSTER[who].hindsight else ALL)
    return ROSTER[who].grid[0] if found is None else found["settings"]


def untuned(names: Iterable[str], chosen: Tuned) -> list[str]:
    """Return who has a choice of settings and has not made it."""
    return [who for who in names if who not in chosen and len(ROSTER[who].grid) > 1]


def tune(pool: ProcessPoolExecutor, names: Iterable[str], kept: Kept | None) -> None:
    """Choose anew for these contestants, and keep it as soon as one has chosen."""
    for who in names:
        print(f"{who} ...", flush=True)
        if ROSTER[who].hindsight:
            found = {of: _best(pool, who, (of,) * len(PROBLEMS), kept) for of in SCENARIOS}
        else:
            found = {ALL: _best(pool, who, PROBLEMS, kept)}
        FILE.write_text(json.dumps({**tuned(), who: found}, indent=2) + "\n", encoding="utf-8")


def _best(
    pool: ProcessPoolExecutor, who: str, problems: tuple[str, ...], kept: Kept | None
) -> dict[str, Any]:
    grid = ROSTER[who].grid
    if len(grid) == 1:
        return {"settings": dict(grid[0])}
    jobs = [
        Job(who, settings, scenario, FIRST_SEED + i, DECISIONS)
        for settings in grid
        for i, scenario in enumerate(problems)
    ]
    scores = [one.score for one in season(pool, jobs, kept)]
    each = len(problems)
    means = [round(fmean(scores[i : i + each]), 4) for i in range(0, len(scores), each)]
    for settings, mean in zip(grid, means, strict=True):
        print(f"  {mean:.4f}  {dict(settings)}", flush=True)
    best = max(range(len(grid)), key=means.__getitem__)
    return {"settings": dict(grid[best]), "mean": means[best], "worst_setting": min(means)}

"""A section for each scenario, and the page of the documentation around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from benchmarks.decisions.learning import ours
from benchmarks.decisions.learning.play import Played
from benchmarks.decisions.learning.scenarios import Scenario
from benchmarks.decisions.learning.tuning import ALL, PROBLEMS, Tuned
from benchmarks.decisions.table import Cell, Section, delay

_BACK: Final = {"first": "first time", "repeat": "again", "recovery": "recovery"}

_HEAD = """\
# Which agent gets a task? Measured

Selfright's agent selection beside other bandits, on synthetic problems whose truth is known, in the
same run. Each problem has ten agents, 20,000 decisions, twelve features of which five matter, and
one task type or four; the success probability of an agent is logistic in them. Everyone learns
the reward of whom it chose and nothing else.

The score is the expected utility of what was chosen over that of the best agent for each task,
which nobody can know: 1 cannot be reached. Above the learners of each table stand a random choice,
and the best single agent and the best agent for each task type, both known from the future.

```
pip install -e '.[benchmarks]'
python -m benchmarks.decisions.learning --write
```

Written by that command; not edited by hand. Versions: {versions}.

## Targets

{missed} of {n} targets are missed.

| scenario | target | measured |
|---|---|---|
{targets}

{sections}

## How it was measured

- Problems and learners are seeded: run 7 is the same problem for all, and the same agents and tasks
  in every scenario. Who takes long is given the first of the runs, as many as its line says.
- Everyone chose among eight settings by the mean of five problems that are not reported, one each
  of {tuning}; the choice serves in all scenarios. *Hindsight*: eight
  settings and five problems for each scenario, which supposes to know what will happen.
  `--tune` chooses anew.
- The spreads of the problems were chosen, on other seeds again, for LinUCB to earn about .97 and
  the rule of success rates about .75 while nothing changes; how strongly agents degrade, for LinUCB
  to earn about .91 then.
- *Back*: decisions until the latest 100, all of them after the change, earned .95 of the oracle;
  the median over all changes of that kind, and the share that got there before the next change.
  100 is the least possible.
- MABWiser learns twenty outcomes at a time, for each call takes milliseconds. Its LinUCB is not
  shown: it is the algorithm that stands here as LinUCB.
- Time is processor time for choosing and learning, while two processes run side by side; it depends
  on the machine, the rest does not.

| | settings |
|---|---|
{settings}
"""


def section(
    name: str,
    scenario: Scenario,
    known: Mapping[str, Sequence[float]],
    fared: Mapping[str, Sequence[Played]],
) -> Section:
    """Return the section of a scenario: a line for each reference and each contestant."""
    kinds = [kind for kind in _BACK if any(kind in one.back for one in next(iter(fared.values())))]
    columns = ["runs", "mean", "worst", "sd", "µs"]
    columns += [f"back: {_BACK[kind]}" for kind in kinds]
    made = Section(name, scenario.title, scenario.about, columns)
    for who, scores in known.items():
        cells = _cells([Played(score, np.nan, {}) for score in scores], (), Scenario("", ""))
        made.add(who, [*cells, *[Cell("")] * len(kinds)])
    for who, played in fared.items():
        targets = scenario if who == ours.NAME else Scenario("", "")
        made.add(who, _cells(played, kinds, targets))
    return made


def page(sections: Sequence[Section], versions: Mapping[str, str | None], chosen: Tuned) -> str:
    """Return the page in Markdown."""
    targets = [row for section in sections for row in section.targets()]
    return _HEAD.format(
        versions=", ".join(f"{name} {number}" for name, number in versions.items()),
        missed=sum(len(section.missed()) for section in sections),
        n=len(targets),
        targets="\n".join(targets),
        sections="\n\n".join(section.page() for section in sections),
        tuning=", ".join(f"`{name}`" for name in PROBLEMS),
        settings="\n".join(
            f"| {who} | {_shown(by[ALL]['settings'])} |" for who, by in chosen.items() if ALL in by
        ),
    )


def _cells(played: Sequence[Played], kinds: Sequence[str], targets: Scenario) -> list[Cell]:
    scores = np.array([one.score for one in played])
    figures = {"mean": float(scores.mean()), "worst": float(scores.min())}
    spread = thousandths(float(scores.std(ddof=1))) if len(scores) > 1 else ""
    spent = float(np.median([one.microseconds for one in played]))
    cells = [
        Cell(f"{len(scores)}"),
        *[_least(value, targets.least.get(name)) for name, value in figures.items()],
        Cell(spread),
        Cell("" if np.isnan(spent) else f"{spent:.0f}"),
    ]
    return cells + [
        _most([n for one in played for n in one.back.get(kind, ())], targets.most.get(kind))
        for kind in kinds
    ]


def _least(value: float, target: float | None) -> Cell:
    if target is None:
        return Cell(thousandths(value))
    return Cell(thousandths(value), f">= {thousandths(target)}", held=value >= target)


def _most(delays: Sequence[float], target: float | None) -> Cell:
    if target is None:
        return Cell(delay(delays))
    return Cell(delay(delays), f"<= {target:g}", held=float(np.median(delays)) <= target)


def thousandths(value: float) -> str:
    """Return a share with three digits.

    Examples
    --------
    >>> [thousandths(value) for value in (0.97, 0.0044, 1.0)]
    ['.970', '.004', '1.000']
    """
    return f"{value:.3f}".removeprefix("0")


def _shown(settings: Mapping[str, Any]) -> str:
    if not settings:
        return "none to choose"
    return ", ".join(f"{name} {value}" for name, value in settings.items())

"""What happens to the agents of a problem, by scenario.

``of(name, seed)`` draws the problem of a seed. Agents that degrade are those that are best at most
tasks, so that it hurts; degraded, an agent's log odds are lower by ``DROP``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from benchmarks.decisions.learning.problems import (
    AGENTS,
    DECISIONS,
    NEVER,
    Bools,
    Floats,
    Ints,
    Moment,
    Problem,
    base,
    success,
)

DROP: Final = 4.0  # a success rate of .9 becomes .14
LATE: Final = 500  # decisions until an outcome is heard
LOST: Final = 0.2  # share of the outcomes that never come
COST_WEIGHT: Final = 4.0  # a run of 5 cents costs a fifth of a success
_JITTER: Final = 0.0125  # share of the decisions by which dates move, earlier or later


class Spell(NamedTuple):
    """An agent, by its rank, is worse between two dates and comes and goes within ``fade``.

    Dates are shares of all decisions.
    """

    rank: int
    start: float
    end: float
    fade: float = 0.0


class Absence(NamedTuple):
    """An agent, by its rank, cannot be chosen between two dates, in shares of all decisions."""

    rank: int
    start: float
    end: float


_THREE: Final = tuple(
    Spell(rank, start + 0.07 * rank, start + 0.07 * rank + 0.2)
    for start in (0.2, 0.6)
    for rank in range(3)
)
_SLOW: Final = (Spell(0, 0.20, 0.55, fade=0.15), Spell(1, 0.40, 0.75, fade=0.15))
_FOUR: Final = tuple(
    Spell(rank, start, end) for start, end in ((0.25, 0.5), (0.7, 0.9)) for rank in range(4)
)
_FLUX: Final = (
    Absence(1, 0.0, 0.15), Absence(5, 0.0, 0.30), Absence(7, 0.0, 0.45), Absence(3, 0.0, 0.60),
    Absence(0, 0.40, 0.75), Absence(2, 0.55, 1.0), Absence(8, 0.35, 1.0),
)  # fmt: skip


@dataclass(frozen=True)
class Scenario:
    """What happens, in a few words and in figures.

    Attributes
    ----------
    late, lost
        Decisions until an outcome is heard; the share of those that never are.
    cost_weight
        See ``Problem``.
    runs
        How many problems a full run has of it.
    least, most
        Targets of ours: what ``mean`` and ``worst`` are to reach; how many decisions ``first``,
        ``repeat`` and ``recovery`` may take.
    """

    title: str
    about: str
    spells: tuple[Spell, ...] = ()
    absences: tuple[Absence, ...] = ()
    late: int = 0
    lost: float = 0.0
    cost_weight: float = 0.0
    runs: int = 30
    least: Mapping[str, float] = field(default_factory=dict)
    most: Mapping[str, float] = field(default_factory=dict)


SCENARIOS: Final[dict[str, Scenario]] = {
    "stationary": Scenario(
        "Nothing changes", "Agents stay what they are.", runs=100, least={"mean": 0.97}
    ),
    "abrupt": Scenario(
        "Abrupt degradation and recovery",
        "The three agents that are best at most tasks become much worse from one decision to the "
        "next, one after the other, recover, become worse again and recover: six degradations, "
        "six recoveries, at least 1,200 decisions apart.",
        spells=_THREE,
        runs=100,
        least={"mean": 0.95, "worst": 0.93},
        most={"first": 800, "repeat": 150, "recovery": 500},
    ),
    "gradual": Scenario(
        "Gradual degradation and recovery",
        "The two best agents become as much worse within 3,000 decisions, stay so and recover as "
        "slowly.",
        spells=_SLOW,
    ),
    "several": Scenario(
        "Several at once",
        "The four best agents become much worse at once, recover at once, and again.",
        spells=_FOUR,
    ),
    "flux": Scenario(
        "Agents added and removed",
        "Six agents to begin with, four come later, three go of which the best returns.",
        absences=_FLUX,
        runs=100,
        least={"mean": 0.97},
    ),
    "late": Scenario("Late outcomes", "Each outcome is heard 500 decisions later.", late=LATE),
    "abrupt-late": Scenario(
        "Abrupt degradation, late outcomes",
        "Agents degrade and recover abruptly, and each outcome is heard 500 decisions later.",
        spells=_THREE,
        late=LATE,
        runs=100,
        least={"mean": 0.92},
    ),
    "missing": Scenario("Missing outcomes", "One outcome of five never comes.", lost=LOST),
    "cost": Scenario(
        "Costs count",
        "A decision is worth success less 4 for each dollar; agents cost .005 to .2 USD, the "
        "better ones rather more.",
        cost_weight=COST_WEIGHT,
        runs=100,
        least={"mean": 0.92, "worst": 0.88},
    ),
    "abrupt-cost": Scenario(
        "Abrupt degradation, costs count",
        "Agents degrade and recover abruptly, and a dollar takes 4 from what a success is worth.",
        spells=_THREE,
        cost_weight=COST_WEIGHT,
        least={"mean": 0.92, "worst": 0.88},
    ),
}


def of(name: str, seed: int, decisions: int = DECISIONS) -> Problem:
    """Return the problem of a seed in a scenario."""
    scenario, drawn = SCENARIOS[name], base(seed, decisions)
    rng = np.random.default_rng([*b"scenario", seed])
    moved = rng.uniform(-_JITTER, _JITTER)
    spells = [s._replace(start=s.start + moved, end=s.end + moved) for s in scenario.spells]
    ranked = drawn.ranked()
    logit = drawn.logit - DROP * _worse(spells, ranked, decisions)
    return Problem(
        agents=tuple(f"agent-{i}" for i in range(AGENTS)),
        types=drawn.types,
        task_type=drawn.task_type,
        context=drawn.context,
        logit=logit,
        drawn=drawn.uniform < success(logit),
        available=_available(scenario.absences, ranked, decisions),
        heard_after=np.where(rng.random(decisions) < scenario.lost, NEVER, scenario.late),
        price_usd=drawn.price_usd,
        paid_usd=drawn.price_usd * drawn.paid_ratio,
        cost_weight=scenario.cost_weight,
        moments=_moments(spells, decisions),
    )


def _worse(spells: Sequence[Spell], ranked: Ints, decisions: int) -> Floats:
    """Return how far each agent is degraded at each decision, 0..1."""
    worse = np.zeros((decisions, AGENTS))
    at = np.arange(decisions) / decisions
    for spell in spells:
        if spell.fade:
            falling = np.clip((at - spell.start) / spell.fade, 0.0, 1.0)
            rising = np.clip((at - spell.end) / spell.fade, 0.0, 1.0)
            worse[:, ranked[spell.rank]] += falling - rising
        else:
            worse[_date(spell.start, decisions) : _date(spell.end, decisions),
                  ranked[spell.rank]] = 1.0  # fmt: skip
    return worse


def _available(absences: Sequence[Absence], ranked: Ints, decisions: int) -> Bools:
    available = np.ones((decisions, AGENTS), dtype=np.bool_)
    for one in absences:
        gone = slice(_date(one.start, decisions), _date(one.end, decisions))
        available[gone, ranked[one.rank]] = False
    return available


def _moments(spells: Sequence[Spell], decisions: int) -> tuple[Moment, ...]:
    """Return the dates of abrupt changes; what changes together is one moment."""
    moments, seen = set(), set()
    for spell in sorted(s for s in spells if not s.fade):
        kind = "repeat" if spell.rank in seen else "first"
        seen.add(spell.rank)
        moments.add(Moment(kind, _date(spell.start, decisions)))
        moments.add(Moment("recovery", _date(spell.end, decisions)))
    return tuple(sorted(moments, key=lambda moment: moment.at))


def _date(share: float, decisions: int) -> int:
    return round(share * decisions)

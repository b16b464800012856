"""False alarms: how often a healthy agent is said to be worse."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import numpy as np

from benchmarks.decisions.detection import ours, peers, streams
from benchmarks.decisions.detection.limits import most_per_unit
from benchmarks.decisions.detection.streams import Floats
from benchmarks.decisions.table import Cell, Effort, Section, short
from benchmarks.decisions.table import rate as as_rate

RATES = (0.72, 0.75, 0.80, 0.90, 0.95, 0.99)
_PER = 10_000


def cell(counts: Sequence[int], length: int, most: float | None = None, limit: float = 1.0) -> Cell:
    """Return false alarms per 10,000 outcomes with their upper limit."""
    units = length / _PER
    mean, upper = fmean(counts) / units, most_per_unit(counts, units)
    text = f"{short(mean)} (< {short(upper)})"
    if most is None:
        return Cell(text)
    target = f"<= {short(most)}, upper limit < {short(limit)}"
    return Cell(text, target, held=mean <= most and upper < limit)


def steady(effort: Effort) -> list[Section]:
    """False alarms of agents that stay as they are."""
    n, length = effort(200, 4), effort(10_000, 1500)
    section = Section(
        "steady",
        "False alarms of a steady agent",
        f"Per 10,000 outcomes, in brackets the upper 95 % limit; {n} streams of {length:,} "
        "outcomes of 0 and 1 with the success rate at the head of the column.",
        [as_rate(rate) for rate in RATES],
    )
    drawn = {
        rate: streams.outcomes(streams.chance("steady", i), streams.pieces((rate, length)), n)
        for i, rate in enumerate(RATES)
    }
    heard = {rate: ours.listen(x, ours.plain()) for rate, x in drawn.items()}
    section.add(ours.NAME, [cell(ours.counts(h, n), length, 0.5) for h in heard.values()])
    section.add(
        f"{ours.NAME}, every alarm of an open alert, too",
        [Cell(short(_alarms(h) / (n * length / _PER))) for h in heard.values()],
    )
    section.add(
        f"{ours.NAME}, production defaults",
        [cell(ours.counts(ours.listen(x, ours.production()), n), length) for x in drawn.values()],
    )
    for peer in (*peers.river(), *peers.window_rules()):
        cells = [cell(peers.counts(peer, x, ours.THRESHOLD), length) for x in drawn.values()]
        section.add(peer.name, cells)
    return [section]


def uneven(effort: Effort) -> list[Section]:
    """False alarms where outcomes are graded, or failures come in bursts."""
    n, length = effort(200, 4), effort(10_000, 1500)
    columns: dict[str, Floats] = {}
    for i, rate in enumerate((0.75, 0.80, 0.90, 0.95)):
        rng = streams.chance("bursts", i)
        columns[f"bursts, {as_rate(rate)}"] = streams.bursts(rng, rate, 0.5, n, length)
    graded: dict[str, Floats] = {}
    for i, (kind, rate) in enumerate(
        [(kind, rate) for kind in ("smooth", "quarters") for rate in (0.75, 0.90, 0.95)]
    ):
        rng = streams.chance("graded", i)
        graded[f"{kind}, {as_rate(rate)}"] = streams.graded(rng, rate, kind, n, length)
    return [
        _section(
            "bursts",
            "False alarms when failures come in bursts",
            f"As above, but a failure follows a failure with probability .5; {n} streams of "
            f"{length:,} outcomes. Production defaults allow for bursts and put up with a drop of "
            "2 points; plain bets are worse than the peers here.",
            columns,
            (0.75, None),
        ),
        _section(
            "graded",
            "False alarms with graded scores",
            f"As above, with scores between 0 and 1: smooth ones (Beta distributed) or quarters; "
            f"{n} streams of {length:,} scores.",
            graded,
            (0.5, 0.5),
        ),
    ]


def _section(
    name: str,
    title: str,
    about: str,
    columns: dict[str, Floats],
    most: tuple[float | None, float | None],
) -> Section:
    section = Section(name, title, about, list(columns))
    n, length = next(iter(columns.values())).shape
    for who, policy, target in (
        (f"{ours.NAME}, production defaults", ours.production(), most[0]),
        (f"{ours.NAME}, plain bets", ours.plain(), most[1]),
    ):
        found = [ours.counts(ours.listen(x, policy), n) for x in columns.values()]
        section.add(who, [cell(counts, length, target) for counts in found])
    for peer in (*peers.river(), *peers.window_rules()):
        if not (peer.counts_errors and name == "graded"):
            section.add(
                peer.name,
                [cell(peers.counts(peer, x, ours.THRESHOLD), length) for x in columns.values()],
            )
    return section


def _alarms(heard: list[ours.Heard]) -> int:
    """Return all alarms, those counted by what is said last of each episode."""
    last: dict[tuple[int, int], int] = {}
    episode = np.zeros(1 + max((one.stream for one in heard), default=0), dtype=np.int64)
    for one in heard:
        episode[one.stream] += one.opens
        last[one.stream, int(episode[one.stream])] = one.alarms
    return sum(last.values())

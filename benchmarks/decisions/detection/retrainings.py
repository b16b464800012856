"""What is done about it: attempts to retrain, needed and needless."""

from __future__ import annotations

from statistics import fmean

import numpy as np

from benchmarks.decisions.detection import acting, ours, peers, streams
from benchmarks.decisions.detection.limits import most_of, most_per_unit
from benchmarks.decisions.detection.streams import pieces
from benchmarks.decisions.table import Cell, Effort, Section, bounded, delay, short


def healthy(effort: Effort) -> list[Section]:
    """Attempts about a healthy agent in 5,000 outcomes."""
    n, length = effort(200, 3), effort(5000, 1200)
    section = Section(
        "healthy",
        "Needless attempts",
        f"Mean number in {length:,} outcomes of a healthy agent, in brackets the upper 95 % "
        f"limit; {n} agents, each a fleet of its own; every attempt is rejected.",
        ["incremental", "certain alerts", "full"],
    )
    for i, (rate, most) in enumerate(((0.75, 0.3), (0.80, 0.05))):
        x = streams.outcomes(streams.chance("healthy", i), pieces((rate, length)), n)
        for step_s in (10, 1):
            for who, policy in _POLICIES.items():
                done = [list(acting.deeds(one, policy, step_s)) for one in x]
                cells = [
                    _mean(acting.numbers(done, "incremental"), most),
                    _mean(acting.numbers(done, "alert"), 0.2),
                    _mean(acting.numbers(done, "full"), 0.0),
                ]
                section.add(f"{who}, {rate:.2f}, one per {step_s} s", cells)
        for peer in peers.window_rules():
            made = fmean(peers.counts(peer, x, ours.THRESHOLD))
            section.add(f"{peer.name}, {rate:.2f}", [Cell(short(made)), Cell(""), Cell("")])
    section.note("Alerts are those of the agent and of the fleet that consists of it.")
    return [section]


_POLICIES = {ours.NAME: ours.plain(), f"{ours.NAME}, production defaults": ours.production()}


def attempts(effort: Effort) -> list[Section]:
    """The first attempt after a drop, and the full retrainings that follow."""
    n, before, after = effort(200, 3), effort(2000, 500), effort(2000, 500)
    down = streams.outcomes(streams.chance("attempts"), pieces((0.9, before), (0.65, after)), n)
    always = streams.outcomes(streams.chance("attempts", 1), pieces((0.65, after)), n)
    first = Section(
        "first",
        "First attempt",
        f"Median number of outcomes to the first incremental attempt; {n} agents, one outcome "
        f"per 10 s, {before:,} healthy outcomes before the drop.",
        [".90 -> .65", "always .65"],
    )
    full = Section(
        "full",
        "Full retrainings after .90 -> .65",
        f"In the {after:,} outcomes after the drop; every attempt is rejected.",
        ["agents with exactly one", "median delay", "p90 of the delay", "incremental attempts"],
    )
    limits = {"the Beta rule alone": (230, 100), "": (45, 100)}
    for who, policy in {"the Beta rule alone": None, "": ours.plain()}.items():
        found = [list(acting.deeds(one, policy, 10)) for one in down]
        soon = [list(acting.deeds(one, policy, 10)) for one in always]
        cells = [
            _median(acting.first(found, "incremental", before), limits[who][0]),
            _median(acting.first(soon, "incremental", 0), limits[who][1]),
        ]
        first.add(", ".join(filter(None, (ours.NAME, who))), cells)
    full.add(ours.NAME, _full(found, before))
    more = {f"{ours.NAME}, production defaults": (before, ours.production())}
    for other in (effort(1000, 600), effort(4000, 700)):
        more[f"{ours.NAME}, {other:,} outcomes before"] = (other, ours.plain())
    for who, (healthy_for, policy) in more.items():
        rate = pieces((0.9, healthy_for), (0.65, after))
        x = streams.outcomes(streams.chance("attempts", healthy_for), rate, n)
        done = [list(acting.deeds(one, policy, 10)) for one in x]
        soonest = acting.first(done, "incremental", healthy_for)
        first.add(who, [Cell(delay(soonest)), Cell("")])
        full.add(who, [Cell(cell.text) for cell in _full(done, healthy_for)])
    for peer in peers.window_rules():
        late = peers.delays(peer, down, before, after, ours.THRESHOLD)
        soon_by = peers.delays(peer, always, 0, after, ours.THRESHOLD)
        first.add(peer.name, [Cell(delay(late)), Cell(delay(soon_by))])
    return [first, full]


def dips(effort: Effort) -> list[Section]:
    """An agent that was bad for fifty outcomes and is well again needs no full retraining."""
    n, before, after = effort(400, 3), effort(2000, 500), effort(1000, 200)
    section = Section(
        "dips",
        "Full retrainings after a dip that passes",
        f".90, then .40 for some outcomes, then .90 again; {n} agents, {before:,} outcomes "
        f"before and {after:,} after. Share of the agents, in brackets the upper 95 % limit.",
        ["50 outcomes", "100 outcomes"],
    )
    drawn = [
        streams.outcomes(
            streams.chance("dips", length), pieces((0.9, before), (0.4, length), (0.9, after)), n
        )
        for length in (50, 100)
    ]
    cells = []
    for x in drawn:
        done = [list(acting.deeds(one, ours.plain(), 10)) for one in x]
        cells.append(_share(acting.numbers(done, "full")))
    hits = cells[0].text.split()[0]
    cells[0] = Cell(cells[0].text, f"0 of {n}", held=hits == "0")
    section.add(ours.NAME, cells)
    for peer in peers.window_rules():
        found = [peers.counts(peer, x, ours.THRESHOLD) for x in drawn]
        section.add(peer.name, [_share(counts) for counts in found])
    section.note(
        "A dip of 100 outcomes outlasts the 45 that it is given to pass, and mostly leads to one."
    )
    return [section]


def _share(numbers: list[int]) -> Cell:
    hits, n = sum(number > 0 for number in numbers), len(numbers)
    return Cell(f"{hits} of {n} (< {short(100 * most_of(hits, n))} %)")


def _mean(numbers: list[int], most: float) -> Cell:
    mean = fmean(numbers)
    return bounded(f"{short(mean)} (< {short(most_per_unit(numbers))})", mean, most)


def _median(delays: list[float], most: float) -> Cell:
    return bounded(delay(delays), float(np.median(delays)), most)


def _full(done: list[list[acting.Deed]], change: int) -> list[Cell]:
    later = [[deed for deed in deeds if deed.at >= change] for deeds in done]
    number = acting.numbers(later, "full")
    one, n = sum(k == 1 for k in number), len(number)
    found = acting.first(later, "full", change)
    p90 = float(np.quantile(found, 0.9, method="higher"))
    more = sum(k > 1 for k in number)
    text = f"{one} of {n}" + (f" ({more} with more)" if more else "")
    return [
        Cell(text, f"{n} of {n}", held=one == n),
        _median(found, 120),
        bounded(short(p90), p90, 175),
        Cell(short(fmean(acting.numbers(later, "incremental")))),
    ]

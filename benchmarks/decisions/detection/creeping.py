"""Drops that come in small steps: each hardly worth an alert, together a large one."""

from __future__ import annotations

import numpy as np

from benchmarks.decisions.detection import ours, peers, streams
from benchmarks.decisions.detection.streams import Floats, pieces, ramp
from benchmarks.decisions.table import Cell, Effort, Section
from benchmarks.decisions.table import rate as as_rate

_BAD = 0.80


def creeping(effort: Effort) -> list[Section]:
    """Versions that are each a little worse, and a slope, until the rate is below .80."""
    n, before, every = effort(200, 4), effort(4000, 2500), effort(500, 200)
    slope = effort(18_000, 3000)
    rates: dict[str, list[Floats]] = {}
    for start in (0.90, 0.95):
        rng = streams.chance("versions", round(100 * start))
        rates[f"versions from {as_rate(start)}"] = [
            np.concatenate([pieces((start, before)), later])
            for later in streams.versions(rng, start, every, n)
        ]
    rates[".90 -> .75 over 18,000"] = [
        np.concatenate([pieces((0.9, before)), ramp(0.9, 0.75, slope)])
    ] * n
    section = Section(
        "creeping",
        "Drops in small steps",
        f"A new version every {every} outcomes, each 2 to 5 points worse, and a slope; {before:,} "
        f"steady outcomes before, {n} agents. Share found before the true rate is below .80, and "
        "the median true rate when found.",
        list(rates),
    )
    drawn = [
        [
            streams.outcomes(streams.chance("creeping", 1000 * i + k), rate, 1)[0]
            for k, rate in enumerate(of_agents)
        ]
        for i, of_agents in enumerate(rates.values())
    ]
    for who, policy, wanted in (
        (ours.NAME, ours.plain(), True),
        (f"{ours.NAME}, production defaults", ours.production(), False),
    ):
        cells = []
        for xs, of_agents in zip(drawn, rates.values(), strict=True):
            found = _ours(xs, policy, before)
            cells.append(_cell(found, of_agents, wanted=wanted))
        section.add(who, cells)
    for peer in (*peers.river(), *peers.window_rules()):
        cells = []
        for xs, of_agents in zip(drawn, rates.values(), strict=True):
            some = xs[: max(1, round(peer.share * n))]
            found = [
                next((at for at in peers.alarms(peer, x, ours.THRESHOLD) if at >= before), np.inf)
                for x in some
            ]
            cells.append(_cell(found, of_agents, wanted=False))
        section.add(peer.name, cells)
    section.note("A false alarm on the way counts as found: read it beside the false alarms above.")
    return [section]


def _ours(xs: list[Floats], policy: ours.CertaintyPolicy, before: int) -> list[float]:
    """Return at which outcome each agent is alerted; an agent that ends goes on as it was."""
    longest = max(map(len, xs))
    x = np.stack([np.concatenate([one, np.ones(longest - len(one))]) for one in xs])
    delays = ours.delays(ours.listen(x, policy), len(x), before, longest)
    return [
        before + delay - 1.0 if before + delay <= len(one) else np.inf
        for delay, one in zip(delays, xs, strict=True)
    ]


def _cell(found: list[float], rates: list[Floats], *, wanted: bool) -> Cell:
    at = [
        float(rate[int(where)])
        for where, rate in zip(found, rates[: len(found)], strict=True)
        if np.isfinite(where)
    ]
    soon = sum(rate >= _BAD for rate in at)
    text = f"{soon} of {len(found)}" + (f", at {as_rate(float(np.median(at)))}" if at else "")
    return Cell(text, f"all {len(found)}" if wanted else "", held=soon == len(found) or not wanted)

"""Latency: how soon a slower agent is noticed, whatever the tails of its durations."""

from __future__ import annotations

import numpy as np

from benchmarks.decisions.detection import ours, peers, streams
from benchmarks.decisions.detection.alarms import cell
from benchmarks.decisions.detection.streams import Floats
from benchmarks.decisions.table import Cell, Effort, Section, bounded, delay
from selfright.detect.detection import WatchedMetric

KINDS = (
    "lognormal .3",
    "lognormal .5",
    "lognormal 1",
    "Pareto 2.5",
    "gamma 4",
    "bimodal .2",
)
_SLOWER = {1.25: 95, 1.5: 40, 2.0: 21}
_LATENCY = WatchedMetric.LATENCY


def latency(effort: Effort) -> list[Section]:
    """Delays of three slowdowns and false alarms, by distribution."""
    n, before, within = effort(200, 6), effort(2000, 600), effort(2000, 600)
    length = effort(10_000, 1500)
    few = effort(100, 4)
    sections = []
    for i, kind in enumerate(KINDS):
        section = Section(
            f"latency, {kind}",
            f"Slower by a factor, durations {kind}",
            f"Median number of runs to the alert, {n} agents, {before:,} runs before; false alarms "
            f"per 10,000 runs of {few} agents x {length:,}. River's are given logarithms.",
            [*(f"x{factor:g}" for factor in _SLOWER), "false alarms"],
        )
        steady = streams.latencies(streams.chance("latency", 10 * i), kind, few, length)
        slower = []
        for k, factor in enumerate(_SLOWER, 1):
            x = streams.latencies(streams.chance("latency", 10 * i + k), kind, n, before + within)
            x[:, before:] *= factor
            slower.append(x)
        cells = []
        for x, most in zip(slower, _SLOWER.values(), strict=True):
            heard = ours.listen(x, ours.plain(), _LATENCY)
            found = ours.delays(heard, n, before, within)
            cells.append(bounded(delay(found), float(np.median(found)), most))
        false = ours.counts(ours.listen(steady, ours.plain(), _LATENCY), few)
        section.add(ours.NAME, [*cells, _rare(false, length)])
        for peer in peers.river():
            if not peer.counts_errors:
                section.add(peer.name, _peer(peer, slower, steady, before))
        sections.append(section)
    return sections


def _rare(counts: list[int], length: int) -> Cell:
    mean = sum(counts) / len(counts) / (length / 10_000)
    return bounded(cell(counts, length).text, mean, 0.15)


def _peer(peer: peers.Peer, slower: list[Floats], steady: Floats, before: int) -> list[Cell]:
    within = slower[0].shape[1] - before
    found = [peers.delays(peer, np.log(x), before, within, 0.0) for x in slower]
    false = peers.counts(peer, np.log(steady), 0.0)
    return [*(Cell(delay(one)) for one in found), cell(false, steady.shape[1])]

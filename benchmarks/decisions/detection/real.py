"""A real drift: GPT-4 told to say whether a number is prime, before and after a new version.

L. Chen, M. Zaharia, J. Zou, "How is ChatGPT's behavior changing over time?" (2023): the share of
right answers fell from .84 to .50 between March and June 2023.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from benchmarks.decisions import real_data
from benchmarks.decisions.detection import acting, ours, peers, streams
from benchmarks.decisions.table import Cell, Effort, Section, bounded, delay

_FILE: Final = "llmdrift.parquet"


def real(effort: Effort) -> list[Section]:
    """Alerts, false alerts and full retrainings on the real answers."""
    missing = real_data.absent(_FILE)
    seeds = effort(50, 4)
    section = Section(
        "real",
        "Real drift: GPT-4 and prime numbers",
        f"The right and wrong answers of two versions, one after the other, in {seeds} orders "
        "drawn anew within each version. Outcomes from the new version to the alert.",
        ["median delay", "false alerts before", "exactly one full retraining"],
    )
    if missing is not None:
        section.note(f"Left out: {missing}.")
        return [section]
    import duckdb

    rows = duckdb.sql(
        f"select agent_version, reward from '{real_data.file(_FILE)}' "
        "where task_type = 'prime' "
        "and agent_name = 'gpt-4' order by agent_version, time_index"
    ).fetchall()
    old = np.array([reward for version, reward in rows if version == rows[0][0]], dtype=float)
    new = np.array([reward for version, reward in rows if version != rows[0][0]], dtype=float)
    rng = streams.chance("real")
    x = np.stack(
        [np.concatenate([rng.permutation(old), rng.permutation(new)]) for _ in range(seeds)]
    )
    change, within = len(old), len(new)
    section.about += (
        f" {change} answers of mean {old.mean():.2f}, then {within} of mean {new.mean():.2f}."
    )
    for who, policy in (
        (ours.NAME, ours.plain()),
        (f"{ours.NAME}, production defaults", ours.production()),
    ):
        heard = ours.listen(x, policy)
        false = sum(one.opens and one.at < change for one in heard)
        done = [list(acting.deeds(one, policy, 10)) for one in x]
        single = sum(number == 1 for number in acting.numbers(done, "full"))
        found = ours.delays(heard, seeds, change, within)
        cells = [
            bounded(delay(found), float(np.median(found)), 30),
            Cell(f"{false} of {seeds}", f"0 of {seeds}", held=false == 0),
            Cell(f"{single} of {seeds}", f"{seeds} of {seeds}", held=single == seeds),
        ]
        section.add(who, cells if who == ours.NAME else [Cell(cell.text) for cell in cells])
    many = effort(1000, 4)
    more = np.stack([np.concatenate([rng.permutation(old), rng.permutation(new)])
                     for _ in range(many)])  # fmt: skip
    heard = ours.listen(more, ours.plain())
    false = sum(one.opens and one.at < change for one in heard)
    found = ours.delays(heard, many, change, within)
    section.add(
        f"{ours.NAME}, {many:,} other orders",
        [Cell(delay(found)), Cell(f"{false} of {many:,}"), Cell("")],
    )
    for peer in (*peers.river(), *peers.window_rules()):
        found = peers.delays(peer, x, change, within, ours.THRESHOLD)
        few = peers.given(peer, x)
        early = sum(sum(peers.counts(peer, one[None, :change], ours.THRESHOLD)) for one in few)
        section.add(peer.name, [Cell(delay(found)), Cell(f"{early} of {len(few)}"), Cell("")])
    return [section]

"""Settled rows to the commit that readers get and the receipt that the sender gets."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from selfright.events.batch import Commit, OutcomeBatch
from selfright.log.protocol import Receipt
from selfright.log.stored import NO_OUTCOMES, NO_RUNS, outcomes_of, runs_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfright.events.batch import Intake, RunBatch
    from selfright.log.identity import Row
    from selfright.log.join import Settled


def commit_of(intake: Intake, settled: Settled, first_offset: int, log_time_us: int) -> Commit:
    """Return the commit; its columns are the intake's own wherever all rows were kept."""
    outcomes = own_outcomes(intake, settled)
    return Commit(
        first_offset,
        settled.next_offset,
        log_time_us,
        runs=own_runs(intake, settled),
        outcomes=with_derived(outcomes, settled.added_outcomes),
        acts=tuple(
            (offset, act)
            for offset, (_, act) in zip(settled.act_offsets.tolist(), intake.acts, strict=True)
            if offset >= 0
        ),
        retracted_runs=runs_of(settled.retracted_runs),
        retracted_outcomes=outcomes_of(settled.retracted_outcomes),
    )


def receipt_of(settled: Settled, first_offset: int, log_time_us: int) -> Receipt:
    """Return what became of each row."""
    return Receipt(
        first_offset,
        settled.next_offset,
        log_time_us,
        settled.run_offsets < 0,
        settled.outcome_offsets < 0,
        settled.act_offsets < 0,
    )


def own_outcomes(intake: Intake, settled: Settled) -> OutcomeBatch:
    """Return the intake's outcomes that were kept, joined, with their offsets."""
    offsets = settled.outcome_offsets
    if not len(offsets):
        return NO_OUTCOMES
    joined = replace(
        intake.outcomes,
        seq=offsets,
        run=settled.joined,
        primary=settled.primary,
        fresh=settled.fresh,
    )
    kept = offsets >= 0
    return joined if kept.all() else joined.take(kept)


def with_derived(own: OutcomeBatch, added: Sequence[tuple[int, Row]]) -> OutcomeBatch:
    """Return the commit's own outcomes and those it shows anew, by offset, own first."""
    if not added:
        return own
    both = OutcomeBatch.concat([own, outcomes_of(added)])
    return both.take(np.argsort(both.seq, kind="stable"))


def own_runs(intake: Intake, settled: Settled) -> RunBatch:
    """Return the intake's runs that were kept, with their offsets."""
    offsets = settled.run_offsets
    if not len(offsets):
        return NO_RUNS
    kept = offsets >= 0
    if kept.all():
        return intake.runs.numbered(offsets)
    return intake.runs.take(kept).numbered(offsets[kept])

"""Samples into evidence, arm by arm, with an eye on change: what ``regimes`` decides is done here.

An arm's parked regime is an arm of its own in the evidence, under a name that no agent can have:
so it is shrunk, saved and merged like all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from selfright.learn.hierarchy.names import HIDDEN, OTHER
from selfright.learn.regimes import Act, Expectation, Sample, worth_parking
from selfright.learn.samples import Samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from selfright.learn.hierarchy.evidence import Evidence
    from selfright.learn.regimes import Arm, Regimes

_PARKED: Final = f"{HIDDEN}parked:"


def parked_name(arm: str) -> str:
    """Return the name under which an arm's parked regime is kept."""
    return _PARKED + arm


def learn(evidence: Evidence, regimes: Regimes, samples: Samples) -> None:
    """Learn samples one after the other, each held against what was expected of it before.

    Raises ``ValueError`` for a target out of range; then nothing was learnt.
    """
    evidence.check(samples.y)
    features = samples.features or [None] * len(samples)
    columns = (samples.arm, samples.group, samples.y.tolist(), samples.weight.tolist(), features)
    for at, (name, group, y, weight, of) in enumerate(zip(*columns, strict=True)):
        if not evidence.learn_one(name, group, y, weight, of):
            evidence.update(samples.take(slice(at, at + 1)))
        # What is taken back was held against expectations once, and that stays.
        if weight > 0.0 and not name.startswith(HIDDEN):
            _judge(evidence, regimes, name, Sample(group, y, of))


def _judge(evidence: Evidence, regimes: Regimes, name: str, sample: Sample) -> None:
    if evidence.arms.find(name) == evidence.arms.find(OTHER):
        return  # pooled: many arms that share one belief do not change together
    arm = regimes.of(name)
    act = arm.judge(sample, regimes.policy)
    regimes.seen += 1
    if act is Act.RESTART:
        _restart(evidence, regimes, arm, name)
    elif act is Act.SWAP:
        _swap(evidence, arm, name)
    if act is not None or arm.n >= arm.look:
        arm.look = arm.n + max(1, arm.n // 4)
        _expect(evidence, regimes, [name])
    if regimes.seen >= regimes.look:
        regimes.look = regimes.seen + max(16, regimes.seen // 25)
        _expect(evidence, regimes, list(regimes.names()))


def _restart(evidence: Evidence, regimes: Regimes, arm: Arm, name: str) -> None:
    """Start an arm anew from the samples since its change point."""
    since = arm.kept
    again = Samples.of(
        [name] * len(since), [s.group for s in since], [s.y for s in since],
        features=[s.features for s in since],
    )  # fmt: skip
    back = Samples(again.arm, again.group, again.y, -again.weight, again.ts_us, again.features)
    before = arm.n - len(since)
    if before > 0:
        evidence.update(back)
        if arm.parked is None or worth_parking(before, arm.parked_n):
            _to_parking(evidence, arm, name, before)
    evidence.restart([name], [], again)
    doubt = regimes.policy.doubt
    arm.odds = float(np.log(doubt / (1.0 - doubt)))
    arm.n = len(since)
    arm.fresh()


def _to_parking(evidence: Evidence, arm: Arm, name: str, n: int) -> None:
    evidence.restart([parked_name(name)], [], Samples.empty())
    evidence.swap(name, parked_name(name))
    arm.parked, arm.parked_n = arm.expected, n


def _swap(evidence: Evidence, arm: Arm, name: str) -> None:
    """Let the parked regime take over; what was believed of the present one is parked."""
    evidence.swap(name, parked_name(name))
    arm.expected, arm.parked = arm.parked, arm.expected
    arm.n, arm.parked_n = arm.parked_n, arm.n
    arm.odds = -arm.odds
    arm.fresh()


def _expect(evidence: Evidence, regimes: Regimes, names: Sequence[str]) -> None:
    """Freeze what is expected of arms, and of their parked regimes, from what is believed now."""
    # In canonical order: a model that was saved and loaded knows its groups in another one.
    known = [evidence.groups.names[i] for i in evidence.groups.order().tolist()]
    groups = [name for name in known if name != OTHER]
    wanted = list(names)
    parked = [name for name in names if regimes.parked(name) is not None]
    wanted += [parked_name(name) for name in parked]
    rows = evidence.arms.find_all(wanted)
    found = _expectations(evidence, rows, groups)
    for name, expected in zip(wanted, found, strict=True):
        if name.startswith(_PARKED):
            regimes.of(name.removeprefix(_PARKED)).parked = expected
        else:
            regimes.of(name).expected = expected


def _expectations(
    evidence: Evidence, rows: np.ndarray, groups: list[str | None]
) -> list[Expectation]:
    belief = evidence.shrunk()
    cols = evidence.groups.find_all(groups)
    mean, var, _ = belief.of_pairs(np.repeat(rows, len(cols)), np.tile(cols, len(rows)))
    means, sds = mean.reshape(len(rows), -1).tolist(), np.sqrt(var).reshape(len(rows), -1).tolist()
    noise = max(belief.fleet.noise, 0.05)
    slopes = belief.slopes
    return [
        Expectation(
            dict(zip(groups, zip(means[i], sds[i], strict=True), strict=True)),
            {} if slopes is None else slopes.named(int(row)),
            noise,
        )
        for i, row in enumerate(rows.tolist())
    ]

"""How soon the gate is certain, and how seldom it is wrong, over hundreds of seeded trials.

An agent succeeded in 90 % of its runs, and the champion believes it still does. Then its
true rate changes. The challenger learns from the 100 outcomes before the alarm, of which
20 to 100 came after the change, and from there on from every further one.
"""

from __future__ import annotations

import numpy as np
import pytest

from selfright.retrain.gate import GatePolicy, PredictiveGate
from selfright.retrain.loss import LogLoss

pytestmark = pytest.mark.slow

SEEDS = 400
BEFORE = 0.9
# Not reached before a trial ends: what would be needed is larger than any count.
NEVER = 10**9


def _trial(seed, truth, *, learnt=None, learns=True, limit=500, champion=BEFORE):
    """Return the gate's record; ``learnt`` replaces what the challenger learnt before."""
    rng = np.random.default_rng([2026, seed])
    if learnt is None:
        after = int(rng.integers(20, 101))
        learnt = rng.binomial(100 - after, BEFORE) + rng.binomial(after, truth)
    successes, failures = 1.0 + learnt, 101.0 - learnt
    gate = PredictiveGate(GatePolicy(max_outcomes=limit), LogLoss(), opened_us=0)
    record = None
    while record is None:
        for y in (rng.random(500) < truth).astype(float).tolist():
            record = gate.update(y, champion, successes / (successes + failures))
            if record is not None:
                break
            if learns:
                successes, failures = successes + y, failures + 1 - y
    return record


def _verdicts(truth, **trial):
    records = [_trial(seed, truth, **trial) for seed in range(SEEDS)]
    words = ("promoted", "rejected", "inconclusive")
    return {word: sum(r.verdict == word for r in records) / SEEDS for word in words}


@pytest.mark.parametrize(
    ("truth", "median", "p95"),
    [(0.6, 56, 166), (0.65, 80, 242), (0.75, 200, 815), (0.8, 423, 1500)],
)
def test_a_better_challenger_is_promoted_soon(truth, median, p95):
    """Affected outcomes needed, without the limit of 500: the targets, in hundreds of trials."""
    records = [_trial(seed, truth, limit=5_000) for seed in range(SEEDS)]
    needed = [r.n if r.verdict == "promoted" else NEVER for r in records]
    found = np.quantile(needed, [0.5, 0.95], method="inverted_cdf")
    positive = np.mean([r.gain_low > 0 for r in records if r.verdict == "promoted"])
    in_time = np.mean(np.array(needed) <= GatePolicy().max_outcomes)
    print(f"\n.9 -> {truth}: median {found[0]}, p95 {found[1]}, within 500 {in_time:.3f}")
    print(f"lower bound of the gain above 0 in {positive:.2f} of the promotions")
    assert found[0] <= median
    assert found[1] <= p95


def test_a_challenger_that_learns_off_a_wrong_belief_does_not_harm():
    """Truth .9, it believes .6 and learns: at most 2 % promoted."""
    verdicts = _verdicts(0.9, learnt=60)
    print(f"\nharmful, learning: {verdicts}")
    assert verdicts["promoted"] <= 0.02


def test_a_challenger_with_a_lasting_wrong_belief_is_rejected():
    """Truth .9, it believes .6 for ever: rejected in every trial."""
    assert _verdicts(0.9, learnt=60, learns=False)["rejected"] == 1.0


def test_a_challenger_of_a_false_alarm_does_not_replace_its_equal():
    """Nothing changed: at most 1 % promoted."""
    verdicts = _verdicts(0.9)
    print(f"\nequal, learning: {verdicts}")
    assert verdicts["promoted"] <= 0.01


def test_a_challenger_exactly_as_wrong_as_the_champion_is_a_fair_bet():
    """Beliefs .9 and .6 have equal losses at .774: each verdict in at most about 1 %."""
    at_1, at_0 = np.log(0.6 / 0.9), np.log(0.4 / 0.1)
    verdicts = _verdicts(-at_0 / (at_1 - at_0), learnt=60.2, learns=False)
    print(f"\nequally wrong: {verdicts}")
    # 4 expected of 400 at level .01; more than 10 would come in 1 of 300 such suites.
    assert verdicts["promoted"] <= 10 / SEEDS
    assert verdicts["rejected"] <= 10 / SEEDS


@pytest.mark.parametrize(
    ("truth", "learns"), [(0.6, True), (0.75, True), (0.75, False), (0.95, False)]
)
def test_the_interval_of_the_gain_holds_at_every_n_at_once(truth, learns):
    """The mean of what was to be gained lies inside, from the 1st to the 300th outcome: 90 %."""
    left = 0
    for seed in range(200):
        rng = np.random.default_rng([7, seed])
        successes, failures, expected = 66.0, 36.0, 0.0
        gate = PredictiveGate(GatePolicy(level=1e-12), LogLoss(), opened_us=0)
        for n, y in enumerate((rng.random(300) < truth).astype(float).tolist(), 1):
            q = successes / (successes + failures)
            expected += truth * np.log(q / BEFORE) + (1 - truth) * np.log((1 - q) / (1 - BEFORE))
            gate.update(y, BEFORE, q)
            record = gate.record()
            if not record.gain_low <= expected / n <= record.gain_high:
                left += 1
                break
            if learns:
                successes, failures = successes + y, failures + 1 - y
    print(f"\ntruth {truth}, learns {learns}: left in {left} of 200")
    assert left <= 20

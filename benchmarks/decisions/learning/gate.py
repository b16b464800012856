"""What the gate lets through, what it takes back, and what it reads from another policy's log.

Every fleet is drawn anew: success rates, how much an agent fell, how long what was believed
of it had been learnt. Both models are the real ones, behind the real gate; only the log and
the threads around them are left out.

``python -m benchmarks.decisions.learning.gate [--quick] [--write]``; some five minutes. Exit
code 1 if a target is missed.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

import selfright
from benchmarks.decisions import real_data
from benchmarks.decisions.table import Cell, Effort, Section
from selfright.events.record import Decision, RetrainFinished
from selfright.learn.feed import Rewarded
from selfright.learn.model import new_model
from selfright.learn.model_type import ModelType
from selfright.learn.samples import Samples
from selfright.loop.canary import CanaryPolicy
from selfright.loop.probation import Probation, ProbationPolicy
from selfright.loop.slot import Challenger, ModelSlot
from selfright.retrain.gate import GatePolicy, PredictiveGate
from selfright.retrain.loss import LogLoss
from selfright.retrain.off_policy import OffPolicyPolicy, PolicyGate, ValueEstimate

if TYPE_CHECKING:
    from selfright.learn.model import Model

PAGE: Final = Path(__file__).resolve().parents[3] / "docs" / "benchmarks" / "gate.md"
_CLICKS: Final = "obd_men.parquet"
_SELECTION: Final = ModelType.AGENT_SELECTION
_MATURED: Final = 300  # affected outcomes that have come in when the gate is asked
_CLEAR: Final = 0.2  # nats per affected outcome: clearly better
_REPEATS: Final = 200


def sections(effort: Effort) -> list[Section]:
    """Return what was measured: retrainings, promotions, canaries, the log of another policy."""
    return [_retrainings(effort), _promotions(effort), _canaries(effort), _off_policy(effort)]


# ---- retrainings ---------------------------------------------------------------------


def _retrainings(effort: Effort) -> Section:
    section = Section(
        "retrainings",
        "Retrainings before the gate",
        f"The challenger knows an agent from 100 outcomes, the champion from 200 to 2,000; "
        f"{_MATURED} affected outcomes follow. Harmful: the agent is what it was, and the "
        "challenger learnt from a bad spell, or from luck. Better: the agent fell, by at least "
        f"{_CLEAR} nats per outcome of expected gain. Copy: the champion itself.",
        ["simulated", "promoted", "rejected", "inconclusive", "median outcomes"],
    )
    repeats = effort(1_000, 20)
    for name, target, most in (
        ("harmful", "<= 2 %", 0.02),
        ("better", ">= 95 %", None),
        ("copy", "0 %", 0.0),
    ):
        rng = np.random.default_rng(len(name))
        verdicts, counts = [], []
        while len(verdicts) < repeats:
            found = _one_retraining(name, rng)
            if found is not None:
                verdicts.append(found[0])
                counts.append(found[1])
        share = {word: verdicts.count(word) / repeats for word in set(verdicts)}
        promoted = share.get("promoted", 0.0)
        held = promoted >= 0.95 if most is None else promoted <= most
        section.add(
            name,
            [
                Cell(f"{repeats:,}"),
                Cell(f"{promoted:.1%}", target, held),
                Cell(f"{share.get('rejected', 0.0):.1%}"),
                Cell(f"{share.get('inconclusive', 0.0):.1%}"),
                Cell(f"{np.median(counts):.0f}"),
            ],
        )
    return section


def _one_retraining(kind: str, rng: np.random.Generator) -> tuple[str, int] | None:
    """Return verdict and outcomes of one retraining; None if it is not of that kind."""
    old, n = rng.uniform(0.6, 0.97), int(rng.integers(200, 2_000))
    champion = new_model(_SELECTION)
    champion.update(_samples("a", rng.random(n) < old))
    champion.update(_samples("b", rng.random(n) < 0.7))
    spell = old - rng.uniform(0.05, 0.6) if kind == "harmful" else old
    truth = old - rng.uniform(0.2, 0.7) if kind == "better" else old
    learnt = truth if kind == "better" else spell
    if not min(learnt, truth) > 0.02:
        return None
    seen = _samples("a", rng.random(100) < learnt)
    challenger = champion.copy() if kind == "copy" else champion.restart(["a"], seen)
    gain = _gain(champion, challenger, truth)
    if (kind == "better" and gain < _CLEAR) or (kind == "harmful" and gain >= 0):
        return None
    watch = PredictiveGate(GatePolicy(), LogLoss(), 0)
    slot = ModelSlot(champion, 1)
    slot.open(
        Challenger(_pending("a"), challenger, champion.copy(), watch, serves=False, opened_us=0)
    )
    if kind == "copy":
        # Frozen: learning apart, a copy becomes another model.
        p = float(champion.mean_of(["a"], [None])[0])
        for y in rng.random(_MATURED) < truth:
            watch.update(float(y), p, p)
        return _ended(watch)
    for _ in range(_MATURED // 10):
        if slot.learn(_samples("a", rng.random(10) < truth)) is not None:
            break
    return _ended(watch)


def _ended(watch: PredictiveGate) -> tuple[str, int]:
    verdict = "inconclusive" if watch.verdict == "pending" else watch.verdict
    return verdict, watch.n


def _gain(champion: Model, challenger: Model, truth: float) -> float:
    p, q = (float(model.mean_of(["a"], [None])[0]) for model in (champion, challenger))
    p, q = (min(0.99, max(0.01, belief)) for belief in (p, q))
    return truth * np.log(q / p) + (1 - truth) * np.log((1 - q) / (1 - p))


# ---- promotions ----------------------------------------------------------------------


@dataclass
class Play:
    """A model that chooses among agents whose success rates are known."""

    slot: ModelSlot
    truth: dict[str, float]
    rng: np.random.Generator
    made: int = 0

    def step(self, *, learns: bool = True) -> None:
        """Have one task done, and everything hear of it; the models unless they are frozen."""
        names = sorted(self.truth)
        choice = self.slot.choose(names, None, self.rng)
        trial = self.slot.challenger
        arm, self.made = names[choice.index], self.made + 1
        self.slot.note(
            Decision(
                act_id=str(self.made),
                ts_us=self.made,
                model_type=_SELECTION.value,
                arm=arm,
                probability=float(choice.probabilities[choice.index]),
                candidates=names,
                probabilities=choice.probabilities.tolist(),
                model_version=self.slot.served_version or 0,
                mode=self.slot.mode,
                challenger_version=None if trial is None else trial.version,
                challenger_probabilities=None
                if choice.challenger is None
                else choice.challenger.tolist(),
            )
        )
        reward = float(self.rng.random() < self.truth[arm])
        if learns:
            self.slot.learn(_samples(arm, np.array([reward])))
        self.slot.earn(Rewarded(str(self.made), reward, self.made))


def _promotions(effort: Effort) -> Section:
    section = Section(
        "promotions",
        "Promotions on probation",
        "A version is forced to serve after 1,000 outcomes and 1,000 decisions of its parent; the "
        "next 200 are "
        "watched. Misled: it is sure of a worse agent, by the points of the column. Blind: it "
        "knows what it plays and is wrong about the agent that it never tries. Sound: the "
        "parent, retrained from its own 1,000 outcomes. Fallen: the best agent fell 300 "
        "decisions before, and the version knows.",
        ["simulated", "rolled back", "median decisions", "proved worse", "no change", "improved"],
    )
    repeats = effort(_REPEATS, 4)
    for name, points, least, most in (
        ("misled", 0.15, 0.95, None),
        ("misled", 0.3, 0.95, None),
        ("blind", 0.15, 0.95, None),
        ("blind", 0.1, None, None),
        ("sound", 0.0, None, 0.01),
        ("fallen", 0.0, None, 0.01),
    ):
        rng = np.random.default_rng(int(100 * points) + len(name))
        found = [_one_promotion(name, points, rng) for _ in range(repeats)]
        back = [n for harmful, n, _ in found if harmful]
        share = len(back) / repeats
        proofs = [verdict for _, _, verdict in found]
        held = share >= least if least is not None else share <= (most if most is not None else 1)
        target = (
            f">= {least:.0%}" if least is not None else f"<= {most:.0%}" if most is not None else ""
        )
        section.add(
            f"{name}, {100 * points:.0f} points" if points else name,
            [
                Cell(f"{repeats:,}"),
                Cell(f"{share:.1%}", target, held),
                Cell(f"{np.median(back):.0f}" if back else "-"),
                *(
                    Cell(f"{proofs.count(w) / repeats:.0%}")
                    for w in ("worse", "no_change", "improved")
                ),
            ],
        )
    return section


def _one_promotion(name: str, points: float, rng: np.random.Generator) -> tuple[bool, int, str]:
    """Return whether a promotion was rolled back, after how many decisions, and its proof."""
    best = rng.uniform(0.6, 0.95)
    truth = {"best": best, "next": best - (points or 0.15), "last": max(0.05, best - 0.4)}
    parent = new_model(_SELECTION)
    for agent, n in (("best", 700), ("next", 200), ("last", 100)):
        parent.update(_samples(agent, rng.random(n) < truth[agent]))
    play = Play(ModelSlot(parent, 1), truth, rng)
    for _ in range(1_000):
        play.step(learns=False)
    if name == "fallen":
        truth["best"] = max(0.05, best - 0.5)
        for _ in range(300):
            play.step()
    believed = dict(truth)
    if name == "misled":
        believed["next"] = min(0.97, best + 0.05)
        believed["best"] = truth["next"]
    elif name == "blind":
        believed["best"] = truth["next"] - 0.1
    version = _sure(parent, believed, rng, exact=name != "sound")
    earned, champion = play.slot.decided.since(None), play.slot.champion
    play.slot.adopt(version, 2)
    probation = Probation.begin(ProbationPolicy(), champion, 1, None, earned, play.made)
    play.slot.probation = probation
    for n in range(1, 201):
        play.step()
        if probation.harm is not None:
            return True, n, probation.proof().verdict
        if probation.is_over(play.made):
            break
    return False, n, probation.proof().verdict


def _sure(
    parent: Model, believed: dict[str, float], rng: np.random.Generator, *, exact: bool
) -> Model:
    """Return a version that has learnt these rates from 400 outcomes of each agent."""
    rows = np.arange(400) / 400
    return parent.fit(
        Samples.concat(
            [
                _samples(name, (rows if exact else rng.random(400)) < rate)
                for name, rate in believed.items()
            ]
        )
    )


# ---- canaries ------------------------------------------------------------------------


def _canaries(effort: Effort) -> Section:
    section = Section(
        "canaries",
        "Canaries",
        "Champion and challenger choose different agents; a tenth of the decisions is the "
        "challenger's, and rewards of at most 2,000 decisions tell.",
        ["simulated", "promoted", "rejected", "inconclusive", "median decisions"],
    )
    repeats = effort(100, 2)
    for gain, most in ((0.25, None), (0.15, None), (0.0, 0.02), (-0.15, 0.02)):
        rng = np.random.default_rng(int(100 * (gain + 1)))
        found = [_one_canary(gain, rng) for _ in range(repeats)]
        words = [word for word, _ in found]
        promoted = words.count("promoted") / repeats
        held = most is None or promoted <= most
        section.add(
            f"the challenger earns {100 * gain:+.0f} points" if gain else "both earn the same",
            [
                Cell(f"{repeats:,}"),
                Cell(f"{promoted:.0%}", "" if most is None else f"<= {most:.0%}", held),
                *(Cell(f"{words.count(w) / repeats:.0%}") for w in ("rejected", "inconclusive")),
                Cell(f"{np.median([n for _, n in found]):.0f}"),
            ],
        )
    return section


def _one_canary(gain: float, rng: np.random.Generator) -> tuple[str, int]:
    """Play the canary's own comparison, with policies that stay as they are."""
    policy, base = CanaryPolicy(), 0.65 - gain / 2
    rates = np.array([base, base + gain])
    watch = PolicyGate(OffPolicyPolicy(level=policy.level))
    champion, challenger = np.array([0.98, 0.02]), np.array([0.02, 0.98])
    mixed = (1 - policy.share) * champion + policy.share * challenger
    earned, seen = 1.0, 2.0
    for n in range(1, policy.outcomes + 1):
        arm = int(rng.random() < mixed[1])
        reward = float(rng.random() < rates[arm])
        watch.update(reward, mixed[arm], champion[arm], challenger[arm], earned / seen)
        earned, seen = earned + reward, seen + 1
        if watch.verdict() in {"promoted", "rejected"}:
            return watch.verdict(), n
    return "inconclusive", policy.outcomes


# ---- another policy's log ------------------------------------------------------------


def _off_policy(effort: Effort) -> Section:
    section = Section(
        "off-policy",
        "Off-policy, on real clicks",
        "What evenly drawn items would have earned, from the log of Thompson sampling alone "
        "(Open Bandit Dataset, men; 10,000 decisions each).",
        ["estimate", "interval", "SNIPS", "effective events", "true value"],
    )
    missing = real_data.absent(_CLICKS)
    if missing is not None:
        section.note(missing)
        return section
    import pyarrow.parquet as pq

    columns = ["behavior_policy", "propensity_score", "reward"]
    logs = {"bts": ValueEstimate(), "random": ValueEstimate()}
    for row in pq.read_table(real_data.file(_CLICKS), columns=columns).to_pylist():
        logs[row["behavior_policy"]].update(row["reward"], row["propensity_score"], 1 / 34)
    found, truth = logs["bts"].estimate(), logs["random"].estimate().dr
    assert found.dr is not None
    assert found.snips is not None
    assert truth is not None
    section.add(
        "uniform policy",
        [
            Cell(f"{found.dr:.4f}"),
            Cell(
                f"{found.low:.4f} to {found.high:.4f}", "covers", found.low <= truth <= found.high
            ),
            Cell(f"{found.snips:.4f}"),
            Cell(f"{found.effective:.0f}"),
            Cell(f"{truth:.4f}"),
        ],
    )
    return section


# ---- made of -------------------------------------------------------------------------


def _samples(arm: str, rewards: np.ndarray) -> Samples:
    return Samples.of([arm] * len(rewards), [None] * len(rewards), rewards.astype(np.float64))


def _pending(agent: str) -> RetrainFinished:
    return RetrainFinished(
        act_id="x:pending",
        ts_us=0,
        retrain_id="x",
        model_type=_SELECTION.value,
        retrain_type="incremental",
        state="pending",
        reason="",
        automatic=True,
        agents=[agent],
        version=2,
    )


_HEAD: Final = """\
# What the gate lets through, and what is taken back

Retrainings, promotions and canaries of fleets that are drawn anew each time: success rates, how
much an agent fell, how long what was believed of it had been learnt. Models, gate, watch and canary
are the real ones.

```
python -m benchmarks.decisions.learning.gate --write
```

Written by that command; not edited by hand. Selfright {version}.

{missed} of {n} targets are missed.

{sections}
"""


def page(found: Sequence[Section]) -> str:
    """Return the page in Markdown."""
    return _HEAD.format(
        version=selfright.__version__,
        missed=sum(len(section.missed()) for section in found),
        n=sum(len(section.targets()) for section in found),
        sections="\n\n".join(section.page() for section in found),
    )


def main() -> int:
    """Print what is measured beside its target; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decisions.learning.gate")
    parser.add_argument("--quick", action="store_true", help="seconds; shows that it works")
    parser.add_argument("--write", action="store_true", help="write the page of the documentation")
    options = parser.parse_args()
    if options.write and options.quick:
        parser.error("--write wants all of it: no --quick")
    quick = options.quick
    found = sections(Effort(quick))
    if options.write:
        PAGE.write_text(page(found), encoding="utf-8")
    missed = [line for section in found for line in section.missed()]
    print(f"{len(missed)} missed" + "".join(f"\nMISSED  {line}" for line in missed))
    return 1 if missed and not quick else 0


if __name__ == "__main__":
    raise SystemExit(main())

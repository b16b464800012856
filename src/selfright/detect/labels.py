"""Whether the outcomes themselves can be trusted: sources that disagree, labels that come late.

*Disagreement.* Where two sources judge the same run, one of them is wrong if they are more than
half a point apart. When that happens to more than one run in five with 95 % probability, an
accuracy that rests on one of them is worth little: one judge alone can be gamed.

*Delay.* Where outcomes that come late are worse (or better) than those that come soon, the accuracy
of the latest window is too high (or too low), for its late ones are not there yet. The later half
of an agent's delays is held against the earlier half.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import asdict, dataclass, field
from math import sqrt
from typing import Any, Final, NamedTuple

from selfright.detect.detection import Detection, Kind, WatchedMetric
from selfright.detect.incomplete_beta import incomplete_beta
from selfright.metrics.interval import wilson

DETECTOR: Final = "labels"
DISAGREEMENT: Final = "feedback_disagreement"
DELAY_BIAS: Final = "label_delay_bias"

_APART: Final = 0.5
_WORTH_A_WORD: Final = 0.2  # share of runs about which sources disagree
_LIKELY, _NORMAL = 0.95, 0.5
_FEWEST_PAIRS: Final = 20
_PAIRS: Final = 400  # twice as many are halved: what was is forgotten
_RUNS: Final = 4096  # runs of which the judgements are remembered
_FEWEST: Final = 100  # outcomes in either half of the delays
_OUTCOMES: Final = 4000
# Standard errors between the halves that are told, and at which that is taken back: asked every
# 50 outcomes for weeks, 4 come by chance in less than one agent of a hundred.
_TELLS, _TAKES_BACK = 4.0, 2.0
_ASKED_EVERY: Final = 50
_BUCKETS: Final = 48  # octaves of microseconds


class Label(NamedTuple):
    """One outcome: whose, how good, by whom, of which run, and how long after it."""

    agent: int
    score: float
    source: str
    run_id: str | None
    delay_us: int | None
    ts_us: int
    offset: int


@dataclass(slots=True)
class _Agent:
    pairs: float = 0.0
    apart: float = 0.0
    sources: list[str] = field(default_factory=list)  # of the latest that disagreed
    disagrees: bool = False
    delays: list[float] = field(default_factory=lambda: [0.0] * _BUCKETS)
    totals: list[float] = field(default_factory=lambda: [0.0] * _BUCKETS)
    seen: int = 0
    biased: bool = False


class Labels:
    """Follows the outcomes of every agent; speaks when trust in them changes.

    Notes
    -----
    About 2 us an outcome, 1.5 kB an agent.
    """

    def __init__(self) -> None:
        self._agents: dict[int, _Agent] = {}
        self._judged: OrderedDict[str, list[tuple[str, float]]] = OrderedDict()

    def update(self, label: Label) -> list[Detection]:
        """Take an outcome into account; nearly always returns an empty list."""
        agent = self._agents.get(label.agent)
        if agent is None:
            agent = self._agents[label.agent] = _Agent()
        said = []
        if label.run_id is not None and self._pair(agent, label):
            said += self._judge_sources(agent, label)
        if label.delay_us is not None and label.delay_us >= 0:
            bucket = min(label.delay_us.bit_length(), _BUCKETS - 1)
            agent.delays[bucket] += 1.0
            agent.totals[bucket] += label.score
            agent.seen += 1
            if agent.seen % _ASKED_EVERY == 0:
                said += self._judge_delays(agent, label)
        return said

    def forget(self, agent: int) -> None:
        """Drop everything about an agent."""
        self._agents.pop(agent, None)

    def to_state(self) -> dict[str, Any]:
        """Return the exact state as plain values."""
        return {
            "agents": [[code, asdict(agent)] for code, agent in self._agents.items()],
            "judged": [[run_id, judgements] for run_id, judgements in self._judged.items()],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Labels:
        """Return what ``to_state`` described."""
        made = cls()
        made._agents = {code: _Agent(**agent) for code, agent in state["agents"]}
        for run_id, judgements in state["judged"]:
            made._judged[run_id] = [(source, score) for source, score in judgements]
        return made

    def _pair(self, agent: _Agent, label: Label) -> bool:
        """Hold a judgement against others of the same run; say whether there were any."""
        assert label.run_id is not None  # the caller's condition
        judgements = self._judged.setdefault(label.run_id, [])
        others = [one for one in judgements if one[0] != label.source]
        for source, score in others:
            apart = abs(score - label.score) > _APART
            agent.pairs += 1.0
            agent.apart += apart
            if apart:
                agent.sources = sorted((source, label.source))
        judgements[:] = [*others, (label.source, label.score)]
        if len(self._judged) > _RUNS:
            self._judged.popitem(last=False)
        if agent.pairs >= 2 * _PAIRS:
            agent.pairs, agent.apart = agent.pairs / 2.0, agent.apart / 2.0
        return bool(others)

    def _judge_sources(self, agent: _Agent, label: Label) -> list[Detection]:
        n, apart = agent.pairs, agent.apart
        if n < _FEWEST_PAIRS:
            return []
        likely = 1.0 - incomplete_beta(1.0 + apart, 1.0 + n - apart, _WORTH_A_WORD)
        if agent.disagrees == (likely > _NORMAL) or (not agent.disagrees and likely < _LIKELY):
            return []
        agent.disagrees = not agent.disagrees
        one, other = agent.sources if len(agent.sources) == 2 else ("one source", "another")
        says = f"{one} and {other} disagree about {100 * apart / n:.0f} % of the runs both judged"
        return [
            _detection(label, DISAGREEMENT, agent.disagrees, apart / n, int(n), _WORTH_A_WORD, says)
        ]

    def _judge_delays(self, agent: _Agent, label: Label) -> list[Detection]:
        n = sum(agent.delays)
        if n >= 2 * _OUTCOMES:
            agent.delays = [x / 2.0 for x in agent.delays]
            agent.totals = [x / 2.0 for x in agent.totals]
            n /= 2.0
        early_n = early = 0.0
        for count, total in zip(agent.delays, agent.totals, strict=True):
            if early_n >= n / 2.0:
                break
            early_n, early = early_n + count, early + total
        late_n, late = n - early_n, sum(agent.totals) - early
        if min(early_n, late_n) < _FEWEST:
            return []
        soon, later = early / early_n, late / late_n
        mean = (early + late) / n
        error = sqrt(max(mean * (1.0 - mean), 1e-9) * (1.0 / early_n + 1.0 / late_n))
        apart = abs(soon - later) / error
        if not (apart <= _TAKES_BACK if agent.biased else apart >= _TELLS):
            return []
        agent.biased = not agent.biased
        says = (
            f"outcomes that come late score {later:.2f}, those that come soon {soon:.2f}: the "
            f"accuracy of a recent window is too {'high' if later < soon else 'low'}"
        )
        return [_detection(label, DELAY_BIAS, agent.biased, later, int(late_n), soon, says)]


def _detection(
    label: Label, rule: str, holds: bool, value: float, n: int, threshold: float, says: str
) -> Detection:
    return Detection(
        detector=DETECTOR,
        kind=Kind.BEYOND if holds else Kind.CLEARED,
        scope=label.agent,
        metric=WatchedMetric.ACCURACY,
        value=value,
        interval=wilson(value * n, n),
        n=n,
        threshold=threshold,
        probability=None,
        ts_us=label.ts_us,
        offset=label.offset,
        inputs={"setting": rule, "says": says},
    )
